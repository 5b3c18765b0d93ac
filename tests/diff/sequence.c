/* SPDX-License-Identifier: MIT */
/*
 * sequence: random runs of instructions, interpreted and translated, with equal results.
 *
 *   sequence [-n RUNS | -t SECONDS] [-s SEED] [-b]
 *
 * -b: of random bytes instead of known instructions, so with jumps, faults and code that writes to
 * itself; runs that come by anything that may differ are left out.
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
#include <time.h>
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

/* --- random bytes --------------------------------------------------------------------------- */

static ZydisDecoder decoder;

/* What depends on the time, leaves something undefined, or changes what the next run starts with.
 */
static bool comparable(const ZydisDecodedInstruction *i)
{
	switch (i->meta.category) {
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SEGOP:
	case ZYDIS_CATEGORY_RDRAND:
	case ZYDIS_CATEGORY_RDSEED:
	case ZYDIS_CATEGORY_XSAVE:
	case ZYDIS_CATEGORY_XSAVEOPT:
		return false;
	default:
		break;
	}
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
	case ZYDIS_MNEMONIC_RDPID:
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_FLDCW:
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FRSTOR:
		return false;
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_POP:
		/* To segment registers: 8E, and POP FS and GS. */
		return !(i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && i->opcode == 0x8e) &&
		       i->opcode_map != ZYDIS_OPCODE_MAP_0F;
	default:
		break;
	}
	return i->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR &&
	       !(i->cpu_flags && ((i->cpu_flags->undefined & X86_FLAGS_ARITH) ||
				  (i->cpu_flags->tested & X86_FLAG_AF)));
}

static bool bytes_comparable(const uint8_t *bytes, unsigned len)
{
	ZydisDecodedInstruction i;

	return !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, len, &i)) ||
	       comparable(&i);
}

/* Half of the runs are of instructions that can be compared, so that they get further. */
static unsigned random_bytes(uint8_t *code, uint64_t *seed)
{
	unsigned len = 0, count = 2 + (unsigned)(diff_rand(seed) % (LENGTH_MAX - 1));
	bool any = diff_rand(seed) & 1;

	while (count) {
		ZydisDecodedInstruction i;

		for (unsigned b = 0; b < DIFF_INSN_MAX; b++)
			code[len + b] = (uint8_t)diff_rand(seed);
		/* REX and the two-byte map more often than one byte in 256. */
		if (diff_rand(seed) & 1)
			code[len] = diff_rand(seed) & 1 ? 0x48 : 0x0f;
		if (any) {
			len += DIFF_INSN_MAX;
		} else if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + len,
								      DIFF_INSN_MAX, &i)) &&
			   comparable(&i)) {
			len += i.length;
		} else {
			continue;
		}
		count--;
	}
	return len;
}

static unsigned known_instructions(uint8_t *code, uint64_t *seed)
{
	unsigned len = 0, count = 2 + (unsigned)(diff_rand(seed) % (LENGTH_MAX - 1));

	for (unsigned i = 0; i < count; i++) {
		const struct sample *s = &pool[diff_rand(seed) % n_pool];

		memcpy(code + len, s->bytes, s->len);
		len += s->len;
	}
	return len;
}

/* --- comparing ------------------------------------------------------------------------------ */

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
	unsigned runs = 20000, bad = 0, whole = 0, out = 0, n;
	uint64_t seed = 20261121;
	time_t until = 0;
	bool bytes = false;
	int opt;

	while ((opt = getopt(argc, argv, "n:t:s:b")) != -1) {
		if (opt == 'n')
			runs = (unsigned)strtoul(optarg, NULL, 0);
		else if (opt == 't')
			until = time(NULL) + (time_t)strtoul(optarg, NULL, 0);
		else if (opt == 'b')
			bytes = true;
		else if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	fill_pool(&seed);
	if (!n_pool)
		return 2;
	diff_soft_setup();
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (bytes)
		diff_soft_watch(bytes_comparable);
	for (n = 0; until ? time(NULL) < until : n < runs; n++) {
		uint8_t code[(LENGTH_MAX + 1) * DIFF_INSN_MAX];
		unsigned len = bytes ? random_bytes(code, &seed) : known_instructions(code, &seed);
		uint64_t at, at_code;

		make_state(&seed);
		at = diff_soft_sequence(code, len, &in, false, &by_handlers);
		if (by_handlers.fault == DIFF_GIVEN_UP) {
			out++;
			continue;
		}
		at_code = diff_soft_sequence(code, len, &in, true, &by_code);
		whole += at == DIFF_CODE + len;
		if (!same(at, at_code, len) && bad++ < 5)
			show(code, len, at, at_code);
	}
	diff_soft_end();
	free(pool);
	if (bytes)
		printf("%u sequences of bytes, %u left out, %u to their end, %u differ\n", n, out,
		       whole, bad);
	else
		printf("%u sequences of %u instructions, %u to their end, %u differ\n", n, n_pool,
		       whole, bad);
	return bad != 0;
}
