/* SPDX-License-Identifier: MIT */
/*
 * Answers, see reply.h.
 */
#include "mgr/api/reply.h"

#include "base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	unsigned status;
	const char *name, *title;
} codes[] = {
	[API_BAD_REQUEST] = { 400, "bad_request", "Bad Request" },
	[API_NOT_AUTHENTICATED] = { 401, "not_authenticated", "Unauthorized" },
	[API_FORBIDDEN] = { 403, "forbidden", "Forbidden" },
	[API_NOT_FOUND] = { 404, "not_found", "Not Found" },
	[API_METHOD_NOT_ALLOWED] = { 405, "method_not_allowed", "Method Not Allowed" },
	[API_TIMEOUT] = { 408, "timeout", "Request Timeout" },
	[API_CONFLICT] = { 409, "conflict", "Conflict" },
	[API_WRONG_STATE] = { 409, "wrong_state", "Conflict" },
	[API_CHANGED] = { 412, "changed", "Precondition Failed" },
	[API_TOO_LARGE] = { 413, "too_large", "Content Too Large" },
	[API_QUOTA] = { 422, "quota", "Unprocessable Content" },
	[API_TOO_MANY] = { 429, "too_many", "Too Many Requests" },
	[API_INTERNAL] = { 500, "internal", "Internal Server Error" },
	[API_STOPPING] = { 503, "stopping", "Service Unavailable" },
	[API_NO_RESOURCE] = { 507, "no_resource", "Insufficient Storage" },
};
static_assert(ARRAY_SIZE(codes) == API_CODE_COUNT, "a row for each code");

static const struct {
	int err;
	enum api_code code;
} of_errno[] = {
	{ EINVAL, API_BAD_REQUEST },	 { ERANGE, API_BAD_REQUEST },
	{ EILSEQ, API_BAD_REQUEST },	 { ENAMETOOLONG, API_BAD_REQUEST },
	{ EOPNOTSUPP, API_BAD_REQUEST }, { ENOENT, API_NOT_FOUND },
	{ ETIMEDOUT, API_TIMEOUT },	 { EEXIST, API_CONFLICT },
	{ EADDRINUSE, API_CONFLICT },	 { ENOTEMPTY, API_CONFLICT },
	{ ETXTBSY, API_CONFLICT },	 { EBUSY, API_CONFLICT },
	{ ESTALE, API_CHANGED },	 { EFBIG, API_TOO_LARGE },
	{ E2BIG, API_BAD_REQUEST },	 { EDQUOT, API_QUOTA },
	{ EAGAIN, API_TOO_MANY },	 { ENOMEM, API_NO_RESOURCE },
	{ ENOSPC, API_NO_RESOURCE },	 { EMFILE, API_NO_RESOURCE },
	{ ENFILE, API_NO_RESOURCE },	 { EPERM, API_FORBIDDEN },
	{ EACCES, API_NO_RESOURCE },	 { EROFS, API_NO_RESOURCE },
};

const char *api_code_name(enum api_code c)
{
	return codes[c].name;
}

unsigned api_code_status(enum api_code c)
{
	return codes[c].status;
}

enum api_code api_code_of(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(of_errno); i++)
		if (of_errno[i].err == -code)
			return of_errno[i].code;
	return API_INTERNAL;
}

/* Last resort: no memory even for a sentence. */
static void done_bare(struct api_request *r)
{
	static const char body[] = "{\"type\":\"about:blank\",\"title\":\"Insufficient Storage\","
				   "\"status\":507,\"code\":\"no_resource\","
				   "\"detail\":\"holmd is out of memory\"}";
	const struct api_reply a = {
		.status = 507,
		.content_type = "application/problem+json",
		.body = body,
		.len = sizeof(body) - 1,
	};

	r->done(r, &a);
}

static void reply_json(struct api_request *r, unsigned status, json_t *body, const char *etag)
{
	MEM_AUTO char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct api_reply a = { .status = status, .etag = etag };

	json_decref(body);
	if (!text) {
		done_bare(r);
		return;
	}
	a.body = text;
	a.len = strlen(text);
	r->done(r, &a);
}

void api_reply_json(struct api_request *r, unsigned status, json_t *body)
{
	reply_json(r, status, body, NULL);
}

void api_reply_tagged(struct api_request *r, unsigned status, json_t *body, uint64_t etag)
{
	char tag[24];

	snprintf(tag, sizeof(tag), "%" PRIu64, etag);
	reply_json(r, status, body, tag);
}

void api_reply_record(struct api_request *r, unsigned status, const char *text, uint64_t etag)
{
	char tag[24];
	const struct api_reply a = {
		.status = status,
		.etag = tag,
		.body = text,
		.len = strlen(text),
	};

	snprintf(tag, sizeof(tag), "%" PRIu64, etag);
	r->done(r, &a);
}

void api_reply_empty(struct api_request *r, unsigned status)
{
	const struct api_reply a = { .status = status };

	r->done(r, &a);
}

void api_reply_text(struct api_request *r, const char *type, const char *text, size_t len)
{
	const struct api_reply a = {
		.status = 200,
		.content_type = type,
		.body = text,
		.len = len,
	};

	r->done(r, &a);
}

void api_reply_stream(struct api_request *r, const char *type, struct api_stream *s, uint64_t len)
{
	const struct api_reply a = {
		.status = 200,
		.content_type = type,
		.stream = s,
		.stream_len = len,
	};

	r->done(r, &a);
}

void api_reply_websocket(struct api_request *r, struct api_stream *s)
{
	const struct api_reply a = {
		.status = 101,
		.stream = s,
		.websocket = true,
		.stream_len = UINT64_MAX,
	};

	r->done(r, &a);
}

char *api_problem(enum api_code c, const char *detail, const json_t *more, size_t *len)
{
	json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title",
			      codes[c].title, "status", (int)codes[c].status, "code", codes[c].name,
			      "detail", detail);
	char *text = NULL;

	/* Not UTF-8: a path of the host, most likely. The code still tells. */
	if (!o)
		o = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title",
			      codes[c].title, "status", (int)codes[c].status, "code", codes[c].name,
			      "detail", codes[c].title);
	if (o && (!more || !json_object_update_missing(o, (json_t *)more)))
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (text)
		*len = strlen(text);
	return text;
}

static void fail(struct api_request *r, enum api_code c, const char *detail, const json_t *more,
		 const char *allow)
{
	struct api_reply a = {
		.status = codes[c].status,
		.content_type = "application/problem+json",
		.allow = allow,
	};
	MEM_AUTO char *text = api_problem(c, detail, more, &a.len);

	if (!text) {
		done_bare(r);
		return;
	}
	a.body = text;
	r->done(r, &a);
}

void api_fail(struct api_request *r, enum api_code c, const char *fmt, ...)
{
	char detail[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	fail(r, c, detail, NULL, NULL);
}

void api_fail_err(struct api_request *r, const struct err *e)
{
	fail(r, api_code_of(e->code), e->msg, NULL, NULL);
}

void api_fail_with(struct api_request *r, enum api_code c, const char *detail, json_t *more)
{
	fail(r, c, detail, more, NULL);
	json_decref(more);
}

void api_fail_method(struct api_request *r, const char *allow)
{
	char detail[ERR_MSG_MAX];

	snprintf(detail, sizeof(detail), "%s is not to be had here: use %s", r->method, allow);
	fail(r, API_METHOD_NOT_ALLOWED, detail, NULL, allow);
}

#define QUEUE_FIRST 1024u /* bytes of a queue's first buffer */

struct api_queue {
	struct api_stream stream;
	char *buf; /* bytes [head, head + len) of it are waiting */
	size_t size, head, len, limit;
	bool over;
	void (*closed)(void *ctx);
	void *ctx;
};

static ssize_t queue_read(struct api_stream *s, void *buf, size_t len)
{
	struct api_queue *q = CONTAINER_OF(s, struct api_queue, stream);

	if (!q->len)
		return q->over ? -1 : 0;
	len = MIN(len, q->len);
	memcpy(buf, q->buf + q->head, len);
	q->head += len;
	q->len -= len;
	if (!q->len)
		q->head = 0;
	return (ssize_t)len;
}

static void queue_close(struct api_stream *s)
{
	struct api_queue *q = CONTAINER_OF(s, struct api_queue, stream);

	if (q->closed)
		q->closed(q->ctx);
	api_queue_destroy(q);
}

static const struct api_stream_ops queue_ops = { .read = queue_read, .close = queue_close };

int api_queue_create(struct api_queue **out, size_t limit, void (*closed)(void *ctx), void *ctx,
		     struct err *e)
{
	struct api_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return err_set(e, -ENOMEM, "no memory for a stream");
	q->stream.ops = &queue_ops;
	q->limit = limit;
	q->closed = closed;
	q->ctx = ctx;
	*out = q;
	return 0;
}

struct api_stream *api_queue_stream(struct api_queue *q)
{
	return &q->stream;
}

/* Room for @len more bytes behind what is there. */
static bool queue_grow(struct api_queue *q, size_t len)
{
	size_t size = MAX(q->size, (size_t)QUEUE_FIRST);
	char *buf;

	if (q->head && q->head + q->len + len > q->size) {
		memmove(q->buf, q->buf + q->head, q->len);
		q->head = 0;
	}
	if (q->head + q->len + len <= q->size)
		return true;
	while (size < q->len + len)
		size *= 2;
	buf = realloc(q->buf, size);
	if (!buf)
		return false;
	q->buf = buf;
	q->size = size;
	return true;
}

bool api_queue_push(struct api_queue *q, const void *buf, size_t len)
{
	bool fits = !q->over && len <= q->limit - q->len && queue_grow(q, len);

	if (fits && len) {
		memcpy(q->buf + q->head + q->len, buf, len);
		q->len += len;
	}
	q->over |= !fits;
	api_stream_wake(&q->stream);
	return fits;
}

size_t api_queue_room(const struct api_queue *q)
{
	return q->over ? 0 : q->limit - q->len;
}

void api_queue_end(struct api_queue *q)
{
	q->over = true;
	api_stream_wake(&q->stream);
}

void api_queue_destroy(struct api_queue *q)
{
	if (!q)
		return;
	free(q->buf);
	free(q);
}
