/* SPDX-License-Identifier: MIT */
/*
 * Configurations: every field from strings and from JSON, there and back, and what is refused.
 */
#include "base/fd.h"
#include "proto/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
	struct vm_config *c = malloc(sizeof(*c));

	*state = c;
	return vm_config_init(c, NULL);
}

static int tear_down(void **state)
{
	vm_config_free(*state);
	free(*state);
	return 0;
}

struct bad {
	const char *field, *value;
	int error;
	const char *word; /* that the sentence must hold */
};

static void test_refused(void **state)
{
	static const struct bad cases[] = {
		{ "cpus", "0", -ERANGE, "1 to 64" },
		{ "cpus", "65", -ERANGE, "65" },
		{ "cpus", "two", -EINVAL, "two" },
		{ "cpus", "-1", -EINVAL, "-1" },
		{ "memory", "0", -ERANGE, "512M" },
		{ "memory", "512", -ERANGE, "512" },
		{ "memory", "1.5G", -EINVAL, "1.5G" },
		{ "memory", "33T", -ERANGE, "33T" },
		{ "memory", "99999999999999999999", -EINVAL, "size" },
		{ "memory", "1025K", -ERANGE, "MiB" },
		{ "memory", "", -EINVAL, "size" },
		{ "memory", "M", -EINVAL, "size" },
		{ "memory_merge", "yes", -EINVAL, "yes" },
		{ "name", "", -EINVAL, "name" },
		{ "name", "a/b", -EINVAL, "a/b" },
		{ "name", "-x", -EINVAL, "-x" },
		{ "net", "tap", -EINVAL, "tap" },
		{ "net", "tap:", -EINVAL, "tap" },
		{ "net", "tap:averyveryverylongname", -EINVAL, "averyvery" },
		{ "net", "user:x", -EINVAL, "user:x" },
		{ "net", "bridge", -EINVAL, "bridge" },
		{ "net", "network", -EINVAL, "network" },
		{ "net", "network:", -EINVAL, "network" },
		{ "net", "network:a b", -EINVAL, "a b" },
		{ "mac", "", -EINVAL, "52:54" },
		{ "mac", "52:54:00:12:34", -EINVAL, "52:54" },
		{ "mac", "52:54:00:12:34:5g", -EINVAL, "5g" },
		{ "mac", "52-54-00-12-34-56", -EINVAL, "52-54" },
		{ "mac", "52:54:00:12:34:56:", -EINVAL, "52:54" },
		{ "mac", "53:54:00:12:34:56", -EINVAL, "single" },
		{ "mac", "00:00:00:00:00:00", -EINVAL, "single" },
		{ "serial", "ring", -EINVAL, "ring" },
		{ "id", "9f0c4f6ad3b21e7", -EINVAL, "16" },
		{ "id", "9f0c4f6ad3b21e7G", -EINVAL, "16" },
		{ "control_fd", "2", -EINVAL, "from 3" },
		{ "exit_fd", "-1", -EINVAL, "-1" },
		{ "tap_fd", "99999999", -EINVAL, "999" },
		{ "disk_fds", "2", -EINVAL, "from 3" },
		{ "forwards", "80", -EINVAL, "80" },
		{ "forwards", "0:80", -ERANGE, "1 to 65535" },
		{ "forwards", "8080:65536", -ERANGE, "65535" },
		{ "forwards", "8080:80/sctp", -EINVAL, "sctp" },
		{ "forwards", "1.2.3:8080:80", -EINVAL, "1.2.3" },
		{ "forwards", "1.2.3.256:8080:80", -EINVAL, "256" },
		{ "forwards", ":8080:80", -EINVAL, "8080" },
		{ "serial", "file", -EINVAL, "file" },
		{ "serial", "file:", -EINVAL, "empty" },
		{ "serial", "stdio:x", -EINVAL, "stdio" },
		{ "serial", "com1", -EINVAL, "com1" },
		{ "disks", "", -EINVAL, "empty" },
		{ "disks", ",readonly", -EINVAL, "empty" },
		{ "disks", "f,serial=123456789012345678901", -EINVAL, "20" },
		{ "on_reboot", "maybe", -EINVAL, "maybe" },
		{ "sandbox", "no", -EINVAL, "no" },
		{ "io_limit", "fast", -EINVAL, "io_limit 'fast'" },
		{ "io_limit", "1025T", -ERANGE, "1024T" },
		{ "net_limit", "-1", -EINVAL, "net_limit" },
		{ "kernel", "", -EINVAL, "empty" },
		{ "engine", "", -EINVAL, "auto" },
		{ "devices", "", -EINVAL, "empty" },
		{ "append", "a\xff", -EINVAL, "UTF-8" },
		{ "nonsense", "x", -EINVAL, "nonsense" },
	};
	struct vm_config *c = *state;
	MEM_AUTO char *before = vm_config_encode(c, true);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { 0 };
		MEM_AUTO char *after = NULL;

		if (vm_config_set(c, cases[i].field, cases[i].value, &e) != cases[i].error ||
		    !strstr(e.msg, cases[i].word))
			fail_msg("%s=%s: %d '%s'", cases[i].field, cases[i].value, e.code, e.msg);
		after = vm_config_encode(c, true);
		assert_string_equal(before, after);
	}
}

static void must_set(struct vm_config *c, const char *field, const char *value)
{
	struct err e = { 0 };

	if (vm_config_set(c, field, value, &e))
		fail_msg("%s=%s: %s", field, value, e.msg);
}

static void test_values(void **state)
{
	struct vm_config *c = *state;

	must_set(c, "memory", "5G");
	assert_int_equal(c->memory, 5ull << 30);
	must_set(c, "memory", "64MiB");
	assert_int_equal(c->memory, 64ull << 20);
	must_set(c, "memory", "32T");
	assert_int_equal(c->memory, 1ull << 45);
	must_set(c, "engine", "soft,jit=off");
	assert_string_equal(c->engine, "soft");
	assert_string_equal(c->engine_options, "jit=off");
	must_set(c, "disks", "a,b.img,serial=X1,readonly");
	assert_string_equal(c->disks[0].path, "a,b.img");
	assert_string_equal(c->disks[0].serial, "X1");
	assert_true(c->disks[0].readonly);
	must_set(c, "forwards", "0.0.0.0:2222:22");
	must_set(c, "forwards", "53:53/udp");
	must_set(c, "io_limit", "10M");
	must_set(c, "net_limit", "0");
	assert_int_equal(c->forwards[0].host_addr, 0);
	assert_int_equal(c->forwards[0].host_port, 2222);
	assert_int_equal(c->forwards[0].guest_port, 22);
	assert_true(c->forwards[1].udp);
	assert_int_equal(c->forwards[1].host_addr, 0x7f000001);
	must_set(c, "serial", "socket:/tmp/a:b");
	assert_string_equal(c->serial.path, "/tmp/a:b");
	must_set(c, "serial", "none");
	assert_null(c->serial.path);
}

static void test_round_trip(void **state)
{
	static const char *const sets[][2] = {
		{ "name", "web-1" },
		{ "engine", "soft,jit=off" },
		{ "cpus", "3" },
		{ "memory", "5G" },
		{ "memory_merge", "true" },
		{ "kernel", "/boot/k \"q\"" },
		{ "initrd", "i" },
		{ "append", "a=\"b\"" },
		{ "disks", "d0,readonly" },
		{ "disks", "d1,serial=z" },
		{ "net", "tap:tap0" },
		{ "serial", "file:/tmp/x" },
		{ "console", "pty" },
		{ "devices", "virtio-rng" },
		{ "log", "l" },
		{ "metrics", "m" },
		{ "on_reboot", "exit" },
		{ "sandbox", "log" },
		{ "start_ns", "12345" },
		{ "dry_run", "true" },
		{ "forbidden", "loop" },
		{ "forwards", "1:2/udp" },
		{ "mac", "52:54:0A:12:34:56" },
		{ "id", "9f0c4f6ad3b21e77" },
		{ "control_fd", "3" },
		{ "console_fd", "4" },
		{ "log_fd_a", "5" },
		{ "log_fd_b", "6" },
		{ "exit_fd", "7" },
		{ "tap_fd", "8" },
		{ "kernel_fd", "9" },
		{ "initrd_fd", "10" },
		{ "disk_fds", "12" },
		{ "disk_fds", "11" },
		{ "paused", "true" },
	};
	struct vm_config *c = *state, copy;
	MEM_AUTO char *one = NULL, *two = NULL;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		must_set(c, sets[i][0], sets[i][1]);
	one = vm_config_encode(c, true);
	assert_int_equal(vm_config_init(&copy, NULL), 0);
	if (vm_config_decode(&copy, one, strlen(one), "t", true, &e))
		fail_msg("%s", e.msg);
	two = vm_config_encode(&copy, true);
	assert_string_equal(one, two);
	assert_int_equal(copy.start_ns, 12345);
	assert_memory_equal(copy.mac, "\x52\x54\x0a\x12\x34\x56", 6);
	assert_true(copy.paused);
	assert_true(copy.memory_merge);
	assert_int_equal(copy.tap_fd, 8);
	assert_int_equal(copy.n_disk_fds, 2);
	assert_int_equal(copy.disk_fds[0], 12);
	assert_int_equal(copy.disk_fds[1], 11);
	vm_config_free(&copy);
}

static void test_managed(void **state)
{
	struct vm_config *c = *state;
	int fds[VM_CONFIG_FDS];
	struct err e = { 0 };

	must_set(c, "kernel", "k");
	assert_int_equal(vm_config_fds(c, fds), 0);
	must_set(c, "net", "network:lab");
	assert_string_equal(c->network, "lab");
	must_set(c, "tap_fd", "8");
	must_set(c, "console_fd", "4");
	must_set(c, "log_fd_a", "5");
	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "log_fd_b"));
	must_set(c, "log_fd_b", "6");
	assert_int_equal(vm_config_check(c, &e), 0);
	assert_int_equal(vm_config_fds(c, fds), 4);
	assert_int_equal(fds[0], 4);
	assert_int_equal(fds[3], 8);
	must_set(c, "exit_fd", "6");
	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "6 is given twice"));
	/* All disks' or none's. */
	must_set(c, "exit_fd", "7");
	must_set(c, "disk_fds", "9");
	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "1 disk_fds for 0 disks"));
	must_set(c, "disks", "/d");
	assert_int_equal(vm_config_check(c, &e), 0);
	must_set(c, "net", "user");
	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "tap_fd"));
}

static void test_json_refused(void **state)
{
	static const struct {
		const char *json, *word;
	} cases[] = {
		{ "", "JSON" },
		{ "[]", "object" },
		{ "{\"kernle\": \"x\"}", "kernle" },
		{ "{\"kernel\": 5}", "kernel" },
		{ "{\"cpus\": 1.5}", "cpus" },
		{ "{\"cpus\": -1}", "-1" },
		{ "{\"cpus\": 1, \"cpus\": 2}", "duplicate" },
		{ "{\"disks\": \"x\"}", "disks" },
		{ "{\"disks\": [{\"pth\": \"x\"}]}", "pth" },
		{ "{\"disks\": [{\"readonly\": true}]}", "path" },
		{ "{\"disks\": [{\"path\": \"x\", \"readonly\": 1}]}", "readonly" },
		{ "{\"devices\": [5]}", "devices" },
		{ "{\"start_ns\": 5}", "start_ns" },
		{ "{\"control_fd\": 5}", "control_fd" },
		{ "{\"id\": \"9f0c4f6ad3b21e77\"}", "id" },
		{ "{\"paused\": true}", "paused" },
		{ "{\"kernel\": \"a\\u0000b\"}", "JSON" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { 0 };

		if (vm_config_decode(*state, cases[i].json, strlen(cases[i].json), "t.json", false,
				     &e) != -EINVAL ||
		    !strstr(e.msg, cases[i].word) || strncmp(e.msg, "t.json: ", 8) != 0)
			fail_msg("%s: %d '%s'", cases[i].json, e.code, e.msg);
	}
}

static void test_limits(void **state)
{
	struct vm_config *c = *state;
	struct err e = { 0 };

	for (int i = 0; i < VM_DISKS_MAX; i++)
		must_set(c, "disks", "d");
	assert_int_equal(vm_config_set(c, "disks", "d", &e), -E2BIG);
	for (int i = 0; i < VM_DEVICES_MAX; i++)
		must_set(c, "devices", "d");
	assert_int_equal(vm_config_set(c, "devices", "d", &e), -E2BIG);
}

static void test_check(void **state)
{
	struct vm_config *c = *state;
	struct err e = { 0 };

	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "--kernel"));
	must_set(c, "kernel", "k");
	assert_int_equal(vm_config_check(c, &e), 0);
	must_set(c, "console", "stdio");
	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	must_set(c, "serial", "none");
	assert_int_equal(vm_config_check(c, &e), 0);
	must_set(c, "forwards", "80:80");
	must_set(c, "forwards", "80:81/udp");
	assert_int_equal(vm_config_check(c, &e), 0);
	must_set(c, "forwards", "80:82");
	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "80"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_managed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
