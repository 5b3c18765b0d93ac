/* SPDX-License-Identifier: MIT */
/*
 * The translator's own state and the parts it is made of.
 *
 * Theory of operation: see docs/ENGINE.md, "Translator". Each vCPU has a code area within 2 GiB
 * of its struct soft_vcpu, so translated code reaches the vCPU's fields relative to RIP and needs
 * no register for it. Guest registers live in host registers as jit_home says, those that
 * compilers use least in v->r; host R13..R15 are scratch; host RSP is the host's stack. The six
 * arithmetic flags are in EFLAGS or in v->jit_cc.
 */
#ifndef HOLM_CPU_SOFT_JIT_JIT_H
#define HOLM_CPU_SOFT_JIT_JIT_H

#include "cpu/soft/soft.h"
#include "cpu/soft/xmem.h"

/* Host registers by their numbers in encodings. */
enum jit_reg {
	HOST_RAX,
	HOST_RCX,
	HOST_RDX,
	HOST_RBX,
	HOST_RSP,
	HOST_RBP,
	HOST_RSI,
	HOST_RDI,
	HOST_R8,
	HOST_R9,
	HOST_R10,
	HOST_R11,
	HOST_R12,
	HOST_R13, /* scratch: an operand's address */
	HOST_R14, /* scratch: the operand in ModRM.reg */
	HOST_R15, /* scratch: the operand in ModRM.rm */
};

/** Guest register to host register, -1: it lives in v->r. enter.S has the same table. */
static const int8_t jit_home[CPU_R15 + 1] = {
	[CPU_RAX] = HOST_RAX, [CPU_RCX] = HOST_RCX, [CPU_RDX] = HOST_RDX, [CPU_RBX] = HOST_RBX,
	[CPU_RSP] = HOST_R12, [CPU_RBP] = HOST_RBP, [CPU_RSI] = HOST_RSI, [CPU_RDI] = HOST_RDI,
	[CPU_R8] = HOST_R8,   [CPU_R9] = -1,	    [CPU_R10] = -1,	  [CPU_R11] = -1,
	[CPU_R12] = HOST_R9,  [CPU_R13] = HOST_R10, [CPU_R14] = HOST_R11, [CPU_R15] = -1,
};

/* The end of a block that may be linked to a block of the same page. */
struct jit_slot {
	uint8_t *at; /* its rel32, through the writable mapping */
	gpa_t gpa;   /* of the target */
	uint32_t mode;
	bool in_cc; /* flags are in v->jit_cc there */
	bool ahead; /* to further on in the page, and no CALL */
};

#define TRIAL_SAMPLES 2 /* how long a page's blocks are in the second tier */

struct soft_jit {
	struct soft_vcpu *v;
	struct xmem code;
	/*
	 * The first part of the area is for what is run all the time, so that it is together;
	 * the rest for what is out of the way.
	 */
	size_t code_start, cold_used; /* behind the stubs; code.used is the first part's */
	unsigned next_cross;
	uint8_t *data; /* struct insn copies and slots */
	size_t data_used;
	/* Samples of where time goes: how many were on a page; pages on trial, by sample. */
	unsigned n_samples, n_renewed;
	uint8_t page_samples[4096];
	gpa_t trial[TRIAL_SAMPLES];
	void *work; /* jit_translate()'s, jit_work_size() bytes */
	/* Stubs, addresses in the executable mapping. */
	unsigned next_site, next_runs;
	const uint8_t *exit_cc, *exit_flags, *exit_r13, *cross, *call_handler, *load_simd,
		*load_x87;
};

#define JIT_DATA_SIZE (64u << 20)
/*
 * At most, of one block: an instruction takes some 250 bytes; out of the way a block's code may be
 * there again, and each instruction some 60 bytes several times.
 */
#define JIT_BLOCK_CODE ((SOFT_BLOCK_MAX + 8) * 384u)
#define JIT_BLOCK_COLD ((SOFT_BLOCK_MAX + 8) * 1536u)
#define JIT_BLOCK_DATA 16384u

/* Six arithmetic flags in RFLAGS. */
#define JIT_FLAGS 0x8d5u

/** The translator of this host's own instruction set. */
extern const struct jit_ops soft_jit_ops;

/**
 * soft_jit_enter() - run translated code from its entry for flags in v->jit_cc, until it leaves.
 * @sp gets the stack pointer in translated code while no CALL is open and the lowest that there may
 * be; @bottom is where a RET
 * goes that has no CALL.
 */
void soft_jit_enter(struct soft_vcpu *v, const void *code, uint64_t *sp, const void *bottom);

/** jit_translate() - code for @b into @j, or false. */
bool jit_translate(struct soft_jit *j, struct soft_block *b);

/** jit_simd_denied() - whether SIMD must be left to the handlers as control registers stand now. */
static inline bool jit_simd_denied(const struct soft_vcpu *v)
{
	const uint64_t cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE, xcr0 = X86_XCR0_SSE | X86_XCR0_AVX;

	return (v->cr0 & (X86_CR0_EM | X86_CR0_TS)) || (v->cr4 & cr4) != cr4 ||
	       (v->xcr0 & xcr0) != xcr0 || (v->fpu.mxcsr & 0x1f80) != 0x1f80 ||
	       (v->fpu.x87[0] & 0x3f) != 0x3f || (v->fpu.x87[2] & 0x80);
}

/** jit_work_size() - bytes of soft_jit.work. */
size_t jit_work_size(void);

struct emit;

/** jit_emit_cross_stub() - for jumps from page to page; see there. */
void jit_emit_cross_stub(struct emit *e);

/** jit_stubs() - what all blocks of a vCPU share, at the start of its code area. */
void jit_stubs(struct soft_jit *j);

#endif
