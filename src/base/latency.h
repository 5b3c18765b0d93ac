/* SPDX-License-Identifier: MIT */
/*
 * A histogram of times in buckets that double: 1 us, 2 us, 4 us ... 16.8 s.
 *
 * Bucket i counts what took more than 2^(i-1) and at most 2^i microseconds; the first one all up
 * to 1 us, and the last one also what took longer than its bound.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_BASE_LATENCY_H
#define HOLM_BASE_LATENCY_H

#include "base/compiler.h"

#include <stdint.h>

#define LATENCY_BUCKETS 25u

struct latency {
	uint64_t n[LATENCY_BUCKETS];
};

/** latency_bucket() - the one for @ns nanoseconds. */
static inline unsigned latency_bucket(uint64_t ns)
{
	/* Rounded up, 1001 ns are above 1 us. */
	uint64_t us = ns / 1000 + (ns % 1000 != 0);
	unsigned i = us > 1 ? 64u - (unsigned)__builtin_clzll(us - 1) : 0;

	return MIN(i, LATENCY_BUCKETS - 1);
}

static inline void latency_add(struct latency *h, uint64_t ns)
{
	h->n[latency_bucket(ns)]++;
}

#endif
