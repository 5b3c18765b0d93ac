/* SPDX-License-Identifier: MIT */
/*
 * The vCPU threads' gate, with an engine whose guest spins until it is kicked.
 */
#include "machine/vcpus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define VCPUS 4

struct fake {
	atomic_bool kicked, running;
	atomic_int rounds;
	enum cpu_exit next; /* what vcpu_run gives at once, CPU_EXIT_KICKED: spin */
};

static int fake_create(struct cpu_vcpu **out, struct cpu_vm *vm, unsigned id, struct err *e)
{
	/* The VM is the array of fakes; one id can be made to fail. */
	struct fake *all = (void *)vm;

	if (all[id].next == CPU_EXIT_ERROR)
		return err_set(e, -ENOMEM, "no vCPU %u", id);
	atomic_store(&all[id].rounds, 1);
	*out = (void *)&all[id];
	return 0;
}

static void fake_destroy(struct cpu_vcpu *v)
{
	struct fake *f = (void *)v;

	assert_false(atomic_load(&f->running));
	atomic_store(&f->rounds, -1);
}

static enum cpu_exit fake_run(struct cpu_vcpu *v)
{
	struct fake *f = (void *)v;

	atomic_fetch_add(&f->rounds, 1);
	if (f->next != CPU_EXIT_KICKED)
		return f->next;
	atomic_store(&f->running, true);
	while (!atomic_load(&f->kicked))
		usleep(100);
	atomic_store(&f->running, false);
	atomic_store(&f->kicked, false);
	return CPU_EXIT_KICKED;
}

static void fake_kick(struct cpu_vcpu *v)
{
	atomic_store(&((struct fake *)(void *)v)->kicked, true);
}

static const struct cpu_engine_ops fake_engine = {
	.name = "fake",
	.vcpu_create = fake_create,
	.vcpu_destroy = fake_destroy,
	.vcpu_run = fake_run,
	.vcpu_kick = fake_kick,
};

struct seen {
	atomic_int hooks, ended;
	atomic_uint id;
};

static void hook(void *ctx)
{
	atomic_fetch_add(&((struct seen *)ctx)->hooks, 1);
}

static void ended(void *ctx, unsigned id, enum cpu_exit why)
{
	struct seen *s = ctx;

	assert_int_equal(why, CPU_EXIT_SHUTDOWN);
	atomic_store(&s->id, id);
	atomic_fetch_add(&s->ended, 1);
}

static void test_pause_resume(void **state)
{
	struct fake fakes[VCPUS] = { 0 };
	struct seen seen = { 0 };
	struct vcpus v;

	assert_int_equal(vcpus_create(&v, &fake_engine, (void *)fakes, VCPUS, NULL), 0);
	v.ended = ended;
	v.thread_hook = hook;
	v.ended_ctx = v.hook_ctx = &seen;
	assert_int_equal(vcpus_start(&v, NULL), 0);
	assert_int_equal(seen.hooks, VCPUS);
	assert_int_equal(v.first_ns, 0);
	for (int round = 0; round < 200; round++) {
		vcpus_resume(&v);
		if (round % 3 == 0)
			usleep(200);
		vcpus_ask_pause(&v);
		vcpus_wait_paused(&v);
		for (unsigned i = 0; i < VCPUS; i++)
			assert_false(atomic_load(&fakes[i].running));
	}
	assert_int_not_equal(v.first_ns, 0);
	vcpus_resume(&v);
	vcpus_destroy(&v);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(fakes[i].rounds, -1);
}

/* One that shut down is told of once and does not run again before the next resume. */
static void test_ended(void **state)
{
	struct fake fakes[VCPUS] = { 0 };
	struct seen seen = { 0 };
	struct vcpus v;

	fakes[2].next = CPU_EXIT_SHUTDOWN;
	assert_int_equal(vcpus_create(&v, &fake_engine, (void *)fakes, VCPUS, NULL), 0);
	v.ended = ended;
	v.ended_ctx = &seen;
	assert_int_equal(vcpus_start(&v, NULL), 0);
	vcpus_resume(&v);
	while (!atomic_load(&seen.ended))
		usleep(100);
	usleep(2000);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.id, 2);
	vcpus_ask_pause(&v);
	vcpus_wait_paused(&v);
	assert_int_equal(fakes[2].rounds, 2);
	vcpus_resume(&v);
	while (atomic_load(&seen.ended) < 2)
		usleep(100);
	vcpus_destroy(&v);
}

static void test_create_fails(void **state)
{
	struct fake fakes[VCPUS] = { 0 };
	struct vcpus v;

	fakes[3].next = CPU_EXIT_ERROR;
	assert_int_equal(vcpus_create(&v, &fake_engine, (void *)fakes, VCPUS, NULL), -ENOMEM);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fakes[i].rounds, -1);
	vcpus_destroy(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_resume),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_create_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
