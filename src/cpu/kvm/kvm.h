/* SPDX-License-Identifier: MIT */
/*
 * The KVM engine: guest code runs on the host CPU's virtualization support, through /dev/kvm.
 */
#ifndef HOLM_CPU_KVM_KVM_H
#define HOLM_CPU_KVM_KVM_H

#include "cpu/cpu.h"

extern const struct cpu_engine_ops cpu_kvm_engine;

#endif
