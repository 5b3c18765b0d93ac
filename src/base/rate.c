/* SPDX-License-Identifier: MIT */
/*
 * Token buckets, see rate.h.
 */
#include "base/rate.h"

#include "base/compiler.h"

__extension__ typedef unsigned __int128 wide_t;

/* Far below UINT64_MAX, with which timers mean "never". */
static uint64_t later(uint64_t ns, wide_t by)
{
	return (uint64_t)MIN(ns + by, (wide_t)INT64_MAX);
}

void rate_set(struct rate *r, uint64_t per_sec, uint64_t now_ns)
{
	uint64_t old = r->per_sec;

	BUG_ON(per_sec > RATE_MAX);
	r->per_sec = per_sec;
	r->rest = 0;
	if (!old || !per_sec)
		r->free_ns = now_ns - MIN(now_ns, RATE_BURST_NS);
	else if (r->free_ns > now_ns)
		r->free_ns = later(now_ns, (wide_t)(r->free_ns - now_ns) * old / per_sec);
}

void rate_charge(struct rate *r, uint64_t now_ns, uint64_t bytes)
{
	wide_t owed;

	if (!r->per_sec)
		return;
	if (now_ns > RATE_BURST_NS && r->free_ns < now_ns - RATE_BURST_NS) {
		r->free_ns = now_ns - RATE_BURST_NS;
		r->rest = 0;
	}
	owed = (wide_t)bytes * CLOCK_NS_PER_SEC + r->rest;
	r->free_ns = later(r->free_ns, owed / r->per_sec);
	r->rest = (uint64_t)(owed % r->per_sec);
}
