/* SPDX-License-Identifier: MIT */
/*
 * How a handler answers: JSON, a problem, or a stream.
 *
 * All of these call r->done(), so @r is gone afterwards.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_API_REPLY_H
#define HOLM_MGR_API_REPLY_H

#include "mgr/core/api.h"

#include <jansson.h>

/** Stable codes of problems; docs/API.md lists them with their status. */
enum api_code {
	API_BAD_REQUEST,
	API_NOT_AUTHENTICATED,
	API_FORBIDDEN,
	API_NOT_FOUND,
	API_METHOD_NOT_ALLOWED,
	API_TIMEOUT,
	API_CONFLICT,
	API_WRONG_STATE,
	API_CHANGED,
	API_TOO_LARGE,
	API_QUOTA,
	API_TOO_MANY,
	API_INTERNAL,
	API_STOPPING,
	API_NO_RESOURCE,
	API_CODE_COUNT
};

/** api_code_name() - "bad_request"; api_code_status() - 400. */
const char *api_code_name(enum api_code c);
unsigned api_code_status(enum api_code c);

/** api_code_of() - the code for a -errno of a function that failed; API_INTERNAL if not listed. */
enum api_code api_code_of(int code);

/** api_reply_json() - answer with @body, whose reference is taken; NULL: no memory for it. */
void api_reply_json(struct api_request *r, unsigned status, json_t *body);

/** api_reply_tagged() - as api_reply_json(), with an ETag. */
void api_reply_tagged(struct api_request *r, unsigned status, json_t *body, uint64_t etag);

/** api_reply_record() - 200 or another, with a JSON text (borrowed) and an ETag. */
void api_reply_record(struct api_request *r, unsigned status, const char *text, uint64_t etag);

/** api_reply_empty() - a status without a body: 204. */
void api_reply_empty(struct api_request *r, unsigned status);

/** api_reply_text() - @len bytes of @type, "text/plain; charset=utf-8". Borrowed. */
void api_reply_text(struct api_request *r, const char *type, const char *text, size_t len);

/** api_reply_stream() - 200 and a stream of @len bytes (UINT64_MAX: not known) of @type. */
void api_reply_stream(struct api_request *r, const char *type, struct api_stream *s, uint64_t len);

/** api_reply_websocket() - the stream becomes the WebSocket that was asked for (r->upgrade). */
void api_reply_websocket(struct api_request *r, struct api_stream *s);

/** api_fail() - a problem; the format makes its detail. */
void api_fail(struct api_request *r, enum api_code c, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** api_fail_err() - a problem from an error object, its code by api_code_of(). */
void api_fail_err(struct api_request *r, const struct err *e);

/** api_fail_with() - a problem with members of @more besides (reference taken; may be NULL). */
void api_fail_with(struct api_request *r, enum api_code c, const char *detail, json_t *more);

/** api_fail_method() - 405 with what the route has: "GET, POST". */
void api_fail_method(struct api_request *r, const char *allow);

/**
 * api_problem() - the body of a problem on the heap, with its length; NULL: no memory.
 * @more: members besides (borrowed), or NULL
 */
char *api_problem(enum api_code c, const char *detail, const json_t *more, size_t *len);

/**
 * A stream fed by its owner: a bounded queue of bytes, for events and logs. A listener that lets
 * it run over is cut off.
 */
struct api_queue;

/**
 * api_queue_create() - an empty one of at most @limit bytes.
 * @closed: the transport is done; the queue is freed after it. Not called by
 *          api_queue_destroy(). Runs on the loop, perhaps inside of what @closed's owner calls.
 */
int api_queue_create(struct api_queue **out, size_t limit, void (*closed)(void *ctx), void *ctx,
		     struct err *e) MUST_CHECK;

/** api_queue_stream() - what goes into a reply; the transport owns it from done() on. */
struct api_stream *api_queue_stream(struct api_queue *q);

/** api_queue_push() - all of @len bytes, or false: full (or no memory), the stream ends here. */
bool api_queue_push(struct api_queue *q, const void *buf, size_t len);

/** api_queue_room() - bytes that fit now. */
size_t api_queue_room(const struct api_queue *q);

/** api_queue_end() - after what is in it the stream ends. */
void api_queue_end(struct api_queue *q);

/** api_queue_destroy() - one that was not given to a transport. NULL is allowed. */
void api_queue_destroy(struct api_queue *q);

#endif
