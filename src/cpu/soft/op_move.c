/* SPDX-License-Identifier: MIT */
/*
 * Data movement: MOV and its kin, conditional moves, exchanges, stack, flags.
 */
#include "cpu/soft/ops.h"

/* --- MOV --------------------------------------------------------------------------------- */

#define MOV_SIZE(N)                                                                                \
	static void h_mov##N##_rr(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		op_put(v, in->dst, N, op_get(v, in->src, N));                                      \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_mov##N##_ri(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		op_put(v, in->dst, N, (uint64_t)in->imm);                                          \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_mov##N##_rm(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		op_put(v, in->dst, N, soft_load(v, soft_ea(v, in, N, false), N));                  \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_mov##N##_mr(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		soft_store(v, soft_ea(v, in, N, true), N, op_get(v, in->src, N));                  \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_mov##N##_mi(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		soft_store(v, soft_ea(v, in, N, true), N, (uint64_t)in->imm);                      \
		INSN_NEXT(v, in);                                                                  \
	}

MOV_SIZE(1)
MOV_SIZE(2)
MOV_SIZE(4)
MOV_SIZE(8)

/* MOV between the accumulator and an absolute offset of address size: the offset is in imm. */
static void h_moffs_load(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_seg_linear(v, in->seg, (uint64_t)in->imm, in->size, false);

	op_put(v, CPU_RAX * 8, in->size, soft_load(v, va, in->size));
	INSN_NEXT(v, in);
}

static void h_moffs_store(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_seg_linear(v, in->seg, (uint64_t)in->imm, in->size, true);

	soft_store(v, va, in->size, op_get(v, CPU_RAX * 8, in->size));
	INSN_NEXT(v, in);
}

/* MOV to and from segment registers: op is the segment; src or dst the register. */
static void h_mov_from_seg(struct soft_vcpu *v, const struct insn *in)
{
	uint16_t sel = v->seg[in->op].selector;

	if (in->flags & INSN_MEM)
		soft_store(v, soft_ea(v, in, 2, true), 2, sel);
	else
		op_put(v, in->dst, in->size, sel);
	INSN_NEXT(v, in);
}

static void h_mov_to_seg(struct soft_vcpu *v, const struct insn *in)
{
	uint16_t sel = (uint16_t)(in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, 2, false), 2)
						       : op_get(v, in->src, 2));

	soft_load_seg(v, in->op, sel);
	/* A load of SS holds interrupts off for one instruction: SDM vol. 3A, 6.8.3. */
	v->shadow = in->op == CPU_SS;
	INSN_END(v, in);
}

static insn_fn pick_mov_seg(struct op_pick *p, struct insn *in, ZydisRegister reg, bool to)
{
	in->op = (uint8_t)(reg - ZYDIS_REGISTER_ES);
	if (!to)
		return h_mov_from_seg;
	if (reg == ZYDIS_REGISTER_CS)
		return NULL;
	p->ends = true;
	return h_mov_to_seg;
}

static void h_mov_from_cr(struct soft_vcpu *v, const struct insn *in)
{
	op_need_cpl0(v);
	op_put(v, in->dst, v->mode == SOFT_MODE_64 ? 8 : 4, soft_read_cr(v, in->op));
	INSN_NEXT(v, in);
}

static void h_mov_to_cr(struct soft_vcpu *v, const struct insn *in)
{
	op_need_cpl0(v);
	soft_write_cr(v, in->op, op_get(v, in->src, v->mode == SOFT_MODE_64 ? 8 : 4));
	INSN_END(v, in);
}

static void h_mov_from_dr(struct soft_vcpu *v, const struct insn *in)
{
	op_need_cpl0(v);
	op_put(v, in->dst, v->mode == SOFT_MODE_64 ? 8 : 4, soft_read_dr(v, in->op));
	INSN_NEXT(v, in);
}

static void h_mov_to_dr(struct soft_vcpu *v, const struct insn *in)
{
	op_need_cpl0(v);
	soft_write_dr(v, in->op, op_get(v, in->src, v->mode == SOFT_MODE_64 ? 8 : 4));
	INSN_END(v, in);
}

static insn_fn pick_mov_special(struct op_pick *p, struct insn *in)
{
	const ZydisDecodedOperand *d = &p->z->op[0], *s = &p->z->op[1];
	ZydisRegister dr =
		d->type == ZYDIS_OPERAND_TYPE_REGISTER ? d->reg.value : ZYDIS_REGISTER_NONE;
	ZydisRegister sr =
		s->type == ZYDIS_OPERAND_TYPE_REGISTER ? s->reg.value : ZYDIS_REGISTER_NONE;

	if (dr >= ZYDIS_REGISTER_ES && dr <= ZYDIS_REGISTER_GS)
		return pick_mov_seg(p, in, dr, true);
	if (sr >= ZYDIS_REGISTER_ES && sr <= ZYDIS_REGISTER_GS)
		return pick_mov_seg(p, in, sr, false);
	if (dr >= ZYDIS_REGISTER_CR0 && dr <= ZYDIS_REGISTER_CR15) {
		in->op = (uint8_t)(dr - ZYDIS_REGISTER_CR0);
		p->ends = true;
		return h_mov_to_cr;
	}
	if (sr >= ZYDIS_REGISTER_CR0 && sr <= ZYDIS_REGISTER_CR15) {
		in->op = (uint8_t)(sr - ZYDIS_REGISTER_CR0);
		return h_mov_from_cr;
	}
	if (dr >= ZYDIS_REGISTER_DR0 && dr <= ZYDIS_REGISTER_DR15) {
		in->op = (uint8_t)(dr - ZYDIS_REGISTER_DR0);
		p->ends = true;
		return h_mov_to_dr;
	}
	if (sr >= ZYDIS_REGISTER_DR0 && sr <= ZYDIS_REGISTER_DR15) {
		in->op = (uint8_t)(sr - ZYDIS_REGISTER_DR0);
		return h_mov_from_dr;
	}
	return NULL;
}

#define BY_SIZE(form) h_mov1_##form, h_mov2_##form, h_mov4_##form, h_mov8_##form

insn_fn op_pick_mov(struct op_pick *p, struct insn *in)
{
	static const insn_fn rr[] = { BY_SIZE(rr) }, ri[] = { BY_SIZE(ri) }, rm[] = { BY_SIZE(rm) },
			     mr[] = { BY_SIZE(mr) }, mi[] = { BY_SIZE(mi) };
	unsigned s = in->size == 8 ? 3 : in->size >> 1;
	uint8_t opc = p->z->i.opcode;
	insn_fn special;

	if (in->flags & INSN_LOCK)
		return NULL;
	special = pick_mov_special(p, in);
	if (special)
		return special;
	for (unsigned i = 0; i < 2; i++) {
		const ZydisDecodedOperand *o = &p->z->op[i];

		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && (o->reg.value == ZYDIS_REGISTER_CS))
			return NULL;
	}
	if (p->z->i.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && opc >= 0xa0 && opc <= 0xa3) {
		in->imm = p->z->op[opc <= 0xa1 ? 1 : 0].mem.disp.value;
		if (in->asize != 8)
			in->imm &= (int64_t)size_mask(in->asize);
		return opc <= 0xa1 ? h_moffs_load : h_moffs_store;
	}
	switch (p->form) {
	case FORM_RR:
		return rr[s];
	case FORM_RI:
		return ri[s];
	case FORM_RM:
		return rm[s];
	case FORM_MR:
		return mr[s];
	case FORM_MI:
		return mi[s];
	default:
		return NULL;
	}
}

/* MOVZX, MOVSX, MOVSXD: size is the destination's, x[0] the source's. */
#define MOVX(S, ST)                                                                                \
	static void h_movzx##S##_r(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		op_put(v, in->dst, in->size, op_get(v, in->src, S));                               \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_movzx##S##_m(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		op_put(v, in->dst, in->size, soft_load(v, soft_ea(v, in, S, false), S));           \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_movsx##S##_r(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		op_put(v, in->dst, in->size, (uint64_t)(ST)op_get(v, in->src, S));                 \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_movsx##S##_m(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		op_put(v, in->dst, in->size,                                                       \
		       (uint64_t)(ST)soft_load(v, soft_ea(v, in, S, false), S));                   \
		INSN_NEXT(v, in);                                                                  \
	}

MOVX(1, int8_t)
MOVX(2, int16_t)
MOVX(4, int32_t)

insn_fn op_pick_movx(struct op_pick *p, struct insn *in)
{
	static const insn_fn table[2][2][3] = {
		{ { h_movzx1_r, h_movzx2_r, h_movzx4_r }, { h_movzx1_m, h_movzx2_m, h_movzx4_m } },
		{ { h_movsx1_r, h_movsx2_r, h_movsx4_r }, { h_movsx1_m, h_movsx2_m, h_movsx4_m } },
	};
	unsigned ssize = p->z->op[1].size / 8;

	if ((in->flags & INSN_LOCK) || ssize > 4)
		return NULL;
	return table[p->arg][!!(in->flags & INSN_MEM)][ssize >> 1];
}

/* --- conditions -------------------------------------------------------------------------- */

#define CMOV(N)                                                                                    \
	static void h_cmov##N##_r(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		uint64_t val = op_get(v, op_cond(v->cc, in->op) ? in->src : in->dst, N);           \
                                                                                                   \
		op_put(v, in->dst, N, val);                                                        \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_cmov##N##_m(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		uint64_t val = soft_load(v, soft_ea(v, in, N, false), N);                          \
                                                                                                   \
		if (!op_cond(v->cc, in->op))                                                       \
			val = op_get(v, in->dst, N);                                               \
		op_put(v, in->dst, N, val);                                                        \
		INSN_NEXT(v, in);                                                                  \
	}

CMOV(2)
CMOV(4)
CMOV(8)

static void h_setcc_r(struct soft_vcpu *v, const struct insn *in)
{
	op_put(v, in->dst, 1, op_cond(v->cc, in->op));
	INSN_NEXT(v, in);
}

static void h_setcc_m(struct soft_vcpu *v, const struct insn *in)
{
	soft_store(v, soft_ea(v, in, 1, true), 1, op_cond(v->cc, in->op));
	INSN_NEXT(v, in);
}

insn_fn op_pick_cond(struct op_pick *p, struct insn *in)
{
	static const insn_fn r[] = { h_cmov2_r, h_cmov4_r, h_cmov8_r };
	static const insn_fn m[] = { h_cmov2_m, h_cmov4_m, h_cmov8_m };
	bool mem = in->flags & INSN_MEM;

	if (in->flags & INSN_LOCK)
		return NULL;
	in->op = p->arg & 15;
	if (p->arg & OP_COND_SET)
		return mem ? h_setcc_m : h_setcc_r;
	return (mem ? m : r)[in->size >> 2];
}

/* --- exchanges --------------------------------------------------------------------------- */

static void h_lea(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t a = soft_reg(v, in->base) + (soft_reg(v, in->index) << in->scale) +
		     (uint64_t)(int64_t)in->disp;

	if (in->ea == INSN_EA_RIP || (in->flags & INSN_ABS_RIP))
		a += v->block_va + in->end;
	op_put(v, in->dst, in->size, a & size_mask(in->asize));
	INSN_NEXT(v, in);
}

static void h_xchg_r(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t a = op_get(v, in->dst, in->size);

	op_put(v, in->dst, in->size, op_get(v, in->src, in->size));
	op_put(v, in->src, in->size, a);
	INSN_NEXT(v, in);
}

static uint64_t host_xchg(void *p, unsigned size, uint64_t val)
{
	switch (size) {
	case 1:
		return __atomic_exchange_n((uint8_t *)p, (uint8_t)val, __ATOMIC_SEQ_CST);
	case 2:
		return __atomic_exchange_n((uint16_t *)p, (uint16_t)val, __ATOMIC_SEQ_CST);
	case 4:
		return __atomic_exchange_n((uint32_t *)p, (uint32_t)val, __ATOMIC_SEQ_CST);
	default:
		return __atomic_exchange_n((uint64_t *)p, val, __ATOMIC_SEQ_CST);
	}
}

/* XCHG with memory always locks (SDM vol. 2, XCHG). src is the register, whichever came first. */
static void h_xchg_m(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_ea(v, in, in->size, true), old;
	void *p = soft_rmw_host(v, va, in->size);

	if (p) {
		old = host_xchg(p, in->size, op_get(v, in->src, in->size));
	} else {
		bool excl = soft_lock_begin(v, va, in->size);

		old = soft_load(v, va, in->size);
		soft_store(v, va, in->size, op_get(v, in->src, in->size));
		soft_lock_end(v, excl);
	}
	op_put(v, in->src, in->size, old);
	INSN_NEXT(v, in);
}

/* Host compare-and-swap; returns what was there. */
static uint64_t host_cas(void *p, unsigned size, uint64_t want, uint64_t val)
{
	switch (size) {
	case 1: {
		uint8_t w = (uint8_t)want;

		__atomic_compare_exchange_n((uint8_t *)p, &w, (uint8_t)val, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return w;
	}
	case 2: {
		uint16_t w = (uint16_t)want;

		__atomic_compare_exchange_n((uint16_t *)p, &w, (uint16_t)val, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return w;
	}
	case 4: {
		uint32_t w = (uint32_t)want;

		__atomic_compare_exchange_n((uint32_t *)p, &w, (uint32_t)val, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return w;
	}
	default: {
		uint64_t w = want;

		__atomic_compare_exchange_n((uint64_t *)p, &w, val, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
		return w;
	}
	}
}

/* Flags of CMP a, b of @size bytes. */
static uint64_t cmp_flags(uint64_t a, uint64_t b, unsigned size)
{
	unsigned sh = 64 - size * 8;
	uint64_t res = a - b, mask = size_mask(size);
	uint64_t cc = 0;

	a &= mask;
	b &= mask;
	res &= mask;
	cc |= a < b ? X86_FLAG_CF : 0;
	cc |= res == 0 ? X86_FLAG_ZF : 0;
	cc |= (res << sh) >> 63 ? X86_FLAG_SF : 0;
	cc |= (((a ^ b) & (a ^ res)) << sh) >> 63 ? X86_FLAG_OF : 0;
	cc |= (a ^ b ^ res) & 0x10;
	cc |= __builtin_parity((unsigned)res & 0xff) ? 0 : X86_FLAG_PF;
	return cc;
}

static void h_cmpxchg_r(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t acc = op_get(v, CPU_RAX * 8, in->size), d = op_get(v, in->dst, in->size);

	v->cc = cmp_flags(acc, d, in->size);
	if (acc == d)
		op_put(v, in->dst, in->size, op_get(v, in->src, in->size));
	else
		op_put(v, CPU_RAX * 8, in->size, d);
	INSN_NEXT(v, in);
}

static void h_cmpxchg_m(struct soft_vcpu *v, const struct insn *in)
{
	unsigned size = in->size;
	uint64_t va = soft_ea(v, in, size, true);
	uint64_t acc = op_get(v, CPU_RAX * 8, size), src = op_get(v, in->src, size), old;
	void *p = soft_rmw_host(v, va, size);

	if (p) {
		old = host_cas(p, size, acc, src);
	} else {
		bool excl = (in->flags & INSN_LOCK) && soft_lock_begin(v, va, size);

		old = soft_load(v, va, size);
		/* The destination is written either way: SDM vol. 2, CMPXCHG. */
		soft_store(v, va, size, old == acc ? src : old);
		soft_lock_end(v, excl);
	}
	v->cc = cmp_flags(acc, old, size);
	if (acc != old)
		op_put(v, CPU_RAX * 8, size, old);
	INSN_NEXT(v, in);
}

static uint64_t add_flags(uint64_t a, uint64_t b, unsigned size)
{
	unsigned sh = 64 - size * 8;
	uint64_t mask = size_mask(size), res = (a + b) & mask, cc = 0;

	a &= mask;
	b &= mask;
	cc |= res < a ? X86_FLAG_CF : 0;
	cc |= res == 0 ? X86_FLAG_ZF : 0;
	cc |= (res << sh) >> 63 ? X86_FLAG_SF : 0;
	cc |= ((~(a ^ b) & (a ^ res)) << sh) >> 63 ? X86_FLAG_OF : 0;
	cc |= (a ^ b ^ res) & 0x10;
	cc |= __builtin_parity((unsigned)res & 0xff) ? 0 : X86_FLAG_PF;
	return cc;
}

static void h_xadd(struct soft_vcpu *v, const struct insn *in)
{
	unsigned size = in->size;
	uint64_t src = op_get(v, in->src, size), old, va;
	void *p;

	if (!(in->flags & INSN_MEM)) {
		old = op_get(v, in->dst, size);
		op_put(v, in->src, size, old);
		op_put(v, in->dst, size, old + src);
		v->cc = add_flags(old, src, size);
		INSN_NEXT(v, in);
	}
	va = soft_ea(v, in, size, true);
	p = soft_rmw_host(v, va, size);
	if (p) {
		uint64_t seen;

		old = soft_load(v, va, size);
		while ((seen = host_cas(p, size, old, old + src)) != old)
			old = seen;
	} else {
		bool excl = (in->flags & INSN_LOCK) && soft_lock_begin(v, va, size);

		old = soft_load(v, va, size);
		soft_store(v, va, size, old + src);
		soft_lock_end(v, excl);
	}
	op_put(v, in->src, size, old);
	v->cc = add_flags(old, src, size);
	INSN_NEXT(v, in);
}

static void set_zf(struct soft_vcpu *v, bool z)
{
	v->cc = (v->cc & ~X86_FLAG_ZF) | (z ? X86_FLAG_ZF : 0);
}

static void h_cmpxchg8b(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_ea(v, in, 8, true);
	uint64_t want = (uint32_t)v->r[CPU_RAX] | v->r[CPU_RDX] << 32;
	uint64_t val = (uint32_t)v->r[CPU_RBX] | v->r[CPU_RCX] << 32, old;
	void *p = soft_rmw_host(v, va, 8);

	if (p) {
		old = host_cas(p, 8, want, val);
	} else {
		bool excl = (in->flags & INSN_LOCK) && soft_lock_begin(v, va, 8);

		old = soft_load(v, va, 8);
		soft_store(v, va, 8, old == want ? val : old);
		soft_lock_end(v, excl);
	}
	set_zf(v, old == want);
	if (old != want) {
		op_put(v, CPU_RAX * 8, 4, old);
		op_put(v, CPU_RDX * 8, 4, old >> 32);
	}
	INSN_NEXT(v, in);
}

static void h_cmpxchg16b(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t va = soft_ea(v, in, 16, true), lo = v->r[CPU_RAX], hi = v->r[CPU_RDX];
	bool zf;
	void *p;

	if (va & 15)
		soft_gp(v, 0);
	p = soft_rmw_host(v, va, 16);
	if (p) {
		__asm__ volatile("lock cmpxchg16b %[m]"
				 : [m] "+m"(*(unsigned __int128 *)p), "+a"(lo), "+d"(hi),
				   "=@ccz"(zf)
				 : "b"(v->r[CPU_RBX]), "c"(v->r[CPU_RCX])
				 : "memory");
	} else {
		bool excl = soft_lock_begin(v, va, 16);
		uint64_t olo = soft_load(v, va, 8), ohi = soft_load(v, va + 8, 8);

		zf = olo == lo && ohi == hi;
		soft_store(v, va, 8, zf ? v->r[CPU_RBX] : olo);
		soft_store(v, va + 8, 8, zf ? v->r[CPU_RCX] : ohi);
		soft_lock_end(v, excl);
		lo = olo;
		hi = ohi;
	}
	set_zf(v, zf);
	if (!zf) {
		v->r[CPU_RAX] = lo;
		v->r[CPU_RDX] = hi;
	}
	INSN_NEXT(v, in);
}

static uint64_t swap_bytes(uint64_t a, unsigned size)
{
	return __builtin_bswap64(a) >> (64 - size * 8);
}

static void h_bswap(struct soft_vcpu *v, const struct insn *in)
{
	/* With 16 bits the result is undefined; CPUs give 0. */
	uint64_t a = in->size == 2 ? 0 : swap_bytes(op_get(v, in->dst, in->size), in->size);

	op_put(v, in->dst, in->size, a);
	INSN_NEXT(v, in);
}

static void h_movbe_load(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t a = soft_load(v, soft_ea(v, in, in->size, false), in->size);

	op_put(v, in->dst, in->size, swap_bytes(a, in->size));
	INSN_NEXT(v, in);
}

static void h_movbe_store(struct soft_vcpu *v, const struct insn *in)
{
	soft_store(v, soft_ea(v, in, in->size, true), in->size,
		   swap_bytes(op_get(v, in->src, in->size), in->size));
	INSN_NEXT(v, in);
}

/* --- stack ------------------------------------------------------------------------------- */

void soft_push(struct soft_vcpu *v, uint64_t val, unsigned size)
{
	uint64_t sp;

	if (LIKELY(v->mode == SOFT_MODE_64)) {
		sp = v->r[CPU_RSP] - size;
		soft_store(v, sp, size, val);
		v->r[CPU_RSP] = sp;
		return;
	}
	sp = (v->r[CPU_RSP] - size) & size_mask(soft_stack_size(v));
	soft_store(v, soft_seg_linear(v, CPU_SS, sp, size, true), size, val);
	op_put(v, CPU_RSP * 8, soft_stack_size(v), sp);
}

uint64_t soft_pop(struct soft_vcpu *v, unsigned size)
{
	uint64_t sp, val;

	if (LIKELY(v->mode == SOFT_MODE_64)) {
		val = soft_load(v, v->r[CPU_RSP], size);
		v->r[CPU_RSP] += size;
		return val;
	}
	sp = v->r[CPU_RSP] & size_mask(soft_stack_size(v));
	val = soft_load(v, soft_seg_linear(v, CPU_SS, sp, size, false), size);
	op_put(v, CPU_RSP * 8, soft_stack_size(v), sp + size);
	return val;
}

static void h_push_r(struct soft_vcpu *v, const struct insn *in)
{
	soft_push(v, op_get(v, in->dst, in->size), in->size);
	INSN_NEXT(v, in);
}

static void h_push_i(struct soft_vcpu *v, const struct insn *in)
{
	soft_push(v, (uint64_t)in->imm, in->size);
	INSN_NEXT(v, in);
}

static void h_push_m(struct soft_vcpu *v, const struct insn *in)
{
	soft_push(v, soft_load(v, soft_ea(v, in, in->size, false), in->size), in->size);
	INSN_NEXT(v, in);
}

static void h_push_seg(struct soft_vcpu *v, const struct insn *in)
{
	soft_push(v, v->seg[in->op].selector, in->size);
	INSN_NEXT(v, in);
}

static void h_pop_r(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t val = soft_pop(v, in->size);

	op_put(v, in->dst, in->size, val);
	INSN_NEXT(v, in);
}

/* POP to memory addressed by RSP uses RSP after the pop; a fault undoes it. */
static void h_pop_m(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t old = v->r[CPU_RSP], val = soft_pop(v, in->size), popped = v->r[CPU_RSP], va;

	/* The address is formed with the new RSP; until the store is through RSP shows the old. */
	va = in->base == CPU_RSP * 8 || in->ea != INSN_EA_FLAT ? 0 : 1;
	if (va) {
		va = soft_ea(v, in, in->size, true);
		v->r[CPU_RSP] = old;
	} else {
		struct insn moved = *in;

		v->r[CPU_RSP] = old;
		if (in->base == CPU_RSP * 8)
			moved.disp += (int32_t)(popped - old);
		va = soft_ea(v, &moved, in->size, true);
	}
	soft_store(v, va, in->size, val);
	op_put(v, CPU_RSP * 8, soft_stack_size(v), popped);
	INSN_NEXT(v, in);
}

static void h_pop_seg(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t old = v->r[CPU_RSP];
	uint16_t sel = (uint16_t)soft_pop(v, in->size);
	uint64_t popped = v->r[CPU_RSP];

	v->r[CPU_RSP] = old;
	soft_load_seg(v, in->op, sel);
	op_put(v, CPU_RSP * 8, soft_stack_size(v), popped);
	v->shadow = in->op == CPU_SS;
	INSN_END(v, in);
}

static void h_pusha(struct soft_vcpu *v, const struct insn *in)
{
	unsigned ss = soft_stack_size(v);
	uint64_t sp = (v->r[CPU_RSP] - 8 * in->size) & size_mask(ss);

	/* All eight are checked before the first is written. */
	for (unsigned i = 0; i < 8; i++)
		soft_probe(v,
			   soft_seg_linear(v, CPU_SS, (sp + i * in->size) & size_mask(ss), in->size,
					   true),
			   in->size, SOFT_WRITE);
	for (unsigned i = 0; i < 8; i++)
		soft_store(v,
			   soft_seg_linear(v, CPU_SS, (sp + i * in->size) & size_mask(ss), in->size,
					   true),
			   in->size, op_get(v, (7 - i) * 8, in->size));
	op_put(v, CPU_RSP * 8, ss, sp);
	INSN_NEXT(v, in);
}

static void h_popa(struct soft_vcpu *v, const struct insn *in)
{
	unsigned ss = soft_stack_size(v);
	uint64_t sp = v->r[CPU_RSP], val[8];

	for (unsigned i = 0; i < 8; i++)
		val[i] = soft_load(v,
				   soft_seg_linear(v, CPU_SS, (sp + i * in->size) & size_mask(ss),
						   in->size, false),
				   in->size);
	for (unsigned i = 0; i < 8; i++)
		if (7 - i != CPU_RSP)
			op_put(v, (7 - i) * 8, in->size, val[i]);
	op_put(v, CPU_RSP * 8, ss, sp + 8 * in->size);
	INSN_NEXT(v, in);
}

static void h_pushf(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t fl = soft_rflags(v) & ~(X86_FLAG_VM | X86_FLAG_RF);

	if (soft_vm86(v) && (v->rf & X86_FLAG_IOPL) != X86_FLAG_IOPL)
		soft_gp(v, 0);
	soft_push(v, fl, in->size);
	INSN_NEXT(v, in);
}

/* Who may change what: SDM vol. 2, POPF, table 4-16. */
static void h_popf(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t change = X86_FLAGS_ARITH | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT | X86_FLAG_AC |
			  X86_FLAG_ID;
	unsigned iopl = (v->rf & X86_FLAG_IOPL) >> X86_FLAG_IOPL_SHIFT;
	uint64_t val;

	if (soft_vm86(v) && iopl != 3)
		soft_gp(v, 0);
	val = soft_pop(v, in->size);
	if (in->size == 2)
		change &= 0xffff;
	if (v->cpl == 0)
		change |= X86_FLAG_IOPL;
	if (v->cpl <= iopl)
		change |= X86_FLAG_IF;
	if (soft_vm86(v))
		change &= ~X86_FLAG_IOPL;
	val = (soft_rflags(v) & ~change) | (val & change);
	soft_set_rflags(v, val & ~X86_FLAG_RF);
	INSN_END(v, in);
}

/* A push on a copy of the stack pointer: ENTER changes RSP only after its last access. */
static void push_at(struct soft_vcpu *v, uint64_t *sp, uint64_t val, unsigned size)
{
	*sp = (*sp - size) & size_mask(soft_stack_size(v));
	soft_store(v, v->mode == SOFT_MODE_64 ? *sp : soft_seg_linear(v, CPU_SS, *sp, size, true),
		   size, val);
}

static void h_enter(struct soft_vcpu *v, const struct insn *in)
{
	unsigned size = in->size, ss = soft_stack_size(v), level = in->op;
	uint64_t sp = v->r[CPU_RSP], bp = v->r[CPU_RBP], frame;

	push_at(v, &sp, op_get(v, CPU_RBP * 8, size), size);
	frame = sp;
	for (unsigned i = 1; i < level; i++) {
		uint64_t at;

		bp = (bp - size) & size_mask(ss);
		at = v->mode == SOFT_MODE_64 ? bp : soft_seg_linear(v, CPU_SS, bp, size, false);
		push_at(v, &sp, soft_load(v, at, size), size);
	}
	if (level)
		push_at(v, &sp, frame, size);
	sp = (sp - (uint16_t)in->imm) & size_mask(ss);
	/* The new top must be writable too (SDM vol. 2, ENTER). */
	soft_probe(v, v->mode == SOFT_MODE_64 ? sp : soft_seg_linear(v, CPU_SS, sp, size, true),
		   size, SOFT_WRITE);
	op_put(v, CPU_RBP * 8, size, frame);
	op_put(v, CPU_RSP * 8, ss, sp);
	INSN_NEXT(v, in);
}

static void h_leave(struct soft_vcpu *v, const struct insn *in)
{
	unsigned ss = soft_stack_size(v);
	uint64_t bp = v->r[CPU_RBP] & size_mask(ss), val;

	val = soft_load(v, ss == 8 ? bp : soft_seg_linear(v, CPU_SS, bp, in->size, false),
			in->size);
	op_put(v, CPU_RSP * 8, ss, bp + in->size);
	op_put(v, CPU_RBP * 8, in->size, val);
	INSN_NEXT(v, in);
}

/* --- small ones -------------------------------------------------------------------------- */

static void h_cbw(struct soft_vcpu *v, const struct insn *in)
{
	op_put(v, CPU_RAX * 8, in->size, (uint64_t)op_sext(v->r[CPU_RAX], (unsigned)in->size / 2));
	INSN_NEXT(v, in);
}

static void h_cwd(struct soft_vcpu *v, const struct insn *in)
{
	op_put(v, CPU_RDX * 8, in->size, op_sext(v->r[CPU_RAX], in->size) < 0 ? UINT64_MAX : 0);
	INSN_NEXT(v, in);
}

static void h_flag(struct soft_vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case MOVE_LAHF:
		op_put(v, CPU_RAX * 8 + 1, 1, (v->cc & 0xd5) | X86_FLAG_FIXED);
		break;
	case MOVE_SAHF:
		v->cc = (v->cc & X86_FLAG_OF) | (op_get(v, CPU_RAX * 8 + 1, 1) & 0xd5);
		break;
	case MOVE_CLC:
		v->cc &= ~X86_FLAG_CF;
		break;
	case MOVE_STC:
		v->cc |= X86_FLAG_CF;
		break;
	case MOVE_CMC:
		v->cc ^= X86_FLAG_CF;
		break;
	case MOVE_CLD:
		v->rf &= ~X86_FLAG_DF;
		break;
	case MOVE_STD:
		v->rf |= X86_FLAG_DF;
		break;
	case MOVE_SALC:
		op_put(v, CPU_RAX * 8, 1, v->cc & X86_FLAG_CF ? 0xff : 0);
		break;
	default:
		break;
	}
	INSN_NEXT(v, in);
}

static void h_xlat(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t off = (v->r[CPU_RBX] + (uint8_t)v->r[CPU_RAX]) & size_mask(in->asize);

	op_put(v, CPU_RAX * 8, 1, soft_load(v, soft_seg_linear(v, in->seg, off, 1, false), 1));
	INSN_NEXT(v, in);
}

static void h_nop(struct soft_vcpu *v, const struct insn *in)
{
	INSN_NEXT(v, in);
}

/* --- picking ----------------------------------------------------------------------------- */

/* PUSH and POP: Zydis gives the operand size; a segment register is told by its class. */
static insn_fn pick_stack(struct op_pick *p, struct insn *in, bool push)
{
	const ZydisDecodedOperand *o = &p->z->op[0];

	in->flags |= INSN_STACK;
	in->size = p->z->i.operand_width / 8;
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg.value >= ZYDIS_REGISTER_ES &&
	    o->reg.value <= ZYDIS_REGISTER_GS) {
		in->op = (uint8_t)(o->reg.value - ZYDIS_REGISTER_ES);
		if (push)
			return h_push_seg;
		p->ends = true;
		return in->op == CPU_CS ? NULL : h_pop_seg;
	}
	if (in->flags & INSN_MEM)
		return push ? h_push_m : h_pop_m;
	if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return h_push_i;
	return push ? h_push_r : h_pop_r;
}

static insn_fn pick_locked(struct op_pick *p, struct insn *in)
{
	bool mem = in->flags & INSN_MEM;

	if ((in->flags & INSN_LOCK) && !mem)
		return NULL;
	switch (p->arg) {
	case MOVE_XCHG:
		if (p->form == FORM_RM)
			in->src = in->dst;
		return mem ? h_xchg_m : h_xchg_r;
	case MOVE_CMPXCHG:
		return mem ? h_cmpxchg_m : h_cmpxchg_r;
	case MOVE_XADD:
		return h_xadd;
	case MOVE_CMPXCHG8B:
		return mem ? h_cmpxchg8b : NULL;
	default:
		return mem ? h_cmpxchg16b : NULL;
	}
}

insn_fn op_pick_move(struct op_pick *p, struct insn *in)
{
	in->op = (uint8_t)p->arg;
	if (p->arg >= MOVE_XCHG && p->arg <= MOVE_CMPXCHG16B && p->arg != MOVE_LEA)
		return pick_locked(p, in);
	if (in->flags & INSN_LOCK)
		return NULL;
	switch (p->arg) {
	case MOVE_LEA:
		return in->flags & INSN_MEM ? h_lea : NULL;
	case MOVE_BSWAP:
		return h_bswap;
	case MOVE_MOVBE:
		return p->form == FORM_RM ? h_movbe_load : h_movbe_store;
	case MOVE_PUSH:
		return pick_stack(p, in, true);
	case MOVE_POP:
		return pick_stack(p, in, false);
	case MOVE_PUSHA:
	case MOVE_POPA:
		in->flags |= INSN_STACK;
		in->size = p->z->i.operand_width / 8;
		return p->arg == MOVE_PUSHA ? h_pusha : h_popa;
	case MOVE_PUSHF:
	case MOVE_POPF:
		in->flags |= INSN_STACK;
		in->size = p->z->i.operand_width / 8;
		p->ends = p->arg == MOVE_POPF;
		return p->arg == MOVE_PUSHF ? h_pushf : h_popf;
	case MOVE_ENTER:
		in->flags |= INSN_STACK;
		in->size = p->z->i.operand_width / 8;
		in->imm = (int64_t)p->z->op[0].imm.value.u;
		in->op = p->z->op[1].imm.value.u & 31;
		return h_enter;
	case MOVE_LEAVE:
		in->flags |= INSN_STACK;
		in->size = p->z->i.operand_width / 8;
		return h_leave;
	case MOVE_CBW:
		in->size = p->z->i.operand_width / 8;
		return h_cbw;
	case MOVE_CWD:
		in->size = p->z->i.operand_width / 8;
		return h_cwd;
	case MOVE_XLAT:
		return h_xlat;
	case MOVE_NOP:
		return h_nop;
	default:
		return h_flag;
	}
}
