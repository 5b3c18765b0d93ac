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
	{ .name = "flag", .letter = 'f', .help = "x" },
	{ .name = "value", .letter = 'v', .arg = "V", .help = "x" },
};
static const struct cmd_options set = { options, 2, NULL };
static const struct cmd_options *const sets[] = { &set, NULL };
static const struct cmd cmd = { .name = "t", .sets = sets };

static void test_forms(void **state)
{
	char *argv[] = { "--flag", "--value", "1",   "--value=2", "-v", "3",   "-v4", "-ffv5",
			 "-ff",	   "-f",      "-fv", "6",	  "-",	"pos", "--",  "--flag" };
	static const char *const values[] = { NULL, "1",  "2",	"3",  "4", NULL, NULL,	"5",
					      NULL, NULL, NULL, NULL, "6", "-",	 "pos", "--flag" };
	static const int opt[] = { 0, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, -1, -1, -1 };
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
	static const char *const bad[] = { "--nope",  "-x", "-xf",     "--flag=1",
					   "--value", "-v", "--valu=1" };

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

static void check_option(const struct cmd *c, size_t j)
{
	const struct cmd_option *o = cmd_option_at(c, j);
	struct vm_config config;
	struct err e = { 0 };

	assert_true(strlen(o->help) > 0);
	assert_int_not_equal(o->help[strlen(o->help) - 1], '.');
	assert_true(isupper((unsigned char)o->help[0]));
	for (size_t k = 0; k < j; k++) {
		assert_string_not_equal(o->name, cmd_option_at(c, k)->name);
		if (o->letter)
			assert_int_not_equal(o->letter, cmd_option_at(c, k)->letter);
	}
	/* Only a switch can do without a value. */
	if (o->json && o->json[0] != '?' && !o->arg)
		assert_int_equal(o->kind, CMD_JSON_SWITCH);
	if (!o->field)
		return;
	assert_int_equal(vm_config_init(&config, NULL), 0);
	if (vm_config_set(&config, o->field, "", &e))
		assert_null(strstr(e.msg, "there is no field"));
	vm_config_free(&config);
}

/* Every option sets a field that exists or is one that its command knows; no name twice. */
static void test_table(void **state)
{
	size_t n;
	const struct cmd_table *const *tables = cmd_tables(&n);

	for (size_t t = 0; t < n; t++)
		for (size_t i = 0; i < tables[t]->n; i++) {
			const struct cmd *c = &tables[t]->rows[i];
			char words[64], *argv[4] = { words };
			int argc = 1, used;

			assert_non_null(c->run);
			assert_true(isupper((unsigned char)c->summary[0]));
			assert_int_not_equal(c->summary[strlen(c->summary) - 1], '.');
			snprintf(words, sizeof(words), "%s", c->name);
			for (char *p = words; (p = strchr(p, ' ')); argv[argc++] = p)
				*p++ = '\0';
			assert_ptr_equal(cmd_find(argc, argv, &used), c);
			assert_int_equal(used, argc);
			if (tables[t]->noun)
				assert_string_equal(argv[0], tables[t]->noun);
			else
				assert_int_equal(argc, 1);
			for (size_t j = 0; cmd_option_at(c, j); j++)
				check_option(c, j);
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
