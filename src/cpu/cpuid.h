/* SPDX-License-Identifier: MIT */
/*
 * CPUID policy: one table says what guests see.
 *
 * Theory of operation: an engine says what it can give (cpuid_supported); the policy keeps of it
 * what Holm's table allows, adds what Holm promises (hypervisor leaves, TSC frequency, ARCH_
 * CAPABILITIES without vulnerable bits), and the machine hands the result to the engine. The
 * per-vCPU fields (APIC id, topology) are filled by cpuid_for_vcpu().
 */
#ifndef HOLM_CPU_CPUID_H
#define HOLM_CPU_CPUID_H

#include "base/compiler.h"
#include "base/err.h"
#include "snap/snap.h"

#include <stdbool.h>
#include <stdint.h>

#define CPUID_LEAVES_MAX 96

struct cpuid_leaf {
	uint32_t leaf, subleaf;
	bool indexed; /* subleaf matters; otherwise any matches */
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid_table {
	unsigned n;
	struct cpuid_leaf leaf[CPUID_LEAVES_MAX];
	uint64_t arch_capabilities; /* MSR 0x10a, 0 where CPUID.7.EDX[29] is clear */
	uint32_t tsc_khz;	    /* the guest's TSC frequency */
};

/** What the policy is asked for. */
struct cpuid_policy {
	unsigned vcpus; /* for topology leaves */
	bool soft;	/* the soft engine: only what it decodes, safe ARCH_CAPABILITIES */
	bool portable;	/* --cpu-model portable: the common set, for snapshots across engines */
};

/** cpuid_find() - the entry for @leaf/@subleaf, or NULL. */
const struct cpuid_leaf *cpuid_find(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf);

/**
 * cpuid_host() - the host CPU's own leaves (basic, 0x80000000, 0xd subleaves).
 * Also fills tsc_khz from the best source: leaf 15h, hypervisor leaf 40000010h, or measured.
 */
int cpuid_host(struct cpuid_table *out, struct err *e) MUST_CHECK;

/** cpuid_apply_policy() - @supported filtered and completed; errors: -EINVAL, -ENOSPC. */
int cpuid_apply_policy(struct cpuid_table *out, const struct cpuid_table *supported,
		       const struct cpuid_policy *p, struct err *e) MUST_CHECK;

/**
 * cpuid_for_vcpu() - copy @t with APIC id @id in leaves 1, 0xb, 0x1f and 0x8000001e.
 *
 * OSXSAVE/OSPKE follow CR4 and leaf 0xd.EBX follows XCR0; the soft engine adds those at run time.
 */
void cpuid_for_vcpu(struct cpuid_table *out, const struct cpuid_table *t, uint32_t id);

/** cpuid_save() - into the writer's current section. */
void cpuid_save(const struct cpuid_table *t, struct snap_writer *w);
/** cpuid_load() - -EBADMSG where it is no such table; *@t is unchanged then. */
int cpuid_load(struct cpuid_table *t, const struct snap_reader *r, struct err *e) MUST_CHECK;

/**
 * cpuid_check_within() - whether a guest that has seen @saved can go on where @have is offered.
 *
 * Errors: -ENOTSUP, the sentence names the features that are missing.
 */
int cpuid_check_within(const struct cpuid_table *saved, const struct cpuid_table *have,
		       struct err *e) MUST_CHECK;

#endif
