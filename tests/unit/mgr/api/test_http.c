/* SPDX-License-Identifier: MIT */
/*
 * The HTTP transport over a Unix socket: requests, bounds, late replies, streams, uploads.
 */
#include "httptest.h"

#include <fcntl.h>

static char buf[1 << 21], big[(1 << 20) + 4096];

static void requests_are_answered(void **state UNUSED)
{
	struct httptest t;
	struct stat st;
	char want[64];
	int fd;

	ht_start(&t, NULL);
	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	fd = ht_connect(&t);
	ht_send(&t, fd,
		"GET /a%20b?q=%41 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\n"
		"If-Match: \"5\"\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "\"body\":\"\"}");
	assert_non_null(strstr(buf, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(buf, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(buf, "ETag: \"7\"\r\n"));
	assert_non_null(strstr(buf, "\"path\":\"/a b\",\"q\":\"A\",\"match\":\"5\""));
	snprintf(want, sizeof(want), "\"uid\":%u,\"token\":\"abc\"", getuid());
	assert_non_null(strstr(buf, want));
	assert_non_null(strstr(buf, "\"from\":\"unix\""));
	/* The same connection again, with a body; then HEAD. */
	ht_send(&t, fd, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
	ht_read(&t, fd, buf, sizeof(buf), "\"len\":5,\"body\":\"hello\"}");
	ht_send(&t, fd,
		"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "\"len\":5,\"body\":\"abcde\"}");
	ht_send(&t, fd, "HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), NULL);
	assert_non_null(strstr(buf, "Content-Length: "));
	assert_string_equal(strstr(buf, "\r\n\r\n"), "\r\n\r\n");
	HT_UNTIL(&t, !http_connections(t.http));
	close(fd);
	ht_end(&t);
}

static void pipelined_requests_come_in_order(void **state UNUSED)
{
	struct httptest t;
	const char *a, *b;
	int fd;

	ht_start(&t, NULL);
	fd = ht_connect(&t);
	ht_send(&t, fd,
		"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /late HTTP/1.1\r\nHost: x\r\n\r\n"
		"GET /two HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late);
	ht_settle(&t);
	assert_int_equal(t.calls, 2);
	api_reply_json(t.late, 200, json_pack("{s:s}", "path", "late"));
	ht_read(&t, fd, buf, sizeof(buf), "\"/two\"");
	a = strstr(buf, "\"/one\"");
	b = strstr(buf, "\"late\"");
	assert_true(a && b && a < b && b < strstr(buf, "\"/two\""));
	/* Garbage behind a request: the request is answered, the rest is not. */
	ht_send(&t, fd, "GET /three HTTP/1.1\r\nHost: x\r\n\r\n\x01\x02\xff\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), NULL);
	assert_non_null(strstr(buf, "\"/three\""));
	assert_int_equal(t.calls, 4);
	close(fd);
	ht_end(&t);
}

static void refused(struct httptest *t, const char *request, const char *status)
{
	unsigned calls = t->calls;
	int fd = ht_connect(t);

	ht_send(t, fd, request);
	ht_read(t, fd, buf, sizeof(buf), "\r\n\r\n");
	if (!strstr(buf, status))
		fail_msg("no %s for %.60s: %s", status, request, buf);
	assert_int_equal(t->calls, calls);
	close(fd);
}

static void bad_requests_are_refused(void **state UNUSED)
{
	struct httptest t;

	ht_start(&t, NULL);
	refused(&t, "GET /../x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400");
	assert_non_null(strstr(buf, "application/problem+json"));
	refused(&t, "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400");
	refused(&t, "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400");
	refused(&t, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400");
	refused(&t, "GET / HTTP/1.1\r\nHost: x\r\nIf-Match: 7\r\n\r\n", "HTTP/1.1 400");
	refused(&t, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \x80\r\n\r\n",
		"HTTP/1.1 401");
	refused(&t, "GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n\r\n",
		"HTTP/1.1 403");
	refused(&t, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 400");
	refused(&t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n",
		"HTTP/1.1 413");
	/* A header above the bound. */
	memset(big, 'a', 40000);
	memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
	memcpy(big + 40000, "\r\n\r\n", 5);
	refused(&t, big, "HTTP/1.1 431");
	ht_end(&t);
}

static void a_body_is_bounded(void **state UNUSED)
{
	static const char head[] = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n";
	static const char chunked[] =
		"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n";
	struct httptest t;
	int fd;

	ht_start(&t, NULL);
	memset(big, 'x', sizeof(big));
	fd = ht_connect(&t);
	ht_send(&t, fd, head);
	ht_send_bytes(&t, fd, big, 1 << 20);
	ht_read(&t, fd, buf, sizeof(buf), "\"len\":1048576");
	ht_send(&t, fd, chunked);
	ht_send_bytes(&t, fd, big, (1 << 20) + 1);
	ht_send(&t, fd, "\r\n0\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "too_large");
	assert_non_null(strstr(buf, "HTTP/1.1 413"));
	assert_int_equal(t.calls, 1);
	/* The connection goes on. */
	ht_send(&t, fd, "GET /on HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "\"/on\"");
	close(fd);
	ht_end(&t);
}

static void slow_peers_are_cut_off(void **state UNUSED)
{
	struct httptest t;
	int silent, slow, body, idle;

	ht_start(&t, NULL);
	silent = ht_connect(&t);
	slow = ht_connect(&t);
	body = ht_connect(&t);
	idle = ht_connect(&t);
	ht_send(&t, idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, idle, buf, sizeof(buf), "\"body\"");
	ht_send(&t, body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx");
	for (unsigned i = 0; i < 9; i++) {
		ht_send(&t, slow, "G");
		ht_send(&t, body, "x");
		ht_pass(&t, 1000);
	}
	assert_int_equal(http_connections(t.http), 4);
	ht_pass(&t, 1100);
	assert_true(ht_closed(silent));
	assert_true(ht_closed(slow));
	assert_true(ht_closed(body));
	assert_int_equal(http_connections(t.http), 1);
	/* An idle one may stay a minute, and a request in it begins the time anew. */
	ht_pass(&t, 48000);
	ht_send(&t, idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, idle, buf, sizeof(buf), "\"body\"");
	ht_pass(&t, 59000);
	assert_false(ht_closed(idle));
	ht_pass(&t, 1100);
	assert_true(ht_closed(idle));
	assert_int_equal(http_connections(t.http), 0);
	assert_int_equal(t.calls, 2);
	close(silent);
	close(slow);
	close(body);
	close(idle);
	ht_end(&t);
}

static void connections_are_counted(void **state UNUSED)
{
	const struct http_limits two = { .per_peer = 2 }, three = { .connections = 3 };
	struct httptest t;
	int fd[4];

	for (unsigned round = 0; round < 2; round++) {
		unsigned n = 2 + round;

		ht_start(&t, round ? &three : &two);
		for (unsigned i = 0; i <= n; i++) {
			fd[i] = ht_connect(&t);
			ht_settle(&t);
		}
		assert_int_equal(http_connections(t.http), n);
		ht_read(&t, fd[n], buf, sizeof(buf), NULL);
		assert_non_null(strstr(buf, "HTTP/1.1 503"));
		close(fd[n]);
		/* One that goes makes room. */
		close(fd[0]);
		HT_UNTIL(&t, http_connections(t.http) == n - 1);
		fd[0] = ht_connect(&t);
		ht_send(&t, fd[0], "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
		ht_read(&t, fd[0], buf, sizeof(buf), "\"/x\"");
		for (unsigned i = 0; i < n; i++)
			close(fd[i]);
		ht_end(&t);
	}
}

static void requests_have_a_rate(void **state UNUSED)
{
	const struct http_limits limits = { .rate = 1, .burst = 3, .own_too = true };
	struct httptest t;
	int fd, other;

	ht_start(&t, &limits);
	fd = ht_connect(&t);
	for (unsigned i = 0; i < 3; i++) {
		ht_send(&t, fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
		ht_read(&t, fd, buf, sizeof(buf), "\"/x\"");
	}
	ht_send(&t, fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "too_many");
	assert_non_null(strstr(buf, "HTTP/1.1 429"));
	assert_non_null(strstr(buf, "Retry-After: 2\r\n"));
	/* Another connection is the same peer. */
	other = ht_connect(&t);
	ht_send(&t, other, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, other, buf, sizeof(buf), "too_many");
	assert_int_equal(t.calls, 3);
	ht_pass(&t, 1000);
	ht_send(&t, fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "\"/x\"");
	close(fd);
	close(other);
	ht_end(&t);
}

/* Who runs holmd, on its socket, is the one that has 500 VMs to start. */
static void own_requests_have_no_rate(void **state UNUSED)
{
	const struct http_limits limits = { .rate = 1, .burst = 3 };
	struct httptest t;
	int fd;

	ht_start(&t, &limits);
	fd = ht_connect(&t);
	for (unsigned i = 0; i < 20; i++) {
		ht_send(&t, fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
		ht_read(&t, fd, buf, sizeof(buf), "\"/x\"");
	}
	assert_int_equal(t.calls, 20);
	close(fd);
	ht_end(&t);
}

static void late_replies_and_peers_that_go(void **state UNUSED)
{
	struct httptest t;
	struct api_request *orphan;
	int fd;

	ht_start(&t, NULL);
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late);
	/* It may take as long as it takes. */
	ht_pass(&t, 600000);
	assert_false(ht_closed(fd));
	api_fail(t.late, API_TIMEOUT, "not in time");
	t.late = NULL;
	ht_read(&t, fd, buf, sizeof(buf), "not in time");
	assert_non_null(strstr(buf, "HTTP/1.1 408"));
	assert_int_equal(t.cancels, 0);
	ht_send(&t, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late);
	close(fd);
	HT_UNTIL(&t, t.cancels == 1);
	HT_UNTIL(&t, !http_connections(t.http));
	/* A callee without cancel() may answer into the void, also after the end of it all. */
	t.no_cancel = true;
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late);
	orphan = t.late;
	close(fd);
	HT_UNTIL(&t, !http_connections(t.http));
	ht_settle(&t);
	t.late = NULL;
	api_reply_stream(orphan, "text/plain", &ts_new(&t)->base, UINT64_MAX);
	assert_int_equal(t.closes, 1);
	/* What waits at the end is cancelled. */
	t.no_cancel = false;
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late);
	ht_end(&t);
	assert_int_equal(t.cancels, 2);
	close(fd);
}

static void held_bodies_are_given_back(void **state UNUSED)
{
	struct httptest t;
	struct api_request *orphan;
	size_t got = 0;
	int fd;

	ht_start(&t, NULL);
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.calls);
	ht_settle(&t);
	assert_int_equal(t.releases, 0);
	while (got <= HT_HELD && !t.releases) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		ht_settle(&t);
	}
	assert_int_equal(t.releases, 1);
	/* Its peer goes in the middle of it. */
	close(fd);
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.calls == 2);
	ht_settle(&t);
	assert_int_equal(t.releases, 1);
	close(fd);
	HT_UNTIL(&t, t.releases == 2);
	/* Its peer went before it. */
	t.no_cancel = true;
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late);
	orphan = t.late;
	t.late = NULL;
	close(fd);
	HT_UNTIL(&t, !http_connections(t.http));
	ht_held(&t, orphan);
	assert_int_equal(t.releases, 3);
	ht_end(&t);
	assert_int_equal(t.releases, 3);
}

/* The chunks of @text taken together; -1: not ended. */
static ssize_t unchunk(const char *text, char *out)
{
	const char *at = strstr(text, "\r\n\r\n");
	size_t len = 0;

	for (at = at ? at + 4 : NULL; at && *at;) {
		char *end;
		size_t n = strtoul(at, &end, 16);

		if (!n)
			return (ssize_t)len;
		memcpy(out + len, end + 2, n);
		len += n;
		at = end + 2 + n + 2;
	}
	return -1;
}

static void streams_wait_and_wake(void **state UNUSED)
{
	struct httptest t;
	unsigned reads;
	ssize_t n;
	int fd;

	ht_start(&t, NULL);
	t.stream_total = 100000;
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.stream);
	t.stream->wake_inside = false;
	ht_pass(&t, 600000);
	/* Nothing to read: it is not asked again and again, and not cut off. */
	reads = t.reads;
	ht_settle(&t);
	assert_int_equal(t.reads, reads);
	assert_false(ht_closed(fd) && !t.stream);
	t.stream->limit = 10;
	api_stream_wake(&t.stream->base);
	ht_read(&t, fd, buf, sizeof(buf), "abcdefghij");
	t.stream->limit = UINT64_MAX;
	api_stream_wake(&t.stream->base);
	api_stream_wake(&t.stream->base);
	n = (ssize_t)ht_read(&t, fd, buf, sizeof(buf), "\r\n0\r\n\r\n");
	assert_true(n > 99990);
	HT_UNTIL(&t, t.closes == 1);
	/* From the start to the end, whole. */
	t.stream_limit = UINT64_MAX;
	ht_send(&t, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "\r\n0\r\n\r\n");
	n = unchunk(buf, big);
	assert_int_equal(n, 100000);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(big[i], 'a' + i % 26);
	/* HEAD of one reads nothing; a known length is said. */
	reads = t.reads;
	t.stream_len = 100000;
	ht_send(&t, fd, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "\r\n\r\n");
	assert_non_null(strstr(buf, "Content-Length: 100000\r\n"));
	assert_int_equal(t.reads, reads);
	HT_UNTIL(&t, t.closes == 3);
	/* One that ends too early must not look whole. */
	t.stream_len = 100001;
	ht_send(&t, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), NULL);
	HT_UNTIL(&t, t.closes == 4 && !http_connections(t.http));
	close(fd);
	ht_end(&t);
	assert_int_equal(t.closes, 4);
}

static void slow_listeners_are_cut_off(void **state UNUSED)
{
	struct httptest t;
	uint64_t given;
	int fd;

	ht_start(&t, NULL);
	t.stream_limit = UINT64_MAX;
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.stream);
	ht_settle(&t);
	/* Back pressure: it reads no more than the socket holds. */
	given = t.stream->given;
	ht_settle(&t);
	assert_true(given && given < 4 << 20);
	assert_true(t.stream->given == given);
	ht_pass(&t, 59000);
	assert_non_null(t.stream);
	ht_pass(&t, 1100);
	HT_UNTIL(&t, t.closes == 1);
	assert_int_equal(http_connections(t.http), 0);
	close(fd);
	/* A listener that goes is noticed while there is nothing to say. */
	t.stream_limit = 0;
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.stream);
	t.stream->wake_inside = false;
	ht_settle(&t);
	close(fd);
	HT_UNTIL(&t, t.closes == 2 && !http_connections(t.http));
	/* And at the end of it all. */
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.stream);
	ht_end(&t);
	assert_int_equal(t.closes, 3);
	close(fd);
}

static void uploads_go_to_a_sink(void **state UNUSED)
{
	static const char head[] =
		"PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n";
	struct httptest t;
	int fd;

	ht_start(&t, NULL);
	fd = ht_connect(&t);
	ht_send(&t, fd, head);
	for (unsigned i = 0; i < 3; i++)
		ht_send_bytes(&t, fd, big, 1000000);
	ht_read(&t, fd, buf, sizeof(buf), "HTTP/1.1 204");
	assert_true(t.sunk == 3000000);
	assert_int_equal(t.sink_closes, 1);
	/* It says no at once. */
	t.sink_refuses = true;
	refused(&t, head, "HTTP/1.1 403");
	t.sink_refuses = false;
	/* It fails on the way: the rest is dropped, the reply says why. */
	t.sink_fails = true;
	ht_send(&t, fd, head);
	for (unsigned i = 0; i < 3; i++)
		ht_send_bytes(&t, fd, big, 1000000);
	ht_read(&t, fd, buf, sizeof(buf), "the disk is full");
	assert_int_equal(t.sink_closes, 2);
	t.sink_fails = false;
	/* Back pressure: a sink that takes no more stops the peer, and the peer's end ends it. */
	t.sunk = 0;
	t.sink_room = 1000;
	ht_send(&t, fd, head);
	ht_send_bytes(&t, fd, big, 5000);
	ht_settle(&t);
	assert_true(t.sunk == 1000);
	ht_pass(&t, 600000);
	assert_false(ht_closed(fd));
	close(fd);
	HT_UNTIL(&t, t.sink_closes == 3 && !http_connections(t.http));
	assert_int_equal(t.calls, 2);
	ht_end(&t);
}

/* A sink that wakes: kept apart, as it needs the sink at hand. */
static struct api_stream *woken_sink;

static ssize_t bit_by_bit(struct api_stream *s, const void *data UNUSED, size_t len)
{
	struct httptest *t = CONTAINER_OF(s, struct testsink, base)->t;

	woken_sink = s;
	len = MIN(len, t->sink_room);
	t->sink_room -= len;
	t->sunk += len;
	return (ssize_t)len;
}

static struct api_stream *bit_sink(void *ctx, struct api_request *r)
{
	static const struct api_stream_ops ops = { .write = bit_by_bit, .close = sink_close };
	struct api_stream *s = ht_sink(ctx, r);

	s->ops = &ops;
	return s;
}

static void a_sink_takes_the_rest_when_woken(void **state UNUSED)
{
	static const struct api_ops ops = { .call = ht_call, .sink = bit_sink };
	struct httptest t;
	int fd;

	ht_start(&t, NULL);
	t.api.ops = &ops;
	t.sink_room = 10;
	fd = ht_connect(&t);
	ht_send(&t, fd, "PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n");
	ht_send_bytes(&t, fd, big, 5000);
	for (unsigned want = 10; want < 5000; want += 499) {
		HT_UNTIL(&t, t.sunk == want);
		ht_settle(&t);
		assert_int_equal(t.calls, 0);
		t.sink_room = 499;
		api_stream_wake(woken_sink);
	}
	ht_read(&t, fd, buf, sizeof(buf), "HTTP/1.1 204");
	assert_true(t.sunk == 5000);
	close(fd);
	ht_end(&t);
}

static void on_stopped(void *ctx)
{
	((struct httptest *)ctx)->stopped = true;
}

static void a_stop_lets_requests_end(void **state UNUSED)
{
	struct httptest t;
	int idle, late, stream;

	ht_start(&t, NULL);
	idle = ht_connect(&t);
	late = ht_connect(&t);
	stream = ht_connect(&t);
	ht_send(&t, late, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_send(&t, stream, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late && t.stream && http_connections(t.http) == 3);
	t.stream->wake_inside = false;
	ht_settle(&t);
	http_stop(t.http, 5000, on_stopped, &t);
	assert_int_equal(access(t.path, F_OK), -1);
	ht_read(&t, stream, buf, sizeof(buf), NULL);
	assert_non_null(strstr(buf, "\r\n0\r\n\r\n"));
	HT_UNTIL(&t, http_connections(t.http) == 1);
	assert_true(ht_closed(idle));
	assert_false(t.stopped);
	api_reply_empty(t.late, 204);
	ht_read(&t, late, buf, sizeof(buf), NULL);
	assert_non_null(strstr(buf, "Connection: close\r\n"));
	HT_UNTIL(&t, t.stopped);
	close(idle);
	close(late);
	close(stream);
	ht_end(&t);
	/* What takes longer than the grace time is cut off. */
	ht_start(&t, NULL);
	late = ht_connect(&t);
	ht_send(&t, late, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late);
	http_stop(t.http, 5000, on_stopped, &t);
	ht_pass(&t, 4900);
	assert_false(t.stopped);
	ht_pass(&t, 200);
	assert_true(t.stopped);
	ht_end(&t);
	assert_int_equal(t.cancels, 1);
	close(late);
}

static void stale_sockets_are_replaced(void **state UNUSED)
{
	struct http_config config = { .socket_gid = (gid_t)-1, .listen_fd = -1 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct http *second = NULL;
	struct httptest t;
	struct err e = { 0 };
	int fd;

	ht_init(&t);
	config.socket_path = t.path;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.90s", t.path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	assert_int_equal(http_create(&t.http, &config, &t.api, t.loop, &e), 0);
	/* One that is served is left alone. */
	assert_int_equal(http_create(&second, &config, &t.api, t.loop, &e), -EADDRINUSE);
	assert_non_null(strstr(e.msg, t.path));
	fd = ht_connect(&t);
	ht_send(&t, fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, fd, buf, sizeof(buf), "\"/x\"");
	close(fd);
	http_destroy(t.http);
	/* A file is never removed. */
	fd = open(t.path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(http_create(&t.http, &config, &t.api, t.loop, &e), -EEXIST);
	assert_int_equal(access(t.path, F_OK), 0);
	/* Configurations that cannot be. */
	config.tcp_host = "127.0.0.1";
	assert_int_equal(http_create(&t.http, &config, &t.api, t.loop, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "TLS"));
	config.tcp_host = NULL;
	config.socket_path = buf;
	memset(buf, 'a', 200);
	buf[200] = '\0';
	assert_int_equal(http_create(&t.http, &config, &t.api, t.loop, &e), -ENAMETOOLONG);
	t.http = NULL;
	ht_end(&t);
}

static void an_inherited_socket_is_served(void **state UNUSED)
{
	struct http_config config = { .socket_gid = (gid_t)-1 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct httptest t;
	struct err e = { 0 };
	int fd, conn, pair[2];

	ht_init(&t);
	config.listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(http_create(&t.http, &config, &t.api, t.loop, &e), -EINVAL);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.90s", t.path);
	assert_int_equal(bind(config.listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(config.listen_fd, 5), 0);
	assert_int_equal(http_create(&t.http, &config, &t.api, t.loop, &e), 0);
	conn = ht_connect(&t);
	ht_send(&t, conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, conn, buf, sizeof(buf), "\"/x\"");
	/* A socket that is connected already. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(http_adopt(t.http, pair[0], &e), 0);
	ht_send(&t, pair[1], "GET /y HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_read(&t, pair[1], buf, sizeof(buf), "\"/y\"");
	close(pair[1]);
	close(conn);
	http_destroy(t.http);
	t.http = NULL;
	/* It stays, for the next one. */
	fd = ht_connect(&t);
	close(fd);
	close(config.listen_fd);
	assert_int_equal(http_inherited_fd(), -1);
	ht_end(&t);
}

/* An idle transport sleeps: no call of the loop runs anything. */
static void idle_means_asleep(void **state UNUSED)
{
	struct httptest t;
	int fd[3];

	ht_start(&t, NULL);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = ht_connect(&t);
	ht_send(&t, fd[0], "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_send(&t, fd[1], "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
	ht_send(&t, fd[2], "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	HT_UNTIL(&t, t.late && t.stream);
	t.stream->wake_inside = false;
	ht_settle(&t);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(loop_poll(t.loop, 1), 0);
	for (unsigned i = 0; i < 3; i++)
		close(fd[i]);
	ht_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_answered),
		cmocka_unit_test(pipelined_requests_come_in_order),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(a_body_is_bounded),
		cmocka_unit_test(slow_peers_are_cut_off),
		cmocka_unit_test(connections_are_counted),
		cmocka_unit_test(requests_have_a_rate),
		cmocka_unit_test(own_requests_have_no_rate),
		cmocka_unit_test(late_replies_and_peers_that_go),
		cmocka_unit_test(held_bodies_are_given_back),
		cmocka_unit_test(streams_wait_and_wake),
		cmocka_unit_test(slow_listeners_are_cut_off),
		cmocka_unit_test(uploads_go_to_a_sink),
		cmocka_unit_test(a_sink_takes_the_rest_when_woken),
		cmocka_unit_test(a_stop_lets_requests_end),
		cmocka_unit_test(stale_sockets_are_replaced),
		cmocka_unit_test(an_inherited_socket_is_served),
		cmocka_unit_test(idle_means_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
