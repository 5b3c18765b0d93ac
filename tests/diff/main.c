/* SPDX-License-Identifier: MIT */
/*
 * diff: differential tests of the soft engine against the host CPU.
 *
 *   diff -c CLASS [-n CASES] [-s SEED]    run; a case that differs is printed in full
 *   diff -l                               list the classes
 *
 * Each case runs four times: interpreted cold (just decoded) and hot (again, from the block cache),
 * then translated cold and hot. Compared are the
 * general registers, flags (but for those the manual leaves undefined), vector registers, MXCSR,
 * x87 registers and status, all of the data, and the fault.
 */
#include "diff.h"

#include "base/bytes.h"
#include "cpu/soft/fpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURES_SHOWN 5

static struct diff_case test_case;
static struct diff_state host, soft;

static void print_case(const struct diff_case *k, const char *what)
{
	char text[128] = "?";
	ZydisFormatter f;

	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&f, &k->insn, k->op, k->insn.operand_count_visible, text,
					sizeof(text), DIFF_CODE, NULL);
	printf("# differs in %s: ", what);
	for (unsigned i = 0; i < k->len; i++)
		printf("%02x ", k->bytes[i]);
	printf(" %s\n#   fault host %d soft %d\n", text, host.fault, soft.fault);
	printf("#   flags in %03" PRIx64 " host %03" PRIx64 " soft %03" PRIx64 "\n",
	       k->in.c.flags & 0xfff, host.c.flags & 0xfff, soft.c.flags & 0xfff);
	for (unsigned i = 0; i < 16; i++)
		if (host.c.r[i] != soft.c.r[i])
			printf("#   r%u in %016" PRIx64 " host %016" PRIx64 " soft %016" PRIx64
			       "\n",
			       i, k->in.c.r[i], host.c.r[i], soft.c.r[i]);
	for (unsigned i = 0; i < 16; i++)
		if (memcmp(host.c.ymm[i], soft.c.ymm[i], 32))
			for (unsigned q = 0; q < 32; q += 8)
				printf("#   ymm%u[%u] in %016" PRIx64 " host %016" PRIx64
				       " soft %016" PRIx64 "\n",
				       i, q / 8, get_le64(k->in.c.ymm[i] + q),
				       get_le64(host.c.ymm[i] + q), get_le64(soft.c.ymm[i] + q));
	printf("#   mxcsr in %x host %x soft %x\n", k->in.c.mxcsr, host.c.mxcsr, soft.c.mxcsr);
	if (memcmp(host.c.fx, soft.c.fx, FX_XMM))
		for (unsigned i = 0; i < FX_XMM; i += 8)
			printf("#   fx+%u in %016" PRIx64 " host %016" PRIx64 " soft %016" PRIx64
			       "\n",
			       i, get_le64(k->in.c.fx + i), get_le64(host.c.fx + i),
			       get_le64(soft.c.fx + i));
	for (unsigned i = 0; i < DIFF_DATA_SIZE; i += 8)
		if (memcmp(host.mem + i, soft.mem + i, 8))
			printf("#   mem+%u host %016" PRIx64 " soft %016" PRIx64 "\n", i,
			       get_le64(host.mem + i), get_le64(soft.mem + i));
}

static uint64_t defined_flags(const ZydisDecodedInstruction *i)
{
	uint64_t undef = i->cpu_flags ? i->cpu_flags->undefined : 0;

	return (X86_FLAGS_ARITH | X86_FLAG_DF) & ~undef;
}

/* x87 registers and words, without instruction and operand pointers. */
static bool same_x87(const uint8_t *a, const uint8_t *b)
{
	if (memcmp(a, b, FX_FOP))
		return false;
	for (unsigned i = 0; i < 8; i++)
		if (memcmp(a + FX_ST + i * 16, b + FX_ST + i * 16, 10))
			return false;
	return true;
}

/* #SS and #GP, and the two floating-point vectors, come as signals that do not tell them apart. */
static int fault_class(int vector)
{
	return vector == 12 || vector == 17 ? 13 : vector == 16 ? 19 : vector;
}

static const char *compare(const struct diff_case *k)
{
	if (fault_class(host.fault) != fault_class(soft.fault))
		return "fault";
	if (memcmp(host.c.r, soft.c.r, sizeof(host.c.r)))
		return "registers";
	if ((host.c.flags ^ soft.c.flags) & defined_flags(&k->insn))
		return "flags";
	if (memcmp(host.mem, soft.mem, DIFF_DATA_SIZE))
		return "memory";
	if (host.fault != DIFF_NO_FAULT)
		return NULL; /* the signal frame holds the rest */
	if (memcmp(host.c.ymm, soft.c.ymm, sizeof(host.c.ymm)))
		return "vector registers";
	if (host.c.mxcsr != soft.c.mxcsr)
		return "MXCSR";
	return same_x87(host.c.fx, soft.c.fx) ? NULL : "x87";
}

static unsigned run_class(const struct diff_class *c, unsigned cases, uint64_t seed)
{
	unsigned encodings = diff_gen_setup(c), bad = 0, faults = 0;

	if (!encodings) {
		printf("# %s: no encodings\n", c->name);
		return 1;
	}
	for (unsigned n = 0; n < cases; n++) {
		diff_gen(&test_case, &seed);
		diff_host_exec(&test_case, &host);
		faults += host.fault != DIFF_NO_FAULT;
		for (unsigned pass = 0; pass < 4; pass++) {
			const char *what;

			diff_soft_exec(&test_case, pass >= 2, &soft);
			what = compare(&test_case);
			if (what && bad++ < FAILURES_SHOWN)
				print_case(&test_case, what);
		}
	}
	printf("%s: %u cases of %u encodings, %u faults, %u differ\n", c->name, cases, encodings,
	       faults, bad);
	return bad;
}

int main(int argc, char **argv)
{
	unsigned n, cases = 10000, bad = 0, ran = 0;
	const struct diff_class *c = diff_classes(&n);
	const char *only = NULL;
	uint64_t seed = 20261121;
	int opt;

	while ((opt = getopt(argc, argv, "c:n:s:l")) != -1) {
		if (opt == 'l') {
			for (unsigned i = 0; i < n; i++)
				puts(c[i].name);
			return 0;
		}
		if (opt == 'c')
			only = optarg;
		else if (opt == 'n')
			cases = (unsigned)strtoul(optarg, NULL, 0);
		else if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	diff_host_setup();
	diff_soft_setup();
	for (unsigned i = 0; i < n; i++)
		if (!only || !strcmp(only, c[i].name)) {
			bad += run_class(&c[i], cases, seed);
			ran++;
		}
	diff_soft_end();
	if (!ran) {
		fprintf(stderr, "diff: no class '%s'; -l lists them\n", only);
		return 2;
	}
	return bad != 0;
}
