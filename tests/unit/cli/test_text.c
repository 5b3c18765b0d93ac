/* SPDX-License-Identifier: MIT */
/*
 * Text from outside, values as people write them, and tables.
 */
#include "cli/table.h"
#include "cli/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BAD "\xef\xbf\xbd"

static void test_clean(void **state)
{
	static const struct {
		const char *in, *keep, *out;
	} cases[] = {
		{ "plain", "", "plain" },
		{ "\x1b[31mred", "", BAD "[31mred" },
		{ "a\nb\tc\rd", "", "a" BAD "b" BAD "c" BAD "d" },
		{ "a\nb\tc\rd", "\n\t", "a\nb\tc" BAD "d" },
		{ "\x7f", "", BAD },
		{ "\xc2\x9b"
		  "31m",
		  "", BAD "31m" }, /* CSI as one C1 character */
		{ "\x9b"
		  "31m",
		  "", BAD "31m" }, /* and as a lone byte */
		{ "\xe2\x80\xae"
		  "x",
		  "", BAD "x" }, /* U+202E turns the direction */
		{ "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80", "",
		  "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80" },
		{ "\xc0\xaf", "", BAD BAD },	     /* overlong */
		{ "\xed\xa0\x80", "", BAD BAD BAD }, /* a surrogate */
		{ "\xf4\x90\x80\x80", "", BAD BAD BAD BAD },
		{ "\xe6\x97", "", BAD BAD }, /* cut off */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *out = text_clean(cases[i].in, strlen(cases[i].in), cases[i].keep);

		assert_string_equal(out, cases[i].out);
		free(out);
	}
}

/* Whatever the bytes: the result is UTF-8 without controls, and nothing is read behind the end. */
static void test_clean_random(void **state)
{
	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)rand() % 16;
		char *in = malloc(len + 1), *out;

		for (size_t i = 0; i < len; i++)
			in[i] = (char)rand();
		out = text_clean(in, len, "");
		assert_non_null(out);
		for (const char *p = out, *end = out + strlen(out); p < end;)
			assert_true(text_safe(text_next(&p, end)));
		free(out);
		free(in);
	}
}

static void test_width(void **state)
{
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("\xc3\xa9"), 1);
	assert_int_equal(text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two wide ones */
	assert_int_equal(text_width("e\xcc\x81"), 1);		     /* a combining accent */
}

static void test_ms(void **state)
{
	static const struct {
		const char *in;
		uint64_t ms;
	} good[] = { { "500ms", 500 },	{ "30s", 30000 },   { "30", 30000 }, { "5m", 300000 },
		     { "2h", 7200000 }, { "1d", 86400000 }, { "0", 0 } };
	static const char *const bad[] = { "",	 "s",	"-1",		"1w",
					   " 1", "1 s", "99999999999d", "18446744073709551617",
					   "+1" };
	uint64_t ms = 7;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(text_parse_ms(&ms, "t", good[i].in, NULL), 0);
		assert_int_equal(ms, good[i].ms);
	}
	ms = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };

		assert_true(text_parse_ms(&ms, "--x", bad[i], &e) < 0);
		assert_non_null(strstr(e.msg, "--x"));
	}
	assert_int_equal(ms, 7);
}

static void test_shown(void **state)
{
	char buf[32];
	int64_t t;

	assert_string_equal(text_size(buf, sizeof(buf), 0), "0B");
	assert_string_equal(text_size(buf, sizeof(buf), 1023), "1023B");
	assert_string_equal(text_size(buf, sizeof(buf), 1536), "1.5K");
	assert_string_equal(text_size(buf, sizeof(buf), UINT64_MAX), "16E");
	assert_string_equal(text_duration(buf, sizeof(buf), 59), "59s");
	assert_string_equal(text_duration(buf, sizeof(buf), 3599), "59m59s");
	assert_string_equal(text_duration(buf, sizeof(buf), 3600), "1h0m");
	assert_string_equal(text_duration(buf, sizeof(buf), 90000), "1d1h");
	assert_true(text_time("1970-01-02T00:00:01.000Z", &t));
	assert_int_equal(t, 86401);
	assert_false(text_time("yesterday", &t));
	assert_false(text_time("1970-01-02T00:00:01+02:00", &t));
}

static char *printed(const struct table *t, bool csv, size_t from, size_t rows, size_t width)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	if (csv)
		table_print_csv(t, f, from);
	else
		table_print(t, f, from, rows, width);
	fclose(f);
	return text;
}

static void expect(char *text, const char *want)
{
	assert_string_equal(text, want);
	free(text);
}

static void test_table(void **state)
{
	static const char *const cells[] = { "NAME", "N",	    "WHAT", "\xe6\x97\xa5", "10",
					     "a,b",  "a\x1blonger", "5",    "say \"x\"" };
	struct table t;

	table_init(&t, 3);
	t.right[1] = true;
	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		assert_int_equal(table_cell(&t, cells[i], NULL), 0);
	assert_int_equal(table_rows(&t), 3);
	expect(printed(&t, false, 0, SIZE_MAX, 0), "NAME       N  WHAT\n"
						   "\xe6\x97\xa5        10  a,b\n"
						   "a" BAD "longer   5  say \"x\"\n");
	expect(printed(&t, false, 0, 2, 0), "NAME       N  WHAT\n\xe6\x97\xa5        10  a,b\n");
	expect(printed(&t, false, 1, 1, 16), "\xe6\x97\xa5        10  a,\n");
	expect(printed(&t, true, 1, 0, 0),
	       "\xe6\x97\xa5,10,\"a,b\"\na" BAD "longer,5,\"say \"\"x\"\"\"\n");
	table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean), cmocka_unit_test(test_clean_random),
		cmocka_unit_test(test_width), cmocka_unit_test(test_ms),
		cmocka_unit_test(test_shown), cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
