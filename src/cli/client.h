/* SPDX-License-Identifier: MIT */
/*
 * Requests to the manager: HTTP over its Unix socket, or with TLS over TCP.
 *
 * Theory of operation: one connection, used again for each request, through libcurl, which is
 * loaded when a client is opened (dl.h says why). A request waits for its answer; what comes as a
 * stream (logs, events, a volume's bytes) goes to a sink as it comes.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_CLI_CLIENT_H
#define HOLM_CLI_CLIENT_H

#include "base/compiler.h"
#include "base/err.h"
#include "cli/url.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CLIENT_ANSWER_MAX (64u << 20) /* bytes of an answer that is no stream */

/** Where the manager is. */
struct client_target {
	const char *host;		 /* "https://HOST:PORT"; NULL: on this host */
	const char *cert, *key, *cacert; /* files, NULL: none */
	bool no_start;			 /* never start a manager */
};

/** Takes some bytes of a stream; 0, or a negative errno with a sentence to end it. */
typedef int (*client_sink_fn)(void *ctx, const char *data, size_t len, struct err *e);
/** Gives up to @len bytes of a body; 0: the end, or a negative errno with a sentence. */
typedef ssize_t (*client_source_fn)(void *ctx, void *buf, size_t len, struct err *e);

struct client_request {
	const char *method; /* "GET" */
	const struct url *url;
	json_t *body;		 /* borrowed; NULL: none */
	const char *if_match;	 /* NULL: none */
	client_sink_fn sink;	 /* takes the answer where it is a success; NULL: it is JSON */
	client_source_fn source; /* gives the body of a PUT; NULL: @body */
	void *ctx;		 /* of both */
	uint64_t source_len;	 /* UINT64_MAX: not known */
	unsigned timeout_ms;	 /* 0: two minutes, or none with a sink or source */
	unsigned idle_ms;	 /* a stream that is silent for so long has ended; 0: never */
};

struct client;

/**
 * client_open() - load libcurl, find the manager, and start the user's own where none runs.
 *
 * $HOLM_HOST stands in for @target->host; $HOLM_TOKEN is sent where there is a host.
 * Errors: -ECONNREFUSED, -EACCES, -EINVAL, -ENOENT (no libcurl), -ENOMEM.
 */
int client_open(struct client **out, const struct client_target *target, struct err *e) MUST_CHECK;
void client_close(struct client *c);

/**
 * client_call() - one request and its answer.
 * @out:    receives the answer's JSON, or NULL where it has none; may be NULL
 * @status: receives the status of HTTP where one came, else 0; may be NULL
 *
 * Errors: those of problem_set(), -ECONNREFUSED (nobody there), -ETIMEDOUT, -EIO (the connection
 * broke, or the answer is none), what the sink or source returned.
 */
int client_call(struct client *c, const struct client_request *r, json_t **out, long *status,
		struct err *e) MUST_CHECK;

/* For websocket.c: a connection without HTTP on top. */

/** client_connect() - a connection of its own, with TLS where the manager is remote. */
int client_connect(struct client *c, struct err *e) MUST_CHECK;
/** client_raw_send(), client_raw_recv() - bytes, -EAGAIN, or -EIO; recv: 0 at the end. */
ssize_t client_raw_send(struct client *c, const void *buf, size_t len);
ssize_t client_raw_recv(struct client *c, void *buf, size_t len);
/** client_raw_fd() - to poll on. */
int client_raw_fd(struct client *c);
/** client_host() - for the Host header; client_token() - or NULL. */
const char *client_host(const struct client *c);
const char *client_token(const struct client *c);

#endif
