/* SPDX-License-Identifier: MIT */
/*
 * What the FPU and SIMD files share.
 */
#ifndef HOLM_CPU_SOFT_FPU_H
#define HOLM_CPU_SOFT_FPU_H

#include "cpu/soft/native.h"
#include "cpu/soft/ops.h"

/* Offsets in an FXSAVE image: SDM vol. 1, 10.5.1. */
#define FX_FCW	      0
#define FX_FSW	      2
#define FX_FTW	      4
#define FX_FOP	      6
#define FX_FIP	      8
#define FX_FDP	      16
#define FX_MXCSR      24
#define FX_ST	      32
#define FX_XMM	      160

#define FSW_ES	      0x0080u
#define FSW_B	      0x8000u
#define MXCSR_FLAGS   0x3fu
#define MXCSR_MASKS   0x1f80u
#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_VALID   0xffffu

#define FPU_NO_REG    0xffu

/** A native instruction, ready to run; shared by all decodings of the same bytes. */
struct fpu_op {
	const void *code;  /* in executable memory */
	uint16_t mem_size; /* bytes of the memory operand, 0: none */
	uint8_t mem_align; /* #GP unless aligned to this, 0: any address */
	uint8_t base;	   /* register that addresses the operand in the thunk */
	uint8_t alias;	   /* register that stands for RSP in the thunk */
	bool mem_read, mem_write;
	bool vex, mmx;
	bool control; /* x87: does not compute, sees FCW as it is */
	bool no_wait; /* x87: does not look at pending exceptions */
};

/**
 * thunk_get() - the fpu_op for @z, made where it is new; NULL: no room, or it cannot be run so.
 */
const struct fpu_op *thunk_get(struct soft_thunks *t, const struct soft_zydis *z,
			       const uint8_t *bytes);

/**
 * fpu_alignment() - what a memory operand of @size bytes must be aligned to, 0: any address; SDM
 * vol. 2, 2.4 and 2.5 (exception types 1, 2 and 4).
 */
uint8_t fpu_alignment(const struct soft_zydis *z, unsigned size);

void fpu_check_x87(struct soft_vcpu *v, bool waiting);
void fpu_check_sse(struct soft_vcpu *v);
void fpu_check_avx(struct soft_vcpu *v);

/* Handlers that run a thunk (in->aux is the fpu_op). */
void fpu_run_gpr(struct soft_vcpu *v, const struct insn *in);
void fpu_run_sse(struct soft_vcpu *v, const struct insn *in);
void fpu_run_avx(struct soft_vcpu *v, const struct insn *in);
void fpu_run_x87(struct soft_vcpu *v, const struct insn *in);
void fpu_run_mmx(struct soft_vcpu *v, const struct insn *in);
void fpu_run_fwait(struct soft_vcpu *v, const struct insn *in);

/** fpu_pick_move() - a direct handler for the commonest moves, or NULL. */
insn_fn fpu_pick_move(const struct soft_zydis *z, struct insn *in);
/** fpu_pick_state() - FXSAVE and kin, MXCSR, gathers, masked moves; NULL: none of these. */
insn_fn fpu_pick_state(const struct soft_zydis *z, struct insn *in);

#endif
