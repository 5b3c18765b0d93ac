/* SPDX-License-Identifier: MIT */
/*
 * Running one guest instruction on the host CPU with the guest's registers.
 *
 * Theory of operation: a thunk is the guest's own instruction, its memory operand replaced by
 * [base] with a base register it does not use, and a RET behind it. native_run_*() loads the
 * registers of a struct native_ctx, calls the thunk and stores them back. Nothing that a thunk
 * does can fault: memory operands point into the context, floating-point exceptions are masked.
 */
#ifndef HOLM_CPU_SOFT_NATIVE_H
#define HOLM_CPU_SOFT_NATIVE_H

#include "base/compiler.h"

#include <stdint.h>

#define NATIVE_MEM 512

struct native_ctx {
	uint64_t r[16]; /* [4] (RSP) is neither loaded nor stored */
	uint64_t flags; /* arithmetic flags only */
	uint32_t mxcsr, pad;
	uint8_t ALIGNED(64) ymm[16][32];
	uint8_t ALIGNED(64) fx[512];	     /* FXSAVE64 image, for native_run_x87() */
	uint8_t ALIGNED(64) mem[NATIVE_MEM]; /* the memory operand */
};

static_assert(offsetof(struct native_ctx, flags) == 128, "known to the assembly");
static_assert(offsetof(struct native_ctx, mxcsr) == 136, "known to the assembly");
static_assert(offsetof(struct native_ctx, ymm) == 192, "known to the assembly");
static_assert(offsetof(struct native_ctx, fx) == 704, "known to the assembly");

/** General registers and flags only. */
void native_run_gpr(struct native_ctx *c, const void *code);
/** And vector registers, as XMM or as YMM, and MXCSR. */
void native_run_sse(struct native_ctx *c, const void *code);
void native_run_avx(struct native_ctx *c, const void *code);
/** And the x87 state. */
void native_run_x87(struct native_ctx *c, const void *code);

#endif
