/* SPDX-License-Identifier: MIT */
/*
 * Control groups: what is written to a group and read from it, see cgroup.h.
 *
 * Sources: Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/ (blkio-controller.rst,
 * memory.rst), scheduler/sched-bwc.rst.
 */
#include "base/fd.h"
#include "mgr/run/cgroup.h"
#include "mgr/run/cgroup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PERIOD_US    100000u
#define QUOTA_MIN_US 1000u /* less is refused by the kernel */

/* One cgroup_set(). */
struct setting {
	struct cgroups *g;
	char dir[2 * CGROUP_PATH_MAX];
	unsigned missing;
	struct err *e;
};

static const struct cgroup_hier *hier_of(struct setting *s, enum cgroup_ctl ctl)
{
	const struct cgroup_hier *h = s->g->by_ctl[ctl];

	if (!h)
		s->missing |= CGROUP_BIT(ctl);
	return h;
}

/* Write one file of the group; a kernel without it lacks @bit. */
static int put(struct setting *s, const struct cgroup_hier *h, const char *file,
	       enum cgroup_ctl bit, const char *text)
{
	char path[2 * CGROUP_PATH_MAX + 64];
	int ret;

	snprintf(path, sizeof(path), "%s/%s", s->dir, file);
	ret = kfile_write(h->base, path, text);
	if (ret == -ENOENT && !faccessat(h->base, s->dir, F_OK, 0)) {
		s->missing |= CGROUP_BIT(bit);
		return 0;
	}
	if (ret)
		return err_set(s->e, ret, "cannot set %s/%s to '%s': %s", h->path, path, text,
			       strerror(-ret));
	return 0;
}

static int set_cpu(struct setting *s, const struct cgroup_limits *l)
{
	unsigned before = s->missing;
	const struct cgroup_hier *h = hier_of(s, CGROUP_CPU);
	uint64_t quota = MAX(l->cpu_limit * (PERIOD_US / 1000), (uint64_t)QUOTA_MIN_US);
	char text[64];
	int ret = 0;

	if (!h) {
		if (!l->cpu_weight && !l->cpu_limit)
			s->missing = before;
		return 0;
	}
	if (l->cpu_weight && h->version == 2) {
		snprintf(text, sizeof(text), "%u", l->cpu_weight);
		ret = put(s, h, "cpu.weight", CGROUP_CPU, text);
	} else if (l->cpu_weight) {
		/* 100 is 1024; from 2 to 262144. */
		snprintf(text, sizeof(text), "%u", MAX(l->cpu_weight * 1024 / 100, 2u));
		ret = put(s, h, "cpu.shares", CGROUP_CPU, text);
	}
	if (ret)
		return ret;
	before = s->missing;
	if (h->version == 2) {
		if (l->cpu_limit)
			snprintf(text, sizeof(text), "%" PRIu64 " %u", quota, PERIOD_US);
		else
			snprintf(text, sizeof(text), "max %u", PERIOD_US);
		ret = put(s, h, "cpu.max", CGROUP_CPU, text);
	} else {
		snprintf(text, sizeof(text), "%u", PERIOD_US);
		ret = put(s, h, "cpu.cfs_period_us", CGROUP_CPU, text);
		if (l->cpu_limit)
			snprintf(text, sizeof(text), "%" PRIu64, quota);
		else
			snprintf(text, sizeof(text), "-1");
		if (!ret)
			ret = put(s, h, "cpu.cfs_quota_us", CGROUP_CPU, text);
	}
	/* Where no limit can be, none is what there is. */
	if (!l->cpu_limit)
		s->missing = before;
	return ret;
}

static int set_memory(struct setting *s, const struct cgroup_limits *l)
{
	const struct cgroup_hier *h = s->g->by_ctl[CGROUP_MEMORY];
	char text[32];
	int ret;

	if (!h) {
		if (l->memory_limit || l->memory_reserved)
			s->missing |= CGROUP_BIT(CGROUP_MEMORY);
		return 0;
	}
	if (l->memory_limit)
		snprintf(text, sizeof(text), "%" PRIu64, l->memory_limit);
	else
		snprintf(text, sizeof(text), h->version == 2 ? "max" : "-1");
	ret = put(s, h, h->version == 2 ? "memory.max" : "memory.limit_in_bytes", CGROUP_MEMORY,
		  text);
	if (ret || !l->memory_reserved)
		return ret;
	/* Version 1 has no protection; what is above its soft limit is reclaimed first. */
	snprintf(text, sizeof(text), "%" PRIu64, l->memory_reserved);
	return put(s, h, h->version == 2 ? "memory.low" : "memory.soft_limit_in_bytes",
		   CGROUP_MEMORY, text);
}

static int set_io_weight(struct setting *s, const struct cgroup_hier *h, unsigned weight)
{
	unsigned bit = CGROUP_BIT(CGROUP_IO_WEIGHT), before = s->missing & bit;
	char text[32];
	int ret;

	if (h->version == 2) {
		snprintf(text, sizeof(text), "default %u", weight);
		ret = put(s, h, "io.weight", CGROUP_IO_WEIGHT, text);
		if (ret || !(s->missing & bit))
			return ret;
	}
	/* BFQ has its own file, from 1 to 1000, also in version 2. */
	s->missing = (s->missing & ~bit) | before;
	snprintf(text, sizeof(text), "%u", MIN(weight, 1000u));
	return put(s, h, h->version == 2 ? "io.bfq.weight" : "blkio.bfq.weight", CGROUP_IO_WEIGHT,
		   text);
}

static int set_io_limit(struct setting *s, const struct cgroup_hier *h, const struct cgroup_io *io)
{
	char text[96], r[24] = "max", w[24] = "max";
	int ret;

	if (h->version == 2) {
		if (io->read_bps)
			snprintf(r, sizeof(r), "%" PRIu64, io->read_bps);
		if (io->write_bps)
			snprintf(w, sizeof(w), "%" PRIu64, io->write_bps);
		snprintf(text, sizeof(text), "%u:%u rbps=%s wbps=%s", io->major, io->minor, r, w);
		return put(s, h, "io.max", CGROUP_IO, text);
	}
	snprintf(text, sizeof(text), "%u:%u %" PRIu64, io->major, io->minor, io->read_bps);
	ret = put(s, h, "blkio.throttle.read_bps_device", CGROUP_IO, text);
	snprintf(text, sizeof(text), "%u:%u %" PRIu64, io->major, io->minor, io->write_bps);
	return ret ? ret : put(s, h, "blkio.throttle.write_bps_device", CGROUP_IO, text);
}

static int set_io(struct setting *s, const struct cgroup_limits *l)
{
	const struct cgroup_hier *h;
	int ret = 0;

	if (!l->io_weight && !l->n_io)
		return 0;
	h = hier_of(s, CGROUP_IO);
	if (!h)
		return 0;
	if (l->io_weight)
		ret = set_io_weight(s, h, l->io_weight);
	for (unsigned i = 0; !ret && i < MIN(l->n_io, (unsigned)CGROUP_IO_MAX); i++)
		ret = set_io_limit(s, h, &l->io[i]);
	return ret;
}

static int set_cpuset(struct setting *s, const struct cgroup_limits *l)
{
	const struct cgroup_hier *h;
	int ret = 0;

	if (!l->cpus && !l->mems)
		return 0;
	h = hier_of(s, CGROUP_CPUSET);
	if (!h)
		return 0;
	if (l->cpus)
		ret = put(s, h, "cpuset.cpus", CGROUP_CPUSET, l->cpus);
	if (!ret && l->mems)
		ret = put(s, h, "cpuset.mems", CGROUP_CPUSET, l->mems);
	return ret;
}

int cgroup_set(struct cgroups *g, const char *path, const struct cgroup_limits *l,
	       unsigned *missing, struct err *e)
{
	struct setting s = { .g = g, .e = e };
	int ret = cgroup_dir(s.dir, sizeof(s.dir), path, e);

	if (!ret)
		ret = set_cpu(&s, l);
	if (!ret)
		ret = set_memory(&s, l);
	if (!ret)
		ret = set_io(&s, l);
	if (!ret)
		ret = set_cpuset(&s, l);
	if (!ret && missing)
		*missing = s.missing;
	return ret;
}

/* Add up the numbers behind @key in all lines of @text: "8:0 rbytes=1 ..." or "8:0 Read 1". */
static uint64_t sum_words(const char *text, const char *key)
{
	uint64_t sum = 0, n;

	while (*text) {
		size_t len = strcspn(text, "\n");
		char line[512];

		snprintf(line, sizeof(line), "%.*s", (int)MIN(len, sizeof(line) - 1), text);
		if (kfile_word(line, key, &n))
			sum += n;
		text += len + (text[len] == '\n');
	}
	return sum;
}

static void read_cpu(int dir, unsigned version, struct cgroup_usage *u)
{
	char buf[2048];
	uint64_t n;

	if (kfile_read(dir, "cpu.stat", buf, sizeof(buf)) < 0)
		return;
	if (version == 1) {
		if (kfile_word(buf, "throttled_time", &u->throttled_ns))
			u->have |= CGROUP_BIT(CGROUP_CPU);
		return;
	}
	if (!kfile_word(buf, "usage_usec", &n))
		return;
	u->cpu_ns = n * 1000;
	u->have |= CGROUP_BIT(CGROUP_CPUACCT);
	/* Only where the controller is enabled. */
	if (kfile_word(buf, "throttled_usec", &n)) {
		u->throttled_ns = n * 1000;
		u->have |= CGROUP_BIT(CGROUP_CPU);
	}
	psi_read(dir, "cpu.pressure", &u->psi_cpu);
}

static void read_io(int dir, unsigned version, struct cgroup_usage *u)
{
	char buf[8192];

	if (version == 2) {
		if (kfile_read(dir, "io.stat", buf, sizeof(buf)) < 0)
			return;
		u->read_bytes = sum_words(buf, "rbytes");
		u->write_bytes = sum_words(buf, "wbytes");
		u->read_ops = sum_words(buf, "rios");
		u->write_ops = sum_words(buf, "wios");
		psi_read(dir, "io.pressure", &u->psi_io);
	} else {
		if (kfile_read(dir, "blkio.throttle.io_service_bytes", buf, sizeof(buf)) < 0)
			return;
		u->read_bytes = sum_words(buf, "Read");
		u->write_bytes = sum_words(buf, "Write");
		if (kfile_read(dir, "blkio.throttle.io_serviced", buf, sizeof(buf)) < 0)
			return;
		u->read_ops = sum_words(buf, "Read");
		u->write_ops = sum_words(buf, "Write");
	}
	u->have |= CGROUP_BIT(CGROUP_IO);
}

static void read_memory(int dir, unsigned version, struct cgroup_usage *u)
{
	if (!kfile_read_u64(dir, version == 2 ? "memory.current" : "memory.usage_in_bytes",
			    &u->memory))
		u->have |= CGROUP_BIT(CGROUP_MEMORY);
	if (version == 2)
		psi_read(dir, "memory.pressure", &u->psi_memory);
}

int cgroup_read(struct cgroups *g, const char *path, unsigned want, struct cgroup_usage *out,
		struct err *e)
{
	char buf[2 * CGROUP_PATH_MAX];
	struct cgroup_usage u = { 0 };
	bool found = false;
	int ret = cgroup_dir(buf, sizeof(buf), path, e);

	if (ret)
		return ret;
	for (unsigned i = 0; i < g->n_hier; i++) {
		const struct cgroup_hier *h = &g->hier[i];
		unsigned here = h->ctls & want;
		FD_AUTO dir = here ? openat(h->base, buf, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

		if (dir < 0)
			continue;
		found = true;
		if (here & CGROUP_BIT(CGROUP_CPU))
			read_cpu(dir, h->version, &u);
		if (h->version == 1 && (here & CGROUP_BIT(CGROUP_CPUACCT)) &&
		    !kfile_read_u64(dir, "cpuacct.usage", &u.cpu_ns))
			u.have |= CGROUP_BIT(CGROUP_CPUACCT);
		if (here & CGROUP_BIT(CGROUP_MEMORY))
			read_memory(dir, h->version, &u);
		if (here & CGROUP_BIT(CGROUP_IO))
			read_io(dir, h->version, &u);
	}
	if (!found)
		return err_set(e, -ENOENT, "there is no control group of %s", path);
	*out = u;
	return 0;
}
