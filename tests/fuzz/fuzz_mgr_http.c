/* SPDX-License-Identifier: MIT */
/*
 * The HTTP transport: any bytes of a peer into a connected socket, in pieces, over a fake API
 * that answers at once, late, with streams, sinks and WebSockets. The first byte chooses whether
 * the bytes are a request, or frames after the handshake of a WebSocket.
 */
#include "base/log.h"
#include "mgr/api/http.h"
#include "mgr/api/reply.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char upgrade[] = "GET /w HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
			      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static const char get_late[] = "GET /l HTTP/1.1\r\nHost: x\r\n\r\n";
static const char put_chunked[] =
	"PUT /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

/* An echo of at most one block; a stream ends after @left bytes. */
struct echo {
	struct api_stream base;
	uint8_t hold[256];
	size_t held, left;
};

static ssize_t echo_read(struct api_stream *s, void *buf, size_t len)
{
	struct echo *e = CONTAINER_OF(s, struct echo, base);

	if (!e->left)
		return -1;
	len = MIN(len, e->held);
	len = MIN(len, e->left);
	memcpy(buf, e->hold, len);
	e->held = 0;
	e->left -= len;
	if (len)
		api_stream_wake(s);
	return (ssize_t)len;
}

static ssize_t echo_write(struct api_stream *s, const void *buf, size_t len)
{
	struct echo *e = CONTAINER_OF(s, struct echo, base);

	len = MIN(len, sizeof(e->hold) - e->held);
	memcpy(e->hold + e->held, buf, len);
	e->held += len;
	if (len)
		api_stream_wake(s);
	return (ssize_t)len;
}

/* A sink has nobody who empties it. */
static ssize_t drop_write(struct api_stream *s UNUSED, const void *buf, size_t len)
{
	return len && *(const char *)buf == 'E' ? -1 : (ssize_t)len;
}

static void echo_close(struct api_stream *s)
{
	free(CONTAINER_OF(s, struct echo, base));
}

static struct api_stream *echo_new(size_t left, bool drop)
{
	static const struct api_stream_ops ops = {
		.read = echo_read,
		.write = echo_write,
		.close = echo_close,
	};
	static const struct api_stream_ops drop_ops = { .write = drop_write, .close = echo_close };
	struct echo *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->base.ops = drop ? &drop_ops : &ops;
	e->left = left;
	e->held = drop ? 0 : 100;
	return &e->base;
}

static void cancel(struct api_request *r)
{
	*(struct api_request **)r->pending = NULL;
}

static void call(void *ctx, struct api_request *r)
{
	struct api_request **late = ctx;
	const char *q = r->query(r, "q");

	if (r->path[0] != '/' || strlen(r->path) == SIZE_MAX || (q && strlen(q) == SIZE_MAX) ||
	    (r->body && r->body[r->body_len]))
		abort();
	if (r->upgrade) {
		api_reply_websocket(r, echo_new(SIZE_MAX, false));
	} else if (!strncmp(r->path, "/l", 2) && !*late) {
		*late = r;
		r->pending = late;
		r->cancel = cancel;
	} else if (!strncmp(r->path, "/s", 2)) {
		api_reply_stream(r, "text/plain", echo_new(50, false), UINT64_MAX);
	} else {
		api_fail(r, API_NOT_FOUND, "nothing at %s", r->path);
	}
}

static struct api_stream *sink(void *ctx UNUSED, struct api_request *r)
{
	return !strncmp(r->path, "/p", 2) ? echo_new(0, true) : NULL;
}

static void rounds(struct loop *l, int fd, unsigned n)
{
	char drop[4096];

	while (n--) {
		if (loop_poll(l, 0) < 0)
			abort();
		if (fd >= 0 && recv(fd, drop, sizeof(drop), MSG_DONTWAIT) < 0)
			continue;
	}
}

static void put(struct loop *l, int fd, const void *data, size_t len)
{
	if (send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
	rounds(l, fd, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct api_ops ops = { .call = call, .sink = sink };
	const struct http_config config = { .socket_gid = (gid_t)-1, .listen_fd = -1 };
	struct api_request *late = NULL;
	const struct api api = { .ops = &ops, .ctx = &late };
	struct clock_fake clock;
	struct loop *loop;
	struct http *http;
	int pair[2];

	if (!size)
		return 0;
	log_setup(-1, LOG_ERROR);
	clock_fake_init(&clock, CLOCK_NS_PER_SEC, CLOCK_NS_PER_SEC);
	if (loop_create(&loop, &clock.clock, NULL) ||
	    http_create(&http, &config, &api, loop, NULL) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
	    http_adopt(http, pair[0], NULL))
		abort();
	if (data[0] & 1)
		put(loop, pair[1], upgrade, sizeof(upgrade) - 1);
	else if (data[0] & 2)
		put(loop, pair[1], get_late, sizeof(get_late) - 1);
	else if (data[0] & 4)
		put(loop, pair[1], put_chunked, sizeof(put_chunked) - 1);
	for (size_t at = 1, n; at < size; at += n) {
		n = MIN(size - at, (size_t)(data[at] & 31) + 1);
		put(loop, pair[1], data + at, n);
	}
	if (late && data[0] & 8) {
		api_reply_empty(late, 204);
		late = NULL;
	}
	rounds(loop, pair[1], 8);
	if (data[0] & 16) {
		close(pair[1]);
		pair[1] = -1;
		rounds(loop, -1, 8);
		if (late)
			abort();
	}
	clock_fake_advance(&clock, 3600 * CLOCK_NS_PER_SEC);
	rounds(loop, pair[1], 8);
	/* Only what is being answered, a stream or a WebSocket may last. */
	http_destroy(http);
	if (late)
		abort();
	if (pair[1] >= 0)
		close(pair[1]);
	loop_destroy(loop);
	return 0;
}
