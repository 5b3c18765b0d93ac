/* SPDX-License-Identifier: MIT */
/*
 * A reply of the HTTP transport that is a stream.
 *
 * Theory of operation: libmicrohttpd pulls when its peer has room. Where the source has nothing
 * the connection is suspended; a wake resumes it from the loop, so it may come at any moment,
 * also from inside read(). The deadline runs while the peer is to take what was read.
 */
#include "mgr/api/http_internal.h"

#include <stdlib.h>

#define STREAM_BLOCK 16384u

struct http_stream {
	struct api_stream *src;
	struct http_conn *conn; /* NULL: gone */
	uint64_t len;
	bool gone, stop;
	struct loop_call wake;
};

static void on_wake(void *arg)
{
	struct http_stream *st = arg;

	/* Only where it is this stream that waits: the request before it is answered. */
	if (st->conn && st->conn->request && st->conn->request->phase == HTTP_QUEUED)
		http_conn_resume(st->conn);
}

static void stream_woken(void *transport)
{
	loop_call_schedule(&((struct http_stream *)transport)->wake);
}

static ssize_t stream_read(void *cls, uint64_t pos UNUSED, char *buf, size_t max)
{
	struct http_stream *st = cls;
	ssize_t n;

	if (st->gone || !st->conn)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (st->stop)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = st->src->ops->read(st->src, buf, max);
	BUG_ON(n > (ssize_t)max);
	if (n > 0) {
		http_conn_deadline(st->conn, st->conn->http->limits.send_ms);
		return n;
	}
	/* Shorter than it was said to be: the peer must not take it for whole. */
	if (n < 0)
		return st->len == UINT64_MAX ? MHD_CONTENT_READER_END_OF_STREAM
					     : MHD_CONTENT_READER_END_WITH_ERROR;
	if (http_conn_suspend(st->conn))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return 0;
}

static void stream_free(void *cls)
{
	struct http_stream *st = cls;

	loop_call_cancel(&st->wake);
	st->src->wake = NULL;
	st->src->ops->close(st->src);
	if (st->conn)
		st->conn->stream = NULL;
	free(st);
}

struct MHD_Response *http_stream_response(struct http_conn *c, struct api_stream *s, uint64_t len)
{
	struct http_stream *st = calloc(1, sizeof(*st));
	struct MHD_Response *resp;

	if (!st) {
		s->ops->close(s);
		return NULL;
	}
	*st = (struct http_stream) { .src = s, .conn = c, .len = len };
	loop_call_init(&st->wake, c->http->loop, on_wake, st);
	s->transport = st;
	s->wake = stream_woken;
	c->stream = st;
	resp = MHD_create_response_from_callback(len == UINT64_MAX ? MHD_SIZE_UNKNOWN : len,
						 STREAM_BLOCK, stream_read, st, stream_free);
	if (!resp)
		stream_free(st);
	return resp;
}

void http_stream_detach(struct http_stream *st)
{
	st->conn = NULL;
}

void http_stream_gone(struct http_stream *st)
{
	st->gone = true;
}

void http_stream_stop(struct http_stream *st)
{
	if (st->len != UINT64_MAX)
		return;
	st->stop = true;
	stream_woken(st);
}
