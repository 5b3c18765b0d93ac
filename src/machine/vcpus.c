/* SPDX-License-Identifier: MIT */
/*
 * The threads that run vCPUs, see vcpus.h.
 */
#include "machine/vcpus.h"

#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

int vcpus_create(struct vcpus *v, const struct cpu_engine_ops *engine, struct cpu_vm *vm,
		 unsigned n, struct err *e)
{
	*v = (struct vcpus) { .engine = engine, .pause = true };
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	for (unsigned i = 0; i < n; i++) {
		int ret = engine->vcpu_create(&v->cpu[i].cpu, vm, i, e);

		if (ret) {
			vcpus_destroy(v);
			return ret;
		}
		v->cpu[i].all = v;
		v->cpu[i].id = i;
		v->n++;
	}
	return 0;
}

/* Wait until there is leave to run; false: the thread is to end. */
static bool gate_pass(struct vcpu_thread *t)
{
	struct vcpus *v = t->all;
	bool go;

	pthread_mutex_lock(&v->lock);
	v->waiting++;
	pthread_cond_broadcast(&v->changed);
	while (!v->quit && (v->pause || t->ended))
		pthread_cond_wait(&v->changed, &v->lock);
	v->waiting--;
	go = !v->quit;
	if (go && !v->first_ns)
		v->first_ns = clock_monotonic_ns();
	pthread_mutex_unlock(&v->lock);
	return go;
}

static bool must_wait(struct vcpu_thread *t)
{
	struct vcpus *v = t->all;
	bool wait;

	pthread_mutex_lock(&v->lock);
	wait = v->pause || v->quit || t->ended;
	pthread_mutex_unlock(&v->lock);
	return wait;
}

/* seccomp: vcpu: futex rt_sigreturn rt_sigprocmask exit munmap madvise */
static void *vcpu_main(void *arg)
{
	struct vcpu_thread *t = arg;
	struct vcpus *v = t->all;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", t->id);
	pthread_setname_np(pthread_self(), name);
	if (v->thread_hook)
		v->thread_hook(v->hook_ctx);
	while (gate_pass(t)) {
		do {
			enum cpu_exit why = v->engine->vcpu_run(t->cpu);

			if (why == CPU_EXIT_KICKED)
				continue;
			pthread_mutex_lock(&v->lock);
			t->ended = true;
			pthread_mutex_unlock(&v->lock);
			v->ended(v->ended_ctx, t->id, why);
		} while (!must_wait(t));
	}
	return NULL;
}

static void wait_all(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	while (v->waiting < v->n)
		pthread_cond_wait(&v->changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

int vcpus_start(struct vcpus *v, struct err *e)
{
	for (unsigned i = 0; i < v->n; i++) {
		int ret = thread_start(&v->cpu[i].thread, vcpu_main, &v->cpu[i]);

		if (ret < 0)
			return err_set(e, ret, "cannot make the thread of vCPU %u: %s", i,
				       strerror(-ret));
		v->cpu[i].started = true;
	}
	wait_all(v);
	return 0;
}

void vcpus_ask_pause(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	v->pause = true;
	pthread_mutex_unlock(&v->lock);
	for (unsigned i = 0; i < v->n; i++)
		v->engine->vcpu_kick(v->cpu[i].cpu);
}

void vcpus_wait_paused(struct vcpus *v)
{
	wait_all(v);
}

void vcpus_resume(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	v->pause = false;
	for (unsigned i = 0; i < v->n; i++)
		v->cpu[i].ended = false;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_destroy(struct vcpus *v)
{
	if (!v->engine)
		return;
	pthread_mutex_lock(&v->lock);
	v->quit = true;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
	for (unsigned i = 0; i < v->n; i++) {
		if (!v->cpu[i].started)
			continue;
		v->engine->vcpu_kick(v->cpu[i].cpu);
		pthread_join(v->cpu[i].thread, NULL);
	}
	for (unsigned i = v->n; i-- > 0;)
		v->engine->vcpu_destroy(v->cpu[i].cpu);
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
	*v = (struct vcpus) { 0 };
}
