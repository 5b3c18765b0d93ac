/* SPDX-License-Identifier: MIT */
/*
 * The simulator: textbook traces computed by hand for each policy, bounds on waiting over random
 * traces, no more used than there is, the reader of traces, and the chart.
 */
#include "mgr/core/sched_sim.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16

/* What a hand computed for one job. */
struct hand {
	uint64_t start, end, wait;
	unsigned slices;
};

static void simulate(struct sim_run *r, const char *text, enum sched_policy p, uint64_t quantum)
{
	struct sim_settings set = { .policy = p, .quantum_ms = quantum, .capacity.cpu = 1000 };
	struct sim_trace t = { 0 };
	struct err e = { 0 };

	if (sim_trace_parse(&t, "trace", text, strlen(text), &e) || sim_run(r, &t, &set, &e))
		fail_msg("%s", e.msg);
	sim_trace_free(&t);
}

static void by_hand(const char *text, enum sched_policy p, uint64_t quantum,
		    const struct hand *want, size_t n)
{
	struct sim_run r = { 0 };
	double wait = 0;

	simulate(&r, text, p, quantum);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(r.results[i].start_ms, want[i].start);
		assert_int_equal(r.results[i].end_ms, want[i].end);
		assert_int_equal(r.results[i].wait_ms, want[i].wait);
		assert_int_equal(r.results[i].slices, want[i].slices);
		wait += (double)want[i].wait;
	}
	assert_true(fabs(r.wait_ms - wait / (double)n) < 1e-9);
	sim_run_free(&r);
}

static const char three[] = "{\"id\": \"P1\", \"arrival_ms\": 0, \"burst_ms\": 24}\n"
			    "{\"id\": \"P2\", \"arrival_ms\": 0, \"burst_ms\": 3}\n"
			    "{\"id\": \"P3\", \"arrival_ms\": 0, \"burst_ms\": 3}\n";

static void fcfs_by_hand(void **state UNUSED)
{
	/* | P1 0-24 | P2 24-27 | P3 27-30 |: waits 0, 24, 27, mean 17. */
	static const struct hand want[] = { { 0, 24, 0, 1 }, { 24, 27, 24, 1 }, { 27, 30, 27, 1 } };
	/* The convoy the other way round: P2 at 0, P3 at 1, P1 at 2: waits 0, 2, 4. */
	static const char other[] = "{\"arrival_ms\": 2, \"burst_ms\": 24}\n"
				    "{\"arrival_ms\": 0, \"burst_ms\": 3}\n"
				    "{\"arrival_ms\": 1, \"burst_ms\": 3}\n";
	static const struct hand want2[] = { { 6, 30, 4, 1 }, { 0, 3, 0, 1 }, { 3, 6, 2, 1 } };
	/* Priority: at 2 the third is before the second, which came first; a gap from 7 to 20. */
	static const char prio[] = "{\"arrival_ms\": 0, \"burst_ms\": 2}\n"
				   "{\"arrival_ms\": 0, \"burst_ms\": 2}\n"
				   "{\"arrival_ms\": 1, \"burst_ms\": 3, \"priority\": 1}\n"
				   "{\"arrival_ms\": 20, \"burst_ms\": 1}\n";
	static const struct hand want3[] = {
		{ 0, 2, 0, 1 }, { 5, 7, 5, 1 }, { 2, 5, 1, 1 }, { 20, 21, 0, 1 }
	};

	by_hand(three, SCHED_FCFS, 4, want, 3);
	by_hand(other, SCHED_FCFS, 4, want2, 3);
	by_hand(prio, SCHED_FCFS, 4, want3, 4);
}

static void sjf_by_hand(void **state UNUSED)
{
	/* All at 0, bursts 6 8 7 3: | P4 0-3 | P1 3-9 | P3 9-16 | P2 16-24 |: mean wait 7. */
	static const char four[] = "{\"arrival_ms\": 0, \"burst_ms\": 6}\n"
				   "{\"arrival_ms\": 0, \"burst_ms\": 8}\n"
				   "{\"arrival_ms\": 0, \"burst_ms\": 7}\n"
				   "{\"arrival_ms\": 0, \"burst_ms\": 3}\n";
	static const struct hand want[] = {
		{ 3, 9, 3, 1 }, { 16, 24, 16, 1 }, { 9, 16, 9, 1 }, { 0, 3, 0, 1 }
	};
	/* Not preemptive: P1 runs on while shorter ones come:
	 * | P1 0-7 | P3 7-8 | P2 8-12 | P4 12-16 |: waits 0, 6, 3, 7, mean 4. */
	static const char late[] = "{\"arrival_ms\": 0, \"burst_ms\": 7}\n"
				   "{\"arrival_ms\": 2, \"burst_ms\": 4}\n"
				   "{\"arrival_ms\": 4, \"burst_ms\": 1}\n"
				   "{\"arrival_ms\": 5, \"burst_ms\": 4}\n";
	static const struct hand want2[] = {
		{ 0, 7, 0, 1 }, { 8, 12, 6, 1 }, { 7, 8, 3, 1 }, { 12, 16, 7, 1 }
	};

	by_hand(four, SCHED_SJF, 4, want, 4);
	by_hand(late, SCHED_SJF, 4, want2, 4);
}

static void rr_by_hand(void **state UNUSED)
{
	/* Quantum 4: | P1 0-4 | P2 4-7 | P3 7-10 | P1 10-30 |: waits 6, 4, 7. The last stretch of
	 * P1 is one, as nobody waits at its quanta's ends. */
	static const struct hand want[] = { { 0, 30, 6, 2 }, { 4, 7, 4, 1 }, { 7, 10, 7, 1 } };
	/*
	 * Quantum 2, A (0, 5), B (1, 3), C (2, 1). At 2 C comes before A goes to the end:
	 * | A 0-2 | B 2-4 | C 4-5 | A 5-7 | B 7-8 | A 8-9 |
	 * A: 9 - 5 = 4, B: 8 - 1 - 3 = 4, C: 5 - 2 - 1 = 2.
	 */
	static const char abc[] = "{\"arrival_ms\": 0, \"burst_ms\": 5}\n"
				  "{\"arrival_ms\": 1, \"burst_ms\": 3}\n"
				  "{\"arrival_ms\": 2, \"burst_ms\": 1}\n";
	static const struct hand want2[] = { { 0, 9, 4, 3 }, { 2, 8, 4, 2 }, { 4, 5, 2, 1 } };
	struct sim_run r = { 0 };

	by_hand(three, SCHED_RR, 4, want, 3);
	by_hand(abc, SCHED_RR, 2, want2, 3);
	/* Without a quantum it is first come, first served. */
	simulate(&r, three, SCHED_RR, 0);
	assert_int_equal(r.results[2].wait_ms, 27);
	sim_run_free(&r);
	/*
	 * Means and fairness of the first: turnaround (30 + 7 + 10) / 3, response (0 + 4 + 7) / 3;
	 * x = 24/30, 3/7, 3/10: sum 1.528571, of squares 0.913673: 2.336531 / (3 * 0.913673).
	 */
	simulate(&r, three, SCHED_RR, 4);
	assert_true(fabs(r.turnaround_ms - 47.0 / 3) < 1e-9);
	assert_true(fabs(r.response_ms - 11.0 / 3) < 1e-9);
	assert_true(fabs(r.fairness - 0.852431) < 1e-6);
	assert_int_equal(r.max_wait_ms, 7);
	assert_int_equal(r.end_ms, 30);
	sim_run_free(&r);
}

static void fair_by_hand(void **state UNUSED)
{
	/*
	 * Quantum 2; T in ms at shares 100. A (0, 6, 100), B (0, 6, 200), C (4, 2, 100).
	 *  0: A would have T_next 0 + 2/1 = 2, B 0 + 2/2 = 1: B 0-2. The queue's T is 1.
	 *  2: B has T 1 and T_next 2, A 2; A waits longer: A 2-4. Queue 2.
	 *  4: C comes with T 2, T_next 4. A has T 2, T_next 4; B still 2: B 4-6.
	 *  6: B has T 2, T_next 3; A and C 4: B goes on, 6-8, and is done. Queue 3.
	 *  8: A and C 4, both wait since 4, C joined before A's slice ended: C 8-10, done.
	 * 10: A 10-14. Waits: A 14 - 6 = 8, B 8 - 6 = 2, C 10 - 4 - 2 = 4.
	 */
	static const char abc[] = "{\"arrival_ms\": 0, \"burst_ms\": 6}\n"
				  "{\"arrival_ms\": 0, \"burst_ms\": 6, \"shares\": 200}\n"
				  "{\"arrival_ms\": 4, \"burst_ms\": 2}\n";
	static const struct hand want[] = { { 2, 14, 8, 2 }, { 0, 8, 2, 2 }, { 8, 10, 4, 1 } };
	/*
	 * Without slices, whole bursts: A (0, 8, 100), B (0, 6, 300), C (0, 3, 100), D (1, 4, 200).
	 *  0: T_next A 8, B 6/3 = 2, C 3: B 0-6. The queue's T is 2.
	 *  1: D comes with T 2: T_next 2 + 4/2 = 4.
	 *  6: C (3) 6-9.   9: D (4) 9-13.   13: A (8) 13-21.
	 */
	static const char abcd[] = "{\"arrival_ms\": 0, \"burst_ms\": 8}\n"
				   "{\"arrival_ms\": 0, \"burst_ms\": 6, \"shares\": 300}\n"
				   "{\"arrival_ms\": 0, \"burst_ms\": 3}\n"
				   "{\"arrival_ms\": 1, \"burst_ms\": 4, \"shares\": 200}\n";
	static const struct hand want2[] = {
		{ 13, 21, 13, 1 }, { 0, 6, 0, 1 }, { 6, 9, 6, 1 }, { 9, 13, 8, 1 }
	};

	by_hand(abc, SCHED_FAIR, 2, want, 3);
	by_hand(abcd, SCHED_FAIR, 0, want2, 4);
}

static uint64_t rnd(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t *s, uint64_t n)
{
	return (rnd(s) >> 11) % n;
}

static void random_trace(struct sim_trace *t, uint64_t *s, bool sizes)
{
	t->n = 1 + below(s, MOST);
	for (size_t i = 0; i < t->n; i++)
		t->jobs[i] = (struct sim_job) {
			.arrival_ms = below(s, 200),
			.burst_ms = 1 + below(s, below(s, 4) ? 20 : 200),
			.priority = (int)below(s, 21) - 10,
			.shares = 1 + (unsigned)below(s, 1000),
			.size.cpu = sizes ? 1 + below(s, 4000) : 1000,
			.size.memory = sizes ? below(s, 1000) : 0,
		};
}

/* The longest stretch of waiting of @job, up to its start or between two slices. */
static uint64_t longest_stretch(const struct sim_trace *t, const struct sim_run *r, size_t job)
{
	uint64_t since = t->jobs[job].arrival_ms, longest = 0;

	for (size_t i = 0; i < r->n_slices; i++)
		if (r->slices[i].job == job) {
			longest = MAX(longest, r->slices[i].from_ms - since);
			since = r->slices[i].to_ms;
		}
	return longest;
}

/* As sched.h states it. */
static uint64_t bound(const struct sim_trace *t, const struct sim_settings *set, size_t job)
{
	uint64_t sum = set->ageing_ms, longest = 0;

	if (set->policy == SCHED_RR || set->policy == SCHED_FAIR)
		return sum + (t->n - 1) * set->quantum_ms;
	for (size_t i = 0; i < t->n; i++) {
		uint64_t at = t->jobs[i].arrival_ms, own = t->jobs[job].arrival_ms;

		if (i == job)
			continue;
		longest = MAX(longest, t->jobs[i].burst_ms);
		if (at < own || (at == own && i < job))
			sum += t->jobs[i].burst_ms;
	}
	return sum + longest;
}

static void nobody_starves(void **state UNUSED)
{
	struct sim_job jobs[MOST];
	struct sim_trace t = { .jobs = jobs };
	uint64_t seed = 20260101, close = 0;

	for (unsigned c = 0; c < 10000; c++) {
		struct sim_settings set = { .quantum_ms = 1 + below(&seed, 20),
					    .ageing_ms = 1 + below(&seed, 100),
					    .capacity.cpu = 1000 };

		random_trace(&t, &seed, false);
		for (unsigned p = 0; p < SCHED_POLICY_COUNT; p++) {
			struct sim_run r = { 0 };
			struct err e;

			set.policy = (enum sched_policy)p;
			assert_int_equal(sim_run(&r, &t, &set, &e), 0);
			for (size_t i = 0; i < t.n; i++) {
				uint64_t got = longest_stretch(&t, &r, i),
					 most = bound(&t, &set, i);

				assert_true(got <= most);
				close += got > most / 2;
			}
			sim_run_free(&r);
		}
	}
	/* A bound that nobody comes near would say little. */
	assert_true(close > 10000);
}

/* A long job before an endless row of short ones, under the policy that would forget it. */
static void ageing_is_what_saves(void **state UNUSED)
{
	struct sim_job jobs[200];
	struct sim_trace t = { .jobs = jobs, .n = ARRAY_SIZE(jobs) };
	struct sim_settings set = { .policy = SCHED_SJF, .capacity.cpu = 1000 };
	struct sim_run r = { 0 };
	struct err e;

	for (size_t i = 0; i < t.n; i++)
		jobs[i] = (struct sim_job) { .arrival_ms = i ? (i - 1) * 10 : 0,
					     .burst_ms = 10,
					     .shares = 100,
					     .size.cpu = 1000 };
	jobs[1] = (struct sim_job) { .burst_ms = 50, .shares = 100, .size.cpu = 1000 };
	assert_int_equal(sim_run(&r, &t, &set, &e), 0);
	assert_int_equal(r.results[1].start_ms, 2000 - 10);
	sim_run_free(&r);
	set.ageing_ms = 300;
	assert_int_equal(sim_run(&r, &t, &set, &e), 0);
	assert_int_equal(r.results[1].start_ms, 300);
	sim_run_free(&r);
}

/* At each slice's begin: CPUs of those that run, memory of those that began and did not end. */
static void check_room(const struct sim_trace *t, const struct sim_run *r)
{
	for (size_t i = 0; i < r->n_slices; i++) {
		uint64_t at = r->slices[i].from_ms, cpu = 0, memory = 0;

		assert_true(r->slices[i].to_ms > at);
		for (size_t k = 0; k < r->n_slices; k++)
			if (r->slices[k].from_ms <= at && at < r->slices[k].to_ms)
				cpu += t->jobs[r->slices[k].job].size.cpu;
		for (size_t j = 0; j < t->n; j++)
			if (r->results[j].start_ms <= at && at < r->results[j].end_ms)
				memory += t->jobs[j].size.memory;
		assert_true(cpu <= r->settings.capacity.cpu);
		assert_true(memory <= r->settings.capacity.memory);
	}
}

static void room_is_kept_and_all_end(void **state UNUSED)
{
	struct sim_job jobs[MOST];
	struct sim_trace t = { .jobs = jobs };
	uint64_t seed = 99, beside = 0;

	for (unsigned c = 0; c < 5000; c++) {
		struct sim_settings set = { .policy = (enum sched_policy)(c % SCHED_POLICY_COUNT),
					    .quantum_ms = 1 + below(&seed, 20),
					    .ageing_ms = below(&seed, 100),
					    .capacity = { 4000, 1000 } };
		struct sim_run r = { 0 };
		uint64_t sum = 0;
		struct err e;

		random_trace(&t, &seed, true);
		assert_int_equal(sim_run(&r, &t, &set, &e), 0);
		check_room(&t, &r);
		for (size_t i = 0; i < t.n; i++) {
			uint64_t ran = 0;

			for (size_t k = 0; k < r.n_slices; k++)
				if (r.slices[k].job == i)
					ran += r.slices[k].to_ms - r.slices[k].from_ms;
			assert_int_equal(ran, jobs[i].burst_ms);
			sum += ran;
		}
		beside += sum > r.end_ms;
		sim_run_free(&r);
	}
	assert_true(beside > 1000);
}

static void too_large_is_named(void **state UNUSED)
{
	static const char text[] = "{\"id\": \"big\", \"arrival_ms\": 0, \"burst_ms\": 1, "
				   "\"size\": {\"cpu\": 1001}}";
	struct sim_settings set = { .capacity.cpu = 1000 };
	struct sim_trace t = { 0 };
	struct sim_run r = { 0 };
	struct err e = { 0 };

	assert_int_equal(sim_trace_parse(&t, "x", text, strlen(text), &e), 0);
	assert_int_equal(sim_run(&r, &t, &set, &e), -ERANGE);
	assert_string_equal(e.msg, "job 'big': it needs 1001 thousandths of a CPU and there are "
				   "1000 in all");
	assert_null(r.results);
	sim_trace_free(&t);
}

static void trace_is_read(void **state UNUSED)
{
	static const char text[] =
		"# two jobs\n\n  \t\r\n"
		"{\"arrival_ms\": 5, \"burst_ms\": 7}\r\n"
		"{\"id\": 12, \"arrival_ms\": 0, \"burst_ms\": 1, \"priority\": -3, \"shares\": 7, "
		"\"size\": {\"cpu\": 250, \"memory\": 4096}}";
	struct sim_trace t = { 0 };
	struct err e = { 0 };

	assert_int_equal(sim_trace_parse(&t, "x", text, strlen(text), &e), 0);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.jobs[0].id, "4");
	assert_int_equal(t.jobs[0].arrival_ms, 5);
	assert_int_equal(t.jobs[0].burst_ms, 7);
	assert_int_equal(t.jobs[0].priority, 0);
	assert_int_equal(t.jobs[0].shares, 100);
	assert_int_equal(t.jobs[0].size.cpu, 1000);
	assert_int_equal(t.jobs[0].size.memory, 0);
	assert_string_equal(t.jobs[1].id, "12");
	assert_int_equal(t.jobs[1].priority, -3);
	assert_int_equal(t.jobs[1].shares, 7);
	assert_int_equal(t.jobs[1].size.cpu, 250);
	assert_int_equal(t.jobs[1].size.memory, 4096);
	sim_trace_free(&t);
}

static void bad_traces_are_told(void **state UNUSED)
{
#define GOOD	   "{\"arrival_ms\": 0, \"burst_ms\": 1}\n"
#define LINE(more) GOOD "{\"arrival_ms\": 0, \"burst_ms\": 1, " more "}\n"
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "f holds no job" },
		{ "\n# nothing\n", "f holds no job" },
		{ GOOD "{\"arrival_ms\": 0,\n", "f: line 2: column" },
		{ GOOD "[1]\n", "f: line 2: it holds no object" },
		{ GOOD "\n{\"arrival_ms\": 0}\n", "f: line 3: burst_ms is missing" },
		{ "{\"burst_ms\": 1}", "f: line 1: arrival_ms is missing" },
		{ LINE("\"colour\": 1"), "f: line 2: unknown field colour: use id," },
		{ LINE("\"size\": {\"disk\": 1}"), "f: line 2: unknown field size.disk" },
		{ LINE("\"size\": 3"), "f: line 2: size is no object" },
		{ LINE("\"size\": {\"cpu\": 0}"), "f: line 2: size.cpu is 0, which is not 1 to" },
		{ LINE("\"priority\": 11"), "f: line 2: priority is 11, which is not -10 to 10" },
		{ LINE("\"shares\": 0"), "f: line 2: shares is 0, which is not 1 to 10000" },
		{ LINE("\"shares\": 1.5"), "f: line 2: shares is not a whole number" },
		{ LINE("\"shares\": \"1\""), "f: line 2: shares is not a whole number" },
		{ LINE("\"id\": \"\""), "f: line 2: id has not 1 to 63 bytes" },
		{ LINE("\"id\": \"a\\nb\""), "f: line 2: id holds control characters" },
		{ LINE("\"id\": null"), "f: line 2: id is neither" },
		{ LINE("\"id\": 1"), "f: line 2: there is a job '1' already" },
		{ LINE("\"arrival_ms\": 1"), "f: line 2: column" }, /* given twice */
		{ "{\"arrival_ms\": -1, \"burst_ms\": 1}", "f: line 1: arrival_ms is -1" },
		{ "{\"arrival_ms\": 0, \"burst_ms\": 0}", "f: line 1: burst_ms is 0" },
		{ "{\"arrival_ms\": 0, \"burst_ms\": 99999999999999}",
		  "f: line 1: burst_ms is 999" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sim_trace t = { 0 };
		struct err e = { 0 };

		assert_int_equal(sim_trace_parse(&t, "f", bad[i].text, strlen(bad[i].text), &e),
				 -EINVAL);
		if (strncmp(e.msg, bad[i].says, strlen(bad[i].says)) != 0)
			fail_msg("%zu: '%s' does not begin with '%s'", i, e.msg, bad[i].says);
		assert_null(t.jobs);
	}
}

static void chart_is_drawn(void **state UNUSED)
{
	static const char text[] = "{\"id\": \"<a>&\", \"arrival_ms\": 0, \"burst_ms\": 5}\n"
				   "{\"arrival_ms\": 1, \"burst_ms\": 3}\n";
	struct sim_settings set = { .quantum_ms = 2, .capacity.cpu = 1000 };
	struct sim_run runs[SCHED_POLICY_COUNT] = { 0 };
	struct sim_trace t = { 0 };
	struct err e = { 0 };
	size_t len = 0, bars = 0, slices = 0;
	char *svg = NULL;
	FILE *f = open_memstream(&svg, &len);

	assert_non_null(f);
	assert_int_equal(sim_trace_parse(&t, "x", text, strlen(text), &e), 0);
	for (unsigned p = 0; p < SCHED_POLICY_COUNT; p++) {
		set.policy = (enum sched_policy)p;
		assert_int_equal(sim_run(&runs[p], &t, &set, &e), 0);
		slices += runs[p].n_slices;
	}
	sim_svg(f, &t, runs, SCHED_POLICY_COUNT);
	assert_int_equal(fclose(f), 0);
	for (char *p = svg; (p = strstr(p, "</rect>")); p++)
		bars++;
	assert_int_equal(bars, slices);
	assert_non_null(strstr(svg, "&lt;a&gt;&amp;: 0 to 2 ms</title>"));
	assert_null(strstr(svg, "<a>"));
	assert_non_null(strstr(svg, ">rr, quantum 2 ms</text>"));
	assert_non_null(strstr(svg, ">time in ms</text>"));
	assert_string_equal(svg + len - 7, "</svg>\n");
	free(svg);
	for (unsigned p = 0; p < SCHED_POLICY_COUNT; p++)
		sim_run_free(&runs[p]);
	sim_trace_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fcfs_by_hand),
		cmocka_unit_test(sjf_by_hand),
		cmocka_unit_test(rr_by_hand),
		cmocka_unit_test(fair_by_hand),
		cmocka_unit_test(nobody_starves),
		cmocka_unit_test(ageing_is_what_saves),
		cmocka_unit_test(room_is_kept_and_all_end),
		cmocka_unit_test(too_large_is_named),
		cmocka_unit_test(trace_is_read),
		cmocka_unit_test(bad_traces_are_told),
		cmocka_unit_test(chart_is_drawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
