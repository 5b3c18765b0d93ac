/* SPDX-License-Identifier: MIT */
/*
 * Limits of I/O and network: what a VM's process is told and when, and how the network's capacity
 * is divided: never more than there is, by shares among those that want it, idle ones can begin,
 * limits and reservations hold. And a VM's counters as samples.
 */
#include "mgr/core/manager.h"

#include "../apienv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MIB (1u << 20)
#define N   3

struct rig {
	struct env v;
	struct vm *vm[N];
};

static const struct mgr_actor root = { .user = "root", .from = "" };

static void change(struct rig *t, unsigned i, const char *body)
{
	json_t *o = json_loads(body, 0, NULL);

	assert_non_null(o);
	assert_int_equal(mgr_change(&t->v.mgr, &root, t->vm[i], o, 0, NULL), 0);
	json_decref(o);
}

static void start(struct rig *t, unsigned i)
{
	struct mgr_op *op;

	assert_int_equal(mgr_verb(&t->v.mgr, &root, t->vm[i], VM_DO_START, NULL, &op, NULL), 0);
	fake_says_hello(&t->v.runner, t->vm[i]->id, false);
}

static void add_vm(struct rig *t, unsigned i, const char *project)
{
	json_t *o = json_pack("{s:s#, s:s, s:{s:s, s:s}}", "name", &"abc"[i], (size_t)1, "project",
			      project, "config", "kernel", "/k", "memory", "16M");

	assert_int_equal(mgr_create(&t->v.mgr, &root, o, &t->vm[i], NULL), 0);
	json_decref(o);
}

static void setup(struct rig *t)
{
	env_open(&t->v);
	for (unsigned i = 0; i < N; i++)
		add_vm(t, i, "default");
}

static void a_process_is_told_what_changes(void **state UNUSED)
{
	struct rig t = { 0 };
	struct fake_runner *f = &t.v.runner;

	setup(&t);
	change(&t, 0,
	       "{\"resources\":{\"io\":{\"limit\":\"4M\"}}, \"config\":{\"kernel\":\"/k\","
	       "\"io_limit\":\"8M\", \"net_limit\":\"1M\"}}");
	assert_int_equal(f->n_sent, 0); /* nobody is there */
	start(&t, 0);
	/* It began with them. */
	assert_int_equal(f->n_sent, 0);
	assert_int_equal(t.vm[0]->told.io, 4 * MIB);
	assert_int_equal(t.vm[0]->told.net, MIB);
	change(&t, 0, "{\"priority\":3}");
	assert_int_equal(f->n_sent, 0);
	change(&t, 0, "{\"resources\":{\"net\":{\"limit\":\"512K\"}}}");
	assert_int_equal(f->n_sent, 1);
	assert_int_equal(f->sent, CONTROL_LIMITS);
	assert_true(f->request.net_given && !f->request.io_given);
	assert_int_equal(f->request.net, MIB / 2);
	/* The smaller one holds, and none is larger than any. */
	change(&t, 0, "{\"resources\":{\"net\":{\"limit\":0},\"io\":{\"limit\":0}}}");
	assert_int_equal(f->n_sent, 2);
	assert_int_equal(f->request.net, MIB);
	assert_int_equal(f->request.io, 8 * MIB);
	/* After its end nothing of that is known any more. */
	fake_ends(f, t.vm[0]->id, "poweroff", 0);
	assert_false(t.vm[0]->told.known);
	env_close(&t.v);
}

/* Found at the start of holmd: what it was told last is not known. */
static void an_adopted_one_is_told_everything(void **state UNUSED)
{
	struct env v = { 0 };

	env_open(&v);
	env_put_vm(&v, "9f0c4f6ad3b21e77", "web", "running");
	v.runner.alive = true;
	assert_int_equal(mgr_recover(&v.mgr, NULL), 0);
	assert_int_equal(v.runner.n_sent, 0);
	fake_says_hello(&v.runner, "9f0c4f6ad3b21e77", false);
	assert_int_equal(v.runner.n_sent, 1);
	assert_true(v.runner.request.io_given && v.runner.request.net_given);
	env_close(&v);
}

/* Each moves as much as it may or as @want says, for @seconds. */
static void seconds(struct rig *t, unsigned n, const uint64_t want[N])
{
	while (n--) {
		uint64_t sum = 0;

		clock_fake_advance(&t->v.clock, CLOCK_NS_PER_SEC);
		for (unsigned i = 0; i < N; i++) {
			struct vm *vm = t->vm[i];
			uint64_t may = vm->told.net ? vm->told.net : 1ull << 40;

			vm->sample.at_ns = t->v.clock.wall;
			vm->sample.rx_bytes += MIN(may, want[i]);
		}
		mgr_limits_round(&t->v.mgr);
		for (unsigned i = 0; i < N; i++) {
			assert_true(t->vm[i]->net_flow.part > 0);
			sum += t->vm[i]->net_flow.part;
		}
		assert_in_range(sum, 0, t->v.mgr.net_capacity);
	}
}

static void near(uint64_t is, uint64_t want)
{
	assert_in_range(is, want - want / 8, want + want / 8);
}

static void capacity_is_divided_by_shares(void **state UNUSED)
{
	const uint64_t all[N] = { UINT32_MAX, UINT32_MAX, UINT32_MAX },
		       one[N] = { UINT32_MAX, 0, 0 };
	struct rig t = { 0 };

	setup(&t);
	t.v.mgr.net_capacity = 70 * MIB;
	for (unsigned i = 0; i < N; i++) {
		char body[80];

		snprintf(body, sizeof(body),
			 "{\"policy\":\"dynamic\",\"resources\":{\"net\":{\"shares\":%u}}}",
			 100u << i);
		change(&t, i, body);
		start(&t, i);
	}
	seconds(&t, 2, all);
	for (unsigned i = 0; i < N; i++)
		near(t.vm[i]->told.net, (10u << i) * MIB);
	/* Who is alone gets what the others do not want, and they can begin. */
	seconds(&t, 3, one);
	assert_true(t.vm[0]->told.net > 35 * MIB);
	assert_true(t.vm[2]->told.net > MIB);
	/* A second of wanting more is enough. */
	seconds(&t, 1, all);
	near(t.vm[2]->told.net, 40 * MIB);
	/* Limits and reservations hold. */
	change(&t, 2, "{\"resources\":{\"net\":{\"limit\":\"5M\"}}}");
	assert_int_equal(t.vm[2]->told.net, 5 * MIB); /* at once */
	change(&t, 0, "{\"resources\":{\"net\":{\"reservation\":\"50M\"}}}");
	seconds(&t, 12, all);
	assert_true(t.vm[0]->told.net >= 50u * MIB - MIB);
	assert_int_equal(t.vm[2]->told.net, 5 * MIB);
	/* Not divided: nothing of that is left for the next life. */
	fake_ends(&t.v.runner, t.vm[0]->id, "poweroff", 0);
	assert_int_equal(t.vm[0]->net_flow.part, 0);
	env_close(&t.v);
}

static void who_has_no_network_has_no_part(void **state UNUSED)
{
	struct rig t = { 0 };

	setup(&t);
	t.v.mgr.net_capacity = 60 * MIB;
	change(&t, 0, "{\"config\":{\"kernel\":\"/k\",\"net\":\"none\",\"memory\":\"16M\"}}");
	for (unsigned i = 0; i < N; i++)
		start(&t, i);
	mgr_limits_round(&t.v.mgr);
	assert_int_equal(t.vm[0]->net_flow.part, 0);
	near(t.vm[1]->net_flow.part, 30 * MIB);
	near(t.vm[2]->net_flow.part, 30 * MIB);
	env_close(&t.v);
}

/* What a project may move is divided among its VMs, from their start; others have no part in it. */
static void a_projects_limit_is_divided(void **state UNUSED)
{
	struct rig t = { 0 };
	static const char *const projects[N] = { "low", "top", "default" };
	uint64_t rate[N] = { UINT32_MAX, 0, UINT32_MAX };

	env_open(&t.v);
	assert_int_equal(env_call(&t.v, "POST", "/v1/projects",
				  "{\"name\":\"top\",\"resources\":{\"io\":{\"limit\":\"40M\"}}}"),
			 201);
	assert_int_equal(env_call(&t.v, "POST", "/v1/projects",
				  "{\"name\":\"low\",\"parent\":\"top\"}"),
			 201);
	for (unsigned i = 0; i < N; i++) {
		char body[200];

		snprintf(body, sizeof(body),
			 "{\"config\":{\"kernel\":\"/k\",\"memory\":\"16M\",\"disks\":[\"/d%u\"]}}",
			 i);
		add_vm(&t, i, projects[i]);
		change(&t, i, body);
		start(&t, i);
	}
	assert_int_equal(t.vm[0]->told.io, 40 * MIB);
	assert_int_equal(t.vm[2]->told.io, 0);
	for (unsigned s = 0; s < 4; s++) {
		clock_fake_advance(&t.v.clock, CLOCK_NS_PER_SEC);
		for (unsigned i = 0; i < N; i++) {
			struct vm *vm = t.vm[i];
			uint64_t may = vm->told.io ? vm->told.io : 1ull << 40;

			vm->sample.at_ns = t.v.clock.wall;
			vm->sample.read_bytes += MIN(may, rate[i]);
		}
		mgr_limits_round(&t.v.mgr);
		assert_in_range(t.vm[0]->io_flow.part + t.vm[1]->io_flow.part, 1, 40 * MIB);
		assert_int_equal(t.vm[2]->told.io, 0);
		/* From the third second on the other one wants its half, too. */
		if (s == 1) {
			assert_true(t.vm[0]->told.io > 25 * MIB);
			rate[1] = UINT32_MAX;
		}
	}
	near(t.vm[0]->told.io, 20 * MIB);
	near(t.vm[1]->told.io, 20 * MIB);
	/* The limit goes, and so do the parts. */
	assert_int_equal(env_call(&t.v, "PATCH", "/v1/projects/top",
				  "{\"resources\":{\"io\":{\"limit\":0}}}"),
			 200);
	mgr_limits_round(&t.v.mgr);
	assert_int_equal(t.vm[0]->told.io, 0);
	assert_int_equal(t.vm[1]->told.io, 0);
	env_close(&t.v);
}

static void samples_have_latencies(void **state UNUSED)
{
	struct sample s = { 0 };
	json_t *stats = json_pack("{s:[{s:{s:i, s:[i,i,i]}, s:{s:i, s:[]}}, {s:{s:i, s:[i]}}],"
				  " s:{s:[i,i]}}",
				  "disks", "read", "ops", 6, "latency_us", 1, 2, 3, "write", "ops",
				  0, "latency_us", "read", "ops", 4, "latency_us", 4, "net",
				  "tx_latency_us", 0, 9);
	json_t *o;

	assert_non_null(stats);
	for (unsigned twice = 0; twice < 2; twice++)
		sample_read(&s, stats);
	assert_int_equal(s.read_ops, 10);
	assert_int_equal(s.read_latency[0], 5);
	assert_int_equal(s.read_latency[1], 2);
	assert_int_equal(s.read_latency[2], 3);
	assert_int_equal(s.write_latency[0], 0);
	assert_int_equal(s.tx_latency[1], 9);
	o = sample_encode(&s);
	stats = (json_decref(stats), json_object_get(json_object_get(o, "blk"), "read_latency_us"));
	assert_int_equal(json_array_size(stats), LATENCY_BUCKETS);
	assert_int_equal(json_integer_value(json_array_get(stats, 2)), 3);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_told_what_changes),
		cmocka_unit_test(an_adopted_one_is_told_everything),
		cmocka_unit_test(capacity_is_divided_by_shares),
		cmocka_unit_test(who_has_no_network_has_no_part),
		cmocka_unit_test(a_projects_limit_is_divided),
		cmocka_unit_test(samples_have_latencies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
