/* SPDX-License-Identifier: MIT */
/*
 * Token buckets: nothing is let through beyond rate * time + burst + one request, nothing less
 * either; no drift over an hour; a new rate keeps what is owed. And the buckets of latencies.
 */
#include "base/latency.h"
#include "base/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SEC CLOCK_NS_PER_SEC

/* Sends @size each time it may, from @from for @ns; returns the bytes. */
static uint64_t greedy(struct rate *r, uint64_t from, uint64_t ns, uint64_t size)
{
	uint64_t sent = 0;

	for (uint64_t t = from; t < from + ns;) {
		while (rate_ready(r, t)) {
			rate_charge(r, t, size);
			sent += size;
		}
		t = r->free_ns;
	}
	return sent;
}

static void greedy_ones_get_their_rate(void **state UNUSED)
{
	static const uint64_t rates[] = { 1000, 1 << 20, 3333333, 125000000, RATE_MAX };
	static const uint64_t sizes[] = { 1, 60, 1514, 4096, 1 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			struct rate r = { 0 };
			/* So long that it has some 10,000 requests. */
			uint64_t ns = MIN(1000 * SEC, 10000 * sizes[j] * SEC / rates[i] + 1);
			uint64_t burst = rates[i] / 10, got, fair;

			rate_set(&r, rates[i], 5 * SEC);
			if (burst / sizes[j] > 1000000)
				continue;
			got = greedy(&r, 5 * SEC, ns, sizes[j]);
			fair = (uint64_t)((double)rates[i] * (double)ns / 1e9);
			assert_in_range(got, fair, fair + burst + 2 * sizes[j]);
		}
}

static void no_drift(void **state UNUSED)
{
	struct rate r = { 0 };
	uint64_t start = SEC, sent;

	/* 7 bytes at 999,983 a second last 7000.119 ns: rounding would show. */
	rate_set(&r, 999983, start);
	sent = greedy(&r, start, 10 * SEC, 7);
	assert_in_range(sent, 10ull * 999983, 10ull * 999983 + 99999 + 7);
	sent += greedy(&r, r.free_ns, 10 * SEC, 7);
	assert_in_range(sent, 20ull * 999983, 20ull * 999983 + 99999 + 14);
}

static void unused_time_is_kept_up_to_the_burst(void **state UNUSED)
{
	struct rate r = { 0 };
	uint64_t n = 0;

	rate_set(&r, 1000000, SEC);
	for (; rate_ready(&r, SEC); n++)
		rate_charge(&r, SEC, 1000);
	assert_int_equal(n, 101);
	/* An hour later it is the same burst, not more. */
	for (n = 0; rate_ready(&r, 3600 * SEC); n++)
		rate_charge(&r, 3600 * SEC, 1000);
	assert_int_equal(n, 101);
}

static void large_ones_go_and_are_paid_for(void **state UNUSED)
{
	struct rate r = { 0 };

	rate_set(&r, 1000, 10 * SEC);
	rate_charge(&r, 10 * SEC, 5000);
	assert_false(rate_ready(&r, 14 * SEC));
	assert_int_equal(r.free_ns, 15 * SEC - RATE_BURST_NS);
	/* What does not fit in 64 bits of nanoseconds stays before what means "never". */
	rate_charge(&r, 14 * SEC, UINT64_MAX);
	assert_int_equal(r.free_ns, INT64_MAX);
}

static void a_new_rate_keeps_the_debt(void **state UNUSED)
{
	struct rate r = { 0 };

	assert_true(rate_ready(&r, 0));
	rate_charge(&r, 0, 1000);
	assert_true(rate_ready(&r, 0)); /* no limit */
	rate_set(&r, 1000, 10 * SEC);
	rate_charge(&r, 10 * SEC, 8100);
	assert_int_equal(r.free_ns, 18 * SEC);
	rate_set(&r, 4000, 10 * SEC);
	assert_int_equal(r.free_ns, 12 * SEC);
	rate_set(&r, 500, 10 * SEC);
	assert_int_equal(r.free_ns, 26 * SEC);
	rate_set(&r, 0, 10 * SEC);
	assert_true(rate_ready(&r, 10 * SEC));
	rate_set(&r, 500, 10 * SEC);
	assert_true(rate_ready(&r, 10 * SEC));
	rate_set(&r, 1000, 30 * SEC);
	assert_int_equal(r.free_ns, 10 * SEC - RATE_BURST_NS); /* counted in from when it is used */
	rate_charge(&r, 30 * SEC, 0);
	assert_int_equal(r.free_ns, 30 * SEC - RATE_BURST_NS);
}

static void latencies_find_their_bucket(void **state UNUSED)
{
	struct latency l = { 0 };

	assert_int_equal(latency_bucket(0), 0);
	assert_int_equal(latency_bucket(1000), 0);
	assert_int_equal(latency_bucket(1001), 1);
	for (unsigned i = 1; i < LATENCY_BUCKETS; i++) {
		assert_int_equal(latency_bucket(1000ull << i), i);
		assert_int_equal(latency_bucket((1000ull << (i - 1)) + 1), i);
	}
	assert_int_equal(latency_bucket((1000ull << 24) + 1), LATENCY_BUCKETS - 1);
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
	latency_add(&l, 3000);
	assert_int_equal(l.n[2], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greedy_ones_get_their_rate),
		cmocka_unit_test(no_drift),
		cmocka_unit_test(unused_time_is_kept_up_to_the_burst),
		cmocka_unit_test(large_ones_go_and_are_paid_for),
		cmocka_unit_test(a_new_rate_keeps_the_debt),
		cmocka_unit_test(latencies_find_their_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
