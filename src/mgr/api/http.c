/* SPDX-License-Identifier: MIT */
/*
 * The HTTP transport: libmicrohttpd on the loop, connections and their deadlines. See http.h.
 *
 * Theory of operation: libmicrohttpd's epoll descriptor is watched; when it is readable
 * MHD_run() does what can be done. It is called from the loop only, never from inside a callback:
 * what resumes a connection schedules it.
 *
 * libmicrohttpd's own time-outs count from the last byte, so a peer that trickles bytes never
 * meets them: they are off, and every connection has a deadline of ours.
 *
 * A suspended connection is not polled by libmicrohttpd; its descriptor is then watched here for
 * the hang-up. On TCP a half-closed connection counts as gone: nobody who wants the reply sends
 * FIN first; on a Unix socket both are told apart.
 */
#include "mgr/api/http_internal.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RELAY_ROUND_MS 50u

static uint64_t now_ns(const struct http *h)
{
	const struct clock *c = loop_clock(h->loop);

	return c->mono_ns(c);
}

/* Let libmicrohttpd do what it can, and see when it wants to be called again. */
static void pump(void *arg)
{
	struct http_daemon *d = arg;
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_run(d->mhd) != MHD_YES)
		log_guest(&d->http->noise, "api", "libmicrohttpd failed in a round");
	if (MHD_get_timeout(d->mhd, &ms) != MHD_YES)
		ms = UINT64_MAX;
	/* Without a listening socket libmicrohttpd tells nobody that a WebSocket's relay ended, and
	 * only its next round cleans up. There is an end to that: the connection's deadline. */
	if (d->relays_ending)
		ms = MIN(ms, (MHD_UNSIGNED_LONG_LONG)RELAY_ROUND_MS);
	if (!ms)
		loop_call_schedule(&d->again);
	else if (ms != UINT64_MAX)
		loop_timer_arm(&d->timer, now_ns(d->http) + ms * CLOCK_NS_PER_MS);
	else
		loop_timer_disarm(&d->timer);
}

static void on_daemon(void *arg, int fd UNUSED, uint32_t events UNUSED)
{
	pump(arg);
}

void http_conn_deadline(struct http_conn *c, unsigned ms)
{
	loop_timer_arm(&c->deadline, now_ns(c->http) + ms * CLOCK_NS_PER_MS);
}

void http_conn_cut(struct http_conn *c)
{
	shutdown(c->fd, SHUT_RDWR);
}

static void on_deadline(void *arg)
{
	struct http_conn *c = arg;

	if (c->websocket)
		websocket_cut(c->websocket);
	else
		http_conn_cut(c);
}

/* The peer of a suspended connection went. */
static void on_gone(void *arg, int fd UNUSED, uint32_t events UNUSED)
{
	struct http_conn *c = arg;

	if (c->request)
		http_request_gone(c->request);
	if (c->stream)
		http_stream_gone(c->stream);
	http_conn_resume(c);
}

int http_conn_suspend(struct http_conn *c)
{
	int ret;

	if (c->http->ending)
		return -ESHUTDOWN;
	ret = loop_fd_add(c->http->loop, c->fd, c->is_unix ? 0 : EPOLLRDHUP, on_gone, c, &c->watch,
			  NULL);
	if (ret)
		return ret;
	loop_timer_disarm(&c->deadline);
	c->suspended = true;
	MHD_suspend_connection(c->mhd);
	return 0;
}

void http_conn_resume(struct http_conn *c)
{
	if (!c->suspended)
		return;
	loop_fd_del(c->watch);
	c->watch = NULL;
	c->suspended = false;
	http_conn_deadline(c, c->http->limits.send_ms);
	MHD_resume_connection(c->mhd);
	loop_call_schedule(&c->daemon->again);
}

static void conn_free(struct http_conn *c)
{
	struct http *h = c->http;

	websocket_free(c->websocket);
	if (c->relay_ending)
		c->daemon->relays_ending--;
	loop_timer_disarm(&c->deadline);
	loop_fd_del(c->watch);
	if (c->stream)
		http_stream_detach(c->stream);
	c->peer->connections--;
	if (c->prev)
		c->prev->next = c->next;
	else
		h->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	h->n_conns--;
	free(c);
	if (h->stopping && !h->n_conns)
		loop_call_schedule(&h->stopped_call);
}

/* MHD_OPTION_NOTIFY_CONNECTION: inside of MHD_add_connection(), and at the end. */
static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct http *h = cls;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		h->starting->mhd = mhd;
		*context = h->starting;
		h->starting = NULL;
	} else if (*context) {
		conn_free(*context);
		*context = NULL;
	}
}

/* Who it is, for the bounds (@key) and for the callee (id). */
static int identify(struct http_conn *c, const struct sockaddr *from, char key[PEER_KEY_MAX],
		    struct err *e)
{
	char host[INET6_ADDRSTRLEN];
	struct ucred cred;
	socklen_t len = sizeof(cred);

	c->id = (struct api_peer) { .uid = -1, .from = "unix" };
	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)from;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(c->id.from, sizeof(c->id.from), "%s:%u", host, ntohs(in->sin_port));
		snprintf(key, PEER_KEY_MAX, "%.40s", host);
	} else if (from->sa_family == AF_INET6) {
		struct sockaddr_in6 in = *(const struct sockaddr_in6 *)(const void *)from;

		inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof(host));
		snprintf(c->id.from, sizeof(c->id.from), "[%s]:%u", host, ntohs(in.sin6_port));
		/* One host commonly has a whole /64; a mapped IPv4 address is one address. */
		if (!IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
			memset(in.sin6_addr.s6_addr + 8, 0, 8);
		inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof(host));
		snprintf(key, PEER_KEY_MAX, "%.46s", host);
	} else {
		if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
			return err_set(e, -errno, "cannot tell who connects: %s", strerror(errno));
		c->is_unix = true;
		c->id.uid = cred.uid;
		c->unrated = (!cred.uid || cred.uid == geteuid()) && !c->http->limits.own_too;
		snprintf(key, PEER_KEY_MAX, "uid:%u", cred.uid);
	}
	return 0;
}

/* A peer whose host vanishes is noticed within two minutes. */
static void set_keepalive(int fd)
{
	static const struct {
		int level, name, value;
	} opts[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 15 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++)
		if (setsockopt(fd, opts[i].level, opts[i].name, &opts[i].value, sizeof(int)) < 0)
			return; /* then a dead peer stays until it is written to */
}

/* Why a connection is not taken, to a peer that reads plain text. */
static void refuse(int fd, bool plain)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
		"Content-Length: 0\r\n\r\n";

	if (plain && send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

int http_serve(struct http_daemon *d, int fd, const struct sockaddr *from, socklen_t len,
	       struct err *e)
{
	struct http *h = d->http;
	struct http_conn *c = calloc(1, sizeof(*c));
	char key[PEER_KEY_MAX] = "";
	int ret;

	if (!c) {
		ret = err_set(e, -ENOMEM, "no memory for a connection");
		goto fail;
	}
	*c = (struct http_conn) { .http = h, .daemon = d, .fd = fd };
	ret = identify(c, from, key, e);
	if (ret)
		goto fail;
	c->peer = peer_find(&h->peers, key, now_ns(h));
	if (!c->peer || h->n_conns >= h->limits.connections ||
	    c->peer->connections >= h->limits.per_peer) {
		refuse(fd, d == &h->plain);
		ret = err_set(e, -EAGAIN, "too many connections of %s", key);
		goto fail;
	}
	if (!c->is_unix)
		set_keepalive(fd);
	loop_timer_init(&c->deadline, h->loop, on_deadline, c);
	c->next = h->conns;
	if (c->next)
		c->next->prev = c;
	h->conns = c;
	h->n_conns++;
	c->peer->connections++;
	h->starting = c;
	if (MHD_add_connection(d->mhd, fd, from, len) != MHD_YES) {
		/* The descriptor is closed; @c is freed where it was handed over already. */
		ret = err_set(e, -errno ? -errno : -EIO, "cannot serve a connection");
		if (h->starting == c)
			conn_free(c);
		h->starting = NULL;
		return ret;
	}
	http_conn_deadline(c, h->limits.request_ms);
	loop_call_schedule(&d->again);
	return 0;

fail:
	free(c);
	fd_close(&fd);
	return ret;
}

int http_adopt(struct http *h, int fd, struct err *e)
{
	const struct sockaddr sa = { .sa_family = AF_UNIX };

	return http_serve(&h->plain, fd, &sa, sizeof(sa), e);
}

/* libmicrohttpd's own messages; what a peer caused is among them. */
static void on_message(void *cls, const char *fmt, va_list ap)
{
	struct http *h = cls;
	char text[256];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n > 0 && log_enabled(LOG_DEBUG)) {
		text[strcspn(text, "\n")] = '\0';
		log_guest(&h->noise, "api", "%s", text);
	}
}

/* Targets are decoded in uri.c, once. */
static size_t leave_as_it_is(void *cls UNUSED, struct MHD_Connection *mhd UNUSED, char *s)
{
	return strlen(s);
}

int http_daemon_start(struct http *h, struct http_daemon *d, unsigned flags,
		      struct MHD_OptionItem *tls, struct err *e)
{
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
	const union MHD_DaemonInfo *info;
	int ret;

	d->http = h;
	loop_timer_init(&d->timer, h->loop, pump, d);
	loop_call_init(&d->again, h->loop, pump, d);
	d->mhd = MHD_start_daemon(
		flags | MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG,
		0, NULL, NULL, http_request_handle, h, MHD_OPTION_EXTERNAL_LOGGER, on_message, h,
		MHD_OPTION_URI_LOG_CALLBACK, http_request_line, h, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, h, MHD_OPTION_NOTIFY_COMPLETED, http_request_completed, h,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_as_it_is, NULL, MHD_OPTION_CONNECTION_LIMIT,
		h->limits.connections, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, tls ? tls : none,
		MHD_OPTION_END);
	if (!d->mhd)
		return err_set(e, flags ? -EINVAL : -ENOMEM,
			       flags ? "cannot use the certificate and key for TLS: they must be "
				       "PEM and belong together"
				     : "cannot start libmicrohttpd");
	info = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	ret = info ? loop_fd_add(h->loop, info->epoll_fd, EPOLLIN, on_daemon, d, &d->watch, e)
		   : err_set(e, -EOPNOTSUPP, "libmicrohttpd cannot use epoll here");
	if (ret) {
		MHD_stop_daemon(d->mhd);
		d->mhd = NULL;
	}
	return ret;
}

static void daemon_stop(struct http_daemon *d)
{
	if (!d->mhd)
		return;
	/* Once for the connections that were resumed, then for all. */
	MHD_run(d->mhd);
	loop_fd_del(d->watch);
	MHD_stop_daemon(d->mhd);
	loop_timer_disarm(&d->timer);
	loop_call_cancel(&d->again);
	d->mhd = NULL;
}

static void set_limits(struct http *h, const struct http_limits *l)
{
	h->limits = (struct http_limits) {
		.connections = l->connections ? l->connections : 256,
		.per_peer = l->per_peer ? l->per_peer : 64,
		.request_ms = l->request_ms ? l->request_ms : 10000,
		.idle_ms = l->idle_ms ? l->idle_ms : 60000,
		.send_ms = l->send_ms ? l->send_ms : 60000,
		.rate = l->rate ? l->rate : 200,
		.burst = l->burst ? l->burst : 400,
		.own_too = l->own_too,
	};
	h->peers.rate = h->limits.rate;
	h->peers.burst = h->limits.burst;
}

static void on_stopped(void *arg)
{
	struct http *h = arg;
	void (*fn)(void *ctx) = h->stopped;

	loop_timer_disarm(&h->grace);
	loop_call_cancel(&h->stopped_call);
	h->stopped = NULL;
	if (fn)
		fn(h->stopped_ctx);
}

int http_create(struct http **out, const struct http_config *config, const struct api *api,
		struct loop *loop, struct err *e)
{
	struct http *h;
	int ret;

	if (config->tcp_host && (!config->cert_path || !config->key_path))
		return err_set(e, -EINVAL,
			       "TCP is served with TLS only: name a certificate and its key");
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, -ENOMEM, "no memory for the API's transport");
	h->loop = loop;
	h->api = api;
	set_limits(h, &config->limits);
	loop_timer_init(&h->grace, loop, on_stopped, h);
	loop_call_init(&h->stopped_call, loop, on_stopped, h);
	for (unsigned i = 0; i < HTTP_LISTEN_COUNT; i++)
		h->listener[i].fd = -1;
	ret = http_daemon_start(h, &h->plain, 0, NULL, e);
	if (!ret && config->tcp_host)
		ret = http_tls_start(h, config, e);
	if (!ret)
		ret = http_listen(h, config, e);
	if (ret) {
		http_destroy(h);
		return ret;
	}
	*out = h;
	return 0;
}

void http_stop(struct http *h, unsigned grace_ms, void (*stopped)(void *ctx), void *ctx)
{
	http_unlisten(h);
	h->stopping = true;
	h->stopped = stopped;
	h->stopped_ctx = ctx;
	for (struct http_conn *c = h->conns; c; c = c->next) {
		if (c->websocket)
			websocket_stop(c->websocket);
		else if (c->stream)
			http_stream_stop(c->stream);
		else if (!c->request)
			http_conn_cut(c);
	}
	if (h->n_conns)
		loop_timer_arm(&h->grace, now_ns(h) + grace_ms * CLOCK_NS_PER_MS);
	else
		loop_call_schedule(&h->stopped_call);
}

void http_destroy(struct http *h)
{
	if (!h)
		return;
	http_unlisten(h);
	h->stopping = h->ending = true;
	for (struct http_conn *c = h->conns; c; c = c->next) {
		if (c->websocket)
			websocket_cut(c->websocket);
		if (c->suspended)
			on_gone(c, c->fd, EPOLLHUP);
		http_conn_cut(c);
	}
	daemon_stop(&h->plain);
	daemon_stop(&h->tls);
	BUG_ON(h->n_conns);
	loop_timer_disarm(&h->grace);
	loop_call_cancel(&h->stopped_call);
	free(h);
}

unsigned http_connections(const struct http *h)
{
	return h->n_conns;
}
