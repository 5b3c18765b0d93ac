/* SPDX-License-Identifier: MIT */
/*
 * Every state with every verb and every report, through the API: what is allowed leads where the
 * table says and is in the store; what is not is refused with the state, what is allowed, and
 * nothing changed. The table itself is tested against a second one in core/test_life.c.
 */
#include "../apienv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ID "00000000000000aa"

static int fake_save(struct runner *r UNUSED, const char *id UNUSED, struct err *e UNUSED)
{
	return 0;
}

static int fake_load(struct runner *r, const struct run_spec *s, struct err *e)
{
	return fake_spawn(r, s, e);
}

static void fake_drop(struct runner *r UNUSED, const char *id UNUSED)
{
}

/* A manager that finds one VM in @state. */
static void open_in(struct env *v, struct runner_ops *ops, enum vm_state state)
{
	memset(v, 0, sizeof(*v));
	env_open(v);
	*ops = fake_runner_ops;
	ops->save = fake_save;
	ops->load = fake_load;
	ops->drop = fake_drop;
	v->runner.runner.ops = ops;
	v->runner.alive = true;
	env_put_vm(v, ID, "web", vm_state_name(state));
	assert_int_equal(mgr_recover(&v->mgr, NULL), 0);
	assert_int_equal(mgr_find_id(&v->mgr, ID)->life.state, state);
}

static unsigned ask(struct env *v, enum vm_event verb)
{
	char path[64];

	switch (verb) {
	case VM_DO_RENAME:
		return env_call(v, "PATCH", "/v1/vms/" ID, "{\"name\":\"other\"}");
	case VM_DO_SET:
		return env_call(v, "PATCH", "/v1/vms/" ID, "{\"priority\":3}");
	case VM_DO_RM:
		return env_call(v, "DELETE", "/v1/vms/" ID, NULL);
	default:
		snprintf(path, sizeof(path), "/v1/vms/" ID "/%s", vm_event_name(verb));
		return env_call(v, "POST", path, NULL);
	}
}

/* The state that the store holds, or VM_STATE_COUNT: no record. */
static enum vm_state stored(struct env *v)
{
	struct fake_record *r = fake_find(&v->store, "vm", ID);
	json_t *o = r ? json_loads(r->body, 0, NULL) : NULL;
	enum vm_state s = VM_STATE_COUNT;

	if (o)
		assert_int_equal(vm_state_parse(&s, json_string_value(json_object_get(o, "state")),
						NULL),
				 0);
	json_decref(o);
	return s;
}

static void check_allowed(struct env *v, enum vm_event verb, struct vm_step step)
{
	const char *audit = vm_event_name(verb);

	assert_true(v->status == 200 || v->status == 202 || v->status == 204);
	if (step.action == VM_ACT_PURGE) {
		assert_int_equal(stored(v), VM_STATE_COUNT);
		assert_null(mgr_find_id(&v->mgr, ID));
		assert_int_equal(v->runner.n_purged, 1);
		return;
	}
	/* A start that is called back before it has a process ends at once. */
	if (step.action == VM_ACT_CANCEL && !v->runner.n_killed)
		step.next = VM_STOPPED;
	assert_int_equal(mgr_find_id(&v->mgr, ID)->life.state, step.next);
	assert_int_equal(stored(v), step.next);
	if (verb == VM_DO_RENAME || verb == VM_DO_SET)
		audit = "set";
	assert_non_null(strstr(v->store.last_audit, audit));
	assert_non_null(strstr(v->store.last_audit, "root"));
}

static void check_refused(struct env *v, enum vm_state s, unsigned applied)
{
	json_t *allowed = json_object_get(v->body, "allowed");
	size_t n = 0;

	assert_int_equal(v->status, 409);
	assert_string_equal(env_text(v, "code"), "wrong_state");
	assert_string_equal(env_text(v, "state"), vm_state_name(s));
	assert_non_null(strstr(env_text(v, "detail"), vm_state_name(s)));
	for (unsigned i = 0; i < VM_EVENT_COUNT; i++)
		n += vm_event_is_verb((enum vm_event)i) && vm_step(s, (enum vm_event)i).allowed;
	assert_int_equal(json_array_size(allowed), n);
	assert_int_equal(stored(v), s);
	assert_int_equal(v->store.applied, applied);
	assert_int_equal(v->runner.n_spawned + v->runner.n_killed + v->runner.n_sent, 0);
}

static void test_verbs(void **state UNUSED)
{
	unsigned allowed = 0, refused = 0;

	for (unsigned s = 0; s < VM_STATE_COUNT; s++)
		for (unsigned verb = 0; vm_event_is_verb((enum vm_event)verb); verb++) {
			struct vm_step step = vm_step((enum vm_state)s, (enum vm_event)verb);
			struct runner_ops ops;
			struct env v;
			unsigned applied;

			open_in(&v, &ops, (enum vm_state)s);
			applied = v.store.applied;
			ask(&v, (enum vm_event)verb);
			assert_int_equal(v.answers, 1);
			if (step.allowed)
				check_allowed(&v, (enum vm_event)verb, step);
			else
				check_refused(&v, (enum vm_state)s, applied);
			allowed += step.allowed;
			refused += !step.allowed;
			env_close(&v);
		}
	assert_int_equal(allowed + refused, VM_STATE_COUNT * (VM_DO_SET + 1));
	assert_true(allowed > 30 && refused > 60);
}

static void report(struct env *v, enum vm_event ev)
{
	const struct runner_client *c = &v->runner.runner.client;
	struct err e = { 0 };

	switch (ev) {
	case VM_IS_RUNNING:
		c->state(c->ctx, ID, false);
		break;
	case VM_IS_PAUSED:
		c->state(c->ctx, ID, true);
		break;
	case VM_IS_SAVED:
		c->saved(c->ctx, ID, NULL);
		break;
	case VM_IS_FAILED:
		err_set(&e, -ENOSPC, "disk full");
		c->saved(c->ctx, ID, &e);
		break;
	case VM_IS_ENDED:
		fake_ends(&v->runner, ID, "poweroff", 0);
		break;
	default:
		fake_ends(&v->runner, ID, "panic", 14);
		break;
	}
}

static void test_reports(void **state UNUSED)
{
	for (unsigned s = 0; s < VM_STATE_COUNT; s++)
		for (unsigned ev = VM_IS_RUNNING; ev < VM_EVENT_COUNT; ev++) {
			struct vm_step step = vm_step((enum vm_state)s, (enum vm_event)ev);
			struct runner_ops ops;
			struct env v;
			enum vm_state want = step.allowed ? step.next : (enum vm_state)s;

			/* What fails is a save here; a start that fails ends its process. */
			if (ev == VM_IS_FAILED && s != VM_SUSPENDING)
				continue;
			/* Nobody reports an end of what has no process. */
			if (!vm_state_has_process((enum vm_state)s))
				continue;
			/* Saved means ended, also where nobody asked for the one. */
			if (ev == VM_IS_SAVED && !step.allowed)
				want = vm_step((enum vm_state)s, VM_IS_CRASHED).next;
			/* This one has not said that it stands. */
			if (ev == VM_IS_FAILED)
				want = VM_RUNNING;
			open_in(&v, &ops, (enum vm_state)s);
			report(&v, (enum vm_event)ev);
			/* A start that ends before it ran has failed. */
			if ((s == VM_STARTING || s == VM_RESUMING) &&
			    (ev >= VM_IS_ENDED || ev == VM_IS_SAVED))
				want = vm_step((enum vm_state)s, VM_IS_FAILED).next;
			assert_int_equal(mgr_find_id(&v.mgr, ID)->life.state, want);
			assert_int_equal(stored(&v), want);
			env_close(&v);
		}
}

/* A store that refuses: the verb fails, nothing is done and nothing has changed. */
static void test_store_refuses(void **state UNUSED)
{
	for (unsigned s = 0; s < VM_STATE_COUNT; s++)
		for (unsigned verb = 0; vm_event_is_verb((enum vm_event)verb); verb++) {
			struct runner_ops ops;
			struct env v;

			if (!vm_step((enum vm_state)s, (enum vm_event)verb).allowed)
				continue;
			open_in(&v, &ops, (enum vm_state)s);
			v.store.fail = -ENOSPC;
			ask(&v, (enum vm_event)verb);
			assert_int_equal(v.status, 507);
			assert_int_equal(stored(&v), s);
			assert_int_equal(mgr_find_id(&v.mgr, ID)->life.state, s);
			assert_string_equal(mgr_find_id(&v.mgr, ID)->name, "web");
			assert_int_equal(v.runner.n_spawned + v.runner.n_killed + v.runner.n_sent,
					 0);
			env_close(&v);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_store_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
