/* SPDX-License-Identifier: MIT */
/*
 * Where flags and the FPU's state are while a block is translated, and their moves.
 */
#include "cpu/soft/jit/trans.h"

void jit_want_in_cc(struct trans *t, uint32_t live)
{
	if (live && t->where == IN_EFLAGS)
		emit_save_flags(&t->e);
	t->where = IN_CC;
}

void jit_want_in_eflags(struct trans *t, uint32_t live)
{
	if (live && t->where == IN_CC)
		emit_load_flags(&t->e);
	t->where = IN_EFLAGS;
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

/* The guest's SIMD and x87 state in the registers, as the block needs; EFLAGS are lost. */
void jit_want_fp(struct trans *t)
{
	if (t->simd)
		want_live(t, offsetof(struct soft_vcpu, jit_simd_live), t->e.j->load_simd);
	if (t->x87)
		want_live(t, offsetof(struct soft_vcpu, jit_x87_live), t->e.j->load_x87);
}
