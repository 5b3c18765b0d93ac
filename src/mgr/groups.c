/* SPDX-License-Identifier: MIT */
/*
 * The control groups of VMs, see groups.h.
 */
#include "mgr/groups.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BASE_NAME     "holm"
#define SYSTEM_RUN    "/run/holm"
#define BASE_NAME_MAX 32
#define LOOK_NS	      (200 * CLOCK_NS_PER_MS)

/* What holm-vmm takes at most beside the guest's memory; the soft engine's code is most of it. */
#define VMM_ROOM      (128ull << 20)
#define VMM_VCPU_ROOM (96ull << 20)

/* "web/team/ID": the project, those above it before it, and the VM. */
static int path_of(const struct groups *g, const struct vm *vm, char buf[CGROUP_PATH_MAX])
{
	const struct project *chain[PROJECT_DEPTH_MAX];
	size_t n = people_chain(g->mgr->people, vm->project, chain), at = 0;

	buf[0] = '\0';
	while (n--) {
		int len = snprintf(buf + at, CGROUP_PATH_MAX - at, "%s/", chain[n]->id);

		at += (size_t)len;
		if (at >= CGROUP_PATH_MAX)
			return -ENAMETOOLONG;
	}
	at += (size_t)snprintf(buf + at, CGROUP_PATH_MAX - at, "%s", vm->id);
	return at < CGROUP_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static uint64_t raw_weight(const struct vm *vm)
{
	const struct res_triple *cpu = &vm->resources.of[RES_CPU];

	return MAX((uint64_t)cpu->shares * alloc_factor(vm->priority) / 1000 * vm->config.cpus, 1u);
}

/* What keeps the reservation when every VM that runs wants all it can get. */
static unsigned weight_of(const struct groups *g, const struct vm *vm)
{
	uint64_t all = 0, own = raw_weight(vm), cpu = g->mgr->sched.capacity.cpu;
	uint64_t reserved = vm->resources.of[RES_CPU].reservation;

	for (size_t i = 0; i < g->mgr->n_vms; i++)
		if (g->mgr->vms[i]->life.run.pid)
			all += raw_weight(g->mgr->vms[i]);
	if (reserved && cpu > reserved && all > own)
		own = MAX(own, reserved * (all - own) / (cpu - reserved) + 1);
	return (unsigned)MIN(own, 10000u);
}

static unsigned io_weight(const struct vm *vm)
{
	uint64_t w = (uint64_t)vm->resources.of[RES_IO].shares * alloc_factor(vm->priority) / 1000;

	return (unsigned)MIN(MAX(w, 1u), 10000u);
}

static void complain_missing(struct groups *g, unsigned missing)
{
	for (unsigned c = 0; c < CGROUP_CTL_COUNT; c++)
		if (missing & ~g->missing & CGROUP_BIT(c))
			log_line(LOG_WARN, "groups",
				 "the host has no control group '%s' for us: what was asked of it "
				 "does not hold (%s)",
				 cgroup_ctl_name((enum cgroup_ctl)c), cgroups_missing(g->cg));
	g->missing |= missing;
}

static void on_sweep(void *arg)
{
	groups_sweep(arg);
}

/* "holm" is the host's manager's; of another, behind it a hash (FNV-1a) of its own place. */
static void base_name(char buf[BASE_NAME_MAX], const char *run_dir)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (const char *p = run_dir; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
	if (strcmp(run_dir, SYSTEM_RUN) != 0)
		snprintf(buf, BASE_NAME_MAX, BASE_NAME "-%016" PRIx64, hash);
	else
		snprintf(buf, BASE_NAME_MAX, BASE_NAME);
}

void groups_open(struct groups *g, const char *run_dir)
{
	char name[BASE_NAME_MAX];
	const struct cgroup_env env = {
		.root = "",
		.name = name,
		.beside = g->beside,
		.place = CGROUP_AUTO,
	};
	struct err e = { 0 };

	base_name(name, run_dir);
	loop_timer_init(&g->sweep, g->mgr->loop, on_sweep, g);
	if (cgroups_open(&g->cg, &env, &e)) {
		g->cg = NULL;
		log_line(LOG_WARN, "groups", "no control groups: %s", e.msg);
		return;
	}
	if (cgroups_where(g->cg, CGROUP_CPU)[0])
		log_line(LOG_INFO, "groups", "those of VMs are below %s",
			 cgroups_where(g->cg, CGROUP_CPU));
	if (cgroups_missing(g->cg)[0])
		log_line(LOG_INFO, "groups", "not there: %s", cgroups_missing(g->cg));
}

void groups_close(struct groups *g)
{
	if (!g->mgr)
		return;
	loop_timer_disarm(&g->sweep);
	if (g->cg)
		cgroups_remove_base(g->cg);
	cgroups_close(g->cg);
	g->cg = NULL;
}

int groups_make(struct groups *g, const struct vm *vm, struct err *e)
{
	char path[CGROUP_PATH_MAX];
	int ret;

	if (!g->cg)
		return 0;
	ret = path_of(g, vm, path);
	if (ret)
		return err_set(e, ret, "project '%s' lies too deep", vm->project);
	ret = cgroup_create(g->cg, path, e);
	/* Without rights to make one it runs without. */
	if (ret == -EACCES || ret == -EPERM || ret == -EROFS) {
		log_line(LOG_WARN, "groups", "VM '%s': %s", vm->name, e ? e->msg : "");
		return 0;
	}
	return ret;
}

void groups_set(struct groups *g, const struct vm *vm)
{
	const struct res_triple *cpu = &vm->resources.of[RES_CPU];
	const struct res_triple *mem = &vm->resources.of[RES_MEMORY];
	struct cgroup_limits l = { .cpu_limit = cpu->limit, .memory_reserved = mem->reservation };
	char path[CGROUP_PATH_MAX];
	unsigned missing = 0;
	struct err e = { 0 };

	if (!g->cg || path_of(g, vm, path))
		return;
	if (mem->limit)
		l.memory_limit = mem->limit + VMM_ROOM + vm->config.cpus * VMM_VCPU_ROOM;
	l.cpu_weight = weight_of(g, vm);
	if (vm->policy == ALLOC_FIXED && !l.cpu_limit)
		l.cpu_limit = vm->config.cpus * 1000ull + 100;
	if (vm->resources.of[RES_IO].shares != RES_SHARES_DEFAULT || vm->priority)
		l.io_weight = io_weight(vm);
	l.cpus = vm->pin_cpus[0] ? vm->pin_cpus : NULL;
	l.mems = vm->pin_nodes[0] ? vm->pin_nodes : NULL;
	if (cgroup_set(g->cg, path, &l, &missing, &e) && e.code != -ENOENT)
		log_line(LOG_WARN, "groups", "VM '%s': %s", vm->name, e.msg);
	complain_missing(g, missing);
}

void groups_set_reserved(struct groups *g)
{
	for (size_t i = 0; i < g->mgr->n_vms; i++) {
		const struct vm *vm = g->mgr->vms[i];

		if (vm->life.run.pid && vm->resources.of[RES_CPU].reservation)
			groups_set(g, vm);
	}
}

void groups_join(struct groups *g, const struct vm *vm, pid_t pid)
{
	char path[CGROUP_PATH_MAX];
	struct err e = { 0 };

	if (!g->cg || path_of(g, vm, path))
		return;
	groups_set(g, vm);
	if (cgroup_attach(g->cg, path, pid, &e) && e.code != -ESRCH)
		log_line(LOG_WARN, "groups", "VM '%s': %s", vm->name, e.msg);
}

static void remove_path(struct groups *g, const char *path)
{
	const struct clock *c = g->mgr->clock;
	struct err e = { 0 };
	int ret = cgroup_remove(g->cg, path, &e);

	if (ret == -EAGAIN || ret == -EBUSY) {
		if (g->n_leaving < GROUPS_LEAVING)
			snprintf(g->leaving[g->n_leaving++], CGROUP_PATH_MAX, "%s", path);
		loop_timer_arm(&g->sweep, c->mono_ns(c) + LOOK_NS);
	} else if (ret && ret != -ENOENT) {
		log_line(LOG_WARN, "groups", "%s", e.msg);
	}
}

void groups_leave(struct groups *g, const struct vm *vm)
{
	char path[CGROUP_PATH_MAX];

	if (g->cg && !path_of(g, vm, path))
		remove_path(g, path);
}

bool groups_throttled(struct groups *g, const struct vm *vm, uint64_t *ns)
{
	char path[CGROUP_PATH_MAX];
	struct cgroup_usage use;

	if (!g->cg || path_of(g, vm, path) ||
	    cgroup_read(g->cg, path, CGROUP_BIT(CGROUP_CPU), &use, NULL) ||
	    !(use.have & CGROUP_BIT(CGROUP_CPU)))
		return false;
	*ns = use.throttled_ns;
	return true;
}

static int look_at(void *ctx, const char *path)
{
	struct groups *g = ctx;
	const char *id = strrchr(path, '/');
	const struct vm *vm = id ? mgr_find_id(g->mgr, id + 1) : NULL;

	if (vm && vm_state_has_process(vm->life.state))
		return 0;
	if (g->n_leaving < GROUPS_LEAVING)
		snprintf(g->leaving[g->n_leaving++], CGROUP_PATH_MAX, "%s", path);
	return 0;
}

void groups_sweep(struct groups *g)
{
	unsigned n;

	if (!g->cg)
		return;
	/* What the walk finds twice, once a hierarchy, is removed once and then not there. */
	if (!g->n_leaving)
		(void)!cgroup_list(g->cg, look_at, g, NULL);
	n = g->n_leaving;
	g->n_leaving = 0;
	for (unsigned i = 0; i < n; i++) {
		char path[CGROUP_PATH_MAX];

		memcpy(path, g->leaving[i], sizeof(path));
		remove_path(g, path);
	}
}
