/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket to the manager, see websocket.h.
 */
#include "cli/websocket.h"

#include "base/fd.h"
#include "cli/dl.h"
#include "cli/problem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <wslay/wslay.h>

#define HEAD_MAX     16384
#define MESSAGE_MAX  (1u << 20)
#define HANDSHAKE_MS 10000

struct wslay_api {
	__typeof__(&wslay_event_context_client_init) context_client_init;
	__typeof__(&wslay_event_context_free) context_free;
	__typeof__(&wslay_event_config_set_max_recv_msg_length) config_set_max_recv_msg_length;
	__typeof__(&wslay_event_recv) recv;
	__typeof__(&wslay_event_send) send;
	__typeof__(&wslay_event_queue_msg) queue_msg;
	__typeof__(&wslay_event_queue_close) queue_close;
	__typeof__(&wslay_event_set_error) set_error;
	__typeof__(&wslay_event_want_write) want_write;
	__typeof__(&wslay_event_get_queued_msg_length) get_queued_msg_length;
	__typeof__(&wslay_event_get_close_received) get_close_received;
};

#define SYMBOL(x)                                                                                  \
	{                                                                                          \
		"wslay_event_" #x, offsetof(struct wslay_api, x)                                   \
	}
static const struct dl_symbol wslay_symbols[] = {
	SYMBOL(context_client_init),
	SYMBOL(context_free),
	SYMBOL(config_set_max_recv_msg_length),
	SYMBOL(recv),
	SYMBOL(send),
	SYMBOL(queue_msg),
	SYMBOL(queue_close),
	SYMBOL(set_error),
	SYMBOL(want_write),
	SYMBOL(get_queued_msg_length),
	SYMBOL(get_close_received),
};
static_assert(sizeof(struct wslay_api) == ARRAY_SIZE(wslay_symbols) * sizeof(void *),
	      "a symbol for each");

/* SHA-1 for the handshake; libcrypto is there with libcurl. */
struct crypto_api {
	unsigned char *(*sha1)(const unsigned char *data, size_t len, unsigned char *out);
};
static const struct dl_symbol crypto_symbols[] = { { "SHA1", offsetof(struct crypto_api, sha1) } };

struct websocket {
	struct wslay_api wslay;
	struct client *client;
	wslay_event_context_ptr ctx;
	websocket_fn fn;
	void *fn_ctx;
	char early[HEAD_MAX]; /* frames that came with the answer's head */
	size_t early_at, early_len;
	bool ended; /* the peer hung up without a closing handshake */
};

/* RFC 4648, 4. @out has room for 4 characters per 3 bytes and a NUL. */
static void base64(char *out, const uint8_t *in, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t have = MIN(len - i, (size_t)3);
		uint32_t v = (uint32_t)in[i] << 16 | (have > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
			     (have > 2 ? in[i + 2] : 0);

		*out++ = letters[v >> 18];
		*out++ = letters[v >> 12 & 63];
		*out++ = have > 1 ? letters[v >> 6 & 63] : '=';
		*out++ = have > 2 ? letters[v & 63] : '=';
	}
	*out = '\0';
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *arg)
{
	struct websocket *w = arg;
	ssize_t n;

	if (w->early_at < w->early_len) {
		n = (ssize_t)MIN(len, w->early_len - w->early_at);
		memcpy(buf, w->early + w->early_at, (size_t)n);
		w->early_at += (size_t)n;
		return n;
	}
	n = client_raw_recv(w->client, buf, len);
	if (n > 0)
		return n;
	w->ended |= n == 0;
	w->wslay.set_error(ctx, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
		       void *arg)
{
	struct websocket *w = arg;
	ssize_t n = client_raw_send(w->client, data, len);

	if (n >= 0)
		return n;
	w->wslay.set_error(ctx, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, void *arg)
{
	return getrandom(buf, len, 0) == (ssize_t)len ? 0 : -1;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
		       void *arg)
{
	struct websocket *w = arg;

	if (!wslay_is_ctrl_frame(m->opcode))
		w->fn(w->fn_ctx, m->msg, m->msg_length);
}

/* Blocking for a while, for the handshake only. */
static int wait_io(struct client *c, short events, struct err *e)
{
	struct pollfd p = { .fd = client_raw_fd(c), .events = events };

	if (poll(&p, 1, HANDSHAKE_MS) == 1)
		return 0;
	return err_set(e, -EIO, "the manager does not answer the request for a console");
}

static int send_all(struct client *c, const char *data, size_t len, struct err *e)
{
	while (len) {
		ssize_t n = client_raw_send(c, data, len);
		int ret = n == -EAGAIN ? wait_io(c, POLLOUT, e) : 0;

		if (ret)
			return ret;
		if (n < 0 && n != -EAGAIN)
			return err_set(e, -EIO, "the connection to the manager broke");
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* The head of the answer, NUL-terminated, and what came behind it, in @w->early. */
static int read_head(struct websocket *w, char *head, size_t room, struct err *e)
{
	size_t len = 0;
	char *end;

	for (;;) {
		ssize_t n = client_raw_recv(w->client, head + len, room - 1 - len);

		if (n == -EAGAIN) {
			int ret = wait_io(w->client, POLLIN, e);

			if (ret)
				return ret;
			continue;
		}
		if (n <= 0)
			return err_set(e, -EIO, "the connection to the manager broke");
		len += (size_t)n;
		head[len] = '\0';
		end = strstr(head, "\r\n\r\n");
		if (end)
			break;
		if (len == room - 1)
			return err_set(e, -EIO, "the head of the manager's answer is too long");
	}
	end += 4;
	w->early_len = len - (size_t)(end - head);
	memcpy(w->early, end, w->early_len);
	*end = '\0';
	return 0;
}

/* The value of a header as a copy in @buf, "" where there is none. */
static void header(const char *head, const char *name, char *buf, size_t len)
{
	size_t n = strlen(name);

	buf[0] = '\0';
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		line += n + 1;
		line += strspn(line, " \t");
		snprintf(buf, len, "%.*s", (int)strcspn(line, "\r\n"), line);
		return;
	}
}

/* Not switched: the answer is a problem, whose body may still be on its way. */
static int refused(struct websocket *w, const char *head, long status, struct err *e)
{
	char value[32];
	size_t want;

	header(head, "Content-Length", value, sizeof(value));
	want = MIN((size_t)strtoul(value, NULL, 10), sizeof(w->early));
	while (w->early_len < want) {
		ssize_t n =
			client_raw_recv(w->client, w->early + w->early_len, want - w->early_len);

		if (n == -EAGAIN && !wait_io(w->client, POLLIN, NULL))
			continue;
		if (n <= 0)
			break;
		w->early_len += (size_t)n;
	}
	return problem_set(e, status, w->early, w->early_len);
}

static int handshake(struct websocket *w, const struct url *url, struct err *e)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
	const char *token = client_token(w->client);
	MEM_AUTO char *head = malloc(HEAD_MAX);
	char key[32], joined[80], accept[32], got[64];
	struct crypto_api crypto;
	uint8_t random[16], hash[20];
	long status = 0;
	int ret = dl_load("libcrypto.so.3", crypto_symbols, ARRAY_SIZE(crypto_symbols), &crypto, e);

	if (ret)
		return ret;
	if (!head || getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_set(e, -ENOMEM, "no memory for a console");
	base64(key, random, sizeof(random));
	snprintf(joined, sizeof(joined), "%s%s", key, guid);
	crypto.sha1((const unsigned char *)joined, strlen(joined), hash);
	base64(accept, hash, sizeof(hash));
	ret = snprintf(head, HEAD_MAX,
		       "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
		       "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
		       "Sec-WebSocket-Version: 13\r\n%s%s%s\r\n",
		       url->s, client_host(w->client), key, token ? "Authorization: Bearer " : "",
		       token ? token : "", token ? "\r\n" : "");
	if (ret >= HEAD_MAX)
		return err_set(e, -EINVAL, "the token is too long");
	ret = send_all(w->client, head, strlen(head), e);
	if (!ret)
		ret = read_head(w, head, HEAD_MAX, e);
	if (ret)
		return ret;
	if (!strncmp(head, "HTTP/1.1 ", 9))
		status = strtol(head + 9, NULL, 10);
	if (status != 101)
		return refused(w, head, status, e);
	header(head, "Sec-WebSocket-Accept", got, sizeof(got));
	if (strcmp(got, accept) != 0)
		return err_set(e, -EIO, "what answers is no WebSocket of the manager's");
	return 0;
}

int websocket_open(struct websocket **out, struct client *c, const struct url *url, websocket_fn fn,
		   void *ctx, struct err *e)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_msg_recv_callback = on_message,
	};
	struct websocket *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return err_set(e, -ENOMEM, "no memory for a console");
	w->client = c;
	w->fn = fn;
	w->fn_ctx = ctx;
	ret = url->cut ? err_set(e, -EINVAL, "a name is too long for a request") : 0;
	if (!ret)
		ret = dl_load("libwslay.so.1", wslay_symbols, ARRAY_SIZE(wslay_symbols), &w->wslay,
			      e);
	if (!ret)
		ret = client_connect(c, e);
	if (!ret)
		ret = handshake(w, url, e);
	if (!ret && w->wslay.context_client_init(&w->ctx, &callbacks, w))
		ret = err_set(e, -ENOMEM, "no memory for a console");
	if (ret) {
		free(w);
		return ret;
	}
	w->wslay.config_set_max_recv_msg_length(w->ctx, MESSAGE_MAX);
	*out = w;
	return 0;
}

void websocket_close(struct websocket *w)
{
	if (!w)
		return;
	w->wslay.context_free(w->ctx);
	free(w);
}

int websocket_fd(struct websocket *w)
{
	return client_raw_fd(w->client);
}

short websocket_events(struct websocket *w)
{
	return (short)(POLLIN | (w->wslay.want_write(w->ctx) ? POLLOUT : 0));
}

int websocket_send(struct websocket *w, const void *data, size_t len)
{
	const struct wslay_event_msg m = { WSLAY_BINARY_FRAME, data, len };

	return w->wslay.queue_msg(w->ctx, &m) ? -ENOMEM : 0;
}

bool websocket_full(struct websocket *w)
{
	return w->wslay.get_queued_msg_length(w->ctx) >= WEBSOCKET_QUEUE_MAX;
}

void websocket_bye(struct websocket *w)
{
	w->wslay.queue_close(w->ctx, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
	w->wslay.send(w->ctx);
}

int websocket_process(struct websocket *w, struct err *e)
{
	int broken = w->wslay.recv(w->ctx);

	broken |= w->wslay.send(w->ctx);
	/* A peer that said goodbye need not wait for our answer to it. */
	if (w->wslay.get_close_received(w->ctx))
		return 0;
	if (broken || w->ended)
		return err_set(e, -EIO, "the connection to the manager broke");
	return 1;
}
