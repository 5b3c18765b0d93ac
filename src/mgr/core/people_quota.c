/* SPDX-License-Identifier: MIT */
/*
 * Quotas up the tree of projects, see people.h.
 *
 * Theory of operation: what a project's quota bounds is what it and all below it use. The projects
 * from the one that grows up to the top are the levels; the use of every project is asked for once
 * and added to each level that it lies under.
 */
#include "mgr/core/people_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct level {
	const struct project *x;
	struct quota used;
};

static uint64_t sum(uint64_t a, uint64_t b)
{
	uint64_t s;

	return __builtin_add_overflow(a, b, &s) ? UINT64_MAX : s;
}

static int check_one(const struct project *x, const char *what, uint64_t quota, uint64_t used,
		     uint64_t add, struct err *e)
{
	if (!quota || !add || sum(used, add) <= quota)
		return 0;
	return err_set(e, -EDQUOT,
		       "the quota of project '%.64s' for %s is %" PRIu64 ": %" PRIu64
		       " in use, %" PRIu64 " more asked for",
		       x->name, what, quota, used, add);
}

static int check_level(const struct level *l, const struct quota *add, struct err *e)
{
	const struct quota *q = &l->x->quota;
	int ret = check_one(l->x, "VMs", q->vms, l->used.vms, add->vms, e);

	if (!ret)
		ret = check_one(l->x, "CPUs", q->cpus, l->used.cpus, add->cpus, e);
	if (!ret)
		ret = check_one(l->x, "bytes of memory", q->memory, l->used.memory, add->memory, e);
	if (!ret)
		ret = check_one(l->x, "bytes of disk", q->disk, l->used.disk, add->disk, e);
	return ret;
}

int people_quota_check(const struct people *p, const char *project, const struct quota *add,
		       people_usage_fn usage, void *ctx, struct err *e)
{
	struct level levels[PROJECT_DEPTH_MAX];
	bool bounded = false;
	unsigned n = 0;
	size_t at;
	int ret = 0;

	while (n < PROJECT_DEPTH_MAX && people_find_project(p, project, &at)) {
		const struct project *x = p->projects[at];

		levels[n++] = (struct level) { .x = x };
		bounded |= x->quota.vms || x->quota.cpus || x->quota.memory || x->quota.disk;
		project = x->parent;
	}
	if (!bounded)
		return 0;
	for (size_t i = 0; i < p->n_projects; i++) {
		struct quota used = { 0 };

		if (!people_below(p, p->projects[i]->id, levels[n - 1].x->id))
			continue;
		usage(ctx, p->projects[i]->id, &used);
		for (unsigned l = 0; l < n; l++) {
			struct quota *to = &levels[l].used;

			if (!people_below(p, p->projects[i]->id, levels[l].x->id))
				continue;
			to->vms = sum(to->vms, used.vms);
			to->cpus = sum(to->cpus, used.cpus);
			to->memory = sum(to->memory, used.memory);
			to->disk = sum(to->disk, used.disk);
		}
	}
	for (unsigned l = 0; !ret && l < n; l++)
		ret = check_level(&levels[l], add, e);
	return ret;
}
