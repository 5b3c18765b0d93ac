/* SPDX-License-Identifier: MIT */
/*
 * Shifts and rotates, multiplication and division, bit tests and scans, decimal adjust.
 *
 * Shifts, MUL and scans run on the host, as in op_alu.c. Division is done in C after checking for
 * overflow, because the host's own #DE would be a signal. Flags that the manuals leave undefined
 * are what the host gives.
 */
#include "cpu/soft/ops.h"

#define CC_ROTATE (X86_FLAG_CF | X86_FLAG_OF)

/* --- shifts ------------------------------------------------------------------------------ */

#define SHIFT_FN(op, T, N, keep)                                                                   \
	static T op##N(struct soft_vcpu *v, T a, uint8_t n)                                        \
	{                                                                                          \
		uint32_t f;                                                                        \
                                                                                                   \
		__asm__("bt $0, %k[cc]\n\t" #op " %%cl, %[a]" OP_FLAGS_ASM                         \
			: [a] "+r"(a), [f] "=&a"(f)                                                \
			: "c"(n), [cc] "r"(v->cc)                                                  \
			: "cc");                                                                   \
		v->cc = (keep) ? (v->cc & ~CC_ROTATE) | (op_cc(f) & CC_ROTATE) : op_cc(f);         \
		return a;                                                                          \
	}

#define SHIFT_SIZE(T, N)                                                                           \
	SHIFT_FN(rol, T, N, true)                                                                  \
	SHIFT_FN(ror, T, N, true)                                                                  \
	SHIFT_FN(rcl, T, N, true)                                                                  \
	SHIFT_FN(rcr, T, N, true)                                                                  \
	SHIFT_FN(shl, T, N, false)                                                                 \
	SHIFT_FN(shr, T, N, false)                                                                 \
	SHIFT_FN(sar, T, N, false)                                                                 \
	static T shift##N(struct soft_vcpu *v, unsigned op, T a, uint8_t n)                        \
	{                                                                                          \
		switch (op) {                                                                      \
		case SH_ROL:                                                                       \
			return rol##N(v, a, n);                                                    \
		case SH_ROR:                                                                       \
			return ror##N(v, a, n);                                                    \
		case SH_RCL:                                                                       \
			return rcl##N(v, a, n);                                                    \
		case SH_RCR:                                                                       \
			return rcr##N(v, a, n);                                                    \
		case SH_SHL:                                                                       \
			return shl##N(v, a, n);                                                    \
		case SH_SHR:                                                                       \
			return shr##N(v, a, n);                                                    \
		default:                                                                           \
			return sar##N(v, a, n);                                                    \
		}                                                                                  \
	}

SHIFT_SIZE(uint8_t, 1)
SHIFT_SIZE(uint16_t, 2)
SHIFT_SIZE(uint32_t, 4)
SHIFT_SIZE(uint64_t, 8)

static uint64_t shift_any(struct soft_vcpu *v, unsigned op, unsigned size, uint64_t a, uint8_t n)
{
	switch (size) {
	case 1:
		return shift1(v, op, (uint8_t)a, n);
	case 2:
		return shift2(v, op, (uint16_t)a, n);
	case 4:
		return shift4(v, op, (uint32_t)a, n);
	default:
		return shift8(v, op, a, n);
	}
}

/* x[0]: count in CL instead of the immediate. */
static ALWAYS_INLINE uint8_t shift_count(struct soft_vcpu *v, const struct insn *in)
{
	uint8_t n = in->x[0] ? (uint8_t)v->r[CPU_RCX] : (uint8_t)in->imm;

	return n & (in->size == 8 ? 63 : 31);
}

static void h_shift_r(struct soft_vcpu *v, const struct insn *in)
{
	uint8_t n = shift_count(v, in);
	uint64_t a = op_get(v, in->dst, in->size);

	/* A count of 0 changes no flag, but a 32-bit destination is still written. */
	if (n)
		a = shift_any(v, in->op, in->size, a, n);
	op_put(v, in->dst, in->size, a);
	INSN_NEXT(v, in);
}

#define SHIFT_FAST(op, T, N)                                                                       \
	static void h_##op##N##_ri(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		op_put(v, in->dst, N, op##N(v, (T)op_get(v, in->dst, N), (uint8_t)in->imm));       \
		INSN_NEXT(v, in);                                                                  \
	}

SHIFT_FAST(shl, uint32_t, 4)
SHIFT_FAST(shl, uint64_t, 8)
SHIFT_FAST(shr, uint32_t, 4)
SHIFT_FAST(shr, uint64_t, 8)
SHIFT_FAST(sar, uint32_t, 4)
SHIFT_FAST(sar, uint64_t, 8)

static void h_shift_m(struct soft_vcpu *v, const struct insn *in)
{
	uint8_t n = shift_count(v, in);
	uint64_t va = soft_ea(v, in, in->size, true);
	uint64_t a;

	soft_probe(v, va, in->size, SOFT_WRITE);
	a = soft_load(v, va, in->size);
	if (n)
		a = shift_any(v, in->op, in->size, a, n);
	soft_store(v, va, in->size, a);
	INSN_NEXT(v, in);
}

insn_fn op_pick_shift(struct op_pick *p, struct insn *in)
{
	static const insn_fn fast[][2] = {
		[SH_SHL] = { h_shl4_ri, h_shl8_ri },
		[SH_SHR] = { h_shr4_ri, h_shr8_ri },
		[SH_SAR] = { h_sar4_ri, h_sar8_ri },
	};
	uint8_t mask = in->size == 8 ? 63 : 31;

	if (in->flags & INSN_LOCK)
		return NULL;
	in->op = (uint8_t)p->arg;
	in->x[0] = p->form == FORM_RR || p->form == FORM_MR;
	if (in->flags & INSN_MEM)
		return h_shift_m;
	if (p->form == FORM_RI && p->arg >= SH_SHL && in->size >= 4 && (in->imm & mask)) {
		in->imm &= mask;
		return fast[p->arg][in->size == 8];
	}
	return h_shift_r;
}

#define SHIFTD_FN(op, T, N)                                                                        \
	static T op##N(struct soft_vcpu *v, T a, T b, uint8_t n)                                   \
	{                                                                                          \
		uint32_t f;                                                                        \
                                                                                                   \
		__asm__(#op " %%cl, %[b], %[a]" OP_FLAGS_ASM                                       \
			: [a] "+r"(a), [f] "=&a"(f)                                                \
			: "c"(n), [b] "r"(b)                                                       \
			: "cc");                                                                   \
		v->cc = op_cc(f);                                                                  \
		return a;                                                                          \
	}

SHIFTD_FN(shld, uint16_t, 2)
SHIFTD_FN(shld, uint32_t, 4)
SHIFTD_FN(shld, uint64_t, 8)
SHIFTD_FN(shrd, uint16_t, 2)
SHIFTD_FN(shrd, uint32_t, 4)
SHIFTD_FN(shrd, uint64_t, 8)

static void h_shiftd(struct soft_vcpu *v, const struct insn *in)
{
	uint8_t n = shift_count(v, in);
	bool mem = in->flags & INSN_MEM, right = in->op;
	uint64_t va = 0, a, b = op_get(v, in->src, in->size);

	if (mem) {
		va = soft_ea(v, in, in->size, true);
		soft_probe(v, va, in->size, SOFT_WRITE);
		a = soft_load(v, va, in->size);
	} else {
		a = op_get(v, in->dst, in->size);
	}
	if (n && in->size == 2)
		a = right ? shrd2(v, (uint16_t)a, (uint16_t)b, n)
			  : shld2(v, (uint16_t)a, (uint16_t)b, n);
	else if (n && in->size == 4)
		a = right ? shrd4(v, (uint32_t)a, (uint32_t)b, n)
			  : shld4(v, (uint32_t)a, (uint32_t)b, n);
	else if (n)
		a = right ? shrd8(v, a, b, n) : shld8(v, a, b, n);
	if (mem)
		soft_store(v, va, in->size, a);
	else
		op_put(v, in->dst, in->size, a);
	INSN_NEXT(v, in);
}

insn_fn op_pick_shiftd(struct op_pick *p, struct insn *in)
{
	const ZydisDecodedOperand *cnt = &p->z->op[2];

	if (in->flags & INSN_LOCK)
		return NULL;
	in->op = (uint8_t)p->arg;
	in->x[0] = cnt->type == ZYDIS_OPERAND_TYPE_REGISTER;
	if (!in->x[0])
		in->imm = (int64_t)cnt->imm.value.u;
	return h_shiftd;
}

/* --- multiplication and division ---------------------------------------------------------- */

#define MUL_FN(op, T, N, RES)                                                                      \
	static void op##N(struct soft_vcpu *v, T b)                                                \
	{                                                                                          \
		T lo = (T)v->r[CPU_RAX], hi = 0;                                                   \
		uint8_t of, cf;                                                                    \
                                                                                                   \
		__asm__(#op " %[b]\n\tseto %[of]\n\tsetc %[cf]"                                    \
			: "+a"(lo), "=&d"(hi), [of] "=&q"(of), [cf] "=&q"(cf)                      \
			: [b] "r"(b)                                                               \
			: "cc");                                                                   \
		v->cc = (v->cc & ~CC_ROTATE) | (of ? X86_FLAG_OF : 0) | (cf ? X86_FLAG_CF : 0);    \
		op_put(v, CPU_RAX * 8, N, lo);                                                     \
		op_put(v, CPU_RDX * 8, N, hi);                                                     \
	}

MUL_FN(mul, uint16_t, 2, uint32_t)
MUL_FN(mul, uint32_t, 4, uint64_t)
MUL_FN(mul, uint64_t, 8, uint64_t)
MUL_FN(imul, uint16_t, 2, uint32_t)
MUL_FN(imul, uint32_t, 4, uint64_t)
MUL_FN(imul, uint64_t, 8, uint64_t)

static void mul1(struct soft_vcpu *v, bool is_signed, uint8_t b)
{
	uint16_t r;
	bool over;

	if (is_signed) {
		r = (uint16_t)((int8_t)v->r[CPU_RAX] * (int8_t)b);
		over = (int16_t)r != (int8_t)r;
	} else {
		r = (uint16_t)((uint8_t)v->r[CPU_RAX] * b);
		over = r >> 8;
	}
	v->cc = (v->cc & ~CC_ROTATE) | (over ? CC_ROTATE : 0);
	op_put(v, CPU_RAX * 8, 2, r);
}

static void div_unsigned(struct soft_vcpu *v, unsigned size, uint64_t b)
{
	unsigned __int128 a;
	uint64_t q, r;

	if (b == 0)
		soft_raise(v, X86_VEC_DE);
	if (size == 1)
		a = (uint16_t)v->r[CPU_RAX];
	else
		a = ((unsigned __int128)op_get(v, CPU_RDX * 8, size) << (size * 8)) |
		    op_get(v, CPU_RAX * 8, size);
	if ((uint64_t)(a >> (size * 8)) >= b)
		soft_raise(v, X86_VEC_DE);
	q = (uint64_t)(a / b);
	r = (uint64_t)(a % b);
	if (size == 1) {
		op_put(v, CPU_RAX * 8, 2, (q & 0xff) | r << 8);
		return;
	}
	op_put(v, CPU_RAX * 8, size, q);
	op_put(v, CPU_RDX * 8, size, r);
}

static void div_signed(struct soft_vcpu *v, unsigned size, uint64_t raw)
{
	__int128 a, b = op_sext(raw, size), q, r;
	__int128 max = (__int128)(size_mask(size) >> 1);

	if (b == 0)
		soft_raise(v, X86_VEC_DE);
	if (size == 1)
		a = (int16_t)v->r[CPU_RAX];
	else if (size == 8)
		a = (__int128)(((unsigned __int128)v->r[CPU_RDX] << 64) | v->r[CPU_RAX]);
	else
		a = op_sext(op_get(v, CPU_RDX * 8, size) << (size * 8) |
				    op_get(v, CPU_RAX * 8, size),
			    size * 2);
	/* The one quotient that does not fit 128 bits. */
	if (b == -1 && a == (__int128)((unsigned __int128)1 << 127))
		soft_raise(v, X86_VEC_DE);
	q = a / b;
	r = a % b;
	if (q > max || q < -max - 1)
		soft_raise(v, X86_VEC_DE);
	if (size == 1) {
		op_put(v, CPU_RAX * 8, 2, ((uint64_t)q & 0xff) | ((uint64_t)r & 0xff) << 8);
		return;
	}
	op_put(v, CPU_RAX * 8, size, (uint64_t)q);
	op_put(v, CPU_RDX * 8, size, (uint64_t)r);
}

static void h_muldiv(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t b = in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, in->size, false), in->size)
					  : op_get(v, in->dst, in->size);
	bool is_signed = in->op == MD_IMUL;

	if (in->op == MD_DIV)
		div_unsigned(v, in->size, b);
	else if (in->op == MD_IDIV)
		div_signed(v, in->size, b);
	else if (in->size == 1)
		mul1(v, is_signed, (uint8_t)b);
	else if (in->size == 2)
		(is_signed ? imul2 : mul2)(v, (uint16_t)b);
	else if (in->size == 4)
		(is_signed ? imul4 : mul4)(v, (uint32_t)b);
	else
		(is_signed ? imul8 : mul8)(v, b);
	INSN_NEXT(v, in);
}

/* IMUL r, r/m and IMUL r, r/m, imm. x[0]: three operands. */
static void h_imul2(struct soft_vcpu *v, const struct insn *in)
{
	unsigned size = in->size;
	uint64_t raw = in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, size, false), size)
					    : op_get(v, in->src, size);
	int64_t a = op_sext(raw, size);
	int64_t b = in->x[0] ? in->imm : op_sext(op_get(v, in->dst, size), size);
	__int128 r = (__int128)a * b;
	bool over = r != op_sext((uint64_t)r, size);

	v->cc = (v->cc & ~CC_ROTATE) | (over ? CC_ROTATE : 0);
	op_put(v, in->dst, size, (uint64_t)r);
	INSN_NEXT(v, in);
}

insn_fn op_pick_muldiv(struct op_pick *p, struct insn *in)
{
	if (in->flags & INSN_LOCK)
		return NULL;
	in->op = (uint8_t)p->arg;
	if (p->arg == MD_IMUL && p->form != FORM_R && p->form != FORM_M) {
		in->x[0] = p->z->i.operand_count_visible == 3;
		return h_imul2;
	}
	return h_muldiv;
}

/* --- bit tests ---------------------------------------------------------------------------- */

static uint64_t bit_change(unsigned op, uint64_t val, uint64_t bit)
{
	switch (op) {
	case 1:
		return val | bit;
	case 2:
		return val & ~bit;
	case 3:
		return val ^ bit;
	default:
		return val;
	}
}

static void set_cf(struct soft_vcpu *v, bool c)
{
	v->cc = (v->cc & ~X86_FLAG_CF) | c;
}

static void h_bit_r(struct soft_vcpu *v, const struct insn *in)
{
	unsigned size = in->size;
	uint64_t n = in->x[0] ? (uint64_t)in->imm : op_get(v, in->src, size);
	uint64_t bit = 1ull << (n & (size * 8 - 1));
	uint64_t a = op_get(v, in->dst, size);

	set_cf(v, a & bit);
	if (in->op)
		op_put(v, in->dst, size, bit_change(in->op, a, bit));
	INSN_NEXT(v, in);
}

/* With a register index the bit string reaches beyond the operand: SDM vol. 2, BT. */
static void h_bit_m(struct soft_vcpu *v, const struct insn *in)
{
	unsigned size = in->size;
	int64_t n = in->x[0] ? in->imm & (size * 8 - 1) : op_sext(op_get(v, in->src, size), size);
	uint64_t bit = 1ull << (n & (size * 8 - 1)), va, a;
	int64_t off = in->x[0] ? 0 : (n >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * (int64_t)size;
	struct insn moved = *in;
	void *p;

	if (off && in->ea == INSN_EA_GENERIC) {
		/* Segment checks and wrapping see the moved address. */
		moved.index = INSN_REG_NONE;
		moved.base = INSN_REG_NONE;
		moved.flags &= (uint8_t)~INSN_ABS_RIP;
		off += (int64_t)((in->flags & INSN_ABS_RIP ? soft_next_rip(v, in)
							   : soft_reg(v, in->base)) +
				 (soft_reg(v, in->index) << in->scale));
		va = soft_seg_linear(v, in->seg, (uint64_t)(off + in->disp) & size_mask(in->asize),
				     size, in->op != 0);
	} else {
		va = soft_ea(v, in, size, in->op != 0) + (uint64_t)off;
	}
	if (!in->op) {
		set_cf(v, soft_load(v, va, size) & bit);
		INSN_NEXT(v, in);
	}
	p = soft_rmw_host(v, va, size);
	if (p && (in->flags & INSN_LOCK)) {
		uint64_t idx = (uint64_t)n & (size * 8 - 1);
		_Atomic uint8_t *byte = (_Atomic uint8_t *)p + idx / 8;
		uint8_t b = (uint8_t)(1u << (idx & 7));

		if (in->op == 1)
			set_cf(v, atomic_fetch_or(byte, b) & b);
		else if (in->op == 2)
			set_cf(v, atomic_fetch_and(byte, (uint8_t)~b) & b);
		else
			set_cf(v, atomic_fetch_xor(byte, b) & b);
	} else {
		bool excl = (in->flags & INSN_LOCK) && soft_lock_begin(v, va, size);

		a = soft_load(v, va, size);
		soft_store(v, va, size, bit_change(in->op, a, bit));
		soft_lock_end(v, excl);
		set_cf(v, a & bit);
	}
	INSN_NEXT(v, in);
}

insn_fn op_pick_bit(struct op_pick *p, struct insn *in)
{
	if ((in->flags & INSN_LOCK) && (!p->arg || !(in->flags & INSN_MEM)))
		return NULL;
	in->op = (uint8_t)p->arg;
	in->x[0] = p->form == FORM_RI || p->form == FORM_MI;
	return in->flags & INSN_MEM ? h_bit_m : h_bit_r;
}

/* BSF, BSR: with source 0 the destination is unchanged (APM vol. 3; Intel CPUs do the same). */
static void h_bitscan(struct soft_vcpu *v, const struct insn *in)
{
	unsigned size = in->size;
	uint64_t a = in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, size, false), size)
					  : op_get(v, in->src, size);
	uint64_t d = op_get(v, in->dst, 8);
	uint32_t f;

	if (in->op)
		__asm__("bsr %[a], %[d]" OP_FLAGS_ASM
			: [d] "+r"(d), [f] "=&a"(f)
			: [a] "r"(a)
			: "cc");
	else
		__asm__("bsf %[a], %[d]" OP_FLAGS_ASM
			: [d] "+r"(d), [f] "=&a"(f)
			: [a] "r"(a)
			: "cc");
	v->cc = op_cc(f);
	if (a || size != 4)
		op_put(v, in->dst, size, d);
	INSN_NEXT(v, in);
}

insn_fn op_pick_bitscan(struct op_pick *p, struct insn *in)
{
	if (in->flags & INSN_LOCK)
		return NULL;
	in->op = (uint8_t)p->arg;
	return h_bitscan;
}

/* --- decimal adjust (not in 64-bit mode): SDM vol. 2, AAA ff. ------------------------------- */

static uint64_t cc_szp(uint8_t al)
{
	return (al ? 0 : X86_FLAG_ZF) | (al & 0x80 ? X86_FLAG_SF : 0) |
	       (__builtin_parity(al) ? 0 : X86_FLAG_PF);
}

static void adjust_ascii(struct soft_vcpu *v, bool sub)
{
	uint16_t ax = (uint16_t)v->r[CPU_RAX];
	bool carry = (ax & 0xf) > 9 || (v->cc & X86_FLAG_AF);

	if (carry)
		ax = (uint16_t)(sub ? ax - 0x106 : ax + 0x106);
	ax &= 0xff0f;
	v->cc = cc_szp((uint8_t)ax) | (carry ? X86_FLAG_AF | X86_FLAG_CF : 0);
	op_put(v, CPU_RAX * 8, 2, ax);
}

static void adjust_decimal(struct soft_vcpu *v, bool sub)
{
	uint8_t al = (uint8_t)v->r[CPU_RAX], old = al;
	bool cf = v->cc & X86_FLAG_CF, af = v->cc & X86_FLAG_AF, out = false;

	if ((al & 0xf) > 9 || af) {
		out = cf || (sub ? old < 6 : old > 0xf9);
		al = (uint8_t)(sub ? al - 6 : al + 6);
		af = true;
	}
	if (old > 0x99 || cf) {
		al = (uint8_t)(sub ? al - 0x60 : al + 0x60);
		out = true;
	}
	v->cc = cc_szp(al) | (af ? X86_FLAG_AF : 0) | (out ? X86_FLAG_CF : 0);
	op_put(v, CPU_RAX * 8, 1, al);
}

static void h_bcd(struct soft_vcpu *v, const struct insn *in)
{
	uint8_t base = (uint8_t)in->imm;
	uint16_t ax = (uint16_t)v->r[CPU_RAX];

	switch (in->op) {
	case BCD_AAA:
	case BCD_AAS:
		adjust_ascii(v, in->op == BCD_AAS);
		break;
	case BCD_DAA:
	case BCD_DAS:
		adjust_decimal(v, in->op == BCD_DAS);
		break;
	case BCD_AAD:
		ax = (uint8_t)((ax & 0xff) + (ax >> 8) * base);
		v->cc = cc_szp((uint8_t)ax);
		op_put(v, CPU_RAX * 8, 2, ax);
		break;
	default:
		if (!base)
			soft_raise(v, X86_VEC_DE);
		ax = (uint16_t)(((ax & 0xff) / base) << 8 | ((ax & 0xff) % base));
		v->cc = cc_szp((uint8_t)ax);
		op_put(v, CPU_RAX * 8, 2, ax);
		break;
	}
	INSN_NEXT(v, in);
}

insn_fn op_pick_bcd(struct op_pick *p, struct insn *in)
{
	if (p->z->mode == SOFT_MODE_64 || (in->flags & INSN_LOCK))
		return NULL;
	in->op = (uint8_t)p->arg;
	return h_bcd;
}
