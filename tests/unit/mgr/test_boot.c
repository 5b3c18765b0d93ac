/* SPDX-License-Identifier: MIT */
/*
 * The first manager since the host's boot.
 */
#include "mgr/boot.h"

#include "base/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void once_a_boot(void **state UNUSED)
{
	char dir[] = "/tmp/holm-boot.XXXXXX", path[64];
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/boot", dir);
	assert_true(boot_is_first(dir));
	assert_true(boot_is_first(dir));
	boot_note(dir);
	assert_false(boot_is_first(dir));
	boot_note(dir);
	assert_false(boot_is_first(dir));
	/* Another boot's. */
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("8e5ac8cd-7d1a-4d3b-9d3c-0f6e3b0f7a11\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_true(boot_is_first(dir));
	assert_int_equal(truncate(path, 0), 0);
	assert_true(boot_is_first(dir));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	/* No such folder: it is told, and the next one is the first again. */
	boot_note(dir);
	assert_true(boot_is_first(dir));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(once_a_boot) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
