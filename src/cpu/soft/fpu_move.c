/* SPDX-License-Identifier: MIT */
/*
 * The commonest vector moves, without a thunk: whole registers, MOVD and MOVQ, scalar loads and
 * stores, and clearing a register with itself. dst and src hold register numbers here; x[0] is
 * the width in bytes, x[1] bit 0: VEX (clear the upper half), bit 1: address must be aligned.
 */
#include "cpu/soft/fpu.h"

#include <string.h>

#define MOVE_VEX     1u
#define MOVE_ALIGNED 2u

static ALWAYS_INLINE void check(struct soft_vcpu *v, const struct insn *in)
{
	if (in->x[1] & MOVE_VEX)
		fpu_check_avx(v);
	else
		fpu_check_sse(v);
}

/* After a VEX write of less than 32 bytes the rest of the register is 0. */
static ALWAYS_INLINE void clear_upper(struct soft_vcpu *v, const struct insn *in, unsigned reg,
				      unsigned from)
{
	unsigned to = in->x[1] & MOVE_VEX ? 32 : 16;

	if (from < to)
		memset(v->fpu.ymm[reg] + from, 0, to - from);
}

static ALWAYS_INLINE uint64_t address(struct soft_vcpu *v, const struct insn *in, unsigned size,
				      bool write)
{
	uint64_t va = soft_ea(v, in, size, write);

	if ((in->x[1] & MOVE_ALIGNED) && (va & (size - 1)))
		soft_gp(v, 0);
	return va;
}

#define WHOLE(N)                                                                                   \
	static void h_load##N(struct soft_vcpu *v, const struct insn *in)                          \
	{                                                                                          \
		uint8_t tmp[N];                                                                    \
                                                                                                   \
		check(v, in);                                                                      \
		soft_read(v, address(v, in, N, false), tmp, N);                                    \
		memcpy(v->fpu.ymm[in->dst], tmp, N);                                               \
		clear_upper(v, in, in->dst, N);                                                    \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_store##N(struct soft_vcpu *v, const struct insn *in)                         \
	{                                                                                          \
		check(v, in);                                                                      \
		soft_write(v, address(v, in, N, true), v->fpu.ymm[in->src], N);                    \
		INSN_NEXT(v, in);                                                                  \
	}                                                                                          \
	static void h_copy##N(struct soft_vcpu *v, const struct insn *in)                          \
	{                                                                                          \
		check(v, in);                                                                      \
		memmove(v->fpu.ymm[in->dst], v->fpu.ymm[in->src], N);                              \
		if (in->x[1] & MOVE_VEX)                                                           \
			clear_upper(v, in, in->dst, N);                                            \
		INSN_NEXT(v, in);                                                                  \
	}

WHOLE(16)
WHOLE(32)

/* 4 or 8 bytes from memory or a general register; the rest is cleared. */
static void h_load_small(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t val;

	check(v, in);
	val = in->flags & INSN_MEM ? soft_load(v, soft_ea(v, in, in->x[0], false), in->x[0])
				   : op_get(v, in->src, in->x[0]);
	put_le64(v->fpu.ymm[in->dst], in->x[0] == 4 ? (uint32_t)val : val);
	clear_upper(v, in, in->dst, 8);
	INSN_NEXT(v, in);
}

static void h_store_small(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t val;

	check(v, in);
	val = get_le(v->fpu.ymm[in->src], in->x[0]);
	if (in->flags & INSN_MEM)
		soft_store(v, soft_ea(v, in, in->x[0], true), in->x[0], val);
	else
		op_put(v, in->dst, in->x[0], val);
	INSN_NEXT(v, in);
}

/* PXOR, XORPS ... of a register with itself. */
static void h_clear(struct soft_vcpu *v, const struct insn *in)
{
	check(v, in);
	memset(v->fpu.ymm[in->dst], 0, in->x[1] & MOVE_VEX ? 32 : 16);
	INSN_NEXT(v, in);
}

static insn_fn pick_whole(const struct soft_zydis *z, struct insn *in, bool aligned)
{
	int d = soft_operand_simd(&z->op[0]), s = soft_operand_simd(&z->op[1]);
	bool wide = z->op[0].size == 256;

	if (aligned)
		in->x[1] |= MOVE_ALIGNED;
	if (d >= 0)
		in->dst = (uint8_t)d;
	if (s >= 0)
		in->src = (uint8_t)s;
	if (d >= 0 && s >= 0)
		return wide ? h_copy32 : h_copy16;
	if (d >= 0)
		return wide ? h_load32 : h_load16;
	return wide ? h_store32 : h_store16;
}

/* MOVD, MOVQ and scalar MOVSS/MOVSD with memory. @size: bytes that move. */
static insn_fn pick_small(const struct soft_zydis *z, struct insn *in, unsigned size)
{
	int d = soft_operand_simd(&z->op[0]), s = soft_operand_simd(&z->op[1]);

	in->x[0] = (uint8_t)size;
	if (d >= 0 && s < 0) {
		in->dst = (uint8_t)d;
		return h_load_small;
	}
	if (s >= 0 && d < 0) {
		in->src = (uint8_t)s;
		return h_store_small;
	}
	return NULL; /* register to register: a thunk */
}

static insn_fn pick_clear(const struct soft_zydis *z, struct insn *in, bool vex)
{
	int d = soft_operand_simd(&z->op[0]), a = soft_operand_simd(&z->op[vex ? 1 : 0]);
	int b = soft_operand_simd(&z->op[vex ? 2 : 1]);

	if (d < 0 || a < 0 || a != b || z->op[0].size < 128)
		return NULL;
	in->dst = (uint8_t)d;
	return h_clear;
}

static bool has_mmx(const struct soft_zydis *z)
{
	for (unsigned i = 0; i < z->i.operand_count_visible; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(z->op[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return true;
	return false;
}

insn_fn fpu_pick_move(const struct soft_zydis *z, struct insn *in)
{
	bool vex = z->i.attributes & ZYDIS_ATTRIB_HAS_VEX;

	if (has_mmx(z))
		return NULL;
	in->x[1] = vex ? MOVE_VEX : 0;
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_MOVAPS:
	case ZYDIS_MNEMONIC_MOVAPD:
	case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVNTPS:
	case ZYDIS_MNEMONIC_MOVNTPD:
	case ZYDIS_MNEMONIC_MOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
		return pick_whole(z, in, true);
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_VMOVUPS:
	case ZYDIS_MNEMONIC_VMOVUPD:
	case ZYDIS_MNEMONIC_VMOVDQU:
		return pick_whole(z, in, false);
	case ZYDIS_MNEMONIC_MOVD:
	case ZYDIS_MNEMONIC_VMOVD:
		return pick_small(z, in, 4);
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_VMOVQ:
		return pick_small(z, in, 8);
	case ZYDIS_MNEMONIC_MOVSS:
	case ZYDIS_MNEMONIC_VMOVSS:
		return in->flags & INSN_MEM ? pick_small(z, in, 4) : NULL;
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_VMOVSD:
		return in->flags & INSN_MEM ? pick_small(z, in, 8) : NULL;
	case ZYDIS_MNEMONIC_PXOR:
	case ZYDIS_MNEMONIC_XORPS:
	case ZYDIS_MNEMONIC_XORPD:
		return pick_clear(z, in, false);
	case ZYDIS_MNEMONIC_VPXOR:
	case ZYDIS_MNEMONIC_VXORPS:
	case ZYDIS_MNEMONIC_VXORPD:
		return pick_clear(z, in, true);
	default:
		return NULL;
	}
}
