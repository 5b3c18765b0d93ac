/* SPDX-License-Identifier: MIT */
/*
 * Native code of the ends of blocks: jumps, calls, returns, and the way to the next block.
 */
#include "cpu/soft/jit/trans.h"

/* Leave to the loop at R13. */
void jit_emit_leave(struct trans *t)
{
	struct emit *e = &t->e;

	EMIT_V(e, true, X_MOV_STORE, HOST_R13, rip);
	emit_jump(e, X_JMP, t->where == IN_EFLAGS ? e->j->exit_flags : e->j->exit_cc);
}

/* Unless R13 is canonical, away to the handler, which raises the fault; R14, EFLAGS are lost. */
static struct aside *emit_need_canonical(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;

	emit_rr(e, true, X_MOV_LOAD, HOST_R14, HOST_R13);
	emit_rr(e, true, 0xc1, 4, HOST_R14); /* shl */
	emit_8(e, 16);
	emit_rr(e, true, 0xc1, 7, HOST_R14); /* sar */
	emit_8(e, 16);
	emit_rr(e, true, 0x3b, HOST_R14, HOST_R13);
	return jit_add_aside(t, it, emit_forward(e, X_JNE));
}

/* v->block_va becomes R13's page; R13, EFLAGS are lost. */
static void emit_set_page(struct emit *e)
{
	emit_rr(e, true, 0x81, 4, HOST_R13); /* and */
	emit_32(e, 0xfffff000u);
	EMIT_V(e, true, X_MOV_STORE, HOST_R13, block_va);
}

static struct way_out *add_way(struct trans *t, enum way_kind kind, uint8_t *from, uint8_t *from2)
{
	struct way_out *w = &t->way[t->n_way++];

	*w = (struct way_out) { .kind = kind, .from = from, .from2 = from2, .where = t->where };
	return w;
}

/* R13, a linear address, is where the next block is: on to the code that [R14 + @off] names. */
static void emit_go(struct emit *e, size_t off)
{
	emit_set_page(e);
	emit_rm(e, false, 0xff, 4, HOST_R14, (int32_t)off);
}

/* R14: entry of the jump cache for the address in R13, or away. R15 becomes the key. */
static void emit_find(struct emit *e, uint8_t *miss[2])
{
	/* SOFT_JIT_JUMP() */
	emit_rr(e, true, X_MOV_LOAD, HOST_R14, HOST_R13);
	emit_rr(e, true, 0xc1, 5, HOST_R14); /* shr */
	emit_8(e, SOFT_JIT_JUMP_BITS);
	EMIT_V(e, true, X_MOV_LOAD, HOST_R15, jit_key);
	emit_rr(e, false, 0x33, HOST_R14, HOST_R13); /* xor */
	emit_rr(e, false, 0x33, HOST_R14, HOST_R15);
	emit_rr(e, false, 0x81, 4, HOST_R14); /* and */
	emit_32(e, (1u << SOFT_JIT_JUMP_BITS) - 1);
	emit_rr(e, false, 0xc1, 4, HOST_R14); /* shl: entries of 32 bytes */
	emit_8(e, 5);
	static_assert(sizeof(struct soft_jit_jump) == 32, "shifted");
	EMIT_V(e, true, 0x03, HOST_R14, jit_jumps);
	emit_rm(e, true, 0x3b, HOST_R13, HOST_R14, offsetof(struct soft_jit_jump, va));
	miss[0] = emit_forward(e, X_JNE);
	emit_rm(e, true, 0x3b, HOST_R15, HOST_R14, offsetof(struct soft_jit_jump, key));
	miss[1] = emit_forward(e, X_JNE);
}

/*
 * On to the linear address in R13: by the jump cache, else by the loop. Flags must be in v->jit_cc.
 * @it: whose handler raises the fault where the address is not canonical; NULL: it is.
 */
static void emit_indirect(struct trans *t, const struct item *it, int32_t undo_rsp)
{
	struct emit *e = &t->e;
	struct way_out *w;
	uint8_t *miss[2];

	emit_find(e, miss);
	emit_go(e, offsetof(struct soft_jit_jump, code));
	w = add_way(t, WAY_UNKNOWN, miss[0], miss[1]);
	w->it = it;
	w->undo_rsp = undo_rsp;
}

/* A stub: R13: linear address, R14: an entry of v->jit_cross that shall know it, and on. */
void jit_emit_cross_stub(struct emit *e)
{
	uint8_t *miss[2];

	emit_8(e, 0x41); /* push r14 */
	emit_8(e, 0x56);
	emit_find(e, miss);
	emit_rm(e, true, X_MOV_LOAD, HOST_R14, HOST_R14, offsetof(struct soft_jit_jump, code));
	emit_8(e, 0x4c); /* xchg r14, [rsp] */
	emit_8(e, 0x87);
	emit_8(e, 0x34);
	emit_8(e, 0x24);
	emit_rm(e, true, X_MOV_STORE, HOST_R13, HOST_R14, offsetof(struct soft_jit_jump, va));
	emit_rm(e, true, X_MOV_STORE, HOST_R15, HOST_R14, offsetof(struct soft_jit_jump, key));
	emit_8(e, 0x41); /* pop r15 */
	emit_8(e, 0x5f);
	emit_rm(e, true, X_MOV_STORE, HOST_R15, HOST_R14, offsetof(struct soft_jit_jump, code));
	emit_go(e, offsetof(struct soft_jit_jump, code));
	for (unsigned i = 0; i < ARRAY_SIZE(miss); i++)
		emit_land(e, miss[i]);
	/* What was pushed goes with all else. */
	emit_jump(e, X_JMP, e->j->exit_r13);
}

/*
 * To @off bytes from the page's start, outside the page: the entry of its own remembers where that
 * was last time.
 */
static void emit_cross(struct trans *t, int64_t off)
{
	struct emit *e = &t->e;
	struct soft_jit *j = e->j;
	size_t cross = offsetof(struct soft_vcpu, jit_cross) +
		       j->next_cross++ % SOFT_JIT_CROSS * sizeof(struct soft_jit_jump);
	uint8_t *miss[2];

	jit_want_in_cc(t, t->live_behind);
	EMIT_V(e, true, X_MOV_LOAD, HOST_R13, block_va);
	emit_lea(e, HOST_R13, HOST_R13, -1, 0, (int32_t)off);
	EMIT_V(e, true, X_MOV_LOAD, HOST_R15, jit_key);
	emit_v(e, true, 0x3b, HOST_R13, cross + offsetof(struct soft_jit_jump, va), 0);
	miss[0] = emit_forward(e, X_JNE);
	emit_v(e, true, 0x3b, HOST_R15, cross + offsetof(struct soft_jit_jump, key), 0);
	miss[1] = emit_forward(e, X_JNE);
	emit_set_page(e);
	emit_v(e, false, 0xff, 4, cross + offsetof(struct soft_jit_jump, code), 0);
	add_way(t, WAY_CROSS, miss[0], miss[1])->cross = cross;
}

/*
 * On to @off bytes from the page's start by @op, JMP or Jcc: linked where that is inside the page.
 * Jumps ahead need not look for attention: whatever goes on for long has others, or CALLs.
 */
static void emit_direct_by(struct trans *t, unsigned op, int64_t off, bool call)
{
	struct emit *e = &t->e;

	if (off >= 0 && off < (int64_t)X86_PAGE_SIZE) {
		struct way_out *w = add_way(t, WAY_LINK, emit_forward(e, op), NULL);

		w->off = off;
		w->ahead = !call && off > (int64_t)(t->b->gpa & 0xfff);
	} else if (op == X_JMP) {
		emit_cross(t, off);
	} else {
		enum where where = t->where;
		uint8_t *not = emit_forward(e, op ^ 1);

		emit_cross(t, off);
		t->where = where;
		emit_land(e, not );
	}
}

void jit_emit_direct(struct trans *t, int64_t off)
{
	emit_direct_by(t, X_JMP, off, false);
}

static void emit_link(struct trans *t, const struct way_out *w)
{
	struct emit *e = &t->e;
	struct soft_jit *j = e->j;
	struct jit_slot *s = (struct jit_slot *)(j->data + j->data_used);

	j->data_used += align_up(sizeof(*s), 8);
	*s = (struct jit_slot) { .at = w->from,
				 .gpa = (t->b->gpa & SOFT_PAGE_MASK) + (gpa_t)w->off,
				 .mode = t->b->mode,
				 .in_cc = w->where == IN_CC,
				 .ahead = w->ahead };
	emit_mov_imm(e, HOST_R13, (uintptr_t)s);
	EMIT_V(e, true, X_MOV_STORE, HOST_R13, jit_slot);
	EMIT_V(e, true, X_MOV_LOAD, HOST_R13, block_va);
	emit_lea(e, HOST_R13, HOST_R13, -1, 0, (int32_t)w->off);
	t->where = w->where;
	jit_emit_leave(t);
}

static void emit_unknown(struct trans *t, const struct way_out *w)
{
	if (w->it)
		emit_need_canonical(t, w->it)->undo_rsp = w->undo_rsp;
	emit_jump(&t->e, X_JMP, t->e.j->exit_r13);
}

void jit_emit_ways_out(struct trans *t)
{
	struct emit *e = &t->e;

	for (unsigned i = 0; i < t->n_way; i++) {
		const struct way_out *w = &t->way[i];

		emit_land(e, w->from);
		if (w->from2)
			emit_land(e, w->from2);
		switch (w->kind) {
		case WAY_LINK:
			emit_link(t, w);
			break;
		case WAY_CROSS:
			emit_v(e, true, X_LEA, HOST_R14, w->cross, 0);
			emit_jump(e, X_JMP, e->j->cross);
			break;
		case WAY_RETURN:
			emit_indirect(t, w->it, w->undo_rsp);
			break;
		case WAY_UNKNOWN:
			emit_unknown(t, w);
			break;
		}
	}
}

static void emit_jcc(struct trans *t, const struct item *it)
{
	int64_t next = it->off + it->in->len;

	jit_want_in_eflags(t, it->live | it->reads);
	emit_direct_by(t, X_JCC | (it->z.i.opcode & 0xf), next + it->in->imm, false);
	jit_emit_direct(t, next);
}

/* LOOP and JRCXZ, which leave flags alone. */
static void emit_by_rcx(struct trans *t, const struct item *it)
{
	int64_t next = it->off + it->in->len, target = next + it->in->imm;
	bool loop = it->z.i.mnemonic == ZYDIS_MNEMONIC_LOOP;
	enum where where = t->where;
	struct emit *e = &t->e;
	uint8_t *zero;

	if (loop)
		emit_lea(e, HOST_RCX, HOST_RCX, -1, 0, -1);
	zero = emit_jrcxz(e);
	jit_emit_direct(t, loop ? target : next);
	emit_land_short(e, zero);
	t->where = where;
	jit_emit_direct(t, loop ? next : target);
}

/* The target to R13; where it comes from memory its handler may be needed. */
static void emit_target(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;

	if (it->in->flags & INSN_MEM) {
		struct aside *leaves;
		struct mref ref = jit_reach_operand(t, it, it->live, 0, &leaves);

		emit_mref(e, true, X_MOV_LOAD, HOST_R13, &ref);
	} else {
		unsigned src = jit_value_of(e, (unsigned)soft_operand_gpr(it->z.op[0].reg.value),
					    HOST_R13);

		if (src != HOST_R13)
			emit_rr(e, true, X_MOV_LOAD, HOST_R13, src);
	}
}

/*
 * The guest's CALL, whose return address is in R15, becomes one of the host's, with the guest's
 * address on the stack for emit_ret() to compare: so the CPU predicts where it returns to. Behind
 * it stands what comes then; the way to the callee starts where the result is landed. Flags are in
 * v->jit_cc. When there is no room for more all are forgotten.
 */
static uint8_t *emit_open_call(struct trans *t, int64_t next)
{
	struct emit *e = &t->e;
	uint8_t *room, *go;

	EMIT_V(e, true, 0x3b, HOST_RSP, jit_sp_low);
	room = emit_forward(e, X_JNB);
	EMIT_V(e, true, X_MOV_LOAD, HOST_RSP, jit_sp);
	emit_land(e, room);
	emit_8(e, 0x41); /* push r15 */
	emit_8(e, 0x57);
	go = emit_forward(e, X_CALL);
	/* R13: the linear address, which has its page's mapping still. */
	emit_8(e, 0x48); /* lea rsp, [rsp + 8] */
	emit_op(e, 0x8d6424);
	emit_8(e, 8);
	if (next < (int64_t)X86_PAGE_SIZE) {
		emit_set_page(e);
		jit_emit_direct(t, next);
	} else {
		emit_indirect(t, NULL, 0);
	}
	t->where = IN_CC;
	return go;
}

static void emit_call(struct trans *t, const struct item *it)
{
	struct emit *e = &t->e;
	bool direct = it->z.op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	int64_t next = it->off + it->in->len;
	struct aside *leaves;
	struct mref ref;
	uint8_t *go;

	if (!direct) {
		emit_target(t, it);
		EMIT_V(e, true, X_MOV_STORE, HOST_R13, jit_target);
		/* A target that is not canonical must not change the stack: its handler says so. */
		jit_want_in_cc(t, it->live);
		emit_need_canonical(t, it);
	}
	ref = jit_reach_stack(t, it, true, &leaves);
	jit_want_in_cc(t, it->live);
	EMIT_V(e, true, X_MOV_LOAD, HOST_R15, block_va);
	emit_lea(e, HOST_R15, HOST_R15, -1, 0, (int32_t)next);
	emit_mref(e, true, X_MOV_STORE, HOST_R15, &ref);
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, -8);
	go = emit_open_call(t, next);
	emit_land(e, go);
	if (direct) {
		emit_direct_by(t, X_JMP, next + it->in->imm, true);
		return;
	}
	EMIT_V(e, true, X_MOV_LOAD, HOST_R13, jit_target);
	emit_indirect(t, NULL, 0);
}

static void emit_ret(struct trans *t, const struct item *it)
{
	int32_t pop = 8 + (uint16_t)it->in->imm;
	struct emit *e = &t->e;
	struct aside *leaves;
	struct way_out *w;
	struct mref ref = jit_reach_stack(t, it, false, &leaves);

	jit_want_in_cc(t, it->live);
	emit_mref(e, true, X_MOV_LOAD, HOST_R13, &ref);
	emit_lea(e, HOST_R12, HOST_R12, -1, 0, pop);
	emit_rm(e, true, 0x3b, HOST_R13, HOST_RSP, 8);
	w = add_way(t, WAY_RETURN, emit_forward(e, X_JNE), NULL);
	w->it = it;
	w->undo_rsp = -pop;
	emit_8(e, 0xc3);
}

void jit_emit_flow(struct trans *t, const struct item *it)
{
	const struct soft_zydis *z = &it->z;

	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_CALL:
		emit_call(t, it);
		break;
	case ZYDIS_MNEMONIC_RET:
		emit_ret(t, it);
		break;
	case ZYDIS_MNEMONIC_JMP:
		if (z->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			jit_emit_direct(t, it->off + it->in->len + it->in->imm);
			break;
		}
		jit_want_in_cc(t, JIT_FLAGS);
		emit_target(t, it);
		emit_indirect(t, it, 0);
		break;
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_JRCXZ:
		emit_by_rcx(t, it);
		break;
	default:
		emit_jcc(t, it);
		break;
	}
}
