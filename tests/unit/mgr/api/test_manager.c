/* SPDX-License-Identifier: MIT */
/*
 * What follows from verbs and reports over time: operations, force after the grace time,
 * restarts by policy, reboots, admission, batch jobs, and what a new holmd makes of old records.
 */
#include "../apienv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ID "00000000000000aa"

static int set_up(void **state)
{
	struct env *v = calloc(1, sizeof(*v));

	env_open(v);
	*state = v;
	return 0;
}

static int tear_down(void **state)
{
	env_close(*state);
	free(*state);
	return 0;
}

static void pass(struct env *v, uint64_t ms)
{
	clock_fake_advance(&v->clock, ms * CLOCK_NS_PER_MS);
	loop_unlock(v->loop);
	loop_poll(v->loop, 0);
	loop_lock(v->loop);
}

static const char *create(struct env *v, const char *name, const char *more)
{
	static char id[20];
	char body[512];

	snprintf(body, sizeof(body),
		 "{\"name\":\"%s\",\"config\":{\"kernel\":\"/k\",\"memory\":\"1G\"}%s}", name,
		 more);
	assert_int_equal(env_call(v, "POST", "/v1/vms", body), 201);
	snprintf(id, sizeof(id), "%s", env_text(v, "id"));
	return id;
}

static struct vm *vm_of(struct env *v, const char *name)
{
	struct vm *vm = mgr_find(&v->mgr, name);

	assert_non_null(vm);
	return vm;
}

static void verb(struct env *v, const char *name, const char *what, const char *body)
{
	char path[96];

	snprintf(path, sizeof(path), "/v1/vms/%s/%s", name, what);
	assert_int_equal(env_call(v, "POST", path, body), 202);
}

/* The state of an operation, looked up by the id of the last 202. */
static const char *op_state(struct env *v, const char *id)
{
	char path[64];

	snprintf(path, sizeof(path), "/v1/operations/%s", id);
	assert_int_equal(env_call(v, "GET", path, NULL), 200);
	return env_text(v, "state");
}

static void test_operation(void **state)
{
	struct env *v = *state;
	char id[20], op[20];

	snprintf(id, sizeof(id), "%s", create(v, "a", ""));
	verb(v, "a", "start", NULL);
	snprintf(op, sizeof(op), "%s", env_text(v, "id"));
	assert_string_equal(v->runner.spawned, id);
	assert_string_equal(op_state(v, op), "running");
	fake_says_hello(&v->runner, id, false);
	assert_string_equal(op_state(v, op), "done");
	assert_int_equal(vm_of(v, "a")->life.state, VM_RUNNING);
	verb(v, "a", "pause", NULL);
	snprintf(op, sizeof(op), "%s", env_text(v, "id"));
	assert_int_equal(v->runner.sent, CONTROL_PAUSE);
	fake_replies(&v->runner);
	assert_string_equal(op_state(v, op), "done");
	/* Another verb takes the place of one that is under way. */
	verb(v, "a", "shutdown", NULL);
	snprintf(op, sizeof(op), "%s", env_text(v, "id"));
	verb(v, "a", "kill", NULL);
	assert_string_equal(op_state(v, op), "cancelled");
	assert_string_equal(v->runner.killed, id);
	fake_ends(&v->runner, id, "killed", 137);
	assert_int_equal(vm_of(v, "a")->life.state, VM_STOPPED);
	assert_string_equal(v->runner.cleaned, id);
}

static void test_start_fails(void **state)
{
	struct env *v = *state;
	char op[20];

	create(v, "a", "");
	v->runner.refuse = -ENOMEM;
	verb(v, "a", "start", NULL);
	snprintf(op, sizeof(op), "%s", env_text(v, "id"));
	assert_string_equal(op_state(v, op), "failed");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(v->body, "error"), "detail")),
		"no process to be had");
	assert_int_equal(vm_of(v, "a")->life.state, VM_STOPPED);
	assert_int_equal(v->mgr.sched.used.memory, 0);
}

static void test_force(void **state)
{
	struct env *v = *state;
	char id[20];

	snprintf(id, sizeof(id), "%s", create(v, "a", ""));
	verb(v, "a", "start", NULL);
	fake_says_hello(&v->runner, id, false);
	verb(v, "a", "shutdown", "{\"timeout_ms\":5000}");
	assert_int_equal(v->runner.sent, CONTROL_SHUTDOWN);
	pass(v, 4900);
	assert_int_equal(v->runner.n_killed, 0);
	pass(v, 200);
	assert_int_equal(v->runner.n_killed, 1);
	fake_ends(&v->runner, id, "killed", 137);
	assert_int_equal(vm_of(v, "a")->life.state, VM_STOPPED);
	assert_non_null(strstr(vm_of(v, "a")->life.reason, "force"));
	assert_int_equal(env_call(v, "POST", "/v1/vms/a/shutdown", NULL), 409);
}

static void test_reboot(void **state)
{
	struct env *v = *state;
	char id[20], op[20];

	snprintf(id, sizeof(id), "%s", create(v, "a", ""));
	verb(v, "a", "start", NULL);
	fake_says_hello(&v->runner, id, false);
	verb(v, "a", "reboot", NULL);
	snprintf(op, sizeof(op), "%s", env_text(v, "id"));
	fake_ends(&v->runner, id, "poweroff", 0);
	assert_int_equal(vm_of(v, "a")->life.state, VM_STARTING);
	assert_int_equal(v->runner.n_spawned, 2);
	assert_string_equal(op_state(v, op), "running");
	fake_says_hello(&v->runner, id, false);
	assert_string_equal(op_state(v, op), "done");
}

/* After how long, in ms, a VM that has ended so is started again; 0: not within ten minutes. */
static unsigned restarts_after(struct env *v, const char *name, const char *end, unsigned ran_s)
{
	struct vm *vm = vm_of(v, name);
	unsigned before = v->runner.n_spawned;

	vm->life.run.started_ns = v->clock.wall - ran_s * CLOCK_NS_PER_SEC;
	fake_ends(&v->runner, vm->id, end, 1);
	for (unsigned ms = 0; ms < 600000; ms += 500) {
		if (v->runner.n_spawned != before) {
			fake_says_hello(&v->runner, vm->id, false);
			return ms;
		}
		pass(v, 500);
	}
	return 0;
}

static void test_restart(void **state)
{
	struct env *v = *state;
	unsigned last = 0;

	create(v, "no", "");
	create(v, "fail", ",\"restart\":\"on-failure\"");
	create(v, "always", ",\"restart\":\"always\"");
	for (size_t i = 0; i < v->mgr.n_vms; i++) {
		verb(v, v->mgr.vms[i]->name, "start", NULL);
		fake_says_hello(&v->runner, v->mgr.vms[i]->id, false);
	}
	assert_int_equal(restarts_after(v, "no", "panic", 1), 0);
	assert_int_equal(vm_of(v, "no")->life.state, VM_CRASHED);
	assert_int_equal(restarts_after(v, "fail", "panic", 1), 1000);
	/* Each crash in a row doubles the wait, up to five minutes. */
	for (unsigned n = 0; n < 10; n++) {
		unsigned wait = restarts_after(v, "fail", "panic", 1);

		assert_true(wait >= last && wait <= 300000);
		last = wait;
	}
	assert_int_equal(last, 300000);
	/* One that has run well begins at a second again. */
	assert_int_equal(restarts_after(v, "fail", "panic", 61), 1000);
	assert_int_equal(restarts_after(v, "fail", "poweroff", 1), 0);
	assert_true(restarts_after(v, "always", "poweroff", 1) > 0);
	/* What a user stops stays stopped. */
	verb(v, "always", "kill", NULL);
	assert_int_equal(restarts_after(v, "always", "killed", 1), 0);
}

/* 8 GiB of room: eight VMs of 1 GiB, the ninth waits and begins when one ends. */
static void test_admission(void **state)
{
	struct env *v = *state;
	char name[8], first[20];

	for (unsigned i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "v%u", i);
		if (!i)
			snprintf(first, sizeof(first), "%s", create(v, name, ""));
		else
			create(v, name, "");
		verb(v, name, "start", NULL);
	}
	assert_int_equal(v->runner.n_spawned, 8);
	assert_int_equal(vm_of(v, "v8")->life.state, VM_STARTING);
	assert_non_null(strstr(vm_of(v, "v8")->life.reason, "waits"));
	assert_int_equal(env_call(v, "GET", "/v1/sched/queue", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(v->body, "items")), 1);
	fake_ends(&v->runner, first, "poweroff", 0);
	assert_int_equal(v->runner.n_spawned, 9);
	/* Called back while it waits, it never has a process. */
	verb(v, "v0", "start", NULL);
	assert_int_equal(v->runner.n_spawned, 9);
	verb(v, "v0", "kill", NULL);
	assert_int_equal(vm_of(v, "v0")->life.state, VM_STOPPED);
	assert_int_equal(v->runner.n_killed, 0);
	/* What can never fit is refused at once. */
	assert_int_equal(env_call(v, "POST", "/v1/vms",
				  "{\"name\":\"big\",\"config\":{\"kernel\":\"/k\","
				  "\"memory\":\"9G\"}}"),
			 201);
	verb(v, "big", "start", NULL);
	assert_int_equal(vm_of(v, "big")->life.state, VM_STOPPED);
}

/* Batch jobs of all CPUs take turns; who stands still is resumed. */
static void test_slices(void **state)
{
	struct env *v = *state;
	char a[20], b[20];
	unsigned pauses = 0, resumes = 0;

	snprintf(a, sizeof(a), "%s", create(v, "a", ",\"job\":{\"burst_ms\":60000}"));
	snprintf(b, sizeof(b), "%s", create(v, "b", ",\"job\":{\"burst_ms\":60000}"));
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/a", "{\"config\":{\"cpus\":4}}"), 200);
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/b", "{\"config\":{\"cpus\":4}}"), 200);
	verb(v, "a", "start", NULL);
	fake_says_hello(&v->runner, a, false);
	verb(v, "b", "start", NULL);
	assert_int_equal(v->runner.n_spawned, 1);
	for (unsigned i = 0; i < 60; i++) {
		unsigned sent = v->runner.n_sent;

		pass(v, 1000);
		if (v->runner.n_spawned == 2 && !vm_of(v, "b")->life.run.pid)
			fake_says_hello(&v->runner, b, false);
		if (v->runner.n_sent != sent) {
			pauses += vm_of(v, "a")->life.state == VM_PAUSED;
			resumes += v->runner.sent == CONTROL_RESUME;
			fake_replies(&v->runner);
		}
		/* Never both. */
		assert_false(vm_of(v, "a")->life.state == VM_RUNNING &&
			     vm_of(v, "b")->life.state == VM_RUNNING);
	}
	assert_true(pauses >= 2 && resumes >= 2);
	assert_int_equal(v->runner.n_spawned, 2);
}

static void again_after(struct env *v, bool booted)
{
	mgr_fini(&v->mgr);
	v->mgr = (struct mgr) {
		.loop = v->loop,
		.store = &v->store.store,
		.runner = &v->runner.runner,
		.people = v->people,
		.booted = booted,
	};
	mgr_init(&v->mgr, &(struct sched_size) { .cpu = 4000, .memory = 8ull << 30 });
	assert_int_equal(mgr_recover(&v->mgr, NULL), 0);
}

static void again(struct env *v)
{
	again_after(v, false);
}

static void test_recover(void **state)
{
	struct env *v = *state;

	env_put_vm(v, "0000000000000001", "started", "starting");
	env_put_vm(v, "0000000000000002", "ran", "running");
	env_put_vm(v, "0000000000000003", "ended", "stopping");
	env_put_vm(v, "0000000000000004", "made", "created");
	again(v);
	/* A start that was acknowledged is made so; what ran and is gone has crashed. */
	assert_int_equal(v->runner.n_spawned, 1);
	assert_string_equal(v->runner.spawned, "0000000000000001");
	assert_int_equal(vm_of(v, "ran")->life.state, VM_CRASHED);
	assert_int_equal(vm_of(v, "ended")->life.state, VM_STOPPED);
	assert_int_equal(vm_of(v, "made")->life.state, VM_CREATED);
	/* What lives is adopted: nothing is started or ended. */
	fake_says_hello(&v->runner, "0000000000000001", false);
	v->runner.alive = true;
	again(v);
	assert_int_equal(v->runner.n_spawned, 1);
	assert_int_equal(vm_of(v, "started")->life.state, VM_RUNNING);
	fake_says_hello(&v->runner, "0000000000000001", true);
	assert_int_equal(vm_of(v, "started")->life.state, VM_PAUSED);
	assert_int_equal(v->mgr.sched.used.memory, 512ull << 20);
}

static void test_autostart(void **state)
{
	struct env *v = *state;

	create(v, "auto", ",\"autostart\":true");
	create(v, "plain", "");
	/* It is the host's start that counts, not the manager's. */
	again(v);
	assert_int_equal(v->runner.n_spawned, 0);
	assert_int_equal(vm_of(v, "auto")->life.state, VM_CREATED);
	again_after(v, true);
	assert_int_equal(v->runner.n_spawned, 1);
	assert_int_equal(vm_of(v, "auto")->life.state, VM_STARTING);
	assert_int_equal(vm_of(v, "plain")->life.state, VM_CREATED);
}

/* Both ran when the host went down. */
static void test_autostart_ran(void **state)
{
	struct env *v = *state;

	env_put_vm(v, "0000000000000001", "auto", "running");
	env_put_vm(v, "0000000000000002", "plain", "running");
	v->runner.alive = true;
	again(v);
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/auto", "{\"autostart\":true}"), 200);
	v->runner.alive = false;
	again_after(v, true);
	assert_int_equal(v->runner.n_spawned, 1);
	assert_int_equal(vm_of(v, "auto")->life.state, VM_STARTING);
	assert_int_equal(vm_of(v, "plain")->life.state, VM_CRASHED);
	assert_string_equal(vm_of(v, "plain")->life.reason, "the host went down while it ran");
}

/* A store that fails when a process reports: memory is right, and the record follows. */
static void test_late_write(void **state)
{
	struct env *v = *state;
	char id[20];

	snprintf(id, sizeof(id), "%s", create(v, "a", ""));
	verb(v, "a", "start", NULL);
	v->store.fail = -EIO;
	fake_says_hello(&v->runner, id, false);
	assert_int_equal(vm_of(v, "a")->life.state, VM_RUNNING);
	assert_null(strstr(fake_find(&v->store, "vm", id)->body, "\"running\""));
	pass(v, 2100);
	v->store.fail = 0;
	pass(v, 2100);
	assert_non_null(strstr(fake_find(&v->store, "vm", id)->body, "\"running\""));
}

static void test_names(void **state)
{
	struct env *v = *state;
	static const char *const bad[] = {
		"{\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"-x\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"0123456789abcdef\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\"}",
		"{\"name\":\"x\",\"config\":{\"kernel\":\"/k\",\"cpus\":0}}",
		"{\"name\":\"x\",\"config\":{\"kernel\":\"/k\",\"log\":\"/etc/x\"}}",
		"{\"name\":\"x\",\"config\":{\"kernel\":\"/k\",\"control_fd\":3}}",
		"{\"name\":\"x\",\"state\":\"running\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\",\"color\":\"red\",\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\",\"priority\":11,\"config\":{\"kernel\":\"/k\"}}",
		"{\"name\":\"x\",\"start\":1,\"config\":{\"kernel\":\"/k\"}}",
		"[]",
		"{",
		"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(env_call(v, "POST", "/v1/vms", bad[i]), 400);
		assert_int_equal(v->mgr.n_vms, 0);
	}
	create(v, "a", "");
	assert_int_equal(env_call(v, "POST", "/v1/vms",
				  "{\"name\":\"a\",\"config\":{\"kernel\":\"/k\"}}"),
			 409);
	/* A deleted VM's name is free, and undelete says so. */
	assert_int_equal(env_call(v, "DELETE", "/v1/vms/a", NULL), 200);
	create(v, "a", "");
	assert_int_equal(v->mgr.n_vms, 2);
	assert_int_equal(env_call(v, "GET", "/v1/vms", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(v->body, "items")), 1);
	for (size_t i = 0; i < v->mgr.n_vms; i++)
		if (v->mgr.vms[i]->life.state == VM_DELETED) {
			char path[64];

			snprintf(path, sizeof(path), "/v1/vms/%s/undelete", v->mgr.vms[i]->id);
			assert_int_equal(env_call(v, "POST", path, NULL), 409);
		}
}

static void test_tags(void **state)
{
	struct env *v = *state;

	create(v, "a", "");
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/a", "{\"config\":{\"memory\":\"2G\"}}"),
			 200);
	assert_int_equal(vm_of(v, "a")->config.memory, 2ull << 30);
	assert_string_equal(vm_of(v, "a")->config.kernel, "/k");
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/a", "{\"config\":{\"memory\":null}}"), 200);
	assert_int_equal(vm_of(v, "a")->config.memory, 512ull << 20);
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/a", "{\"name\":\"b\"}"), 200);
	assert_null(mgr_find(&v->mgr, "a"));
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/b", "{\"project\":\"other\"}"), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
		TEST(test_operation),	  TEST(test_start_fails), TEST(test_force),
		TEST(test_reboot),	  TEST(test_restart),	  TEST(test_admission),
		TEST(test_slices),	  TEST(test_recover),	  TEST(test_autostart),
		TEST(test_autostart_ran), TEST(test_late_write),  TEST(test_names),
		TEST(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
