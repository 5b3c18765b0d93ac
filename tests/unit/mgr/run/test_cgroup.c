/* SPDX-License-Identifier: MIT */
/*
 * Control groups over fake trees of both versions, and, where this process may, over the host's.
 *
 * In a fake tree a new group has no files, so those a test looks at are made before.
 */
#include "base/clock.h"
#include "mgr/run/cgroup.h"

#include "fake_tree.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL (~0u) /* all controllers that are there */
#define V2  "/sys/fs/cgroup"
#define VM  "/holm/p-web/vm-1a"

static struct cgroups *open_tree(const struct tree *t, enum cgroup_place place)
{
	const struct cgroup_env env = { .root = t->root, .name = "holm", .place = place };
	struct cgroups *g = NULL;
	struct err e = { 0 };

	if (cgroups_open(&g, &env, &e))
		fail_msg("%s", e.msg);
	return g;
}

static void says(const struct tree *t, const char *path, const char *want)
{
	const char *got = tree_get(t, path);

	if (!got || strcmp(got, want) != 0)
		fail_msg("%s: '%s', not '%s'", path, got ? got : "(not there)", want);
}

static void v2_tree(struct tree *t, const char *ctls)
{
	static const char *const files[] = { "cpu.weight",  "cpu.max",	   "memory.max",
					     "memory.low",  "io.max",	   "io.weight",
					     "cpuset.cpus", "cpuset.mems", "cgroup.procs" };
	char path[128];

	tree_make(t);
	tree_put(
		t, "/proc/self/mountinfo",
		"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		"30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
	tree_put(t, "/proc/self/cgroup", "0::/system.slice/holmd.service\n");
	tree_put(t, V2 "/cgroup.controllers", ctls);
	tree_put(t, V2 "/cgroup.subtree_control", "");
	tree_put(t, V2 "/holm/cgroup.controllers", ctls);
	tree_put(t, V2 "/holm/cgroup.subtree_control", "");
	tree_put(t, V2 "/holm/p-web/cgroup.controllers", ctls);
	tree_put(t, V2 "/holm/p-web/cgroup.subtree_control", "");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), V2 VM "/%s", files[i]);
		tree_put(t, path, "");
	}
}

static const struct cgroup_limits all_limits = { .cpu_weight = 200,
						 .cpu_limit = 1500,
						 .memory_limit = 1 << 30,
						 .memory_reserved = 1 << 20,
						 .io_weight = 50,
						 .io = { { 8, 16, 0, 1000000 } },
						 .n_io = 1,
						 .cpus = "0-1",
						 .mems = "0" };

static void version_2(void **state UNUSED)
{
	struct cgroup_limits none = { 0 };
	struct err e = { 0 };
	unsigned missing = 99;
	struct cgroups *g;
	struct tree t;

	v2_tree(&t, "cpuset cpu io memory pids\n");
	g = open_tree(&t, CGROUP_TOP);
	assert_string_equal(cgroups_missing(g), "");
	for (unsigned i = 0; i < CGROUP_IO_WEIGHT; i++)
		assert_int_equal(cgroups_version(g, (enum cgroup_ctl)i), 2);
	says(&t, V2 "/cgroup.subtree_control", "+cpu +memory +io +cpuset");
	says(&t, V2 "/holm/cgroup.subtree_control", "+cpu +memory +io +cpuset");
	assert_int_equal(cgroup_create(g, "web/1a", &e), 0);
	says(&t, V2 "/holm/p-web/cgroup.subtree_control", "+cpu +memory +io +cpuset");
	assert_int_equal(cgroup_attach(g, "web/1a", 4711, &e), 0);
	says(&t, V2 VM "/cgroup.procs", "4711");
	assert_int_equal(cgroup_set(g, "web/1a", &all_limits, &missing, &e), 0);
	assert_int_equal(missing, 0);
	says(&t, V2 VM "/cpu.weight", "200");
	says(&t, V2 VM "/cpu.max", "150000 100000");
	says(&t, V2 VM "/memory.max", "1073741824");
	says(&t, V2 VM "/memory.low", "1048576");
	says(&t, V2 VM "/io.weight", "default 50");
	says(&t, V2 VM "/io.max", "8:16 rbps=max wbps=1000000");
	says(&t, V2 VM "/cpuset.cpus", "0-1");
	says(&t, V2 VM "/cpuset.mems", "0");
	/* No limits; weights stay. */
	assert_int_equal(cgroup_set(g, "web/1a", &none, &missing, &e), 0);
	says(&t, V2 VM "/cpu.max", "max 100000");
	says(&t, V2 VM "/memory.max", "max");
	says(&t, V2 VM "/cpu.weight", "200");
	/* Less than the kernel takes. */
	none.cpu_limit = 1;
	assert_int_equal(cgroup_set(g, "web/1a", &none, &missing, &e), 0);
	says(&t, V2 VM "/cpu.max", "1000 100000");
	/* A project's limits. */
	tree_put(&t, V2 "/holm/p-web/cpu.max", "");
	assert_int_equal(cgroup_set(g, "web/", &none, &missing, &e), 0);
	says(&t, V2 "/holm/p-web/cpu.max", "1000 100000");
	assert_int_equal(cgroup_set(g, "web/none", &none, &missing, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/holm/p-web/vm-none/cpu.max"));
	cgroups_close(g);
	tree_remove(&t);
}

static void version_2_usage(void **state UNUSED)
{
	struct cgroup_usage u;
	struct err e = { 0 };
	struct cgroups *g;
	struct tree t;

	v2_tree(&t, "cpuset cpu io memory\n");
	g = open_tree(&t, CGROUP_TOP);
	assert_int_equal(cgroup_read(g, "web/2b", ALL, &u, &e), -ENOENT);
	tree_put(&t, V2 VM "/cpu.stat", "usage_usec 1500\nuser_usec 1000\nthrottled_usec 7\n");
	tree_put(&t, V2 VM "/memory.current", "4096\n");
	tree_put(&t, V2 VM "/io.stat",
		 "8:0 rbytes=100 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n"
		 "8:16 rbytes=1 wbytes=2 rios=5 wios=6 dbytes=0 dios=0\n");
	tree_put(&t, V2 VM "/memory.pressure",
		 "some avg10=1.25 avg60=0.50 avg300=12.00 total=12345\n"
		 "full avg10=0.07 avg60=0.00 avg300=0.00 total=99\n");
	assert_int_equal(cgroup_read(g, "web/1a", ALL, &u, &e), 0);
	assert_int_equal(u.have, CGROUP_BIT(CGROUP_CPU) | CGROUP_BIT(CGROUP_CPUACCT) |
					 CGROUP_BIT(CGROUP_MEMORY) | CGROUP_BIT(CGROUP_IO));
	assert_int_equal(u.cpu_ns, 1500000);
	assert_int_equal(u.throttled_ns, 7000);
	assert_int_equal(u.memory, 4096);
	assert_int_equal(u.read_bytes, 101);
	assert_int_equal(u.write_bytes, 22);
	assert_int_equal(u.read_ops, 8);
	assert_int_equal(u.write_ops, 10);
	assert_true(u.psi_memory.there);
	assert_int_equal(u.psi_memory.some.avg10, 125);
	assert_int_equal(u.psi_memory.some.avg300, 1200);
	assert_int_equal(u.psi_memory.some.total_us, 12345);
	assert_int_equal(u.psi_memory.full.avg10, 7);
	assert_false(u.psi_cpu.there);
	assert_false(u.psi_io.there);
	assert_int_equal(cgroup_read(g, "web/1a", CGROUP_BIT(CGROUP_IO), &u, &e), 0);
	assert_int_equal(u.have, CGROUP_BIT(CGROUP_IO));
	cgroups_close(g);
	tree_remove(&t);
}

/* Below the own group, with a controller that does not come down to it. */
static void version_2_delegated(void **state UNUSED)
{
#define OWN V2 "/system.slice/holmd.service"
	struct cgroups *g;
	struct err e = { 0 };
	unsigned missing = 0;
	char pid[16];
	struct tree t;

	v2_tree(&t, "cpuset cpu io memory pids\n");
	tree_put(&t, OWN "/cgroup.controllers", "cpu memory\n");
	tree_put(&t, OWN "/cgroup.subtree_control", "");
	tree_put(&t, OWN "/manager/cgroup.procs", "");
	tree_put(&t, OWN "/holm/cgroup.controllers", "cpu memory\n");
	tree_put(&t, OWN "/holm/cgroup.subtree_control", "");
	g = open_tree(&t, CGROUP_OWN);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	says(&t, OWN "/manager/cgroup.procs", pid);
	says(&t, OWN "/cgroup.subtree_control", "+cpu +memory");
	assert_int_equal(cgroups_version(g, CGROUP_CPU), 2);
	assert_int_equal(cgroups_version(g, CGROUP_IO), 0);
	assert_string_equal(cgroups_missing(g), "io: the group above does not hand it down; "
						"cpuset: the group above does not hand it down");
	assert_int_equal(cgroup_create(g, "web/sub/1a", &e), 0);
	assert_true(tree_is_dir(&t, OWN "/holm/p-web/p-sub/vm-1a"));
	tree_put(&t, OWN "/holm/p-web/p-sub/vm-1a/cpu.max", "");
	tree_put(&t, OWN "/holm/p-web/p-sub/vm-1a/cpu.weight", "");
	tree_put(&t, OWN "/holm/p-web/p-sub/vm-1a/memory.max", "");
	/* memory.low is not there: an older kernel. */
	assert_int_equal(cgroup_set(g, "web/sub/1a", &all_limits, &missing, &e), 0);
	assert_int_equal(missing, CGROUP_BIT(CGROUP_IO) | CGROUP_BIT(CGROUP_CPUSET) |
					  CGROUP_BIT(CGROUP_MEMORY));
	cgroups_close(g);
	tree_remove(&t);
}

/* A unit of the VMs' own: what holds its group moves into a leaf, we stay where we are. */
static void version_2_beside(void **state UNUSED)
{
#define VMS V2 "/system.slice/holm-vms.service"
	struct cgroup_env env = { .name = "holm", .beside = "holm-vms.service" };
	struct cgroups *g = NULL;
	struct err e = { 0 };
	struct tree t;

	v2_tree(&t, "cpu memory\n");
	env.root = t.root;
	env.place = CGROUP_TOP;
	/* It does not run: as if it had not been named. */
	assert_int_equal(cgroups_open(&g, &env, &e), 0);
	assert_non_null(strstr(cgroups_where(g, CGROUP_CPU), V2 "/holm"));
	assert_string_equal(cgroups_where(g, CGROUP_IO), "");
	cgroups_close(g);

	tree_put(&t, OWN "/cgroup.procs", "1\n");
	tree_put(&t, VMS "/cgroup.controllers", "cpu memory\n");
	tree_put(&t, VMS "/cgroup.subtree_control", "");
	tree_put(&t, VMS "/cgroup.procs", "4711\n");
	tree_put(&t, VMS "/manager/cgroup.procs", "");
	tree_put(&t, VMS "/holm/cgroup.controllers", "cpu memory\n");
	tree_put(&t, VMS "/holm/cgroup.subtree_control", "");
	assert_int_equal(cgroups_open(&g, &env, &e), 0);
	assert_non_null(strstr(cgroups_where(g, CGROUP_CPU), VMS "/holm"));
	says(&t, VMS "/manager/cgroup.procs", "4711");
	says(&t, VMS "/cgroup.subtree_control", "+cpu +memory");
	assert_false(tree_is_dir(&t, OWN "/manager"));
	assert_int_equal(cgroup_create(g, "web/1a", &e), 0);
	assert_true(tree_is_dir(&t, VMS "/holm/p-web/vm-1a"));
	cgroups_close(g);
	tree_remove(&t);
}

/* cpu and cpuacct in one hierarchy of version 1, cpuset in its own, memory in version 2. */
static void hybrid(void **state UNUSED)
{
	struct cgroup_usage u;
	struct err e = { 0 };
	unsigned missing = 0;
	struct cgroups *g;
	struct tree t;

	tree_make(&t);
	tree_put(&t, "/proc/self/mountinfo",
		 "31 20 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		 "32 20 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
		 "33 20 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		 "34 20 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	tree_put(&t, "/proc/self/cgroup", "2:cpu,cpuacct:/a\n1:cpuset:/\n0::/b\n");
	tree_put(&t, V2 "/cpu,cpuacct" VM "/cpu.shares", "");
	tree_put(&t, V2 "/cpu,cpuacct" VM "/cpu.cfs_period_us", "");
	tree_put(&t, V2 "/cpu,cpuacct" VM "/cpu.cfs_quota_us", "");
	tree_put(&t, V2 "/cpu,cpuacct" VM "/cpu.stat", "nr_periods 5\nthrottled_time 300\n");
	tree_put(&t, V2 "/cpu,cpuacct" VM "/cpuacct.usage", "123456\n");
	tree_put(&t, V2 "/cpuset/cpuset.cpus", "0-3\n");
	tree_put(&t, V2 "/cpuset/cpuset.mems", "0\n");
	tree_put(&t, V2 "/cpuset/holm/cpuset.cpus", "");
	tree_put(&t, V2 "/cpuset/holm/cpuset.mems", "");
	tree_put(&t, V2 "/cpuset/holm/p-web/cpuset.cpus", "");
	tree_put(&t, V2 "/cpuset/holm/p-web/cpuset.mems", "");
	tree_put(&t, V2 "/cpuset" VM "/cpuset.cpus", "");
	tree_put(&t, V2 "/cpuset" VM "/cpuset.mems", "");
	tree_put(&t, V2 "/unified/cgroup.controllers", "memory\n");
	tree_put(&t, V2 "/unified/holm/cgroup.controllers", "memory\n");
	tree_put(&t, V2 "/unified" VM "/memory.max", "");
	tree_put(&t, V2 "/unified" VM "/memory.low", "");
	tree_put(&t, V2 "/unified" VM "/memory.current", "77\n");
	g = open_tree(&t, CGROUP_TOP);
	assert_int_equal(cgroups_version(g, CGROUP_CPU), 1);
	assert_int_equal(cgroups_version(g, CGROUP_CPUACCT), 1);
	assert_int_equal(cgroups_version(g, CGROUP_CPUSET), 1);
	assert_int_equal(cgroups_version(g, CGROUP_MEMORY), 2);
	assert_string_equal(cgroups_missing(g), "io: not mounted");
	assert_int_equal(cgroup_create(g, "web/1a", &e), 0);
	/* A new set has its parent's. */
	says(&t, V2 "/cpuset" VM "/cpuset.cpus", "0-3\n");
	says(&t, V2 "/cpuset" VM "/cpuset.mems", "0\n");
	assert_int_equal(cgroup_set(g, "web/1a", &all_limits, &missing, &e), 0);
	assert_int_equal(missing, CGROUP_BIT(CGROUP_IO));
	says(&t, V2 "/cpu,cpuacct" VM "/cpu.shares", "2048");
	says(&t, V2 "/cpu,cpuacct" VM "/cpu.cfs_period_us", "100000");
	says(&t, V2 "/cpu,cpuacct" VM "/cpu.cfs_quota_us", "150000");
	says(&t, V2 "/cpuset" VM "/cpuset.cpus", "0-1");
	says(&t, V2 "/unified" VM "/memory.max", "1073741824");
	assert_int_equal(cgroup_read(g, "web/1a", ALL, &u, &e), 0);
	assert_int_equal(u.cpu_ns, 123456);
	assert_int_equal(u.throttled_ns, 300);
	assert_int_equal(u.memory, 77);
	assert_int_equal(u.have, CGROUP_BIT(CGROUP_CPU) | CGROUP_BIT(CGROUP_CPUACCT) |
					 CGROUP_BIT(CGROUP_MEMORY));
	cgroups_close(g);
	tree_remove(&t);
}

static void version_1_io(void **state UNUSED)
{
	struct cgroup_limits l = { .io_weight = 5000, .io = { { 8, 0, 10, 0 } }, .n_io = 1 };
	struct cgroup_usage u;
	struct err e = { 0 };
	unsigned missing = 0;
	struct cgroups *g;
	struct tree t;

	tree_make(&t);
	tree_put(&t, "/proc/self/mountinfo",
		 "31 20 0:27 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n");
	tree_put(&t, V2 "/blkio" VM "/blkio.throttle.read_bps_device", "");
	tree_put(&t, V2 "/blkio" VM "/blkio.throttle.write_bps_device", "");
	tree_put(&t, V2 "/blkio" VM "/blkio.throttle.io_service_bytes",
		 "8:0 Read 100\n8:0 Write 7\n8:0 Total 107\n8:16 Read 1\nTotal 108\n");
	tree_put(&t, V2 "/blkio" VM "/blkio.throttle.io_serviced", "8:0 Read 3\n8:0 Write 2\n");
	g = open_tree(&t, CGROUP_TOP);
	/* Nothing here weighs: told, and no error. */
	assert_int_equal(cgroup_set(g, "web/1a", &l, &missing, &e), 0);
	assert_int_equal(missing, CGROUP_BIT(CGROUP_IO_WEIGHT));
	says(&t, V2 "/blkio" VM "/blkio.throttle.read_bps_device", "8:0 10");
	says(&t, V2 "/blkio" VM "/blkio.throttle.write_bps_device", "8:0 0");
	tree_put(&t, V2 "/blkio" VM "/blkio.bfq.weight", "");
	assert_int_equal(cgroup_set(g, "web/1a", &l, &missing, &e), 0);
	assert_int_equal(missing, 0);
	says(&t, V2 "/blkio" VM "/blkio.bfq.weight", "1000");
	assert_int_equal(cgroup_read(g, "web/1a", ALL, &u, &e), 0);
	assert_int_equal(u.read_bytes, 101);
	assert_int_equal(u.write_bytes, 7);
	assert_int_equal(u.read_ops, 3);
	assert_int_equal(u.write_ops, 2);
	cgroups_close(g);
	tree_remove(&t);
}

static void nothing_mounted(void **state UNUSED)
{
	struct cgroup_usage u;
	struct err e = { 0 };
	unsigned missing = 0;
	struct cgroups *g;
	struct tree t;

	tree_make(&t);
	g = open_tree(&t, CGROUP_AUTO);
	assert_string_equal(cgroups_missing(g),
			    "cpu: not mounted; cpuacct: not mounted; memory: not mounted; "
			    "io: not mounted; cpuset: not mounted");
	assert_int_equal(cgroup_create(g, "web/1a", &e), 0);
	assert_int_equal(cgroup_attach(g, "web/1a", 1, &e), 0);
	assert_int_equal(cgroup_set(g, "web/1a", &all_limits, &missing, &e), 0);
	assert_int_equal(missing, CGROUP_BIT(CGROUP_CPU) | CGROUP_BIT(CGROUP_MEMORY) |
					  CGROUP_BIT(CGROUP_IO) | CGROUP_BIT(CGROUP_CPUSET));
	assert_int_equal(cgroup_read(g, "web/1a", ALL, &u, &e), -ENOENT);
	assert_int_equal(cgroup_remove(g, "web/1a", &e), 0);
	cgroups_close(g);
	tree_remove(&t);
}

static int note_path(void *ctx, const char *path)
{
	char *all = ctx;

	snprintf(all + strlen(all), 256 - strlen(all), "[%s]", path);
	return 0;
}

static void groups_come_and_go(void **state UNUSED)
{
	char all[256] = "";
	struct err e = { 0 };
	struct cgroups *g;
	struct tree t;
	int status;
	pid_t pid;
	char text[16];

	tree_make(&t);
	tree_put(&t, "/proc/self/mountinfo", "3 2 0:2 / /cg rw - cgroup2 c rw\n");
	tree_put(&t, "/cg/cgroup.controllers", "cpu\n");
	tree_put(&t, "/cg/holm/cgroup.controllers", "cpu\n");
	tree_put(&t, "/cg/holm/other", NULL);
	g = open_tree(&t, CGROUP_TOP);
	assert_int_equal(cgroup_create(g, "a/x/1", &e), 0);
	assert_int_equal(cgroup_list(g, note_path, all, &e), 0);
	assert_string_equal(all, "[a/x/1]");
	/* Twice: what one walk left must not hide anything from the next. */
	all[0] = '\0';
	assert_int_equal(cgroup_list(g, note_path, all, &e), 0);
	assert_string_equal(all, "[a/x/1]");
	assert_int_equal(cgroup_create(g, "a/2", &e), 0);
	assert_int_equal(cgroup_remove(g, "a/x/1", &e), 0);
	assert_false(tree_is_dir(&t, "/cg/holm/p-a/p-x"));
	assert_true(tree_is_dir(&t, "/cg/holm/p-a/vm-2"));
	assert_int_equal(cgroup_remove(g, "a/x/1", &e), 0);
	/* What is in a group is killed; here its file does not go by itself. */
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sleep(20);
		_exit(0);
	}
	snprintf(text, sizeof(text), "%d\n", (int)pid);
	tree_put(&t, "/cg/holm/p-a/vm-2/cgroup.procs", text);
	assert_int_equal(cgroup_remove(g, "a/2", &e), -ENOTEMPTY);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	cgroups_close(g);
	tree_remove(&t);
}

/* The second hierarchy refuses: the first one is as it was. */
static void half_made_groups_go(void **state UNUSED)
{
	struct err e = { 0 };
	struct cgroups *g;
	struct tree t;

	tree_make(&t);
	tree_put(&t, "/proc/self/mountinfo",
		 "31 20 0:27 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
		 "32 20 0:28 / /cg/memory rw - cgroup cgroup rw,memory\n");
	tree_put(&t, "/cg/cpu/holm/p-b", NULL);
	tree_put(&t, "/cg/memory/holm/p-b/vm-3", "a file");
	tree_put(&t, "/cg/memory/holm/p-c", "a file");
	g = open_tree(&t, CGROUP_TOP);
	assert_int_equal(cgroup_create(g, "b/3", &e), -ENOTDIR);
	assert_true(tree_is_dir(&t, "/cg/cpu/holm/p-b"));
	assert_false(tree_is_dir(&t, "/cg/cpu/holm/p-b/vm-3"));
	assert_int_equal(cgroup_create(g, "c/3", &e), -ENOTDIR);
	assert_false(tree_is_dir(&t, "/cg/cpu/holm/p-c"));
	assert_true(tree_is_dir(&t, "/cg/cpu/holm"));
	/* And what there was is taken. */
	assert_int_equal(cgroup_create(g, "d/4", &e), 0);
	assert_int_equal(cgroup_create(g, "d/4", &e), 0);
	assert_true(tree_is_dir(&t, "/cg/memory/holm/p-d/vm-4"));
	cgroups_close(g);
	tree_remove(&t);
}

static void bad_paths(void **state UNUSED)
{
	static const char *const bad[] = {
		"", "/", "a//b", "../x", "a/..", ".hid", "a/b c", "a\n"
	};
	struct err e = { 0 };
	struct cgroups *g;
	struct tree t;

	v2_tree(&t, "cpu\n");
	g = open_tree(&t, CGROUP_TOP);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(cgroup_create(g, bad[i], &e), -EINVAL);
		assert_int_equal(cgroup_remove(g, bad[i], &e), -EINVAL);
	}
	cgroups_close(g);
	tree_remove(&t);
}

/* A child that counts until it is ended. */
static pid_t busy_child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (volatile unsigned n = 0;; n++)
			;
	}
	return pid;
}

static void real_groups(void **state UNUSED)
{
	char name[32];
	const struct cgroup_env env = { .root = "", .name = name, .place = CGROUP_AUTO };
	struct cgroup_limits l = { .cpu_weight = 50, .cpu_limit = 200, .memory_limit = 64 << 20 };
	uint64_t until = clock_monotonic_ns() + 10 * CLOCK_NS_PER_SEC;
	struct cgroup_usage u = { 0 };
	struct err e = { 0 };
	struct cgroups *g = NULL;
	unsigned missing = 0;
	pid_t pid;
	int ret;

	snprintf(name, sizeof(name), "holmtest-%d", (int)getpid());
	assert_int_equal(cgroups_open(&g, &env, &e), 0);
	if (!cgroups_version(g, CGROUP_CPU)) {
		print_message("no groups here: %s\n", cgroups_missing(g));
		cgroups_close(g);
		skip();
	}
	if (cgroup_create(g, "p/1", &e))
		fail_msg("%s", e.msg);
	pid = busy_child();
	ret = cgroup_attach(g, "p/1", pid, &e);
	if (!ret)
		ret = cgroup_set(g, "p/1", &l, &missing, &e);
	if (ret) {
		kill(pid, SIGKILL);
		fail_msg("%s", e.msg);
	}
	/* It uses time; where it is limited, it is stopped by that. */
	do {
		usleep(50000);
		assert_int_equal(cgroup_read(g, "p/1", ALL, &u, &e), 0);
	} while ((u.cpu_ns < 100000000 || (!(missing & CGROUP_BIT(CGROUP_CPU)) &&
					   (u.have & CGROUP_BIT(CGROUP_CPU)) && !u.throttled_ns)) &&
		 clock_monotonic_ns() < until);
	assert_true(u.cpu_ns >= 100000000 || !(u.have & CGROUP_BIT(CGROUP_CPUACCT)));
	/* Its end kills the child, and takes a moment. */
	until = clock_monotonic_ns() + 10 * CLOCK_NS_PER_SEC;
	while ((ret = cgroup_remove(g, "p/1", &e)) == -EAGAIN && clock_monotonic_ns() < until) {
		waitpid(pid, NULL, WNOHANG);
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (ret)
		fail_msg("%s", e.msg);
	assert_int_equal(cgroup_read(g, "p/1", ALL, &u, &e), -ENOENT);
	cgroups_remove_base(g);
	cgroups_close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2),
		cmocka_unit_test(version_2_usage),
		cmocka_unit_test(version_2_delegated),
		cmocka_unit_test(version_2_beside),
		cmocka_unit_test(hybrid),
		cmocka_unit_test(version_1_io),
		cmocka_unit_test(nothing_mounted),
		cmocka_unit_test(groups_come_and_go),
		cmocka_unit_test(half_made_groups_go),
		cmocka_unit_test(bad_paths),
		cmocka_unit_test(real_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
