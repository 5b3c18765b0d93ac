/* SPDX-License-Identifier: MIT */
/*
 * Integer arithmetic: two-operand ALU operations, INC to NOT, in all sizes and forms.
 *
 * Theory of operation: for each size a macro makes one function that computes (with the host's
 * own instruction, see ops.h) and one handler a form. Handlers of memory destinations get a host
 * pointer where they can and fall back to load, compute, store; LOCK forms use a host atomic
 * compare-and-swap loop, which gives the same result and flags.
 */
#include "cpu/soft/ops.h"

/* The computation: a op= b; leaves the flags of v->cc. */
#define ALU_FN(name, asm_op, T)                                                                    \
	static ALWAYS_INLINE T name(struct soft_vcpu *v, T a, T b)                                 \
	{                                                                                          \
		uint32_t f;                                                                        \
                                                                                                   \
		__asm__(asm_op " %[b], %[a]" OP_FLAGS_ASM                                          \
			: [a] "+r"(a), [f] "=&a"(f)                                                \
			: [b] "r"(b)                                                               \
			: "cc");                                                                   \
		v->cc = op_cc(f);                                                                  \
		return a;                                                                          \
	}

#define ALU_CARRY_FN(name, asm_op, T)                                                              \
	static ALWAYS_INLINE T name(struct soft_vcpu *v, T a, T b)                                 \
	{                                                                                          \
		uint32_t f;                                                                        \
                                                                                                   \
		__asm__("bt $0, %k[c]\n\t" asm_op " %[b], %[a]" OP_FLAGS_ASM                       \
			: [a] "+r"(a), [f] "=&a"(f)                                                \
			: [b] "r"(b), [c] "r"(v->cc)                                               \
			: "cc");                                                                   \
		v->cc = op_cc(f);                                                                  \
		return a;                                                                          \
	}

/* One-operand forms; INC and DEC keep CF (bt puts it in), NOT keeps all flags. */
#define UN_FN(name, asm_op, T)                                                                     \
	static ALWAYS_INLINE T name(struct soft_vcpu *v, T a, T b UNUSED)                          \
	{                                                                                          \
		uint32_t f;                                                                        \
                                                                                                   \
		__asm__("bt $0, %k[c]\n\t" asm_op " %[a]" OP_FLAGS_ASM                             \
			: [a] "+r"(a), [f] "=&a"(f)                                                \
			: [c] "r"(v->cc)                                                           \
			: "cc");                                                                   \
		v->cc = op_cc(f);                                                                  \
		return a;                                                                          \
	}

#define NOT_FN(name, T)                                                                            \
	static ALWAYS_INLINE T name(struct soft_vcpu *v UNUSED, T a, T b UNUSED)                   \
	{                                                                                          \
		return (T)~a;                                                                      \
	}

/* A memory destination: compute on what is there and store. */
#define MEM_DST(fn, T, N, b_expr, writes)                                                          \
	uint64_t va = soft_ea(v, in, N, writes);                                                   \
	T b = (T)(b_expr);                                                                         \
                                                                                                   \
	if (writes) {                                                                              \
		T *p = soft_rmw_host(v, va, N);                                                    \
                                                                                                   \
		if (LIKELY(p))                                                                     \
			*(volatile T *)p = fn(v, *(volatile T *)p, b);                             \
		else                                                                               \
			soft_store(v, va, N, fn(v, (T)soft_load(v, va, N), b));                    \
	} else {                                                                                   \
		(void)fn(v, (T)soft_load(v, va, N), b);                                            \
	}                                                                                          \
	INSN_NEXT(v, in)

/* With LOCK: compare-and-swap until nobody came between; the slow form is exclusive. */
#define LOCK_DST(fn, T, N, b_expr)                                                                 \
	uint64_t va = soft_ea(v, in, N, true), cc = v->cc;                                         \
	T b = (T)(b_expr);                                                                         \
	T *p = soft_rmw_host(v, va, N);                                                            \
                                                                                                   \
	if (LIKELY(p)) {                                                                           \
		T old = __atomic_load_n(p, __ATOMIC_RELAXED), want;                                \
                                                                                                   \
		do {                                                                               \
			v->cc = cc;                                                                \
			want = fn(v, old, b);                                                      \
		} while (!__atomic_compare_exchange_n(p, &old, want, false, __ATOMIC_SEQ_CST,      \
						      __ATOMIC_SEQ_CST));                          \
	} else {                                                                                   \
		bool excl = soft_lock_begin(v, va, N);                                             \
                                                                                                   \
		soft_store(v, va, N, fn(v, (T)soft_load(v, va, N), b));                            \
		soft_lock_end(v, excl);                                                            \
	}                                                                                          \
	INSN_NEXT(v, in)

#define ALU_HANDLERS(op, T, N, writes)                                                             \
	static void h_##op##N##_rr(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		T a = (T)op_get(v, in->dst, N);                                                    \
                                                                                                   \
		a = op##N(v, a, (T)op_get(v, in->src, N));                                         \
		if (writes)                                                                        \
			op_put(v, in->dst, N, a);                                                  \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_##op##N##_ri(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		T a = op##N(v, (T)op_get(v, in->dst, N), (T)in->imm);                              \
                                                                                                   \
		if (writes)                                                                        \
			op_put(v, in->dst, N, a);                                                  \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_##op##N##_rm(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		T b = (T)soft_load(v, soft_ea(v, in, N, false), N);                                \
		T a = op##N(v, (T)op_get(v, in->dst, N), b);                                       \
                                                                                                   \
		if (writes)                                                                        \
			op_put(v, in->dst, N, a);                                                  \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_##op##N##_mr(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		MEM_DST(op##N, T, N, op_get(v, in->src, N), writes);                               \
	}                                                                                          \
	static void h_##op##N##_mi(struct soft_vcpu *v, const struct insn *in)                     \
	{                                                                                          \
		MEM_DST(op##N, T, N, in->imm, writes);                                             \
	}

#define LOCK_HANDLERS(op, T, N)                                                                    \
	static void h_lock_##op##N##_mr(struct soft_vcpu *v, const struct insn *in)                \
	{                                                                                          \
		LOCK_DST(op##N, T, N, op_get(v, in->src, N));                                      \
	}                                                                                          \
	static void h_lock_##op##N##_mi(struct soft_vcpu *v, const struct insn *in)                \
	{                                                                                          \
		LOCK_DST(op##N, T, N, in->imm);                                                    \
	}

#define UN_HANDLERS(op, T, N)                                                                      \
	static void h_##op##N##_r(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		op_put(v, in->dst, N, op##N(v, (T)op_get(v, in->dst, N), 0));                      \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_##op##N##_m(struct soft_vcpu *v, const struct insn *in)                      \
	{                                                                                          \
		MEM_DST(op##N, T, N, 0, true);                                                     \
	}                                                                                          \
	static void h_lock_##op##N##_m(struct soft_vcpu *v, const struct insn *in)                 \
	{                                                                                          \
		LOCK_DST(op##N, T, N, 0);                                                          \
	}

#define ALL_OF_SIZE(T, N)                                                                          \
	ALU_FN(add##N, "add", T)                                                                   \
	ALU_FN(or ##N, "or", T)                                                                    \
	ALU_CARRY_FN(adc##N, "adc", T)                                                             \
	ALU_CARRY_FN(sbb##N, "sbb", T)                                                             \
	ALU_FN(and##N, "and", T)                                                                   \
	ALU_FN(sub##N, "sub", T)                                                                   \
	ALU_FN(xor##N, "xor", T)                                                                   \
	ALU_FN(cmp##N, "cmp", T)                                                                   \
	ALU_FN(test##N, "test", T)                                                                 \
	UN_FN(inc##N, "inc", T)                                                                    \
	UN_FN(dec##N, "dec", T)                                                                    \
	UN_FN(neg##N, "neg", T)                                                                    \
	NOT_FN(not ##N, T)                                                                         \
	ALU_HANDLERS(add, T, N, true)                                                              \
	ALU_HANDLERS(or, T, N, true)                                                               \
	ALU_HANDLERS(adc, T, N, true)                                                              \
	ALU_HANDLERS(sbb, T, N, true)                                                              \
	ALU_HANDLERS(and, T, N, true)                                                              \
	ALU_HANDLERS(sub, T, N, true)                                                              \
	ALU_HANDLERS(xor, T, N, true)                                                              \
	ALU_HANDLERS(cmp, T, N, false)                                                             \
	ALU_HANDLERS(test, T, N, false)                                                            \
	LOCK_HANDLERS(add, T, N)                                                                   \
	LOCK_HANDLERS(or, T, N)                                                                    \
	LOCK_HANDLERS(adc, T, N)                                                                   \
	LOCK_HANDLERS(sbb, T, N)                                                                   \
	LOCK_HANDLERS(and, T, N)                                                                   \
	LOCK_HANDLERS(sub, T, N)                                                                   \
	LOCK_HANDLERS(xor, T, N)                                                                   \
	UN_HANDLERS(inc, T, N)                                                                     \
	UN_HANDLERS(dec, T, N)                                                                     \
	UN_HANDLERS(neg, T, N)                                                                     \
	UN_HANDLERS(not, T, N)

ALL_OF_SIZE(uint8_t, 1)
ALL_OF_SIZE(uint16_t, 2)
ALL_OF_SIZE(uint32_t, 4)
ALL_OF_SIZE(uint64_t, 8)

/* Index of a size in the tables below: 1, 2, 4, 8 to 0..3. */
static unsigned size_index(unsigned size)
{
	return size == 8 ? 3 : size >> 1;
}

struct alu_row {
	insn_fn rr[4], ri[4], rm[4], mr[4], mi[4], lock_mr[4], lock_mi[4];
};

#define ROW4(op, form)                                                                             \
	{                                                                                          \
		h_##op##1_##form, h_##op##2_##form, h_##op##4_##form, h_##op##8_##form             \
	}
#define ALU_ROW(op)                                                                                \
	{                                                                                          \
		.rr = ROW4(op, rr), .ri = ROW4(op, ri), .rm = ROW4(op, rm), .mr = ROW4(op, mr),    \
		.mi = ROW4(op, mi), .lock_mr = ROW4(lock_##op, mr), .lock_mi = ROW4(lock_##op, mi) \
	}
#define ALU_ROW_NO_LOCK(op)                                                                        \
	{                                                                                          \
		.rr = ROW4(op, rr), .ri = ROW4(op, ri), .rm = ROW4(op, rm), .mr = ROW4(op, mr),    \
		.mi = ROW4(op, mi)                                                                 \
	}

static const struct alu_row alu_rows[] = {
	[ALU_ADD] = ALU_ROW(add),	    [ALU_OR] = ALU_ROW(or),
	[ALU_ADC] = ALU_ROW(adc),	    [ALU_SBB] = ALU_ROW(sbb),
	[ALU_AND] = ALU_ROW(and),	    [ALU_SUB] = ALU_ROW(sub),
	[ALU_XOR] = ALU_ROW(xor),	    [ALU_CMP] = ALU_ROW_NO_LOCK(cmp),
	[ALU_TEST] = ALU_ROW_NO_LOCK(test),
};

insn_fn op_pick_alu(struct op_pick *p, struct insn *in)
{
	const struct alu_row *row = &alu_rows[p->arg];
	unsigned s = size_index(in->size);
	bool lock = in->flags & INSN_LOCK;

	switch (p->form) {
	case FORM_RR:
		return lock ? NULL : row->rr[s];
	case FORM_RI:
		return lock ? NULL : row->ri[s];
	case FORM_RM:
		return lock ? NULL : row->rm[s];
	case FORM_MR:
		return lock ? row->lock_mr[s] : row->mr[s];
	case FORM_MI:
		return lock ? row->lock_mi[s] : row->mi[s];
	default:
		return NULL;
	}
}

static const struct {
	insn_fn r[4], m[4], lock_m[4];
} un_rows[] = {
	[UN_INC] = { ROW4(inc, r), ROW4(inc, m), ROW4(lock_inc, m) },
	[UN_DEC] = { ROW4(dec, r), ROW4(dec, m), ROW4(lock_dec, m) },
	[UN_NEG] = { ROW4(neg, r), ROW4(neg, m), ROW4(lock_neg, m) },
	[UN_NOT] = { ROW4(not, r), ROW4(not, m), ROW4(lock_not, m) },
};

insn_fn op_pick_unary(struct op_pick *p, struct insn *in)
{
	unsigned s = size_index(in->size);
	bool lock = in->flags & INSN_LOCK;

	if (p->form == FORM_R)
		return lock ? NULL : un_rows[p->arg].r[s];
	return lock ? un_rows[p->arg].lock_m[s] : un_rows[p->arg].m[s];
}
