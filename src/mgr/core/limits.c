/* SPDX-License-Identifier: MIT */
/*
 * What VMs may move a second, block I/O and network: see manager.h.
 *
 * Theory of operation: a VM's process keeps both limits by itself. It begins with them and is
 * told when they change; vm->told is what it knows. A limit is the smaller one of what the VM's
 * resources and what its configuration say.
 *
 * Where the host's network has a capacity (holmd --net-capacity), that is divided once a second
 * among the VMs that run with a network, by alloc_run() with their projects as pools, in two
 * passes. In the first one a VM asks for all there is where it moved nearly what it may, else for
 * twice what it moved in the last second, and a little, so that who is idle can begin. In the
 * second one it has that part for sure and asks for all there is, so that nothing lies idle.
 * Parts never sum up to more than the capacity, and a change is told when it is worth a message:
 * what gets less by more than a hundredth, or more by a tenth.
 *
 * Limits: the policy "fixed" bounds where network is reserved and counts as "dynamic" else.
 */
#include "mgr/core/manager.h"

#include "base/log.h"
#include "mgr/core/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of the capacity, an n-th of this part is what a VM asks for that moves nothing. */
#define IDLE_PART 4u

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return !a ? b : !b ? a : MIN(a, b);
}

uint64_t mgr_limit_io(const struct vm *vm)
{
	return smaller(vm->resources.of[RES_IO].limit, vm->config.io_limit);
}

uint64_t mgr_limit_net(const struct vm *vm)
{
	return smaller(vm->net_part,
		       smaller(vm->resources.of[RES_NET].limit, vm->config.net_limit));
}

static void on_answer(void *ctx, const json_t *reply UNUSED, const struct err *e)
{
	struct vm *vm = ctx;

	/* Not tried again until they change: one that refuses them would do so each second. */
	if (e)
		log_line(LOG_WARN, "limits", "VM '%s': its limits are not set: %s", vm->name,
			 e->msg);
}

void mgr_limits_tell(struct mgr *m, struct vm *vm)
{
	struct control_request q = { .what = CONTROL_LIMITS,
				     .io = mgr_limit_io(vm),
				     .net = mgr_limit_net(vm) };
	struct err e = { 0 };

	q.io_given = !vm->told.known || q.io != vm->told.io;
	q.net_given = !vm->told.known || q.net != vm->told.net;
	if (!vm->life.run.pid || (!q.io_given && !q.net_given))
		return;
	vm->told = (struct vm_told) { .known = true, .io = q.io, .net = q.net };
	if (m->runner->ops->send(m->runner, vm->id, &q, on_answer, vm, &e))
		on_answer(vm, NULL, &e);
}

/* --- the network's capacity --------------------------------------------------------------------
 */

static bool takes_part(const struct vm *vm)
{
	return vm->life.run.pid && vm->config.net != VM_NET_NONE;
}

/* Bytes a second, in the direction that had more, between its last two samples. */
static uint64_t moved(struct vm *vm)
{
	const struct sample *s = &vm->sample;
	struct vm_moved *was = &vm->moved;
	uint64_t bytes = MAX(s->rx_bytes, s->tx_bytes), ms;

	if (!s->at_ns || s->at_ns == was->at_ns)
		return was->rate;
	ms = s->at_ns > was->at_ns ? (s->at_ns - was->at_ns) / CLOCK_NS_PER_MS : 0;
	if (was->at_ns && ms && bytes >= was->bytes)
		was->rate = MIN(bytes - was->bytes, RES_AMOUNT_MAX) * 1000 / ms;
	was->at_ns = s->at_ns;
	was->bytes = bytes;
	return was->rate;
}

struct division {
	struct alloc_member *members;
	struct owner {
		const struct project *pool;
		struct vm *vm;
	} * owners; /* of each member: one of the two */
	size_t n;
};

static size_t find_pool(const struct division *d, const struct project *x)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->owners[i].pool == x)
			return i;
	return ALLOC_ROOT;
}

static struct alloc_member *add(struct division *d, struct owner who, const char *name,
				size_t parent, const struct res_triple *r)
{
	struct alloc_member *a = &d->members[d->n];

	*a = (struct alloc_member) {
		.name = name,
		.parent = parent,
		.pool = !who.vm,
		.policy = ALLOC_DYNAMIC,
		.reservation = r->reservation,
		.limit = r->limit,
		.shares = r->shares,
	};
	d->owners[d->n++] = who;
	return a;
}

/* The pools of a project and of those above it, the highest first. */
static size_t add_pools(struct division *d, const struct people *p, const char *id)
{
	const struct project *chain[PROJECT_DEPTH_MAX + 1];
	const struct project *x = people_project(p, id);
	size_t n = 0, at = ALLOC_ROOT;

	for (; x && n < ARRAY_SIZE(chain); x = x->parent[0] ? people_project(p, x->parent) : NULL)
		chain[n++] = x;
	while (n--) {
		size_t known = find_pool(d, chain[n]);

		if (known == ALLOC_ROOT) {
			known = d->n;
			add(d, (struct owner) { .pool = chain[n] }, chain[n]->name, at,
			    &chain[n]->resources.of[RES_NET]);
		}
		at = known;
	}
	return at;
}

static bool is_fixed(const struct vm *vm)
{
	return vm->policy == ALLOC_FIXED && vm->resources.of[RES_NET].reservation;
}

/* How much a VM can use, as far as one can see. */
static uint64_t asks(const struct mgr *m, struct vm *vm, uint64_t idle)
{
	uint64_t rate = moved(vm);

	if (vm->net_part && rate >= mgr_limit_net(vm) / 4 * 3)
		return m->net_capacity;
	return MIN(2 * rate + idle + 1, m->net_capacity);
}

static void add_vm(struct division *d, const struct mgr *m, struct vm *vm, size_t n)
{
	const struct res_triple *r = &vm->resources.of[RES_NET];
	size_t pool = add_pools(d, m->people, vm->project);
	struct alloc_member *a = add(d, (struct owner) { .vm = vm }, vm->name, pool, r);
	uint64_t ask = asks(m, vm, m->net_capacity / (IDLE_PART * n));

	a->priority = vm->priority;
	/* The same for all, so that weights are shares; what it asks for is its limit for now. */
	a->demand = m->net_capacity;
	if (is_fixed(vm))
		a->limit = a->reservation;
	else
		a->limit = MAX(smaller(r->limit, ask), a->reservation);
}

/* What each has got is certain, and each wants all. */
static void second_pass(const struct division *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct alloc_member *a = &d->members[i];
		const struct vm *vm = d->owners[i].vm;

		if (!vm || is_fixed(vm))
			continue;
		a->reservation = a->part;
		a->limit = vm->resources.of[RES_NET].limit;
	}
}

static int divide(struct mgr *m, size_t n, struct err *e)
{
	size_t room = n * (PROJECT_DEPTH_MAX + 2);
	struct division d = {
		.members = calloc(room, sizeof(*d.members)),
		.owners = calloc(room, sizeof(*d.owners)),
	};
	uint64_t missing;
	int ret = d.members && d.owners ? 0 : -ENOMEM;

	if (ret)
		err_set(e, ret, "no memory to divide the network");
	for (size_t i = 0; i < m->n_vms && !ret; i++)
		if (takes_part(m->vms[i]))
			add_vm(&d, m, m->vms[i], n);
	if (!ret)
		ret = alloc_run(d.members, d.n, m->net_capacity, 1000, &missing, e);
	if (!ret) {
		second_pass(&d);
		ret = alloc_run(d.members, d.n, m->net_capacity, 1000, &missing, e);
	}
	/* 0 would be no limit. */
	for (size_t i = 0; i < d.n && !ret; i++)
		if (d.owners[i].vm)
			d.owners[i].vm->net_part = MAX(d.members[i].part, 1u);
	free(d.members);
	free(d.owners);
	return ret;
}

/* Whether the process is to hear of it. */
static bool worth_telling(const struct vm *vm)
{
	uint64_t now = mgr_limit_net(vm), was = vm->told.net;

	return !vm->told.known || !was || now < was - was / 100 || now > was + was / 10;
}

void mgr_limits_round(struct mgr *m)
{
	struct err e = { 0 };
	size_t n = 0;

	if (!m->net_capacity)
		return;
	for (size_t i = 0; i < m->n_vms; i++)
		n += takes_part(m->vms[i]);
	if (!n)
		return;
	if (divide(m, n, &e)) {
		log_line(LOG_WARN, "limits", "%s", e.msg);
		return;
	}
	for (size_t i = 0; i < m->n_vms; i++)
		if (takes_part(m->vms[i]) && worth_telling(m->vms[i]))
			mgr_limits_tell(m, m->vms[i]);
}
