/* SPDX-License-Identifier: MIT */
/*
 * The host's figures from fake /proc and /sys, from ones that say little, and from the real.
 */
#include "mgr/run/host.h"

#include "fake_tree.h"

#include <errno.h>
#include <unistd.h>

static void whole_host(void **state UNUSED)
{
	static struct host_capacity c;
	struct host_use u;
	struct host_ksm k;
	struct err e = { 0 };
	struct tree t;

	tree_make(&t);
	tree_put(&t, "/proc/meminfo",
		 "MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:    1000 kB\n"
		 "SwapCached: 9 kB\nSwapTotal: 64 kB\nSwapFree:  32 kB\n");
	tree_put(&t, "/proc/loadavg", "0.07 1.50 12.00 1/99 1234\n");
	tree_put(&t, "/proc/stat", "cpu  100 1 20 1000 50 2 3 40 7 0\ncpu0 1 1 1 1\n");
	tree_put(&t, "/proc/pressure/memory",
		 "some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n"
		 "full avg10=0.50 avg60=0.00 avg300=0.00 total=3\n");
	tree_put(&t, "/sys/devices/system/node/node1/cpulist", "2-3\n");
	tree_put(&t, "/sys/devices/system/node/node1/meminfo",
		 "Node 1 MemTotal:        512 kB\nNode 1 MemFree: 7 kB\n");
	tree_put(&t, "/sys/devices/system/node/node0/cpulist", "0-1\n");
	tree_put(&t, "/sys/devices/system/node/possible", "0-1\n");
	tree_put(&t, "/sys/kernel/mm/ksm/run", "1\n");
	tree_put(&t, "/sys/kernel/mm/ksm/pages_shared", "3\n");
	tree_put(&t, "/sys/kernel/mm/ksm/pages_sharing", "10\n");
	tree_put(&t, "/sys/kernel/mm/ksm/full_scans", "2\n");
	assert_int_equal(host_capacity(t.root, &c, &e), 0);
	assert_int_equal(c.memory, 2048 * 1024);
	assert_true(c.cpus >= 1);
	assert_int_equal(c.n_nodes, 2);
	assert_int_equal(c.nodes[0].id, 0);
	assert_string_equal(c.nodes[0].cpus, "0-1");
	assert_int_equal(c.nodes[0].memory, 0);
	assert_string_equal(c.nodes[1].cpus, "2-3");
	assert_int_equal(c.nodes[1].memory, 512 * 1024);
	assert_int_equal(host_use(t.root, &u, &e), 0);
	assert_int_equal(u.memory_available, 1000 * 1024);
	assert_int_equal(u.swap_total, 64 * 1024);
	assert_int_equal(u.swap_free, 32 * 1024);
	assert_int_equal(u.load[0], 7);
	assert_int_equal(u.load[1], 150);
	assert_int_equal(u.load[2], 1200);
	assert_int_equal(u.total_ticks, 1216);
	assert_int_equal(u.busy_ticks, 166);
	assert_int_equal(u.steal_ticks, 40);
	assert_true(u.memory.there);
	assert_int_equal(u.memory.some.avg10, 100);
	assert_int_equal(u.memory.full.total_us, 3);
	assert_false(u.cpu.there);
	assert_false(u.io.there);
	host_ksm(t.root, &k);
	assert_true(k.there && k.running);
	assert_int_equal(k.shared, 3);
	assert_int_equal(k.saved, 10 * (uint64_t)sysconf(_SC_PAGESIZE));
	assert_int_equal(k.full_scans, 2);
	assert_int_equal(host_ksm_set(t.root, false, &e), 0);
	host_ksm(t.root, &k);
	assert_true(k.there && !k.running);
	tree_remove(&t);
}

static void silent_host(void **state UNUSED)
{
	static struct host_capacity c = { .cpus = 77 };
	struct host_use u = { .swap_free = 77 };
	struct host_ksm k;
	struct err e = { 0 };
	struct tree t;

	tree_make(&t);
	assert_int_equal(host_capacity(t.root, &c, &e), -EIO);
	assert_int_equal(c.cpus, 77);
	tree_put(&t, "/proc/meminfo", "MemTotal: many kB\n");
	assert_int_equal(host_capacity(t.root, &c, &e), -EIO);
	assert_int_equal(host_use(t.root, &u, &e), -EIO);
	assert_int_equal(u.swap_free, 77);
	tree_put(&t, "/proc/meminfo", "MemTotal: 5 kB\nMemAvailable: 4 kB\n");
	tree_put(&t, "/proc/pressure/cpu", "nonsense\n");
	tree_put(&t, "/proc/loadavg", "x\n");
	assert_int_equal(host_capacity(t.root, &c, &e), 0);
	assert_int_equal(c.n_nodes, 0);
	assert_int_equal(host_use(t.root, &u, &e), 0);
	assert_int_equal(u.swap_free, 0);
	assert_int_equal(u.load[0], 0);
	assert_false(u.cpu.there);
	host_ksm(t.root, &k);
	assert_false(k.there);
	assert_int_equal(host_ksm_set(t.root, true, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "has no KSM"));
	tree_remove(&t);
}

static void this_host(void **state UNUSED)
{
	static struct host_capacity c;
	struct host_use u;
	struct err e = { 0 };

	assert_int_equal(host_capacity("", &c, &e), 0);
	assert_int_equal(host_use("", &u, &e), 0);
	assert_true(c.cpus >= 1 && c.cpus <= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
	assert_true(u.memory_available > 0 && u.memory_available <= c.memory);
	assert_true(u.busy_ticks <= u.total_ticks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_host),
		cmocka_unit_test(silent_host),
		cmocka_unit_test(this_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
