/* SPDX-License-Identifier: MIT */
/*
 * A manager behind its API, on fakes: requests go in as from a transport, answers come back.
 */
#ifndef HOLM_TESTS_UNIT_MGR_APIENV_H
#define HOLM_TESTS_UNIT_MGR_APIENV_H

#include "base/loop.h"
#include "fakes.h"
#include "mgr/api/ctx.h"
#include "mgr/store/digest.h"

struct env {
	struct clock_fake clock;
	struct loop *loop;
	struct fake_store store;
	struct fake_runner runner;
	struct people *people;
	struct mgr mgr;
	struct api_ctx ctx;
	/* The last answer. */
	unsigned status, answers;
	json_t *body;
	bool streamed;
	int64_t uid;
	const char *token;
};

static inline void env_open(struct env *v)
{
	struct people_env people = { .sha256 = digest_sha256, .own_uid = 0, .own_name = "root" };
	struct sched_size room = { .cpu = 4000, .memory = 8ull << 30 };

	v->store.store.ops = &fake_store_ops;
	v->runner.runner.ops = &fake_runner_ops;
	clock_fake_init(&v->clock, 1000000000, 1700000000000000000);
	BUG_ON(loop_create(&v->loop, &v->clock.clock, NULL));
	loop_lock(v->loop);
	BUG_ON(people_create(&v->people, &people, NULL));
	BUG_ON(people_load(v->people, &v->store.store, NULL));
	v->mgr = (struct mgr) {
		.loop = v->loop,
		.store = &v->store.store,
		.runner = &v->runner.runner,
		.people = v->people,
	};
	mgr_init(&v->mgr, &room);
	v->ctx = (struct api_ctx) {
		.mgr = &v->mgr,
		.people = v->people,
		.runner = &v->runner.runner,
		.store = &v->store.store,
		.loop = v->loop,
	};
	ctx_init(&v->ctx);
}

static inline void env_close(struct env *v)
{
	json_decref(v->body);
	mgr_fini(&v->mgr);
	people_destroy(v->people);
	loop_unlock(v->loop);
	loop_destroy(v->loop);
	fake_store_free(&v->store);
}

struct env_request {
	struct api_request r;
	struct env *env;
	const char *query;
};

/* "name=value&name=value", without escapes. */
static inline const char *env_query(const struct api_request *r, const char *name)
{
	struct env *v = CONTAINER_OF(r, struct env_request, r)->env;
	static _Thread_local char values[4][128]; /* several are held at once */
	static _Thread_local unsigned at;
	char *value = values[at++ % ARRAY_SIZE(values)];
	const char *p = CONTAINER_OF(r, struct env_request, r)->query;
	size_t len = strlen(name);

	(void)v;
	for (; p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL)
		if (!strncmp(p, name, len) && p[len] == '=') {
			snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(p + len + 1, "&"),
				 p + len + 1);
			return value;
		}
	return NULL;
}

static inline void env_done(struct api_request *r, const struct api_reply *reply)
{
	struct env *v = CONTAINER_OF(r, struct env_request, r)->env;

	v->answers++;
	v->status = reply->status;
	v->streamed = reply->stream;
	json_decref(v->body);
	v->body = reply->body ? json_loadb(reply->body, reply->len, JSON_DECODE_ANY, NULL) : NULL;
	if (reply->stream)
		reply->stream->ops->close(reply->stream);
	if (reply->release)
		reply->release(reply->release_ctx);
	free(CONTAINER_OF(r, struct env_request, r));
}

/* Returns the status, 0 where the answer comes later. */
static inline unsigned env_call(struct env *v, const char *method, const char *target,
				const char *body)
{
	struct env_request *q = calloc(1, sizeof(*q));
	static _Thread_local char path[256];
	const char *mark = strchr(target, '?');

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(target, "?"), target);
	q->env = v;
	q->query = mark ? mark + 1 : NULL;
	q->r = (struct api_request) {
		.method = method,
		.path = path,
		.query = env_query,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.peer = { .uid = v->uid, .token = v->token, .from = "unix" },
		.done = env_done,
	};
	v->status = 0;
	v->ctx.api.ops->call(v->ctx.api.ctx, &q->r);
	return v->status;
}

static inline const char *env_text(const struct env *v, const char *member)
{
	const char *s = json_string_value(json_object_get(v->body, member));

	return s ? s : "";
}

/* A VM's record as a store would have it from an earlier life. */
static inline void env_put_vm(struct env *v, const char *id, const char *name, const char *state)
{
	char body[512];
	struct store_change c = { .kind = "vm", .id = id, .name = name, .body = body };

	snprintf(body, sizeof(body),
		 "{\"id\":\"%s\",\"name\":\"%s\",\"project\":\"default\",\"owner\":\"root\","
		 "\"etag\":1,\"state\":\"%s\",\"reason\":\"\",\"created\":"
		 "\"2026-01-01T00:00:00.000Z\",\"config\":{\"kernel\":\"/k\"}}",
		 id, name, state);
	BUG_ON(fake_apply(&v->store.store, &c, 1, NULL, NULL));
}

#endif
