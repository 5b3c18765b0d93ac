/* SPDX-License-Identifier: MIT */
/*
 * Users, projects and grants over a store in memory: who a peer is, the roles through the tree,
 * quotas, what may not be, and that a directory read back from its records is the same.
 */
#include "mgr/core/people.h"
#include "mgr/store/digest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_UID	    900
#define MAX_RECORDS 64

struct record {
	char kind[16], id[32], name[80], *body;
};

struct env {
	struct store base;
	struct record r[MAX_RECORDS];
	size_t n;
	int fail; /* what the store answers */
	struct people *p;
	struct identity root;
};

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct record *)a)->id, ((const struct record *)b)->id);
}

static int mem_each(struct store *s, const char *kind, store_record_fn fn, void *ctx,
		    struct err *e UNUSED)
{
	struct env *t = CONTAINER_OF(s, struct env, base);
	int ret = 0;

	qsort(t->r, t->n, sizeof(t->r[0]), by_id);
	for (size_t i = 0; !ret && i < t->n; i++)
		if (!strcmp(t->r[i].kind, kind))
			ret = fn(ctx, kind, t->r[i].id, t->r[i].name, t->r[i].body);
	return ret;
}

static int mem_apply(struct store *s, const struct store_change *c, size_t n,
		     const struct audit_entry *audit UNUSED, struct err *e)
{
	struct env *t = CONTAINER_OF(s, struct env, base);

	if (t->fail)
		return err_set(e, t->fail, "the store said no");
	for (size_t k = 0; k < n; k++) {
		size_t i = 0;

		while (i < t->n && (strcmp(t->r[i].id, c[k].id) || strcmp(t->r[i].kind, c[k].kind)))
			i++;
		if (i < t->n) {
			free(t->r[i].body);
			t->r[i] = t->r[--t->n];
		}
		if (!c[k].body)
			continue;
		assert_true(t->n < MAX_RECORDS);
		snprintf(t->r[t->n].kind, sizeof(t->r[0].kind), "%s", c[k].kind);
		snprintf(t->r[t->n].id, sizeof(t->r[0].id), "%s", c[k].id);
		snprintf(t->r[t->n].name, sizeof(t->r[0].name), "%s", c[k].name);
		t->r[t->n].body = strdup(c[k].body);
		t->n++;
	}
	return 0;
}

static const struct store_ops mem_ops = { .each = mem_each, .apply = mem_apply };
static const struct people_env env = { .sha256 = digest_sha256,
				       .own_uid = OWN_UID,
				       .own_name = "holmuser" };

static int set_up(void **state)
{
	struct env *t = calloc(1, sizeof(*t));
	const struct api_peer root = { .uid = 0 };

	assert_non_null(t);
	t->base.ops = &mem_ops;
	assert_int_equal(people_create(&t->p, &env, NULL), 0);
	assert_int_equal(people_load(t->p, &t->base, NULL), 0);
	assert_int_equal(people_identify(t->p, &root, &t->root, NULL), 0);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct env *t = *state;

	people_destroy(t->p);
	for (size_t i = 0; i < t->n; i++)
		free(t->r[i].body);
	free(t);
	return 0;
}

/* Store and commit, as the API does. */
static int finish(struct env *t, int planned, struct people_plan **at, struct err *e)
{
	const struct store_change *c;
	struct people_plan *plan = *at;
	size_t n;
	int ret;

	if (planned)
		return planned;
	c = people_plan_changes(plan, &n);
	ret = t->base.ops->apply(&t->base, c, n, NULL, e);
	if (ret)
		people_plan_free(plan);
	else
		people_commit(t->p, plan);
	return ret;
}

static char token[PEOPLE_TOKEN_LEN + 1];

static int add_user(struct env *t, const char *json, struct err *e)
{
	struct people_plan *plan = NULL;

	return finish(t, people_plan_user(t->p, json, strlen(json), token, &plan, e), &plan, e);
}

static int add_project(struct env *t, const char *json, struct err *e)
{
	struct people_plan *plan = NULL;

	return finish(t, people_plan_project(t->p, json, strlen(json), &t->root, &plan, e), &plan,
		      e);
}

static int set_project(struct env *t, const char *name, const char *json, struct err *e)
{
	struct people_plan *plan = NULL;
	const struct project *x = people_project(t->p, name);

	assert_non_null(x);
	return finish(t,
		      people_plan_project_change(t->p, x, json, strlen(json), &t->root, &plan, e),
		      &plan, e);
}

static int grant(struct env *t, const char *project, const char *user, const char *role,
		 const struct identity *by, struct err *e)
{
	struct people_plan *plan = NULL;
	char json[256];

	snprintf(json, sizeof(json), "{\"user\": \"%s\", \"role\": \"%s\"}", user, role);
	return finish(t,
		      people_plan_grant(t->p, people_project(t->p, project), json, strlen(json), by,
					&plan, e),
		      &plan, e);
}

static int remove_user(struct env *t, const char *name, const struct identity *by)
{
	struct people_plan *plan = NULL;

	return finish(t, people_plan_user_remove(t->p, people_user(t->p, name), by, &plan, NULL),
		      &plan, NULL);
}

static struct identity who(struct env *t, int64_t uid)
{
	const struct api_peer peer = { .uid = uid };
	struct identity i;

	assert_int_equal(people_identify(t->p, &peer, &i, NULL), 0);
	return i;
}

static enum access_role role(struct env *t, int64_t uid, const char *project)
{
	struct identity i = who(t, uid);
	const struct project *x = project ? people_project(t->p, project) : NULL;

	return people_role(t->p, &i, x ? x->id : NULL);
}

static void expect_refused(int got, int want, const struct err *e, const char *word)
{
	assert_int_equal(got, want);
	if (!strstr(e->msg, word))
		fail_msg("'%s' is not in: %s", word, e->msg);
}

static void peers_are_told(void **state)
{
	struct env *t = *state;
	static const char hex[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	struct api_peer none = { .uid = -1 }, cert = { .uid = -1, .certificate = hex };
	struct identity i = who(t, 0);
	struct err e = { 0 };
	char json[160];

	assert_string_equal(i.name, "root");
	assert_true(i.builtin);
	i = who(t, OWN_UID);
	assert_string_equal(i.name, "holmuser");
	assert_true(i.builtin);
	i = who(t, 1234);
	assert_string_equal(i.name, "uid:1234");
	assert_false(i.builtin);
	assert_string_equal(i.user, "");
	assert_int_equal(people_role(t->p, &i, PROJECT_DEFAULT_ID), ROLE_NONE);
	assert_int_equal(people_role_anywhere(t->p, &i), ROLE_NONE);
	assert_int_equal(add_user(t, "{\"name\": \"ann\", \"uid\": 1234}", NULL), 0);
	assert_string_equal(token, "");
	i = who(t, 1234);
	assert_string_equal(i.name, "ann");
	assert_string_equal(i.user, people_user(t->p, "ann")->id);
	assert_string_equal(who(t, 1235).name, "uid:1235");
	assert_string_equal(who(t, 1234 + (1ll << 32)).name, "uid:4294968530");
	expect_refused(people_identify(t->p, &none, &i, &e), -EACCES, &e, "no user could be told");
	expect_refused(people_identify(t->p, &cert, &i, &e), -EACCES, &e, "certificate is no");
	snprintf(json, sizeof(json), "{\"name\": \"ci\", \"certificate\": \"%s\"}", hex);
	assert_int_equal(add_user(t, json, NULL), 0);
	assert_int_equal(people_identify(t->p, &cert, &i, NULL), 0);
	assert_string_equal(i.name, "ci");
	cert.certificate = "0011";
	assert_int_equal(people_identify(t->p, &cert, &i, NULL), -EACCES);
}

static void tokens_are_answered_once(void **state)
{
	struct env *t = *state;
	struct api_peer peer = { .uid = -1 };
	struct identity i = { .name = "untouched" };
	struct err e = { 0 };
	char first[PEOPLE_TOKEN_LEN + 1], long_one[400];

	assert_int_equal(add_user(t, "{\"name\": \"one\", \"token\": true}", NULL), 0);
	memcpy(first, token, sizeof(first));
	assert_int_equal(strlen(first), PEOPLE_TOKEN_LEN);
	assert_int_equal(add_user(t, "{\"name\": \"two\", \"token\": true}", NULL), 0);
	assert_string_not_equal(first, token);
	for (size_t k = 0; k < t->n; k++) {
		assert_null(strstr(t->r[k].body, first + 5));
		assert_null(strstr(t->r[k].body, token + 5));
	}
	peer.token = first;
	assert_int_equal(people_identify(t->p, &peer, &i, NULL), 0);
	assert_string_equal(i.name, "one");
	peer.token = token;
	assert_int_equal(people_identify(t->p, &peer, &i, NULL), 0);
	assert_string_equal(i.name, "two");
	/* Wrong by its last digit, too short, empty, too long; root's uid does not help. */
	first[PEOPLE_TOKEN_LEN - 1] ^= 1;
	peer = (struct api_peer) { .uid = 0, .token = first };
	expect_refused(people_identify(t->p, &peer, &i, &e), -EACCES, &e, "no user's");
	first[PEOPLE_TOKEN_LEN - 1] = '\0';
	assert_int_equal(people_identify(t->p, &peer, &i, NULL), -EACCES);
	peer.token = "";
	assert_int_equal(people_identify(t->p, &peer, &i, NULL), -EACCES);
	memset(long_one, 'a', sizeof(long_one) - 1);
	long_one[sizeof(long_one) - 1] = '\0';
	peer.token = long_one;
	assert_int_equal(people_identify(t->p, &peer, &i, NULL), -EACCES);
	assert_string_equal(i.name, "two");
	/* It ends with its user. */
	assert_int_equal(remove_user(t, "two", &t->root), 0);
	peer = (struct api_peer) { .uid = -1, .token = token };
	assert_int_equal(people_identify(t->p, &peer, &i, NULL), -EACCES);
}

/* Its last byte is the token's last. */
static int plain_digest(uint8_t out[PEOPLE_DIGEST_LEN], const void *buf, size_t len,
			struct err *e UNUSED)
{
	memset(out, 0, PEOPLE_DIGEST_LEN);
	out[PEOPLE_DIGEST_LEN - 1] = ((const uint8_t *)buf)[len - 1];
	return 0;
}

static void every_bit_of_a_digest_counts(void **state)
{
	struct env *t = *state;
	struct people_env plain = env;
	struct api_peer peer = { .uid = -1, .token = token };
	struct identity i;

	plain.sha256 = plain_digest;
	people_destroy(t->p);
	assert_int_equal(people_create(&t->p, &plain, NULL), 0);
	assert_int_equal(add_user(t, "{\"name\": \"one\", \"token\": true}", NULL), 0);
	assert_int_equal(people_identify(t->p, &peer, &i, NULL), 0);
	for (unsigned bit = 0; bit < 8; bit++) {
		token[PEOPLE_TOKEN_LEN - 1] ^= (char)(1u << bit);
		assert_int_equal(people_identify(t->p, &peer, &i, NULL), -EACCES);
		token[PEOPLE_TOKEN_LEN - 1] ^= (char)(1u << bit);
	}
}

static void users_are_strict(void **state)
{
	struct env *t = *state;
	static const struct {
		const char *json;
		int code;
		const char *says;
	} bad[] = {
		{ "", -EINVAL, "not valid JSON" },
		{ "[]", -EINVAL, "not a JSON object" },
		{ "{\"name\": \"a\", \"name\": \"b\", \"uid\": 1}", -EINVAL, "duplicate" },
		{ "{\"name\": \"a\", \"uid\": 1, \"shoe\": 2}", -EINVAL, "unknown field 'shoe'" },
		{ "{\"uid\": 1}", -EINVAL, "needs a name" },
		{ "{\"name\": \"a\"}", -EINVAL, "needs one of" },
		{ "{\"name\": \"a\", \"uid\": 1, \"token\": true}", -EINVAL, "needs one of" },
		{ "{\"name\": \"a b\", \"uid\": 1}", -EINVAL, "name 'a b' is not" },
		{ "{\"name\": \"\", \"uid\": 1}", -EINVAL, "name '' is not" },
		{ "{\"name\": \"uid:7\", \"uid\": 7}", -EINVAL, "name 'uid:7' is not" },
		{ "{\"name\": \"0123456789abcdef\", \"uid\": 7}", -EINVAL, "looks like an id" },
		{ "{\"name\": 7, \"uid\": 7}", -EINVAL, "'name' is not a string" },
		{ "{\"name\": \"a\", \"uid\": \"1\"}", -EINVAL, "'uid' is not a whole" },
		{ "{\"name\": \"a\", \"uid\": -1}", -ERANGE, "'uid' is out of range" },
		{ "{\"name\": \"a\", \"uid\": 4294967295}", -ERANGE, "'uid' is out of range" },
		{ "{\"name\": \"a\", \"uid\": 0}", -EEXIST, "uid 0 is a built-in" },
		{ "{\"name\": \"a\", \"uid\": 900}", -EEXIST, "uid 900 is a built-in" },
		{ "{\"name\": \"a\", \"uid\": 1000}", -EEXIST, "uid 1000 is user 'ann'" },
		{ "{\"name\": \"root\", \"uid\": 1}", -EEXIST, "built-in" },
		{ "{\"name\": \"holmuser\", \"uid\": 1}", -EEXIST, "built-in" },
		{ "{\"name\": \"ann\", \"token\": true}", -EEXIST, "named 'ann'" },
		{ "{\"name\": \"a\", \"token\": false}", -EINVAL, "'token' is not true" },
		{ "{\"name\": \"a\", \"token\": \"mine\"}", -EINVAL, "'token' is not true" },
		{ "{\"name\": \"a\", \"certificate\": \"12\"}", -EINVAL, "SHA-256" },
	};

	assert_int_equal(add_user(t, "{\"name\": \"ann\", \"uid\": 1000}", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };

		expect_refused(add_user(t, bad[i].json, &e), bad[i].code, &e, bad[i].says);
		assert_string_equal(token, "");
	}
	assert_null(people_user_at(t->p, 1));
	assert_int_equal(t->n, 1);
}

static void nothing_happens_without_the_store(void **state)
{
	struct env *t = *state;

	assert_int_equal(add_user(t, "{\"name\": \"ann\", \"uid\": 1000}", NULL), 0);
	t->fail = -ENOSPC;
	assert_int_equal(add_user(t, "{\"name\": \"bob\", \"uid\": 1001}", NULL), -ENOSPC);
	assert_int_equal(add_project(t, "{\"name\": \"shop\"}", NULL), -ENOSPC);
	assert_int_equal(grant(t, "default", "ann", "owner", &t->root, NULL), -ENOSPC);
	assert_int_equal(remove_user(t, "ann", &t->root), -ENOSPC);
	assert_null(people_user(t->p, "bob"));
	assert_null(people_project(t->p, "shop"));
	assert_int_equal(role(t, 1000, "default"), ROLE_NONE);
	assert_int_equal(people_project(t->p, "default")->etag, 1);
	assert_non_null(people_user(t->p, "ann"));
}

/* top > mid > leaf, and side; four users with a role each at another level. */
static void make_tree(struct env *t)
{
	assert_int_equal(add_user(t, "{\"name\": \"all\", \"uid\": 1}", NULL), 0);
	assert_int_equal(add_user(t, "{\"name\": \"atop\", \"uid\": 2}", NULL), 0);
	assert_int_equal(add_user(t, "{\"name\": \"amid\", \"uid\": 3}", NULL), 0);
	assert_int_equal(add_user(t, "{\"name\": \"mix\", \"uid\": 4}", NULL), 0);
	assert_int_equal(add_project(t, "{\"name\": \"top\"}", NULL), 0);
	assert_int_equal(add_project(t, "{\"name\": \"mid\", \"parent\": \"top\"}", NULL), 0);
	assert_int_equal(add_project(t, "{\"name\": \"leaf\", \"parent\": \"mid\"}", NULL), 0);
	assert_int_equal(add_project(t, "{\"name\": \"side\", \"parent\": null}", NULL), 0);
	assert_int_equal(grant(t, "*", "all", "viewer", &t->root, NULL), 0);
	assert_int_equal(grant(t, "top", "atop", "operator", &t->root, NULL), 0);
	assert_int_equal(grant(t, "mid", "amid", "owner", &t->root, NULL), 0);
	assert_int_equal(grant(t, "top", "mix", "owner", &t->root, NULL), 0);
	assert_int_equal(grant(t, "leaf", "mix", "viewer", &t->root, NULL), 0);
}

static void expect_roles(struct env *t)
{
	static const char *const projects[] = { NULL, "default", "top", "mid", "leaf", "side" };
	static const struct {
		int64_t uid;
		enum access_role want[ARRAY_SIZE(projects)];
	} rows[] = {
#define N ROLE_NONE
#define V ROLE_VIEWER
#define P ROLE_OPERATOR
#define O ROLE_OWNER
#define A ROLE_ADMIN
		{ 0, { A, A, A, A, A, A } },
		{ OWN_UID, { A, A, A, A, A, A } },
		{ 1, { V, V, V, V, V, V } },
		{ 2, { N, N, P, P, P, N } },
		{ 3, { N, N, N, O, O, N } },
		/* The highest counts, not the nearest. */
		{ 4, { N, N, O, O, O, N } },
		{ 99, { N, N, N, N, N, N } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < ARRAY_SIZE(projects); k++)
			if (role(t, rows[i].uid, projects[k]) != rows[i].want[k])
				fail_msg("uid %lld in %s", (long long)rows[i].uid,
					 projects[k] ? projects[k] : "*");
}

static void roles_go_down_the_tree(void **state)
{
	struct env *t = *state;
	struct identity i;

	make_tree(t);
	expect_roles(t);
	i = who(t, 3);
	assert_int_equal(people_role_anywhere(t->p, &i), ROLE_OWNER);
	i = who(t, 99);
	assert_int_equal(people_role_anywhere(t->p, &i), ROLE_NONE);
	assert_int_equal(people_role(t->p, &t->root, "no such id"), ROLE_ADMIN);
	/* A project that moves takes the roles of its new place. */
	assert_int_equal(set_project(t, "leaf", "{\"parent\": \"side\"}", NULL), 0);
	assert_int_equal(role(t, 2, "leaf"), ROLE_NONE);
	assert_int_equal(role(t, 4, "leaf"), ROLE_VIEWER);
	/* Taken away again, by name or id. */
	assert_int_equal(grant(t, "top", "mix", "none", &t->root, NULL), 0);
	assert_int_equal(role(t, 4, "top"), ROLE_NONE);
	assert_int_equal(grant(t, "leaf", people_user(t->p, "mix")->id, "none", &t->root, NULL), 0);
	assert_int_equal(role(t, 4, "leaf"), ROLE_NONE);
	assert_int_equal(grant(t, "leaf", "mix", "none", &t->root, NULL), 0);
}

static void records_make_the_same_directory(void **state)
{
	struct env *t = *state;
	struct people *again;
	size_t users = 0, projects = 0;

	make_tree(t);
	assert_int_equal(set_project(t, "leaf",
				     "{\"resources\": {\"cpu\": {\"limit\": 1500, \"shares\": 7},"
				     " \"io\": {\"reservation\": \"1M\"}},"
				     " \"quota\": {\"vms\": 3, \"memory\": \"2G\"}}",
				     NULL),
			 0);
	assert_int_equal(people_create(&again, &env, NULL), 0);
	assert_int_equal(people_load(again, &t->base, NULL), 0);
	for (; people_user_at(t->p, users); users++)
		assert_memory_equal(people_user_at(t->p, users), people_user_at(again, users),
				    sizeof(struct user));
	assert_int_equal(users, 4);
	assert_null(people_user_at(again, users));
	for (; people_project_at(t->p, projects); projects++) {
		json_t *a = people_project_encode(t->p, people_project_at(t->p, projects));
		json_t *b = people_project_encode(again, people_project_at(again, projects));

		assert_true(json_equal(a, b));
		json_decref(a);
		json_decref(b);
	}
	assert_int_equal(projects, 6);
	assert_null(people_project_at(again, projects));
	people_destroy(t->p);
	t->p = again;
	expect_roles(t);
	assert_int_equal(people_project(t->p, "leaf")->quota.memory, 2ull << 30);
	assert_int_equal(people_project(t->p, "leaf")->resources.of[RES_CPU].limit, 1500);
	assert_int_equal(people_project(t->p, "leaf")->resources.of[RES_CPU].shares, 7);
	assert_int_equal(people_project(t->p, "leaf")->resources.of[RES_IO].reservation, 1 << 20);
	assert_int_equal(people_project(t->p, "leaf")->resources.of[RES_NET].shares, 100);
}

static void bad_records_are_named(void **state)
{
	struct env *t = *state;
	static const struct store_change bad[] = {
		{ "user", "00000000000000aa", "ann", "{\"uid\": 5, \"hat\": 1}" },
		{ "user", "00000000000000aa", "ann", "{\"token\": true}" },
		{ "user", "00000000000000aa", "a n", "{\"uid\": 5}" },
		{ "user", "short", "ann", "{\"uid\": 5}" },
		{ "project", "00000000000000aa", "p", "{\"parent\": \"00000000000000bb\"}" },
		{ "project", "00000000000000aa", "p", "{\"parent\": \"00000000000000aa\"}" },
		{ "project", "00000000000000aa", "p",
		  "{\"grants\": [{\"user\": \"00000000000000bb\", \"role\": \"owner\"}]}" },
		{ "project", "00000000000000aa", "p", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct store_change gone = { .kind = bad[i].kind, .id = bad[i].id };
		struct people *p;
		struct err e = { 0 };

		mem_apply(&t->base, &bad[i], 1, NULL, NULL);
		assert_int_equal(people_create(&p, &env, NULL), 0);
		assert_int_equal(people_load(p, &t->base, &e), -EBADMSG);
		if (!strstr(e.msg, bad[i].id) || !strstr(e.msg, bad[i].kind))
			fail_msg("not named: %s", e.msg);
		people_destroy(p);
		mem_apply(&t->base, &gone, 1, NULL, NULL);
	}
}

static void projects_are_strict(void **state)
{
	struct env *t = *state;
	static const struct {
		const char *json;
		int code;
		const char *says;
	} bad[] = {
		{ "{}", -EINVAL, "needs a name" },
		{ "{\"name\": \"top\"}", -EEXIST, "named 'top'" },
		{ "{\"name\": \"default\"}", -EEXIST, "named 'default'" },
		{ "{\"name\": \"*\"}", -EINVAL, "name '*' is not" },
		{ "{\"name\": \"x\", \"color\": 1}", -EINVAL, "unknown field 'color'" },
		{ "{\"name\": \"x\", \"etag\": 1}", -EINVAL, "unknown field 'etag'" },
		{ "{\"name\": \"x\", \"parent\": \"no\"}", -ENOENT, "no project 'no'" },
		{ "{\"name\": \"x\", \"parent\": \"*\"}", -ENOENT, "no project '*'" },
		{ "{\"name\": \"x\", \"parent\": 5}", -EINVAL, "parent" },
		{ "{\"name\": \"x\", \"quota\": {\"gpus\": 1}}", -EINVAL, "'quota.gpus'" },
		{ "{\"name\": \"x\", \"quota\": {\"vms\": \"1K\"}}", -EINVAL, "'vms' is not" },
		{ "{\"name\": \"x\", \"quota\": {\"vms\": -1}}", -ERANGE, "'vms' is out" },
		{ "{\"name\": \"x\", \"quota\": 1}", -EINVAL, "'quota' is not" },
		{ "{\"name\": \"x\", \"resources\": {\"gpu\": {}}}", -EINVAL, "'resources.gpu'" },
		{ "{\"name\": \"x\", \"resources\": {\"cpu\": {\"max\": 1}}}", -EINVAL,
		  "'resources.cpu.max'" },
		{ "{\"name\": \"x\", \"grants\": {}}", -EINVAL, "'grants' is not an array" },
		{ "{\"name\": \"x\", \"grants\": [1]}", -EINVAL, "not an object" },
		{ "{\"name\": \"x\", \"grants\": [{\"user\": \"all\"}]}", -EINVAL, "needs user" },
		{ "{\"name\": \"x\", \"grants\": [{\"user\": \"all\", \"role\": \"king\"}]}",
		  -EINVAL, "'king' is no role" },
		{ "{\"name\": \"x\", \"grants\": [{\"user\": \"all\", \"role\": \"admin\"}]}",
		  -EINVAL, "admin is for project '*'" },
		{ "{\"name\": \"x\", \"grants\": [{\"user\": \"all\", \"role\": \"none\"}]}",
		  -EINVAL, "role none" },
		{ "{\"name\": \"x\", \"grants\": [{\"user\": \"no\", \"role\": \"owner\"}]}",
		  -ENOENT, "no user 'no'" },
		{ "{\"name\": \"x\", \"grants\": [{\"user\": \"all\", \"role\": \"owner\"},"
		  "{\"user\": \"all\", \"role\": \"viewer\"}]}",
		  -EINVAL, "twice" },
	};
	size_t records;

	make_tree(t);
	records = t->n;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };

		expect_refused(add_project(t, bad[i].json, &e), bad[i].code, &e, bad[i].says);
	}
	assert_int_equal(t->n, records);
	expect_roles(t);
}

static void tree_has_no_cycle_and_a_bound(void **state)
{
	struct env *t = *state;
	struct err e = { 0 };
	char json[128];

	make_tree(t);
	expect_refused(set_project(t, "top", "{\"parent\": \"leaf\"}", &e), -EINVAL, &e,
		       "cannot be below");
	expect_refused(set_project(t, "top", "{\"parent\": \"top\"}", &e), -EINVAL, &e,
		       "cannot be below");
	assert_string_equal(people_project(t->p, "top")->parent, "");
	/* A chain of eight; a ninth does not go below, nor two below the seventh. */
	for (int i = 1; i <= PROJECT_DEPTH_MAX; i++) {
		snprintf(json, sizeof(json), "{\"name\": \"d%d\", \"parent\": %s%s%d%s}", i,
			 i > 1 ? "\"" : "null", i > 1 ? "d" : "", i - 1, i > 1 ? "\"" : "");
		if (i == 1)
			snprintf(json, sizeof(json), "{\"name\": \"d1\"}");
		assert_int_equal(add_project(t, json, NULL), 0);
	}
	expect_refused(add_project(t, "{\"name\": \"d9\", \"parent\": \"d8\"}", &e), -EINVAL, &e,
		       "8 deep");
	expect_refused(set_project(t, "mid", "{\"parent\": \"d7\"}", &e), -EINVAL, &e, "8 deep");
	assert_int_equal(set_project(t, "mid", "{\"parent\": \"d6\"}", NULL), 0);
	assert_true(people_below(t->p, people_project(t->p, "leaf")->id,
				 people_project(t->p, "d1")->id));
	assert_false(people_below(t->p, people_project(t->p, "d1")->id,
				  people_project(t->p, "leaf")->id));
}

static void what_is_in_use_stays(void **state)
{
	struct env *t = *state;
	struct people_plan *plan = NULL;
	struct err e = { 0 };

	make_tree(t);
#define REMOVE(name, uses)                                                                         \
	people_plan_project_remove(t->p, people_project(t->p, name), uses, &plan, &e)
	expect_refused(REMOVE("default", 0), -EBUSY, &e, "built in");
	expect_refused(REMOVE("*", 0), -EBUSY, &e, "built in");
	expect_refused(REMOVE("mid", 0), -EBUSY, &e, "1 projects below");
	expect_refused(REMOVE("leaf", 2), -EBUSY, &e, "2 VMs");
	expect_refused(set_project(t, "default", "{\"name\": \"other\"}", &e), -EBUSY, &e,
		       "cannot be renamed");
	expect_refused(set_project(t, "*", "{\"quota\": {}}", &e), -EINVAL, &e, "grants only");
	assert_int_equal(finish(t, REMOVE("leaf", 0), &plan, NULL), 0);
	assert_null(people_project(t->p, "leaf"));
	assert_int_equal(finish(t, REMOVE("mid", 0), &plan, NULL), 0);
	/* A rename keeps the id, and the etag tells. */
	assert_int_equal(set_project(t, "side", "{\"name\": \"edge\"}", NULL), 0);
	assert_null(people_project(t->p, "side"));
	assert_int_equal(people_project(t->p, "edge")->etag, 2);
}

static void removed_users_leave_no_grants(void **state)
{
	struct env *t = *state;

	make_tree(t);
	assert_int_equal(remove_user(t, "mix", &t->root), 0);
	assert_int_equal(people_project(t->p, "top")->n_grants, 1);
	assert_int_equal(people_project(t->p, "leaf")->n_grants, 0);
	/* Whoever has that uid next begins with nothing; and the records load. */
	assert_int_equal(add_user(t, "{\"name\": \"mix\", \"uid\": 4}", NULL), 0);
	assert_int_equal(role(t, 4, "top"), ROLE_NONE);
	people_destroy(t->p);
	assert_int_equal(people_create(&t->p, &env, NULL), 0);
	assert_int_equal(people_load(t->p, &t->base, NULL), 0);
}

static void nobody_gives_more_than_they_have(void **state)
{
	struct env *t = *state;
	struct identity owner, boss, all;
	struct err e = { 0 };

	make_tree(t);
	owner = who(t, 3);
	/* An owner of mid, in mid and below it. */
	assert_int_equal(grant(t, "mid", "all", "owner", &owner, NULL), 0);
	assert_int_equal(grant(t, "leaf", "all", "operator", &owner, NULL), 0);
	assert_int_equal(grant(t, "mid", "all", "none", &owner, NULL), 0);
	expect_refused(grant(t, "top", "amid", "viewer", &owner, &e), -EPERM, &e, "cannot give");
	/* An owner of everything makes nobody admin and takes no admin away. */
	assert_int_equal(grant(t, "*", "all", "owner", &t->root, NULL), 0);
	assert_int_equal(grant(t, "*", "atop", "admin", &t->root, NULL), 0);
	all = who(t, 1);
	boss = who(t, 2);
	expect_refused(grant(t, "*", "all", "admin", &all, &e), -EPERM, &e, "the role admin");
	expect_refused(grant(t, "*", "atop", "none", &all, &e), -EPERM, &e, "the role admin");
	assert_int_equal(grant(t, "*", "amid", "owner", &all, NULL), 0);
	/* The last admin that is a user's cannot go, but by root. */
	expect_refused(grant(t, "*", "atop", "owner", &boss, &e), -EBUSY, &e, "last admin");
	assert_int_equal(remove_user(t, "atop", &boss), -EBUSY);
	assert_int_equal(role(t, 2, NULL), ROLE_ADMIN);
	assert_int_equal(grant(t, "*", "mix", "admin", &boss, NULL), 0);
	assert_int_equal(remove_user(t, "atop", &boss), 0);
	assert_int_equal(remove_user(t, "mix", &t->root), 0);
}

static void usage(void *ctx, const char *id, struct quota *out)
{
	struct env *t = ctx;
	const char *name = people_project(t->p, id)->name;

	if (!strcmp(name, "leaf"))
		*out = (struct quota) { .vms = 2, .cpus = 4, .memory = 4096, .disk = 10 };
	else if (!strcmp(name, "mid"))
		*out = (struct quota) { .vms = 1, .cpus = 1, .memory = 1024, .disk = 0 };
	else if (!strcmp(name, "side"))
		*out = (struct quota) { .vms = 1000, .memory = UINT64_MAX };
}

static int quota(struct env *t, const char *name, struct quota add, struct err *e)
{
	return people_quota_check(t->p, people_project(t->p, name)->id, &add, usage, t, e);
}

static void quotas_hold_up_the_tree(void **state)
{
	struct env *t = *state;
	struct err e = { 0 };

	make_tree(t);
	assert_int_equal(quota(t, "leaf", (struct quota) { .vms = 1u << 30 }, NULL), 0);
	assert_int_equal(set_project(t, "top", "{\"quota\": {\"vms\": 5, \"memory\": 6144}}", NULL),
			 0);
	assert_int_equal(set_project(t, "leaf", "{\"quota\": {\"cpus\": 5}}", NULL), 0);
	/* 3 VMs are below top, 2 of them in leaf. */
	assert_int_equal(quota(t, "leaf", (struct quota) { .vms = 2 }, NULL), 0);
	expect_refused(quota(t, "leaf", (struct quota) { .vms = 3 }, &e), -EDQUOT, &e,
		       "the quota of project 'top' for VMs is 5: 3 in use, 3 more");
	assert_int_equal(quota(t, "top", (struct quota) { .memory = 1024 }, NULL), 0);
	expect_refused(quota(t, "mid", (struct quota) { .memory = 1025 }, &e), -EDQUOT, &e,
		       "memory is 6144: 5120 in use, 1025 more");
	assert_int_equal(quota(t, "leaf", (struct quota) { .cpus = 1 }, NULL), 0);
	expect_refused(quota(t, "leaf", (struct quota) { .cpus = 2 }, &e), -EDQUOT, &e, "'leaf'");
	/* leaf's bound is not mid's; sums do not wrap. */
	assert_int_equal(quota(t, "mid", (struct quota) { .cpus = 2 }, NULL), 0);
	assert_int_equal(quota(t, "leaf", (struct quota) { .memory = UINT64_MAX }, NULL), -EDQUOT);
	assert_int_equal(quota(t, "side", (struct quota) { .vms = 1 }, NULL), 0);
	/* Above already, as after a lower quota: what adds nothing of it still goes. */
	assert_int_equal(set_project(t, "top", "{\"quota\": {\"vms\": 1}}", NULL), 0);
	assert_int_equal(quota(t, "leaf", (struct quota) { .memory = 1 }, NULL), 0);
	assert_int_equal(quota(t, "leaf", (struct quota) { .vms = 1 }, NULL), -EDQUOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(peers_are_told),
		TEST(tokens_are_answered_once),
		TEST(every_bit_of_a_digest_counts),
		TEST(users_are_strict),
		TEST(nothing_happens_without_the_store),
		TEST(roles_go_down_the_tree),
		TEST(records_make_the_same_directory),
		TEST(bad_records_are_named),
		TEST(projects_are_strict),
		TEST(tree_has_no_cycle_and_a_bound),
		TEST(what_is_in_use_stays),
		TEST(removed_users_leave_no_grants),
		TEST(nobody_gives_more_than_they_have),
		TEST(quotas_hold_up_the_tree),
	};

	return cmocka_run_group_tests_name("mgr-core-people", tests, NULL, NULL);
}
