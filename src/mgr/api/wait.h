/* SPDX-License-Identifier: MIT */
/*
 * Requests that are answered when something has happened, or when their time is over.
 */
#ifndef HOLM_MGR_API_WAIT_H
#define HOLM_MGR_API_WAIT_H

#include "mgr/api/ctx.h"

#define WAIT_MS_MAX 60000u

struct wait {
	struct api_ctx *ctx;
	struct api_request *r;
	/** Whether it has happened. */
	bool (*ready)(const struct wait *w);
	/** Answer; @timeout: it has not happened. */
	void (*answer)(struct wait *w, bool timeout);
	char id[17];	/* of the object waited for */
	unsigned state; /* waited for, as @ready understands it */
	struct event_listener listener;
	struct loop_timer timer;
};

/**
 * wait_begin() - answer now where @what is ready, else later.
 * @what:       copied; ctx, r, ready, answer, id and state are filled
 * @timeout_ms: 0: answer at once
 */
void wait_begin(const struct wait *what, uint64_t timeout_ms);

#endif
