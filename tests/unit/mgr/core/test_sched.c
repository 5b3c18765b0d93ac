/* SPDX-License-Identifier: MIT */
/*
 * The admission queue as the live manager uses it: orders, room, passing, adoption, settings that
 * change. The policies' order is tested through the simulator.
 */
#include "mgr/core/sched.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Jobs a, b, c ... and what was ordered: "+a" start, "-a" pause, ">a" resume. */
struct bench {
	struct sched s;
	struct sched_job j[8];
	char said[64];
};

static void note(void *ctx, struct sched_job *j, enum sched_order o)
{
	struct bench *b = ctx;
	size_t at = strlen(b->said);

	snprintf(b->said + at, sizeof(b->said) - at, "%c%c", " +->"[o], 'a' + (char)(j - b->j));
}

static void pick(struct bench *b, uint64_t now, const char *want)
{
	b->said[0] = '\0';
	sched_pick(&b->s, now, note, b);
	assert_string_equal(b->said, want);
}

static void setup(struct bench *b, enum sched_policy p)
{
	*b = (struct bench) { 0 };
	sched_init(&b->s, p, (struct sched_size) { 4000, 1000 });
	b->s.quantum_ms = 100;
	b->s.ageing_ms = 1000;
}

static void add(struct bench *b, char name, uint64_t cpu, uint64_t memory, uint64_t now)
{
	struct sched_job *j = &b->j[name - 'a'];
	struct err e = { 0 };

	*j = (struct sched_job) { .shares = 100, .sliceable = true, .size = { cpu, memory } };
	if (sched_add(&b->s, j, now, &e))
		fail_msg("%s", e.msg);
}

static void room_is_shared(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_FCFS);
	add(&b, 'a', 2000, 400, 0);
	add(&b, 'b', 2000, 400, 0);
	add(&b, 'c', 1000, 100, 0);
	pick(&b, 0, "+a+b");
	assert_int_equal(b.s.used.cpu, 4000);
	assert_int_equal(b.s.used.memory, 800);
	pick(&b, 5, "");
	assert_int_equal(sched_next_ms(&b.s), SCHED_NEVER); /* fcfs slices nothing */
	sched_remove(&b.s, &b.j[0], 10);
	pick(&b, 10, "+c");
	/* Twice out is once out. */
	sched_remove(&b.s, &b.j[0], 10);
	sched_remove(&b.s, &b.j[1], 10);
	sched_remove(&b.s, &b.j[2], 10);
	assert_int_equal(b.s.used.cpu, 0);
	assert_int_equal(b.s.used.memory, 0);
	assert_int_equal(b.s.n, 0);
	assert_null(b.s.first);
}

static void fcfs_lets_nobody_pass(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_FCFS);
	add(&b, 'a', 3000, 0, 0);
	add(&b, 'b', 2000, 0, 1);
	add(&b, 'c', 1000, 0, 2);
	pick(&b, 2, "+a");
	assert_int_equal(sched_position(&b.s, &b.j[1], 2), 0);
	assert_int_equal(sched_position(&b.s, &b.j[2], 2), 1);
	sched_remove(&b.s, &b.j[0], 3);
	pick(&b, 3, "+b+c");
}

static void others_pass_for_a_while(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_FAIR);
	b.s.quantum_ms = 0;
	add(&b, 'a', 3000, 0, 0);
	pick(&b, 0, "+a");
	add(&b, 'b', 2000, 0, 1);
	add(&b, 'c', 1000, 0, 2);
	pick(&b, 2, "+c");
	sched_remove(&b.s, &b.j[2], 900);
	add(&b, 'd', 1000, 0, 900);
	pick(&b, 900, "+d");
	sched_remove(&b.s, &b.j[3], 1001);
	/* b has waited for 1000 by now. */
	add(&b, 'e', 1000, 0, 1001);
	pick(&b, 1001, "");
	sched_remove(&b.s, &b.j[0], 1100);
	pick(&b, 1100, "+b+e");
}

static void slices_turn(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_RR);
	b.s.capacity.cpu = 1000;
	add(&b, 'a', 1000, 300, 0);
	pick(&b, 0, "+a");
	/* Alone it needs nobody to wake up for it. */
	assert_int_equal(sched_next_ms(&b.s), SCHED_NEVER);
	add(&b, 'b', 1000, 300, 20);
	pick(&b, 20, "");
	assert_int_equal(sched_next_ms(&b.s), 100);
	pick(&b, 99, "");
	pick(&b, 100, "-a+b");
	assert_int_equal(b.s.used.memory, 600); /* who stands still keeps it */
	pick(&b, 200, "-b>a");
	/* c does not fit beside the memory of a and b, however long it waits. */
	add(&b, 'c', 1000, 500, 200);
	pick(&b, 300, "-a>b");
	pick(&b, 1300, "-b>a");
	pick(&b, 1400, "-a>b");
	sched_remove(&b.s, &b.j[0], 1450);
	pick(&b, 1500, "-b+c");
	/* What cannot be sliced runs on. */
	b.j[2].sliceable = false;
	assert_int_equal(sched_next_ms(&b.s), SCHED_NEVER);
	pick(&b, 1700, "");
}

static void a_large_one_gets_its_room(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_RR);
	for (char c = 'a'; c <= 'c'; c++)
		add(&b, c, 2000, 0, 0);
	pick(&b, 0, "+a+b");
	add(&b, 'd', 4000, 0, 0);
	/* Their slices end at different times, so two never become free at once. */
	sched_remove(&b.s, &b.j[1], 50);
	pick(&b, 50, "+c");
	add(&b, 'b', 2000, 0, 50);
	pick(&b, 100, "-a+b");
	pick(&b, 150, "-c>a");
	for (uint64_t now = 200; now < 1000; now += 50)
		sched_pick(&b.s, now, note, &b);
	/* d has waited for 1000: who comes to its slice's end makes room and gets none. */
	assert_int_equal(b.j[3].state, SCHED_WAITING);
	b.said[0] = '\0';
	sched_pick(&b.s, 1000, note, &b);
	assert_int_equal(strlen(b.said), 2);
	assert_int_equal(b.said[0], '-');
	b.said[0] = '\0';
	sched_pick(&b.s, 1050, note, &b);
	assert_int_equal(strlen(b.said), 4);
	assert_string_equal(b.said + 2, "+d");
}

static void sjf_puts_the_unknown_last(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_SJF);
	b.s.capacity.cpu = 1000;
	add(&b, 'a', 1000, 0, 0);
	add(&b, 'b', 1000, 0, 1);
	add(&b, 'c', 1000, 0, 2);
	b.j[1].burst_ms = 60000;
	b.j[2].burst_ms = 50000;
	assert_int_equal(sched_position(&b.s, &b.j[0], 2), 2);
	assert_int_equal(sched_position(&b.s, &b.j[1], 2), 1);
	pick(&b, 2, "+c");
	/* A policy that is set while jobs wait holds at once. */
	b.s.policy = SCHED_FCFS;
	assert_int_equal(sched_position(&b.s, &b.j[0], 3), 0);
}

static void adoption(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_RR);
	b.j[0] = b.j[1] =
		(struct sched_job) { .shares = 100, .sliceable = true, .size = { 4000, 800 } };
	sched_adopt(&b.s, &b.j[0], 0, true);
	sched_adopt(&b.s, &b.j[1], 0, false);
	/* More memory than there is: it is so, and nothing new starts. */
	assert_int_equal(b.s.used.memory, 1600);
	assert_int_equal(b.s.used.cpu, 4000);
	add(&b, 'c', 100, 1, 0);
	pick(&b, 50, "");
	pick(&b, 100, "-a>b");
	sched_remove(&b.s, &b.j[0], 110);
	sched_remove(&b.s, &b.j[1], 110);
	pick(&b, 110, "+c");
}

static void capacity_shrinks(void **state UNUSED)
{
	struct bench b;

	setup(&b, SCHED_FCFS);
	add(&b, 'a', 1000, 0, 0);
	pick(&b, 0, "+a");
	add(&b, 'b', 4000, 0, 1);
	add(&b, 'c', 1000, 0, 2);
	pick(&b, 2, "");
	/* b can never run now; c does not wait for it. */
	b.s.capacity.cpu = 2000;
	pick(&b, 3, "+c");
	b.s.capacity.cpu = 4000;
	sched_remove(&b.s, &b.j[0], 4);
	sched_remove(&b.s, &b.j[2], 4);
	pick(&b, 4, "+b");
}

static void bad_jobs_are_refused(void **state UNUSED)
{
	static const struct {
		struct sched_job j;
		const char *says;
	} bad[] = {
		{ { .shares = 100, .size.cpu = 4001 }, "it needs 4001 thousandths" },
		{ { .shares = 100, .size.memory = 1001 }, "it needs 1001 bytes of memory" },
		{ { .shares = 0 }, "shares 0" },
		{ { .shares = 100, .priority = 11 }, "priority 11" },
		{ { .shares = 100, .burst_ms = SCHED_BURST_MAX_MS + 1 }, "a burst of" },
	};
	struct bench b;

	setup(&b, SCHED_FAIR);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };

		b.j[0] = bad[i].j;
		assert_int_equal(sched_add(&b.s, &b.j[0], 0, &e), -ERANGE);
		assert_ptr_equal(strstr(e.msg, bad[i].says), e.msg);
		assert_int_equal(b.s.n, 0);
	}
}

static void policies_have_names(void **state UNUSED)
{
	enum sched_policy p = SCHED_FCFS;
	struct err e = { 0 };

	for (unsigned i = 0; i < SCHED_POLICY_COUNT; i++) {
		assert_int_equal(
			sched_policy_parse(&p, sched_policy_name((enum sched_policy)i), &e), 0);
		assert_int_equal(p, i);
	}
	assert_int_equal(sched_policy_parse(&p, "lottery", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "fcfs, rr, sjf or fair"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_shared),
		cmocka_unit_test(fcfs_lets_nobody_pass),
		cmocka_unit_test(others_pass_for_a_while),
		cmocka_unit_test(slices_turn),
		cmocka_unit_test(a_large_one_gets_its_room),
		cmocka_unit_test(sjf_puts_the_unknown_last),
		cmocka_unit_test(adoption),
		cmocka_unit_test(capacity_shrinks),
		cmocka_unit_test(bad_jobs_are_refused),
		cmocka_unit_test(policies_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
