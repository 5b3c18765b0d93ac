/* SPDX-License-Identifier: MIT */
/*
 * Answers: JSON, problems, and the bounded queue behind a stream.
 */
#include "mgr/api/reply.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct got {
	struct api_request r;
	unsigned calls, status;
	char type[64], etag[32], allow[32];
	json_t *body;
};

static void on_done(struct api_request *r, const struct api_reply *a)
{
	struct got *g = CONTAINER_OF(r, struct got, r);

	g->calls++;
	g->status = a->status;
	json_decref(g->body);
	g->body = a->body ? json_loadb(a->body, a->len, 0, NULL) : NULL;
	snprintf(g->type, sizeof(g->type), "%s", a->content_type ? a->content_type : "");
	snprintf(g->etag, sizeof(g->etag), "%s", a->etag ? a->etag : "");
	snprintf(g->allow, sizeof(g->allow), "%s", a->allow ? a->allow : "");
}

static const char *member(const struct got *g, const char *name)
{
	return json_string_value(json_object_get(g->body, name));
}

static void answers_are_json(void **state UNUSED)
{
	struct got g = { .r = { .done = on_done, .method = "PUT" } };
	struct err e;

	api_reply_tagged(&g.r, 201, json_pack("{s:i}", "a", 1), 18446744073709551615ull);
	assert_int_equal(g.status, 201);
	assert_string_equal(g.etag, "18446744073709551615");
	assert_int_equal(json_integer_value(json_object_get(g.body, "a")), 1);
	api_reply_json(&g.r, 200, NULL);
	assert_int_equal(g.status, 507);
	assert_string_equal(member(&g, "code"), "no_resource");
	api_reply_empty(&g.r, 204);
	assert_null(g.body);
	api_fail(&g.r, API_NOT_FOUND, "no VM \"%s\"", "web");
	assert_int_equal(g.status, 404);
	assert_string_equal(g.type, "application/problem+json");
	assert_string_equal(member(&g, "type"), "about:blank");
	assert_string_equal(member(&g, "title"), "Not Found");
	assert_string_equal(member(&g, "code"), "not_found");
	assert_string_equal(member(&g, "detail"), "no VM \"web\"");
	assert_int_equal(json_integer_value(json_object_get(g.body, "status")), 404);
	/* Not UTF-8: still a problem. */
	api_fail(&g.r, API_CONFLICT, "\xff");
	assert_string_equal(member(&g, "code"), "conflict");
	err_set(&e, -EDQUOT, "too much");
	api_fail_err(&g.r, &e);
	assert_int_equal(g.status, 422);
	err_set(&e, -EPROTO, "odd");
	api_fail_err(&g.r, &e);
	assert_int_equal(g.status, 500);
	api_fail_with(&g.r, API_WRONG_STATE, "is running", json_pack("{s:s}", "state", "running"));
	assert_string_equal(member(&g, "state"), "running");
	assert_string_equal(member(&g, "code"), "wrong_state");
	api_fail_method(&g.r, "GET, POST");
	assert_int_equal(g.status, 405);
	assert_string_equal(g.allow, "GET, POST");
	assert_int_equal(g.calls, 9);
	json_decref(g.body);
}

static void closed(void *ctx)
{
	++*(unsigned *)ctx;
}

static void a_queue_is_bounded(void **state UNUSED)
{
	unsigned n_closed = 0;
	struct api_queue *q;
	struct api_stream *s;
	char buf[8192], big[5000];

	assert_int_equal(api_queue_create(&q, sizeof(big), closed, &n_closed, NULL), 0);
	s = api_queue_stream(q);
	assert_int_equal(s->ops->read(s, buf, sizeof(buf)), 0);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 >> 3);
	assert_true(api_queue_push(q, big, sizeof(big) - 10));
	assert_int_equal(s->ops->read(s, buf, 100), 100);
	assert_memory_equal(buf, big, 100);
	assert_int_equal(api_queue_room(q), 110);
	assert_true(api_queue_push(q, big, 110));
	assert_int_equal(s->ops->read(s, buf, sizeof(buf)), sizeof(big));
	assert_memory_equal(buf, big + 100, sizeof(big) - 110);
	assert_memory_equal(buf + sizeof(big) - 110, big, 110);
	/* One byte too many ends it: what is there comes, then the end. */
	assert_true(api_queue_push(q, big, sizeof(big)));
	assert_false(api_queue_push(q, big, 1));
	assert_int_equal(api_queue_room(q), 0);
	assert_int_equal(s->ops->read(s, buf, sizeof(buf)), sizeof(big));
	assert_false(api_queue_push(q, big, 1));
	assert_int_equal(s->ops->read(s, buf, sizeof(buf)), -1);
	s->ops->close(s);
	assert_int_equal(n_closed, 1);
	assert_int_equal(api_queue_create(&q, 10, NULL, NULL, NULL), 0);
	api_queue_end(q);
	assert_int_equal(api_queue_stream(q)->ops->read(api_queue_stream(q), buf, 1), -1);
	api_queue_destroy(q);
	api_queue_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_json),
		cmocka_unit_test(a_queue_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
