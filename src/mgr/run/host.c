/* SPDX-License-Identifier: MIT */
/*
 * The host's figures, see host.h.
 *
 * Sources: proc(5); Linux Documentation/admin-guide/mm/ksm.rst, mm/numaperf.rst,
 * accounting/psi.rst.
 */
#include "mgr/run/host.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KSM "/sys/kernel/mm/ksm/"

static int read_at(const char *root, const char *path, char *buf, size_t len)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return kfile_read(AT_FDCWD, full, buf, len);
}

static uint64_t read_number(const char *root, const char *path)
{
	char full[512];
	uint64_t n;

	snprintf(full, sizeof(full), "%s%s", root, path);
	return kfile_read_u64(AT_FDCWD, full, &n) ? 0 : n;
}

/* Bytes of a line "Key:   123 kB". */
static bool meminfo(const char *text, const char *key, uint64_t *out)
{
	uint64_t kib;

	if (!kfile_word(text, key, &kib))
		return false;
	*out = kib * 1024;
	return true;
}

static unsigned allowed_cpus(void)
{
	/* sched_getaffinity(2): the kernel may know more CPUs than a cpu_set_t has. */
	for (unsigned n = 1024; n <= 65536; n *= 2) {
		cpu_set_t *set = CPU_ALLOC(n);
		int ret, count;

		if (!set)
			return 1;
		ret = sched_getaffinity(0, CPU_ALLOC_SIZE(n), set) ? -errno : 0;
		count = ret ? 0 : CPU_COUNT_S(CPU_ALLOC_SIZE(n), set);
		CPU_FREE(set);
		if (!ret)
			return (unsigned)count;
		if (ret != -EINVAL)
			return 1;
	}
	return 1;
}

static void read_node(const char *root, unsigned id, struct host_node *out)
{
	char path[128], key[48], buf[4096];
	const char *line;

	*out = (struct host_node) { .id = id };
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", id);
	if (read_at(root, path, out->cpus, sizeof(out->cpus)) > 0)
		out->cpus[strcspn(out->cpus, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/meminfo", id);
	snprintf(key, sizeof(key), "Node %u MemTotal", id);
	if (read_at(root, path, buf, sizeof(buf)) > 0 && (line = strstr(buf, key)))
		meminfo(line, "MemTotal", &out->memory);
}

static int node_cmp(const void *pa, const void *pb)
{
	const struct host_node *a = pa, *b = pb;

	return a->id < b->id ? -1 : a->id > b->id;
}

static void read_nodes(const char *root, struct host_capacity *out)
{
	char path[512];
	struct dirent *x;
	DIR *d;

	snprintf(path, sizeof(path), "%s/sys/devices/system/node", root);
	d = opendir(path);
	while (d && out->n_nodes < HOST_NODES_MAX && (x = readdir(d))) {
		unsigned id;
		char rest;

		if (sscanf(x->d_name, "node%u%c", &id, &rest) == 1)
			read_node(root, id, &out->nodes[out->n_nodes++]);
	}
	if (d)
		closedir(d);
	qsort(out->nodes, out->n_nodes, sizeof(out->nodes[0]), node_cmp);
}

int host_capacity(const char *root, struct host_capacity *out, struct err *e)
{
	struct host_capacity c = { .cpus = allowed_cpus() };
	char buf[8192];

	if (read_at(root, "/proc/meminfo", buf, sizeof(buf)) < 0 ||
	    !meminfo(buf, "MemTotal", &c.memory))
		return err_set(e, -EIO, "/proc/meminfo does not say how much memory there is");
	read_nodes(root, &c);
	*out = c;
	return 0;
}

/* "cpu user nice system idle iowait irq softirq steal guest guest_nice": guest is in user. */
static void read_ticks(const char *text, struct host_use *u)
{
	unsigned long long v[8] = { 0 };
	int n = sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
		       &v[3], &v[4], &v[5], &v[6], &v[7]);

	for (int i = 0; i < n; i++)
		u->total_ticks += v[i];
	u->busy_ticks = u->total_ticks - v[3] - v[4];
	u->steal_ticks = v[7];
}

static void read_psi(const char *root, const char *what, struct psi *out)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/proc/pressure/%s", root, what);
	psi_read(AT_FDCWD, path, out);
}

int host_use(const char *root, struct host_use *out, struct err *e)
{
	struct host_use u = { 0 };
	char buf[8192];

	if (read_at(root, "/proc/meminfo", buf, sizeof(buf)) < 0 ||
	    !meminfo(buf, "MemAvailable", &u.memory_available))
		return err_set(e, -EIO, "/proc/meminfo does not say how much memory is available");
	meminfo(buf, "SwapTotal", &u.swap_total);
	meminfo(buf, "SwapFree", &u.swap_free);
	if (read_at(root, "/proc/loadavg", buf, sizeof(buf)) > 0) {
		unsigned v[6];

		if (sscanf(buf, "%u.%2u %u.%2u %u.%2u", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) ==
		    6)
			for (size_t i = 0; i < ARRAY_SIZE(u.load); i++)
				u.load[i] = v[2 * i] * 100 + v[2 * i + 1];
	}
	if (read_at(root, "/proc/stat", buf, sizeof(buf)) > 0)
		read_ticks(buf, &u);
	read_psi(root, "cpu", &u.cpu);
	read_psi(root, "memory", &u.memory);
	read_psi(root, "io", &u.io);
	*out = u;
	return 0;
}

void host_ksm(const char *root, struct host_ksm *out)
{
	char buf[16];

	*out = (struct host_ksm) { .there = read_at(root, KSM "run", buf, sizeof(buf)) > 0 };
	if (!out->there)
		return;
	out->running = buf[0] == '1';
	out->shared = read_number(root, KSM "pages_shared");
	out->sharing = read_number(root, KSM "pages_sharing");
	out->saved = out->sharing * (uint64_t)sysconf(_SC_PAGESIZE);
	out->full_scans = read_number(root, KSM "full_scans");
}

int host_ksm_set(const char *root, bool on, struct err *e)
{
	char path[512];
	int ret;

	snprintf(path, sizeof(path), "%s" KSM "run", root);
	ret = kfile_write(AT_FDCWD, path, on ? "1" : "0");
	if (ret == -ENOENT)
		return err_set(e, ret, "this kernel cannot merge equal pages: it has no KSM");
	if (ret)
		return err_set(e, ret, "cannot switch KSM %s: %s: %s", on ? "on" : "off", path,
			       strerror(-ret));
	return 0;
}
