/* SPDX-License-Identifier: MIT */
/*
 * Waiting requests, see wait.h.
 */
#include "mgr/api/wait.h"

#include "mgr/api/reply.h"

#include <stdlib.h>

static void end(struct wait *w)
{
	event_unlisten(&w->ctx->mgr->events, &w->listener);
	loop_timer_disarm(&w->timer);
	free(w);
}

static void on_event(void *arg, const struct event *ev UNUSED)
{
	struct wait *w = arg;

	/* Answered from the timer, because an event is told in mid-change. */
	if (w->ready(w))
		loop_timer_arm(&w->timer, 0);
}

static void on_timer(void *arg)
{
	struct wait *w = arg;

	w->answer(w, !w->ready(w));
	end(w);
}

static void on_cancel(struct api_request *r)
{
	end(r->pending);
}

void wait_begin(const struct wait *what, uint64_t timeout_ms)
{
	struct wait now = *what, *w;
	const struct clock *c = loop_clock(what->ctx->loop);

	if (!timeout_ms || now.ready(&now)) {
		now.answer(&now, !now.ready(&now));
		return;
	}
	w = malloc(sizeof(*w));
	if (!w) {
		api_fail(now.r, API_NO_RESOURCE, "no memory to wait");
		return;
	}
	*w = now;
	w->r->pending = w;
	w->r->cancel = on_cancel;
	w->listener = (struct event_listener) { .fn = on_event, .ctx = w };
	event_listen(&w->ctx->mgr->events, &w->listener);
	w->timer = (struct loop_timer) { 0 };
	loop_timer_init(&w->timer, w->ctx->loop, on_timer, w);
	loop_timer_arm(&w->timer, c->mono_ns(c) + timeout_ms * CLOCK_NS_PER_MS);
}
