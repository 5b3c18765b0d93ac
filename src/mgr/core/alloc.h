/* SPDX-License-Identifier: MIT */
/*
 * Who gets how much of one divisible resource: CPU, memory, block I/O or network.
 *
 * Theory of operation: the members of the host are a forest of pools (projects, which nest) and
 * leaves (VMs). alloc_run() divides what there is among the roots, then what each pool got among
 * its members, from the top down. It works on two bounds, which it computes from the bottom up:
 *
 *   floor    what a member gets in any case. Leaf: its reservation; under the fixed policy its
 *            whole size, max(reservation, min(demand, limit)). Pool: the sum of its members'
 *            floors, or more: its own reservation as far as its members can use it; at most
 *            its limit.
 *   ceiling  what it gets at most. Leaf: max(floor, min(demand, limit)). Pool: the sum of its
 *            members' ceilings, at most its limit, at least its floor.
 *
 * Among siblings with weights w = demand x factor(priority) x shares (demand of a pool: the sum
 * of its members' ceilings) the part is, for one common level x of the water:
 *
 *   fixed    floor
 *   dynamic  w * x, but at least floor and at most ceiling
 *   mixed    floor + w * x, at most ceiling
 *
 * and x is as high as what there is allows. That is weighted max-min fairness: nobody can get
 * more without somebody getting less who has less for his weight already.
 *
 * What holds for every result (the test checks each):
 *   conservation     parts of siblings sum up to at most what is divided among them, and that of
 *                    the roots to at most capacity x overcommit / 1000
 *   bounds           floor <= part <= ceiling, where the floors fit
 *   work conserving  of what is divided less than one unit a sibling stays unused, unless all
 *                    siblings have their ceilings
 *   monotonic        more shares or a higher priority never give a member less
 *   no envy          siblings with like demand, weight and bounds get the same, to the unit; of
 *                    two dynamic ones within their bounds each gets as to its weight
 * Where the floors do not fit (the host lost memory; admission is there to prevent the rest),
 * each gets as to its floor, and what is missing is reported: reservations are promises, and
 * this is the state in which they cannot be kept.
 *
 * All arithmetic is in integers and every division rounds down, so a result depends on nothing
 * but the input. A call takes O(n log n) time and O(n) memory and does not recurse.
 *
 * Threads: none of its own; no state is kept.
 */
#ifndef HOLM_MGR_CORE_ALLOC_H
#define HOLM_MGR_CORE_ALLOC_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALLOC_ROOT	     SIZE_MAX	  /* parent of who has none */
#define ALLOC_AMOUNT_MAX     (1ull << 61) /* of any amount, and of capacity x overcommit / 1000 */
#define ALLOC_SHARES_MIN     1u
#define ALLOC_SHARES_MAX     10000u
#define ALLOC_SHARES	     100u /* of who has no other */
#define ALLOC_PRIORITY_MAX   10	  /* -10 to 10 */
#define ALLOC_MEMBERS_MAX    (1u << 20)
#define ALLOC_OVERCOMMIT_MAX 100000u

enum alloc_policy { ALLOC_FIXED, ALLOC_DYNAMIC, ALLOC_MIXED, ALLOC_POLICY_COUNT };

/** A member: a leaf, or a pool, which stands before its members in the array. */
struct alloc_member {
	const char *name; /* for sentences; borrowed for the call */
	size_t parent;	  /* index of its pool, or ALLOC_ROOT */
	bool pool;
	enum alloc_policy policy;
	uint64_t reservation; /* in units of the resource */
	uint64_t limit;	      /* 0: none; else at least the reservation */
	uint64_t demand;      /* what it asks for; of a pool it is not read */
	unsigned shares;
	int priority;
	/* Results. */
	uint64_t floor, ceiling;
	uint64_t part;
};

/**
 * alloc_run() - divide @capacity x @overcommit / 1000 among the @n members.
 * @missing: receives by how much the floors did not fit, added up over all pools; 0 where they did
 *
 * Return: 0; -EINVAL (a member is not as its comments say; named), -ENOMEM.
 * On failure parts are as they were.
 */
int alloc_run(struct alloc_member *m, size_t n, uint64_t capacity, unsigned overcommit,
	      uint64_t *missing, struct err *e) MUST_CHECK;

/**
 * alloc_admit() - whether all reservations can be kept.
 * @unit: of the resource, for the sentence ("bytes")
 *
 * A pool's reservation counts whether its members use it or not, and is what its members' draw
 * on first; what they need beyond it the pool draws from its parent, up to its own limit.
 *
 * Return: 0; -ENOSPC with a sentence that names the pool, or the host, and by how much;
 * -EINVAL and -ENOMEM as alloc_run().
 */
int alloc_admit(const struct alloc_member *m, size_t n, uint64_t capacity, unsigned overcommit,
		const char *unit, struct err *e) MUST_CHECK;

/** alloc_factor() - what a priority multiplies shares with, in thousandths: 1.25^priority. */
unsigned alloc_factor(int priority);

/** "fixed", "dynamic" or "mixed"; -EINVAL with a sentence. */
const char *alloc_policy_name(enum alloc_policy p);
int alloc_policy_parse(enum alloc_policy *out, const char *name, struct err *e) MUST_CHECK;

#endif
