/* SPDX-License-Identifier: MIT */
/*
 * Lists of VMs that are on their way: what they share, and that they are right and given back.
 */
#include "../apienv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A reply that the transport has not sent to its end. */
struct sending {
	struct api_request r;
	struct api_reply reply;
	const char *query; /* the name of one that is set, or NULL */
};

static const char *query(const struct api_request *r, const char *name)
{
	const struct sending *s = CONTAINER_OF(r, struct sending, r);

	return s->query && !strcmp(s->query, name) ? "true" : NULL;
}

static void keep(struct api_request *r, const struct api_reply *reply)
{
	CONTAINER_OF(r, struct sending, r)->reply = *reply;
}

static void ask(struct env *v, struct sending *s, int64_t uid, const char *with)
{
	*s = (struct sending) {
		.r = { .method = "GET", .path = "/v1/vms", .query = query, .done = keep },
		.query = with,
	};
	s->r.peer = (struct api_peer) { .uid = uid, .from = "unix" };
	v->ctx.api.ops->call(v->ctx.api.ctx, &s->r);
	assert_int_equal(s->reply.status, 200);
	assert_non_null(s->reply.release);
}

static size_t sent(struct sending *s)
{
	json_t *o = json_loadb(s->reply.body, s->reply.len, 0, NULL);
	size_t n = json_array_size(json_object_get(o, "items"));

	assert_true(json_is_array(json_object_get(o, "items")));
	json_decref(o);
	s->reply.release(s->reply.release_ctx);
	return n;
}

static void create(struct env *v, const char *name)
{
	char body[128];

	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"config\":{\"kernel\":\"/k\"}}", name);
	assert_int_equal(env_call(v, "POST", "/v1/vms", body), 201);
}

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

static void one_for_all_who_ask(void **state)
{
	struct env *v = *state;
	struct sending a, b, c;

	ask(v, &a, 0, NULL);
	assert_int_equal(sent(&a), 0);
	create(v, "a");
	create(v, "b");
	ask(v, &a, 0, NULL);
	ask(v, &b, 0, NULL);
	assert_ptr_equal(a.reply.body, b.reply.body);
	assert_int_equal(sent(&a), 2);
	/* The other still sends it, so a third gets it too. */
	ask(v, &c, 0, NULL);
	assert_ptr_equal(c.reply.body, b.reply.body);
	assert_int_equal(sent(&b), 2);
	assert_int_equal(sent(&c), 2);
	assert_null(v->ctx.whole[0]);
}

static void changes_are_seen(void **state)
{
	struct env *v = *state;
	struct sending a, b, c;

	create(v, "a");
	create(v, "b");
	ask(v, &a, 0, NULL);
	assert_int_equal(env_call(v, "PATCH", "/v1/vms/b", "{\"name\":\"z\"}"), 200);
	ask(v, &b, 0, NULL);
	assert_ptr_not_equal(a.reply.body, b.reply.body);
	assert_null(memmem(a.reply.body, a.reply.len, "\"z\"", 3));
	assert_non_null(memmem(b.reply.body, b.reply.len, "\"z\"", 3));
	assert_int_equal(env_call(v, "DELETE", "/v1/vms/z?purge=true", NULL), 204);
	ask(v, &c, 0, NULL);
	/* The oldest goes last: what is new is not lost by that. */
	assert_int_equal(sent(&b), 2);
	assert_int_equal(sent(&a), 2);
	assert_ptr_equal(v->ctx.whole[0], c.reply.release_ctx);
	assert_int_equal(sent(&c), 1);
	assert_null(v->ctx.whole[0]);
}

static void others_get_their_own(void **state)
{
	struct env *v = *state;
	struct sending all, deleted, viewer;

	assert_int_equal(env_call(v, "POST", "/v1/projects", "{\"name\":\"p\"}"), 201);
	assert_int_equal(env_call(v, "POST", "/v1/users", "{\"name\":\"eve\",\"uid\":1000}"), 201);
	assert_int_equal(env_call(v, "POST", "/v1/projects/p/grants",
				  "{\"user\":\"eve\",\"role\":\"viewer\"}"),
			 200);
	create(v, "a");
	create(v, "b");
	assert_int_equal(env_call(v, "DELETE", "/v1/vms/b", NULL), 200);
	ask(v, &all, 0, NULL);
	ask(v, &deleted, 0, "deleted");
	ask(v, &viewer, 1000, NULL);
	assert_ptr_not_equal(all.reply.body, deleted.reply.body);
	assert_ptr_not_equal(all.reply.body, viewer.reply.body);
	assert_int_equal(sent(&viewer), 0);
	assert_int_equal(sent(&deleted), 2);
	assert_int_equal(sent(&all), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_for_all_who_ask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(changes_are_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(others_get_their_own, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
