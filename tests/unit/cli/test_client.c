/* SPDX-License-Identifier: MIT */
/*
 * What goes to the manager and what comes from it, without a connection: options as JSON, URLs,
 * problems as errors, server-sent events, lists.
 */
#include "cli/body.h"
#include "cli/output.h"
#include "cli/problem.h"
#include "cli/sse.h"
#include "cli/url.h"
#include "cli/vm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_json(json_t *v, const char *want)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(text, want);
	free(text);
}

static void test_body(void **state)
{
	static const struct cmd_option options[] = {
		{ .name = "text", .json = "text" },
		{ .name = "n", .json = "n", .kind = CMD_JSON_NUMBER },
		{ .name = "size", .json = "a.size", .kind = CMD_JSON_SIZE },
		{ .name = "cpu", .json = "a.b.cpu", .kind = CMD_JSON_CPU },
		{ .name = "ms", .json = "a.ms", .kind = CMD_JSON_MS },
		{ .name = "flag", .json = "flag", .kind = CMD_JSON_SWITCH },
		{ .name = "list", .json = "list", .kind = CMD_JSON_LIST },
	};
	static const struct {
		int opt;
		const char *value;
	} good[] = { { 0, "x" },   { 1, "-3" }, { 2, "10M" }, { 3, "1.25" },
		     { 4, "30s" }, { 5, NULL }, { 6, "one" }, { 6, "two" } },
	  bad[] = { { 0, "\xff" },	{ 1, "" },
		    { 1, "3x" },	{ 1, "99999999999999999999" },
		    { 2, "10Q" },	{ 2, "-1" },
		    { 3, "-1" },	{ 3, "nan" },
		    { 3, "1.2.3" },	{ 3, "" },
		    { 4, "x" },		{ 5, "maybe" },
		    { 2, "99999999T" }, { 3, "9999999999" } };
	json_t *body = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(body_set(body, &options[good[i].opt], good[i].value, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };
		int ret = body_set(body, &options[bad[i].opt], bad[i].value, &e);

		assert_true(ret == -EINVAL || ret == -ERANGE);
		assert_non_null(strstr(e.msg, options[bad[i].opt].name));
	}
	expect_json(body, "{\"a\":{\"b\":{\"cpu\":1250},\"ms\":30000,\"size\":10485760},"
			  "\"flag\":true,\"list\":[\"one\",\"two\"],\"n\":-3,\"text\":\"x\"}");
	assert_int_equal(body_set(body, &options[5], "off", NULL), 0);
	assert_true(json_is_false(json_object_get(body, "flag")));
	json_decref(body);
}

/* Only what was given is sent; a name is the VM's; paths become absolute for a local manager. */
static void test_vm_body(void **state)
{
	static const struct cmd_option memory = { .name = "memory", .field = "memory" },
				       kernel = { .name = "kernel", .field = "kernel" },
				       disk = { .name = "disk", .field = "disks" },
				       serial = { .name = "serial", .field = "serial" },
				       name = { .name = "name", .field = "name" };
	struct err e = { 0 };
	struct vm_body b;
	json_t *v;

	assert_int_equal(vm_body_init(&b, &e), 0);
	assert_int_equal(vm_body_option(&b, &memory, "64M", &e), 0);
	assert_int_equal(vm_body_option(&b, &kernel, "/k", &e), 0);
	assert_int_equal(vm_body_option(&b, &disk, "d,readonly", &e), 0);
	assert_int_equal(vm_body_option(&b, &serial, "file:s", &e), 0);
	assert_int_equal(vm_body_option(&b, &name, "web", &e), 0);
	assert_int_equal(vm_body_option(&b, &memory, "1", &e), -ERANGE);
	v = vm_body_take(&b, false, &e);
	expect_json(v, "{\"config\":{\"disks\":[{\"path\":\"d\",\"readonly\":true}],\"kernel\":"
		       "\"/k\",\"memory\":67108864,\"serial\":\"file:s\"},\"name\":\"web\"}");
	json_decref(v);
	v = vm_body_take(&b, true, &e);
	assert_string_equal(json_string_value(output_member(v, "config.kernel")), "/k");
	assert_memory_equal(json_string_value(output_member(v, "config.serial")), "file:/", 6);
	assert_int_equal(json_string_value(json_object_get(
				 json_array_get(output_member(v, "config.disks"), 0), "path"))[0],
			 '/');
	json_decref(v);
	vm_body_free(&b);
}

static void test_url(void **state)
{
	char longest[3000];
	struct url u;

	url_init(&u, "/v1/vms");
	url_add(&u, "a b/c?\xc3\xa9");
	url_query(&u, "x", "1&2");
	url_query(&u, "none", NULL);
	url_query_number(&u, "n", 7);
	assert_string_equal(u.s, "/v1/vms/a%20b%2Fc%3F%C3%A9?x=1%262&n=7");
	assert_false(u.cut);
	url_init(&u, "/v1/vms");
	url_add(&u, "..");
	url_add(&u, ".");
	assert_string_equal(u.s, "/v1/vms/%2E%2E/%2E");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	url_add(&u, longest);
	assert_true(u.cut);
}

/* Each code of docs/API.md has its exit code. */
static void test_problem(void **state)
{
	static const struct {
		const char *code;
		long status;
		int exit;
	} cases[] = {
		{ "bad_request", 400, 2 },	  { "not_authenticated", 401, 10 },
		{ "forbidden", 403, 10 },	  { "not_found", 404, 4 },
		{ "method_not_allowed", 405, 2 }, { "conflict", 409, 6 },
		{ "wrong_state", 409, 6 },	  { "changed", 412, 6 },
		{ "too_large", 413, 2 },	  { "quota", 422, 10 },
		{ "too_many", 429, 6 },		  { "internal", 500, 12 },
		{ "stopping", 503, 10 },	  { "no_resource", 507, 10 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { 0 };
		char text[256];

		snprintf(text, sizeof(text), "{\"code\":\"%s\",\"detail\":\"it is \\u001b so\"}",
			 cases[i].code);
		/* The code counts, not the status. */
		assert_int_equal(err_exit_code(problem_set(&e, 418, text, strlen(text))),
				 cases[i].exit);
		assert_string_equal(e.msg, "it is \xef\xbf\xbd so");
		/* Without a code, the status does. */
		assert_int_equal(err_exit_code(problem_set(&e, cases[i].status, "{}", 2)),
				 cases[i].exit);
		assert_true(strlen(e.msg) > 0);
	}
	for (int i = 0; i < 3; i++) {
		static const char *const odd[] = { "", "<html>", "[1,2]" };
		struct err e = { 0 };

		assert_int_equal(problem_set(&e, 502, odd[i], strlen(odd[i])), -EIO);
		assert_non_null(strstr(e.msg, "502"));
	}
}

static int on_event(void *ctx, const char *id, const char *type, const char *data, struct err *e)
{
	char *all = ctx;
	size_t at = strlen(all);

	snprintf(all + at, 512 - at, "<%s|%s|%s>", id, type, data);
	return !strcmp(data, "stop") ? -ECANCELED : 0;
}

static void test_sse(void **state)
{
	static const char text[] = "\xef\xbb\xbf: a comment\n\nid: 1\nevent: a\ndata: one\n\n"
				   "data:two\r\ndata:  lines\r\n\r\nevent: none\n\n"
				   "id: 2\rdata\rother: x\r\rdata: not ended";

	/* The same in pieces of any size. */
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		char all[512] = "";
		struct sse s;

		sse_init(&s, on_event, all);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece)
			assert_int_equal(sse_feed(&s, text + at, MIN(piece, sizeof(text) - 1 - at),
						  NULL),
					 0);
		assert_string_equal(all, "<1|a|one><1||two\n lines><2||>");
		sse_free(&s);
	}
}

static void test_sse_bounds(void **state)
{
	char all[512] = "", junk[4096];
	struct err e = { 0 };
	struct sse s;
	int ret = 0;

	sse_init(&s, on_event, all);
	assert_int_equal(sse_feed(&s, "data: stop\n\n", 12, NULL), -ECANCELED);
	memset(junk, 'x', sizeof(junk));
	for (int i = 0; i < 1000 && !ret; i++)
		ret = sse_feed(&s, junk, sizeof(junk), &e);
	assert_int_equal(ret, -EFBIG);
	sse_free(&s);
	sse_init(&s, on_event, all);
	ret = 0;
	for (int i = 0; i < 300000 && !ret; i++)
		ret = sse_feed(&s, "data: xxxxxxxx\n", 15, &e);
	assert_int_equal(ret, -EFBIG);
	sse_free(&s);
}

static char *list(struct output *o, const char *items)
{
	static const struct column columns[] = {
		{ "NAME", "name", COLUMN_TEXT },
		{ "MEMORY", "config.memory", COLUMN_SIZE },
		{ "CPU", "cpu", COLUMN_CPU },
	};
	json_t *v = json_loads(items, 0, NULL);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(v);
	assert_int_equal(output_list(o, f, v, columns, ARRAY_SIZE(columns), NULL), 0);
	fclose(f);
	json_decref(v);
	return text;
}

static void expect_list(struct output *o, const char *want)
{
	char *text = list(o, "[{\"name\":\"a\",\"config\":{\"memory\":1536},\"cpu\":1500,"
			     "\"x\":{\"y\":true}},{\"name\":\"b\\u001b\",\"cpu\":null}]");

	assert_string_equal(text, want);
	free(text);
}

static void test_list(void **state)
{
	struct output o = { 0 };

	expect_list(&o, "NAME  MEMORY  CPU\na       1.5K  1.5\nb\xef\xbf\xbd         -    -\n");
	o.no_header = true;
	expect_list(&o, "a   1.5K  1.5\nb\xef\xbf\xbd     -    -\n");
	assert_int_equal(output_option(&o, "format", "csv", NULL), 0);
	expect_list(&o, "a,1536,1500\nb\xef\xbf\xbd,,\n");
	o = (struct output) { .no_header = true };
	assert_int_equal(output_option(&o, "filter", "memory=1.5K", NULL), 0);
	expect_list(&o, "a  1.5K  1.5\n");
	assert_int_equal(output_option(&o, "filter", "x.y=yes", NULL), 0);
	expect_list(&o, "a  1.5K  1.5\n");
	assert_int_equal(output_option(&o, "filter", "name=b", NULL), 0);
	expect_list(&o, "");
	o = (struct output) { .quiet = true };
	expect_list(&o, "a\nb\xef\xbf\xbd\n");
	assert_int_equal(output_option(&o, "format", "xml", NULL), -EINVAL);
	assert_int_equal(output_option(&o, "filter", "novalue", NULL), -EINVAL);
	assert_int_equal(output_option(&o, "filter", "=x", NULL), -EINVAL);
}

static void test_find(void **state)
{
	static const struct {
		const char *words[4];
		const char *name;
		int used;
	} cases[] = {
		{ { "run", "x" }, "run", 1 },
		{ { "net", "create", "x" }, "net create", 2 },
		{ { "system", "audit" }, "system audit", 2 },
		{ { "system", "audit", "verify" }, "system audit verify", 3 },
		{ { "system", "audit", "x" }, "system audit", 2 },
		{ { "stop", "x" }, "shutdown", 1 },
		{ { "net" }, NULL, 0 },
		{ { "net", "fly" }, NULL, 0 },
		{ { "net create" }, NULL, 0 },
		{ { "ru" }, NULL, 0 },
		{ { "" }, NULL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[4];
		int argc = 0, used;
		const struct cmd *c;

		while (argc < 4 && cases[i].words[argc]) {
			argv[argc] = (char *)(uintptr_t)cases[i].words[argc];
			argc++;
		}
		c = cmd_find(argc, argv, &used);
		assert_int_equal(used, cases[i].used);
		if (cases[i].name)
			assert_string_equal(c->name, cases[i].name);
		else
			assert_null(c);
	}
	assert_non_null(cmd_noun("net"));
	assert_null(cmd_noun("run"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body), cmocka_unit_test(test_vm_body),
		cmocka_unit_test(test_url),  cmocka_unit_test(test_problem),
		cmocka_unit_test(test_sse),  cmocka_unit_test(test_sse_bounds),
		cmocka_unit_test(test_list), cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
