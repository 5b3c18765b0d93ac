/* SPDX-License-Identifier: MIT */
/*
 * The manager's protocol with a VM's process, see control.h.
 *
 * Theory of operation: a packet is parsed by jansson and its members are taken out one by one by
 * name and type; whatever is left over then is unknown and refused by name. The kinds of packet
 * never share a decoder, so no field of one is taken for another's.
 */
#include "proto/control.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest integer that every JSON reader takes exactly. */
#define ID_MAX (1ll << 53)

static const struct {
	const char *name;
	bool target, forward; /* the arguments it takes, all of them mandatory */
	bool limits;	      /* io, net: at least one of them */
} commands[] = {
	[CONTROL_PAUSE] = { .name = "pause" },
	[CONTROL_RESUME] = { .name = "resume" },
	[CONTROL_SHUTDOWN] = { .name = "shutdown" },
	[CONTROL_RESET] = { .name = "reset" },
	[CONTROL_QUIT] = { .name = "quit" },
	[CONTROL_STATS] = { .name = "stats" },
	[CONTROL_BALLOON] = { .name = "balloon", .target = true },
	[CONTROL_PUBLISH] = { .name = "publish", .forward = true },
	[CONTROL_UNPUBLISH] = { .name = "unpublish", .forward = true },
	[CONTROL_LIMITS] = { .name = "limits", .limits = true },
	[CONTROL_SAVE] = { .name = "save" },
};
static_assert(ARRAY_SIZE(commands) == CONTROL_DO_COUNT, "a row for each command");

static const char *const states[] = {
	[CONTROL_RUNNING] = "running",
	[CONTROL_PAUSED] = "paused",
	[CONTROL_ENDING] = "ending",
};
static_assert(ARRAY_SIZE(states) == CONTROL_STATE_COUNT, "a name for each state");

static const char *const kinds[] = {
	[CONTROL_HELLO] = "hello",
	[CONTROL_STATE] = "state",
	[CONTROL_END] = "end",
};
static_assert(ARRAY_SIZE(kinds) == CONTROL_KIND_COUNT, "a name for each event");

const char *control_do_name(enum control_do what)
{
	return commands[what].name;
}

const char *control_state_name(enum control_state s)
{
	return states[s];
}

/* --- taking an object apart; each take_ removes the member, so that what is left is unknown --- */

static int take_string(json_t *o, const char *key, char *out, size_t size, struct err *e)
{
	json_t *v = json_object_get(o, key);

	if (!v)
		return err_set(e, -EINVAL, "field '%s' is missing", key);
	if (!json_is_string(v))
		return err_set(e, -EINVAL, "field '%s' is not a string", key);
	if (json_string_length(v) >= size)
		return err_set(e, -ERANGE, "field '%s' is longer than %zu bytes", key, size - 1);
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	json_object_del(o, key);
	return 0;
}

static int take_integer(json_t *o, const char *key, json_int_t min, json_int_t max, json_int_t *out,
			struct err *e)
{
	json_t *v = json_object_get(o, key);

	if (!v)
		return err_set(e, -EINVAL, "field '%s' is missing", key);
	if (!json_is_integer(v))
		return err_set(e, -EINVAL, "field '%s' is not an integer", key);
	if (json_integer_value(v) < min || json_integer_value(v) > max)
		return err_set(e, -ERANGE, "field '%s' is out of range", key);
	*out = json_integer_value(v);
	json_object_del(o, key);
	return 0;
}

static int take_id(json_t *o, uint64_t min, uint64_t *out, struct err *e)
{
	json_int_t id;
	int ret = take_integer(o, "id", (json_int_t)min, ID_MAX, &id, e);

	if (!ret)
		*out = (uint64_t)id;
	return ret;
}

static int take_state(json_t *o, enum control_state *out, struct err *e)
{
	char word[CONTROL_WORD_MAX + 1];
	int ret = take_string(o, "state", word, sizeof(word), e);

	if (ret)
		return ret;
	for (unsigned i = 0; i < CONTROL_STATE_COUNT; i++)
		if (!strcmp(states[i], word)) {
			*out = (enum control_state)i;
			return 0;
		}
	return err_set(e, -EINVAL, "state '%s' is none: it is running, paused or ending", word);
}

static int nothing_left(json_t *o, struct err *e)
{
	const char *key = json_object_iter_key(json_object_iter(o));

	return key ? err_set(e, -EINVAL, "unknown field '%.80s'", key) : 0;
}

static int parse(json_t **out, const char *text, size_t len, struct err *e)
{
	json_error_t why;

	if (len > CONTROL_PACKET_MAX)
		return err_set(e, -E2BIG, "a packet has at most %u bytes", CONTROL_PACKET_MAX);
	*out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!*out)
		return err_set(e, -EINVAL, "not valid JSON: %s", why.text);
	if (!json_is_object(*out)) {
		json_decref(*out);
		return err_set(e, -EINVAL, "not a JSON object");
	}
	return 0;
}

/* --- requests ----------------------------------------------------------------------------------
 */

static int take_what(json_t *o, enum control_do *out, struct err *e)
{
	char word[CONTROL_WORD_MAX + 1];
	int ret = take_string(o, "do", word, sizeof(word), e);

	if (ret)
		return ret;
	for (unsigned i = 0; i < CONTROL_DO_COUNT; i++)
		if (!strcmp(commands[i].name, word)) {
			*out = (enum control_do)i;
			return 0;
		}
	return err_set(e, -EOPNOTSUPP, "there is no command '%s'", word);
}

static int take_limit(json_t *o, const char *key, bool *given, uint64_t *out, struct err *e)
{
	json_int_t n = 0;
	int ret;

	if (!json_object_get(o, key))
		return 0;
	ret = take_integer(o, key, 0, CONTROL_LIMIT_MAX, &n, e);
	*given = !ret;
	*out = (uint64_t)n;
	return ret;
}

static int take_limits(struct control_request *r, json_t *o, struct err *e)
{
	int ret = take_limit(o, "io", &r->io_given, &r->io, e);

	if (!ret)
		ret = take_limit(o, "net", &r->net_given, &r->net, e);
	if (!ret && !r->io_given && !r->net_given)
		ret = err_set(e, -EINVAL, "field 'io' or 'net' is missing");
	return ret;
}

static int request_take(struct control_request *r, json_t *o, struct err *e)
{
	json_int_t target = 0;
	int ret = take_id(o, 1, &r->id, e);

	if (!ret)
		ret = take_what(o, &r->what, e);
	if (!ret && commands[r->what].target)
		ret = take_integer(o, "target", 0, ID_MAX, &target, e);
	if (!ret && commands[r->what].forward)
		ret = take_string(o, "forward", r->forward, sizeof(r->forward), e);
	if (!ret && commands[r->what].limits)
		ret = take_limits(r, o, e);
	r->target = (uint64_t)target;
	return ret ? ret : nothing_left(o, e);
}

int control_request_decode(struct control_request *out, const char *text, size_t len, struct err *e)
{
	struct control_request r = { 0 };
	json_t *o;
	int ret;

	*out = r;
	ret = parse(&o, text, len, e);
	if (ret)
		return ret;
	ret = request_take(&r, o, e);
	json_decref(o);
	if (ret)
		out->id = r.id;
	else
		*out = r;
	return ret;
}

/* Takes @o over. */
static char *dump(json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

char *control_request_encode(const struct control_request *r)
{
	json_t *o = json_pack("{s:I, s:s}", "id", (json_int_t)r->id, "do", commands[r->what].name);

	if (o && commands[r->what].target)
		json_object_set_new(o, "target", json_integer((json_int_t)r->target));
	if (o && commands[r->what].forward)
		json_object_set_new(o, "forward", json_string(r->forward));
	if (o && commands[r->what].limits && r->io_given)
		json_object_set_new(o, "io", json_integer((json_int_t)r->io));
	if (o && commands[r->what].limits && r->net_given)
		json_object_set_new(o, "net", json_integer((json_int_t)r->net));
	return dump(o);
}

/* --- replies -----------------------------------------------------------------------------------
 */

char *control_reply_encode(const struct control_reply *r)
{
	if (r->code)
		return dump(json_pack("{s:I, s:{s:i, s:s}}", "id", (json_int_t)r->id, "error",
				      "code", r->code, "message", r->message));
	if (r->ok)
		return dump(json_pack("{s:I, s:O}", "id", (json_int_t)r->id, "ok", r->ok));
	return dump(json_pack("{s:I, s:{}}", "id", (json_int_t)r->id, "ok"));
}

static int error_take(struct control_reply *r, json_t *error, struct err *e)
{
	json_int_t code = 0;
	int ret;

	if (!json_is_object(error))
		return err_set(e, -EINVAL, "field 'error' is not an object");
	ret = take_integer(error, "code", -4095, -1, &code, e);
	if (!ret)
		ret = take_string(error, "message", r->message, sizeof(r->message), e);
	r->code = (int)code;
	return ret ? ret : nothing_left(error, e);
}

/* On success a reference to the member "ok" is taken. */
static int reply_take(struct control_reply *r, json_t *o, struct err *e)
{
	json_t *error = json_object_get(o, "error"), *ok = json_object_get(o, "ok");
	int ret = take_id(o, 0, &r->id, e);

	if (!ret && !error == !ok)
		ret = err_set(e, -EINVAL, "a reply has either 'ok' or 'error'");
	if (!ret && error)
		ret = error_take(r, error, e);
	if (!ret && ok && !json_is_object(ok))
		ret = err_set(e, -EINVAL, "field 'ok' is not an object");
	if (ret)
		return ret;
	r->ok = json_incref(ok);
	json_object_del(o, error ? "error" : "ok");
	ret = nothing_left(o, e);
	if (ret)
		json_decref(r->ok);
	return ret;
}

/* --- events ------------------------------------------------------------------------------------
 */

char *control_event_encode(const struct control_event *ev)
{
	const char *kind = kinds[ev->kind];

	switch (ev->kind) {
	case CONTROL_HELLO:
		return dump(json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:s, s:I}", "event", kind,
				      "version", (int)ev->version, "vm", ev->vm, "pid", ev->pid,
				      "state", states[ev->state], "engine", ev->engine, "why",
				      ev->why, "started_ns", (json_int_t)ev->started_ns));
	case CONTROL_STATE:
		return dump(json_pack("{s:s, s:s}", "event", kind, "state", states[ev->state]));
	default:
		return dump(json_pack("{s:s, s:s, s:i}", "event", kind, "end", ev->end, "code",
				      ev->code));
	}
}

static int hello_take(struct control_event *ev, json_t *o, struct err *e)
{
	json_int_t version = 0, pid = 0, started = 0;
	int ret = take_integer(o, "version", 1, INT_MAX, &version, e);

	if (!ret && version != CONTROL_VERSION)
		ret = err_set(e, -EPROTONOSUPPORT,
			      "the VM's process speaks version %" JSON_INTEGER_FORMAT
			      " of the protocol, not %d",
			      version, CONTROL_VERSION);
	if (!ret)
		ret = take_string(o, "vm", ev->vm, sizeof(ev->vm), e);
	if (!ret)
		ret = take_integer(o, "pid", 1, INT_MAX, &pid, e);
	if (!ret)
		ret = take_state(o, &ev->state, e);
	if (!ret)
		ret = take_string(o, "engine", ev->engine, sizeof(ev->engine), e);
	if (!ret)
		ret = take_string(o, "why", ev->why, sizeof(ev->why), e);
	if (!ret)
		ret = take_integer(o, "started_ns", 0, INT64_MAX, &started, e);
	ev->version = (unsigned)version;
	ev->pid = (int)pid;
	ev->started_ns = (uint64_t)started;
	return ret;
}

static int end_take(struct control_event *ev, json_t *o, struct err *e)
{
	json_int_t code = 0;
	int ret = take_string(o, "end", ev->end, sizeof(ev->end), e);

	if (!ret)
		ret = take_integer(o, "code", 0, 255, &code, e);
	ev->code = (int)code;
	return ret;
}

static int event_take(struct control_event *ev, json_t *o, struct err *e)
{
	char word[CONTROL_WORD_MAX + 1];
	int ret = take_string(o, "event", word, sizeof(word), e);

	if (ret)
		return ret;
	for (ev->kind = 0; ev->kind < CONTROL_KIND_COUNT; ev->kind++)
		if (!strcmp(kinds[ev->kind], word))
			break;
	switch (ev->kind) {
	case CONTROL_HELLO:
		ret = hello_take(ev, o, e);
		break;
	case CONTROL_STATE:
		ret = take_state(o, &ev->state, e);
		break;
	case CONTROL_END:
		ret = end_take(ev, o, e);
		break;
	default:
		return err_set(e, -EINVAL, "there is no event '%s'", word);
	}
	return ret ? ret : nothing_left(o, e);
}

int control_message_decode(struct control_message *out, const char *text, size_t len, struct err *e)
{
	struct control_message m = { 0 };
	json_t *o;
	int ret = parse(&o, text, len, e);

	if (ret)
		return ret;
	m.is_event = json_object_get(o, "event") != NULL;
	ret = m.is_event ? event_take(&m.event, o, e) : reply_take(&m.reply, o, e);
	json_decref(o);
	if (!ret)
		*out = m;
	return ret;
}

void control_message_free(struct control_message *m)
{
	json_decref(m->reply.ok);
	*m = (struct control_message) { 0 };
}
