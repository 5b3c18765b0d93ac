/* SPDX-License-Identifier: MIT */
/*
 * The machine's clock: it shows the host's time less the times it stood, and a loop on it keeps
 * its timers back meanwhile, with the host's real clock too.
 */
#include "machine/gclock.h"

#include "base/loop.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t shows(const struct gclock *g)
{
	return g->clock.mono_ns(&g->clock);
}

static void stands_and_goes(void **state UNUSED)
{
	struct clock_fake host;
	struct gclock g;

	clock_fake_init(&host, 1000, 5000);
	gclock_init(&g, &host.clock);
	assert_null(g.clock.host_ns);
	assert_int_equal(shows(&g), 1000);
	assert_int_equal(gclock_go(&g), 0);
	gclock_stop(&g);
	clock_fake_advance(&host, 100);
	gclock_stop(&g);
	assert_int_equal(shows(&g), 1000);
	assert_int_equal(g.clock.wall_ns(&g.clock), 5100);
	assert_int_equal(gclock_go(&g), 100);
	assert_int_equal(shows(&g), 1000);
	clock_fake_advance(&host, 10);
	assert_int_equal(shows(&g), 1010);
	gclock_stop(&g);
	clock_fake_advance(&host, 7);
	assert_int_equal(gclock_go(&g), 7);
	assert_int_equal(shows(&g), 1010);
}

static void host_time(void **state UNUSED)
{
	struct gclock g;
	uint64_t at;

	gclock_init(&g, &clock_host);
	at = shows(&g) + 1000;
	assert_int_equal(g.clock.host_ns(&g.clock, at), at);
	gclock_stop(&g);
	assert_true(g.clock.host_ns(&g.clock, at) == UINT64_MAX);
	while (clock_monotonic_ns() < at + 1000)
		continue;
	at = gclock_go(&g) + 5;
	assert_int_equal(g.clock.host_ns(&g.clock, 5), at);
	assert_true(g.clock.host_ns(&g.clock, UINT64_MAX - 1) == UINT64_MAX);
}

static void fired(void *arg)
{
	++*(int *)arg;
}

static void timers_wait(void **state UNUSED)
{
	struct loop_timer timer = { 0 };
	uint64_t start;
	struct gclock g;
	struct loop *l;
	int n = 0;

	gclock_init(&g, &clock_host);
	assert_int_equal(loop_create(&l, &g.clock, NULL), 0);
	loop_timer_init(&timer, l, fired, &n);
	loop_timer_arm(&timer, shows(&g) + 20 * CLOCK_NS_PER_MS);
	gclock_stop(&g);
	loop_clock_changed(l);
	/* Not even a wake-up for it. */
	start = clock_monotonic_ns();
	assert_int_equal(loop_poll(l, 60), 0);
	assert_true(clock_monotonic_ns() - start >= 55 * CLOCK_NS_PER_MS);
	assert_int_equal(n, 0);
	gclock_go(&g);
	loop_clock_changed(l);
	start = clock_monotonic_ns();
	assert_int_equal(loop_poll(l, 5000), 1);
	assert_true(clock_monotonic_ns() - start >= 10 * CLOCK_NS_PER_MS);
	assert_true(clock_monotonic_ns() - start < 2000 * CLOCK_NS_PER_MS);
	assert_int_equal(n, 1);
	loop_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stands_and_goes),
		cmocka_unit_test(host_time),
		cmocka_unit_test(timers_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
