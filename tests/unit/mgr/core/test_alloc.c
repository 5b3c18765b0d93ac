/* SPDX-License-Identifier: MIT */
/*
 * Division of a resource: cases computed by hand, and the properties that alloc.h promises over
 * random forests of pools and VMs.
 */
#include "mgr/core/alloc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define CASES	100000
#define MOST	24
#define NO_ROOM 7777

typedef unsigned __int128 wide_t;

/* A dynamic VM at the top that asks for @demand. */
static struct alloc_member vm(const char *name, uint64_t demand, unsigned shares)
{
	return (struct alloc_member) { .name = name,
				       .parent = ALLOC_ROOT,
				       .policy = ALLOC_DYNAMIC,
				       .demand = demand,
				       .shares = shares };
}

static void run(struct alloc_member *m, size_t n, uint64_t capacity, unsigned overcommit,
		uint64_t want_missing)
{
	uint64_t missing = NO_ROOM;
	struct err e = { 0 };

	if (alloc_run(m, n, capacity, overcommit, &missing, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(missing, want_missing);
}

static void shares_divide(void **state UNUSED)
{
	/* Three busy VMs on one CPU, 1:2:4: 1000/7, 2000/7, 4000/7. */
	struct alloc_member m[] = { vm("a", 1000, 100), vm("b", 1000, 200), vm("c", 1000, 400) };

	run(m, 3, 1000, 1000, 0);
	assert_int_equal(m[0].part, 142);
	assert_int_equal(m[1].part, 285);
	assert_int_equal(m[2].part, 571);
	/* Twice promised: 2000/7 = 285, 571, and c has all it asks for with 1142 > 1000, so a and
	 * b share 1000 by 1:2. */
	run(m, 3, 1000, 2000, 0);
	assert_int_equal(m[0].part, 333);
	assert_int_equal(m[1].part, 666);
	assert_int_equal(m[2].part, 1000);
	/* Enough for all. */
	run(m, 3, 3000, 1000, 0);
	assert_int_equal(m[0].part + m[1].part + m[2].part, 3000);
	/* Priority 10 is 1.25^10 = 9.313 times as much: c and a by 9313:4000. */
	m[0].priority = 10;
	m[1].demand = 0;
	run(m, 3, 1000, 1000, 0);
	assert_int_equal(m[0].part, 699);
	assert_int_equal(m[1].part, 0);
	assert_int_equal(m[2].part, 300);
}

static void bounds_bind(void **state UNUSED)
{
	struct alloc_member m[] = { vm("a", 1000, 100), vm("b", 1000, 100), vm("c", 1000, 100) };

	/* a has at most 100, b at least 600: c gets what is left. */
	m[0].limit = 100;
	m[1].reservation = 600;
	run(m, 3, 1000, 1000, 0);
	assert_int_equal(m[0].part, 100);
	assert_int_equal(m[1].part, 600);
	assert_int_equal(m[2].part, 300);
	/* Mixed: b has its 600 and an equal part of the rest: (1000 - 600) / 3 = 133 would give a
	 * more than its 100, so b and c share 300. */
	m[1].policy = ALLOC_MIXED;
	run(m, 3, 1000, 1000, 0);
	assert_int_equal(m[0].part, 100);
	assert_int_equal(m[1].part, 750);
	assert_int_equal(m[2].part, 150);
	/* Fixed: all that it asks for. */
	m[1].policy = ALLOC_FIXED;
	m[1].demand = 800;
	run(m, 3, 1000, 1000, 0);
	assert_int_equal(m[0].part, 100);
	assert_int_equal(m[1].part, 800);
	assert_int_equal(m[2].part, 100);
	/* A reservation is held, asked for or not. */
	m[1] = vm("b", 0, 100);
	m[1].reservation = 600;
	run(m, 3, 1000, 1000, 0);
	assert_int_equal(m[1].part, 600);
	/* The host lost half its CPUs: b's promise cannot be kept. */
	run(m, 3, 500, 1000, 100);
	assert_int_equal(m[0].part, 0);
	assert_int_equal(m[1].part, 500);
	assert_int_equal(m[2].part, 0);
}

static void pools_nest(void **state UNUSED)
{
	struct alloc_member m[] = {
		vm("prod", 0, 300),  vm("test", 0, 100), vm("web", 0, 100),  vm("p1", 1000, 100),
		vm("p2", 1000, 100), vm("w", 1000, 100), vm("t", 2000, 100),
	};

	m[0].pool = m[1].pool = m[2].pool = true;
	m[2].parent = 0; /* web is in prod, with one VM, p1 and p2 beside it */
	m[3].parent = m[4].parent = 0;
	m[5].parent = 2;
	m[6].parent = 1;
	/* prod asks for 3000, test for 2000: weights 9:2. 1100 are 900 and 200. */
	run(m, 7, 1100, 1000, 0);
	assert_int_equal(m[0].part, 900);
	assert_int_equal(m[1].part, 200);
	assert_int_equal(m[3].part, 300);
	assert_int_equal(m[2].part, 300);
	assert_int_equal(m[5].part, 300);
	assert_int_equal(m[6].part, 200);
	/* A pool's limit binds its members; what it leaves others take. */
	m[0].limit = 600;
	run(m, 7, 1100, 1000, 0);
	assert_int_equal(m[0].part, 600);
	assert_int_equal(m[1].part, 500);
	assert_int_equal(m[3].part, 200);
	/* A pool's reservation counts as far as its members ask. */
	m[1].reservation = 900;
	run(m, 7, 1100, 1000, 0);
	assert_int_equal(m[1].part, 900);
	assert_int_equal(m[0].part, 200);
	m[6].demand = 50;
	run(m, 7, 1100, 1000, 0);
	assert_int_equal(m[1].part, 50);
	assert_int_equal(m[0].part, 600);
}

static void admission(void **state UNUSED)
{
	struct alloc_member m[] = { vm("prod", 0, 100), vm("a", 1000, 100), vm("b", 1000, 100) };
	struct err e = { 0 };

	m[0].pool = true;
	m[1].parent = 0;
	m[1].reservation = 500;
	m[2].policy = ALLOC_FIXED;
	assert_int_equal(alloc_admit(m, 3, 1500, 1000, "MiB", &e), 0);
	assert_int_equal(alloc_admit(m, 3, 1499, 1000, "MiB", &e), -ENOSPC);
	assert_string_equal(e.msg, "1500 MiB would be reserved, 1 more than the host's 1499");
	assert_int_equal(alloc_admit(m, 3, 1000, 1500, "MiB", &e), 0);
	/* What a pool reserves for nobody is reserved as well. */
	m[0].reservation = 700;
	assert_int_equal(alloc_admit(m, 3, 1699, 1000, "MiB", &e), -ENOSPC);
	assert_int_equal(alloc_admit(m, 3, 1700, 1000, "MiB", &e), 0);
	m[0].reservation = 0;
	m[0].limit = 499;
	assert_int_equal(alloc_admit(m, 3, 9999, 1000, "MiB", &e), -ENOSPC);
	assert_string_equal(e.msg, "the members of 'prod' reserve 500 MiB, 1 more than its limit "
				   "of 499");
}

static void bad_members_are_named(void **state UNUSED)
{
	struct {
		struct alloc_member m;
		const char *says;
	} bad[] = {
		{ vm("x", 1, 0), "shares of 'x', 0" },
		{ vm("x", 1, ALLOC_SHARES_MAX + 1), "shares of 'x', 10001" },
		{ vm("x", ALLOC_AMOUNT_MAX + 1, 1), "amount of 'x'" },
		{ vm("x", 1, 1), "priority of 'x', 11" },
		{ vm("x", 1, 1), "priority of 'x', -11" },
		{ vm("x", 1, 1), "limit of 'x', 3, is below its reservation of 4" },
		{ vm("x", 1, 1), "'x' is in what is no pool" },
		{ vm("x", 1, 1), "'x' is in what is no pool" },
		{ vm("x", 1, 1), "'x' has no allocation policy" },
	};
	struct err e = { 0 };
	uint64_t missing = NO_ROOM;

	bad[3].m.priority = 11;
	bad[4].m.priority = -11;
	bad[5].m.limit = 3;
	bad[5].m.reservation = 4;
	bad[6].m.parent = 1; /* itself */
	bad[7].m.parent = 0; /* a VM */
	bad[8].m.policy = ALLOC_POLICY_COUNT;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct alloc_member m[] = { vm("good", 1, 1), bad[i].m };

		m[0].part = m[1].part = NO_ROOM;
		assert_int_equal(alloc_run(m, 2, 10, 1000, &missing, &e), -EINVAL);
		assert_non_null(strstr(e.msg, bad[i].says));
		assert_int_equal(m[0].part, NO_ROOM);
		assert_int_equal(m[1].part, NO_ROOM);
		assert_int_equal(alloc_admit(m, 2, 10, 1000, "bytes", &e), -EINVAL);
	}
	assert_int_equal(alloc_run(NULL, 0, 10, 0, &missing, &e), -EINVAL);
	assert_int_equal(alloc_run(NULL, 0, UINT64_MAX, 1000, &missing, &e), -EINVAL);
	assert_int_equal(missing, NO_ROOM);
	assert_int_equal(alloc_run(NULL, 0, 10, 1000, &missing, &e), 0);
	assert_int_equal(missing, 0);
}

static void policies_have_names(void **state UNUSED)
{
	enum alloc_policy p = ALLOC_FIXED;
	struct err e = { 0 };

	for (unsigned i = 0; i < ALLOC_POLICY_COUNT; i++) {
		assert_int_equal(
			alloc_policy_parse(&p, alloc_policy_name((enum alloc_policy)i), &e), 0);
		assert_int_equal(p, i);
	}
	assert_int_equal(alloc_policy_parse(&p, "greedy", &e), -EINVAL);
	assert_int_equal(p, ALLOC_POLICY_COUNT - 1);
}

/* xorshift64*: the same cases everywhere. */
static uint64_t rnd(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t *s, uint64_t n)
{
	return rnd(s) % n;
}

struct forest {
	struct alloc_member m[MOST];
	size_t n;
	uint64_t capacity, top; /* top: capacity x overcommit */
	unsigned overcommit;
	uint64_t missing;
};

static void random_forest(struct forest *f, uint64_t *s)
{
	/* From a few units up to sizes of memory in bytes. */
	uint64_t scale = 1ull << (3 + below(s, 40));

	*f = (struct forest) { .n = 1 + below(s, MOST) };
	for (size_t i = 0; i < f->n; i++) {
		struct alloc_member *m = &f->m[i];
		size_t parent = below(s, MAX(i, (size_t)1));

		*m = vm("x", below(s, scale), 1 + (unsigned)below(s, 400));
		m->policy = (enum alloc_policy)below(s, ALLOC_POLICY_COUNT);
		m->pool = below(s, 3) == 0;
		if (i && f->m[parent].pool)
			m->parent = parent;
		if (below(s, 3) == 0)
			m->reservation = below(s, scale / 2);
		if (below(s, 3) == 0)
			m->limit = m->reservation + 1 + below(s, scale);
		if (below(s, 4) == 0)
			m->priority = (int)below(s, 21) - 10;
	}
	f->capacity = below(s, scale * f->n);
	f->overcommit = below(s, 2) ? 1000 : 1 + (unsigned)below(s, 4000);
	f->top = (uint64_t)((wide_t)f->capacity * f->overcommit / 1000);
}

static uint64_t demand_of(const struct forest *f, size_t i)
{
	uint64_t sum = 0;

	if (!f->m[i].pool)
		return f->m[i].demand;
	for (size_t j = i + 1; j < f->n; j++)
		if (f->m[j].parent == i)
			sum += f->m[j].ceiling;
	return sum;
}

/* Whether @i could have more water, and has it only because @j has more for his weight. */
static void no_envy(const struct forest *f, size_t i, size_t j)
{
	const struct alloc_member *a = &f->m[i], *b = &f->m[j];
	uint64_t wa, wb, water_a, water_b;

	if (a->policy == ALLOC_FIXED || b->policy == ALLOC_FIXED || a->part == a->ceiling)
		return;
	water_a = a->part - (a->policy == ALLOC_MIXED ? a->floor : 0);
	water_b = b->part - (b->policy == ALLOC_MIXED ? b->floor : 0);
	/* What b has by its reservation it has not from the water. */
	if (b->part == b->floor)
		return;
	wa = MAX(demand_of(f, i), 1u) * alloc_factor(a->priority) * a->shares;
	wb = MAX(demand_of(f, j), 1u) * alloc_factor(b->priority) * b->shares;
	/* b's level is at most a's, but for the unit that rounding cost a. */
	assert_true((wide_t)water_b * wa <= ((wide_t)water_a + 1) * wb);
}

static void check_group(const struct forest *f, size_t parent, uint64_t amount)
{
	uint64_t used = 0, floors = 0, demands = 0, k = 0;
	bool full = true;

	for (size_t i = 0; i < f->n; i++) {
		const struct alloc_member *m = &f->m[i];

		if (m->parent != parent)
			continue;
		used += m->part;
		floors += m->floor;
		demands += demand_of(f, i);
		k++;
		full = full && (m->policy == ALLOC_FIXED || m->part == m->ceiling);
		/* Bounds, from their definition. */
		assert_true(m->part <= m->ceiling);
		assert_true(!m->limit || m->part <= m->limit);
		if (!m->pool) {
			assert_true(m->floor >= m->reservation);
			assert_true(m->ceiling <= MAX(m->reservation, m->demand));
		}
	}
	assert_true(used <= amount);
	if (floors > amount) {
		assert_true(f->missing >= floors - amount);
		return;
	}
	assert_true(full || used + k > amount);
	for (size_t i = 0; i < f->n; i++) {
		if (f->m[i].parent != parent)
			continue;
		assert_true(f->m[i].part >= f->m[i].floor);
		for (size_t j = 0; demands < 1ull << 33 && j < f->n; j++)
			if (f->m[j].parent == parent)
				no_envy(f, i, j);
	}
}

/* More shares or a higher priority for one: it gets no less. */
static void check_monotonic(const struct forest *f, uint64_t *s)
{
	struct forest g = *f;
	size_t i = below(s, f->n);
	struct err e;

	if (below(s, 2))
		g.m[i].shares += 1 + (unsigned)below(s, 1000);
	else
		g.m[i].priority = MIN(g.m[i].priority + 1, ALLOC_PRIORITY_MAX);
	assert_int_equal(alloc_run(g.m, g.n, g.capacity, g.overcommit, &g.missing, &e), 0);
	assert_true(g.m[i].part >= f->m[i].part);
	/* Nor does a leaf's weight move what its pool gets. */
	if (f->m[i].parent != ALLOC_ROOT)
		assert_int_equal(g.m[f->m[i].parent].part, f->m[f->m[i].parent].part);
}

static void properties_hold(void **state UNUSED)
{
	uint64_t seed = 4711, tight = 0, kept = 0;

	for (unsigned c = 0; c < CASES; c++) {
		struct forest f;
		struct err e;

		random_forest(&f, &seed);
		f.missing = NO_ROOM;
		assert_int_equal(alloc_run(f.m, f.n, f.capacity, f.overcommit, &f.missing, &e), 0);
		check_group(&f, ALLOC_ROOT, f.top);
		for (size_t i = 0; i < f.n; i++)
			if (f.m[i].pool)
				check_group(&f, i, f.m[i].part);
		/* What was admitted is never short. */
		if (!alloc_admit(f.m, f.n, f.capacity, f.overcommit, "units", &e)) {
			assert_int_equal(f.missing, 0);
			kept++;
		}
		tight += f.missing != 0;
		check_monotonic(&f, &seed);
	}
	/* The cases are of both kinds, or this test says little. */
	assert_true(tight > CASES / 20);
	assert_true(kept > CASES / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_divide),
		cmocka_unit_test(bounds_bind),
		cmocka_unit_test(pools_nest),
		cmocka_unit_test(admission),
		cmocka_unit_test(bad_members_are_named),
		cmocka_unit_test(policies_have_names),
		cmocka_unit_test(properties_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
