/* SPDX-License-Identifier: MIT */
/*
 * Division of a resource, see alloc.h.
 *
 * The level of the water: the sum of all parts grows with it, in straight pieces, and each member
 * adds at most two bends: where it begins to grow and where it has its ceiling. divide() sorts
 * the bends and walks them up to the piece in which the sum reaches what there is; there the
 * level is one division. A level is kept as a fraction, and fractions are compared crosswise in
 * 128 bits: amounts are below 2^61 (sums of them are cut there) and weights are scaled so that
 * their sum is below 2^62. The scale depends on demands alone, never on shares or priorities, so
 * that it does not disturb what shall be monotonic in those.
 */
#include "mgr/core/alloc.h"

#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 wide_t;

/* Sum of demands, after scaling; with shares and factor (2^14 each) the sum of weights stays
 * below 2^62, and so does what ALLOC_MEMBERS_MAX members add that are scaled up to 1. */
#define DEMAND_BITS 33

/* A bend: from level amount/weight on, a member's slope is on or off. */
struct bend {
	uint64_t amount, weight;
	uint32_t member; /* index among the siblings */
	bool end;
};

/* What the walk knows of one sibling. */
struct sibling {
	struct alloc_member *m;
	uint64_t demand, weight;
};

/* All that a call needs, in arrays of @n. */
struct work {
	size_t *members; /* indices, siblings side by side */
	size_t *first;	 /* [i]: where the members of i begin; [n]: where the roots do; [n + 1] */
	struct sibling *sib;
	struct bend *bends; /* two each */
	uint64_t *sum;	    /* of the members' ceilings: a pool's demand */
	uint64_t *result;   /* parts, until all is done */
};

static uint64_t sum_cut(uint64_t a, uint64_t b)
{
	return MIN(a + b, (uint64_t)ALLOC_AMOUNT_MAX);
}

static uint64_t top_of(const struct alloc_member *m)
{
	return m->limit ? m->limit : ALLOC_AMOUNT_MAX;
}

unsigned alloc_factor(int priority)
{
	static const unsigned factors[] = { 107,  134,	168,  210,  262,  328,	410,
					    512,  640,	800,  1000, 1250, 1563, 1953,
					    2441, 3052, 3815, 4768, 5960, 7451, 9313 };
	static_assert(ARRAY_SIZE(factors) == 2 * ALLOC_PRIORITY_MAX + 1, "one for each");

	BUG_ON(priority < -ALLOC_PRIORITY_MAX || priority > ALLOC_PRIORITY_MAX);
	return factors[priority + ALLOC_PRIORITY_MAX];
}

static const char *const policies[] = { "fixed", "dynamic", "mixed" };
static_assert(ARRAY_SIZE(policies) == ALLOC_POLICY_COUNT, "a name for each policy");

const char *alloc_policy_name(enum alloc_policy p)
{
	BUG_ON((unsigned)p >= ALLOC_POLICY_COUNT);
	return policies[p];
}

int alloc_policy_parse(enum alloc_policy *out, const char *name, struct err *e)
{
	for (unsigned i = 0; i < ALLOC_POLICY_COUNT; i++)
		if (!strcmp(name, policies[i])) {
			*out = (enum alloc_policy)i;
			return 0;
		}
	return err_set(e, -EINVAL, "'%.40s' is no allocation policy: use fixed, dynamic or mixed",
		       name);
}

static int check_member(const struct alloc_member *m, size_t i, struct err *e)
{
	const struct alloc_member *x = &m[i];
	const char *name = x->name ? x->name : "";

	if (x->parent != ALLOC_ROOT && (x->parent >= i || !m[x->parent].pool))
		return err_set(e, -EINVAL, "'%.80s' is in what is no pool, or stands before it",
			       name);
	if ((unsigned)x->policy >= ALLOC_POLICY_COUNT)
		return err_set(e, -EINVAL, "'%.80s' has no allocation policy", name);
	if (x->reservation > ALLOC_AMOUNT_MAX || x->limit > ALLOC_AMOUNT_MAX ||
	    (!x->pool && x->demand > ALLOC_AMOUNT_MAX))
		return err_set(e, -EINVAL, "an amount of '%.80s' is above %llu", name,
			       ALLOC_AMOUNT_MAX);
	if (x->limit && x->limit < x->reservation)
		return err_set(e, -EINVAL,
			       "the limit of '%.80s', %llu, is below its reservation of %llu", name,
			       (unsigned long long)x->limit, (unsigned long long)x->reservation);
	if (x->shares < ALLOC_SHARES_MIN || x->shares > ALLOC_SHARES_MAX)
		return err_set(e, -EINVAL, "the shares of '%.80s', %u, are not %u to %u", name,
			       x->shares, ALLOC_SHARES_MIN, ALLOC_SHARES_MAX);
	if (x->priority < -ALLOC_PRIORITY_MAX || x->priority > ALLOC_PRIORITY_MAX)
		return err_set(e, -EINVAL, "the priority of '%.80s', %d, is not %d to %d", name,
			       x->priority, -ALLOC_PRIORITY_MAX, ALLOC_PRIORITY_MAX);
	return 0;
}

/* Check everything; *@total receives capacity x overcommit / 1000. */
static int check_all(const struct alloc_member *m, size_t n, uint64_t capacity, unsigned overcommit,
		     uint64_t *total, struct err *e)
{
	wide_t t = (wide_t)capacity * overcommit / 1000;

	if (n > ALLOC_MEMBERS_MAX)
		return err_set(e, -EINVAL, "more than %u members", ALLOC_MEMBERS_MAX);
	if (!overcommit || overcommit > ALLOC_OVERCOMMIT_MAX || t > ALLOC_AMOUNT_MAX)
		return err_set(e, -EINVAL,
			       "overcommit %u is not 1 to %u thousandths, or the capacity times "
			       "it is above %llu",
			       overcommit, ALLOC_OVERCOMMIT_MAX, ALLOC_AMOUNT_MAX);
	for (size_t i = 0; i < n; i++) {
		int ret = check_member(m, i, e);

		if (ret)
			return ret;
	}
	*total = (uint64_t)t;
	return 0;
}

static void work_free(struct work *w)
{
	free(w->members);
	free(w->first);
	free(w->sib);
	free(w->bends);
	free(w->sum);
	free(w->result);
}

static int work_make(struct work *w, size_t n, struct err *e)
{
	w->members = calloc(n + 1, sizeof(*w->members));
	w->first = calloc(n + 2, sizeof(*w->first));
	w->sib = calloc(n + 1, sizeof(*w->sib));
	w->bends = calloc(2 * n + 1, sizeof(*w->bends));
	w->sum = calloc(n + 1, sizeof(*w->sum));
	w->result = calloc(n + 1, sizeof(*w->result));
	if (!w->members || !w->first || !w->sib || !w->bends || !w->sum || !w->result)
		return err_set(e, -ENOMEM, "no memory to divide among %zu members", n);
	return 0;
}

/* Put siblings side by side: a counting sort by parent; the roots' parent is n. */
static void group(const struct alloc_member *m, size_t n, struct work *w)
{
	for (size_t i = 0; i < n; i++)
		w->first[(m[i].parent == ALLOC_ROOT ? n : m[i].parent) + 1]++;
	for (size_t i = 0; i <= n; i++)
		w->first[i + 1] += w->first[i];
	/* From the back, so that each group keeps its order; first[] moves down to the begin. */
	for (size_t i = n; i-- > 0;)
		w->members[--w->first[(m[i].parent == ALLOC_ROOT ? n : m[i].parent) + 1]] = i;
	/* Now first[p + 1] is where p begins. */
	memmove(w->first, w->first + 1, (n + 1) * sizeof(*w->first));
	w->first[n + 1] = n;
}

/* Floors and ceilings, from the bottom up: members stand behind their pool. */
static void bounds(struct alloc_member *m, size_t n, uint64_t *floors, uint64_t *ceilings)
{
	for (size_t i = n; i-- > 0;) {
		struct alloc_member *x = &m[i];
		uint64_t want = x->pool ? ceilings[i] : x->demand;

		want = MIN(want, top_of(x));
		if (x->pool)
			x->floor = MAX(floors[i], MIN(x->reservation, want));
		else if (x->policy == ALLOC_FIXED)
			x->floor = MAX(x->reservation, want);
		else
			x->floor = x->reservation;
		/* Members may have been promised more than their pool may have. */
		x->floor = MIN(x->floor, top_of(x));
		x->ceiling = MAX(x->floor, want);
		if (x->parent != ALLOC_ROOT) {
			floors[x->parent] = sum_cut(floors[x->parent], x->floor);
			ceilings[x->parent] = sum_cut(ceilings[x->parent], x->ceiling);
		}
	}
}

static int bend_cmp(const void *pa, const void *pb)
{
	const struct bend *a = pa, *b = pb;
	wide_t l = (wide_t)a->amount * b->weight, r = (wide_t)b->amount * a->weight;

	if (l != r)
		return l < r ? -1 : 1;
	if (a->member != b->member)
		return a->member < b->member ? -1 : 1;
	return (int)a->end - (int)b->end;
}

/* Where the slope of @s begins and ends, and what stands below it. */
static void slope(const struct sibling *s, uint64_t *begin, uint64_t *end, uint64_t *base)
{
	bool mixed = s->m->policy == ALLOC_MIXED;

	*base = mixed ? s->m->floor : 0;
	*begin = mixed ? 0 : s->m->floor;
	*end = s->m->ceiling - *base;
}

/* Weights of @k siblings; a fixed one has none, nor one that has its ceiling in any case. */
static void weigh(struct sibling *sib, size_t k)
{
	unsigned shift = 0;
	wide_t sum = 0;

	for (size_t i = 0; i < k; i++)
		sum += sib[i].demand;
	while (sum >> shift >= (wide_t)1 << DEMAND_BITS)
		shift++;
	for (size_t i = 0; i < k; i++) {
		const struct alloc_member *m = sib[i].m;
		uint64_t d = MAX(sib[i].demand >> shift, (uint64_t)1);

		sib[i].weight = 0;
		if (m->policy != ALLOC_FIXED && m->ceiling > m->floor)
			sib[i].weight = d * alloc_factor(m->priority) * m->shares;
	}
}

/*
 * The level at which the @k siblings get @amount: *@num / *@den. False: all have their ceilings
 * before. @amount is not below the sum of the floors.
 */
static bool find_level(const struct sibling *sib, size_t k, uint64_t amount, struct bend *bends,
		       uint64_t *num, uint64_t *den)
{
	wide_t still = 0; /* what does not move at this level */
	wide_t weight = 0;
	size_t n = 0;

	for (size_t i = 0; i < k; i++) {
		uint64_t begin, end, base;

		still += sib[i].m->floor;
		if (!sib[i].weight)
			continue;
		slope(&sib[i], &begin, &end, &base);
		bends[n++] = (struct bend) { begin, sib[i].weight, (uint32_t)i, false };
		bends[n++] = (struct bend) { end, sib[i].weight, (uint32_t)i, true };
	}
	qsort(bends, n, sizeof(*bends), bend_cmp);
	for (size_t i = 0; i < n; i++) {
		const struct bend *b = &bends[i];
		uint64_t begin, end, base;

		/* Would the water be higher than there is at this bend? */
		if (weight && weight * b->amount > (amount - still) * b->weight) {
			*num = amount - (uint64_t)still;
			*den = (uint64_t)weight;
			return true;
		}
		slope(&sib[b->member], &begin, &end, &base);
		if (b->end) {
			weight -= b->weight;
			still += end; /* the base is in already */
		} else {
			weight += b->weight;
			still -= sib[b->member].m->floor - base;
		}
	}
	return false;
}

/* Divide @amount among the siblings of one group, into w->result; adds to *@missing. */
static void divide(struct alloc_member *m, const struct work *w, size_t from, size_t to,
		   uint64_t amount, uint64_t *missing)
{
	size_t k = to - from;
	wide_t floors = 0;
	uint64_t num = 0, den = 1;
	bool level;

	for (size_t i = 0; i < k; i++) {
		size_t at = w->members[from + i];

		w->sib[i] = (struct sibling) { .m = &m[at],
					       .demand = m[at].pool ? w->sum[at] : m[at].demand };
		floors += m[at].floor;
	}
	if (floors > amount) {
		*missing =
			sum_cut(*missing, (uint64_t)MIN(floors - amount, (wide_t)ALLOC_AMOUNT_MAX));
		/* A sum of up to 2^20 amounts below 2^61 stays below 2^81: no overflow. */
		for (size_t i = 0; i < k; i++)
			w->result[w->members[from + i]] =
				(uint64_t)((wide_t)w->sib[i].m->floor * amount / floors);
		return;
	}
	weigh(w->sib, k);
	level = find_level(w->sib, k, amount, w->bends, &num, &den);
	for (size_t i = 0; i < k; i++) {
		const struct sibling *s = &w->sib[i];
		uint64_t begin, end, base, *part = &w->result[w->members[from + i]];
		wide_t water;

		*part = s->weight ? s->m->ceiling : s->m->floor;
		if (!s->weight || !level)
			continue;
		slope(s, &begin, &end, &base);
		water = (wide_t)s->weight * num / den;
		water = MIN(water, (wide_t)end);
		*part = base + MAX((uint64_t)water, begin);
	}
}

int alloc_run(struct alloc_member *m, size_t n, uint64_t capacity, unsigned overcommit,
	      uint64_t *missing, struct err *e)
{
	CLEANUP(work_free) struct work w = { 0 };
	uint64_t total = 0, short_by = 0;
	int ret = check_all(m, n, capacity, overcommit, &total, e);

	if (!ret)
		ret = work_make(&w, n, e);
	if (ret)
		return ret;
	group(m, n, &w);
	/* The results' room is free until then: it holds the floors' sums. */
	bounds(m, n, w.result, w.sum);
	divide(m, &w, w.first[n], w.first[n + 1], total, &short_by);
	for (size_t i = 0; i < n; i++)
		if (m[i].pool)
			divide(m, &w, w.first[i], w.first[i + 1], w.result[i], &short_by);
	for (size_t i = 0; i < n; i++)
		m[i].part = w.result[i];
	*missing = short_by;
	return 0;
}

int alloc_admit(const struct alloc_member *m, size_t n, uint64_t capacity, unsigned overcommit,
		const char *unit, struct err *e)
{
	MEM_AUTO uint64_t *sums = calloc(n + 1, sizeof(*sums));
	uint64_t total = 0;
	int ret;

	if (!sums)
		return err_set(e, -ENOMEM, "no memory for the reservations of %zu members", n);
	ret = check_all(m, n, capacity, overcommit, &total, e);
	if (ret)
		return ret;
	for (size_t i = n; i-- > 0;) {
		const struct alloc_member *x = &m[i];
		uint64_t *up = &sums[x->parent == ALLOC_ROOT ? n : x->parent];
		uint64_t need = x->pool ? sums[i] : 0;

		if (!x->pool && x->policy == ALLOC_FIXED)
			need = MIN(x->demand, top_of(x));
		if (need > top_of(x))
			return err_set(e, -ENOSPC,
				       "the members of '%.80s' reserve %llu %s, %llu more than its "
				       "limit of %llu",
				       x->name ? x->name : "", (unsigned long long)need, unit,
				       (unsigned long long)(need - x->limit),
				       (unsigned long long)x->limit);
		*up = sum_cut(*up, MAX(need, x->reservation));
	}
	if (sums[n] > total)
		return err_set(e, -ENOSPC,
			       "%llu %s would be reserved, %llu more than the host's %llu",
			       (unsigned long long)sums[n], unit,
			       (unsigned long long)(sums[n] - total), (unsigned long long)total);
	return 0;
}
