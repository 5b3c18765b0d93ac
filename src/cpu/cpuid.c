/* SPDX-License-Identifier: MIT */
/*
 * CPUID: the host's leaves, and the one table that says what guests see of them.
 *
 * Theory of operation: `rules` lists, for each register of a feature leaf, which bits the soft
 * engine keeps where the host has them (its instructions run as thunks on the host CPU), which it
 * adds because it models them itself, and which the KVM engine keeps of KVM's list. A bit in no
 * column is never seen by a guest. Everything that is a number and not a feature (signature,
 * caches, topology, TSC, hypervisor leaves) is made here and is the same for both engines.
 *
 * The soft engine shows a synthetic CPU of the host's vendor, chosen so that Linux finds it in no
 * list of vulnerable models and takes every "not affected" bit: no retpolines, no PTI, no
 * untrained return thunks, which would cost a translator much and protect from nothing.
 *
 * Limits: one socket, one thread a core; basic leaves end at 16h, so no AMX, PT or SGX leaves.
 *
 * Sources: SDM vol. 2A, CPUID, tables 3-8 to 3-17; APM vol. 3, appendix E; Linux,
 * Documentation/virt/kvm/x86/cpuid.rst; ARCH_CAPABILITIES: SDM vol. 4, table 2-2.
 */
#include "cpu/cpuid.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "mem/mem.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <x86intrin.h>

#define B(n)		 (1u << (n))

#define BASIC_MAX	 0x16u
#define EXT_MAX_AMD	 0x80000021u
#define EXT_MAX_INTEL	 0x80000008u
#define HV_BASE		 0x40000000u
#define HV_TIMING	 0x40000010u
#define SIG_INTEL	 0x000806f8u /* family 6, model 8fh, stepping 8 */
#define SIG_AMD		 0x00a00f11u /* family 19h, model 1, stepping 1 */
#define CRYSTAL_HZ	 1000000000u /* the local APIC timer's clock, see lapic.c */
#define CRYSTAL_KHZ	 1000000u
#define VIRT_BITS	 48u
#define CLFLUSH_UNITS	 8u /* of 8 bytes */
#define XSAVE_LEGACY_LEN 576u
#define XSAVE_STATE_MAX	 4096u

/* ARCH_CAPABILITIES of a CPU that nothing of what is known affects. */
#define ARCH_RDCL_NO	  (1ull << 0)
#define ARCH_IBRS_ALL	  (1ull << 1)
#define ARCH_SKIP_L1DFL	  (1ull << 3)
#define ARCH_SSB_NO	  (1ull << 4)
#define ARCH_MDS_NO	  (1ull << 5)
#define ARCH_PSCHANGE_NO  (1ull << 6)
#define ARCH_TAA_NO	  (1ull << 8)
#define ARCH_SBDR_SSDP_NO (1ull << 13)
#define ARCH_FBSDP_NO	  (1ull << 14)
#define ARCH_PSDP_NO	  (1ull << 15)
#define ARCH_BHI_NO	  (1ull << 20)
#define ARCH_PBRSB_NO	  (1ull << 24)
#define ARCH_GDS_NO	  (1ull << 26)
#define ARCH_RFDS_NO	  (1ull << 27)
#define ARCH_ITS_NO	  (1ull << 62)
#define ARCH_SAFE                                                                                  \
	(ARCH_RDCL_NO | ARCH_IBRS_ALL | ARCH_SKIP_L1DFL | ARCH_SSB_NO | ARCH_MDS_NO |              \
	 ARCH_PSCHANGE_NO | ARCH_TAA_NO | ARCH_SBDR_SSDP_NO | ARCH_FBSDP_NO | ARCH_PSDP_NO |       \
	 ARCH_BHI_NO | ARCH_PBRSB_NO | ARCH_GDS_NO | ARCH_RFDS_NO | ARCH_ITS_NO)

enum reg { EAX, EBX, ECX, EDX };
enum vendor { VENDOR_OTHER, VENDOR_INTEL, VENDOR_AMD };

/* One register of one feature leaf. */
struct rule {
	uint32_t leaf, subleaf;
	enum reg reg;
	uint32_t soft_keep; /* soft engine: where the host has it */
	uint32_t soft_add;  /* soft engine: always */
	uint32_t kvm_keep;  /* KVM: where KVM offers it */
};

/* clang-format off */
static const struct rule rules[] = {
	/* SSE3 PCLMUL SSSE3 FMA SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND;
	 * CX16 PCID X2APIC TSC_DEADLINE HYPERVISOR */
	{1, 0, ECX, B(0) | B(1) | B(9) | B(12) | B(19) | B(20) | B(22) | B(23) | B(25) | B(26) |
		    B(28) | B(29) | B(30),
	 B(13) | B(17) | B(21) | B(24) | B(31),
	 B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(21) | B(22) | B(23) |
		    B(24) | B(25) | B(26) | B(28) | B(29) | B(30) | B(31)},
	/* FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT CLFLUSH MMX FXSR SSE SSE2;
	 * KVM also VME PSE36 SS */
	{1, 0, EDX, 0,
	 B(0) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) | B(13) |
		    B(14) | B(15) | B(16) | B(19) | B(23) | B(24) | B(25) | B(26),
	 B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) |
		    B(13) | B(14) | B(15) | B(16) | B(17) | B(19) | B(23) | B(24) | B(25) |
		    B(26) | B(27)},
	{6, 0, EAX, 0, B(2), B(2)}, /* ARAT */
	/* BMI1 AVX2 BMI2 RDSEED ADX CLFLUSHOPT CLWB SHA; FSGSBASE TSC_ADJUST SMEP ERMS INVPCID
	 * SMAP; KVM also FDP_EXCPTN_ONLY, no FPU CS/DS, AVX-512 */
	{7, 0, EBX, B(3) | B(5) | B(8) | B(18) | B(19) | B(23) | B(24) | B(29),
	 B(0) | B(1) | B(7) | B(9) | B(10) | B(20),
	 B(0) | B(1) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | B(17) |
		    B(18) | B(19) | B(20) | B(21) | B(23) | B(24) | B(28) | B(29) | B(30) | B(31)},
	/* RDPID; KVM also AVX512_VBMI UMIP VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ
	 * MOVDIRI MOVDIR64B; no PKU: no engine keeps PKRU */
	{7, 0, ECX, 0, B(22),
	 B(1) | B(2) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(22) | B(27) |
		    B(28)},
	/* FSRM; SPEC_CTRL ARCH_CAPABILITIES; KVM also MD_CLEAR SERIALIZE AVX512_FP16 STIBP
	 * L1D_FLUSH SSBD */
	{7, 0, EDX, 0, B(4) | B(26) | B(29),
	 B(4) | B(10) | B(14) | B(23) | B(26) | B(27) | B(28) | B(29) | B(31)},
	/* KVM: AVX_VNNI AVX512_BF16 FZRM FSRS FSRC */
	{7, 1, EAX, 0, 0, B(4) | B(5) | B(10) | B(11) | B(12)},
	/* KVM: the predictor controls of SPEC_CTRL */
	{7, 2, EDX, 0, 0, B(0) | B(1) | B(2) | B(3) | B(4) | B(5)},
	/* XSAVEOPT XGETBV1; the compacted forms would need their own sizes */
	{0xd, 1, EAX, B(0) | B(2), 0, B(0) | B(2)},
	/* LAHF CMP_LEGACY(KVM) ABM 3DNOWPREFETCH; KVM also CR8_LEGACY SSE4A MISALIGNSSE OSVW
	 * FMA4 TOPOEXT PERFCTR no */
	{0x80000001, 0, ECX, B(5), B(0) | B(8), B(0) | B(4) | B(5) | B(6) | B(7) | B(8) | B(16)},
	/* SYSCALL NX PDPE1GB RDTSCP LM; the bits that AMD repeats of leaf 1 come in code;
	 * KVM also MMXEXT FFXSR */
	{0x80000001, 0, EDX, 0, B(11) | B(20) | B(26) | B(27) | B(29),
	 B(11) | B(20) | B(22) | B(25) | B(26) | B(27) | B(29)},
	{0x80000007, 0, EDX, 0, B(8), B(8)}, /* invariant TSC */
	/* XSAVEERPTR AMD_SSB_NO BTC_NO; KVM also CLZERO WBNOINVD IBPB IBRS STIBP and their kin */
	{0x80000008, 0, EBX, 0, B(2) | B(26) | B(29),
	 B(0) | B(2) | B(9) | B(12) | B(14) | B(15) | B(17) | B(18) | B(19) | B(24) | B(25) |
		    B(26) | B(28) | B(29)},
	/* NO_NESTED_DATA_BP LFENCE_RDTSC SRSO_NO; KVM also NULL_SEL_CLR_BASE AUTOIBRS
	 * NO_SMM_CTL_MSR FSRS FSRC VERW_CLEAR SBPB IBPB_BRTYPE SRSO_USER_KERNEL_NO */
	{0x80000021, 0, EAX, 0, B(0) | B(2) | B(29),
	 B(0) | B(2) | B(5) | B(6) | B(8) | B(9) | B(10) | B(11) | B(27) | B(28) | B(29) | B(30)},
	{0x80000021, 0, ECX, 0, B(1) | B(2), B(1) | B(2)}, /* TSA_SQ_NO TSA_L1_NO */
	/* NOP_IO_DELAY CLOCKSOURCE2 PV_EOI CLOCKSOURCE_STABLE; KVM also PV_UNHALT PV_SEND_IPI */
	{0x40000001, 0, EAX, 0, B(1) | B(3) | B(6) | B(24),
	 B(1) | B(3) | B(6) | B(7) | B(11) | B(24)},
};
/* clang-format on */

/* A cache of the synthetic hierarchy. */
struct cache {
	uint32_t type; /* 1 data, 2 code, 3 both */
	uint32_t level, ways, sets;
	bool shared;
};

static const struct cache caches[] = {
	{ 1, 1, 8, 64, false },	   /* 32 KiB */
	{ 2, 1, 8, 64, false },	   /* 32 KiB */
	{ 3, 2, 16, 1024, false }, /* 1 MiB */
	{ 3, 3, 16, 16384, true }, /* 16 MiB */
};

const struct cpuid_leaf *cpuid_find(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct cpuid_leaf *l = &t->leaf[i];

		if (l->leaf == leaf && (!l->indexed || l->subleaf == subleaf))
			return l;
	}
	return NULL;
}

static int add_leaf(struct cpuid_table *t, const struct cpuid_leaf *l, struct err *e)
{
	if (t->n >= CPUID_LEAVES_MAX)
		return err_set(e, -ENOSPC, "too many CPUID leaves");
	t->leaf[t->n++] = *l;
	return 0;
}

static bool leaf_indexed(uint32_t leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001d;
}

static enum vendor vendor_of(const struct cpuid_table *t)
{
	const struct cpuid_leaf *l = cpuid_find(t, 0, 0);

	if (!l)
		return VENDOR_OTHER;
	if (l->ebx == signature_INTEL_ebx && l->ecx == signature_INTEL_ecx)
		return VENDOR_INTEL;
	if (l->ebx == signature_AMD_ebx && l->ecx == signature_AMD_ecx)
		return VENDOR_AMD;
	return VENDOR_OTHER;
}

/* --- the host ------------------------------------------------------------------------------ */

static int host_leaf(struct cpuid_table *t, uint32_t leaf, uint32_t sub, struct err *e)
{
	struct cpuid_leaf l = { .leaf = leaf, .subleaf = sub, .indexed = leaf_indexed(leaf) };

	__cpuid_count(leaf, sub, l.eax, l.ebx, l.ecx, l.edx);
	return add_leaf(t, &l, e);
}

static int host_range(struct cpuid_table *t, uint32_t first, uint32_t last, struct err *e)
{
	int rc = 0;

	for (uint32_t leaf = first; leaf <= last && !rc; leaf++) {
		unsigned subs = leaf == 7 ? 3 : leaf == 0xd ? 10 : leaf_indexed(leaf) ? 5 : 1;

		for (uint32_t sub = 0; sub < subs && !rc; sub++)
			rc = host_leaf(t, leaf, sub, e);
	}
	return rc;
}

/* The TSC and the clock at one moment: of several readings the one that took least. */
static void read_both(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		uint64_t before = __rdtsc(), now = clock_monotonic_ns(), took = __rdtsc() - before;

		if (took < best) {
			best = took;
			*tsc = before + took / 2;
			*ns = now;
		}
	}
}

/* Against CLOCK_MONOTONIC: readings are good to some 20 ns, so 1 ms gives some 20 ppm. */
static uint32_t measure_tsc_khz(void)
{
	uint64_t n0 = 0, n1 = 0, t0 = 0, t1 = 0;

	read_both(&t0, &n0);
	while (clock_monotonic_ns() - n0 < CLOCK_NS_PER_MS)
		;
	read_both(&t1, &n1);
	return (uint32_t)((t1 - t0) * 1000000u / (n1 - n0));
}

static uint32_t host_tsc_khz(const struct cpuid_table *t)
{
	const struct cpuid_leaf *l = cpuid_find(t, 1, 0);
	uint32_t eax, ebx, ecx, edx;

	if (l && (l->ecx & B(31))) {
		__cpuid(HV_BASE, eax, ebx, ecx, edx);
		if (eax >= HV_TIMING && eax < HV_BASE + 0x100) {
			__cpuid(HV_TIMING, eax, ebx, ecx, edx);
			if (eax)
				return eax;
		}
	}
	l = cpuid_find(t, 0x15, 0);
	if (l && l->eax && l->ebx && l->ecx)
		return (uint32_t)((uint64_t)l->ecx * l->ebx / l->eax / 1000);
	return measure_tsc_khz();
}

int cpuid_host(struct cpuid_table *out, struct err *e)
{
	static const uint32_t ext[] = { 0x8000001d, 0x8000001e, 0x80000021 };
	struct cpuid_table t = { 0 };
	uint32_t max, ext_max;
	int rc;

	max = __get_cpuid_max(0, NULL);
	ext_max = __get_cpuid_max(0x80000000, NULL);
	if (max < 7 || ext_max < 0x80000008)
		return err_set(e, -EINVAL, "the host CPU is too old: it has no CPUID leaf 7");
	rc = host_range(&t, 0, MIN(max, BASIC_MAX), e);
	if (!rc)
		rc = host_range(&t, 0x80000000, 0x80000008, e);
	for (unsigned i = 0; i < ARRAY_SIZE(ext) && !rc; i++)
		if (ext[i] <= ext_max)
			rc = host_range(&t, ext[i], ext[i], e);
	if (rc)
		return rc;
	t.tsc_khz = host_tsc_khz(&t);
	*out = t;
	return 0;
}

/* --- the policy ------------------------------------------------------------------------------ */

/** What apply works with. */
struct apply {
	struct cpuid_table *out;
	const struct cpuid_table *in;
	const struct cpuid_policy *p;
	enum vendor vendor;
	bool synthetic; /* signature and brand are ours */
	struct err *e;
	int rc;
};

static uint32_t *leaf_reg(struct cpuid_leaf *l, enum reg r)
{
	switch (r) {
	case EAX:
		return &l->eax;
	case EBX:
		return &l->ebx;
	case ECX:
		return &l->ecx;
	default:
		return &l->edx;
	}
}

static void put(struct apply *a, struct cpuid_leaf l)
{
	l.indexed = leaf_indexed(l.leaf);
	if (!a->rc)
		a->rc = add_leaf(a->out, &l, a->e);
}

/* The feature bits of one leaf, by the table; other registers 0. */
static struct cpuid_leaf features(const struct apply *a, uint32_t leaf, uint32_t sub)
{
	const struct cpuid_leaf *have = cpuid_find(a->in, leaf, sub);
	struct cpuid_leaf l = { .leaf = leaf, .subleaf = sub }, none = { 0 },
			  in = have ? *have : none;

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];
		uint32_t got;

		if (r->leaf != leaf || r->subleaf != sub)
			continue;
		got = *leaf_reg(&in, r->reg);
		if (a->p->soft && a->p->portable)
			got = ((got & r->soft_keep) | r->soft_add) & r->kvm_keep;
		else if (a->p->soft)
			got = (got & r->soft_keep) | r->soft_add;
		else if (a->p->portable)
			got &= r->kvm_keep & (r->soft_keep | r->soft_add);
		else
			got &= r->kvm_keep;
		*leaf_reg(&l, r->reg) = got;
	}
	return l;
}

static unsigned id_bits(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static void put_basic(struct apply *a)
{
	const struct cpuid_leaf *in = cpuid_find(a->in, 0, 0), *sig = cpuid_find(a->in, 1, 0);
	struct cpuid_leaf l = *in;

	l.eax = BASIC_MAX;
	put(a, l);

	l = features(a, 1, 0);
	l.eax = a->synthetic ? (a->vendor == VENDOR_AMD ? SIG_AMD : SIG_INTEL) : sig->eax;
	l.ebx = CLFLUSH_UNITS << 8 | a->p->vcpus << 16;
	l.ecx |= B(31);
	if (a->p->vcpus > 1)
		l.edx |= B(28);
	put(a, l);

	if (a->vendor == VENDOR_INTEL) /* "see leaf 4", no TLB data */
		put(a, (struct cpuid_leaf) { .leaf = 2, .eax = 0x00feff01 });
	put(a, features(a, 6, 0));
	l = features(a, 7, 0);
	if (features(a, 7, 2).edx)
		l.eax = 2;
	else if (features(a, 7, 1).eax)
		l.eax = 1;
	put(a, l);
	for (uint32_t sub = 1; sub <= l.eax; sub++)
		put(a, features(a, 7, sub));
}

static void put_caches(struct apply *a, uint32_t leaf)
{
	unsigned bits = id_bits(a->p->vcpus);
	uint32_t share, cores = leaf == 4 ? (1u << bits) - 1 : 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(caches); i++) {
		const struct cache *c = &caches[i];

		share = !c->shared ? 0 : leaf == 4 ? (1u << bits) - 1 : a->p->vcpus - 1;
		put(a, (struct cpuid_leaf) {
			       .leaf = leaf,
			       .subleaf = i,
			       .eax = c->type | c->level << 5 | B(8) | share << 14 | cores << 26,
			       .ebx = 63 | (c->ways - 1) << 22,
			       .ecx = c->sets - 1,
		       });
	}
	put(a, (struct cpuid_leaf) { .leaf = leaf, .subleaf = ARRAY_SIZE(caches) });
}

static void put_topology(struct apply *a)
{
	unsigned n = a->p->vcpus;

	put(a, (struct cpuid_leaf) { .leaf = 0xb, .subleaf = 0, .ebx = 1, .ecx = 0x100 });
	put(a, (struct cpuid_leaf) {
		       .leaf = 0xb, .subleaf = 1, .eax = id_bits(n), .ebx = n, .ecx = 0x201 });
	put(a, (struct cpuid_leaf) { .leaf = 0xb, .subleaf = 2, .ecx = 2 });
}

/* Leaf 0dh: SDM vol. 1, 13.2. */
static void put_xsave(struct apply *a)
{
	const struct cpuid_leaf *f = cpuid_find(a->out, 1, 0), *x7 = cpuid_find(a->out, 7, 0);
	uint32_t comps = 3, size = XSAVE_LEGACY_LEN;
	struct cpuid_leaf l;

	if (!(f->ecx & B(26)))
		return;
	if (f->ecx & B(28))
		comps |= B(2);
	if (x7->ebx & B(16))
		comps |= B(5) | B(6) | B(7);
	if (x7->ecx & B(3))
		comps |= B(9);
	for (uint32_t i = 2; i < 10; i++) {
		const struct cpuid_leaf *c = cpuid_find(a->in, 0xd, i);

		if (!(comps & B(i)))
			continue;
		if (!c || !c->eax || c->ebx > XSAVE_STATE_MAX || c->eax > XSAVE_STATE_MAX - c->ebx)
			comps &= ~B(i);
		else
			size = MAX(size, c->eax + c->ebx);
	}
	put(a, (struct cpuid_leaf) { .leaf = 0xd, .eax = comps, .ebx = size, .ecx = size });
	l = features(a, 0xd, 1);
	l.ebx = l.eax & B(3) ? size : 0;
	put(a, l);
	for (uint32_t i = 2; i < 10; i++)
		if (comps & B(i))
			put(a, *cpuid_find(a->in, 0xd, i));
}

/*
 * Leaf 15h: TSC = crystal * EBX / EAX. Linux multiplies EBX by the crystal's kHz in 32 bits, so
 * EBX is at most 4294: the best fraction below that is found by trying each denominator.
 */
static void put_tsc(struct apply *a, uint32_t khz)
{
	uint64_t num, best_num = 1, best_den = 1, err, best_err = UINT64_MAX;

	for (uint64_t den = 1; den <= 4294; den++) {
		num = (den * khz + CRYSTAL_KHZ / 2) / CRYSTAL_KHZ;
		if (num > 4294)
			break;
		if (!num)
			continue;
		err = num * CRYSTAL_KHZ > den * khz ? num * CRYSTAL_KHZ - den * khz
						    : den * khz - num * CRYSTAL_KHZ;
		/* The error of the fraction is err / den; compare crosswise. */
		if (best_err == UINT64_MAX || err * best_den < best_err * den) {
			best_num = num;
			best_den = den;
			best_err = err;
		}
	}
	put(a, (struct cpuid_leaf) { .leaf = 0x15,
				     .eax = (uint32_t)best_den,
				     .ebx = (uint32_t)best_num,
				     .ecx = CRYSTAL_HZ });
	put(a, (struct cpuid_leaf) { .leaf = 0x16,
				     .eax = khz / 1000,
				     .ebx = khz / 1000,
				     .ecx = CRYSTAL_KHZ / 1000 / 10 });
	put(a, (struct cpuid_leaf) { .leaf = HV_BASE,
				     .eax = HV_TIMING,
				     .ebx = 0x4b4d564b, /* "KVMKVMKVM" */
				     .ecx = 0x564b4d56,
				     .edx = 0x4d });
	put(a, features(a, 0x40000001, 0));
	put(a, (struct cpuid_leaf) { .leaf = HV_TIMING, .eax = khz, .ebx = CRYSTAL_KHZ });
}

static void put_brand(struct apply *a)
{
	static const char brand[48] = "Holm virtual CPU";

	for (uint32_t i = 0; i < 3; i++) {
		const struct cpuid_leaf *in = cpuid_find(a->in, 0x80000002 + i, 0);
		const char *p = brand + i * 16;

		if (!a->synthetic && in)
			put(a, *in);
		else
			put(a, (struct cpuid_leaf) { .leaf = 0x80000002 + i,
						     .eax = get_le32(p),
						     .ebx = get_le32(p + 4),
						     .ecx = get_le32(p + 8),
						     .edx = get_le32(p + 12) });
	}
}

static void put_extended(struct apply *a)
{
	const struct cpuid_leaf *in = cpuid_find(a->in, 0x80000008, 0),
				*v = cpuid_find(a->out, 0, 0);
	const struct cpuid_leaf *f = cpuid_find(a->out, 1, 0);
	bool amd = a->vendor == VENDOR_AMD;
	unsigned n = a->p->vcpus, phys = in ? in->eax & 0xff : 36;
	struct cpuid_leaf l;

	put(a, (struct cpuid_leaf) { .leaf = 0x80000000,
				     .eax = amd ? EXT_MAX_AMD : EXT_MAX_INTEL,
				     .ebx = amd ? v->ebx : 0,
				     .ecx = amd ? v->ecx : 0,
				     .edx = amd ? v->edx : 0 });
	l = features(a, 0x80000001, 0);
	if (amd) {
		l.eax = f->eax;
		l.edx |= f->edx & 0x0183f3ff; /* those that leaf 1 has: APM vol. 3, E.4.2 */
		l.ecx |= B(22) | (n > 1 ? B(1) : 0);
		if (a->p->soft)
			l.edx |= B(22); /* MMXEXT is part of SSE */
	}
	put(a, l);
	put_brand(a);
	if (amd) { /* L1 and L2 as in `caches`, in the old form: APM vol. 3, E.4.4 and E.4.5 */
		put(a, (struct cpuid_leaf) {
			       .leaf = 0x80000005, .ecx = 0x20080140, .edx = 0x20080140 });
		put(a, (struct cpuid_leaf) {
			       .leaf = 0x80000006, .ecx = 0x04008140, .edx = 0x00808140 });
	} else {
		put(a, (struct cpuid_leaf) { .leaf = 0x80000006, .ecx = 0x04008040 });
	}
	put(a, features(a, 0x80000007, 0));
	l = features(a, 0x80000008, 0);
	if (!amd)
		l.ebx = 0;
	l.eax = MIN(a->p->soft ? MEM_GPA_BITS : phys, (unsigned)MEM_GPA_BITS) | VIRT_BITS << 8;
	l.ecx = amd ? (n - 1) | id_bits(n) << 12 : 0;
	put(a, l);
	if (amd) {
		put_caches(a, 0x8000001d);
		put(a, (struct cpuid_leaf) { .leaf = 0x8000001e });
		put(a, features(a, 0x80000021, 0));
	}
}

/* Bits that mean nothing, or do harm, without another. */
static void drop_dependent(struct cpuid_table *t)
{
	struct cpuid_leaf *f = (struct cpuid_leaf *)cpuid_find(t, 1, 0);
	struct cpuid_leaf *x = (struct cpuid_leaf *)cpuid_find(t, 7, 0);

	if (!(f->ecx & B(26)))
		f->ecx &= ~B(28); /* AVX needs XSAVE */
	if (!(f->ecx & B(28))) {
		f->ecx &= ~(B(12) | B(29)); /* FMA, F16C */
		x->ebx &= ~B(5);
	}
	if (!(x->ebx & B(5)))
		x->ebx &= ~B(16);
	if (!(x->ebx & B(16))) /* the AVX-512 family needs its foundation */
		x->ebx &= ~(B(17) | B(21) | B(28) | B(30) | B(31));
}

int cpuid_apply_policy(struct cpuid_table *out, const struct cpuid_table *supported,
		       const struct cpuid_policy *p, struct err *e)
{
	struct cpuid_table t = { 0 };
	struct apply a = { .out = &t,
			   .in = supported,
			   .p = p,
			   .vendor = vendor_of(supported),
			   .synthetic = p->soft || p->portable,
			   .e = e };

	if (!p->vcpus || p->vcpus > 255)
		return err_set(e, -EINVAL, "%u vCPUs are not possible; take 1 to 255", p->vcpus);
	if (!cpuid_find(supported, 0, 0) || !cpuid_find(supported, 1, 0) ||
	    !cpuid_find(supported, 7, 0))
		return err_set(e, -EINVAL, "the engine gives no CPUID leaf 0, 1 or 7");
	if (!supported->tsc_khz)
		return err_set(e, -EINVAL, "the engine does not say how fast the TSC is");
	t.tsc_khz = supported->tsc_khz;
	put_basic(&a);
	if (a.rc)
		return a.rc;
	drop_dependent(&t);
	if (a.vendor == VENDOR_INTEL)
		put_caches(&a, 4);
	put_topology(&a);
	put_xsave(&a);
	put_tsc(&a, supported->tsc_khz);
	put_extended(&a);
	if (a.rc)
		return a.rc;
	if (cpuid_find(&t, 7, 0)->edx & B(29))
		t.arch_capabilities = p->soft ? ARCH_SAFE : supported->arch_capabilities;
	*out = t;
	return 0;
}

void cpuid_for_vcpu(struct cpuid_table *out, const struct cpuid_table *t, uint32_t id)
{
	*out = *t;
	for (unsigned i = 0; i < out->n; i++) {
		struct cpuid_leaf *l = &out->leaf[i];

		switch (l->leaf) {
		case 1:
			l->ebx = (l->ebx & 0x00ffffff) | id << 24;
			break;
		case 0xb:
		case 0x1f:
			l->edx = id;
			break;
		case 0x8000001e:
			l->eax = id;
			l->ebx = id & 0xff;
			break;
		default:
			break;
		}
	}
}
