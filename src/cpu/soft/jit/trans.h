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

/** A memory access of an instruction. */
struct access {
	bool made;   /* there is such an access */
	int group;   /* of trans.group, -1: none */
	bool first;  /* the group's look-up is made here */
	int64_t off; /* of the access, from the same zero as its group's bounds */
};

enum { ACCESS_OPERAND, ACCESS_STACK, ACCESS_COUNT };

/** Accesses that one TLB look-up serves: group.c. */
struct group {
	int64_t lo, hi; /* the bytes [lo, hi) */
	bool write;
};

/** Where memory is: [base + index + disp]; index -1: none. */
struct mref {
	int base, index;
	int32_t disp;
};

/** An instruction while its block is translated. */
struct item {
	struct access access[ACCESS_COUNT];
	struct soft_zydis z;
	const struct insn *in;
	const struct insn *copy;
	uint32_t live;	 /* flags wanted behind it */
	uint32_t reads;	 /* flags it reads */
	uint32_t writes; /* flags it surely overwrites */
	bool changes;	 /* it may change some flag */
	bool inlined;
	bool x87;     /* inlined, x87 */
	bool system;  /* inlined, by system.c */
	bool simd;    /* inlined, with XMM or YMM registers */
	uint16_t off; /* from its page's start */
};

/** jit_live_before() - flags wanted in front of @it. */
static inline uint32_t jit_live_before(const struct item *it)
{
	return (it->live & ~it->writes) | it->reads;
}

/* Code out of the way, emitted behind the block. */
struct aside {
	uint8_t *from, *from2; /* jumps to land here; the second may be NULL */
	unsigned item;	       /* whose handler it is */
	bool to_plain;	       /* no handler: on to the item's plain code */
	bool rejoin;	       /* the handler comes back, to... */
	bool plain;	       /* the next item's plain code, or */
	const uint8_t *back;
	bool reload; /* where flags are wanted in EFLAGS */
	int32_t undo_rsp;
};

/* Where an access looks for its page. */
enum site_kind {
	SITE_NONE,  /* the TLB */
	SITE_OWN,   /* a site of its own */
	SITE_STACK, /* the one for the stack, which is one page for a while */
};

/* A site that did not know the page, also out of the way. */
struct miss {
	uint8_t *from, *from2; /* the second may be NULL */
	const uint8_t *back;   /* behind what makes use of the addend */
	unsigned op;	       /* that: MOV or ADD to R13 */
	enum site_kind kind;
	size_t site; /* offset in the vCPU */
	unsigned size, aside;
	bool write;
};

/* Ends of blocks, also out of the way. */
enum way_kind {
	WAY_LINK,    /* inside the page, not linked yet */
	WAY_CROSS,   /* outside, not known */
	WAY_RETURN,  /* of a RET that no CALL waits for */
	WAY_UNKNOWN, /* not in the jump cache */
};

struct way_out {
	enum way_kind kind;
	uint8_t *from, *from2; /* the second may be NULL */
	enum where where;
	int64_t off;	       /* WAY_LINK: from the page's start */
	bool ahead;	       /* as in struct jit_slot */
	size_t cross;	       /* WAY_CROSS: the entry, offset in the vCPU */
	const struct item *it; /* whose handler raises the fault of a bad address; or NULL */
	int32_t undo_rsp;
};

struct trans {
	struct emit e;
	struct soft_block *b;
	enum where where;
	uint32_t live_behind; /* flags wanted behind the block */
	enum soft_jit_tier tier;
	unsigned n_tried; /* accesses so far that had a site in the second tier */
	struct item item[SOFT_BLOCK_MAX];
	struct aside
		aside[6 * SOFT_BLOCK_MAX + 2]; /* three each in either code, four of the last */
	unsigned n_aside;
	struct miss miss[4 * SOFT_BLOCK_MAX + 2]; /* two each in either code */
	unsigned n_miss;
	struct way_out way[16]; /* three each in either code, and theirs */
	unsigned n_way;
	/*
	 * A block with groups has its code twice: with groups, and plain from the first group on.
	 * The latter is where to go when a look-up fails or a handler came between.
	 */
	struct group group[SOFT_JIT_GROUPS];
	unsigned n_groups, grouped_from;
	bool plain;	/* it is being emitted */
	int delta;	/* the group whose delta is in R13, -1: none */
	bool use_delta; /* the item being emitted loses R13 by nothing but look-ups */
	const uint8_t *plain_at[SOFT_BLOCK_MAX + 1];
	enum where plain_where[SOFT_BLOCK_MAX + 1];
	bool simd; /* the block has SIMD or x87 */
	bool x87;  /* and x87 */
};

/* --- select.c: which instructions are emitted as themselves ---------------------------------- */

/** jit_select() - sets inlined and simd of @it, whose z is decoded and whose in is set. */
void jit_select(struct item *it, bool simd);

/** jit_listed - by mnemonic: instructions without side effects but those on their operands. */
extern const bool jit_listed[];

/** jit_is_nop() - whether it does nothing, even where it names memory. */
bool jit_is_nop(ZydisMnemonic m);

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

/* --- state.c: flags and the FPU's state, which are here or there --------------------------------
 */

void jit_want_in_cc(struct trans *t, uint32_t live);
void jit_want_in_eflags(struct trans *t, uint32_t live);
void jit_want_fp(struct trans *t);

/* --- code.c ---------------------------------------------------------------------------------- */

/** jit_emit_item() - one instruction; true: the block ends with it. */
bool jit_emit_item(struct trans *t, const struct item *it);

/** jit_emit_asides() - what lies out of the way. */
void jit_emit_asides(struct trans *t);

/* --- system.c -------------------------------------------------------------------------------- */

bool jit_can_inline_system(const struct item *it);
void jit_emit_system(struct trans *t, const struct item *it);

/* --- flow.c ---------------------------------------------------------------------------------- */

/** jit_emit_flow() - a near jump, call or return. */
void jit_emit_flow(struct trans *t, const struct item *it);

/** jit_emit_direct() - on to @off bytes from the page's start. */
void jit_emit_direct(struct trans *t, int64_t off);

/** jit_emit_ways_out() - what ends of blocks need out of the way; before jit_emit_asides(). */
void jit_emit_ways_out(struct trans *t);

/** jit_emit_leave() - out to the loop at the linear address in R13. */
void jit_emit_leave(struct trans *t);

/* --- group.c --------------------------------------------------------------------------------- */

/** jit_find_groups() - of the first @n items, whose accesses are all without a group. */
void jit_find_groups(struct trans *t, unsigned n);

/* --- memory.c -------------------------------------------------------------------------------- */

/** jit_value_of() - a guest register's value in a host register: its own, or @scratch. */
unsigned jit_value_of(struct emit *e, unsigned guest, unsigned scratch);

/**
 * jit_emit_address() - offset of the operand, @w: or its low 32 bits, to @dst, R13 or a register;
 * R14, R15 are lost.
 */
void jit_emit_address(struct trans *t, const struct item *it, bool w, unsigned dst);

/**
 * jit_alignment() - what @it's memory operand of @size bytes must be aligned to; 0 and 1: to
 * nothing.
 */
unsigned jit_alignment(const struct item *it, unsigned size);

/**
 * jit_reach_operand(), jit_reach_stack() - code that finds the operand, or what is pushed or
 * popped. R13 to R15 are lost; the result uses R13 and maybe R15. @through: flags wanted behind the
 * look-up;
 * @wanted: those wanted in EFLAGS then, 0: they may be anywhere. *@out: NULL, or to be given to
 * jit_rejoin() behind the instruction, unless its handler never comes back.
 */
struct mref jit_reach_operand(struct trans *t, const struct item *it, uint32_t through,
			      uint32_t wanted, struct aside **out);
struct mref jit_reach_stack(struct trans *t, const struct item *it, bool write, struct aside **out);

/** jit_add_aside() - where @from jumps: the handler of @it. */
struct aside *jit_add_aside(struct trans *t, const struct item *it, uint8_t *from);

/** jit_emit_misses() - those sites' look-ups; before jit_emit_asides(). */
void jit_emit_misses(struct trans *t);

/** jit_rejoin() - the handler did the whole instruction: on from here, or as good as here. */
void jit_rejoin(struct trans *t, struct aside *a);

/** emit_mref() - @op with memory. */
static inline void emit_mref(struct emit *e, bool w, unsigned op, unsigned reg,
			     const struct mref *m)
{
	emit_rex(e, w, reg, m->index < 0 ? 0 : (unsigned)m->index, (unsigned)m->base, false);
	emit_op(e, op);
	emit_mem(e, reg, m->base, m->index, m->disp);
}

/** jit_stack_disp() - of what is pushed or popped, from RSP (LEAVE: from RBP). */
static inline int32_t jit_stack_disp(const struct item *it)
{
	switch (it->z.i.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CALL:
		return -8;
	default:
		return 0;
	}
}

/** jit_host_of() - the host register of a guest's, or -1 where that lives in v->r. */
static inline int jit_host_of(unsigned guest)
{
	return jit_home[guest];
}

/** jit_r_off() - where it lives. */
static inline size_t jit_r_off(unsigned guest)
{
	return offsetof(struct soft_vcpu, r) + guest * 8;
}

#endif
