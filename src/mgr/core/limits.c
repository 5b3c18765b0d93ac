/* SPDX-License-Identifier: MIT */
/*
 * What VMs may move a second, block I/O and network: see manager.h.
 *
 * Theory of operation: a VM's process keeps both limits by itself. It begins with them and is
 * told when they change; vm->told is what it knows. A limit is the smallest of what the VM's
 * resources, its configuration and its projects say, and its part of what is divided (divide.h).
 * That is done once a second, and a change is told when it is worth a message: what gets less by
 * more than a hundredth, or more by a tenth.
 */
#include "mgr/core/manager.h"

#include "base/log.h"
#include "mgr/core/divide.h"

static uint64_t limit_of(const struct vm *vm, enum res_kind kind)
{
	uint64_t most = divide_ceiling(vm, kind), part = divide_part(vm, kind);

	return part && (!most || part < most) ? part : most;
}

uint64_t mgr_limit_io(const struct vm *vm)
{
	return limit_of(vm, RES_IO);
}

uint64_t mgr_limit_net(const struct vm *vm)
{
	return limit_of(vm, RES_NET);
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

/* Whether the process is to hear of it. */
static bool worth_telling(uint64_t now, uint64_t was)
{
	if (!now || !was)
		return now != was;
	return now < was - was / 100 || now > was + was / 10;
}

void mgr_limits_round(struct mgr *m)
{
	static const enum res_kind kinds[] = { RES_IO, RES_NET };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (divide_run(m, kinds[i], &e))
			log_line(LOG_WARN, "limits", "%s", e.msg);
	for (size_t i = 0; i < m->n_vms; i++) {
		struct vm *vm = m->vms[i];

		if (vm->life.run.pid &&
		    (!vm->told.known || worth_telling(mgr_limit_io(vm), vm->told.io) ||
		     worth_telling(mgr_limit_net(vm), vm->told.net)))
			mgr_limits_tell(m, vm);
	}
}
