/* SPDX-License-Identifier: MIT */
/*
 * What happened lately, and those who want to hear of it.
 *
 * Theory of operation: a ring of the last EVENT_KEEP events with a number each. A listener is
 * called for each new one, at once; a reader that comes later asks for all since a number and is
 * told where some are gone.
 */
#ifndef HOLM_MGR_CORE_EVENT_H
#define HOLM_MGR_CORE_EVENT_H

#include "base/clock.h"
#include "base/compiler.h"

#include <jansson.h>

#include <stdint.h>

#define EVENT_KEEP 1024

#define TARGET_MAX 80

/** target_write() - "vm/web": how events, operations and the audit log name what they are about. */
void target_write(char buf[TARGET_MAX], const char *kind, const char *name);

struct event {
	uint64_t seq;	  /* from 1 */
	const char *type; /* "vm.state", "operation", "network"; static */
	char id[17];	  /* of the object */
	char project[65]; /* who may see it; "": all who may see anything */
	char *text;	  /* the event as JSON on one line; owned by the log */
};

struct event_listener {
	void (*fn)(void *ctx, const struct event *ev);
	void *ctx;
	struct event_listener *prev, *next;
};

struct event_log {
	const struct clock *clock;
	struct event ring[EVENT_KEEP];
	uint64_t next_seq; /* 0 before the first */
	struct event_listener *listeners;
	struct event_listener *walk; /* the next to be told, for those who leave meanwhile */
};

/**
 * event_tell() - log and tell one. @data is taken; NULL: no more to say than the type.
 * Shown as {"seq", "at", "type", "id", "target", "project", "data"}.
 */
void event_tell(struct event_log *l, const char *type, const char *id, const char *target,
		const char *project, json_t *data);
/** event_listen() - @el is the caller's until event_unlisten(), also from within @el->fn. */
void event_listen(struct event_log *l, struct event_listener *el);
void event_unlisten(struct event_log *l, struct event_listener *el);
/** event_since() - the oldest kept event with a number above @seq, or NULL. */
const struct event *event_since(const struct event_log *l, uint64_t seq);
void event_log_free(struct event_log *l);

#endif
