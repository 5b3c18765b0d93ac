/* SPDX-License-Identifier: MIT */
/*
 * A VM's process that its guest has taken over, seen from the manager and its API: whatever it
 * says, its record can be written and read, it can be killed, and nobody waits for it for ever.
 * The packets themselves are tested in run/test_local.c.
 */
#include "../apienv.h"
#include "mgr/core/record.h"
#include "mgr/img/stock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <unistd.h>

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

static void must(struct env *v, const char *method, const char *path, const char *body,
		 unsigned status)
{
	env_call(v, method, path, body);
	if (v->status != status)
		fail_msg("%s %s: %u '%s'", method, path, v->status, env_text(v, "detail"));
}

static struct vm *start(struct env *v)
{
	must(v, "POST", "/v1/vms",
	     "{\"name\":\"web\",\"config\":{\"kernel\":\"/k\"},\"start\":true}", 201);
	return mgr_find(&v->mgr, "web");
}

static void pass(struct env *v, uint64_t ms)
{
	clock_fake_advance(&v->clock, ms * CLOCK_NS_PER_MS);
	loop_unlock(v->loop);
	loop_poll(v->loop, 0);
	loop_lock(v->loop);
}

/* The store's record can be read by the next holmd. */
static void check_record(struct env *v, const char *id)
{
	struct fake_record *r = fake_find(&v->store, "vm", id);
	json_t *o = json_loads(r->body, JSON_REJECT_DUPLICATES, NULL);
	struct vm *vm = vm_new();
	struct err e = { 0 };

	assert_non_null(o);
	if (vm_decode(vm, o, VM_FROM_STORE, &e))
		fail_msg("%s", e.msg);
	json_decref(o);
	vm_free(vm);
}

/* Words that are cut in the middle of a character, or are none. */
static const char *const words[] = {
	"aaaaaaaaaaaaaa\xc3\xa9",
	"aaaaaaaaaaaaa\xe2\x82\xac",
	"aaaaaaaaaaaa\xf0\x9f\x98\x80",
	"\xff\xfe",
	"\xc0\xaf",
	"\xed\xa0\x80",
	"\"\\\n\x01",
	"",
};

static void test_words(void **state)
{
	struct env *v = *state;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct run_hello h = { .pid = 4711, .engine = words[i], .started_ns = INT64_MAX };
		struct run_end end = { .end = words[i], .code = -1 };
		struct vm *vm = start(v);
		char id[20], why[ERR_MSG_MAX], path[64];

		snprintf(id, sizeof(id), "%s", vm->id);
		/* As long as it may be, and cut wherever that is. */
		memset(why, 'x', sizeof(why));
		snprintf(why + sizeof(why) - 1 - strlen(words[i]) - 1, strlen(words[i]) + 2, "%s",
			 words[i]);
		h.why = why;
		end.message = why;
		v->runner.runner.client.hello(&v->mgr, id, &h);
		assert_int_equal(vm->life.state, VM_RUNNING);
		assert_false(vm->unwritten);
		check_record(v, id);
		must(v, "GET", "/v1/vms/web", NULL, 200);
		must(v, "PATCH", "/v1/vms/web", "{\"priority\":1}", 200);
		must(v, "POST", "/v1/vms/web/kill", NULL, 202);
		v->runner.runner.client.ended(&v->mgr, id, &end);
		assert_false(vm->unwritten);
		check_record(v, id);
		snprintf(path, sizeof(path), "/v1/vms/%s/purge", id);
		must(v, "POST", path, NULL, 204);
	}
}

/* Every place that a text can be cut at. */
static void test_text(void **state UNUSED)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff\xc3(z";
	char buf[32];

	for (size_t len = 1; len <= sizeof(buf); len++) {
		json_t *s;

		memset(buf, '#', sizeof(buf));
		record_text(buf, len, text);
		assert_true(strlen(buf) < len);
		s = json_string(buf);
		assert_non_null(s);
		json_decref(s);
	}
	assert_string_equal(buf, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80?"
				 "?(z");
	record_text(buf, 3, text);
	assert_string_equal(buf, "a");
	record_text(buf, 4, text);
	assert_string_equal(buf, "a\xc3\xa9");
	/* Cut short at its end: nothing is read behind it. */
	record_text(buf, sizeof(buf), "b\xf0\x9f");
	assert_string_equal(buf, "b??");
}

/* One who asks a process that says nothing is told so, and its late answer finds nobody. */
static void test_silence(void **state)
{
	struct env *v = *state;
	struct vm *vm = start(v);

	fake_says_hello(&v->runner, vm->id, false);
	assert_int_equal(env_call(v, "GET", "/v1/vms/web/stats", NULL), 0);
	pass(v, 4000);
	assert_int_equal(v->status, 0);
	pass(v, 2000);
	assert_int_equal(v->status, 408);
	v->answers = 0;
	fake_replies(&v->runner);
	assert_int_equal(v->answers, 0);
}

/* In time it is an answer as ever, and no timer is left. */
static void test_answer(void **state)
{
	struct env *v = *state;
	struct vm *vm = start(v);

	fake_says_hello(&v->runner, vm->id, false);
	assert_int_equal(env_call(v, "GET", "/v1/vms/web/stats", NULL), 0);
	fake_replies(&v->runner);
	assert_int_equal(v->status, 200);
	v->answers = 0;
	pass(v, 10000);
	assert_int_equal(v->answers, 0);
}

static int refuse_to_adopt(struct runner *r UNUSED, const char *id UNUSED,
			   struct run_end *end UNUSED, struct err *e)
{
	return err_set(e, -EMFILE, "too many open files");
}

/* Where the host does not say whether a VM lives, nothing of it is given back. */
static void test_recover_unsure(void **state)
{
	struct env *v = *state;
	struct runner_ops ops = fake_runner_ops;
	struct err e = { 0 };

	ops.adopt = refuse_to_adopt;
	v->runner.runner.ops = &ops;
	env_put_vm(v, "00000000000000aa", "web", "running");
	assert_int_equal(mgr_recover(&v->mgr, &e), -EMFILE);
	assert_non_null(strstr(e.msg, "'web'"));
	assert_int_equal(v->runner.n_cleaned, 0);
	assert_int_equal(mgr_find(&v->mgr, "web")->life.state, VM_RUNNING);
	assert_int_equal(v->store.applied, 1);
}

/* One that was being ended, and says no word to the holmd that starts anew. */
static void test_recover_stopping(void **state)
{
	struct env *v = *state;

	v->runner.alive = true;
	env_put_vm(v, "00000000000000aa", "web", "stopping");
	assert_int_equal(mgr_recover(&v->mgr, NULL), 0);
	pass(v, 1);
	assert_int_equal(v->runner.n_killed, 1);
}

/* A pool that a clone or an upload writes to stays. */
static void test_pool_in_use(void **state)
{
	struct env *v = *state;
	const struct audit_entry a = { .who = "", .from = "", .what = "", .on = "", .result = "" };
	struct stock s = { .store = &v->store.store };
	struct pool_record r = { .id = "00000000000000bb", .name = "fast" };
	struct volume_upload *u;
	struct stock_pool *p;
	char top[64], dir[96];

	snprintf(top, sizeof(top), "/tmp/hostile.XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/default", top);
	snprintf(r.path, sizeof(r.path), "%s/fast", top);
	assert_int_equal(stock_open(&s, dir, NULL), 0);
	assert_int_equal(stock_add_pool(&s, &r, &a, NULL), 0);
	assert_int_equal(stock_pool(&s, "fast", &p, NULL), 0);
	assert_int_equal(volume_create(p->pool, "v", 4096, NULL), 0);
	assert_int_equal(volume_upload_begin(&u, p->pool, "v", false, NULL), 0);
	assert_int_equal(stock_remove_pool(&s, p, &a, NULL), -EBUSY);
	volume_upload_cancel(u);
	assert_int_equal(volume_remove(p->pool, "v", false, NULL), 0);
	assert_int_equal(stock_remove_pool(&s, p, &a, NULL), 0);
	stock_close(&s);
	assert_int_equal(rmdir(r.path), 0);
	rmdir(dir);
	rmdir(top);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_words),
		TEST(test_text),
		TEST(test_silence),
		TEST(test_answer),
		TEST(test_recover_unsure),
		TEST(test_pool_in_use),
		TEST(test_recover_stopping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
