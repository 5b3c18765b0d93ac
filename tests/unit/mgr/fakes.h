/* SPDX-License-Identifier: MIT */
/*
 * A store and a runner in memory, for tests of the manager.
 */
#ifndef HOLM_TESTS_UNIT_MGR_FAKES_H
#define HOLM_TESTS_UNIT_MGR_FAKES_H

#include "mgr/core/runner.h"
#include "mgr/core/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_RECORDS 512

struct fake_record {
	char kind[16], id[20], name[80];
	bool named;
	char *body; /* NULL: the slot is free */
};

struct fake_store {
	struct store store;
	struct fake_record r[FAKE_RECORDS];
	int fail;	  /* apply() gives this -errno while it is not 0 */
	unsigned applied; /* calls that succeeded */
	unsigned audited;
	char last_audit[256]; /* "who what on result" */
};

static inline struct fake_record *fake_find(struct fake_store *s, const char *kind, const char *id)
{
	for (unsigned i = 0; i < FAKE_RECORDS; i++)
		if (s->r[i].body && !strcmp(s->r[i].kind, kind) && !strcmp(s->r[i].id, id))
			return &s->r[i];
	return NULL;
}

static inline int fake_each(struct store *st, const char *kind, store_record_fn fn, void *ctx,
			    struct err *e UNUSED)
{
	struct fake_store *s = CONTAINER_OF(st, struct fake_store, store);

	for (unsigned i = 0; i < FAKE_RECORDS; i++)
		if (s->r[i].body && !strcmp(s->r[i].kind, kind)) {
			int ret = fn(ctx, kind, s->r[i].id, s->r[i].named ? s->r[i].name : NULL,
				     s->r[i].body);

			if (ret)
				return ret;
		}
	return 0;
}

static inline void fake_put(struct fake_store *s, const struct store_change *c)
{
	struct fake_record *r = fake_find(s, c->kind, c->id);

	for (unsigned i = 0; !r && c->body && i < FAKE_RECORDS; i++)
		if (!s->r[i].body)
			r = &s->r[i];
	if (!r)
		return;
	free(r->body);
	r->body = c->body ? strdup(c->body) : NULL;
	snprintf(r->kind, sizeof(r->kind), "%s", c->kind);
	snprintf(r->id, sizeof(r->id), "%s", c->id);
	r->named = c->name;
	snprintf(r->name, sizeof(r->name), "%s", c->name ? c->name : "");
}

static inline int fake_apply(struct store *st, const struct store_change *c, size_t n,
			     const struct audit_entry *a, struct err *e)
{
	struct fake_store *s = CONTAINER_OF(st, struct fake_store, store);

	if (s->fail)
		return err_set(e, s->fail, "the store refuses");
	for (size_t i = 0; i < n; i++)
		for (unsigned j = 0; c[i].name && c[i].body && j < FAKE_RECORDS; j++)
			if (s->r[j].body && s->r[j].named && !strcmp(s->r[j].kind, c[i].kind) &&
			    !strcmp(s->r[j].name, c[i].name) && strcmp(s->r[j].id, c[i].id) != 0)
				return err_set(e, -EEXIST, "name '%s' is taken", c[i].name);
	for (size_t i = 0; i < n; i++)
		fake_put(s, &c[i]);
	s->applied++;
	if (a) {
		s->audited++;
		snprintf(s->last_audit, sizeof(s->last_audit), "%s %s %s %s", a->who, a->what, a->on,
			 a->result);
	}
	return 0;
}

static const struct store_ops fake_store_ops = { .each = fake_each, .apply = fake_apply };

static inline void fake_store_free(struct fake_store *s)
{
	for (unsigned i = 0; i < FAKE_RECORDS; i++)
		free(s->r[i].body);
}

/* The runner: what was called, and processes that are there because the test says so. */
struct fake_runner {
	struct runner runner;
	char spawned[20], killed[20], cleaned[20], purged[20];
	unsigned n_spawned, n_killed, n_cleaned, n_purged, n_sent;
	enum control_do sent;
	uint64_t target; /* of the last request */
	struct control_request request; /* the last one sent */
	struct run_spec last; /* its strings are not kept */
	bool paused;
	bool alive; /* adopt() finds a process */
	int refuse; /* spawn() and send() give this -errno */
	runner_reply_fn reply;
	void *reply_ctx;
};

static inline struct fake_runner *fake_of(struct runner *r)
{
	return CONTAINER_OF(r, struct fake_runner, runner);
}

static inline int fake_spawn(struct runner *r, const struct run_spec *s, struct err *e)
{
	struct fake_runner *f = fake_of(r);

	if (f->refuse)
		return err_set(e, f->refuse, "no process to be had");
	snprintf(f->spawned, sizeof(f->spawned), "%s", s->id);
	f->paused = s->paused;
	f->n_spawned++;
	return 0;
}

static inline int fake_adopt(struct runner *r, const char *id UNUSED, struct run_end *end,
			     struct err *e UNUSED)
{
	*end = (struct run_end) { .end = "killed", .code = 137 };
	return fake_of(r)->alive ? 0 : -ESRCH;
}

static inline int fake_send(struct runner *r, const char *id UNUSED,
			    const struct control_request *q, runner_reply_fn fn, void *ctx,
			    struct err *e)
{
	struct fake_runner *f = fake_of(r);

	if (f->refuse)
		return err_set(e, f->refuse, "it does not listen");
	f->sent = q->what;
	f->target = q->target;
	f->request = *q;
	f->n_sent++;
	f->reply = fn;
	f->reply_ctx = ctx;
	return 0;
}

static inline void fake_kill(struct runner *r, const char *id)
{
	snprintf(fake_of(r)->killed, 20, "%s", id);
	fake_of(r)->n_killed++;
}

static inline void fake_clean(struct runner *r, const char *id)
{
	snprintf(fake_of(r)->cleaned, 20, "%s", id);
	fake_of(r)->n_cleaned++;
}

static inline void fake_purge(struct runner *r, const char *id)
{
	snprintf(fake_of(r)->purged, 20, "%s", id);
	fake_of(r)->n_purged++;
}

static inline unsigned fake_sweep(struct runner *r UNUSED,
				  bool (*known)(void *ctx, const char *id) UNUSED,
				  void *ctx UNUSED)
{
	return 0;
}

static const struct runner_ops fake_runner_ops = {
	.spawn = fake_spawn,
	.adopt = fake_adopt,
	.send = fake_send,
	.kill = fake_kill,
	.clean = fake_clean,
	.purge = fake_purge,
	.sweep = fake_sweep,
};

/* What a process would say. */
static inline void fake_says_hello(struct fake_runner *f, const char *id, bool paused)
{
	struct run_hello h = { .pid = 4711, .paused = paused, .engine = "soft", .why = "a test",
			       .started_ns = 1000 };

	f->runner.client.hello(f->runner.client.ctx, id, &h);
}

static inline void fake_ends(struct fake_runner *f, const char *id, const char *end, int code)
{
	struct run_end x = { .end = end, .code = code };

	f->runner.client.ended(f->runner.client.ctx, id, &x);
}

static inline void fake_replies(struct fake_runner *f)
{
	runner_reply_fn fn = f->reply;
	json_t *ok = json_object();

	f->reply = NULL;
	if (fn)
		fn(f->reply_ctx, ok, NULL);
	json_decref(ok);
}

#endif
