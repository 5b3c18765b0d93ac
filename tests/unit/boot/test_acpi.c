/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables: pointers and checksums of all tables, fixed fields, and iasl's word on the AML.
 */
#include "boot/acpi.h"

#include "base/bytes.h"
#include "base/fd.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE 0xe0000u

static const struct acpi_config board = { .vcpus = 2,
					  .ecam = 0xe0000000,
					  .ioapic = 0xfec00000,
					  .pm_base = 0x600,
					  .sci_irq = 9,
					  .mmio32 = 0xc0000000,
					  .mmio32_size = 0x20000000,
					  .mmio64 = 0x200000000,
					  .mmio64_size = 0x1000000000,
					  .vmgenid = 0xeff00,
					  .serial = { true, true } };

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/** The table @sig by way of the XSDT; checks all on the way. */
static const uint8_t *find(const struct acpi_image *img, const char *sig)
{
	const uint8_t *r = img->bytes + (img->rsdp - BASE), *x, *found = NULL;

	assert_memory_equal(r, "RSD PTR ", 8);
	assert_int_equal(sum(r, 20), 0);
	assert_int_equal(sum(r, 36), 0);
	x = img->bytes + (get_le64(r + 24) - BASE);
	assert_memory_equal(x, "XSDT", 4);
	assert_int_equal(sum(x, get_le32(x + 4)), 0);
	for (unsigned i = 36; i < get_le32(x + 4); i += 8) {
		uint64_t at = get_le64(x + i) - BASE;
		const uint8_t *t = img->bytes + at;

		assert_true(range_ok(at, get_le32(t + 4), img->len));
		assert_int_equal(sum(t, get_le32(t + 4)), 0);
		if (!memcmp(t, sig, 4))
			found = t;
	}
	return found;
}

static void tables(void **state UNUSED)
{
	struct acpi_image img;
	const uint8_t *t;

	assert_int_equal(acpi_build(&img, &board, BASE, NULL), 0);
	t = find(&img, "FACP");
	assert_non_null(t);
	assert_int_equal(get_le16(t + 46), 9);
	assert_int_equal(get_le32(t + 76), 0x608);
	assert_int_equal(get_le64(t + 120), 0xcf9);
	assert_int_equal(t[128], 6);
	assert_memory_equal(img.bytes + (get_le32(t + 36) - BASE), "FACS", 4);
	t = img.bytes + (get_le64(t + 140) - BASE);
	assert_memory_equal(t, "DSDT", 4);
	assert_int_equal(sum(t, get_le32(t + 4)), 0);
	t = find(&img, "APIC");
	assert_non_null(t);
	assert_int_equal(get_le32(t + 4), 44 + 2 * 8 + 12 + 20 + 6);
	assert_int_equal(t[44 + 8 + 3], 1);
	t = find(&img, "MCFG");
	assert_non_null(t);
	assert_true(get_le64(t + 44) == 0xe0000000);
	assert_int_equal(t[55], 0);
	assert_non_null(find(&img, "SSDT"));
	assert_null(find(&img, "HPET"));
	free(img.bytes);
}

static void dump(const char *path, const uint8_t *t)
{
	FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, t, get_le32(t + 4)), 0);
}

static int run(char *const argv[])
{
	extern char **environ;
	posix_spawn_file_actions_t fa;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, 1, 2);
	assert_int_equal(posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/** iasl takes both tables apart and its own text compiles again without a warning. */
static void aml_is_valid(void **state UNUSED)
{
	char dir[] = "/tmp/holm-acpi.XXXXXX";
	char ssdt[64], dsdt[64], text[64];
	struct acpi_config cfg = board;
	struct acpi_image img;
	const uint8_t *f;
	size_t len;
	uint8_t *s;

	cfg.vcpus = 64;
	assert_non_null(mkdtemp(dir));
	snprintf(ssdt, sizeof(ssdt), "%s/ssdt.aml", dir);
	snprintf(dsdt, sizeof(dsdt), "%s/dsdt.aml", dir);
	snprintf(text, sizeof(text), "%s/ssdt.dsl", dir);
	assert_int_equal(acpi_build(&img, &cfg, BASE, NULL), 0);
	dump(ssdt, find(&img, "SSDT"));
	f = find(&img, "FACP");
	dump(dsdt, img.bytes + (get_le32(f + 40) - BASE));
	free(img.bytes);
	assert_int_equal(run((char *[]) { "iasl", "-e", dsdt, "-d", ssdt, NULL }), 0);
	assert_int_equal(file_read(text, 1 << 20, &s, &len, NULL), 0);
	assert_non_null(strstr((char *)s, "VM_Gen_Counter"));
	assert_non_null(strstr((char *)s, "C03F"));
	assert_non_null(strstr((char *)s, "QWordMemory"));
	assert_non_null(strstr((char *)s, "\"PNP0501\""));
	assert_null(strstr((char *)s, "COM3"));
	free(s);
	assert_int_equal(run((char *[]) { "iasl", "-we", text, NULL }), 0);
	assert_int_equal(run((char *[]) { "rm", "-r", dir, NULL }), 0);
}

static void refuses(void **state UNUSED)
{
	struct acpi_config cfg = board;
	struct acpi_image img;

	assert_int_equal(acpi_build(&img, &board, 0xe0008, NULL), -EINVAL);
	assert_int_equal(acpi_build(&img, &board, 0xf8000, NULL), -EINVAL);
	cfg.vcpus = 0;
	assert_int_equal(acpi_build(&img, &cfg, BASE, NULL), -EINVAL);
	cfg.vcpus = 255;
	assert_int_equal(acpi_build(&img, &cfg, BASE, NULL), -EINVAL);
	cfg.vcpus = 254;
	assert_int_equal(acpi_build(&img, &cfg, BASE, NULL), 0);
	free(img.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(aml_is_valid),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
