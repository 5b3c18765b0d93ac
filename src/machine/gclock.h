/* SPDX-License-Identifier: MIT */
/*
 * The machine's clock: the host's, less the times for which the machine stood still.
 *
 * All devices and the loop run on it, so that while it stands no timer of theirs comes due. The
 * wall clock is the host's and never stands.
 *
 * Threads: read from any; gclock_stop() and gclock_go() under the machine lock, which then calls
 * loop_clock_changed().
 */
#ifndef HOLM_MACHINE_GCLOCK_H
#define HOLM_MACHINE_GCLOCK_H

#include "base/clock.h"

#include <stdatomic.h>

struct gclock {
	struct clock clock;
	const struct clock *host;
	atomic_uint_fast64_t stood_ns; /* in all, without the present standing */
	atomic_uint_fast64_t since_ns; /* what it shows while it stands; 0: it goes */
};

/** gclock_init() - it goes and shows what @host (borrowed) shows. */
void gclock_init(struct gclock *g, const struct clock *host);
/** gclock_set() - show @ns from now on; it goes. Nobody has read it yet. */
void gclock_set(struct gclock *g, uint64_t ns);
/** gclock_stop() - stand still; no-op where it stands. */
void gclock_stop(struct gclock *g);
/** gclock_go() - go on; returns for how long it stood, 0 where it did not. */
uint64_t gclock_go(struct gclock *g);

#endif
