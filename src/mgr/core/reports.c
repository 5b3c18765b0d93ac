/* SPDX-License-Identifier: MIT */
/*
 * What is heard of VMs' processes, and what follows: see manager.h.
 *
 * Restarts by policy wait: 1 s after the first crash, twice as long after each further one, five
 * minutes at most. A VM that has run for a minute begins at 1 s again.
 */
#include "mgr/core/manager.h"

#include "base/log.h"
#include "mgr/core/divide.h"
#include "mgr/core/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_MAX_S 300u
#define RUN_WELL_NS   (60 * CLOCK_NS_PER_SEC)

static bool is_end(enum vm_event ev)
{
	return ev == VM_IS_ENDED || ev == VM_IS_CRASHED || ev == VM_IS_FAILED;
}

/* Whether @ev is what an operation with this goal waits for: 1 yes, -1 it has failed, 0 neither. */
static int reached(const struct vm *vm, enum vm_event ev)
{
	switch (vm->goal) {
	case VM_DO_START:
	case VM_DO_RESTORE:
		return ev == VM_IS_RUNNING || ev == VM_IS_PAUSED ? 1 : is_end(ev) ? -1 : 0;
	case VM_DO_REBOOT:
		if (ev == VM_IS_RUNNING)
			return 1;
		return is_end(ev) && !vm->life.reboot_wanted ? -1 : 0;
	case VM_DO_PAUSE:
	case VM_DO_RESUME:
	case VM_DO_RESET:
		/* The process's answer ends these, see mgr_request_done(). */
		return is_end(ev) ? -1 : 0;
	case VM_DO_SUSPEND:
		return ev == VM_IS_SAVED ? 1 : is_end(ev) ? -1 : 0;
	default:
		return ev == VM_IS_ENDED || ev == VM_IS_CRASHED ? 1 : ev == VM_IS_FAILED ? -1 : 0;
	}
}

static void settle(struct mgr *m, struct vm *vm, enum vm_event ev)
{
	int r = vm->op ? reached(vm, ev) : 0;

	if (!r)
		return;
	op_end(&m->ops, vm->op, r > 0 ? OP_DONE : OP_FAILED, r > 0 ? NULL : "internal",
	       r > 0 ? NULL : vm->life.reason);
	vm->op = NULL;
}

void mgr_report(struct mgr *m, struct vm *vm, enum vm_event ev)
{
	struct vm_step step = vm_step(vm->life.state, ev);

	if (!step.allowed)
		return;
	vm->life.state = step.next;
	mgr_note(m, vm);
	if ((step.action == VM_ACT_DROP ||
	     (step.action == VM_ACT_CLEAN && step.next != VM_SUSPENDED)) &&
	    m->runner->ops->drop)
		m->runner->ops->drop(m->runner, vm->id);
	settle(m, vm, ev);
}

static void say(struct vm *vm, const char *text)
{
	record_text(vm->life.reason, sizeof(vm->life.reason), text);
}

/* Whether the policy wants it to run again after this end. */
static bool restart_wanted(const struct vm *vm, bool crashed)
{
	if (vm->life.stop_wanted || vm->burst_ms)
		return false;
	switch (vm->restart) {
	case VM_RESTART_ALWAYS:
	case VM_RESTART_UNLESS_STOPPED:
		return true;
	case VM_RESTART_ON_FAILURE:
		return crashed;
	default:
		return false;
	}
}

static void on_backoff(void *arg)
{
	struct vm *vm = arg;

	vm->life.restarts++;
	mgr_verb_self(vm->mgr, vm, VM_DO_START, "restarted by its policy");
}

static void restart_later(struct mgr *m, struct vm *vm)
{
	unsigned n = MIN(vm->life.restarts, 16u);
	uint64_t wait_s = MIN(1u << n, BACKOFF_MAX_S);

	log_line(LOG_INFO, "restart", "VM '%s' starts again in %u s: %s", vm->name,
		 (unsigned)wait_s, vm->life.reason);
	loop_timer_arm(&vm->backoff, m->clock->mono_ns(m->clock) + wait_s * CLOCK_NS_PER_SEC);
}

static void on_grace(void *arg)
{
	struct vm *vm = arg;
	struct mgr *m = vm->mgr;

	say(vm, "did not power off in time, ended by force");
	mgr_note(m, vm);
	m->runner->ops->kill(m->runner, vm->id);
}

void mgr_timers_init(struct mgr *m, struct vm *vm)
{
	loop_timer_init(&vm->grace, m->loop, on_grace, vm);
	loop_timer_init(&vm->backoff, m->loop, on_backoff, vm);
}

/* The process is gone, however that came. */
static void clean(struct mgr *m, struct vm *vm)
{
	loop_timer_disarm(&vm->grace);
	mgr_queue_leave(m, vm);
	m->runner->ops->clean(m->runner, vm->id);
	if (m->host && m->host->release)
		m->host->release(m->host_ctx, vm);
	memset(&vm->life.run, 0, sizeof(vm->life.run));
	vm->life.stop_by_ns = 0;
	vm->stands = vm->asked = false;
	vm->sample = (struct sample) { 0 };
	vm->told = (struct vm_told) { 0 };
	divide_forget(vm);
}

void mgr_start_failed(struct mgr *m, struct vm *vm, const char *why)
{
	log_line(LOG_WARN, "start", "VM '%s': %s", vm->name, why);
	clean(m, vm);
	say(vm, why);
	mgr_report(m, vm, VM_IS_FAILED);
	mgr_admit_next(m);
}

/* What the process refused leaves it as it was, and the record says so again. */
void mgr_request_failed(struct mgr *m, struct vm *vm, const char *why)
{
	enum vm_event back = vm->goal == VM_DO_PAUSE ? VM_IS_RUNNING : VM_IS_PAUSED;

	log_line(LOG_WARN, "request", "VM '%s': %s", vm->name, why);
	op_end(&m->ops, vm->op, OP_FAILED, "internal", why);
	if (vm->op && (vm->goal == VM_DO_PAUSE || vm->goal == VM_DO_RESUME)) {
		say(vm, why);
		mgr_report(m, vm, back);
	} else if (vm->life.state == VM_SUSPENDING) {
		say(vm, why);
		mgr_report(m, vm, VM_IS_FAILED);
	}
	vm->op = NULL;
}

void mgr_forward_answer(void *ctx, const json_t *reply UNUSED, const struct err *e)
{
	const struct vm *vm = ctx;

	if (e)
		log_line(LOG_WARN, "forward", "VM '%s': %s", vm->name, e->msg);
}

void mgr_request_done(struct mgr *m, struct vm *vm)
{
	if (!vm->op ||
	    (vm->goal != VM_DO_PAUSE && vm->goal != VM_DO_RESUME && vm->goal != VM_DO_RESET))
		return;
	op_end(&m->ops, vm->op, OP_DONE, NULL, NULL);
	vm->op = NULL;
}

void mgr_call_back(struct mgr *m, struct vm *vm)
{
	if (!mgr_queue_leave(m, vm)) {
		m->runner->ops->kill(m->runner, vm->id);
		return;
	}
	say(vm, "called back before it began");
	mgr_report(m, vm, VM_IS_ENDED);
	mgr_admit_next(m);
}

static void on_state(void *ctx, const char *id, bool paused)
{
	struct vm *vm = mgr_find_id(ctx, id);

	if (!vm)
		return;
	vm->stands = paused;
	mgr_report(ctx, vm, paused ? VM_IS_PAUSED : VM_IS_RUNNING);
}

/* "crashed" is an end that neither the guest nor a user wanted. */
static bool is_crash(const struct vm *vm, const struct run_end *end)
{
	static const char *const wanted[] = { "poweroff", "reset", "debug-exit", "quit" };

	if (vm->life.stop_wanted)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!strcmp(end->end, wanted[i]))
			return false;
	return true;
}

static void record_end(struct mgr *m, struct vm *vm, const struct run_end *end)
{
	struct vm_exit *x = &vm->life.exit;
	bool forced = !strncmp(vm->life.reason, "did not power off", 17);

	record_text(x->end, sizeof(x->end), end->end);
	x->code = end->code;
	x->at_ns = m->clock->wall_ns(m->clock);
	if (end->message)
		say(vm, end->message);
	else if (!forced)
		snprintf(vm->life.reason, sizeof(vm->life.reason), "its process ended: %s, code %d",
			 x->end, end->code);
}

static void ended(struct mgr *m, struct vm *vm, const struct run_end *end)
{
	bool crashed = is_crash(vm, end), again = vm->life.reboot_wanted;
	uint64_t ran = vm->life.run.started_ns;
	uint64_t now = m->clock->wall_ns(m->clock);

	if (ran && now > ran && now - ran > RUN_WELL_NS)
		vm->life.restarts = 0;
	clean(m, vm);
	record_end(m, vm, end);
	if ((vm->life.state == VM_STARTING || vm->life.state == VM_RESUMING) &&
	    !vm->life.stop_wanted) {
		mgr_report(m, vm, VM_IS_FAILED);
		if (vm->life.restarts && restart_wanted(vm, true))
			restart_later(m, vm);
	} else if (again) {
		/* The next life begins before anybody hears that this one ended. */
		mgr_report(m, vm, VM_IS_ENDED);
		vm->life.reboot_wanted = false;
		mgr_verb_self(m, vm, VM_DO_START, "rebooted");
	} else {
		mgr_report(m, vm, crashed ? VM_IS_CRASHED : VM_IS_ENDED);
		if (restart_wanted(vm, crashed))
			restart_later(m, vm);
	}
	mgr_admit_next(m);
}

static void on_saved(void *ctx, const char *id, const struct err *why_not)
{
	struct mgr *m = ctx;
	struct vm *vm = mgr_find_id(m, id);

	if (!vm)
		return;
	if (why_not) {
		mgr_request_failed(m, vm, why_not->msg);
		/* One that never stood, or goes on already. */
		if (!vm->stands)
			mgr_report(m, vm, VM_IS_RUNNING);
		return;
	}
	if (!vm_step(vm->life.state, VM_IS_SAVED).allowed) {
		struct run_end end = { .end = "killed", .code = 137 };

		ended(m, vm, &end);
		return;
	}
	say(vm, "its state is on disk");
	clean(m, vm);
	mgr_report(m, vm, VM_IS_SAVED);
	mgr_admit_next(m);
}

/* Ended in the middle of being saved, and what it left is whole: seen by another holmd. */
static bool was_saved(struct mgr *m, const struct vm *vm)
{
	return vm->life.state == VM_SUSPENDING && m->runner->ops->is_saved &&
	       m->runner->ops->is_saved(m->runner, vm->id);
}

static void on_hello(void *ctx, const char *id, const struct run_hello *h)
{
	struct mgr *m = ctx;
	struct vm *vm = mgr_find_id(m, id);
	struct vm_run *r;

	if (!vm)
		return;
	mgr_queue_adopt(m, vm, !h->paused);
	vm->stands = h->paused;
	r = &vm->life.run;
	r->pid = h->pid;
	r->started_ns = h->started_ns;
	record_text(r->engine, sizeof(r->engine), h->engine);
	record_text(r->why, sizeof(r->why), h->why);
	if (vm->life.state == VM_STOPPING) {
		/* Adopted in the middle of its end: ask again. */
		mgr_note(m, vm);
		mgr_press(m, vm);
		return;
	}
	if (vm->life.state == VM_SUSPENDING) {
		/* Adopted in the middle of that: likewise, or only its end was missing. */
		mgr_note(m, vm);
		if (was_saved(m, vm))
			m->runner->ops->kill(m->runner, vm->id);
		else
			mgr_save(m, vm);
		return;
	}
	mgr_limits_tell(m, vm);
	if (m->host && m->host->started)
		m->host->started(m->host_ctx, vm);
	/* Adopted before it was let go. */
	if (vm->life.state == VM_RESUMING && h->paused && !vm->start_paused) {
		struct control_request q = { .what = CONTROL_RESUME };

		mgr_report(m, vm, VM_IS_RUNNING);
		(void)!m->runner->ops->send(m->runner, vm->id, &q, NULL, NULL, NULL);
		return;
	}
	mgr_report(m, vm, h->paused ? VM_IS_PAUSED : VM_IS_RUNNING);
}

static void on_ended(void *ctx, const char *id, const struct run_end *end)
{
	struct vm *vm = mgr_find_id(ctx, id);

	if (vm && was_saved(ctx, vm))
		on_saved(ctx, id, NULL);
	else if (vm)
		ended(ctx, vm, end);
}

const struct runner_client mgr_runner_client = {
	.saved = on_saved,
	.hello = on_hello,
	.state = on_state,
	.ended = on_ended,
};

/* One that has, or had, a process. */
static int recover_running(struct mgr *m, struct vm *vm, struct err *e)
{
	struct run_end end = { .end = "killed", .code = 137 };
	int ret = m->runner->ops->adopt(m->runner, vm->id, &end, e);

	if (!ret) {
		/* Its end was acknowledged, and comes whether it says hello or not. */
		if (vm->life.state == VM_STOPPING)
			mgr_arm_grace(m, vm);
		return 0;
	}
	/* Not known to be dead: giving back what it has would leave it without an owner. */
	if (ret != -ESRCH) {
		err_prefix(e, "cannot tell whether VM '%s' runs", vm->name);
		return ret;
	}
	if (was_saved(m, vm)) {
		on_saved(m, vm->id, NULL);
		return 0;
	}
	if ((vm->life.state == VM_STARTING || vm->life.state == VM_RESUMING) && !vm->life.run.pid) {
		/* Asked for, acknowledged, not begun. */
		clean(m, vm);
		mgr_admit(m, vm);
		return 0;
	}
	if (m->booted && !end.message && !strcmp(end.end, "killed"))
		end.message = "the host went down while it ran";
	ended(m, vm, &end);
	return 0;
}

/* One VM after the start of holmd. */
static int recover_one(struct mgr *m, struct vm *vm, struct err *e)
{
	bool ran = vm_state_has_process(vm->life.state), start;
	int ret = 0;

	if (ran)
		ret = recover_running(m, vm, e);
	else
		m->runner->ops->clean(m->runner, vm->id);
	if (ret || vm_state_has_process(vm->life.state) || vm->life.state == VM_DELETED ||
	    vm->life.state == VM_SUSPENDED)
		return ret;
	start = m->booted && vm->autostart;
	/* One that ran just now has been looked at by ended(). */
	if (!ran && vm->life.state != VM_CREATED &&
	    (vm->restart == VM_RESTART_ALWAYS || restart_wanted(vm, vm->life.state == VM_CRASHED)))
		start = true;
	if (!start)
		return 0;
	loop_timer_disarm(&vm->backoff);
	mgr_verb_self(m, vm, VM_DO_START, "started with the host");
	return 0;
}

int mgr_recover_lives(struct mgr *m, struct err *e)
{
	int ret = 0;

	/* Starting changes no order: only names and being deleted do. */
	for (size_t i = 0; i < m->n_vms && !ret; i++)
		ret = recover_one(m, m->vms[i], e);
	return ret;
}
