/* SPDX-License-Identifier: MIT */
/*
 * The event loop: descriptors, timers and posted calls on one thread.
 *
 * Theory of operation: one epoll set, one timerfd for the nearest timer, one eventfd for
 * loop_post(). A loop has a lock (in a VMM: the machine lock, under which every device runs).
 * The loop holds it whenever a callback runs and lets it go only to sleep, so a callback on the
 * loop's thread and a device access on a vCPU's thread never run at once.
 *
 * Threads: unless a function says otherwise, the caller holds the loop's lock (callbacks do).
 * Timers may be armed from any thread under the lock; a sleeping loop is re-armed through its
 * timerfd.
 */
#ifndef HOLM_BASE_LOOP_H
#define HOLM_BASE_LOOP_H

#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;

/** @events are EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR bits. Runs on the loop's thread, locked. */
typedef void (*loop_fd_fn)(void *arg, int fd, uint32_t events);
/** Runs on the loop's thread, locked. */
typedef void (*loop_fn)(void *arg);

/** A timer, embedded in its owner. Zero it, then loop_timer_init(). */
struct loop_timer {
	struct loop *loop;
	loop_fn fn;
	void *arg;
	uint64_t deadline_ns;		/* of the loop's clock; UINT64_MAX while disarmed */
	struct loop_timer *prev, *next; /* list of armed timers, nearest first */
};

/**
 * loop_create() - a loop on @clock (borrowed; must outlive it).
 *
 * With a fake clock (no host_ns) no timerfd is armed: the test moves the clock and calls
 * loop_poll().
 */
int loop_create(struct loop **out, const struct clock *clock, struct err *e) MUST_CHECK;

/** loop_destroy() - free it; all descriptors and timers must be gone. NULL is allowed. */
void loop_destroy(struct loop *l);

/** loop_lock() - take the loop's lock; not recursive. Any thread. */
void loop_lock(struct loop *l);
void loop_unlock(struct loop *l);

/** loop_clock() - the clock it was made with. Any thread. */
const struct clock *loop_clock(const struct loop *l);

/**
 * loop_fd_add() - watch @fd (borrowed) level-triggered for @events.
 *
 * Errors: -ENOMEM, -EEXIST (watched already), -EPERM (regular file).
 */
int loop_fd_add(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg,
		struct loop_fd **out, struct err *e) MUST_CHECK;

/** loop_fd_mod() - change the events; 0 leaves only errors and hang-up. */
void loop_fd_mod(struct loop_fd *f, uint32_t events);

/** loop_fd_del() - stop watching; after it returns the callback runs no more. NULL is allowed. */
void loop_fd_del(struct loop_fd *f);

/** loop_clock_changed() - the loop's clock was stopped, let go or set: look at the timers anew. */
void loop_clock_changed(struct loop *l);

/** loop_timer_init() - bind a zeroed timer to its loop and callback. */
void loop_timer_init(struct loop_timer *t, struct loop *l, loop_fn fn, void *arg);

/** loop_timer_arm() - fire once at @deadline_ns of the loop's clock; re-arms an armed one. */
void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns);

/** loop_timer_disarm() - no-op where it is not armed. */
void loop_timer_disarm(struct loop_timer *t);

static inline bool loop_timer_armed(const struct loop_timer *t)
{
	return t->deadline_ns != UINT64_MAX;
}

/**
 * loop_post() - run @fn once on the loop's thread, soon. Any thread, lock held or not.
 *
 * Errors: -ENOMEM.
 */
int loop_post(struct loop *l, loop_fn fn, void *arg) MUST_CHECK;

/** A posted call without allocation: embedded in its owner, zeroed, then loop_call_init(). */
struct loop_call {
	struct loop *loop;
	loop_fn fn;
	void *arg;
	bool pending;
	struct loop_call *next;
};

void loop_call_init(struct loop_call *c, struct loop *l, loop_fn fn, void *arg);
/** loop_call_schedule() - run it once on the loop's thread; idempotent while pending. Any thread.
 */
void loop_call_schedule(struct loop_call *c);
/** loop_call_cancel() - it will not run after this returns. Loop's lock held. */
void loop_call_cancel(struct loop_call *c);

/**
 * loop_poll() - one round: wait up to @timeout_ms (-1 for ever), then run what is due.
 *
 * Called without the lock, on the loop's thread. Return: callbacks run, or -errno.
 */
int loop_poll(struct loop *l, int timeout_ms);

/** loop_run() - loop_poll() until loop_stop(). Called without the lock. 0 or -errno. */
int loop_run(struct loop *l) MUST_CHECK;

/** loop_stop() - make loop_run() return. Any thread, signal handlers excepted. */
void loop_stop(struct loop *l);

#endif
