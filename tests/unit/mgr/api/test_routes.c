/* SPDX-License-Identifier: MIT */
/*
 * The matcher of routes, and that the table says nothing twice.
 */
#include "mgr/api/openapi.h"
#include "stubs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <string.h>

static int look_up(struct route_match *m, const char *method, const char *path)
{
	struct err e = { 0 };
	int ret = route_match(m, api_routes, api_routes_count, method, path, &e);

	assert_int_equal(!ret, !e.msg[0]);
	return ret;
}

static void paths_lead_to_handlers(void **state UNUSED)
{
	struct route_match m;

	assert_int_equal(look_up(&m, "GET", "/v1/vms"), 0);
	assert_ptr_equal(m.route->handler, h_vms_list);
	assert_null(m.arg[0]);
	assert_int_equal(look_up(&m, "POST", "/v1/vms"), 0);
	assert_ptr_equal(m.route->handler, h_vms_create);
	assert_int_equal(m.route->need, NEED_OWN);
	assert_int_equal(m.route->scope, SCOPE_BODY);
	assert_int_equal(look_up(&m, "GET", "/v1/vms/web-1"), 0);
	assert_ptr_equal(m.route->handler, h_vm_get);
	assert_string_equal(m.arg[0], "web-1");
	assert_null(m.arg[1]);
	assert_int_equal(look_up(&m, "POST", "/v1/vms/web/purge"), 0);
	assert_ptr_equal(m.route->handler, h_vm_verb);
	assert_string_equal(m.arg[0], "web");
	assert_string_equal(m.arg[1], "purge");
	assert_null(m.arg[2]);
	/* A VM may be named as a verb. */
	assert_int_equal(look_up(&m, "POST", "/v1/vms/start/start"), 0);
	assert_string_equal(m.arg[0], "start");
	assert_int_equal(look_up(&m, "GET", "/metrics"), 0);
	assert_int_equal(look_up(&m, "GET", "/v1/audit/verify"), 0);
	assert_null(m.arg[0]);
	assert_int_equal(look_up(&m, "GET", "/v1/console"), 0);
	assert_int_equal(m.route->need, NEED_OPERATE);
	assert_int_equal(m.route->scope, SCOPE_CONSOLE);
}

static void other_paths_lead_nowhere(void **state UNUSED)
{
	static const char *const none[] = {
		"/",
		"",
		"v1/vms",
		"/v1",
		"/v1/",
		"/v1/vms/",
		"/v1//vms",
		"/V1/vms",
		"/v1/vmsx",
		"/v1/vms/a/b",
		"/v1/vms//start",
		"/v1/vms/a/start/",
		"/metrics/",
		"/v2/vms",
		"/v1/vms/a/start/b",
	};
	char path[URI_PATH_MAX + 100] = "/v1/vms/";
	struct route_match m;

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (look_up(&m, "GET", none[i]) != -ENOENT)
			fail_msg("\"%s\" leads somewhere", none[i]);
	assert_int_equal(look_up(&m, "GET", "/v1/vms/a b"), -EINVAL);
	assert_int_equal(look_up(&m, "GET", "/v1/vms/\xc3\xa9"), -EINVAL);
	memset(path + 8, 'a', 65);
	assert_int_equal(look_up(&m, "GET", path), -EINVAL);
	path[8 + 64] = '\0';
	assert_int_equal(look_up(&m, "GET", path), 0);
	memset(path + 8, 'a', sizeof(path) - 9);
	assert_int_equal(look_up(&m, "GET", path), -ENOENT);
	/* Another method: which there are. */
	assert_int_equal(look_up(&m, "PUT", "/v1/vms/a"), -EOPNOTSUPP);
	assert_string_equal(m.allow, "GET, PATCH, DELETE");
	assert_null(m.route);
	assert_int_equal(look_up(&m, "get", "/v1/vms"), -EOPNOTSUPP);
	assert_string_equal(m.allow, "GET, POST");
}

static void the_table_is_sound(void **state UNUSED)
{
	for (size_t i = 0; i < api_routes_count; i++) {
		const struct api_route *r = &api_routes[i];

		assert_non_null(r->handler);
		assert_true(r->need < NEED_COUNT && r->scope < SCOPE_COUNT);
		/* Deny by default: what needs nothing is one route. */
		assert_int_equal(r->need == NEED_NOTHING, r->scope == SCOPE_NOTHING);
		assert_int_equal(r->need == NEED_NOTHING, !strcmp(r->pattern, "/v1/openapi.json"));
		/* What changes something needs more than to see it. */
		assert_true(!strcmp(r->method, "GET") || r->need >= NEED_OPERATE);
		assert_true(r->need != NEED_ADMIN || r->scope == SCOPE_ALL);
		for (size_t k = 0; k < i; k++)
			assert_true(strcmp(r->method, api_routes[k].method) != 0 ||
				    strcmp(r->pattern, api_routes[k].pattern) != 0);
	}
}

static void the_description_is_built_in(void **state UNUSED)
{
	json_t *doc =
		json_loadb(api_openapi_json, api_openapi_json_len, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(doc);
	assert_int_equal(api_openapi_json[api_openapi_json_len], 0);
	assert_non_null(json_object_get(json_object_get(doc, "paths"), "/v1/vms/{vm}/start"));
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_handlers),
		cmocka_unit_test(other_paths_lead_nowhere),
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(the_description_is_built_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
