/* SPDX-License-Identifier: MIT */
/*
 * Control flow: near and far branches, calls and returns, software interrupts.
 *
 * Every handler here ends its block: it sets v->rip and returns.
 */
#include "cpu/soft/ops.h"

/* A near target, checked: canonical in 64-bit mode, within CS's limit elsewhere. */
static void jump_to(struct soft_vcpu *v, uint64_t to, unsigned size)
{
	if (v->mode == SOFT_MODE_64) {
		if (UNLIKELY((uint64_t)((int64_t)(to << 16) >> 16) != to))
			soft_gp(v, 0);
	} else {
		to &= size_mask(MIN(size, 4u));
		if (UNLIKELY(to > v->seg[CPU_CS].limit))
			soft_gp(v, 0);
	}
	v->rip = to;
}

#define JCC(n)                                                                                     \
	static void h_jcc##n(struct soft_vcpu *v, const struct insn *in)                           \
	{                                                                                          \
		uint64_t next = soft_next_rip(v, in);                                              \
                                                                                                   \
		if (op_cond(v->cc, 0x##n))                                                         \
			jump_to(v, next + (uint64_t)in->imm, in->size);                            \
		else                                                                               \
			v->rip = next;                                                             \
	}
JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(a)
JCC(b)
JCC(c)
JCC(d)
JCC(e)
JCC(f)

static const insn_fn jcc[16] = { h_jcc0, h_jcc1, h_jcc2, h_jcc3, h_jcc4, h_jcc5, h_jcc6, h_jcc7,
				 h_jcc8, h_jcc9, h_jcca, h_jccb, h_jccc, h_jccd, h_jcce, h_jccf };

static void h_jmp_rel(struct soft_vcpu *v, const struct insn *in)
{
	jump_to(v, soft_next_rip(v, in) + (uint64_t)in->imm, in->size);
}

static uint64_t near_target(struct soft_vcpu *v, const struct insn *in)
{
	return in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, in->size, false), in->size)
				    : op_get(v, in->dst, in->size);
}

static void h_jmp_ind(struct soft_vcpu *v, const struct insn *in)
{
	jump_to(v, near_target(v, in), in->size);
}

/* The target is checked before the push, so a faulting call changes nothing. */
static void call_to(struct soft_vcpu *v, const struct insn *in, uint64_t to)
{
	uint64_t next = soft_next_rip(v, in);

	jump_to(v, to, in->size);
	to = v->rip;
	soft_push(v, next, in->size);
	v->rip = to;
}

static void h_call_rel(struct soft_vcpu *v, const struct insn *in)
{
	call_to(v, in, soft_next_rip(v, in) + (uint64_t)in->imm);
}

static void h_call_ind(struct soft_vcpu *v, const struct insn *in)
{
	call_to(v, in, near_target(v, in));
}

static void h_ret(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t old = v->r[CPU_RSP], to = soft_pop(v, in->size), sp = v->r[CPU_RSP];

	v->r[CPU_RSP] = old;
	jump_to(v, to, in->size);
	op_put(v, CPU_RSP * 8, soft_stack_size(v), sp + (uint16_t)in->imm);
}

/* --- far --------------------------------------------------------------------------------- */

static void h_far_imm(struct soft_vcpu *v, const struct insn *in)
{
	uint16_t sel = (uint16_t)in->disp;

	if (in->op == FLOW_CALL)
		soft_far_call(v, sel, (uint64_t)in->imm & size_mask(in->size), in->size,
			      soft_next_rip(v, in));
	else
		soft_far_jmp(v, sel, (uint64_t)in->imm & size_mask(in->size), in->size);
}

static void h_far_mem(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_ea(v, in, in->size + 2u, false);
	uint64_t off = soft_load(v, va, in->size);
	uint16_t sel = (uint16_t)soft_load(v, va + in->size, 2);

	if (in->op == FLOW_CALL)
		soft_far_call(v, sel, off, in->size, soft_next_rip(v, in));
	else
		soft_far_jmp(v, sel, off, in->size);
}

static void h_far_ret(struct soft_vcpu *v, const struct insn *in)
{
	soft_far_ret(v, in->size, (uint16_t)in->imm);
}

static void h_iret(struct soft_vcpu *v, const struct insn *in)
{
	soft_iret(v, in->size);
}

/* --- loops ------------------------------------------------------------------------------- */

static void h_loop(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t next = soft_next_rip(v, in);
	uint64_t cx = v->r[CPU_RCX] & size_mask(in->asize);
	bool zf = v->cc & X86_FLAG_ZF, take;

	if (in->op == FLOW_JCXZ) {
		take = cx == 0;
	} else {
		cx = (cx - 1) & size_mask(in->asize);
		take = cx && (in->op == FLOW_LOOP || (in->op == FLOW_LOOPE) == zf);
	}
	if (take)
		jump_to(v, next + (uint64_t)in->imm, in->size);
	else
		v->rip = next;
	if (in->op != FLOW_JCXZ)
		op_put(v, CPU_RCX * 8, in->asize, cx);
}

/* --- software interrupts ------------------------------------------------------------------ */

static void h_int(struct soft_vcpu *v, const struct insn *in)
{
	unsigned iopl = (v->rf & X86_FLAG_IOPL) >> X86_FLAG_IOPL_SHIFT;

	if (in->op == FLOW_INT && soft_vm86(v) && iopl != 3)
		soft_gp(v, 0);
	v->rip = soft_next_rip(v, in);
	soft_deliver(v, (uint8_t)in->imm,
		     in->op == FLOW_INT	   ? SOFT_EVENT_SOFTWARE
		     : in->op == FLOW_INT1 ? SOFT_EVENT_ICEBP
					   : SOFT_EVENT_INT3_INTO,
		     false, 0);
}

static void h_into(struct soft_vcpu *v, const struct insn *in)
{
	v->rip = soft_next_rip(v, in);
	if (v->cc & X86_FLAG_OF)
		soft_deliver(v, X86_VEC_OF, SOFT_EVENT_INT3_INTO, false, 0);
}

static void h_bound(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_ea(v, in, in->size * 2u, false);
	int64_t i = op_sext(op_get(v, in->dst, in->size), in->size);
	int64_t lo = op_sext(soft_load(v, va, in->size), in->size);
	int64_t hi = op_sext(soft_load(v, va + in->size, in->size), in->size);

	if (i < lo || i > hi)
		soft_raise(v, X86_VEC_BR);
	INSN_NEXT(v, in);
}

static void h_ud(struct soft_vcpu *v, const struct insn *in UNUSED)
{
	soft_ud(v);
}

/* --- picking ----------------------------------------------------------------------------- */

static insn_fn pick_branch(struct op_pick *p, struct insn *in, bool call)
{
	const ZydisDecodedInstruction *i = &p->z->i;
	const ZydisDecodedOperand *o = &p->z->op[0];
	bool far = i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;

	in->size = i->operand_width / 8;
	if (o->type == ZYDIS_OPERAND_TYPE_POINTER) {
		in->imm = (int64_t)o->ptr.offset;
		in->disp = o->ptr.segment;
		return h_far_imm;
	}
	if (far)
		return h_far_mem;
	if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		in->imm = o->imm.value.s;
		return call ? h_call_rel : h_jmp_rel;
	}
	return call ? h_call_ind : h_jmp_ind;
}

insn_fn op_pick_flow(struct op_pick *p, struct insn *in)
{
	const ZydisDecodedInstruction *i = &p->z->i;

	if (in->flags & INSN_LOCK)
		return NULL;
	p->ends = true;
	in->op = (uint8_t)p->arg;
	if (p->arg < 16) {
		in->size = i->operand_width / 8;
		in->imm = p->z->op[0].imm.value.s;
		return jcc[p->arg];
	}
	switch (p->arg) {
	case FLOW_JMP:
	case FLOW_CALL:
		return pick_branch(p, in, p->arg == FLOW_CALL);
	case FLOW_RET:
		in->flags |= INSN_STACK;
		in->size = i->operand_width / 8;
		in->imm = i->operand_count_visible ? (int64_t)p->z->op[0].imm.value.u : 0;
		return i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ? h_far_ret : h_ret;
	case FLOW_JCXZ:
	case FLOW_LOOP:
	case FLOW_LOOPE:
	case FLOW_LOOPNE:
		in->size = i->operand_width / 8;
		in->imm = p->z->op[0].imm.value.s;
		return h_loop;
	case FLOW_INT:
		in->imm = (int64_t)p->z->op[0].imm.value.u;
		return h_int;
	case FLOW_INT3:
		in->imm = X86_VEC_BP;
		return h_int;
	case FLOW_INT1:
		in->imm = X86_VEC_DB;
		return h_int;
	case FLOW_INTO:
		return h_into;
	case FLOW_BOUND:
		p->ends = false;
		return h_bound;
	case FLOW_IRET:
		in->flags |= INSN_STACK;
		in->size = i->operand_width / 8;
		return h_iret;
	default:
		return h_ud;
	}
}
