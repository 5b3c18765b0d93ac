/* SPDX-License-Identifier: MIT */
/*
 * What the translator's files share: a block on its way to native code, see translate.c.
 */
#ifndef HOLM_CPU_SOFT_JIT_TRANS_H
#define HOLM_CPU_SOFT_JIT_TRANS_H

#include "cpu/soft/jit/emit.h"
#include "cpu/soft/zydis.h"

/* Bits of live-flag masks are those of RFLAGS. */

enum where { IN_EFLAGS, IN_CC };

/** An instruction while its block is translated. */
struct item {
	struct soft_zydis z;
	const struct insn *in;
	const struct insn *copy;
	uint32_t live;	 /* flags wanted behind it */
	uint32_t reads;	 /* flags it reads */
	uint32_t writes; /* flags it surely overwrites */
	bool changes;	 /* it may change some flag */
	bool inlined;
	bool x87;     /* inlined, x87 */
	bool simd;    /* inlined, with XMM or YMM registers */
	uint16_t off; /* from its page's start */
};

/* Code out of the way, emitted behind the block. */
struct aside {
	uint8_t *from, *from2; /* jumps to land here; the second may be NULL */
	const uint8_t *back;   /* where to go on, NULL: the handler leaves the block */
	const struct insn *copy;
	bool reload; /* flags are wanted in EFLAGS there */
	int32_t undo_rsp;
};

struct trans {
	struct emit e;
	struct soft_block *b;
	enum where where;
	uint32_t live_behind; /* flags wanted behind the block */
	struct item item[SOFT_BLOCK_MAX];
	struct aside aside[2 * SOFT_BLOCK_MAX + 1]; /* two each, three of the last */
	unsigned n_aside;
	bool simd; /* the block has SIMD or x87 */
	bool x87;  /* and x87 */
};

/* --- select.c: which instructions are emitted as themselves ---------------------------------- */

/** jit_select() - sets inlined and simd of @it, whose z is decoded and whose in is set. */
void jit_select(struct item *it, bool simd);

/** jit_listed - by mnemonic: instructions without side effects but those on their operands. */
extern const bool jit_listed[];

/** jit_sets_mxcsr() - whether MXCSR may unmask something behind it. */
bool jit_sets_mxcsr(ZydisMnemonic m);

/* --- live.c: flags ---------------------------------------------------------------------------- */

/** jit_flags_of() - sets reads, writes and changes of @it, after jit_select(). */
void jit_flags_of(struct item *it);

/**
 * jit_live_at() - flags that may be read before they are overwritten from byte @off of @page on.
 *
 * Looks at @budget instructions at most, none outside the page: what changes the page drops the
 * block that asks as well. Where it cannot tell, a flag is wanted.
 */
uint32_t jit_live_at(const ZydisDecoder *d, const uint8_t *page, int64_t off, unsigned budget);

/* --- state.c: flags and the FPU's state, which are here or there -------------------------------- */

void jit_save_flags(struct trans *t);
void jit_want_in_cc(struct trans *t, uint32_t live);
void jit_want_in_eflags(struct trans *t, uint32_t live);
void jit_want_fp(struct trans *t);

/* --- code.c ---------------------------------------------------------------------------------- */

/** jit_emit_item() - one instruction; true: the block ends with it. */
bool jit_emit_item(struct trans *t, const struct item *it);

/** jit_emit_asides() - what lies out of the way. */
void jit_emit_asides(struct trans *t);

/* --- flow.c ---------------------------------------------------------------------------------- */

/** jit_emit_flow() - a near jump, call or return. */
void jit_emit_flow(struct trans *t, const struct item *it);

/** jit_emit_direct() - on to @off bytes from the page's start. */
void jit_emit_direct(struct trans *t, int64_t off);

/** jit_emit_leave() - out to the loop at the linear address in R13. */
void jit_emit_leave(struct trans *t);

/* Parts that code.c has and flow.c needs too. */
struct aside *jit_add_aside(struct trans *t, const struct item *it, uint8_t *from);
unsigned jit_value_of(struct emit *e, unsigned guest, unsigned scratch);
void jit_emit_operand(struct trans *t, const struct item *it);
uint8_t *jit_emit_tlb(struct trans *t, unsigned size, bool write);

/** jit_host_of() - the host register of a guest's, or -1 where that lives in v->r. */
static inline int jit_host_of(unsigned guest)
{
	if (guest == CPU_RSP)
		return HOST_R12;
	return guest < CPU_R12 ? (int)guest : -1;
}

/** jit_r_off() - where it lives. */
static inline size_t jit_r_off(unsigned guest)
{
	return offsetof(struct soft_vcpu, r) + guest * 8;
}

#endif
