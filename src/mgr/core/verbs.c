/* SPDX-License-Identifier: MIT */
/*
 * What users ask of a VM, see manager.h.
 *
 * Theory of operation: mgr_verb() looks the verb up in the table of life.h, writes the record as
 * it is to be, and only then lets the action's function act. An action that fails leaves a
 * record that says what happened; one whose success is heard of later ends its operation when
 * the report comes (reports.c).
 */
#include "mgr/core/manager.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct mgr_actor holmd = { .user = "holmd", .from = "" };

/* Asks the process; where there is no answer to be had, the operation fails. */
static void on_reply(void *ctx, const json_t *reply UNUSED, const struct err *e)
{
	struct vm *vm = ctx;

	/* Answers come in the order of questions: this one is to an earlier verb. */
	if (--vm->unanswered)
		return;
	/* A verb before a suspend; how that ends its own answers tell. */
	if (vm->life.state == VM_SUSPENDING)
		return;
	if (e)
		mgr_request_failed(vm->mgr, vm, e->msg);
	else
		mgr_request_done(vm->mgr, vm);
}

static void ask(struct mgr *m, struct vm *vm, enum control_do what)
{
	struct control_request q = { .what = what };
	struct err e = { 0 };

	if (m->runner->ops->send(m->runner, vm->id, &q, on_reply, vm, &e))
		mgr_request_failed(m, vm, e.msg);
	else
		vm->unanswered++;
}

void mgr_save(struct mgr *m, struct vm *vm)
{
	struct err e = { 0 };

	if (m->runner->ops->save(m->runner, vm->id, &e))
		mgr_request_failed(m, vm, e.msg);
}

static int set_limit(struct vm_config *c, const char *field, uint64_t per_sec, struct err *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)per_sec);
	return vm_config_set(c, field, text, e);
}

static int set_limits(struct vm_config *c, struct vm *vm, struct err *e)
{
	struct vm_told t = { .known = true, .io = mgr_limit_io(vm), .net = mgr_limit_net(vm) };
	int ret = set_limit(c, "io_limit", t.io, e);

	if (!ret)
		ret = set_limit(c, "net_limit", t.net, e);
	if (!ret)
		vm->told = t;
	return ret;
}

void mgr_launch(struct mgr *m, struct vm *vm)
{
	struct vm_config c;
	struct run_spec spec = { .id = vm->id,
				 .name = vm->name,
				 .project = vm->project,
				 .config = &c,
				 .tap_fd = -1,
				 .paused = vm->start_paused };
	struct err e = { 0 };
	int ret = vm_config_init(&c, &e);

	if (ret) {
		mgr_start_failed(m, vm, e.msg);
		return;
	}
	ret = mgr_check_disks_free(m, vm, &e);
	if (!ret)
		ret = vm_config_copy(&c, &vm->config, &e);
	if (!ret)
		ret = vm_config_set(&c, "name", vm->name, &e);
	if (!ret)
		ret = set_limits(&c, vm, &e);
	if (!ret && m->host && m->host->prepare)
		ret = m->host->prepare(m->host_ctx, vm, &c, &spec.tap_fd, &e);
	if (!ret && vm->life.state == VM_RESUMING)
		ret = m->runner->ops->load(m->runner, &spec, &e);
	else if (!ret)
		ret = m->runner->ops->spawn(m->runner, &spec, &e);
	if (spec.tap_fd >= 0)
		fd_close(&spec.tap_fd);
	vm_config_free(&c);
	if (ret)
		mgr_start_failed(m, vm, e.msg);
}

void mgr_arm_grace(struct mgr *m, struct vm *vm)
{
	uint64_t now = m->clock->wall_ns(m->clock), by = vm->life.stop_by_ns;

	loop_timer_arm(&vm->grace, m->clock->mono_ns(m->clock) + (by > now ? by - now : 0));
}

void mgr_press(struct mgr *m, struct vm *vm)
{
	struct control_request resume = { .what = CONTROL_RESUME };

	mgr_arm_grace(m, vm);
	/* A guest that stands still cannot power off. */
	if (vm->stands)
		(void)!m->runner->ops->send(m->runner, vm->id, &resume, NULL, NULL, NULL);
	ask(m, vm, CONTROL_SHUTDOWN);
}

static void act(struct mgr *m, struct vm *vm, enum vm_action action)
{
	switch (action) {
	case VM_ACT_SPAWN:
	case VM_ACT_LOAD:
		mgr_admit(m, vm);
		break;
	case VM_ACT_CANCEL:
		mgr_call_back(m, vm);
		break;
	case VM_ACT_PAUSE:
		ask(m, vm, CONTROL_PAUSE);
		break;
	case VM_ACT_RESUME:
		ask(m, vm, CONTROL_RESUME);
		break;
	case VM_ACT_SAVE:
		mgr_save(m, vm);
		break;
	case VM_ACT_SHUTDOWN:
	case VM_ACT_REBOOT:
		mgr_press(m, vm);
		break;
	case VM_ACT_RESET:
		ask(m, vm, CONTROL_RESET);
		break;
	case VM_ACT_DROP:
		if (m->runner->ops->drop)
			m->runner->ops->drop(m->runner, vm->id);
		break;
	case VM_ACT_KILL:
		loop_timer_disarm(&vm->grace);
		m->runner->ops->kill(m->runner, vm->id);
		break;
	default:
		break;
	}
}

/* Flags that outlive the verb, because the process's end comes later. */
static void intend(struct mgr *m, struct vm *vm, enum vm_event verb,
		   const struct mgr_verb_args *args)
{
	unsigned grace_ms = args && args->grace_ms ? args->grace_ms : MGR_GRACE_MS;
	struct vm_life *l = &vm->life;

	if (verb == VM_DO_SHUTDOWN || verb == VM_DO_REBOOT)
		l->stop_by_ns = m->clock->wall_ns(m->clock) + grace_ms * CLOCK_NS_PER_MS;

	switch (verb) {
	case VM_DO_START:
	case VM_DO_RESTORE:
		l->stop_wanted = l->reboot_wanted = false;
		l->restarts = 0;
		vm->start_paused = args && args->paused;
		break;
	case VM_DO_SHUTDOWN:
	case VM_DO_KILL:
		l->stop_wanted = true;
		l->reboot_wanted = false;
		break;
	case VM_DO_REBOOT:
		l->reboot_wanted = true;
		break;
	default:
		break;
	}
}

static bool needs_time(enum vm_action a)
{
	return a != VM_ACT_NONE && a != VM_ACT_RECORD && a != VM_ACT_PURGE && a != VM_ACT_DROP;
}

static int purge(struct mgr *m, struct vm *vm, const struct audit_entry *a, struct err *e)
{
	struct store_change c = { .kind = "vm", .id = vm->id };
	int ret;

	/* Files first: a record without files is asked for again, files without one are lost. */
	m->runner->ops->purge(m->runner, vm->id);
	ret = m->store->ops->apply(m->store, &c, 1, a, e);
	if (ret)
		return ret;
	event_tell(&m->events, "vm.purged", vm->id, a->on, vm->project, NULL);
	if (m->host && m->host->purged)
		m->host->purged(m->host_ctx, vm);
	mgr_drop(m, vm);
	return 0;
}

static int check_verb(struct mgr *m, const struct vm *vm, enum vm_event verb, struct err *e)
{
	const struct vm *other;

	if (verb == VM_DO_SUSPEND && !m->runner->ops->save)
		return err_set(e, -EOPNOTSUPP, "this Holm cannot save a running VM's state yet");
	if (verb != VM_DO_UNDELETE)
		return 0;
	other = mgr_find(m, vm->name);
	if (other != vm && other->life.state != VM_DELETED)
		return err_set(e, -EEXIST,
			       "another VM is named '%s' now: rename that one, then undelete",
			       vm->name);
	return 0;
}

static void begin_op(struct mgr *m, struct vm *vm, enum vm_event verb, const char *target)
{
	op_end(&m->ops, vm->op, OP_CANCELLED, "conflict", "another verb took its place");
	vm->op = op_begin(&m->ops, vm_event_name(verb), vm->id, target, vm->project);
	vm->goal = verb;
}

int mgr_verb(struct mgr *m, const struct mgr_actor *by, struct vm *vm, enum vm_event verb,
	     const struct mgr_verb_args *args, struct mgr_op **op, struct err *e)
{
	struct vm_step step = vm_step(vm->life.state, verb);
	struct vm_life before = vm->life;
	char target[TARGET_MAX], what[32];
	struct audit_entry a;
	int ret;

	*op = NULL;
	if (!step.allowed)
		return vm_step_refused(vm->name, vm->life.state, verb, e);
	ret = check_verb(m, vm, verb, e);
	if (ret)
		return ret;
	target_write(target, "vm", vm->name);
	snprintf(what, sizeof(what), "vm.%s", vm_event_name(verb));
	a = mgr_entry(m, by, what, target);
	if (step.action == VM_ACT_PURGE)
		return purge(m, vm, &a, e);
	vm->life.state = step.next;
	snprintf(vm->life.reason, sizeof(vm->life.reason), "%s by %s", vm_event_name(verb),
		 by->user);
	intend(m, vm, verb, args);
	ret = mgr_write(m, vm, &a, e);
	if (ret) {
		vm->life = before;
		return ret;
	}
	loop_timer_disarm(&vm->backoff);
	if (before.state == VM_DELETED || step.next == VM_DELETED)
		mgr_reorder(m, vm);
	if (needs_time(step.action)) {
		begin_op(m, vm, verb, target);
		*op = vm->op;
	}
	mgr_tell(m, vm);
	act(m, vm, step.action);
	return 0;
}

int mgr_cancel(struct mgr *m, const struct mgr_actor *by, struct mgr_op *op, struct err *e)
{
	struct vm *vm = op->vm[0] ? mgr_find_id(m, op->vm) : NULL;
	struct mgr_op *stop;

	if (op->state != OP_RUNNING)
		return err_set(e, -EBUSY, "operation %s has ended already", op->id);
	if (op->cancel) {
		mgr_audit(m, by, "operation.cancel", op->target, "ok");
		op->cancel(op->ctx);
		return 0;
	}
	if (!vm || vm->op != op || vm->life.state != VM_STARTING)
		return err_set(e, -EBUSY, "a %s cannot be called back: only a start can", op->verb);
	return mgr_verb(m, by, vm, VM_DO_KILL, NULL, &stop, e);
}

int mgr_verb_self(struct mgr *m, struct vm *vm, enum vm_event verb, const char *reason)
{
	struct vm_step step = vm_step(vm->life.state, verb);
	char target[TARGET_MAX], what[32];

	if (!step.allowed)
		return -EBUSY;
	vm->life.state = step.next;
	snprintf(vm->life.reason, sizeof(vm->life.reason), "%s", reason);
	mgr_note(m, vm);
	target_write(target, "vm", vm->name);
	snprintf(what, sizeof(what), "vm.%s", vm_event_name(verb));
	mgr_audit(m, &holmd, what, target, "ok");
	act(m, vm, step.action);
	return 0;
}
