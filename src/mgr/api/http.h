/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 for the API: a Unix socket, and TCP with TLS 1.3, on the manager's loop.
 *
 * Theory of operation: libmicrohttpd parses and writes HTTP; it has no thread and no listening
 * socket of its own. This transport accepts, tells peers apart, keeps the bounds below and hands
 * whole requests to a struct api. A connection always has a deadline but while its request is
 * being answered by the callee: nothing is polled, an idle transport sleeps.
 *
 * Limits: no HTTP/2, no compression, no ranges.
 *
 * Threads: the manager's loop only; lock held.
 */
#ifndef HOLM_MGR_API_HTTP_H
#define HOLM_MGR_API_HTTP_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "mgr/core/api.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct http;

/** What one peer, and all of them, may take. 0 in a field: its default. */
struct http_limits {
	unsigned connections; /* 256 in all; one above it is told 503 */
	unsigned per_peer;    /* 64 of one uid or address */
	unsigned request_ms;  /* 10000: the first request's line, and any request's rest */
	unsigned idle_ms;     /* 60000 from one request's end to the next one's line */
	unsigned send_ms;     /* 60000 without any progress of a reply */
	unsigned rate, burst; /* 200 requests a second of one peer, 400 at once */
	bool own_too;	      /* the rate holds for local peers of root and of our own uid too */
};

struct http_config {
	const char *socket_path; /* NULL: none */
	mode_t socket_mode;	 /* 0660; 0: 0600 */
	gid_t socket_gid;	 /* (gid_t)-1: stays */
	int listen_fd;		 /* a Unix socket that listens already (borrowed); -1: none */
	const char *tcp_host;	 /* NULL: none; name or address, "::" for all */
	uint16_t tcp_port;	 /* 0: any, http_tcp_port() tells */
	/* PEM files; TCP needs the first two. With a CA clients may show a certificate. */
	const char *cert_path, *key_path, *client_ca_path;
	struct http_limits limits;
};

/**
 * http_create() - listen, and serve @api (borrowed).
 *
 * A socket file that nobody serves is replaced. Two of them started at the same moment are kept
 * apart by the store's lock, not here.
 * Errors: -EADDRINUSE, -EEXIST (the path is no socket), -EINVAL (configuration, certificates),
 * -ENOMEM, -EACCES and others of socket(7).
 */
int http_create(struct http **out, const struct http_config *config, const struct api *api,
		struct loop *loop, struct err *e) MUST_CHECK;

/**
 * http_stop() - take no new connection; what is being answered may end within @grace_ms.
 *
 * Endless streams end at once, WebSockets are told so. @stopped runs on the loop, once, when no
 * connection is left or the time is over; http_destroy() may be called in it.
 */
void http_stop(struct http *h, unsigned grace_ms, void (*stopped)(void *ctx), void *ctx);

/** http_destroy() - cut off what is left, cancel() its requests, free. NULL is allowed. */
void http_destroy(struct http *h);

/** http_connections() - how many there are now: 0 lets a daemon on demand end. */
unsigned http_connections(const struct http *h);

/** http_tcp_port() - where it listens; 0: not on TCP. */
uint16_t http_tcp_port(const struct http *h);

/** http_adopt() - serve a connected Unix socket, whose descriptor is taken also on failure. */
int http_adopt(struct http *h, int fd, struct err *e) MUST_CHECK;

/** http_inherited_fd() - the socket of systemd's activation (sd_listen_fds(3)), or -1. */
int http_inherited_fd(void);

#endif
