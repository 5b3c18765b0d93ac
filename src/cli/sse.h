/* SPDX-License-Identifier: MIT */
/*
 * Server-sent events (HTML Living Standard, 9.2.6), parsed as the bytes come.
 *
 * Limits: an event's data is at most SSE_MAX bytes; what is longer is an error, as the peer is
 * not trusted with our memory.
 */
#ifndef HOLM_CLI_SSE_H
#define HOLM_CLI_SSE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define SSE_MAX (1u << 20)

/** One event; strings are borrowed for the call. @type and @id are "" where none was sent. */
typedef int (*sse_event_fn)(void *ctx, const char *id, const char *type, const char *data,
			    struct err *e);

struct sse {
	sse_event_fn fn;
	void *ctx;
	char *line, *data; /* growing; not NUL-terminated while they grow */
	size_t line_len, line_room, data_len, data_room;
	char id[64], type[64];
	bool has_data, skip_lf, started;
};

void sse_init(struct sse *s, sse_event_fn fn, void *ctx);
void sse_free(struct sse *s);
/** sse_feed() - some bytes; 0, what the callback returned, -EFBIG or -ENOMEM. */
int sse_feed(struct sse *s, const char *buf, size_t len, struct err *e) MUST_CHECK;

#endif
