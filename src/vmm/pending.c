/* SPDX-License-Identifier: MIT */
/*
 * Rooms that are not built yet: the KVM engine, as a weak symbol that says so. The real
 * one takes its place without a change here; then this file goes.
 */
#include "cpu/cpu.h"

extern const struct cpu_engine_ops cpu_kvm_engine;

static void pending_probe(struct cpu_probe *p)
{
	*p = (struct cpu_probe) { .why = "the KVM engine is not built in" };
}

__attribute__((weak)) const struct cpu_engine_ops cpu_kvm_engine = {
	.name = "kvm",
	.probe = pending_probe,
};
