/* SPDX-License-Identifier: MIT */
/*
 * A connection of the HTTP transport that became a WebSocket (RFC 6455) of binary frames.
 *
 * Theory of operation: libmicrohttpd hands over the socket (with TLS: the end of a pair that it
 * relays); libwslay does the framing. A stream's bytes become binary frames and the other way
 * round; frames are no unit of meaning. turn() moves what can be moved in both directions and
 * then says what the loop is to watch for: input only while nothing waits for the stream and few
 * answers wait for the peer, output while there is some.
 *
 * Limits: a frame has at most WEBSOCKET_FRAME_MAX bytes; text frames are refused (1003). What is
 * buffered is one block in each direction. A peer that takes nothing for send_ms is cut off.
 */
#include "mgr/api/http_internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <wslay/wslay.h>

#define WEBSOCKET_FRAME_MAX (64u << 10)
#define WEBSOCKET_BLOCK	    4096u  /* of output; also what libwslay reads at once */
#define WEBSOCKET_ROUND	    65536u /* bytes in one direction before others have their turn */
#define WEBSOCKET_QUEUE	    4u	   /* answers to pings that may wait before input does */
#define WEBSOCKET_CLOSE_MS  5000u  /* for the peer's half of the closing handshake */
#define WEBSOCKET_DRAIN_MS  200u   /* for the rest of what a peer that went has sent */
#define KEY_LEN		    24u	   /* RFC 6455, 4.1: 16 bytes in base64 */

struct websocket {
	struct http_conn *conn;
	struct api_stream *src;
	wslay_event_context_ptr ws;
	struct MHD_UpgradeResponseHandle *urh; /* NULL: not upgraded yet */
	int fd;
	uint32_t events;
	struct loop_fd *watch;
	struct loop_call wake;
	char *extra; /* what came together with the request */
	size_t extra_len, extra_at;
	/* Input that the stream did not take yet: [pending_at, pending_len). */
	uint8_t pending[2 * WEBSOCKET_BLOCK];
	size_t pending_len, pending_at;
	size_t in_round, out_round;
	uint8_t opcode; /* of the frame that is being received */
	bool peer_gone; /* with TLS: its FIN is seen */
	bool closing;	/* a close frame of ours is queued */
	bool refused;	/* a text frame came */
	bool ended;	/* the stream takes or gives no more */
};

/* RFC 6455, 1.3: the key and this text, hashed by SHA-1, in base64. */
bool websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_LEN + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[KEY_LEN + sizeof(guid)], raw[KEY_LEN];
	unsigned char digest[20];

	/* 22 digits and "==" are 16 bytes. */
	if (strlen(key) != KEY_LEN || strcmp(key + KEY_LEN - 2, "==") != 0 ||
	    EVP_DecodeBlock(raw, (const unsigned char *)key, (int)KEY_LEN) < 0)
		return false;
	memcpy(text, key, KEY_LEN);
	memcpy(text + KEY_LEN, guid, sizeof(guid));
	if (EVP_Digest(text, KEY_LEN + sizeof(guid) - 1, digest, NULL, EVP_sha1(), NULL) != 1)
		return false;
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
	return true;
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags UNUSED,
		       void *arg)
{
	struct websocket *w = arg;
	ssize_t n;

	if (w->pending_at < w->pending_len || w->in_round >= WEBSOCKET_ROUND ||
	    wslay_event_get_queued_msg_count(ctx) > WEBSOCKET_QUEUE) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	len = MIN(len, (size_t)WEBSOCKET_BLOCK);
	if (w->extra_at < w->extra_len) {
		n = (ssize_t)MIN(len, w->extra_len - w->extra_at);
		memcpy(buf, w->extra + w->extra_at, (size_t)n);
		w->extra_at += (size_t)n;
	} else {
		n = recv(w->fd, buf, len, MSG_DONTWAIT);
	}
	if (n <= 0) {
		bool later = n < 0 && (errno == EAGAIN || errno == EINTR);

		wslay_event_set_error(ctx,
				      later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	w->in_round += (size_t)n;
	return n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *buf, size_t len,
		       int flags UNUSED, void *arg)
{
	struct websocket *w = arg;
	ssize_t n = send(w->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0) {
		if (!w->closing && !w->peer_gone)
			http_conn_deadline(w->conn, w->conn->http->limits.send_ms);
		return n;
	}
	wslay_event_set_error(ctx, errno == EAGAIN || errno == EINTR ? WSLAY_ERR_WOULDBLOCK
								     : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static void on_frame(wslay_event_context_ptr ctx UNUSED,
		     const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
	struct websocket *w = user;

	w->opcode = arg->opcode;
	w->refused |= arg->opcode == WSLAY_TEXT_FRAME;
}

static void on_chunk(wslay_event_context_ptr ctx UNUSED,
		     const struct wslay_event_on_frame_recv_chunk_arg *arg, void *user)
{
	struct websocket *w = user;

	if (wslay_is_ctrl_frame(w->opcode) || w->refused || w->ended || !w->src->ops->write)
		return;
	/* All chunks of one call come from one block that on_recv() gave. */
	BUG_ON(arg->data_length > sizeof(w->pending) - w->pending_len);
	memcpy(w->pending + w->pending_len, arg->data, arg->data_length);
	w->pending_len += arg->data_length;
}

static const struct wslay_event_callbacks callbacks = {
	.recv_callback = on_recv,
	.send_callback = on_send,
	.on_frame_recv_start_callback = on_frame,
	.on_frame_recv_chunk_callback = on_chunk,
};

static void queue_close(struct websocket *w, uint16_t code)
{
	if (w->closing)
		return;
	w->closing = true;
	/* Refused only where a close frame is queued already, or memory is short. */
	if (wslay_event_queue_close(w->ws, code, NULL, 0))
		wslay_event_shutdown_write(w->ws);
	http_conn_deadline(w->conn, WEBSOCKET_CLOSE_MS);
}

/* What waits, to the stream. */
static void deliver(struct websocket *w)
{
	while (w->pending_at < w->pending_len && !w->ended) {
		ssize_t n = w->src->ops->write(w->src, w->pending + w->pending_at,
					       w->pending_len - w->pending_at);

		if (!n)
			return;
		if (n < 0)
			w->ended = true;
		else
			w->pending_at += (size_t)n;
		BUG_ON(w->pending_at > w->pending_len);
	}
	w->pending_at = w->pending_len = 0;
}

static int input(struct websocket *w)
{
	size_t before;

	do {
		before = w->in_round;
		deliver(w);
		if (w->pending_len)
			return 0;
		if (wslay_event_want_read(w->ws) && wslay_event_recv(w->ws))
			return -EIO;
		if (w->refused) {
			queue_close(w, WSLAY_CODE_UNSUPPORTED_DATA);
			wslay_event_shutdown_read(w->ws);
		}
	} while (w->in_round != before && w->in_round < WEBSOCKET_ROUND);
	deliver(w);
	return 0;
}

/* One block of the stream's into the queue. Whether there was one. */
static bool fetch(struct websocket *w)
{
	uint8_t buf[WEBSOCKET_BLOCK];
	struct wslay_event_msg msg = { .opcode = WSLAY_BINARY_FRAME, .msg = buf };
	ssize_t n;

	if (w->closing || w->ended || w->out_round >= WEBSOCKET_ROUND ||
	    wslay_event_want_write(w->ws) || !wslay_event_get_write_enabled(w->ws))
		return false;
	n = w->src->ops->read(w->src, buf, sizeof(buf));
	BUG_ON(n > (ssize_t)sizeof(buf));
	if (n < 0)
		w->ended = true;
	if (n <= 0)
		return false;
	msg.msg_length = (size_t)n;
	w->out_round += (size_t)n;
	if (wslay_event_queue_msg(w->ws, &msg))
		w->ended = true;
	return true;
}

static int output(struct websocket *w)
{
	bool more;

	do {
		more = fetch(w);
		if (w->ended)
			queue_close(w, WSLAY_CODE_NORMAL_CLOSURE);
		if (wslay_event_want_write(w->ws) && wslay_event_send(w->ws))
			return -EIO;
	} while (more && !wslay_event_want_write(w->ws));
	return 0;
}

static void turn(void *arg)
{
	struct websocket *w = arg;
	uint32_t events = 0;

	w->in_round = w->out_round = 0;
	if (input(w)) {
		/* libwslay may have a close frame that says why; then it is over. */
		if (wslay_event_want_write(w->ws))
			wslay_event_send(w->ws);
		websocket_free(w);
		return;
	}
	if (output(w) || (!wslay_event_want_read(w->ws) && !wslay_event_want_write(w->ws))) {
		websocket_free(w);
		return;
	}
	if (wslay_event_want_write(w->ws) || w->out_round >= WEBSOCKET_ROUND)
		events |= EPOLLOUT;
	if (wslay_event_want_read(w->ws) && !w->pending_len &&
	    wslay_event_get_queued_msg_count(w->ws) <= WEBSOCKET_QUEUE)
		events |= EPOLLIN;
	if (!(events & EPOLLOUT) && !w->closing && !w->peer_gone)
		loop_timer_disarm(&w->conn->deadline);
	else if (!loop_timer_armed(&w->conn->deadline))
		http_conn_deadline(w->conn, w->conn->http->limits.send_ms);
	/* What came with the request is in no socket that could become readable. */
	if (w->extra_at < w->extra_len && (events & EPOLLIN))
		loop_call_schedule(&w->wake);
	w->events = events;
	loop_fd_mod(w->watch, events);
}

static void on_socket(void *arg, int fd UNUSED, uint32_t events)
{
	struct websocket *w = arg;

	if ((events & (EPOLLHUP | EPOLLERR)) && !(w->events & EPOLLIN))
		websocket_free(w);
	else
		turn(w);
}

/* With TLS: the peer's end of the connection. libmicrohttpd does not pass it on to the pair; what
 * it has read before still has a moment to come through. */
static void on_peer(void *arg, int fd UNUSED, uint32_t events UNUSED)
{
	struct websocket *w = arg;

	loop_fd_del(w->conn->watch);
	w->conn->watch = NULL;
	w->peer_gone = true;
	http_conn_deadline(w->conn, WEBSOCKET_DRAIN_MS);
}

static void websocket_woken(void *transport)
{
	loop_call_schedule(&((struct websocket *)transport)->wake);
}

/* The reply 101 is sent: the socket is ours until websocket_free(). */
static void on_upgrade(void *cls, struct MHD_Connection *mhd UNUSED, void *con_cls UNUSED,
		       const char *extra, size_t extra_len, MHD_socket fd,
		       struct MHD_UpgradeResponseHandle *urh)
{
	struct websocket *w = cls;
	struct http *h = w->conn->http;

	w->urh = urh;
	w->fd = fd;
	if (extra_len) {
		w->extra = malloc(extra_len);
		if (w->extra)
			memcpy(w->extra, extra, extra_len);
		w->extra_len = extra_len;
	}
	if ((extra_len && !w->extra) ||
	    loop_fd_add(h->loop, fd, 0, on_socket, w, &w->watch, NULL) ||
	    (fd != w->conn->fd &&
	     loop_fd_add(h->loop, w->conn->fd, EPOLLRDHUP, on_peer, w, &w->conn->watch, NULL))) {
		/* The deadline, which passes at once, frees it: not here, inside of the call. */
		w->extra_len = 0;
		http_conn_cut(w->conn);
		http_conn_deadline(w->conn, 0);
		return;
	}
	loop_timer_disarm(&w->conn->deadline);
	/* Not from inside of libmicrohttpd's call, which it may end. */
	loop_call_schedule(&w->wake);
}

struct MHD_Response *websocket_response(struct http_conn *c, struct api_stream *s,
					const char *accept)
{
	struct websocket *w = calloc(1, sizeof(*w));
	struct MHD_Response *resp;

	if (!w || wslay_event_context_server_init(&w->ws, &callbacks, w)) {
		free(w);
		s->ops->close(s);
		return NULL;
	}
	w->conn = c;
	w->src = s;
	w->fd = -1;
	wslay_event_config_set_no_buffering(w->ws, 1);
	wslay_event_config_set_max_recv_msg_length(w->ws, WEBSOCKET_FRAME_MAX);
	loop_call_init(&w->wake, c->http->loop, turn, w);
	c->websocket = w;
	resp = MHD_create_response_for_upgrade(on_upgrade, w);
	if (!resp || MHD_add_response_header(resp, "Upgrade", "websocket") != MHD_YES ||
	    MHD_add_response_header(resp, "Sec-WebSocket-Accept", accept) != MHD_YES) {
		if (resp)
			MHD_destroy_response(resp);
		websocket_free(w);
		return NULL;
	}
	s->transport = w;
	s->wake = websocket_woken;
	return resp;
}

void websocket_stop(struct websocket *w)
{
	if (!w->watch)
		return;
	queue_close(w, WSLAY_CODE_GOING_AWAY);
	websocket_woken(w);
}

void websocket_cut(struct websocket *w)
{
	/* Before the upgrade libmicrohttpd still holds it: then only the socket can go. */
	if (w->urh)
		websocket_free(w);
	else
		http_conn_cut(w->conn);
}

void websocket_free(struct websocket *w)
{
	if (!w)
		return;
	w->conn->websocket = NULL;
	loop_fd_del(w->watch);
	loop_fd_del(w->conn->watch);
	w->conn->watch = NULL;
	loop_call_cancel(&w->wake);
	w->src->wake = NULL;
	w->src->ops->close(w->src);
	wslay_event_context_free(w->ws);
	if (w->urh) {
		MHD_upgrade_action(w->urh, MHD_UPGRADE_ACTION_CLOSE);
		loop_call_schedule(&w->conn->daemon->again);
		w->conn->relay_ending = true;
		w->conn->daemon->relays_ending++;
		/* With TLS libmicrohttpd now waits for the peer to close. */
		http_conn_deadline(w->conn, WEBSOCKET_CLOSE_MS);
	}
	free(w->extra);
	free(w);
}
