/* SPDX-License-Identifier: MIT */
/*
 * A transport on a fake clock, a fake API behind it that does what the path says, and clients on
 * real sockets that let the loop run while they wait.
 */
#ifndef HOLM_TESTS_UNIT_MGR_API_HTTPTEST_H
#define HOLM_TESTS_UNIT_MGR_API_HTTPTEST_H

#include "base/fd.h"
#include "mgr/api/http.h"
#include "mgr/api/reply.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ROUNDS_MAX 3000 /* of about a millisecond: then a wait has failed */

struct httptest;

/** A stream under the test's control. */
struct teststream {
	struct api_stream base;
	struct httptest *t;
	uint64_t given, limit; /* bytes read so far; how many there may be now */
	uint64_t total;	       /* the end; UINT64_MAX: none */
	bool wake_inside;      /* wake from inside of read() */
	/* Input: an echo of at most @room bytes. */
	size_t room, held;
	char hold[1 << 17];
	bool echo;
};

#define HT_HELD (1u << 20)

struct httptest {
	struct clock_fake clock;
	struct loop *loop;
	struct http *http;
	struct api api;
	char dir[64], path[96];
	/* What the fake API saw. */
	unsigned calls, cancels, closes, reads;
	unsigned releases; /* of bodies that are held */
	struct api_request *late;
	bool no_cancel;
	struct teststream *stream;
	uint64_t stream_limit, stream_total, stream_len, sunk;
	size_t sink_room;
	unsigned sink_closes;
	bool sink_fails, sink_refuses, stopped;
};

static inline ssize_t ts_read(struct api_stream *s, void *buf, size_t len)
{
	struct teststream *ts = CONTAINER_OF(s, struct teststream, base);
	uint64_t n, end = MIN(ts->limit, ts->total);

	ts->t->reads++;
	if (ts->wake_inside)
		api_stream_wake(s);
	if (ts->echo) {
		n = MIN(len, ts->held);
		memcpy(buf, ts->hold, n);
		memmove(ts->hold, ts->hold + n, ts->held - n);
		ts->held -= n;
		if (n)
			api_stream_wake(s);
		return (ssize_t)n;
	}
	if (ts->given == ts->total)
		return -1;
	n = MIN((uint64_t)len, end - ts->given);
	for (uint64_t i = 0; i < n; i++)
		((char *)buf)[i] = (char)('a' + (ts->given + i) % 26);
	ts->given += n;
	return (ssize_t)n;
}

static inline ssize_t ts_write(struct api_stream *s, const void *buf, size_t len)
{
	struct teststream *ts = CONTAINER_OF(s, struct teststream, base);
	size_t room = MIN(ts->room, sizeof(ts->hold));

	if (len >= 4 && !memcmp(buf, "quit", 4))
		return -1;
	room -= MIN(room, ts->held);
	len = MIN(len, room);
	memcpy(ts->hold + ts->held, buf, len);
	ts->held += len;
	if (len)
		api_stream_wake(s);
	return (ssize_t)len;
}

static inline void ts_close(struct api_stream *s)
{
	struct teststream *ts = CONTAINER_OF(s, struct teststream, base);

	ts->t->closes++;
	ts->t->stream = NULL;
	free(ts);
}

static const struct api_stream_ops ts_ops = {
	.read = ts_read,
	.write = ts_write,
	.close = ts_close,
};

static inline struct teststream *ts_new(struct httptest *t)
{
	struct teststream *ts = calloc(1, sizeof(*ts));

	assert_non_null(ts);
	*ts = (struct teststream) { .base.ops = &ts_ops,
				    .t = t,
				    .limit = t->stream_limit,
				    .total = t->stream_total,
				    .room = SIZE_MAX };
	t->stream = ts;
	return ts;
}

static inline void ht_cancel(struct api_request *r)
{
	struct httptest *t = r->pending;

	t->cancels++;
	t->late = NULL;
}

/* What came, in words. */
static inline void ht_echo(struct api_request *r)
{
	char text[2048];
	const char *q = r->query(r, "q");
	int n = snprintf(text, sizeof(text),
			 "{\"method\":\"%s\",\"path\":\"%s\",\"q\":\"%s\",\"match\":\"%s\","
			 "\"uid\":%lld,\"token\":\"%s\",\"cert\":\"%s\",\"from\":\"%s\","
			 "\"len\":%zu,\"body\":\"%.64s\"}",
			 r->method, r->path, q ? q : "", r->if_match ? r->if_match : "",
			 (long long)r->peer.uid, r->peer.token ? r->peer.token : "",
			 r->peer.certificate ? r->peer.certificate : "", r->peer.from, r->body_len,
			 r->body ? r->body : "");
	const struct api_reply a = { .status = 200, .body = text, .len = (size_t)n, .etag = "7" };

	r->done(r, &a);
}

static inline void ht_release(void *ctx)
{
	((struct httptest *)ctx)->releases++;
}

/* A body that the transport sends from where it is; more of it than a socket takes at once. */
static inline void ht_held(struct httptest *t, struct api_request *r)
{
	static const char body[HT_HELD];
	const struct api_reply a = {
		.status = 200,
		.body = body,
		.len = sizeof(body),
		.release = ht_release,
		.release_ctx = t,
	};

	r->done(r, &a);
}

static inline void ht_call(void *ctx, struct api_request *r)
{
	struct httptest *t = ctx;
	struct teststream *ts;

	t->calls++;
	if (!strcmp(r->path, "/late")) {
		t->late = r;
		r->pending = t;
		r->cancel = t->no_cancel ? NULL : ht_cancel;
	} else if (!strcmp(r->path, "/held")) {
		ht_held(t, r);
	} else if (!strcmp(r->path, "/stream")) {
		ts = ts_new(t);
		ts->wake_inside = true;
		api_reply_stream(r, "text/plain", &ts->base, t->stream_len);
	} else if (!strcmp(r->path, "/ws") && r->upgrade) {
		ts = ts_new(t);
		ts->echo = true;
		api_reply_websocket(r, &ts->base);
	} else if (!strcmp(r->path, "/wsout") && r->upgrade) {
		api_reply_websocket(r, &ts_new(t)->base);
	} else if (!strcmp(r->path, "/sink")) {
		if (t->sink_fails)
			api_fail(r, API_NO_RESOURCE, "the disk is full");
		else
			api_reply_empty(r, 204);
	} else {
		ht_echo(r);
	}
}

/* A sink takes at most t->sink_room bytes more. */
struct testsink {
	struct api_stream base;
	struct httptest *t;
};

static inline ssize_t sink_write(struct api_stream *s, const void *buf UNUSED, size_t len)
{
	struct httptest *t = CONTAINER_OF(s, struct testsink, base)->t;

	if (t->sink_fails)
		return -1;
	len = MIN(len, t->sink_room);
	t->sink_room -= len;
	t->sunk += len;
	return (ssize_t)len;
}

static inline void sink_close(struct api_stream *s)
{
	CONTAINER_OF(s, struct testsink, base)->t->sink_closes++;
	free(CONTAINER_OF(s, struct testsink, base));
}

static const struct api_stream_ops sink_ops = { .write = sink_write, .close = sink_close };

static inline struct api_stream *ht_sink(void *ctx, struct api_request *r)
{
	struct httptest *t = ctx;
	struct testsink *s;

	if (strcmp(r->path, "/sink") != 0)
		return NULL;
	if (t->sink_refuses) {
		api_fail(r, API_FORBIDDEN, "you may not");
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	assert_non_null(s);
	*s = (struct testsink) { .base.ops = &sink_ops, .t = t };
	return &s->base;
}

static const struct api_ops ht_ops = { .call = ht_call, .sink = ht_sink };

static inline void ht_init(struct httptest *t)
{
	*t = (struct httptest) { .stream_total = UINT64_MAX,
				 .stream_len = UINT64_MAX,
				 .sink_room = SIZE_MAX };
	snprintf(t->dir, sizeof(t->dir), "/tmp/holm-http-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/sock", t->dir);
	clock_fake_init(&t->clock, CLOCK_NS_PER_SEC, CLOCK_NS_PER_SEC);
	assert_int_equal(loop_create(&t->loop, &t->clock.clock, NULL), 0);
	t->api = (struct api) { .ops = &ht_ops, .ctx = t };
}

static inline void ht_start(struct httptest *t, const struct http_limits *limits)
{
	struct http_config config = { .socket_path = t->path,
				      .socket_mode = 0660,
				      .socket_gid = (gid_t)-1,
				      .listen_fd = -1 };
	struct err e = { 0 };

	ht_init(t);
	if (limits)
		config.limits = *limits;
	if (http_create(&t->http, &config, &t->api, t->loop, &e))
		fail_msg("%s", e.msg);
}

static inline void ht_end(struct httptest *t)
{
	http_destroy(t->http);
	loop_destroy(t->loop);
	unlink(t->path);
	assert_int_equal(rmdir(t->dir), 0);
}

static inline void ht_round(struct httptest *t)
{
	assert_true(loop_poll(t->loop, 1) >= 0);
}

/** HT_UNTIL() - rounds of the loop until it is so. */
#define HT_UNTIL(t, cond)                                                                          \
	do {                                                                                       \
		for (unsigned r_ = 0; !(cond); r_++) {                                             \
			if (r_ == ROUNDS_MAX)                                                      \
				fail_msg("never: %s", #cond);                                      \
			ht_round(t);                                                               \
		}                                                                                  \
	} while (0)

static inline void ht_settle(struct httptest *t)
{
	for (unsigned i = 0; i < 20; i++)
		ht_round(t);
}

/** ht_pass() - time passes. */
static inline void ht_pass(struct httptest *t, unsigned ms)
{
	ht_settle(t);
	clock_fake_advance(&t->clock, ms * CLOCK_NS_PER_MS);
	ht_settle(t);
}

static inline int ht_connect(struct httptest *t)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.90s", t->path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static inline void ht_send_bytes(struct httptest *t, int fd, const void *buf, size_t len)
{
	for (unsigned i = 0; len; i++) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		assert_true(i < ROUNDS_MAX);
		if (n > 0) {
			buf = (const char *)buf + n;
			len -= (size_t)n;
		} else {
			ht_round(t);
		}
	}
}

static inline void ht_send(struct httptest *t, int fd, const char *text)
{
	ht_send_bytes(t, fd, text, strlen(text));
}

/** ht_read() - into @buf (always ended by 0) until @needle is there, or the end (NULL). */
static inline size_t ht_read(struct httptest *t, int fd, char *buf, size_t size, const char *needle)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		ssize_t n;

		if (needle && memmem(buf, len, needle, strlen(needle)))
			return len;
		assert_true(len + 1 < size);
		n = recv(fd, buf + len, size - 1 - len, MSG_DONTWAIT);
		if (n > 0) {
			len += (size_t)n;
			buf[len] = '\0';
			i = 0;
		} else if (!n || errno != EAGAIN) {
			if (needle)
				fail_msg("closed before \"%s\": %s", needle, buf);
			return len;
		} else {
			ht_round(t);
		}
	}
	fail_msg("no \"%s\" in: %s", needle ? needle : "end", buf);
	return 0;
}

/** ht_closed() - whether the peer has closed and left nothing. */
static inline bool ht_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);

	return !n || (n < 0 && errno != EAGAIN);
}

#endif
