/* SPDX-License-Identifier: MIT */
/*
 * Segment helpers shared by seg.c (far transfers) and exc.c (events, IRET).
 */
#ifndef HOLM_CPU_SOFT_SEG_H
#define HOLM_CPU_SOFT_SEG_H

#include "cpu/soft/soft.h"

/** seg_descriptor_fetch() - 8 bytes of the descriptor; false beyond its table's limit. */
bool seg_descriptor_fetch(struct soft_vcpu *v, uint16_t sel, uint64_t *raw, uint64_t *addr);
/** seg_unpack() - descriptor bits to the hidden part. */
void seg_unpack(struct cpu_segment *s, uint16_t sel, uint64_t raw);
/** seg_mark_accessed() - set the accessed bit in memory where it is clear. */
void seg_mark_accessed(struct soft_vcpu *v, uint64_t addr, uint64_t *raw);
/** seg_load_cs() - load CS (checked already) at privilege @cpl. */
void seg_load_cs(struct soft_vcpu *v, uint16_t sel, uint64_t raw, uint64_t addr, unsigned cpl);
/** seg_check_rip() - #GP(0) where @off is no address in the code segment @raw. */
void seg_check_rip(struct soft_vcpu *v, uint64_t raw, uint64_t off);
/** seg_inner_stack() - stack pointer (and *@ss outside long mode) for ring @cpl from the TSS. */
uint64_t seg_inner_stack(struct soft_vcpu *v, unsigned cpl, uint16_t *ss);
void seg_check_inner_ss(struct soft_vcpu *v, uint16_t sel, unsigned cpl, uint32_t ext,
			struct cpu_segment *out);
void seg_check_outer_ss(struct soft_vcpu *v, uint16_t ss, unsigned rpl, bool to64,
			struct cpu_segment *out);
void seg_check_return_cs(struct soft_vcpu *v, uint16_t cs, uint64_t *raw, uint64_t *addr);
void seg_drop_inner(struct soft_vcpu *v);

/** A stack that is being written before it becomes the current one. */
struct seg_stack {
	uint64_t sp, mask;
	bool flat;	  /* 64-bit: no segment */
	unsigned cpl;	  /* whose rights the pushes have */
	uint32_t ss_code; /* error code of #SS */
	struct cpu_segment ss;
};

struct seg_stack seg_current_stack(const struct soft_vcpu *v);
/** seg_push() - one word below st->sp; raises #SS or #PF. */
void seg_push(struct soft_vcpu *v, struct seg_stack *st, uint64_t val, unsigned size);

#endif
