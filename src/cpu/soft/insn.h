/* SPDX-License-Identifier: MIT */
/*
 * The decoded instruction: what the interpreter runs.
 *
 * Theory of operation: code is decoded once (Zydis) into arrays of struct insn, one array a
 * block. A handler does its work and then calls the next instruction's handler as its last act
 * (INSN_NEXT), so a block runs as threaded code; with optimisation the call is a jump, without it
 * the stack grows by at most a block's length. A handler that changes where or how execution goes
 * on sets v->rip and returns instead.
 *
 * The guest's RIP is not kept per instruction: it is v->block_va + in->end (address of the next
 * instruction). v->cur names the instruction that runs, for faults.
 */
#ifndef HOLM_CPU_SOFT_INSN_H
#define HOLM_CPU_SOFT_INSN_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>

struct soft_vcpu;
struct insn;

typedef void (*insn_fn)(struct soft_vcpu *v, const struct insn *in);

/** How the memory operand's address is made. */
enum insn_ea {
	INSN_EA_FLAT,	 /* 64-bit mode, base + index + disp, no segment base, 64-bit addresses */
	INSN_EA_RIP,	 /* 64-bit mode, relative to the next instruction */
	INSN_EA_GENERIC, /* anything else: soft_ea_generic() */
};

#define INSN_REP      0x01u /* F3 */
#define INSN_REPNE    0x02u /* F2 */
#define INSN_LOCK     0x04u
#define INSN_STACK    0x08u /* memory access is to the stack: faults are #SS */
#define INSN_MEM      0x10u /* has an explicit memory operand */
#define INSN_ABS_RIP  0x20u /* EA_GENERIC with RIP base (segment or address-size prefix) */

#define INSN_REG_NONE 128 /* byte offset of the register that is always 0 */

struct insn {
	insn_fn fn;
	union {
		int64_t imm;	 /* immediate, sign-extended to 64 bits; branch displacement */
		const void *aux; /* FPU/SIMD: the handler's own */
	};
	int32_t disp;  /* of the memory operand */
	uint16_t end;  /* bytes from the block's start to the next instruction */
	uint8_t len;   /* 1..15 */
	uint8_t flags; /* INSN_* */
	uint8_t ea;    /* enum insn_ea */
	/* Registers as byte offsets into soft_vcpu.r: index * 8, + 1 for AH, CH, DH, BH. */
	uint8_t dst, src, base, index;
	uint8_t scale; /* shift, 0..3 */
	uint8_t seg;   /* enum cpu_seg of the memory operand */
	uint8_t size;  /* operand size in bytes */
	uint8_t asize; /* address size in bytes */
	uint8_t op;    /* sub-operation or condition */
	uint8_t x[2];  /* the handler's own */
};

static_assert(sizeof(struct insn) == 40, "a packed decode word");

#endif
