/* SPDX-License-Identifier: MIT */
/*
 * Logging: one line an event, to one descriptor.
 *
 * Theory of operation: a line is formatted on the caller's stack and written with one write(2),
 * so lines of several threads never mix; a line longer than LOG_LINE_MAX is cut. What a guest can
 * cause goes through log_guest(), which lets LOG_GUEST_BURST lines through and then
 * LOG_GUEST_PER_SEC a second for each `struct log_limit`, and counts the rest: a guest can never
 * fill a disk.
 *
 * Threads: all functions may be called from any thread. The descriptor and the level are set
 * once, before threads start.
 */
#ifndef HOLM_BASE_LOG_H
#define HOLM_BASE_LOG_H

#include "base/compiler.h"

#include <stdatomic.h>
#include <stdint.h>

#define LOG_LINE_MAX	  1024
#define LOG_GUEST_BURST	  16
#define LOG_GUEST_PER_SEC 1

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };

/** One limiter for each kind of guest-caused message; static zero is the start state. */
struct log_limit {
	atomic_uint_fast64_t window;  /* second of the monotonic clock the count is for */
	atomic_uint_fast32_t seen;    /* lines in the burst or in this second */
	atomic_uint_fast64_t dropped; /* lines not written since the start */
};

/** log_setup() - write to @fd (borrowed, -1: stderr) what is at @level or more urgent. */
void log_setup(int fd, enum log_level level);

/** log_enabled() - whether a line of @level would be written. */
int log_enabled(enum log_level level);

/** log_line() - write one line; @area is the folder or device ("virtio-blk"). */
void log_line(enum log_level level, const char *area, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** log_guest() - as log_line() at LOG_WARN for what a guest caused, bounded by @limit. */
void log_guest(struct log_limit *limit, const char *area, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
