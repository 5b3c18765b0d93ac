/* SPDX-License-Identifier: MIT */
/*
 * Block I/O and network divided among VMs: see divide.h.
 *
 * Theory of operation: something is to be divided where projects have a limit, and of the network
 * where the host has a capacity (holmd --net-capacity). Those that take part are the VMs below
 * that run with a disk or a network. alloc_run() divides with their projects as pools, in two
 * passes. In the first one a VM asks for all that it can have where it moved nearly what it may,
 * else for twice what it moved in the last second, and a little, so that who is idle can begin. In
 * the second one it has that part for sure and asks for all there is, so that nothing lies idle.
 * Parts never sum up to more than there is.
 *
 * Limits: the policy "fixed" bounds where something is reserved and counts as "dynamic" else.
 */
#include "mgr/core/divide.h"

#include "mgr/core/alloc.h"
#include "mgr/core/manager.h"

#include <errno.h>
#include <stdlib.h>

/* Of what it could have, an n-th of this part is what a VM asks for that moves nothing. */
#define IDLE_PART 4u

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return !a ? b : !b ? a : MIN(a, b);
}

static struct vm_flow *flow_of(struct vm *vm, enum res_kind kind)
{
	return kind == RES_IO ? &vm->io_flow : &vm->net_flow;
}

uint64_t divide_part(const struct vm *vm, enum res_kind kind)
{
	return kind == RES_IO ? vm->io_flow.part : vm->net_flow.part;
}

void divide_forget(struct vm *vm)
{
	vm->io_flow = vm->net_flow = (struct vm_flow) { 0 };
}

/* What is divided above the VM; 0: nothing is. */
static uint64_t shared(const struct vm *vm, enum res_kind kind)
{
	const struct project *chain[PROJECT_DEPTH_MAX];
	size_t n = people_chain(vm->mgr->people, vm->project, chain);
	uint64_t most = kind == RES_NET ? vm->mgr->net_capacity : 0;

	for (size_t i = 0; i < n; i++)
		most = smaller(most, chain[i]->resources.of[kind].limit);
	return most;
}

uint64_t divide_ceiling(const struct vm *vm, enum res_kind kind)
{
	uint64_t own = kind == RES_IO ? vm->config.io_limit : vm->config.net_limit;

	return smaller(shared(vm, kind), smaller(vm->resources.of[kind].limit, own));
}

static bool takes_part(const struct vm *vm, enum res_kind kind)
{
	bool moves = kind == RES_IO ? vm->config.n_disks : vm->config.net != VM_NET_NONE;

	return vm->life.run.pid && moves && shared(vm, kind);
}

/* Of the last sample; of the network, in the direction that had more. */
static uint64_t bytes_of(const struct sample *s, enum res_kind kind)
{
	return kind == RES_IO ? s->read_bytes + s->write_bytes : MAX(s->rx_bytes, s->tx_bytes);
}

/* Bytes a second between its last two samples. */
static uint64_t moved(struct vm *vm, enum res_kind kind)
{
	const struct sample *s = &vm->sample;
	struct vm_flow *was = flow_of(vm, kind);
	uint64_t bytes = bytes_of(s, kind), ms;

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
	enum res_kind kind;
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
	const struct project *chain[PROJECT_DEPTH_MAX];
	size_t n = people_chain(p, id, chain), at = ALLOC_ROOT;

	while (n--) {
		size_t known = find_pool(d, chain[n]);

		if (known == ALLOC_ROOT) {
			known = d->n;
			add(d, (struct owner) { .pool = chain[n] }, chain[n]->name, at,
			    &chain[n]->resources.of[d->kind]);
		}
		at = known;
	}
	return at;
}

static bool is_fixed(const struct division *d, const struct vm *vm)
{
	return vm->policy == ALLOC_FIXED && vm->resources.of[d->kind].reservation;
}

/* How much a VM can use, as far as one can see; @n take part. */
static uint64_t asks(const struct division *d, struct vm *vm, size_t n)
{
	uint64_t rate = moved(vm, d->kind), most = shared(vm, d->kind);

	if (divide_part(vm, d->kind) &&
	    rate >= smaller(divide_part(vm, d->kind), divide_ceiling(vm, d->kind)) / 4 * 3)
		return most;
	return MIN(2 * rate + most / (IDLE_PART * n) + 1, most);
}

static void add_vm(struct division *d, const struct mgr *m, struct vm *vm, size_t n)
{
	const struct res_triple *r = &vm->resources.of[d->kind];
	size_t pool = add_pools(d, m->people, vm->project);
	struct alloc_member *a = add(d, (struct owner) { .vm = vm }, vm->name, pool, r);

	a->priority = vm->priority;
	/* What it asks for is its limit for now: its demand is the same as all others'. */
	if (is_fixed(d, vm))
		a->limit = a->reservation;
	else
		a->limit = MAX(smaller(r->limit, asks(d, vm, n)), a->reservation);
}

/* What each has got is certain, and each wants all. */
static void second_pass(const struct division *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct alloc_member *a = &d->members[i];
		const struct vm *vm = d->owners[i].vm;

		if (!vm || is_fixed(d, vm))
			continue;
		a->reservation = a->part;
		a->limit = vm->resources.of[d->kind].limit;
	}
}

/*
 * What there is for all: the host's, else the limits of the highest projects that have one; each
 * VM that takes part lies below one of them.
 */
static uint64_t capacity_of(const struct division *d, const struct mgr *m)
{
	uint64_t sum = 0;

	if (d->kind == RES_NET && m->net_capacity)
		return m->net_capacity;
	for (size_t i = 0; i < d->n; i++) {
		const struct alloc_member *a = &d->members[i];
		size_t up = a->parent;

		while (up != ALLOC_ROOT && !d->members[up].limit)
			up = d->members[up].parent;
		if (a->pool && a->limit && up == ALLOC_ROOT)
			sum = MIN(sum + a->limit, RES_AMOUNT_MAX);
	}
	return sum;
}

static int divide(struct division *d, struct mgr *m, size_t n, struct err *e)
{
	uint64_t capacity, missing;
	int ret;

	for (size_t i = 0; i < m->n_vms; i++)
		if (takes_part(m->vms[i], d->kind))
			add_vm(d, m, m->vms[i], n);
	capacity = capacity_of(d, m);
	/* So that weights are shares. */
	for (size_t i = 0; i < d->n; i++)
		if (d->owners[i].vm)
			d->members[i].demand = capacity;
	ret = alloc_run(d->members, d->n, capacity, 1000, &missing, e);
	if (!ret) {
		second_pass(d);
		ret = alloc_run(d->members, d->n, capacity, 1000, &missing, e);
	}
	/* 0 would be none. */
	for (size_t i = 0; i < d->n && !ret; i++)
		if (d->owners[i].vm)
			flow_of(d->owners[i].vm, d->kind)->part = MAX(d->members[i].part, 1u);
	return ret;
}

int divide_run(struct mgr *m, enum res_kind kind, struct err *e)
{
	struct division d = { .kind = kind };
	size_t n = 0, room;
	int ret = 0;

	for (size_t i = 0; i < m->n_vms; i++) {
		if (takes_part(m->vms[i], kind))
			n++;
		else
			flow_of(m->vms[i], kind)->part = 0;
	}
	if (!n)
		return 0;
	room = n * (PROJECT_DEPTH_MAX + 1);
	d.members = calloc(room, sizeof(*d.members));
	d.owners = calloc(room, sizeof(*d.owners));
	if (d.members && d.owners)
		ret = divide(&d, m, n, e);
	else
		ret = err_set(e, -ENOMEM, "no memory to divide %s", res_kind_name(kind));
	free(d.members);
	free(d.owners);
	return ret;
}
