/* SPDX-License-Identifier: MIT */
/*
 * What guests shall keep: limits, shortage and its end, who is left alone, and what is not worth
 * telling.
 */
#include "mgr/core/ballooning.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#define MIB 0x100000ull
#define GIB 0x40000000ull

static struct ballooning_vm guest(uint64_t size, uint64_t used)
{
	return (struct ballooning_vm) {
		.name = "x",
		.policy = ALLOC_DYNAMIC,
		.memory = { .shares = 100 },
		.size = size,
		.guest_total = size - 16 * MIB,
		.guest_used = used,
	};
}

static void decide(struct ballooning_vm *vm, size_t n, uint64_t capacity, bool is_short)
{
	struct err e = { 0 };

	if (ballooning_decide(vm, n, capacity, is_short, &e))
		fail_msg("%s", e.msg);
}

static void a_host_is_short(void **state UNUSED)
{
	struct ballooning_host h = { .total = 1000 * MIB, .available = 151 * MIB };

	assert_false(ballooning_short(false, &h));
	h.available = 149 * MIB;
	assert_true(ballooning_short(false, &h));
	/* What has begun ends later than it began. */
	h.available = 199 * MIB;
	assert_true(ballooning_short(true, &h));
	assert_false(ballooning_short(false, &h));
	h.available = 201 * MIB;
	assert_false(ballooning_short(true, &h));
	h.pressure = 501;
	assert_false(ballooning_short(false, &h));
	h.pressure_known = true;
	assert_true(ballooning_short(false, &h));
	h.pressure = 500;
	assert_false(ballooning_short(false, &h));
	assert_true(ballooning_short(true, &h));
	h.pressure = 250;
	assert_false(ballooning_short(true, &h));
}

static void a_limit_always_holds(void **state UNUSED)
{
	struct ballooning_vm v[2] = { guest(GIB, 100 * MIB), guest(GIB, 100 * MIB) };

	v[0].memory.limit = 512 * MIB;
	decide(v, 2, 0, false);
	assert_int_equal(v[0].keep, 512 * MIB);
	assert_true(v[0].tell);
	assert_int_equal(v[1].keep, GIB);
	assert_false(v[1].tell);
	/* Asked already. */
	v[0].asked = 512 * MIB;
	decide(v, 1, 0, false);
	assert_false(v[0].tell);
	/* However little it changes by: it is a user's word. */
	v[0].memory.limit = 511 * MIB;
	decide(v, 1, 0, false);
	assert_true(v[0].tell);
	v[0].memory.limit = 513 * MIB;
	decide(v, 1, 0, false);
	assert_true(v[0].tell);
	assert_int_equal(v[0].keep, 513 * MIB);
	/* It goes. */
	v[0].memory.limit = 0;
	decide(v, 1, 0, false);
	assert_true(v[0].tell);
	assert_int_equal(v[0].keep, GIB);
	/* One above the size, of no whole MiB, and one that nobody can live on. */
	v[0].memory.limit = 2 * GIB;
	decide(v, 1, 0, false);
	assert_int_equal(v[0].keep, GIB);
	v[0].memory.limit = 100 * MIB + 5;
	decide(v, 1, 0, false);
	assert_int_equal(v[0].keep, 100 * MIB);
	v[0].memory.limit = 1;
	decide(v, 1, 0, false);
	assert_int_equal(v[0].keep, BALLOONING_KEEP_MIN);
	v[0] = guest(8 * MIB, 0);
	v[0].guest_total = 7 * MIB;
	decide(v, 1, 0, false);
	assert_int_equal(v[0].keep, 8 * MIB);
	assert_false(v[0].tell);
}

static void in_shortage_a_guest_keeps_its_need(void **state UNUSED)
{
	struct ballooning_vm v = guest(GIB, 400 * MIB);

	decide(&v, 1, 8 * GIB, true);
	assert_int_equal(v.keep, 500 * MIB);
	assert_true(v.tell);
	/* What the balloon holds is in what Linux calls used. */
	v.asked = v.held = 524 * MIB;
	v.guest_used = 924 * MIB;
	decide(&v, 1, 8 * GIB, true);
	assert_int_equal(v.keep, 500 * MIB);
	assert_false(v.tell);
	/* And is not where the guest's total shrank with it. */
	v.guest_total = 484 * MIB;
	v.guest_used = 400 * MIB;
	decide(&v, 1, 8 * GIB, true);
	assert_int_equal(v.keep, 500 * MIB);
	/* A little more use is not worth telling, much is. */
	v.guest_used = 420 * MIB;
	decide(&v, 1, 8 * GIB, true);
	assert_false(v.tell);
	v.guest_used = 450 * MIB;
	decide(&v, 1, 8 * GIB, true);
	assert_true(v.tell);
	assert_int_equal(v.keep, 562 * MIB);
	/* The end of the shortage gives all of it back. */
	decide(&v, 1, 8 * GIB, false);
	assert_true(v.tell);
	assert_int_equal(v.keep, GIB);
	v = guest(GIB, 1 * MIB);
	decide(&v, 1, 8 * GIB, true);
	assert_int_equal(v.keep, BALLOONING_NEED_MIN);
	v.memory.reservation = 300 * MIB;
	decide(&v, 1, 8 * GIB, true);
	assert_int_equal(v.keep, 300 * MIB);
	v.memory.limit = 400 * MIB;
	v.guest_used = GIB;
	decide(&v, 1, 8 * GIB, true);
	assert_int_equal(v.keep, 400 * MIB);
	/* What is reserved beyond the VM's size is no mistake. */
	v.memory = (struct res_triple) { .reservation = 5 * GIB, .shares = 100 };
	decide(&v, 1, 8 * GIB, true);
	assert_int_equal(v.keep, GIB);
}

static void the_host_is_divided_by_weights(void **state UNUSED)
{
	struct ballooning_vm v[3] = { guest(GIB, GIB), guest(GIB, GIB), guest(GIB, 0) };

	v[0].memory.shares = 300;
	decide(v, 2, GIB, true);
	assert_int_equal(v[0].keep, 768 * MIB);
	assert_int_equal(v[1].keep, 256 * MIB);
	/* A fixed one and a silent one take their whole size from what there is. */
	v[2].policy = ALLOC_FIXED;
	decide(v, 3, 2 * GIB, true);
	assert_int_equal(v[0].keep, 768 * MIB);
	assert_int_equal(v[2].keep, GIB);
	assert_false(v[2].tell);
	v[2].policy = ALLOC_DYNAMIC;
	v[2].guest_total = 0;
	v[2].asked = 100 * MIB;
	decide(v, 3, 2 * GIB, true);
	assert_int_equal(v[1].keep, 256 * MIB);
	assert_false(v[2].tell);
}

static void the_fixed_are_left_alone(void **state UNUSED)
{
	struct ballooning_vm v = guest(GIB, 10 * MIB);

	v.policy = ALLOC_FIXED;
	v.memory.limit = 512 * MIB;
	decide(&v, 1, GIB, true);
	assert_int_equal(v.keep, GIB);
	assert_false(v.tell);
	/* It was dynamic before. */
	v.asked = 512 * MIB;
	decide(&v, 1, GIB, false);
	assert_true(v.tell);
	assert_int_equal(v.keep, GIB);
}

/* Whatever guests say: within the size and the limit, and steady when what is asked is given. */
static void guests_cannot_upset_it(void **state UNUSED)
{
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		struct ballooning_vm v[4];
		size_t n = 1 + (size_t)random() % 4;
		bool is_short = random() % 2;

		for (size_t k = 0; k < n; k++) {
			uint64_t size = (1 + (uint64_t)random() % 2048) * MIB;

			v[k] = guest(size, (uint64_t)random() << (random() % 33));
			v[k].guest_total = (uint64_t)random() << (random() % 33);
			v[k].held = (uint64_t)random() << (random() % 33);
			v[k].asked = (uint64_t)random() % (size + 1);
			v[k].policy = (enum alloc_policy)(random() % ALLOC_POLICY_COUNT);
			v[k].priority = (int)(random() % 21) - 10;
			v[k].memory.limit = random() % 2 ? (uint64_t)random() : 0;
			v[k].memory.reservation =
				v[k].memory.limit ? v[k].memory.limit / 2 : (uint64_t)random();
		}
		decide(v, n, (1 + (uint64_t)random() % 4096) * MIB, is_short);
		for (size_t k = 0; k < n; k++) {
			const struct ballooning_vm *x = &v[k];

			assert_true(x->keep <= x->size);
			assert_true(x->keep >= MIN(x->size, BALLOONING_KEEP_MIN));
			if (x->tell && x->policy != ALLOC_FIXED && x->memory.limit)
				assert_true(x->keep <= MAX(x->memory.limit, BALLOONING_KEEP_MIN));
			assert_true(!x->tell || x->keep != x->size - x->asked);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_short),
		cmocka_unit_test(a_limit_always_holds),
		cmocka_unit_test(in_shortage_a_guest_keeps_its_need),
		cmocka_unit_test(the_host_is_divided_by_weights),
		cmocka_unit_test(the_fixed_are_left_alone),
		cmocka_unit_test(guests_cannot_upset_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
