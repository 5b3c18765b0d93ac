/* SPDX-License-Identifier: MIT */
/*
 * Targets of requests: what is decoded, what is refused.
 */
#include "mgr/api/uri.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void path_and_query_are_decoded_once(void **state UNUSED)
{
	struct uri u = { 0 };

	assert_int_equal(uri_parse(&u, "/v1/vms/a%20b%2525?x=1%26&y&z=a+b&x=2&&", NULL), 0);
	assert_string_equal(u.path, "/v1/vms/a b%25");
	assert_int_equal(u.queries, 4);
	assert_string_equal(uri_query(&u, "x"), "1&");
	assert_string_equal(uri_query(&u, "y"), "");
	assert_string_equal(uri_query(&u, "z"), "a b");
	assert_null(uri_query(&u, "q"));
	uri_free(&u);
	assert_int_equal(uri_parse(&u, "/%C3%A9?p=/a/../b", NULL), 0);
	assert_string_equal(u.path, "/\xc3\xa9");
	assert_string_equal(uri_query(&u, "p"), "/a/../b");
	uri_free(&u);
	assert_int_equal(uri_parse(&u, "/a/...", NULL), 0);
	uri_free(&u);
}

static void what_is_not_strict_is_refused(void **state UNUSED)
{
	static const char *const bad[] = {
		"",
		"v1",
		"http://a/",
		"*",
		"/%00",
		"/a%",
		"/a%1",
		"/%zz",
		"/a%2fb",
		"/a%2Fb",
		"/..",
		"/a/../b",
		"/a/.",
		"/%2e%2e/b",
		"/%ff",
		"/%c0%80",
		"/%ed%a0%80",
		"/a\tb",
		"/%0d%0a",
		"/%7f",
		"/?a=%00",
		"/?%=1",
		"/?a=%f4%90%80%80",
		"/?a=%e0%80%80",
	};
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct uri u = { 0 };

		if (uri_parse(&u, bad[i], &e) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[i]);
		assert_null(u.text);
		assert_true(e.msg[0]);
	}
}

static void sizes_are_bounded(void **state UNUSED)
{
	char path[URI_PATH_MAX + 2] = "/", query[64] = "/?";
	struct uri u = { 0 };

	memset(path + 1, 'a', URI_PATH_MAX - 1);
	assert_int_equal(uri_parse(&u, path, NULL), 0);
	uri_free(&u);
	path[URI_PATH_MAX] = 'a';
	assert_int_equal(uri_parse(&u, path, NULL), -EINVAL);
	for (unsigned i = 0; i < URI_QUERY_MAX; i++)
		memcpy(query + 2 + 2 * i, "a&", 3);
	assert_int_equal(uri_parse(&u, query, NULL), 0);
	assert_int_equal(u.queries, URI_QUERY_MAX);
	uri_free(&u);
	memcpy(query + 2 + 2 * URI_QUERY_MAX, "a", 2);
	assert_int_equal(uri_parse(&u, query, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_and_query_are_decoded_once),
		cmocka_unit_test(what_is_not_strict_is_refused),
		cmocka_unit_test(sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
