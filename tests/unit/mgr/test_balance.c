/* SPDX-License-Identifier: MIT */
/*
 * Balloons and KSM as the manager drives them: on a fake host, with VMs that say what they use.
 */
#include "mgr/balance.h"

#include "apienv.h"
#include "run/fake_tree.h"

#include <unistd.h>

#define MIB 0x100000ull
#define RUN "/sys/kernel/mm/ksm/run"

struct fixture {
	struct env v;
	struct tree tree;
	struct balance b;
};

static void put_host(struct fixture *f, unsigned available_mib)
{
	char text[128];

	snprintf(text, sizeof(text), "MemTotal: %u kB\nMemAvailable: %u kB\n", 1000u << 10,
		 available_mib << 10);
	tree_put(&f->tree, "/proc/meminfo", text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	env_open(&f->v);
	tree_make(&f->tree);
	put_host(f, 900);
	tree_put(&f->tree, RUN, "0\n");
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	balance_close(&f->b);
	env_close(&f->v);
	tree_remove(&f->tree);
	free(f);
	return 0;
}

static void open_balance(struct fixture *f, enum ksm_mode mode)
{
	balance_close(&f->b);
	f->b = (struct balance) { 0 };
	balance_open(&f->b, &f->v.mgr, mode, f->tree.root, f->tree.root);
}

/* A VM of 512 MiB that runs, and whose guest uses 200. */
static struct vm *run_vm(struct fixture *f, const char *more)
{
	char body[256];
	struct vm *vm;

	snprintf(body, sizeof(body),
		 "{\"name\":\"a\",\"policy\":\"dynamic\",\"config\":{\"kernel\":\"/k\"%s}}", more);
	assert_int_equal(env_call(&f->v, "POST", "/v1/vms", body), 201);
	assert_int_equal(env_call(&f->v, "POST", "/v1/vms/a/start", NULL), 202);
	vm = mgr_find(&f->v.mgr, "a");
	assert_non_null(vm);
	fake_says_hello(&f->v.runner, vm->id, false);
	vm->sample =
		(struct sample) { .at_ns = 1, .guest_total = 490 * MIB, .guest_used = 200 * MIB };
	f->v.runner.n_sent = 0;
	return vm;
}

static void balloons_follow_the_host(void **state)
{
	struct fixture *f = *state;
	struct vm *vm = run_vm(f, "");

	open_balance(f, KSM_OFF);
	balance_now(&f->b);
	assert_int_equal(f->v.runner.n_sent, 0);
	put_host(f, 100);
	balance_now(&f->b);
	assert_int_equal(f->v.runner.n_sent, 1);
	assert_int_equal(f->v.runner.sent, CONTROL_BALLOON);
	assert_int_equal(f->v.runner.target, 250 * MIB);
	/* Once; also before the process has said so. */
	balance_now(&f->b);
	assert_int_equal(f->v.runner.n_sent, 1);
	assert_int_equal(vm->sample.balloon_asked, 262 * MIB);
	/* Its RAM is what it runs with, not what its next start shall have. */
	vm->sample.ram = 512 * MIB;
	vm->config.memory = 4096 * MIB;
	put_host(f, 900);
	balance_now(&f->b);
	assert_int_equal(f->v.runner.n_sent, 2);
	assert_int_equal(f->v.runner.target, 512 * MIB);
}

static void a_limit_acts_at_the_second_second(void **state)
{
	struct fixture *f = *state;
	struct vm *vm = run_vm(f, "");

	open_balance(f, KSM_OFF);
	balance_second(&f->b);
	vm->resources.of[RES_MEMORY].limit = 128 * MIB;
	/* One that cannot be reached is asked again. */
	f->v.runner.refuse = -ENOTCONN;
	balance_second(&f->b);
	balance_second(&f->b);
	assert_int_equal(vm->sample.balloon_asked, 0);
	f->v.runner.refuse = 0;
	balance_second(&f->b);
	balance_second(&f->b);
	assert_int_equal(f->v.runner.n_sent, 1);
	assert_int_equal(f->v.runner.target, 128 * MIB);
	/* A host that says nothing: nothing is taken. */
	tree_put(&f->tree, "/proc/meminfo", "");
	vm->resources.of[RES_MEMORY].limit = 64 * MIB;
	balance_now(&f->b);
	assert_true(f->b.blind);
	assert_int_equal(f->v.runner.n_sent, 1);
	/* Nor of one that has not said how it is. */
	put_host(f, 900);
	vm->sample.at_ns = 0;
	balance_now(&f->b);
	assert_int_equal(f->v.runner.n_sent, 1);
}

static bool ksm_is(struct fixture *f, const char *text)
{
	return !strncmp(tree_get(&f->tree, RUN), text, 1);
}

static void ksm_follows_need(void **state)
{
	struct fixture *f = *state;
	struct vm *vm = run_vm(f, ",\"memory_merge\":true");

	open_balance(f, KSM_AUTO);
	balance_now(&f->b);
	assert_true(ksm_is(f, "0"));
	put_host(f, 201);
	balance_now(&f->b);
	assert_true(ksm_is(f, "0"));
	put_host(f, 199);
	balance_now(&f->b);
	assert_true(ksm_is(f, "1"));
	/* Until its last VM has ended, however well the host is. */
	put_host(f, 900);
	balance_now(&f->b);
	assert_true(ksm_is(f, "1"));
	/* A manager that begins anew knows whose it is. */
	open_balance(f, KSM_AUTO);
	balance_now(&f->b);
	assert_true(ksm_is(f, "1"));
	fake_ends(&f->v.runner, vm->id, "poweroff", 0);
	f->b.seconds = 1;
	balance_second(&f->b);
	assert_true(ksm_is(f, "0"));
	/* And does not touch what others switched on then. */
	tree_put(&f->tree, RUN, "1\n");
	balance_now(&f->b);
	assert_true(ksm_is(f, "1"));
}

static void ksm_as_told(void **state)
{
	struct fixture *f = *state;
	struct vm *vm = run_vm(f, ",\"memory_merge\":true");

	put_host(f, 10);
	open_balance(f, KSM_OFF);
	balance_now(&f->b);
	assert_true(ksm_is(f, "0"));
	put_host(f, 900);
	open_balance(f, KSM_ON);
	balance_now(&f->b);
	assert_true(ksm_is(f, "1"));
	/* Told otherwise at its next start, it puts it back. */
	open_balance(f, KSM_OFF);
	balance_now(&f->b);
	assert_true(ksm_is(f, "0"));
	/* What was on before stays on after. */
	tree_put(&f->tree, RUN, "1\n");
	open_balance(f, KSM_ON);
	balance_now(&f->b);
	fake_ends(&f->v.runner, vm->id, "poweroff", 0);
	balance_now(&f->b);
	assert_true(ksm_is(f, "1"));
}

static void ksm_that_is_not_there(void **state)
{
	struct fixture *f = *state;
	char path[128];

	run_vm(f, ",\"memory_merge\":true");
	snprintf(path, sizeof(path), "%s" RUN, f->tree.root);
	unlink(path);
	open_balance(f, KSM_ON);
	balance_now(&f->b);
	assert_false(f->b.ksm.ours);
	assert_true(f->b.ksm.failed);
	/* No mark is left for a later manager to go by. */
	open_balance(f, KSM_ON);
	assert_false(f->b.ksm.ours);
}

static void modes(void **state UNUSED)
{
	enum ksm_mode m = KSM_AUTO;
	struct err e = { 0 };

	assert_int_equal(ksm_mode_parse(&m, "off", &e), 0);
	assert_int_equal(m, KSM_OFF);
	assert_int_equal(ksm_mode_parse(&m, "On", &e), -EINVAL);
	assert_int_equal(m, KSM_OFF);
	assert_non_null(strstr(e.msg, "On"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(balloons_follow_the_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_limit_acts_at_the_second_second, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(ksm_follows_need, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ksm_as_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ksm_that_is_not_there, set_up, tear_down),
		cmocka_unit_test(modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
