/* SPDX-License-Identifier: MIT */
/*
 * holm events: what happens, from the manager's server-sent events.
 *
 * Theory of operation: with --follow a connection that ends is made again from the last event
 * seen, so that a restart of the manager loses nothing; it gives up when nobody answers.
 */
#include "base/fd.h"
#include "cli/sse.h"
#include "cli/text.h"
#include "cli/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDLE_MS 500 /* without --follow: silent for so long means that all were sent */
#define TRIES	5   /* connections in a row without any event */

struct events {
	struct session s;
	struct sse sse;
	bool follow, any;
	char since[64];
};

/* " KEY=VALUE" of each scalar, those of objects within, too; strings quoted where need be. */
static void print_members(FILE *f, json_t *object, unsigned depth)
{
	/* What stands in front, or what --format json is for. */
	static const char *const left_out[] = { "at",	   "type",    "target", "id",
						"project", "created", "ended" };
	const char *key;
	json_t *v;

	json_object_foreach(object, key, v)
	{
		MEM_AUTO char *text = NULL;
		const char *s = json_string_value(v);
		bool skip = json_is_null(v) || json_is_array(v);

		for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
			skip |= !strcmp(key, left_out[i]);
		if (skip)
			continue;
		if (json_is_object(v)) {
			if (depth < 2)
				print_members(f, v, depth + 1);
			continue;
		}
		if (!s || !*s || strpbrk(s, " \"="))
			text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
		fprintf(f, " %s=%s", key, text ? text : s ? s : "?");
	}
}

/* "AT TYPE TARGET KEY=VALUE ..." */
static void print_line(const char *type, json_t *event)
{
	const char *at = json_string_value(json_object_get(event, "at"));
	const char *target = json_string_value(json_object_get(event, "target"));
	MEM_AUTO char *line = NULL, *clean = NULL;
	size_t len;
	FILE *f = open_memstream(&line, &len);

	if (!f)
		return;
	fprintf(f, "%s %s %s", at ? at : "-", type, target ? target : "-");
	print_members(f, event, 0);
	fclose(f);
	clean = line ? text_clean(line, len, "") : NULL;
	if (clean)
		puts(clean);
}

static int on_event(void *ctx, const char *id, const char *type, const char *data, struct err *e)
{
	struct events *ev = ctx;
	json_t *event = json_loads(data, 0, NULL);

	ev->any = true;
	if (*id)
		snprintf(ev->since, sizeof(ev->since), "%s", id);
	if (!json_is_object(event)) {
		json_decref(event);
		return err_set(e, -EIO, "an event of the manager's is not a JSON object");
	}
	if (!*type && json_is_string(json_object_get(event, "type")))
		type = json_string_value(json_object_get(event, "type"));
	if (ev->s.output.format == OUTPUT_JSON) {
		MEM_AUTO char *text = json_dumps(event, JSON_COMPACT | JSON_ENSURE_ASCII);

		puts(text ? text : "");
	} else {
		print_line(*type ? type : "event", event);
	}
	json_decref(event);
	return fflush(stdout) ? err_set(e, -EPIPE, "cannot write events: %s", strerror(errno)) : 0;
}

static int on_data(void *ctx, const char *data, size_t len, struct err *e)
{
	struct events *ev = ctx;

	return sse_feed(&ev->sse, data, len, e);
}

static int connection(struct events *ev, struct err *e)
{
	const struct url *url;
	struct url u;
	int ret;

	url_init(&u, "/v1/events");
	url_query(&u, "since", ev->since[0] ? ev->since : NULL);
	url = &u;
	sse_init(&ev->sse, on_event, ev);
	ret = client_call(ev->s.client,
			  &(const struct client_request) { .method = "GET",
							   .url = url,
							   .sink = on_data,
							   .ctx = ev,
							   .idle_ms = ev->follow ? 0 : IDLE_MS },
			  NULL, NULL, e);
	sse_free(&ev->sse);
	return ret;
}

static int follow(struct events *ev, struct err *e)
{
	int ret = 0;

	for (int left = TRIES; left > 0; left--) {
		ev->any = false;
		ret = connection(ev, e);
		if (!ev->follow || (ret && ret != -EIO && ret != -ECONNREFUSED))
			return ret;
		if (ev->any)
			left = TRIES;
		nanosleep(&(struct timespec) { .tv_nsec = 500000000 }, NULL);
	}
	return ret ? ret : err_set(e, -EIO, "the manager ends the events again and again");
}

int cmd_events(const struct cmd *self, int argc, char **argv)
{
	struct events ev = { 0 };
	const struct cmd_option *opt;
	const char *value;
	struct err e = { 0 };
	int ret;

	session_init(&ev.s, self, argc, argv);
	while ((ret = session_next(&ev.s, &opt, &value, &e)) > 0) {
		if (!strcmp(opt->name, "follow")) {
			ev.follow = true;
			continue;
		}
		if (!*value || strspn(value, "0123456789") != strlen(value) || strlen(value) > 20) {
			ret = err_set(&e, -EINVAL, "--since '%.80s' is no number", value);
			break;
		}
		snprintf(ev.since, sizeof(ev.since), "%s", value);
	}
	/* What the manager still has begins at 0; without a number only news come. */
	if (!ret && !ev.follow && !ev.since[0])
		ev.since[0] = '0';
	if (!ret)
		ret = session_want(&ev.s, 0, 0, &e);
	if (!ret)
		ret = session_open(&ev.s, &e);
	if (!ret)
		ret = follow(&ev, &e);
	return session_close(&ev.s, ret, &e);
}
