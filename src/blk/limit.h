/* SPDX-License-Identifier: MIT */
/*
 * One limit of bytes a second for all disks of a VM, and the requests that wait for it.
 *
 * Theory of operation: what the disks' cores may start is asked of the limit first. While the
 * bucket is empty, requests wait here in one row, of all disks, in the order they came; a timer
 * starts them. Whatever comes while others wait goes behind them, so a flush never passes a write
 * that came before it. How many can wait is bounded by the disks' submitters, which own the
 * requests. Reads and writes cost their bytes; a flush costs nothing; a discard or write-zeroes
 * moves none and costs a sector.
 *
 * While a disk is held (blk_hold()) the row stands: nothing of any disk is started from it. The
 * machine holds all of them together.
 *
 * Threads: machine lock held throughout.
 */
#ifndef HOLM_BLK_LIMIT_H
#define HOLM_BLK_LIMIT_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/rate.h"

#include <stdbool.h>
#include <stdint.h>

struct blk;
struct blk_req;

/** A zeroed one, then blk_limit_init(). */
struct blk_limit {
	struct rate rate;
	struct loop_timer timer;
	const struct clock *clock;
	struct blk_req *first, **tail; /* that wait */
	unsigned held;		       /* disks that stand */
};

/** blk_limit_init() - no limit yet. @loop: borrowed. */
void blk_limit_init(struct blk_limit *l, struct loop *loop);
/** blk_limit_fini() - nothing waits any more. */
void blk_limit_fini(struct blk_limit *l);
/** blk_limit_set() - @per_sec bytes a second from now on, at most RATE_MAX; 0: no limit. */
void blk_limit_set(struct blk_limit *l, uint64_t per_sec);

/* The rest is the core's (blk.c). */

/** blk_limit_on() - whether a request has to ask. */
static inline bool blk_limit_on(const struct blk_limit *l)
{
	return l && (rate_limited(&l->rate) || l->first);
}

/** blk_limit_wait() - true: @r waits, and blk_start() is called for it later. */
bool blk_limit_wait(struct blk_limit *l, struct blk_req *r) MUST_CHECK;
/** blk_limit_take() - those of @k that wait, out of the row, as a list in their order. */
struct blk_req *blk_limit_take(struct blk_limit *l, const struct blk *k) MUST_CHECK;
/** blk_limit_hold() - one disk more (@on) or less stands. */
void blk_limit_hold(struct blk_limit *l, bool on);
/** blk_start() - hand a checked request to its provider. */
void blk_start(struct blk_req *r);

#endif
