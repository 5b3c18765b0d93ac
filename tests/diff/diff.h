/* SPDX-License-Identifier: MIT */
/*
 * Differential tests: one instruction on the host CPU and on the soft engine, compared; and
 * sequences of instructions interpreted and translated.
 */
#ifndef HOLM_TESTS_DIFF_DIFF_H
#define HOLM_TESTS_DIFF_DIFF_H

#include "cpu/soft/native.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

#define DIFF_DATA      0x10000000ull /* both sides see the data here */
#define DIFF_DATA_SIZE 8192u
#define DIFF_CODE      0x20000000ull
#define DIFF_INSN_MAX  15

#define DIFF_NO_FAULT  (-1)
#define DIFF_GIVEN_UP  (-2) /* too long, or not to be compared */

/** Registers and memory before or after the instruction. */
struct diff_state {
	struct native_ctx c; /* r[4] is RSP and counts here */
	uint8_t mem[DIFF_DATA_SIZE];
	int fault; /* vector, or DIFF_NO_FAULT */
};

/** One generated case. */
struct diff_case {
	uint8_t bytes[DIFF_INSN_MAX];
	unsigned len;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct diff_state in;
};

/** diff_host_setup() - map data and code, take the signals; exits on failure. */
void diff_host_setup(void);
/** diff_host_exec() - run the case natively. */
void diff_host_exec(const struct diff_case *k, struct diff_state *out);

/** diff_soft_setup(), diff_soft_exec() - the same on the soft engine, in ring 3; @translated: by
 * native code where the translator makes some for it. */
void diff_soft_setup(void);
void diff_soft_exec(const struct diff_case *k, bool translated, struct diff_state *out);
/**
 * diff_soft_sequence() - run @len bytes of instructions (and UD2 behind them) until a fault.
 * Return: where that was, a linear address.
 */
uint64_t diff_soft_sequence(const uint8_t *bytes, unsigned len, const struct diff_state *in,
			    bool translated, struct diff_state *out);
/**
 * diff_soft_watch() - from now on sequences are given up after some time, and where @usable, asked
 * for the bytes of each instruction before it is interpreted, says false.
 */
void diff_soft_watch(bool (*usable)(const uint8_t *bytes, unsigned len));
void diff_soft_end(void);

/** A class of instructions; its members are found by walking the opcode maps. */
struct diff_class {
	const char *name;
	bool (*match)(const ZydisDecodedInstruction *i);
};

const struct diff_class *diff_classes(unsigned *n);

/** diff_gen_setup() - find the encodings of @c; how many. */
unsigned diff_gen_setup(const struct diff_class *c);
/** diff_gen() - the next case for the random state *@seed. */
void diff_gen(struct diff_case *k, uint64_t *seed);

/** diff_rand() - splitmix64. */
static inline uint64_t diff_rand(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

#endif
