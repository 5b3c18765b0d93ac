/* SPDX-License-Identifier: MIT */
/*
 * Events, see event.h.
 */
#include "mgr/core/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text_of(const struct event *ev, uint64_t at_ns, const char *target, json_t *data)
{
	char at[CLOCK_TEXT_LEN];
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o?}", "seq", (json_int_t)ev->seq,
			      "at", clock_format(at, at_ns), "type", ev->type, "id", ev->id,
			      "target", target, "project", ev->project, "data", data);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

void target_write(char buf[TARGET_MAX], const char *kind, const char *name)
{
	snprintf(buf, TARGET_MAX, "%s/%s", kind, name);
}

void event_tell(struct event_log *l, const char *type, const char *id, const char *target,
		const char *project, json_t *data)
{
	struct event *ev = &l->ring[(l->next_seq + 1) % EVENT_KEEP];
	struct event_listener *el;

	free(ev->text);
	*ev = (struct event) { .seq = ++l->next_seq, .type = type };
	snprintf(ev->id, sizeof(ev->id), "%s", id);
	snprintf(ev->project, sizeof(ev->project), "%s", project);
	ev->text = text_of(ev, l->clock->wall_ns(l->clock), target, data);
	for (el = l->listeners; el; el = l->walk) {
		l->walk = el->next;
		el->fn(el->ctx, ev);
	}
}

void event_listen(struct event_log *l, struct event_listener *el)
{
	el->prev = NULL;
	el->next = l->listeners;
	if (el->next)
		el->next->prev = el;
	l->listeners = el;
}

void event_unlisten(struct event_log *l, struct event_listener *el)
{
	if (l->walk == el)
		l->walk = el->next;
	if (el->next)
		el->next->prev = el->prev;
	if (el->prev)
		el->prev->next = el->next;
	else
		l->listeners = el->next;
}

const struct event *event_since(const struct event_log *l, uint64_t seq)
{
	uint64_t oldest = l->next_seq >= EVENT_KEEP ? l->next_seq - EVENT_KEEP + 1 : 1;
	uint64_t wanted = seq + 1 > oldest ? seq + 1 : oldest;

	return wanted > l->next_seq ? NULL : &l->ring[wanted % EVENT_KEEP];
}

void event_log_free(struct event_log *l)
{
	for (unsigned i = 0; i < EVENT_KEEP; i++)
		free(l->ring[i].text);
	memset(l->ring, 0, sizeof(l->ring));
}
