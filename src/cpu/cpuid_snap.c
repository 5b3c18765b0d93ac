/* SPDX-License-Identifier: MIT */
/*
 * CPUID tables in snapshots, and whether a guest can go on with another one; see cpuid.h.
 *
 * Theory of operation: what a guest has seen of its CPU it keeps, so a restored VM has its old
 * table, and every feature in it must be there. Features are bits of the registers listed below
 * (SDM vol. 2A, CPUID; AMD64 APM vol. 3, E; Linux, Documentation/virt/kvm/x86/cpuid.rst); those
 * that a person may ask for have names.
 */
#include "base/bytes.h"
#include "cpu/cpuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEAF_BYTES 28
#define VERSION	   1
#define NAME_ROOM  40

void cpuid_save(const struct cpuid_table *t, struct snap_writer *w)
{
	uint8_t bytes[CPUID_LEAVES_MAX * LEAF_BYTES];

	for (unsigned i = 0; i < t->n; i++) {
		const struct cpuid_leaf *l = &t->leaf[i];
		const uint32_t words[LEAF_BYTES / 4] = { l->leaf, l->subleaf, l->indexed, l->eax,
							 l->ebx,  l->ecx,     l->edx };

		for (unsigned k = 0; k < ARRAY_SIZE(words); k++)
			put_le32(bytes + i * LEAF_BYTES + k * 4, words[k]);
	}
	snap_begin(w, "cpuid", VERSION);
	snap_put_bytes(w, "leaves", bytes, (size_t)t->n * LEAF_BYTES);
	snap_put_u64(w, "arch_capabilities", t->arch_capabilities);
	snap_put_u64(w, "tsc_khz", t->tsc_khz);
	snap_end(w);
}

int cpuid_load(struct cpuid_table *t, const struct snap_reader *r, struct err *e)
{
	struct snap_reader sub;
	uint32_t version;
	uint64_t caps = 0, khz = 0;
	const uint8_t *p = NULL;
	size_t len = 0;
	int ret = snap_enter(r, "cpuid", VERSION, &sub, &version, e);

	if (!ret)
		ret = snap_find_bytes(&sub, "leaves", &p, &len, e);
	if (!ret)
		ret = snap_get_u64(&sub, "arch_capabilities", &caps, e);
	if (!ret)
		ret = snap_get_u64(&sub, "tsc_khz", &khz, e);
	if (ret)
		return ret;
	if (len % LEAF_BYTES || len / LEAF_BYTES > CPUID_LEAVES_MAX || !khz || khz > UINT32_MAX)
		return err_set(e, -EBADMSG, "the snapshot's CPUID table is none");
	*t = (struct cpuid_table) { .n = (unsigned)(len / LEAF_BYTES),
				    .arch_capabilities = caps,
				    .tsc_khz = (uint32_t)khz };
	for (unsigned i = 0; i < t->n; i++, p += LEAF_BYTES)
		t->leaf[i] = (struct cpuid_leaf) { .leaf = get_le32(p),
						   .subleaf = get_le32(p + 4),
						   .indexed = get_le32(p + 8) & 1,
						   .eax = get_le32(p + 12),
						   .ebx = get_le32(p + 16),
						   .ecx = get_le32(p + 20),
						   .edx = get_le32(p + 24) };
	return 0;
}

enum reg { EAX, EBX, ECX, EDX };

static const struct word {
	uint32_t leaf, subleaf;
	enum reg reg;
} words[] = {
	{ 1, 0, ECX },		{ 1, 0, EDX },		{ 6, 0, EAX },
	{ 7, 0, EBX },		{ 7, 0, ECX },		{ 7, 0, EDX },
	{ 7, 1, EAX },		{ 0xd, 0, EAX },	{ 0xd, 1, EAX },
	{ 0x40000001, 0, EAX }, { 0x80000001, 0, ECX }, { 0x80000001, 0, EDX },
	{ 0x80000007, 0, EDX }, { 0x80000008, 0, EBX },
};

static const struct feature {
	uint32_t leaf;
	enum reg reg;
	unsigned bit;
	const char *name;
} features[] = {
	{ 1, ECX, 0, "sse3" },
	{ 1, ECX, 1, "pclmulqdq" },
	{ 1, ECX, 9, "ssse3" },
	{ 1, ECX, 12, "fma" },
	{ 1, ECX, 13, "cx16" },
	{ 1, ECX, 17, "pcid" },
	{ 1, ECX, 19, "sse4_1" },
	{ 1, ECX, 20, "sse4_2" },
	{ 1, ECX, 21, "x2apic" },
	{ 1, ECX, 22, "movbe" },
	{ 1, ECX, 23, "popcnt" },
	{ 1, ECX, 24, "tsc_deadline" },
	{ 1, ECX, 25, "aes" },
	{ 1, ECX, 26, "xsave" },
	{ 1, ECX, 28, "avx" },
	{ 1, ECX, 29, "f16c" },
	{ 1, ECX, 30, "rdrand" },
	{ 7, EBX, 0, "fsgsbase" },
	{ 7, EBX, 3, "bmi1" },
	{ 7, EBX, 5, "avx2" },
	{ 7, EBX, 7, "smep" },
	{ 7, EBX, 8, "bmi2" },
	{ 7, EBX, 9, "erms" },
	{ 7, EBX, 10, "invpcid" },
	{ 7, EBX, 16, "avx512f" },
	{ 7, EBX, 17, "avx512dq" },
	{ 7, EBX, 18, "rdseed" },
	{ 7, EBX, 19, "adx" },
	{ 7, EBX, 20, "smap" },
	{ 7, EBX, 23, "clflushopt" },
	{ 7, EBX, 24, "clwb" },
	{ 7, EBX, 28, "avx512cd" },
	{ 7, EBX, 29, "sha_ni" },
	{ 7, EBX, 30, "avx512bw" },
	{ 7, EBX, 31, "avx512vl" },
	{ 7, ECX, 1, "avx512vbmi" },
	{ 7, ECX, 2, "umip" },
	{ 7, ECX, 3, "pku" },
	{ 7, ECX, 8, "gfni" },
	{ 7, ECX, 9, "vaes" },
	{ 7, ECX, 10, "vpclmulqdq" },
	{ 7, ECX, 16, "la57" },
	{ 7, ECX, 22, "rdpid" },
	{ 7, EDX, 4, "fsrm" },
	{ 7, EDX, 26, "spec_ctrl" },
	{ 0x80000001, ECX, 0, "lahf_lm" },
	{ 0x80000001, ECX, 5, "lzcnt" },
	{ 0x80000001, ECX, 6, "sse4a" },
	{ 0x80000001, EDX, 20, "nx" },
	{ 0x80000001, EDX, 26, "pdpe1gb" },
	{ 0x80000001, EDX, 27, "rdtscp" },
	{ 0x40000001, EAX, 3, "kvmclock" },
	{ 0x80000007, EDX, 8, "constant_tsc" },
};

static uint32_t value(const struct cpuid_table *t, const struct word *w)
{
	const struct cpuid_leaf *l = cpuid_find(t, w->leaf, w->subleaf);

	if (!l)
		return 0;
	return w->reg == EAX ? l->eax : w->reg == EBX ? l->ebx : w->reg == ECX ? l->ecx : l->edx;
}

static void add_name(char *list, size_t size, const struct word *w, unsigned bit)
{
	static const char *const regs[] = { "eax", "ebx", "ecx", "edx" };
	size_t len = strlen(list);

	/* Enough to see what kind of CPU it was. */
	if (len > size - NAME_ROOM) {
		if (!strstr(list, "..."))
			snprintf(list + len, size - len, ", ...");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];

		if (f->leaf == w->leaf && !w->subleaf && f->reg == w->reg && f->bit == bit) {
			snprintf(list + len, size - len, "%s%s", len ? ", " : "", f->name);
			return;
		}
	}
	snprintf(list + len, size - len, "%sleaf %#x.%u %s bit %u", len ? ", " : "", w->leaf,
		 w->subleaf, regs[w->reg], bit);
}

int cpuid_check_within(const struct cpuid_table *saved, const struct cpuid_table *have,
		       struct err *e)
{
	char list[200] = "";

	/* What the policy never gives no guest has seen. */
	for (unsigned i = 0; i < saved->n; i++)
		if (!cpuid_find(have, saved->leaf[i].leaf, saved->leaf[i].subleaf))
			return err_set(
				e, -ENOTSUP,
				"the saved VM's CPU has leaf %#x.%u, which is not there here",
				saved->leaf[i].leaf, saved->leaf[i].subleaf);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint32_t missing = value(saved, &words[i]) & ~value(have, &words[i]);

		for (unsigned bit = 0; missing; bit++, missing >>= 1)
			if (missing & 1)
				add_name(list, sizeof(list), &words[i], bit);
	}
	if (!list[0])
		return 0;
	return err_set(e, -ENOTSUP,
		       "the saved VM's CPU has what is missing here: %s; restore it on such a host "
		       "or engine",
		       list);
}
