/* SPDX-License-Identifier: MIT */
/*
 * WebSockets over the HTTP transport: RFC 6455's handshake and frames, as a client sends them.
 */
#include "httptest.h"

#include "mgr/api/http_internal.h"

#define TEXT   1u
#define BINARY 2u
#define CLOSE  8u
#define PING   9u
#define PONG   10u
#define FIN    0x80u

static char buf[1 << 20], big[1 << 20];

static const char upgrade[] = "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
			      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/* One masked frame. */
static void send_frame(struct httptest *t, int fd, unsigned first, const void *data, size_t len)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	static uint8_t frame[(1 << 20) + 16];
	size_t n = 0;

	frame[n++] = (uint8_t)first;
	if (len < 126) {
		frame[n++] = (uint8_t)(0x80 | len);
	} else if (len < 65536) {
		frame[n++] = 0x80 | 126;
		frame[n++] = (uint8_t)(len >> 8);
		frame[n++] = (uint8_t)len;
	} else {
		frame[n++] = 0x80 | 127;
		for (unsigned i = 0; i < 8; i++)
			frame[n++] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
	}
	memcpy(frame + n, mask, 4);
	n += 4;
	for (size_t i = 0; i < len; i++)
		frame[n++] = ((const uint8_t *)data)[i] ^ mask[i % 4];
	ht_send_bytes(t, fd, frame, n);
}

static void read_exactly(struct httptest *t, int fd, void *to, size_t len)
{
	for (unsigned i = 0; len; i++) {
		ssize_t n = recv(fd, to, len, MSG_DONTWAIT);

		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		assert_true(i < ROUNDS_MAX);
		if (n > 0) {
			to = (char *)to + n;
			len -= (size_t)n;
		} else {
			ht_round(t);
		}
	}
}

/* One frame of the server's into @out; its first byte. */
static unsigned read_frame(struct httptest *t, int fd, void *out, size_t *len)
{
	uint8_t head[2], more[2];

	read_exactly(t, fd, head, 2);
	assert_false(head[1] & 0x80);
	*len = head[1];
	assert_true(*len != 127);
	if (*len == 126) {
		read_exactly(t, fd, more, 2);
		*len = (size_t)more[0] << 8 | more[1];
	}
	read_exactly(t, fd, out, *len);
	return head[0];
}

static void read_binary(struct httptest *t, int fd, char *out, size_t want)
{
	for (size_t got = 0, n; got < want; got += n)
		assert_int_equal(read_frame(t, fd, out + got, &n), FIN | BINARY);
}

static void expect_close(struct httptest *t, int fd, unsigned code)
{
	uint8_t out[256];
	size_t len;

	assert_int_equal(read_frame(t, fd, out, &len), FIN | CLOSE);
	assert_int_equal(len, 2);
	assert_int_equal((unsigned)out[0] << 8 | out[1], code);
}

static int ws_open(struct httptest *t, const char *path)
{
	char request[512], head[1024];
	int fd = ht_connect(t);

	snprintf(request, sizeof(request), upgrade, path);
	ht_send(t, fd, request);
	/* Byte by byte, so that no frame is swallowed. */
	for (size_t n = 0; n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0; n++) {
		assert_true(n + 1 < sizeof(head));
		read_exactly(t, fd, head + n, 1);
		head[n + 1] = '\0';
	}
	if (!strstr(head, "HTTP/1.1 101 ") ||
	    !strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") ||
	    !strstr(head, "Upgrade: websocket\r\n"))
		fail_msg("%s", head);
	return fd;
}

static void ws_end(struct httptest *t, int fd)
{
	HT_UNTIL(t, !http_connections(t->http));
	close(fd);
	ht_end(t);
}

/* RFC 6455, 1.3 has this key and its answer. */
static void keys_are_answered(void **state UNUSED)
{
	char out[WEBSOCKET_ACCEPT_LEN + 1];

	assert_true(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", out));
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_false(websocket_accept("", out));
	assert_false(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=", out));
	assert_false(websocket_accept("dGhlIHNhbXBsZSBub25jZQ===", out));
	assert_false(websocket_accept("dGhlIHNhbXBsZSBub25!ZQ==", out));
	assert_false(websocket_accept("dGhlIHNhbXBsZSBub25jZQaa", out));
}

static void frames_are_echoed(void **state UNUSED)
{
	struct httptest t;
	size_t len;
	int fd;

	ht_start(&t, NULL);
	fd = ws_open(&t, "/ws");
	send_frame(&t, fd, FIN | BINARY, "hello", 5);
	read_binary(&t, fd, buf, 5);
	assert_memory_equal(buf, "hello", 5);
	/* Fragments, with a ping between them and an empty one. */
	send_frame(&t, fd, BINARY, "ab", 2);
	send_frame(&t, fd, FIN | PING, "p", 1);
	send_frame(&t, fd, 0, "", 0);
	send_frame(&t, fd, FIN, "cd", 2);
	buf[0] = '\0';
	for (size_t got = 0, pongs = 0; got < 4 || !pongs;) {
		char part[256];
		unsigned first = read_frame(&t, fd, part, &len);

		if (first == (FIN | PONG)) {
			assert_int_equal(len, 1);
			assert_int_equal(part[0], 'p');
			pongs++;
		} else {
			assert_int_equal(first, FIN | BINARY);
			memcpy(buf + got, part, len);
			got += len;
		}
	}
	assert_memory_equal(buf, "abcd", 4);
	/* The largest frame. */
	for (size_t i = 0; i < 65536; i++)
		big[i] = (char)(i * 31 >> 4);
	send_frame(&t, fd, FIN | BINARY, big, 65536);
	read_binary(&t, fd, buf, 65536);
	assert_memory_equal(buf, big, 65536);
	/* It may be silent for a day. */
	ht_pass(&t, 86400000);
	send_frame(&t, fd, FIN | BINARY, "on", 2);
	read_binary(&t, fd, buf, 2);
	/* The peer closes, with the handshake. */
	send_frame(&t, fd, FIN | CLOSE, "\x03\xe8", 2);
	expect_close(&t, fd, 1000);
	HT_UNTIL(&t, ht_closed(fd));
	assert_int_equal(t.closes, 1);
	ws_end(&t, fd);
}

static void what_comes_with_the_request_is_not_lost(void **state UNUSED)
{
	/* "abc" masked by zeros. */
	static const char frame[] = "\x82\x83\0\0\0\0abc";
	struct httptest t;
	char request[600];
	int fd, n;

	ht_start(&t, NULL);
	fd = ht_connect(&t);
	n = snprintf(request, sizeof(request), upgrade, "/ws");
	memcpy(request + n, frame, sizeof(frame) - 1);
	ht_send_bytes(&t, fd, request, (size_t)n + sizeof(frame) - 1);
	ht_read(&t, fd, buf, sizeof(buf), "abc");
	close(fd);
	HT_UNTIL(&t, t.closes == 1 && !http_connections(t.http));
	ht_end(&t);
}

static void bad_frames_end_it(void **state UNUSED)
{
	static const struct {
		const char *bytes;
		size_t len;
		unsigned code;
	} bad[] = {
		{ "\x82\x01x", 3, 1002 },			   /* not masked */
		{ "\xc2\x81\0\0\0\0x", 7, 1002 },		   /* a reserved bit */
		{ "\x83\x81\0\0\0\0x", 7, 1002 },		   /* no such opcode */
		{ "\x81\x81\0\0\0\0x", 7, 1003 },		   /* text */
		{ "\x80\x81\0\0\0\0x", 7, 1002 },		   /* goes on with nothing */
		{ "\x82\xff\0\0\0\0\0\1\0\1\0\0\0\0x", 15, 1009 }, /* 65537 bytes */
	};
	struct httptest t;
	int fd;

	ht_start(&t, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		fd = ws_open(&t, "/ws");
		ht_send_bytes(&t, fd, bad[i].bytes, bad[i].len);
		expect_close(&t, fd, bad[i].code);
		HT_UNTIL(&t, t.closes == i + 1);
		close(fd);
	}
	ws_end(&t, -1);
}

static void the_stream_ends_it(void **state UNUSED)
{
	struct httptest t;
	int fd;

	ht_start(&t, NULL);
	fd = ws_open(&t, "/ws");
	send_frame(&t, fd, FIN | BINARY, "quit", 4);
	expect_close(&t, fd, 1000);
	send_frame(&t, fd, FIN | CLOSE, "\x03\xe8", 2);
	HT_UNTIL(&t, ht_closed(fd) && t.closes == 1);
	close(fd);
	/* A peer that does not answer the closing is not waited for long. */
	fd = ws_open(&t, "/ws");
	send_frame(&t, fd, FIN | BINARY, "quit", 4);
	expect_close(&t, fd, 1000);
	assert_int_equal(t.closes, 1);
	ht_pass(&t, 5100);
	assert_true(ht_closed(fd));
	assert_int_equal(t.closes, 2);
	close(fd);
	/* A peer that vanishes. */
	fd = ws_open(&t, "/ws");
	close(fd);
	HT_UNTIL(&t, t.closes == 3);
	ws_end(&t, -1);
}

static void back_pressure_works_both_ways(void **state UNUSED)
{
	struct httptest t;
	ssize_t n = 0;
	size_t sent = 0;
	uint64_t given;
	int fd;

	ht_start(&t, NULL);
	/* A stream that takes no more: the peer is not read, and nothing is lost. */
	fd = ws_open(&t, "/ws");
	t.stream->room = 100;
	t.stream->echo = false;
	t.stream->limit = 0;
	for (unsigned quiet = 0; quiet < 50;) {
		static const char frame[] = "\x82\x84\0\0\0\0wxyz";

		n = send(fd, frame + sent % 10, 10 - sent % 10, MSG_NOSIGNAL | MSG_DONTWAIT);
		quiet = n > 0 ? 0 : quiet + 1;
		sent += n > 0 ? (size_t)n : 0;
		assert_true(sent < 4 << 20);
		ht_round(&t);
	}
	assert_int_equal(t.stream->held, 100);
	ht_settle(&t);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(loop_poll(t.loop, 1), 0);
	t.stream->room = 200;
	api_stream_wake(&t.stream->base);
	HT_UNTIL(&t, t.stream->held == 200);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(t.stream->hold[i], "wxyz"[i % 4]);
	/* It goes while nobody reads it: seen. */
	close(fd);
	HT_UNTIL(&t, t.closes == 1);
	/* A peer that does not read: the stream is read no further, then it is cut off. */
	t.stream_limit = UINT64_MAX;
	fd = ws_open(&t, "/wsout");
	ht_settle(&t);
	ht_settle(&t);
	given = t.stream->given;
	ht_settle(&t);
	assert_true(given && given < 4 << 20 && given == t.stream->given);
	read_binary(&t, fd, buf, 100000);
	for (size_t i = 0; i < 100000; i++)
		assert_int_equal(buf[i], 'a' + i % 26);
	ht_settle(&t);
	ht_pass(&t, 59000);
	assert_non_null(t.stream);
	ht_pass(&t, 1100);
	HT_UNTIL(&t, t.closes == 2);
	ws_end(&t, fd);
}

/* Pings without reading the answers must not fill memory: the peer is no longer read. */
static void pings_do_not_pile_up(void **state UNUSED)
{
	static const char ping[] = "\x89\x80\0\0\0\0";
	const int room = 16384;
	struct httptest t;
	size_t sent = 0;
	int fd;

	ht_start(&t, NULL);
	fd = ws_open(&t, "/ws");
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	for (size_t i = 0; i < 60000; i++)
		big[i] = ping[i % 6];
	for (unsigned quiet = 0; quiet < 50;) {
		ssize_t n = send(fd, big + sent % 6, 12000, MSG_NOSIGNAL | MSG_DONTWAIT);

		quiet = n > 0 ? 0 : quiet + 1;
		sent += n > 0 ? (size_t)n : 0;
		if (n <= 0)
			ht_round(&t);
	}
	/* What the socket holds, and little more. */
	print_message("%zu bytes of pings\n", sent);
	assert_true(sent < 48000);
	close(fd);
	HT_UNTIL(&t, t.closes == 1);
	ws_end(&t, -1);
}

static void on_stopped(void *ctx)
{
	((struct httptest *)ctx)->stopped = true;
}

static void a_stop_says_so(void **state UNUSED)
{
	struct httptest t;
	int fd;

	ht_start(&t, NULL);
	fd = ws_open(&t, "/ws");
	http_stop(t.http, 5000, on_stopped, &t);
	expect_close(&t, fd, 1001);
	send_frame(&t, fd, FIN | CLOSE, "\x03\xe9", 2);
	HT_UNTIL(&t, t.stopped);
	close(fd);
	ht_end(&t);
	/* Without a word where the whole transport goes. */
	ht_start(&t, NULL);
	fd = ws_open(&t, "/ws");
	ht_end(&t);
	assert_int_equal(t.closes, 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_answered),
		cmocka_unit_test(frames_are_echoed),
		cmocka_unit_test(what_comes_with_the_request_is_not_lost),
		cmocka_unit_test(bad_frames_end_it),
		cmocka_unit_test(the_stream_ends_it),
		cmocka_unit_test(back_pressure_works_both_ways),
		cmocka_unit_test(pings_do_not_pile_up),
		cmocka_unit_test(a_stop_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
