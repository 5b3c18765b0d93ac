/* SPDX-License-Identifier: MIT */
/* CPUID policy: what is never shown, what is always shown, numbers that must agree. */
#include "cpu/cpuid.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define B(n) (1u << (n))

/* A CPU that has everything, of either vendor. */
static void everything(struct cpuid_table *t, bool amd)
{
	static const uint32_t leaves[] = { 1,	       6,	   7,
					   0x15,       0x40000001, 0x80000001,
					   0x80000007, 0x80000008, 0x80000021 };

	memset(t, 0, sizeof(*t));
	t->leaf[t->n++] = (struct cpuid_leaf) { .leaf = 0,
						.eax = 0x20,
						.ebx = amd ? 0x68747541 : 0x756e6547,
						.ecx = amd ? 0x444d4163 : 0x6c65746e,
						.edx = amd ? 0x69746e65 : 0x49656e69 };
	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		t->leaf[t->n++] = (struct cpuid_leaf) { .leaf = leaves[i],
							.eax = UINT32_MAX,
							.ebx = UINT32_MAX,
							.ecx = UINT32_MAX,
							.edx = UINT32_MAX };
	t->leaf[t->n++] = (struct cpuid_leaf) {
		.leaf = 0xd, .subleaf = 1, .indexed = true, .eax = UINT32_MAX
	};
	t->leaf[t->n++] = (struct cpuid_leaf) {
		.leaf = 0xd, .subleaf = 2, .indexed = true, .eax = 256, .ebx = 576
	};
	t->arch_capabilities = 0x10;
	t->tsc_khz = 2445428;
}

static void soft_policy(void **state UNUSED)
{
	for (int amd = 0; amd < 2; amd++) {
		struct cpuid_policy p = { .vcpus = 3, .soft = true };
		struct cpuid_table in, t;
		const struct cpuid_leaf *l;

		everything(&in, amd);
		assert_int_equal(cpuid_apply_policy(&t, &in, &p, NULL), 0);
		l = cpuid_find(&t, 1, 0);
		assert_true(l->ecx & B(21)); /* x2APIC */
		assert_true(l->ecx & B(31)); /* hypervisor */
		assert_false(l->ecx & B(5)); /* VMX */
		assert_false(l->ecx & B(3)); /* MONITOR */
		assert_false(l->edx & B(1)); /* VME */
		assert_true(l->edx & B(28)); /* HTT, 3 vCPUs */
		l = cpuid_find(&t, 7, 0);
		assert_true(l->ebx & B(5));
		assert_false(l->ebx & (B(4) | B(11) | B(14) | B(16))); /* HLE RTM MPX AVX512F */
		assert_false(l->ecx & (B(2) | B(3) | B(7) | B(16)));   /* UMIP PKU CET LA57 */
		assert_true(l->edx & B(29));
		assert_int_equal(t.arch_capabilities & 3, 3); /* RDCL_NO, IBRS_ALL */
		l = cpuid_find(&t, 0xd, 0);
		assert_int_equal(l->eax, 7);
		assert_int_equal(l->ecx, 832);
		assert_int_equal(cpuid_find(&t, 0xd, 1)->eax, B(0) | B(2));
		l = cpuid_find(&t, 0x80000008, 0);
		assert_int_equal(l->eax, 46 | 48 << 8);
		l = cpuid_find(&t, 0x80000001, 0);
		assert_false(l->ecx & (B(2) | B(6))); /* SVM, SSE4A */
		assert_true(l->edx & B(20));
		if (amd)
			assert_true(cpuid_find(&t, 0x80000021, 0)->eax & B(29)); /* SRSO_NO */
		assert_null(cpuid_find(&t, 0x1234, 0));
	}
}

static void kvm_policy(void **state UNUSED)
{
	struct cpuid_policy p = { .vcpus = 1 };
	struct cpuid_table in, t;

	everything(&in, true);
	in.leaf[1].ecx &= ~B(28); /* no AVX */
	assert_int_equal(cpuid_apply_policy(&t, &in, &p, NULL), 0);
	assert_int_equal(cpuid_find(&t, 1, 0)->eax, UINT32_MAX);
	assert_false(cpuid_find(&t, 1, 0)->ecx & (B(5) | B(12) | B(28)));
	assert_false(cpuid_find(&t, 1, 0)->edx & B(28));
	assert_false(cpuid_find(&t, 7, 0)->ebx & (B(5) | B(16) | B(30)));
	assert_int_equal(cpuid_find(&t, 0xd, 0)->eax & 4, 0);
	assert_int_equal(t.arch_capabilities, 0x10);
}

static void tsc_leaf(void **state UNUSED)
{
	static const uint32_t khz[] = {
		800000, 999999, 1000000, 2445428, 2893432, 3700001, 4200000
	};

	for (unsigned i = 0; i < sizeof(khz) / sizeof(khz[0]); i++) {
		struct cpuid_policy p = { .vcpus = 1, .soft = true };
		struct cpuid_table in, t;
		const struct cpuid_leaf *l;
		uint64_t got;

		everything(&in, false);
		in.tsc_khz = khz[i];
		assert_int_equal(cpuid_apply_policy(&t, &in, &p, NULL), 0);
		l = cpuid_find(&t, 0x15, 0);
		/* Linux multiplies in 32 bits. */
		assert_true((uint64_t)(l->ecx / 1000) * l->ebx <= UINT32_MAX);
		got = (uint64_t)l->ecx / 1000 * l->ebx / l->eax;
		assert_in_range(got, khz[i] - khz[i] / 100000 - 1, khz[i] + khz[i] / 100000 + 1);
		assert_int_equal(cpuid_find(&t, 0x40000010, 0)->eax, khz[i]);
	}
}

static void per_vcpu(void **state UNUSED)
{
	struct cpuid_policy p = { .vcpus = 4, .soft = true };
	struct cpuid_table in, t, v;

	everything(&in, true);
	assert_int_equal(cpuid_apply_policy(&t, &in, &p, NULL), 0);
	cpuid_for_vcpu(&v, &t, 3);
	assert_int_equal(cpuid_find(&v, 1, 0)->ebx, 3u << 24 | 4u << 16 | 8u << 8);
	assert_int_equal(cpuid_find(&v, 0xb, 0)->edx, 3);
	assert_int_equal(cpuid_find(&v, 0xb, 1)->eax, 2);
	assert_int_equal(cpuid_find(&v, 0xb, 1)->ebx, 4);
	assert_int_equal(cpuid_find(&v, 0x8000001e, 0)->eax, 3);
}

static void bad_input(void **state UNUSED)
{
	struct cpuid_policy p = { .vcpus = 0, .soft = true };
	struct cpuid_table in, t;
	struct err e;

	everything(&in, true);
	assert_int_equal(cpuid_apply_policy(&t, &in, &p, &e), -EINVAL);
	p.vcpus = 1;
	in.tsc_khz = 0;
	assert_int_equal(cpuid_apply_policy(&t, &in, &p, &e), -EINVAL);
	in.n = 1;
	assert_int_equal(cpuid_apply_policy(&t, &in, &p, &e), -EINVAL);
}

static void host(void **state UNUSED)
{
	struct cpuid_policy p = { .vcpus = 64, .soft = true };
	struct cpuid_table in, t;
	struct err e;

	assert_int_equal(cpuid_host(&in, &e), 0);
	assert_in_range(in.tsc_khz, 500000, 10000000);
	assert_int_equal(cpuid_apply_policy(&t, &in, &p, &e), 0);
	assert_non_null(cpuid_find(&t, 0x80000008, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(soft_policy), cmocka_unit_test(kvm_policy),
		cmocka_unit_test(tsc_leaf),    cmocka_unit_test(per_vcpu),
		cmocka_unit_test(bad_input),   cmocka_unit_test(host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
