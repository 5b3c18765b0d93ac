/* SPDX-License-Identifier: MIT */
/*
 * sequence: random runs of instructions, interpreted and translated, with equal results.
 *
 *   sequence [-n RUNS] [-s SEED]
 *
 * Single instructions are compared with the host CPU by `diff`; here it is what the translator does
 * between them: flags that are put away and brought back, SIMD registers that stay loaded, x87 and
 * MXCSR that come and go, faults in the middle. Each sequence ends by UD2. Flags are compared only
 * there: at another fault those that nobody would have read may be stale.
 */
#include "diff.h"

#include "base/bytes.h"
#include "cpu/soft/fpu.h"
#include "spec/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL_OF_CLASS 300
#define LENGTH_MAX    12

struct sample {
	uint8_t bytes[DIFF_INSN_MAX];
	uint8_t len;
};

static struct sample *pool;
static unsigned n_pool;
static struct diff_case k;
static struct diff_state in, by_handlers, by_code;

/* Flags that the manual leaves undefined may differ, so only AF may be among them. */
static bool usable(const struct diff_case *c)
{
	const ZydisDecodedInstruction *i = &c->insn;

	if (i->cpu_flags && (i->cpu_flags->undefined & ~X86_FLAG_AF & X86_FLAGS_ARITH))
		return false;
	if (i->cpu_flags && (i->cpu_flags->tested & X86_FLAG_AF))
		return false;
	for (unsigned n = 0; n < i->operand_count; n++) {
		const ZydisDecodedOperand *o = &c->op[n];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (o->mem.index != ZYDIS_REGISTER_NONE || llabs(o->mem.disp.value) > 512 ||
		     o->mem.base == ZYDIS_REGISTER_RIP))
			return false;
	}
	return true;
}

static void fill_pool(uint64_t *seed)
{
	unsigned n;
	const struct diff_class *c = diff_classes(&n);

	pool = calloc((size_t)n * POOL_OF_CLASS, sizeof(*pool));
	for (unsigned i = 0; pool && i < n; i++) {
		if (!strcmp(c[i].name, "flags") || !strcmp(c[i].name, "string") ||
		    !diff_gen_setup(&c[i]))
			continue;
		for (unsigned tries = 0, got = 0; tries < 20 * POOL_OF_CLASS && got < POOL_OF_CLASS;
		     tries++) {
			diff_gen(&k, seed);
			if (!usable(&k))
				continue;
			memcpy(pool[n_pool].bytes, k.bytes, k.len);
			pool[n_pool++].len = (uint8_t)k.len;
			got++;
		}
	}
}

/* The last case's state, with registers that mostly point into the data. */
static void make_state(uint64_t *seed)
{
	diff_gen(&k, seed);
	in = k.in;
	for (unsigned r = 0; r < 16; r++)
		if (diff_rand(seed) & 3)
			in.c.r[r] = DIFF_DATA + 2048 + (diff_rand(seed) >> 52 & ~15ull);
	in.c.mxcsr = (in.c.mxcsr & 0xe000) | MXCSR_DEFAULT;
	in.c.fx[0] |= 0x3f;
	in.c.fx[2] = 0;
}

static bool same(uint64_t at, uint64_t at_code, unsigned len)
{
	uint64_t flags = X86_FLAGS_ARITH & ~X86_FLAG_AF;

	if (at != at_code || by_handlers.fault != by_code.fault ||
	    memcmp(by_handlers.c.r, by_code.c.r, sizeof(in.c.r)) ||
	    memcmp(by_handlers.mem, by_code.mem, DIFF_DATA_SIZE) ||
	    memcmp(by_handlers.c.ymm, by_code.c.ymm, sizeof(in.c.ymm)) ||
	    by_handlers.c.mxcsr != by_code.c.mxcsr)
		return false;
	if (at == DIFF_CODE + len && ((by_handlers.c.flags ^ by_code.c.flags) & flags))
		return false;
	/* Without the pointers to the last instruction and operand. */
	for (unsigned i = 0; i < 8; i++)
		if (memcmp(by_handlers.c.fx + FX_ST + i * 16, by_code.c.fx + FX_ST + i * 16, 10))
			return false;
	return !memcmp(by_handlers.c.fx, by_code.c.fx, FX_FOP);
}

static void show(const uint8_t *code, unsigned len, uint64_t at, uint64_t at_code)
{
	printf("# differs; handlers stop at +%" PRIu64 " by %d, code at +%" PRIu64 " by %d:",
	       (uint64_t)(at - DIFF_CODE), by_handlers.fault, (uint64_t)(at_code - DIFF_CODE),
	       by_code.fault);
	for (unsigned i = 0; i < len; i++)
		printf(" %02x", code[i]);
	putchar('\n');
	for (unsigned r = 0; r < 16; r++)
		if (by_handlers.c.r[r] != by_code.c.r[r])
			printf("#   r%u in %" PRIx64 " handlers %" PRIx64 " code %" PRIx64 "\n", r,
			       in.c.r[r], by_handlers.c.r[r], by_code.c.r[r]);
	for (unsigned r = 0; r < 16; r++)
		if (memcmp(&by_handlers.c.ymm[r], &by_code.c.ymm[r], 32))
			printf("#   ymm%u differs\n", r);
	printf("#   flags %" PRIx64 " and %" PRIx64 ", MXCSR %x and %x, memory %s\n",
	       by_handlers.c.flags, by_code.c.flags, by_handlers.c.mxcsr, by_code.c.mxcsr,
	       memcmp(by_handlers.mem, by_code.mem, DIFF_DATA_SIZE) ? "differs" : "equal");
}

int main(int argc, char **argv)
{
	unsigned runs = 20000, bad = 0, whole = 0;
	uint64_t seed = 20261121;
	int opt;

	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		if (opt == 'n')
			runs = (unsigned)strtoul(optarg, NULL, 0);
		else if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	fill_pool(&seed);
	if (!n_pool)
		return 2;
	diff_soft_setup();
	for (unsigned n = 0; n < runs; n++) {
		uint8_t code[LENGTH_MAX * DIFF_INSN_MAX];
		unsigned len = 0, count = 2 + (unsigned)(diff_rand(&seed) % (LENGTH_MAX - 1));
		uint64_t at, at_code;

		for (unsigned i = 0; i < count; i++) {
			const struct sample *s = &pool[diff_rand(&seed) % n_pool];

			memcpy(code + len, s->bytes, s->len);
			len += s->len;
		}
		make_state(&seed);
		at = diff_soft_sequence(code, len, &in, false, &by_handlers);
		at_code = diff_soft_sequence(code, len, &in, true, &by_code);
		whole += at == DIFF_CODE + len;
		if (!same(at, at_code, len) && bad++ < 5)
			show(code, len, at, at_code);
	}
	diff_soft_end();
	free(pool);
	printf("%u sequences of %u instructions, %u to their end, %u differ\n", runs, n_pool, whole,
	       bad);
	return bad != 0;
}
