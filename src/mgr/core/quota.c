/* SPDX-License-Identifier: MIT */
/*
 * What projects use of their quotas, see manager.h.
 */
#include "mgr/core/manager.h"

#include <errno.h>
#include <string.h>

struct count {
	const struct mgr *m;
	const struct vm *without; /* not counted: it is about to change; by its id. Or NULL */
};

static void usage(void *ctx, const char *id, struct quota *out)
{
	const struct count *c = ctx;
	const struct project *x = people_project(c->m->people, id);

	*out = (struct quota) { 0 };
	for (size_t i = 0; x && i < c->m->n_vms; i++) {
		const struct vm *vm = c->m->vms[i];

		if (strcmp(vm->project, x->name) != 0 ||
		    (c->without && !strcmp(vm->id, c->without->id)))
			continue;
		out->vms++;
		out->cpus += vm->config.cpus;
		out->memory += vm->config.memory;
	}
	if (x && c->m->host && c->m->host->disk_used)
		out->disk = c->m->host->disk_used(c->m->host_ctx, x->name);
}

int mgr_check_quota(struct mgr *m, const struct vm *vm, struct err *e)
{
	const struct project *x = people_project(m->people, vm->project);
	struct quota add = { .vms = 1, .cpus = vm->config.cpus, .memory = vm->config.memory };
	struct count c = { m, vm };

	if (!x || !strcmp(x->id, PROJECT_ALL_ID))
		return err_set(e, -ENOENT, "there is no project '%s'", vm->project);
	return people_quota_check(m->people, x->id, &add, usage, &c, e);
}

int mgr_check_disk(struct mgr *m, const char *project, uint64_t bytes, struct err *e)
{
	const struct project *x = people_project(m->people, project);
	struct quota add = { .disk = bytes };
	struct count c = { m, NULL };

	if (!x || !strcmp(x->id, PROJECT_ALL_ID))
		return err_set(e, -ENOENT, "there is no project '%s'", project);
	return people_quota_check(m->people, x->id, &add, usage, &c, e);
}

size_t mgr_project_uses(const struct mgr *m, const char *project)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_vms; i++)
		n += !strcmp(m->vms[i]->project, project);
	return n;
}
