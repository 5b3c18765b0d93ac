/* SPDX-License-Identifier: MIT */
/*
 * Logging, see log.h.
 */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The one piece of mutable global state: set once before threads start (tools/globals.allow). */
static struct {
	int fd;
	enum log_level level;
} log_state = { .fd = STDERR_FILENO, .level = LOG_INFO };

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};
static_assert(ARRAY_SIZE(level_names) == LOG_LEVEL_COUNT, "a name for each level");

void log_setup(int fd, enum log_level level)
{
	log_state.fd = fd < 0 ? STDERR_FILENO : fd;
	log_state.level = level;
}

int log_enabled(enum log_level level)
{
	return level <= log_state.level;
}

static void PRINTF_LIKE(3, 0)
	log_v(enum log_level level, const char *area, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	int n, m;

	n = snprintf(line, sizeof(line), "holm: %s: %s: ", level_names[level], area);
	if (n < 0 || (size_t)n >= sizeof(line) - 1)
		return;
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	if (m < 0)
		return;
	n += m;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	/* A guest's bytes must not reach a terminal as control sequences. */
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	if (write(log_state.fd, line, (size_t)n) < 0)
		return; /* nowhere left to say so */
}

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	log_v(level, area, fmt, ap);
	va_end(ap);
}

void log_guest(struct log_limit *limit, const char *area, const char *fmt, ...)
{
	uint64_t second = clock_monotonic_ns() / CLOCK_NS_PER_SEC;
	uint_fast32_t seen;
	va_list ap;

	if (!log_enabled(LOG_WARN))
		return;
	seen = atomic_load_explicit(&limit->seen, memory_order_relaxed);
	if (seen >= LOG_GUEST_BURST) {
		if (atomic_exchange_explicit(&limit->window, second, memory_order_relaxed) ==
		    second) {
			atomic_fetch_add_explicit(&limit->dropped, 1, memory_order_relaxed);
			return;
		}
	} else {
		atomic_store_explicit(&limit->window, second, memory_order_relaxed);
		atomic_fetch_add_explicit(&limit->seen, 1, memory_order_relaxed);
	}
	va_start(ap, fmt);
	log_v(LOG_WARN, area, fmt, ap);
	va_end(ap);
}
