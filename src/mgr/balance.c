/* SPDX-License-Identifier: MIT */
/*
 * Acting on balloons and on KSM, see balance.h.
 */
#include "mgr/balance.h"

#include "base/log.h"
#include "mgr/run/host.h"

#include <stdlib.h>

#define EVERY_S 2

void balance_open(struct balance *b, struct mgr *m, enum ksm_mode ksm, const char *root,
		  const char *run_dir)
{
	b->mgr = m;
	b->root = root;
	ksm_open(&b->ksm, ksm, root, run_dir);
}

void balance_close(struct balance *b)
{
	free(b->list);
	b->list = NULL;
	b->cap_list = 0;
}

static bool look_at_host(struct balance *b, struct ballooning_host *h)
{
	struct host_capacity has;
	struct host_use use;
	struct err e = { 0 };
	int ret = host_capacity(b->root, &has, &e);

	if (!ret)
		ret = host_use(b->root, &use, &e);
	if (ret) {
		if (!b->blind)
			log_line(LOG_WARN, "balance", "memory is left as it is: %s", e.msg);
		b->blind = true;
		return false;
	}
	b->blind = false;
	*h = (struct ballooning_host) {
		.total = has.memory,
		.available = use.memory_available,
		.pressure_known = use.memory.there,
		.pressure = use.memory.some.avg10,
	};
	return true;
}

static bool make_room(struct balance *b)
{
	struct ballooning_vm *more;

	if (b->cap_list >= b->mgr->n_vms)
		return true;
	more = reallocarray(b->list, b->mgr->n_vms, sizeof(*more));
	if (!more)
		return false;
	b->list = more;
	b->cap_list = b->mgr->n_vms;
	return true;
}

/* Its process can be spoken to and has said how it is. */
static bool counts(const struct vm *vm)
{
	return vm->life.run.pid && vm->sample.at_ns;
}

static size_t list_all(struct balance *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->mgr->n_vms; i++) {
		const struct vm *vm = b->mgr->vms[i];

		if (counts(vm))
			b->list[n++] = (struct ballooning_vm) {
				.name = vm->name,
				.policy = vm->policy,
				.priority = vm->priority,
				.memory = vm->resources.of[RES_MEMORY],
				.size = vm->sample.ram ? vm->sample.ram : vm->config.memory,
				.asked = vm->sample.balloon_asked,
				.held = vm->sample.balloon,
				.guest_total = vm->sample.guest_total,
				.guest_used = vm->sample.guest_used,
			};
	}
	return n;
}

static void tell(struct balance *b, struct vm *vm, const struct ballooning_vm *x)
{
	struct control_request q = { .what = CONTROL_BALLOON, .target = x->keep };
	struct err e = { 0 };

	if (b->mgr->runner->ops->send(b->mgr->runner, vm->id, &q, NULL, NULL, &e)) {
		log_line(LOG_DEBUG, "balance", "VM '%s': %s", vm->name, e.msg);
		return;
	}
	log_line(LOG_DEBUG, "balance", "VM '%s' shall keep %llu MiB of %llu", vm->name,
		 (unsigned long long)(x->keep >> 20), (unsigned long long)(x->size >> 20));
	/* Until its process says so itself: else it would be told twice. */
	vm->sample.balloon_asked = x->size - x->keep;
}

static void balance_balloons(struct balance *b, const struct ballooning_host *h)
{
	struct err e = { 0 };
	size_t n, k = 0;

	b->is_short = ballooning_short(b->is_short, h);
	if (!make_room(b))
		return;
	n = list_all(b);
	if (ballooning_decide(b->list, n, h->total, b->is_short, &e)) {
		log_line(LOG_WARN, "balance", "%s", e.msg);
		return;
	}
	for (size_t i = 0; i < b->mgr->n_vms && k < n; i++) {
		struct vm *vm = b->mgr->vms[i];

		if (!counts(vm))
			continue;
		if (b->list[k].tell)
			tell(b, vm, &b->list[k]);
		k++;
	}
}

static bool any_merging(const struct mgr *m)
{
	for (size_t i = 0; i < m->n_vms; i++)
		if (m->vms[i]->life.run.pid && m->vms[i]->config.memory_merge)
			return true;
	return false;
}

void balance_now(struct balance *b)
{
	struct ballooning_host h;

	if (!b->mgr || !look_at_host(b, &h))
		return;
	balance_balloons(b, &h);
	ksm_look(&b->ksm, any_merging(b->mgr), h.available, h.total);
}

void balance_second(void *ctx)
{
	struct balance *b = ctx;

	if (b->seconds++ % EVERY_S == 0)
		balance_now(b);
	else if (!any_merging(b->mgr))
		ksm_look(&b->ksm, false, 0, 0);
}
