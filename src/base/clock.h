/* SPDX-License-Identifier: MIT */
/*
 * Time as devices see it: a small interface, so that tests can pass a clock that they move.
 *
 * Units are nanoseconds everywhere; names of variables end in _ns.
 */
#ifndef HOLM_BASE_CLOCK_H
#define HOLM_BASE_CLOCK_H

#include "base/compiler.h"

#include <stdint.h>

#define CLOCK_NS_PER_SEC 1000000000ULL
#define CLOCK_NS_PER_MS	 1000000ULL
#define CLOCK_NS_PER_US	 1000ULL

/** A source of time. Both functions may be called from any thread. */
struct clock {
	/** Nanoseconds that never go back; the origin is arbitrary. */
	uint64_t (*mono_ns)(const struct clock *c);
	/** Nanoseconds since 1970-01-01 00:00 UTC. */
	uint64_t (*wall_ns)(const struct clock *c);
	/**
	 * What CLOCK_MONOTONIC of the host shows when this clock shows @mono_ns; UINT64_MAX: not
	 * as things stand. NULL: a clock that a test moves.
	 */
	uint64_t (*host_ns)(const struct clock *c, uint64_t mono_ns);
};

/** The host's CLOCK_MONOTONIC and CLOCK_REALTIME. */
extern const struct clock clock_host;

/** A clock that stands until a test moves it. */
struct clock_fake {
	struct clock clock; /* must be first; filled by clock_fake_init() */
	uint64_t mono;
	uint64_t wall;
};

/** clock_fake_init() - both times at @mono and @wall nanoseconds. */
void clock_fake_init(struct clock_fake *f, uint64_t mono, uint64_t wall);

/** clock_fake_advance() - move both times forward by @ns. */
void clock_fake_advance(struct clock_fake *f, uint64_t ns);

/** clock_monotonic_ns() - CLOCK_MONOTONIC of the host. */
uint64_t clock_monotonic_ns(void);

#endif
