/* SPDX-License-Identifier: MIT */
/*
 * A token bucket: bytes a second, for what is let through or has to wait.
 *
 * Theory of operation: the bucket is kept as the time at which all that was taken is paid for
 * (the "generic cell rate algorithm"). What is let through moves that time on by size / rate; the
 * division's remainder is carried, so there is no drift. Something may go as soon as the time has
 * come, whatever its size: a request larger than the burst goes, too, and the next one waits the
 * longer. Time that nobody used is kept up to RATE_BURST_NS. Over any stretch of T seconds at
 * most rate * (T + 0.1 s) bytes and one request go.
 *
 * The time is passed in, so that a bucket needs no clock of its own.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_BASE_RATE_H
#define HOLM_BASE_RATE_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define RATE_BURST_NS (100 * CLOCK_NS_PER_MS)
#define RATE_MAX      (1ull << 50) /* bytes a second */

/** A zeroed one has no limit. */
struct rate {
	uint64_t per_sec; /* bytes; 0: no limit */
	uint64_t free_ns; /* when all that was taken is paid for */
	uint64_t rest;	  /* of the division, below per_sec: bytes * ns not yet in free_ns */
};

/**
 * rate_set() - @per_sec bytes a second from @now_ns on, at most RATE_MAX; 0: no limit.
 *
 * What is owed stays owed, in bytes. A bucket that had no limit begins full.
 */
void rate_set(struct rate *r, uint64_t per_sec, uint64_t now_ns);

/** rate_charge() - @bytes go now; nothing happens where there is no limit. */
void rate_charge(struct rate *r, uint64_t now_ns, uint64_t bytes);

/** rate_limited() - whether there is a limit at all. */
static inline bool rate_limited(const struct rate *r)
{
	return r->per_sec != 0;
}

/** rate_ready() - whether something may go now; where not, r->free_ns says when. */
static inline bool rate_ready(const struct rate *r, uint64_t now_ns)
{
	return !r->per_sec || r->free_ns <= now_ns;
}

#endif
