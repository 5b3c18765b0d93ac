/* SPDX-License-Identifier: MIT */
/*
 * The soft engine: runs guests without hardware virtualization.
 *
 * Options (cpu_vm_config.options): none yet.
 */
#ifndef HOLM_CPU_SOFT_ENGINE_H
#define HOLM_CPU_SOFT_ENGINE_H

#include "cpu/cpu.h"

extern const struct cpu_engine_ops cpu_soft_engine;

#endif
