/* SPDX-License-Identifier: MIT */
/*
 * Handlers of /v1/vms, docs/API.md.
 */
#include "mgr/api/handlers.h"

#include "base/fd.h"
#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/api/wait.h"
#include "mgr/net/network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STATS_WAIT_NS (5 * CLOCK_NS_PER_SEC) /* for a process's answer */

static void reply_vm(struct api_request *r, unsigned status, const struct vm *vm)
{
	api_reply_record(r, status, vm->text, vm->etag);
}

static struct vm *find(struct api_ctx *ctx, struct api_request *r, const char *name)
{
	struct vm *vm = mgr_find(ctx->mgr, name);

	if (!vm)
		api_fail(r, API_NOT_FOUND, "there is no VM '%s'", name);
	return vm;
}

/* "start" is no field of the record: it is taken out of the body. -EINVAL where it is no bool. */
static int take_start(json_t *body, bool *start, struct err *e)
{
	json_t *v = json_object_get(body, "start");

	*start = json_is_true(v);
	if (v && !json_is_boolean(v))
		return err_set(e, -EINVAL, "'start' is not true or false");
	json_object_del(body, "start");
	return 0;
}

/* Rules of the VM's network card. */
static int check_rules(const json_t *rules, struct err *e)
{
	MEM_AUTO char *text = json_dumps(rules, JSON_COMPACT);
	MEM_AUTO struct net_rule *list = NULL;
	size_t n;

	if (!text)
		return err_set(e, -ENOMEM, "no memory for the rules");
	return net_rules_decode(&list, &n, text, strlen(text), e);
}

static int check_places(const struct api_ctx *ctx, const json_t *body, struct err *e)
{
	static const char *const refused[] = { "log", "metrics", "serial", "console", "sandbox" };
	const json_t *config = json_object_get(body, "config");
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (json_object_get(config, refused[i]))
			return err_set(e, -EINVAL,
				       "config: '%s' is the manager's own in a managed VM",
				       refused[i]);
	if (json_is_array(json_object_get(body, "rules"))) {
		ret = check_rules(json_object_get(body, "rules"), e);
		if (ret)
			return ret;
	}
	return ctx->check_config ? ctx->check_config(ctx, config, e) : 0;
}

void h_vms_create(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *body = ctx_body(r);
	struct err e = { 0 };
	struct mgr_op *op;
	struct vm *vm = NULL;
	bool start;
	int ret;

	if (!body)
		return;
	ret = take_start(body, &start, &e);
	if (!ret)
		ret = check_places(ctx, body, &e);
	if (!ret)
		ret = mgr_create(ctx->mgr, &ctx->by, body, &vm, &e);
	json_decref(body);
	if (!ret && start)
		ret = mgr_verb(ctx->mgr, &ctx->by, vm, VM_DO_START, NULL, &op, &e);
	if (ret)
		api_fail_err(r, &e);
	else
		reply_vm(r, 201, vm);
}

void h_vm_get(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct vm *vm = find(ctx, r, arg[0]);

	if (vm)
		reply_vm(r, 200, vm);
}

/* The number in If-Match; 0: none, or "*". False: answered. */
static bool etag_of(struct api_request *r, uint64_t *etag)
{
	char *end;

	*etag = 0;
	if (!r->if_match || !strcmp(r->if_match, "*"))
		return true;
	errno = 0;
	*etag = strtoull(r->if_match, &end, 10);
	if (!errno && !*end && end != r->if_match && *etag)
		return true;
	api_fail(r, API_CHANGED, "If-Match '%.40s' is no tag of a VM", r->if_match);
	return false;
}

/* What the state allows, for the answer to what it does not. */
static json_t *allowed_verbs(enum vm_state s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < VM_EVENT_COUNT; i++)
		if (vm_event_is_verb((enum vm_event)i) && vm_step(s, (enum vm_event)i).allowed)
			json_array_append_new(list, json_string(vm_event_name((enum vm_event)i)));
	return json_pack("{s:s, s:o}", "state", vm_state_name(s), "allowed", list);
}

void h_vm_patch(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct vm *vm = find(ctx, r, arg[0]);
	struct err e = { 0 };
	uint64_t etag;
	json_t *body;
	int ret;

	if (!vm || !etag_of(r, &etag))
		return;
	body = ctx_body(r);
	if (!body)
		return;
	ret = check_places(ctx, body, &e);
	if (!ret)
		ret = mgr_change(ctx->mgr, &ctx->by, vm, body, etag, &e);
	json_decref(body);
	if (ret == -EBUSY)
		api_fail_with(r, API_WRONG_STATE, e.msg, allowed_verbs(vm->life.state));
	else if (ret)
		api_fail_err(r, &e);
	else
		reply_vm(r, 200, vm);
}

static void do_verb(struct api_ctx *ctx, struct api_request *r, struct vm *vm, enum vm_event verb,
		    const struct mgr_verb_args *args)
{
	struct mgr_op *op;
	struct err e = { 0 };
	char id[VM_ID_LEN + 1];
	int ret;

	memcpy(id, vm->id, sizeof(id));
	ret = mgr_verb(ctx->mgr, &ctx->by, vm, verb, args, &op, &e);
	if (ret == -EBUSY)
		api_fail_with(r, API_WRONG_STATE, e.msg, allowed_verbs(vm->life.state));
	else if (ret)
		api_fail_err(r, &e);
	else if (op)
		api_reply_json(r, 202, op_encode(op));
	else if (mgr_find_id(ctx->mgr, id))
		reply_vm(r, 200, vm);
	else
		api_reply_empty(r, 204);
}

void h_vm_delete(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct vm *vm = find(ctx, r, arg[0]);
	const char *purge = r->query(r, "purge");
	uint64_t etag;

	if (!vm || !etag_of(r, &etag))
		return;
	if (etag && etag != vm->etag)
		api_fail(r, API_CHANGED, "VM '%s' has changed since: look at it again", vm->name);
	else
		do_verb(ctx, r, vm, purge && !strcmp(purge, "true") ? VM_DO_PURGE : VM_DO_RM, NULL);
}

/* {"timeout_ms": N, "paused": true}, both optional. False: answered. */
static bool verb_args(struct api_request *r, struct mgr_verb_args *args)
{
	json_t *body, *v;
	const char *key;

	*args = (struct mgr_verb_args) { 0 };
	if (!r->body_len)
		return true;
	body = ctx_body(r);
	if (!body)
		return false;
	json_object_foreach(body, key, v)
	{
		if (!strcmp(key, "timeout_ms") && json_is_integer(v) && json_integer_value(v) > 0 &&
		    json_integer_value(v) <= 3600000) {
			args->grace_ms = (unsigned)json_integer_value(v);
		} else if (!strcmp(key, "paused") && json_is_boolean(v)) {
			args->paused = json_is_true(v);
		} else {
			api_fail(r, API_BAD_REQUEST,
				 "'%.80s' is unknown or of a wrong value: use timeout_ms (1 to "
				 "3600000) and paused",
				 key);
			json_decref(body);
			return false;
		}
	}
	json_decref(body);
	return true;
}

void h_vm_verb(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct vm *vm = find(ctx, r, arg[0]);
	struct mgr_verb_args args;
	struct err e = { 0 };
	enum vm_event verb;

	if (!vm)
		return;
	if (vm_verb_parse(&verb, arg[1], &e))
		api_fail_err(r, &e);
	else if (verb_args(r, &args))
		do_verb(ctx, r, vm, verb, &args);
}

#define WAIT_ENDED VM_STATE_COUNT /* any state without a process */

static bool vm_there(const struct wait *w)
{
	const struct vm *vm = mgr_find_id(w->ctx->mgr, w->id);

	if (!vm)
		return true;
	return w->state == WAIT_ENDED ? !vm_state_has_process(vm->life.state)
				      : vm->life.state == w->state;
}

static void vm_answer(struct wait *w, bool timeout)
{
	const struct vm *vm = mgr_find_id(w->ctx->mgr, w->id);

	if (!vm)
		api_fail(w->r, API_NOT_FOUND, "the VM is gone");
	else if (timeout)
		api_fail(w->r, API_TIMEOUT, "VM '%s' is %s still", vm->name,
			 vm_state_name(vm->life.state));
	else
		reply_vm(w->r, 200, vm);
}

void h_vm_wait(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct vm *vm = find(ctx, r, arg[0]);
	const char *state = r->query(r, "state");
	struct wait w = { .ctx = ctx, .r = r, .ready = vm_there, .answer = vm_answer };
	enum vm_state s = VM_STOPPED;
	struct err e = { 0 };
	uint64_t ms;

	if (!vm || !ctx_number(r, "timeout_ms", WAIT_MS_MAX, WAIT_MS_MAX, &ms))
		return;
	if (state && strcmp(state, "ended") != 0 && vm_state_parse(&s, state, &e)) {
		api_fail(r, API_BAD_REQUEST, "state: %s", e.msg);
		return;
	}
	w.state = !state || !strcmp(state, "ended") ? WAIT_ENDED : (unsigned)s;
	memcpy(w.id, vm->id, sizeof(w.id));
	wait_begin(&w, ms);
}

/* A question to the VM's process that a request waits for. */
struct question {
	struct api_ctx *ctx;
	struct api_request *r; /* NULL: the peer went */
	struct vm *vm;	       /* the runner answers before its process's end is told */
	struct loop_timer wait;
};

/* It stays until the process has answered, or has gone. */
static void on_gone(struct api_request *r)
{
	struct question *q = r->pending;

	loop_timer_disarm(&q->wait);
	q->r = NULL;
}

static void on_silence(void *arg)
{
	struct question *q = arg;
	struct api_request *r = q->r;

	q->r = NULL;
	api_fail(r, API_TIMEOUT, "the VM's process does not answer");
}

static void on_stats(void *arg, const json_t *reply, const struct err *e)
{
	struct question *q = arg;
	struct sample s;

	loop_timer_disarm(&q->wait);
	if (q->r && e) {
		api_fail_err(q->r, e);
	} else if (q->r) {
		s = q->vm->sample;
		mgr_measure(q->ctx->mgr, q->vm, &s, reply);
		api_reply_json(q->r, 200, sample_encode(&s));
	}
	free(q);
}

void h_vm_stats(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct vm *vm = find(ctx, r, arg[0]);
	struct control_request ask = { .what = CONTROL_STATS };
	struct question *q;
	struct err e = { 0 };

	if (!vm)
		return;
	if (!vm->life.run.pid) {
		api_fail_with(r, API_WRONG_STATE, "the VM has no process, so no counters",
			      allowed_verbs(vm->life.state));
		return;
	}
	q = calloc(1, sizeof(*q));
	if (!q) {
		api_fail(r, API_NO_RESOURCE, "no memory for the question");
		return;
	}
	*q = (struct question) { .ctx = ctx, .r = r, .vm = vm };
	if (ctx->runner->ops->send(ctx->runner, vm->id, &ask, on_stats, q, &e)) {
		free(q);
		api_fail_err(r, &e);
		return;
	}
	r->pending = q;
	r->cancel = on_gone;
	loop_timer_init(&q->wait, ctx->loop, on_silence, q);
	loop_timer_arm(&q->wait, ctx->mgr->clock->mono_ns(ctx->mgr->clock) + STATS_WAIT_NS);
}
