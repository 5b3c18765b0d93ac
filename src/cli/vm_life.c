/* SPDX-License-Identifier: MIT */
/*
 * The verbs of a VM's life that take more than a name: shutdown, rm, rename, set, autostart, wait.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "cli/body.h"
#include "cli/operation.h"
#include "cli/text.h"
#include "cli/vm.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define WAIT_STEP_MS 60000
#define WAIT_TRIES   30 /* a second apart, while no manager answers */

/* The options of the commands here. */
struct life {
	bool force, purge, has_timeout;
	uint64_t timeout_ms;
	const char *state;
};

static int parse(struct session *s, struct life *l, struct err *e)
{
	const struct cmd_option *opt;
	const char *value;
	int ret;

	while ((ret = session_next(s, &opt, &value, e)) > 0) {
		if (!strcmp(opt->name, "force")) {
			l->force = true;
		} else if (!strcmp(opt->name, "purge")) {
			l->purge = true;
		} else if (!strcmp(opt->name, "state")) {
			l->state = value;
		} else {
			l->has_timeout = true;
			ret = text_parse_ms(&l->timeout_ms, "--timeout", value, e);
			if (ret)
				return ret;
		}
	}
	return ret;
}

/* Parses, connects, and does @fn to each name. */
static int each(const struct cmd *self, int argc, char **argv, session_each_fn fn)
{
	struct life l = { 0 };
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	ret = parse(&s, &l, &e);
	if (!ret)
		ret = session_want(&s, 1, -1, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = session_each(&s, fn, &l);
	return session_close(&s, ret, &e);
}

static int act(struct session *s, const char *name, const char *verb, const struct life *l,
	       struct err *e)
{
	json_t *body = NULL;
	struct url u;
	int ret;

	noun_url(&u, &vm_noun, name);
	url_add(&u, verb);
	if (l->has_timeout)
		body = json_pack("{s:I}", "timeout_ms", (json_int_t)l->timeout_ms);
	ret = operation_call(s, "POST", &u, body, verb, name, e);
	json_decref(body);
	return ret;
}

static int shutdown_one(struct session *s, const char *name, void *ctx, struct err *e)
{
	const struct life *l = ctx;

	static const struct life now = { 0 };

	return l->force ? act(s, name, "kill", &now, e) : act(s, name, "shutdown", l, e);
}

int cmd_shutdown(const struct cmd *self, int argc, char **argv)
{
	return each(self, argc, argv, shutdown_one);
}

static int rm_one(struct session *s, const char *name, void *ctx, struct err *e)
{
	const struct life *l = ctx;
	struct url u;
	int ret;

	if (l->force) {
		/* A VM without a process cannot be killed, and need not be. */
		ret = act(s, name, "kill", l, e);
		if (ret && ret != -EBUSY)
			return ret;
	}
	noun_url(&u, &vm_noun, name);
	url_query(&u, "purge", l->purge ? "true" : NULL);
	return operation_call(s, "DELETE", &u, NULL, "removal", name, e);
}

int cmd_rm(const struct cmd *self, int argc, char **argv)
{
	return each(self, argc, argv, rm_one);
}

/* One look that the manager holds back until the VM is in @state or the time is over. */
static int wait_step(struct session *s, const char *name, const char *state, uint64_t left_ms,
		     json_t **vm, long *status, struct err *e)
{
	struct client_request r = { .method = "GET" };
	struct url u;

	noun_url(&u, &vm_noun, name);
	url_add(&u, "wait");
	url_query(&u, "state", state);
	url_query_number(&u, "timeout_ms", (long long)MIN(left_ms, (uint64_t)WAIT_STEP_MS));
	r.url = &u;
	return client_call(s->client, &r, vm, status, e);
}

int vm_wait(struct session *s, const char *name, const char *state, uint64_t end_ns, json_t **out,
	    struct err *e)
{
	json_t *vm = NULL;
	int left = WAIT_TRIES;
	int ret;

	for (;;) {
		uint64_t now = clock_monotonic_ns();
		long status;

		ret = wait_step(s, name, state, end_ns > now ? (end_ns - now) / 1000000 : 0, &vm,
				&status, e);
		if (status == 503)
			status = 0; /* it ends just now */
		if (!ret || (status && ret != -ETIMEDOUT) || clock_monotonic_ns() >= end_ns)
			break;
		/* VMs outlive their manager: no answer at all may be a restart of it. */
		left = status ? WAIT_TRIES : left - 1;
		if (!left)
			break;
		if (!status)
			nanosleep(&(struct timespec) { .tv_sec = 1 }, NULL);
	}
	if (out && !ret)
		*out = json_incref(vm);
	json_decref(vm);
	return ret;
}

static int wait_one(struct session *s, const char *name, void *ctx, struct err *e)
{
	const struct life *l = ctx;
	uint64_t end = l->has_timeout ? clock_monotonic_ns() + l->timeout_ms * 1000000 : UINT64_MAX;
	json_t *vm = NULL;
	int ret = vm_wait(s, name, l->state ? l->state : "ended", end, &vm, e);
	const char *state = json_string_value(json_object_get(vm, "state"));
	MEM_AUTO char *clean = state ? text_clean(state, strlen(state), "") : NULL;

	if (!ret && clean)
		printf("%s\n", clean);
	json_decref(vm);
	return ret;
}

int cmd_wait(const struct cmd *self, int argc, char **argv)
{
	return each(self, argc, argv, wait_one);
}

/* One PATCH of one member. */
static int change(const struct cmd *self, int argc, char **argv, bool autostart)
{
	json_t *body = NULL;
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 2, 2, &e);
	if (!ret && autostart) {
		ret = noun_autostart(&body, s.names[1], &e);
	} else if (!ret) {
		body = json_object();
		ret = body_put(body, "name", json_string(s.names[1]), false, &e);
	}
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = noun_change(&s, &vm_noun, s.names[0], body, "change", &e);
	json_decref(body);
	return session_close(&s, ret, &e);
}

int cmd_rename(const struct cmd *self, int argc, char **argv)
{
	return change(self, argc, argv, false);
}

int cmd_autostart(const struct cmd *self, int argc, char **argv)
{
	return change(self, argc, argv, true);
}

static int parse_set(struct session *s, struct vm_body *b, struct err *e)
{
	const struct cmd_option *opt;
	const char *value;
	int ret;

	while ((ret = session_next(s, &opt, &value, e)) > 0) {
		ret = vm_body_option(b, opt, value, e);
		if (ret)
			return ret;
	}
	if (!ret)
		ret = session_want(s, 1, -1, e);
	for (int i = 1; i < s->n_names && !ret; i++) {
		opt = noun_key_value(s->opts.cmd, s->names[i], &value, e);
		ret = opt ? vm_body_option(b, opt, value, e) : e->code;
	}
	if (!ret && !json_object_size(b->root) && !json_object_size(b->given))
		ret = err_set(e, -EINVAL, "nothing to set; see 'holm help set'");
	return ret;
}

int cmd_set(const struct cmd *self, int argc, char **argv)
{
	json_t *body = NULL;
	struct vm_body b;
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	ret = vm_body_init(&b, &e);
	if (!ret)
		ret = parse_set(&s, &b, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret) {
		body = vm_body_take(&b, !strcmp(client_host(s.client), "holm"), &e);
		ret = body ? 0 : e.code;
	}
	if (!ret)
		ret = noun_change(&s, &vm_noun, s.names[0], body, "change", &e);
	json_decref(body);
	vm_body_free(&b);
	return session_close(&s, ret, &e);
}
