/* SPDX-License-Identifier: MIT */
/*
 * x87, MMX, SSE, AVX and the bit-manipulation extensions: run on the host CPU.
 *
 * Theory of operation: soft_fpu_decode() makes (or finds) a thunk for the instruction's bytes
 * (thunk.c) and the handler here fills a native_ctx from the vCPU, fetches the memory operand
 * into it, runs the thunk and copies back. Results and flags are therefore the host's own. The
 * commonest moves have direct handlers (fpu_move.c); state instructions (FXSAVE, XSAVE, MXCSR,
 * gathers, masked moves) are in fpu_state.c.
 *
 * Exceptions: the thunk runs with all SIMD exceptions masked and flags clear. If a flag came up
 * that the guest has not masked, nothing is copied back and #XM is raised (SDM vol. 1, 11.5).
 * x87 instructions run masked too; afterwards FSW.ES is recomputed and the next waiting
 * instruction raises #MF (SDM vol. 1, 8.7). Limits: an unmasked x87 exception leaves the masked
 * response in the destination; an unmasked underflow of an exact result is not seen, because the
 * masked one sets no flag (SDM vol. 1, 4.9.1.5).
 */
#include "cpu/soft/fpu.h"

#include <errno.h>
#include <string.h>

/* --- checks ------------------------------------------------------------------------------------
 */

void fpu_check_x87(struct soft_vcpu *v, bool waiting)
{
	if (v->cr0 & (X86_CR0_EM | X86_CR0_TS))
		soft_raise(v, X86_VEC_NM);
	if (waiting && (get_le16(v->fpu.x87 + FX_FSW) & FSW_ES))
		soft_raise(v, X86_VEC_MF);
}

void fpu_check_sse(struct soft_vcpu *v)
{
	if ((v->cr0 & X86_CR0_EM) || !(v->cr4 & X86_CR4_OSFXSR))
		soft_ud(v);
	if (v->cr0 & X86_CR0_TS)
		soft_raise(v, X86_VEC_NM);
}

void fpu_check_avx(struct soft_vcpu *v)
{
	uint64_t need = X86_XCR0_SSE | X86_XCR0_AVX;

	if (soft_real(v) || soft_vm86(v) || !(v->cr4 & X86_CR4_OSXSAVE) || (v->xcr0 & need) != need)
		soft_ud(v);
	if (v->cr0 & X86_CR0_TS)
		soft_raise(v, X86_VEC_NM);
}

static void check_mmx(struct soft_vcpu *v)
{
	if (v->cr0 & X86_CR0_EM)
		soft_ud(v);
	fpu_check_x87(v, true);
}

/* --- contexts ------------------------------------------------------------------------------------
 */

static void load_gprs(struct native_ctx *c, const struct soft_vcpu *v, const struct fpu_op *op)
{
	memcpy(c->r, v->r, sizeof(c->r));
	c->flags = v->cc | X86_FLAG_FIXED;
	if (op->alias != FPU_NO_REG)
		c->r[op->alias] = v->r[CPU_RSP];
	if (op->base != FPU_NO_REG)
		c->r[op->base] = (uintptr_t)c->mem;
}

static void store_gprs(struct soft_vcpu *v, struct native_ctx *c, const struct fpu_op *op)
{
	if (op->alias != FPU_NO_REG) {
		v->r[CPU_RSP] = c->r[op->alias];
		c->r[op->alias] = v->r[op->alias];
	}
	if (op->base != FPU_NO_REG)
		c->r[op->base] = v->r[op->base];
	for (unsigned i = 0; i < 16; i++)
		if (i != CPU_RSP)
			v->r[i] = c->r[i];
	v->cc = c->flags & X86_FLAGS_ARITH;
}

/* The memory operand: read where the instruction reads, probed where it writes. */
static uint64_t fetch_memory(struct soft_vcpu *v, const struct insn *in, const struct fpu_op *op,
			     struct native_ctx *c)
{
	uint64_t va;

	if (!op->mem_size)
		return 0;
	va = soft_ea(v, in, op->mem_size, op->mem_write);
	if (op->mem_align && (va & (op->mem_align - 1)))
		soft_gp(v, 0);
	if (op->mem_read)
		soft_read(v, va, c->mem, op->mem_size);
	if (op->mem_write)
		soft_probe(v, va, op->mem_size, SOFT_WRITE);
	return va;
}

/* --- general registers only (BMI, ADX, CRC32 ...)
 * --------------------------------------------------- */

void fpu_run_gpr(struct soft_vcpu *v, const struct insn *in)
{
	const struct fpu_op *op = in->aux;
	struct native_ctx c;

	if (op->vex && (soft_real(v) || soft_vm86(v)))
		soft_ud(v);
	load_gprs(&c, v, op);
	(void)fetch_memory(v, in, op, &c);
	native_run_gpr(&c, op->code);
	store_gprs(v, &c, op);
	INSN_NEXT(v, in);
}

/* --- SSE and AVX
 * -------------------------------------------------------------------------------------- */

/* Raise what the guest has not masked; else keep the new sticky flags. */
static void merge_mxcsr(struct soft_vcpu *v, uint32_t raised)
{
	uint32_t flags = raised & MXCSR_FLAGS, masked = v->fpu.mxcsr >> 7 & MXCSR_FLAGS;

	v->fpu.mxcsr |= flags;
	if (UNLIKELY(flags & ~masked)) {
		if (v->cr4 & X86_CR4_OSXMMEXCPT)
			soft_raise(v, X86_VEC_XM);
		soft_ud(v);
	}
}

static ALWAYS_INLINE void run_vector(struct soft_vcpu *v, const struct insn *in, bool avx)
{
	const struct fpu_op *op = in->aux;
	struct native_ctx c;
	uint64_t va;

	load_gprs(&c, v, op);
	memcpy(c.ymm, v->fpu.ymm, sizeof(c.ymm));
	c.mxcsr = (v->fpu.mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS;
	va = fetch_memory(v, in, op, &c);
	if (avx)
		native_run_avx(&c, op->code);
	else
		native_run_sse(&c, op->code);
	if (UNLIKELY(c.mxcsr & MXCSR_FLAGS))
		merge_mxcsr(v, c.mxcsr);
	if (op->mem_write)
		soft_write(v, va, c.mem, op->mem_size);
	memcpy(v->fpu.ymm, c.ymm, sizeof(c.ymm));
	store_gprs(v, &c, op);
	INSN_NEXT(v, in);
}

void fpu_run_sse(struct soft_vcpu *v, const struct insn *in)
{
	fpu_check_sse(v);
	run_vector(v, in, false);
}

void fpu_run_avx(struct soft_vcpu *v, const struct insn *in)
{
	fpu_check_avx(v);
	run_vector(v, in, true);
}

/* --- x87 and MMX
 * ----------------------------------------------------------------------------------------- */

static void fix_status(uint8_t *fx)
{
	uint16_t fsw = get_le16(fx + FX_FSW), fcw = get_le16(fx + FX_FCW);
	bool pending = fsw & ~fcw & 0x3f;

	fsw &= (uint16_t) ~(FSW_ES | FSW_B);
	put_le16(fx + FX_FSW, (uint16_t)(pending ? fsw | FSW_ES | FSW_B : fsw));
}

static void run_x87(struct soft_vcpu *v, const struct insn *in, const struct fpu_op *op)
{
	struct native_ctx c;
	uint16_t fcw = get_le16(v->fpu.x87 + FX_FCW);
	uint64_t va;

	load_gprs(&c, v, op);
	memcpy(c.ymm, v->fpu.ymm, sizeof(c.ymm));
	memcpy(c.fx, v->fpu.x87, sizeof(c.fx));
	put_le32(c.fx + FX_MXCSR, MXCSR_DEFAULT);
	put_le32(c.fx + FX_MXCSR + 4, 0);
	c.mxcsr = (v->fpu.mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS;
	if (!op->control) {
		/* Masked, and nothing pending: it must not trap here. */
		put_le16(c.fx + FX_FCW, fcw | 0x3f);
		put_le16(c.fx + FX_FSW, get_le16(c.fx + FX_FSW) & (uint16_t) ~(FSW_ES | FSW_B));
	}
	va = fetch_memory(v, in, op, &c);
	native_run_x87(&c, op->code);
	if (UNLIKELY(c.mxcsr & MXCSR_FLAGS))
		merge_mxcsr(v, c.mxcsr);
	if (!op->control) {
		put_le16(c.fx + FX_FCW, fcw);
		if (!op->mmx) {
			/* Instruction and operand pointers: SDM vol. 1, 8.1.8. */
			put_le64(c.fx + FX_FIP, v->block_va + in->end - in->len);
			if (op->mem_size)
				put_le64(c.fx + FX_FDP, va);
		}
		fix_status(c.fx);
	}
	if (op->mem_write)
		soft_write(v, va, c.mem, op->mem_size);
	memcpy(v->fpu.x87, c.fx, FX_XMM);
	memcpy(v->fpu.ymm, c.ymm, sizeof(c.ymm));
	store_gprs(v, &c, op);
}

void fpu_run_x87(struct soft_vcpu *v, const struct insn *in)
{
	const struct fpu_op *op = in->aux;

	fpu_check_x87(v, !op->no_wait);
	run_x87(v, in, op);
	INSN_NEXT(v, in);
}

void fpu_run_mmx(struct soft_vcpu *v, const struct insn *in)
{
	check_mmx(v);
	run_x87(v, in, in->aux);
	INSN_NEXT(v, in);
}

/* FWAIT: SDM vol. 2, WAIT. */
void fpu_run_fwait(struct soft_vcpu *v, const struct insn *in)
{
	if ((v->cr0 & X86_CR0_TS) && (v->cr0 & X86_CR0_MP))
		soft_raise(v, X86_VEC_NM);
	if (get_le16(v->fpu.x87 + FX_FSW) & FSW_ES)
		soft_raise(v, X86_VEC_MF);
	INSN_NEXT(v, in);
}
