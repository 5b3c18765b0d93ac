/* SPDX-License-Identifier: MIT */
/*
 * Where flags, SIMD registers and MXCSR are while a block is translated, and their moves.
 */
#include "cpu/soft/jit/trans.h"

void jit_save_flags(struct trans *t)
{
	emit_save_flags(&t->e);
	t->where = IN_CC;
}

void jit_want_in_cc(struct trans *t, uint32_t live)
{
	if (live && t->where == IN_EFLAGS)
		jit_save_flags(t);
	t->where = IN_CC;
}

void jit_want_in_eflags(struct trans *t, uint32_t live)
{
	if (live && t->where == IN_CC)
		emit_jump(&t->e, X_CALL, t->e.j->load_flags);
	t->where = IN_EFLAGS;
}

/* MOVUPS or VMOVUPS between host register @reg and its home; @op 0x10 loads, 0x11 stores. */
void jit_move_simd(struct trans *t, unsigned op, unsigned reg)
{
	struct emit *e = &t->e;
	const uint8_t *field = e->j->v->fpu.ymm[reg];

	if (t->wide) {
		emit_8(e, 0xc5);
		emit_8(e, (reg & 8 ? 0x00 : 0x80) | 0x7c); /* vvvv none, L = 1, pp = 0 */
		emit_8(e, op);
	} else {
		emit_rex(e, false, reg, 0, 0, false);
		emit_op(e, 0x0f00 | op);
	}
	emit_8(e, (reg & 7) << 3 | 5);
	emit_32(e, (uint32_t)(field - (emit_here(e) + 4)));
}

void jit_move_simd_set(struct trans *t, unsigned op, uint16_t set)
{
	for (unsigned reg = 0; reg < 16; reg++)
		if (set >> reg & 1)
			jit_move_simd(t, op, reg);
}

/* Changed SIMD registers go home; what is loaded stays so, unless a handler comes. */
void jit_store_simd(struct trans *t)
{
	jit_move_simd_set(t, 0x11, t->changed);
	t->changed = 0;
}

static void want_live(struct trans *t, size_t live, const uint8_t *load)
{
	struct emit *e = &t->e;
	uint8_t *there;

	emit_byte_is_0(e, live);
	there = emit_forward(e, X_JNE);
	emit_jump(e, X_CALL, load);
	emit_land(e, there);
}

/* The guest's MXCSR and x87 state in the registers, as the block needs; EFLAGS are lost. */
void jit_want_fp(struct trans *t)
{
	if (t->fp)
		want_live(t, offsetof(struct soft_vcpu, jit_mxcsr_live), t->e.j->load_mxcsr);
	if (t->x87)
		want_live(t, offsetof(struct soft_vcpu, jit_x87_live), t->e.j->load_x87);
}
