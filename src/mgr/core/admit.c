/* SPDX-License-Identifier: MIT */
/*
 * Admission: which VM that wants to start may, and which batch VM runs when; see manager.h.
 *
 * Theory of operation: a VM that wants to start goes into the scheduler's queue (sched.h) with
 * its size: all of its memory, and of the CPUs what it has reserved, or all it has where it is a
 * batch job. Whenever something has changed, the scheduler says who starts, stands still or goes
 * on; its orders are noted while it decides and acted upon when it has returned. One that fits at
 * once never waits; one that can never fit is refused at once.
 */
#include "mgr/core/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t now_ms(const struct mgr *m)
{
	return m->clock->mono_ns(m->clock) / CLOCK_NS_PER_MS;
}

static void fill(struct vm *vm)
{
	struct sched_job *j = &vm->job;
	bool batch = vm->burst_ms;
	uint64_t burst_ms = MIN(vm->burst_ms, SCHED_BURST_MAX_MS);

	*j = (struct sched_job) {
		.burst_ms = burst_ms,
		.priority = vm->priority,
		.shares = vm->resources.of[RES_CPU].shares,
		.sliceable = batch,
		.size = { .cpu = batch ? vm->config.cpus * 1000ull
				       : vm->resources.of[RES_CPU].reservation,
			  .memory = vm->config.memory },
	};
}

static void note_order(void *ctx, struct sched_job *j, enum sched_order o)
{
	struct mgr *m = ctx;
	struct vm *vm = CONTAINER_OF(j, struct vm, job);

	vm->order = o;
	m->ordered = true;
}

static void obey(struct mgr *m, struct vm *vm)
{
	enum sched_order o = vm->order;

	vm->order = SCHED_DO_NOTHING;
	if (o == SCHED_DO_START) {
		if (vm->life.state == VM_STARTING || vm->life.state == VM_RESUMING)
			mgr_launch(m, vm);
	} else if (o == SCHED_DO_PAUSE) {
		mgr_verb_self(m, vm, VM_DO_PAUSE, "its time slice is over, others run");
	} else if (o == SCHED_DO_RESUME) {
		mgr_verb_self(m, vm, VM_DO_RESUME, "its time slice has begun");
	}
}

static void on_slice(void *arg)
{
	mgr_admit_next(arg);
}

void mgr_admit_init(struct mgr *m, const struct sched_size *capacity)
{
	sched_init(&m->sched, SCHED_FAIR, *capacity);
	m->sched.quantum_ms = SCHED_QUANTUM_MS;
	m->sched.ageing_ms = SCHED_AGEING_MS;
	loop_timer_init(&m->slice, m->loop, on_slice, m);
}

void mgr_admit_next(struct mgr *m)
{
	uint64_t next;

	/* What is done for an order may free room again. */
	if (m->picking) {
		m->pick_again = true;
		return;
	}
	m->picking = true;
	do {
		m->pick_again = m->ordered = false;
		sched_pick(&m->sched, now_ms(m), note_order, m);
		for (size_t i = 0; m->ordered && i < m->n_vms; i++)
			obey(m, m->vms[i]);
	} while (m->pick_again);
	m->picking = false;
	next = sched_next_ms(&m->sched);
	if (next == SCHED_NEVER)
		loop_timer_disarm(&m->slice);
	else
		loop_timer_arm(&m->slice, next * CLOCK_NS_PER_MS);
}

void mgr_admit(struct mgr *m, struct vm *vm)
{
	struct err e = { 0 };

	fill(vm);
	if (sched_add(&m->sched, &vm->job, now_ms(m), &e)) {
		mgr_start_failed(m, vm, e.msg);
		return;
	}
	mgr_admit_next(m);
	if (vm->job.state == SCHED_WAITING) {
		snprintf(vm->life.reason, sizeof(vm->life.reason),
			 "waits for admission, %zu before it",
			 sched_position(&m->sched, &vm->job, now_ms(m)));
		mgr_note(m, vm);
	}
}

bool mgr_queue_leave(struct mgr *m, struct vm *vm)
{
	bool waited = vm->job.state == SCHED_WAITING;

	if (vm->job.state != SCHED_OUT)
		sched_remove(&m->sched, &vm->job, now_ms(m));
	return waited;
}

void mgr_queue_adopt(struct mgr *m, struct vm *vm, bool running)
{
	if (vm->job.state != SCHED_OUT)
		return;
	fill(vm);
	sched_adopt(&m->sched, &vm->job, now_ms(m), running);
}
