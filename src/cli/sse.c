/* SPDX-License-Identifier: MIT */
/*
 * Server-sent events, see sse.h.
 */
#include "cli/sse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sse_init(struct sse *s, sse_event_fn fn, void *ctx)
{
	*s = (struct sse) { .fn = fn, .ctx = ctx };
}

void sse_free(struct sse *s)
{
	free(s->line);
	free(s->data);
	*s = (struct sse) { 0 };
}

/* Append @len bytes and keep room for a NUL. */
static int grow(char **buf, size_t *used, size_t *room, const char *add, size_t len, struct err *e)
{
	if (*used + len + 1 > SSE_MAX)
		return err_set(e, -EFBIG, "an event is larger than %u bytes", SSE_MAX);
	if (*used + len + 1 > *room) {
		size_t want = MAX(*used + len + 1, *room * 2);
		char *more = realloc(*buf, want);

		if (!more)
			return err_set(e, -ENOMEM, "no memory for an event");
		*buf = more;
		*room = want;
	}
	if (len)
		memcpy(*buf + *used, add, len);
	*used += len;
	(*buf)[*used] = '\0';
	return 0;
}

static int dispatch(struct sse *s, struct err *e)
{
	int ret = 0;

	if (s->has_data) {
		/* Each line of data added a newline; the last one is none of the data. */
		s->data[s->data_len - 1] = '\0';
		ret = s->fn(s->ctx, s->id, s->type, s->data, e);
	}
	s->has_data = false;
	s->data_len = 0;
	s->type[0] = '\0';
	return ret;
}

static int line_end(struct sse *s, struct err *e)
{
	static const char bom[] = "\xef\xbb\xbf";
	char *line, *value, *colon;
	int ret = grow(&s->line, &s->line_len, &s->line_room, "", 0, e);

	if (ret)
		return ret;
	line = s->line;
	s->line_len = 0;
	if (!s->started && !strncmp(line, bom, 3))
		line += 3;
	s->started = true;
	if (!*line)
		return dispatch(s, e);
	colon = strchr(line, ':');
	if (colon == line)
		return 0; /* a comment, which keeps the connection alive */
	value = colon ? colon + 1 : line + strlen(line);
	if (colon)
		*colon = '\0';
	if (*value == ' ')
		value++;
	if (!strcmp(line, "data")) {
		s->has_data = true;
		ret = grow(&s->data, &s->data_len, &s->data_room, value, strlen(value), e);
		if (!ret)
			ret = grow(&s->data, &s->data_len, &s->data_room, "\n", 1, e);
	} else if (!strcmp(line, "id")) {
		snprintf(s->id, sizeof(s->id), "%s", value);
	} else if (!strcmp(line, "event")) {
		snprintf(s->type, sizeof(s->type), "%s", value);
	}
	return ret;
}

int sse_feed(struct sse *s, const char *buf, size_t len, struct err *e)
{
	const char *end = buf + len;

	while (buf < end) {
		const char *stop = buf;
		int ret;

		if (s->skip_lf && *buf == '\n') {
			s->skip_lf = false;
			buf++;
			continue;
		}
		s->skip_lf = false;
		while (stop < end && *stop != '\n' && *stop != '\r')
			stop++;
		ret = grow(&s->line, &s->line_len, &s->line_room, buf, (size_t)(stop - buf), e);
		if (!ret && stop < end) {
			s->skip_lf = *stop == '\r';
			stop++;
			ret = line_end(s, e);
		}
		if (ret)
			return ret;
		buf = stop;
	}
	return 0;
}
