/* SPDX-License-Identifier: MIT */
/*
 * Architectural state of a vCPU, as it crosses the engine seam and goes into snapshots.
 *
 * Everything is in the architecture's own layout (SDM vol. 1 ch. 3 and 13, vol. 3A ch. 2, 3 and
 * 10), nothing of an engine's.
 */
#ifndef HOLM_CPU_STATE_H
#define HOLM_CPU_STATE_H

#include "base/compiler.h"
#include "base/err.h"
#include "snap/snap.h"

#include <stdbool.h>
#include <stdint.h>

enum cpu_gpr {
	CPU_RAX,
	CPU_RCX,
	CPU_RDX,
	CPU_RBX,
	CPU_RSP,
	CPU_RBP,
	CPU_RSI,
	CPU_RDI,
	CPU_R8,
	CPU_R9,
	CPU_R10,
	CPU_R11,
	CPU_R12,
	CPU_R13,
	CPU_R14,
	CPU_R15,
	CPU_GPR_COUNT
};

/* In the order of the ModRM encoding of segment registers. */
enum cpu_seg { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_SEG_COUNT };

/** A segment register with its hidden part. */
struct cpu_segment {
	uint64_t base;
	uint32_t limit; /* in bytes, granularity applied */
	uint16_t selector;
	/*
	 * Access rights in the layout of the descriptor's bits 40..55: type 0..3, S 4, DPL 5..6,
	 * P 7, AVL 12, L 13, D/B 14, G 15 (bits 8..11 are 0). Unusable: P clear.
	 */
	uint16_t attr;
};

#define CPU_ATTR_TYPE	   0x000fu
#define CPU_ATTR_ACCESSED  0x0001u
#define CPU_ATTR_RW	   0x0002u /* data: writable; code: readable */
#define CPU_ATTR_DC	   0x0004u /* data: expand-down; code: conforming */
#define CPU_ATTR_CODE	   0x0008u
#define CPU_ATTR_S	   0x0010u
#define CPU_ATTR_DPL	   0x0060u
#define CPU_ATTR_DPL_SHIFT 5
#define CPU_ATTR_P	   0x0080u
#define CPU_ATTR_AVL	   0x1000u
#define CPU_ATTR_L	   0x2000u
#define CPU_ATTR_DB	   0x4000u
#define CPU_ATTR_G	   0x8000u

struct cpu_dtable {
	uint64_t base;
	uint16_t limit;
};

/** What the vCPU is doing: the multi-processor state. */
enum cpu_mp_state {
	CPU_MP_RUNNABLE,
	CPU_MP_WAIT_SIPI, /* after INIT or power-on of an AP */
	CPU_MP_HALTED,
	CPU_MP_COUNT
};

#define CPU_XSAVE_SIZE 4096
#define CPU_LAPIC_SIZE 1024
#define CPU_MSRS_MAX   64

struct cpu_msr {
	uint32_t index;
	uint64_t value;
};

struct cpu_state {
	uint64_t gpr[CPU_GPR_COUNT];
	uint64_t rip, rflags;
	struct cpu_segment seg[CPU_SEG_COUNT];
	struct cpu_segment ldtr, tr;
	struct cpu_dtable gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t efer;
	uint64_t dr[4], dr6, dr7;
	uint64_t xcr0;
	/* Standard (not compacted) XSAVE format; XSTATE_BV says which parts are not initial. */
	uint8_t xsave[CPU_XSAVE_SIZE];
	/* The local APIC's registers as in its MMIO page, 16-byte spaced (x2APIC: id in full). */
	uint8_t lapic[CPU_LAPIC_SIZE];
	uint64_t apic_base; /* MSR 0x1b */
	enum cpu_mp_state mp;
	/* Event state: SDM vol. 3A, 6.7 and 6.8.3. */
	bool int_shadow; /* STI or MOV SS blocks for one instruction */
	bool nmi_pending, nmi_masked;
	bool exception_pending; /* chosen but not delivered yet */
	uint8_t exception_vector;
	bool exception_has_code;
	uint32_t exception_code;
	/* All other MSRs worth keeping (see cpu_state_msrs); absent ones keep their reset value. */
	unsigned n_msrs;
	struct cpu_msr msrs[CPU_MSRS_MAX];
};

/**
 * cpu_state_reset() - the state after power-on or INIT: SDM vol. 3A, table 9-1.
 * @init: INIT leaves CR0.CD/NW, FPU and most MSRs as they are; here that means: only what INIT
 *        sets is changed in @s
 */
void cpu_state_reset(struct cpu_state *s, bool init);

/** cpu_state_msrs() - indices of the MSRs every engine saves; *@n receives how many. */
const uint32_t *cpu_state_msrs(unsigned *n);

/** cpu_state_msr() - value of @index in @s, or @absent. */
uint64_t cpu_state_msr(const struct cpu_state *s, uint32_t index, uint64_t absent);

/** cpu_state_set_msr() - add or replace; BUG beyond CPU_MSRS_MAX. */
void cpu_state_set_msr(struct cpu_state *s, uint32_t index, uint64_t value);

/** cpu_state_save() - into the writer's current section. */
void cpu_state_save(const struct cpu_state *s, struct snap_writer *w);

/** cpu_state_load() - and check that fields are in range; untouched on failure. */
int cpu_state_load(struct cpu_state *s, const struct snap_reader *r, struct err *e) MUST_CHECK;

#endif
