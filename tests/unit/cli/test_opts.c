/* SPDX-License-Identifier: MIT */
/*
 * Options against a table, and the command table itself: what must hold of every row.
 */
#include "cli/command.h"
#include "proto/config.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct cmd_option options[] = {
	{ .name = "flag", .help = "x" },
	{ .name = "value", .letter = 'v', .arg = "V", .help = "x" },
};
static const struct cmd cmd = { .name = "t", .options = options, .n_options = 2 };

static void test_forms(void **state)
{
	char *argv[] = { "--flag", "--value", "1",   "--value=2", "-v",	   "3",
			 "-v4",	   "-",	      "pos", "--",	  "--flag" };
	static const char *const values[] = { NULL, "1", "2", "3", "4", "-", "pos", "--flag" };
	static const int opt[] = { 0, 1, 1, 1, 1, -1, -1, -1 };
	struct opts o = { .cmd = &cmd, .argc = ARRAY_SIZE(argv), .argv = argv };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		const struct cmd_option *got;
		const char *value;
		struct err e = { 0 };

		assert_int_equal(opts_next(&o, &got, &value, &e), 1);
		assert_ptr_equal(got, opt[i] < 0 ? NULL : &options[opt[i]]);
		if (values[i])
			assert_string_equal(value, values[i]);
		else
			assert_null(value);
	}
	assert_int_equal(opts_next(&o, &(const struct cmd_option *) { NULL },
				   &(const char *) { NULL }, NULL),
			 0);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"--nope", "-x", "--flag=1", "--value", "-v", "--valu=1"
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *argv[] = { (char *)(uintptr_t)bad[i] };
		struct opts o = { .cmd = &cmd, .argc = 1, .argv = argv };
		const struct cmd_option *got;
		const char *value;
		struct err e = { 0 };

		assert_int_equal(opts_next(&o, &got, &value, &e), -EINVAL);
		assert_true(strlen(e.msg) > 0);
	}
}

/* Every option sets a field that exists or is one that its command knows; no name twice. */
static void test_table(void **state)
{
	size_t n;
	const struct cmd *table = cmd_table(&n);

	for (size_t i = 0; i < n; i++) {
		assert_non_null(table[i].run);
		assert_ptr_equal(cmd_find(table[i].name), &table[i]);
		for (size_t j = 0; j < table[i].n_options; j++) {
			const struct cmd_option *o = &table[i].options[j];
			struct vm_config c;
			struct err e = { 0 };

			assert_true(strlen(o->help) > 0);
			assert_int_not_equal(o->help[strlen(o->help) - 1], '.');
			assert_true(isupper((unsigned char)o->help[0]));
			for (size_t k = 0; k < j; k++)
				assert_string_not_equal(o->name, table[i].options[k].name);
			if (!o->field)
				continue;
			assert_int_equal(vm_config_init(&c, NULL), 0);
			if (vm_config_set(&c, o->field, "", &e))
				assert_null(strstr(e.msg, "there is no field"));
			vm_config_free(&c);
		}
	}
}

/* Each exit code that a file can return has its line in the manual. */
static void test_exits(void **state)
{
	size_t n;
	const struct cmd_exit *x = cmd_exits(&n);

	for (int code = 0; code <= HOLM_EXIT_KILLED; code += 2) {
		size_t i = 0;

		if (code == 0 || code >= HOLM_EXIT_USAGE)
			while (i < n && (int)x[i].code != code)
				i++;
		assert_true(i < n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
