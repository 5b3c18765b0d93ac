/* SPDX-License-Identifier: MIT */
/*
 * String instructions: MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS with REP, REPE, REPNE.
 *
 * Theory of operation: one element at a time, registers updated after each, so a fault or an
 * interrupt in the middle leaves RCX, RSI and RDI exact and the instruction restarts (SDM vol. 2,
 * REP). MOVS and STOS work page-wise on host memory where both sides are plain RAM.
 * After each piece the loop looks for attention and, if there is some, leaves with RIP still at
 * the instruction.
 */
#include "cpu/soft/ops.h"

#include <string.h>

/* How many elements run before the loop looks for interrupts. */
#define STRING_SLICE 256

struct string_ctx {
	unsigned size, asize, seg;
	int64_t step;
};

static uint64_t reg_a(const struct soft_vcpu *v, unsigned reg, unsigned asize)
{
	return v->r[reg] & size_mask(asize);
}

static void advance(struct soft_vcpu *v, unsigned reg, const struct string_ctx *c, int64_t by)
{
	op_put(v, reg * 8, c->asize, v->r[reg] + (uint64_t)by);
}

static uint64_t src_va(struct soft_vcpu *v, const struct string_ctx *c, bool write)
{
	return soft_seg_linear(v, c->seg, reg_a(v, CPU_RSI, c->asize), c->size, write);
}

static uint64_t dst_va(struct soft_vcpu *v, const struct string_ctx *c, bool write)
{
	return soft_seg_linear(v, CPU_ES, reg_a(v, CPU_RDI, c->asize), c->size, write);
}

/* One element of @op; true where REPE/REPNE must look at ZF. */
static bool element(struct soft_vcpu *v, const struct insn *in, const struct string_ctx *c)
{
	uint64_t a, b;
	uint32_t f;

	switch (in->op) {
	case STR_MOVS:
		a = soft_load(v, src_va(v, c, false), c->size);
		soft_store(v, dst_va(v, c, true), c->size, a);
		advance(v, CPU_RSI, c, c->step);
		advance(v, CPU_RDI, c, c->step);
		return false;
	case STR_STOS:
		soft_store(v, dst_va(v, c, true), c->size, v->r[CPU_RAX]);
		advance(v, CPU_RDI, c, c->step);
		return false;
	case STR_LODS:
		op_put(v, CPU_RAX * 8, c->size, soft_load(v, src_va(v, c, false), c->size));
		advance(v, CPU_RSI, c, c->step);
		return false;
	case STR_CMPS:
		a = soft_load(v, src_va(v, c, false), c->size);
		b = soft_load(v, dst_va(v, c, false), c->size);
		advance(v, CPU_RSI, c, c->step);
		advance(v, CPU_RDI, c, c->step);
		break;
	case STR_SCAS:
		a = v->r[CPU_RAX];
		b = soft_load(v, dst_va(v, c, false), c->size);
		advance(v, CPU_RDI, c, c->step);
		break;
	case STR_INS:
		soft_probe(v, dst_va(v, c, true), c->size, SOFT_WRITE);
		a = soft_io_in(v, (uint16_t)v->r[CPU_RDX], c->size);
		soft_store(v, dst_va(v, c, true), c->size, a);
		advance(v, CPU_RDI, c, c->step);
		return false;
	default:
		a = soft_load(v, src_va(v, c, false), c->size);
		soft_io_out(v, (uint16_t)v->r[CPU_RDX], c->size, (uint32_t)a);
		advance(v, CPU_RSI, c, c->step);
		return false;
	}
	/* Compare at the top of the register, so that one size of CMP gives all flags but AF. */
	{
		unsigned sh = 64 - c->size * 8;
		uint64_t x = a << sh, y = b << sh;

		__asm__("cmp %[y], %[x]" OP_FLAGS_ASM
			: [f] "=&a"(f)
			: [x] "r"(x), [y] "r"(y)
			: "cc");
		v->cc = op_cc(f) & ~(X86_FLAG_AF | X86_FLAG_PF);
		v->cc |= (a ^ b ^ (a - b)) & X86_FLAG_AF;
		v->cc |= __builtin_parity((unsigned)(a - b) & 0xff) ? 0 : X86_FLAG_PF;
	}
	return true;
}

/* @n times the low @size bytes of @val. */
static void fill(uint8_t *to, uint64_t val, unsigned size, uint64_t n)
{
	if (size == 1 || !val) {
		memset(to, (int)val, n * size);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		put_le(to + i * size, size, val);
}

/* Elements of @size bytes from @va on that lie in its page, in the direction of DF. */
static uint64_t in_page(uint64_t va, unsigned size, bool down)
{
	uint64_t off = va & 0xfff;

	if (!down)
		return (X86_PAGE_SIZE - off) / size;
	return off + size > X86_PAGE_SIZE ? 0 : off / size + 1;
}

/*
 * MOVS or STOS in one go, as far as both pages reach: elements done, 0: do it singly.
 * Only in 64-bit mode, where segments add nothing but FS and GS bases.
 */
static uint64_t bulk(struct soft_vcpu *v, const struct insn *in, const struct string_ctx *c,
		     uint64_t count)
{
	bool down = c->step < 0;
	uint64_t dst, src = 0, n, back;
	uint8_t *to;

	if (v->mode != SOFT_MODE_64 || c->asize != 8)
		return 0;
	dst = dst_va(v, c, true);
	n = MIN(in_page(dst, c->size, down), count);
	if (in->op == STR_MOVS) {
		src = src_va(v, c, false);
		n = MIN(n, in_page(src, c->size, down));
	}
	if (n < 2)
		return 0;
	/* From the lowest element on. */
	back = down ? (n - 1) * c->size : 0;
	to = soft_host_w(v, dst - back, (unsigned)(n * c->size));
	if (!to)
		return 0;
	if (in->op == STR_STOS) {
		fill(to, v->r[CPU_RAX], c->size, n);
	} else {
		const uint8_t *from = soft_host_r(v, src - back, (unsigned)(n * c->size));

		if (!from)
			return 0;
		/* A destination just ahead of the source repeats the bytes between: one by one. */
		if ((uint64_t)(down ? from - to : to - from) < n * c->size)
			return 0;
		memmove(to, from, n * c->size);
		advance(v, CPU_RSI, c, (int64_t)n * c->step);
	}
	advance(v, CPU_RDI, c, (int64_t)n * c->step);
	return n;
}

static void h_string(struct soft_vcpu *v, const struct insn *in)
{
	struct string_ctx c = { .size = in->size,
				.asize = in->asize,
				.seg = in->seg,
				.step = v->rf & X86_FLAG_DF ? -(int64_t)in->size : in->size };

	if (in->op >= STR_INS)
		soft_io_check(v, (uint16_t)v->r[CPU_RDX], c.size);
	(void)element(v, in, &c);
	INSN_NEXT(v, in);
}

static void h_string_rep(struct soft_vcpu *v, const struct insn *in)
{
	struct string_ctx c = { .size = in->size,
				.asize = in->asize,
				.seg = in->seg,
				.step = v->rf & X86_FLAG_DF ? -(int64_t)in->size : in->size };
	bool want_zf = !(in->flags & INSN_REPNE);
	/* Steps and data breakpoints look at each element. */
	bool in_bulk = (in->op == STR_MOVS || in->op == STR_STOS) && !(v->rf & X86_FLAG_TF) &&
		       !(v->dr7 & 0xff);
	unsigned slice = 0;

	if (in->op >= STR_INS && reg_a(v, CPU_RCX, c.asize))
		soft_io_check(v, (uint16_t)v->r[CPU_RDX], c.size);
	for (;;) {
		uint64_t count = reg_a(v, CPU_RCX, c.asize), n = 0;
		bool test = false;

		if (!count)
			break;
		if (in_bulk)
			n = bulk(v, in, &c, count);
		if (!n) {
			test = element(v, in, &c);
			n = 1;
		}
		op_put(v, CPU_RCX * 8, c.asize, v->r[CPU_RCX] - n);
		if (test && !(v->cc & X86_FLAG_ZF) == want_zf)
			break;
		slice += n > 1 ? 16 : 1;
		/* A breakpoint or step stops after each element; interrupts after a slice. */
		if (v->db_trap || (v->rf & X86_FLAG_TF) ||
		    (slice >= STRING_SLICE &&
		     atomic_load_explicit(&v->attention, memory_order_relaxed))) {
			if (!reg_a(v, CPU_RCX, c.asize))
				break;
			v->rip = soft_next_rip(v, in) - in->len;
			if (v->mode != SOFT_MODE_64)
				v->rip &= v->mode == SOFT_MODE_32 ? 0xffffffff : 0xffff;
			return;
		}
		if (slice >= STRING_SLICE)
			slice = 0;
	}
	INSN_NEXT(v, in);
}

insn_fn op_pick_string(struct op_pick *p, struct insn *in)
{
	const struct soft_zydis *z = p->z;

	if (in->flags & INSN_LOCK)
		return NULL;
	in->op = (uint8_t)p->arg;
	in->seg = CPU_DS;
	in->flags &= (uint8_t) ~(INSN_MEM | INSN_STACK);
	for (unsigned i = 0; i < z->i.operand_count; i++) {
		const ZydisDecodedOperand *o = &z->op[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		in->size = (uint8_t)(o->size / 8);
		if (o->mem.base == ZYDIS_REGISTER_SI || o->mem.base == ZYDIS_REGISTER_ESI ||
		    o->mem.base == ZYDIS_REGISTER_RSI)
			in->seg = (uint8_t)(o->mem.segment - ZYDIS_REGISTER_ES);
	}
	if (in->flags & (INSN_REP | INSN_REPNE))
		return h_string_rep;
	return h_string;
}
