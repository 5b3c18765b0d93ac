/* SPDX-License-Identifier: MIT */
/*
 * Reservation, limit and shares as JSON: members merge, and what is wrong is named and changes
 * nothing.
 */
#include "mgr/core/resources.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static int decode(struct resources *r, const char *text, struct err *e)
{
	json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
	int ret;

	assert_non_null(o);
	ret = resources_decode(r, o, e);
	json_decref(o);
	return ret;
}

static void members_merge(void **state UNUSED)
{
	struct resources r, again;
	json_t *o;

	resources_init(&r);
	assert_int_equal(r.of[RES_NET].shares, 100);
	assert_int_equal(decode(&r, "{}", NULL), 0);
	assert_int_equal(decode(&r,
				"{\"cpu\": {\"reservation\": 500, \"limit\": 500},"
				" \"memory\": {\"limit\": \"1G\", \"shares\": 10000}}",
				NULL),
			 0);
	assert_int_equal(decode(&r, "{\"cpu\": {\"shares\": 1}, \"net\": {\"limit\": 5}}", NULL),
			 0);
	assert_int_equal(r.of[RES_CPU].reservation, 500);
	assert_int_equal(r.of[RES_CPU].limit, 500);
	assert_int_equal(r.of[RES_CPU].shares, 1);
	assert_int_equal(r.of[RES_MEMORY].limit, 1u << 30);
	assert_int_equal(r.of[RES_MEMORY].shares, 10000);
	assert_int_equal(r.of[RES_NET].limit, 5);
	assert_int_equal(r.of[RES_IO].shares, 100);
	o = resources_encode(&r);
	resources_init(&again);
	assert_int_equal(resources_decode(&again, o, NULL), 0);
	json_decref(o);
	for (unsigned k = 0; k < RES_COUNT; k++) {
		assert_int_equal(again.of[k].reservation, r.of[k].reservation);
		assert_int_equal(again.of[k].limit, r.of[k].limit);
		assert_int_equal(again.of[k].shares, r.of[k].shares);
	}
}

static void wrong_ones_are_named(void **state UNUSED)
{
	static const struct {
		const char *json;
		int code;
		const char *says;
	} bad[] = {
		{ "[]", -EINVAL, "'resources' is not an object" },
		{ "{\"cpu\": 5}", -EINVAL, "'resources.cpu' is not an object" },
		{ "{\"disk\": {}}", -EINVAL, "'resources.disk'" },
		{ "{\"io\": {\"weight\": 1}}", -EINVAL, "'resources.io.weight'" },
		{ "{\"io\": {\"limit\": 1.5}}", -EINVAL, "'resources.io.limit'" },
		{ "{\"io\": {\"limit\": true}}", -EINVAL, "'resources.io.limit'" },
		{ "{\"io\": {\"limit\": \"much\"}}", -EINVAL, "'resources.io.limit'" },
		{ "{\"io\": {\"limit\": \"99999999T\"}}", -ERANGE, "'resources.io.limit'" },
		{ "{\"cpu\": {\"limit\": \"1G\"}}", -EINVAL, "'resources.cpu.limit'" },
		{ "{\"cpu\": {\"limit\": 4096001}}", -ERANGE, "'resources.cpu.limit'" },
		{ "{\"cpu\": {\"limit\": -1}}", -ERANGE, "'resources.cpu.limit'" },
		{ "{\"net\": {\"shares\": 0}}", -ERANGE, "'resources.net.shares'" },
		{ "{\"net\": {\"shares\": 10001}}", -ERANGE, "'resources.net.shares'" },
		{ "{\"net\": {\"reservation\": 8}}", -EINVAL, "above the limit" },
		/* What comes after something good. */
		{ "{\"io\": {\"limit\": 9}, \"cpu\": {\"limit\": 9}, \"x\": {}}", -EINVAL,
		  "'resources.x'" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct resources r, before;
		struct err e = { 0 };

		memset(&r, 0, sizeof(r)); /* padding too: it is compared */
		r.of[RES_NET] = (struct res_triple) { .limit = 7, .shares = 3 };
		memcpy(&before, &r, sizeof(r));
		assert_int_equal(decode(&r, bad[i].json, &e), bad[i].code);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("%s: %s", bad[i].json, e.msg);
		assert_memory_equal(&r, &before, sizeof(r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_merge),
		cmocka_unit_test(wrong_ones_are_named),
	};

	return cmocka_run_group_tests_name("mgr-core-resources", tests, NULL, NULL);
}
