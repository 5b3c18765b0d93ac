/* SPDX-License-Identifier: MIT */
/*
 * FPU state: FXSAVE and XSAVE families, MXCSR, and moves whose memory access depends on data
 * (gathers, masked moves); reset, and the standard XSAVE image of struct cpu_state.
 *
 * Source: SDM vol. 1, 10.5 (FXSAVE) and 13.4 (XSAVE area), vol. 2 for each instruction.
 */
#include "cpu/soft/fpu.h"

#include <errno.h>
#include <string.h>

#define XSAVE_HEADER 512
#define XSAVE_AVX    576
#define XSAVE_SIZE   832

/* --- images --------------------------------------------------------------------------------- */

/* The legacy area as FXSAVE writes it; @regs: how many XMM registers are visible. */
static void make_legacy(const struct soft_vcpu *v, uint8_t *p, unsigned regs)
{
	memcpy(p, v->fpu.x87, FX_XMM);
	put_le32(p + FX_MXCSR, v->fpu.mxcsr);
	put_le32(p + FX_MXCSR + 4, MXCSR_VALID);
	for (unsigned i = 0; i < regs; i++)
		memcpy(p + FX_XMM + i * 16, v->fpu.ymm[i], 16);
}

static void x87_init(uint8_t *p)
{
	memset(p, 0, FX_XMM);
	put_le16(p + FX_FCW, 0x37f);
}

static void load_x87(struct soft_vcpu *v, const uint8_t *p)
{
	memcpy(v->fpu.x87, p, FX_XMM);
	put_le32(v->fpu.x87 + FX_MXCSR, MXCSR_DEFAULT);
	/* ES and B follow from the flags and masks. */
	{
		uint16_t fsw = get_le16(p + FX_FSW), fcw = get_le16(p + FX_FCW);
		bool pending = fsw & ~fcw & 0x3f;

		fsw &= (uint16_t) ~(FSW_ES | FSW_B);
		put_le16(v->fpu.x87 + FX_FSW, (uint16_t)(pending ? fsw | FSW_ES | FSW_B : fsw));
	}
}

static unsigned visible_xmm(const struct soft_vcpu *v)
{
	return v->mode == SOFT_MODE_64 ? 16 : 8;
}

/* --- FXSAVE, FXRSTOR ---------------------------------------------------------------------------
 */

static void check_fx(struct soft_vcpu *v)
{
	if (v->cr0 & (X86_CR0_EM | X86_CR0_TS))
		soft_raise(v, X86_VEC_NM);
}

static uint64_t aligned_ea(struct soft_vcpu *v, const struct insn *in, unsigned size,
			   unsigned align, bool write)
{
	uint64_t va = soft_ea(v, in, size, write);

	if (va & (align - 1))
		soft_gp(v, 0);
	return va;
}

static void h_fxsave(struct soft_vcpu *v, const struct insn *in)
{
	uint8_t img[512];
	uint64_t va;

	check_fx(v);
	va = aligned_ea(v, in, 512, 16, true);
	/* Bytes 464 and up belong to software: keep them. */
	soft_read(v, va, img, 512);
	make_legacy(v, img, v->cr4 & X86_CR4_OSFXSR ? visible_xmm(v) : 0);
	soft_write(v, va, img, 512);
	INSN_NEXT(v, in);
}

static void h_fxrstor(struct soft_vcpu *v, const struct insn *in)
{
	uint8_t img[512];

	check_fx(v);
	soft_read(v, aligned_ea(v, in, 512, 16, false), img, 512);
	if (get_le32(img + FX_MXCSR) & ~MXCSR_VALID)
		soft_gp(v, 0);
	load_x87(v, img);
	if (v->cr4 & X86_CR4_OSFXSR) {
		v->fpu.mxcsr = get_le32(img + FX_MXCSR);
		for (unsigned i = 0; i < visible_xmm(v); i++)
			memcpy(v->fpu.ymm[i], img + FX_XMM + i * 16, 16);
	}
	INSN_NEXT(v, in);
}

/* --- XSAVE, XRSTOR -------------------------------------------------------------------------------
 */

static uint64_t check_xsave(struct soft_vcpu *v)
{
	if (!(v->cr4 & X86_CR4_OSXSAVE))
		soft_ud(v);
	if (v->cr0 & X86_CR0_TS)
		soft_raise(v, X86_VEC_NM);
	return ((uint32_t)v->r[CPU_RAX] | v->r[CPU_RDX] << 32) & v->xcr0;
}

static void h_xsave(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t rfbm = check_xsave(v), bv, va;
	unsigned size = rfbm & X86_XCR0_AVX ? XSAVE_SIZE : XSAVE_AVX, regs = visible_xmm(v);
	uint8_t img[XSAVE_SIZE];

	va = aligned_ea(v, in, size, 64, true);
	soft_read(v, va, img, size);
	if (rfbm & X86_XCR0_X87) {
		uint32_t mxcsr = get_le32(img + FX_MXCSR), mask = get_le32(img + FX_MXCSR + 4);

		memcpy(img, v->fpu.x87, FX_XMM);
		put_le32(img + FX_MXCSR, mxcsr);
		put_le32(img + FX_MXCSR + 4, mask);
	}
	if (rfbm & (X86_XCR0_SSE | X86_XCR0_AVX)) {
		put_le32(img + FX_MXCSR, v->fpu.mxcsr);
		put_le32(img + FX_MXCSR + 4, MXCSR_VALID);
	}
	if (rfbm & X86_XCR0_SSE)
		for (unsigned i = 0; i < regs; i++)
			memcpy(img + FX_XMM + i * 16, v->fpu.ymm[i], 16);
	if (rfbm & X86_XCR0_AVX)
		for (unsigned i = 0; i < regs; i++)
			memcpy(img + XSAVE_AVX + i * 16, v->fpu.ymm[i] + 16, 16);
	/* All that was asked for counts as in use: no component is tracked as initial. */
	bv = get_le64(img + XSAVE_HEADER);
	put_le64(img + XSAVE_HEADER, (bv & ~rfbm) | rfbm);
	soft_write(v, va, img, size);
	INSN_NEXT(v, in);
}

static void restore_vectors(struct soft_vcpu *v, const uint8_t *img, uint64_t rfbm, uint64_t bv)
{
	unsigned regs = visible_xmm(v);

	for (unsigned i = 0; i < regs; i++) {
		if (rfbm & X86_XCR0_SSE) {
			if (bv & X86_XCR0_SSE)
				memcpy(v->fpu.ymm[i], img + FX_XMM + i * 16, 16);
			else
				memset(v->fpu.ymm[i], 0, 16);
		}
		if (rfbm & X86_XCR0_AVX) {
			if (bv & X86_XCR0_AVX)
				memcpy(v->fpu.ymm[i] + 16, img + XSAVE_AVX + i * 16, 16);
			else
				memset(v->fpu.ymm[i] + 16, 0, 16);
		}
	}
}

static void h_xrstor(struct soft_vcpu *v, const struct insn *in)
{
	uint64_t rfbm = check_xsave(v), bv;
	unsigned size = rfbm & X86_XCR0_AVX ? XSAVE_SIZE : XSAVE_AVX;
	uint8_t img[XSAVE_SIZE];

	soft_read(v, aligned_ea(v, in, size, 64, false), img, size);
	bv = get_le64(img + XSAVE_HEADER);
	/* Standard form only: XCOMP_BV and the reserved bytes must be 0 (13.8.1). */
	if ((bv & ~v->xcr0) || get_le64(img + XSAVE_HEADER + 8) ||
	    get_le64(img + XSAVE_HEADER + 16))
		soft_gp(v, 0);
	if ((rfbm & (X86_XCR0_SSE | X86_XCR0_AVX)) && (get_le32(img + FX_MXCSR) & ~MXCSR_VALID))
		soft_gp(v, 0);
	if (rfbm & X86_XCR0_X87) {
		if (bv & X86_XCR0_X87) {
			load_x87(v, img);
		} else {
			x87_init(v->fpu.x87);
		}
	}
	if (rfbm & (X86_XCR0_SSE | X86_XCR0_AVX))
		v->fpu.mxcsr = get_le32(img + FX_MXCSR);
	restore_vectors(v, img, rfbm, bv);
	INSN_NEXT(v, in);
}

/* --- MXCSR
 * ---------------------------------------------------------------------------------------- */

/* x[1]: the VEX form. */
static void h_ldmxcsr(struct soft_vcpu *v, const struct insn *in)
{
	uint32_t val;

	if (in->x[1])
		fpu_check_avx(v);
	else
		fpu_check_sse(v);
	val = (uint32_t)soft_load(v, soft_ea(v, in, 4, false), 4);
	if (val & ~MXCSR_VALID)
		soft_gp(v, 0);
	v->fpu.mxcsr = val;
	INSN_NEXT(v, in);
}

static void h_stmxcsr(struct soft_vcpu *v, const struct insn *in)
{
	if (in->x[1])
		fpu_check_avx(v);
	else
		fpu_check_sse(v);
	soft_store(v, soft_ea(v, in, 4, true), 4, v->fpu.mxcsr);
	INSN_NEXT(v, in);
}

/* --- gathers: dst, index register in x[0], mask in src; op: element bytes, x[1]: index bytes
 * ------- */

static uint64_t gather_base(struct soft_vcpu *v, const struct insn *in)
{
	return soft_reg(v, in->base) + (uint64_t)(int64_t)in->disp;
}

/* size: bytes of the destination register. Elements done clear their mask, so a fault resumes. */
static void h_gather(struct soft_vcpu *v, const struct insn *in)
{
	unsigned es = in->op, is = in->x[1], n = in->size / MAX(es, is);
	uint8_t *dst, *mask;
	const uint8_t *index;

	fpu_check_avx(v);
	if (in->dst == in->src || in->dst == in->x[0] || in->src == in->x[0])
		soft_ud(v);
	dst = v->fpu.ymm[in->dst];
	mask = v->fpu.ymm[in->src];
	index = v->fpu.ymm[in->x[0]];
	for (unsigned i = 0; i < n; i++) {
		uint64_t off, val;

		if (!(mask[i * es + es - 1] & 0x80))
			continue;
		off = gather_base(v, in) +
		      ((uint64_t)op_sext(get_le(index + i * is, is), is) << in->scale);
		off &= size_mask(in->asize);
		val = soft_load(v, soft_seg_linear(v, in->seg, off, es, false), es);
		put_le(dst + i * es, es, val);
		memset(mask + i * es, 0, es);
	}
	memset(mask, 0, 32);
	memset(dst + n * es, 0, 32 - n * es);
	INSN_NEXT(v, in);
}

static insn_fn pick_gather(const struct soft_zydis *z, struct insn *in, unsigned es, unsigned is)
{
	ZydisRegister idx = z->op[1].mem.index;
	bool ymm = ZydisRegisterGetClass(idx) == ZYDIS_REGCLASS_YMM;
	int d = soft_operand_simd(&z->op[0]), m = soft_operand_simd(&z->op[2]);

	if (d < 0 || m < 0 || z->op[1].type != ZYDIS_OPERAND_TYPE_MEMORY)
		return NULL;
	in->dst = (uint8_t)d;
	in->src = (uint8_t)m;
	in->x[0] = (uint8_t)(idx - (ymm ? ZYDIS_REGISTER_YMM0 : ZYDIS_REGISTER_XMM0));
	in->x[1] = (uint8_t)is;
	in->op = (uint8_t)es;
	in->index = INSN_REG_NONE;
	/* VEX.L sizes the larger of data and index. */
	in->size = z->i.raw.vex.L ? 32 : 16;
	return h_gather;
}

/* --- masked moves: dst/src data, x[0] mask register; op: element bytes
 * ------------------------------ */

static void h_maskload(struct soft_vcpu *v, const struct insn *in)
{
	unsigned es = in->op;
	uint8_t tmp[32] = { 0 };
	const uint8_t *mask;
	uint64_t va;

	fpu_check_avx(v);
	mask = v->fpu.ymm[in->x[0]];
	va = soft_ea(v, in, 1, false);
	for (unsigned i = 0; i < in->size; i += es)
		if (mask[i + es - 1] & 0x80)
			put_le(tmp + i, es, soft_load(v, va + i, es));
	memcpy(v->fpu.ymm[in->dst], tmp, 32);
	INSN_NEXT(v, in);
}

static void h_maskstore(struct soft_vcpu *v, const struct insn *in)
{
	unsigned es = in->op;
	const uint8_t *mask, *src;
	uint64_t va;

	fpu_check_avx(v);
	mask = v->fpu.ymm[in->x[0]];
	src = v->fpu.ymm[in->src];
	va = soft_ea(v, in, 1, true);
	for (unsigned i = 0; i < in->size; i += es)
		if (mask[i + es - 1] & 0x80)
			soft_probe(v, va + i, es, SOFT_WRITE);
	for (unsigned i = 0; i < in->size; i += es)
		if (mask[i + es - 1] & 0x80)
			soft_store(v, va + i, es, get_le(src + i, es));
	INSN_NEXT(v, in);
}

static insn_fn pick_mask(const struct soft_zydis *z, struct insn *in, unsigned es)
{
	int a = soft_operand_simd(&z->op[0]), m = soft_operand_simd(&z->op[1]),
	    s = soft_operand_simd(&z->op[2]);

	if (m < 0)
		return NULL;
	in->op = (uint8_t)es;
	in->x[0] = (uint8_t)m;
	in->size = z->i.raw.vex.L ? 32 : 16;
	if (a >= 0) {
		in->dst = (uint8_t)a;
		return h_maskload;
	}
	if (s < 0)
		return NULL;
	in->src = (uint8_t)s;
	return h_maskstore;
}

/* MASKMOVDQU and MASKMOVQ: bytes of dst to DS:[RDI] where src's byte has its top bit set. */
static void h_maskmov(struct soft_vcpu *v, const struct insn *in)
{
	const uint8_t *data, *mask;

	if (in->size == 8) {
		if (v->cr0 & X86_CR0_EM)
			soft_ud(v);
		fpu_check_x87(v, true);
		data = v->fpu.x87 + FX_ST + in->dst * 16;
		mask = v->fpu.x87 + FX_ST + in->src * 16;
	} else {
		if (in->x[1])
			fpu_check_avx(v);
		else
			fpu_check_sse(v);
		data = v->fpu.ymm[in->dst];
		mask = v->fpu.ymm[in->src];
	}
	for (unsigned i = 0; i < in->size; i++) {
		uint64_t off = (v->r[CPU_RDI] + i) & size_mask(in->asize);

		if (mask[i] & 0x80)
			soft_store(v, soft_seg_linear(v, in->seg, off, 1, true), 1, data[i]);
	}
	INSN_NEXT(v, in);
}

static insn_fn pick_maskmov(const struct soft_zydis *z, struct insn *in, bool mmx)
{
	in->seg = CPU_DS;
	for (unsigned i = 0; i < z->i.operand_count; i++)
		if (z->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			in->seg = (uint8_t)(z->op[i].mem.segment - ZYDIS_REGISTER_ES);
	in->flags &= (uint8_t)~INSN_MEM;
	if (mmx) {
		in->dst = (uint8_t)(z->op[0].reg.value - ZYDIS_REGISTER_MM0);
		in->src = (uint8_t)(z->op[1].reg.value - ZYDIS_REGISTER_MM0);
		in->size = 8;
	} else {
		in->dst = (uint8_t)soft_operand_simd(&z->op[0]);
		in->src = (uint8_t)soft_operand_simd(&z->op[1]);
		in->size = 16;
		in->x[1] = (z->i.attributes & ZYDIS_ATTRIB_HAS_VEX) != 0;
	}
	return h_maskmov;
}

insn_fn fpu_pick_state(const struct soft_zydis *z, struct insn *in)
{
	switch (z->i.mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
		return h_fxsave;
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		return h_fxrstor;
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XSAVEOPT:
	case ZYDIS_MNEMONIC_XSAVEOPT64:
		return h_xsave;
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		return h_xrstor;
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
		in->x[1] = z->i.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR;
		return h_ldmxcsr;
	case ZYDIS_MNEMONIC_STMXCSR:
	case ZYDIS_MNEMONIC_VSTMXCSR:
		in->x[1] = z->i.mnemonic == ZYDIS_MNEMONIC_VSTMXCSR;
		return h_stmxcsr;
	case ZYDIS_MNEMONIC_VPGATHERDD:
	case ZYDIS_MNEMONIC_VGATHERDPS:
		return pick_gather(z, in, 4, 4);
	case ZYDIS_MNEMONIC_VPGATHERDQ:
	case ZYDIS_MNEMONIC_VGATHERDPD:
		return pick_gather(z, in, 8, 4);
	case ZYDIS_MNEMONIC_VPGATHERQD:
	case ZYDIS_MNEMONIC_VGATHERQPS:
		return pick_gather(z, in, 4, 8);
	case ZYDIS_MNEMONIC_VPGATHERQQ:
	case ZYDIS_MNEMONIC_VGATHERQPD:
		return pick_gather(z, in, 8, 8);
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
		return pick_mask(z, in, 4);
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return pick_mask(z, in, 8);
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
		return pick_maskmov(z, in, false);
	case ZYDIS_MNEMONIC_MASKMOVQ:
		return pick_maskmov(z, in, true);
	default:
		return NULL;
	}
}

/* --- reset and exchange with struct cpu_state
 * --------------------------------------------------------- */

void soft_fpu_reset(struct soft_vcpu *v)
{
	memset(&v->fpu, 0, sizeof(v->fpu));
	/* After power-on, before FNINIT: SDM vol. 3A, table 9-1. */
	x87_init(v->fpu.x87);
	put_le16(v->fpu.x87 + FX_FCW, 0x40);
	v->fpu.x87[FX_FTW] = 0xff;
	put_le32(v->fpu.x87 + FX_MXCSR, MXCSR_DEFAULT);
	v->fpu.mxcsr = MXCSR_DEFAULT;
}

void soft_fpu_save(const struct soft_vcpu *v, uint8_t *xsave)
{
	make_legacy(v, xsave, 16);
	memset(xsave + XSAVE_HEADER, 0, 64);
	put_le64(xsave + XSAVE_HEADER,
		 X86_XCR0_X87 | X86_XCR0_SSE | (v->xcr0_allowed & X86_XCR0_AVX));
	for (unsigned i = 0; i < 16; i++)
		memcpy(xsave + XSAVE_AVX + i * 16, v->fpu.ymm[i] + 16, 16);
}

int soft_fpu_load(struct soft_vcpu *v, const uint8_t *xsave)
{
	uint64_t bv = get_le64(xsave + XSAVE_HEADER);
	uint64_t known = X86_XCR0_X87 | X86_XCR0_SSE | (v->xcr0_allowed & X86_XCR0_AVX);

	if ((bv & ~known) || get_le64(xsave + XSAVE_HEADER + 8) ||
	    (get_le32(xsave + FX_MXCSR) & ~MXCSR_VALID))
		return -EINVAL;
	if (bv & X86_XCR0_X87)
		load_x87(v, xsave);
	else
		x87_init(v->fpu.x87);
	v->fpu.mxcsr =
		bv & (X86_XCR0_SSE | X86_XCR0_AVX) ? get_le32(xsave + FX_MXCSR) : MXCSR_DEFAULT;
	for (unsigned i = 0; i < 16; i++) {
		if (bv & X86_XCR0_SSE)
			memcpy(v->fpu.ymm[i], xsave + FX_XMM + i * 16, 16);
		else
			memset(v->fpu.ymm[i], 0, 16);
		if (bv & X86_XCR0_AVX)
			memcpy(v->fpu.ymm[i] + 16, xsave + XSAVE_AVX + i * 16, 16);
		else
			memset(v->fpu.ymm[i] + 16, 0, 16);
	}
	return 0;
}
