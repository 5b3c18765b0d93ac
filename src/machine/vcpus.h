/* SPDX-License-Identifier: MIT */
/*
 * The threads that run vCPUs: made once, let go and stopped together.
 *
 * Theory of operation: a gate (mutex, condition, `pause` flag) stands before vcpu_run(). To stop,
 * set `pause` and kick every vCPU: a kick is sticky in the engine, so none is lost between the
 * gate and vcpu_run(). A vCPU whose vcpu_run() ended for good waits at the gate until the next
 * vcpus_resume(), whatever `pause` says.
 *
 * Locks: the gate's lock is innermost; nothing is called under it but kicks.
 */
#ifndef HOLM_MACHINE_VCPUS_H
#define HOLM_MACHINE_VCPUS_H

#include "base/compiler.h"
#include "base/err.h"
#include "cpu/cpu.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vcpus;

struct vcpu_thread {
	struct vcpus *all;
	unsigned id;
	struct cpu_vcpu *cpu;
	pthread_t thread;
	bool started; /* the thread exists */
	bool ended;   /* vcpu_run() ended for good; under the gate's lock */
};

struct vcpus {
	const struct cpu_engine_ops *engine;
	unsigned n;
	struct vcpu_thread cpu[CPU_VCPUS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool pause, quit;
	unsigned waiting;  /* threads at the gate */
	uint64_t first_ns; /* CLOCK_MONOTONIC before the first guest instruction, 0: none yet */
	/** A vCPU stopped for another reason than a kick. vCPU's thread, no lock held. */
	void (*ended)(void *ctx, unsigned id, enum cpu_exit why);
	/** Once on each thread, before it first waits. Optional. */
	void (*thread_hook)(void *ctx);
	void *ended_ctx, *hook_ctx;
};

/** vcpus_create() - @n vCPUs of @vm, no threads yet. */
int vcpus_create(struct vcpus *v, const struct cpu_engine_ops *engine, struct cpu_vm *vm,
		 unsigned n, struct err *e) MUST_CHECK;
/** vcpus_destroy() - end and join the threads, then destroy the vCPUs. A zeroed one is allowed. */
void vcpus_destroy(struct vcpus *v);
/** vcpus_start() - make the threads; returns when all wait at the gate. */
int vcpus_start(struct vcpus *v, struct err *e) MUST_CHECK;
/** vcpus_ask_pause() - stop them soon. Any thread, any lock but the gate's. */
void vcpus_ask_pause(struct vcpus *v);
/** vcpus_wait_paused() - until all wait at the gate. Without the machine lock. */
void vcpus_wait_paused(struct vcpus *v);
/** vcpus_resume() - let all go. */
void vcpus_resume(struct vcpus *v);

#endif
