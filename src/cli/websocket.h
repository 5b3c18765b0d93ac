/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket to the manager (RFC 6455), as its client: binary messages both ways.
 *
 * Theory of operation: one path for both transports: libcurl connects (CURLOPT_CONNECT_ONLY, with
 * TLS where the manager is remote), the handshake is written here, and the frames are wslay's,
 * over curl_easy_send and curl_easy_recv. wslay is loaded when needed, as libcurl is (dl.h).
 *
 * Threads: none of its own; nothing blocks but websocket_open().
 */
#ifndef HOLM_CLI_WEBSOCKET_H
#define HOLM_CLI_WEBSOCKET_H

#include "cli/client.h"

#define WEBSOCKET_QUEUE_MAX 65536 /* bytes not sent yet at which websocket_full() says so */

struct websocket;

/** Bytes from the peer; called from websocket_process(). */
typedef void (*websocket_fn)(void *ctx, const void *data, size_t len);

/**
 * websocket_open() - connect and shake hands.
 *
 * @c is used for nothing else until websocket_close(). Errors: those of problem_set() where the
 * manager refuses, -EIO, -ENOENT (no wslay).
 */
int websocket_open(struct websocket **out, struct client *c, const struct url *url, websocket_fn fn,
		   void *ctx, struct err *e) MUST_CHECK;
void websocket_close(struct websocket *w);

/** websocket_fd() - to poll on; websocket_events() - for what. */
int websocket_fd(struct websocket *w);
short websocket_events(struct websocket *w);
/** websocket_send() - queue bytes; 0 or -ENOMEM. */
int websocket_send(struct websocket *w, const void *data, size_t len) MUST_CHECK;
/** websocket_full() - the peer does not take what is queued: send no more now. */
bool websocket_full(struct websocket *w);
/** websocket_bye() - queue the closing handshake. */
void websocket_bye(struct websocket *w);
/**
 * websocket_process() - receive and send what goes without blocking.
 * Return: 1, 0 when the peer has closed it, -EIO (broken).
 */
int websocket_process(struct websocket *w, struct err *e) MUST_CHECK;

#endif
