/* SPDX-License-Identifier: MIT */
/*
 * The seam between a transport (HTTP, tests) and what the API does.
 *
 * Theory of operation: a transport reads one whole request, says who sent it, and calls
 * api_ops.call() once. The callee authorizes, acts, and answers by calling req->done() exactly
 * once: at once, or later from the loop (waiting requests). A reply is a JSON body, bytes, or a
 * stream: a stream hands a source to the transport, which reads it when its peer has room and is
 * told by api_stream_wake() that there is more.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_CORE_API_H
#define HOLM_MGR_CORE_API_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define API_BODY_MAX (1u << 20) /* bytes of a request's JSON body at most */

/** How the peer proved who it is; what is not known is -1, NULL. */
struct api_peer {
	int64_t uid;		 /* SO_PEERCRED of a Unix socket, else -1 */
	const char *token;	 /* of "Authorization: Bearer ..." */
	const char *certificate; /* SHA-256 of the client certificate, lower-case hex */
	char from[64];		 /* "unix" or "192.0.2.7:4711" */
};

struct api_stream;
struct api_request;

/** A source of bytes, made by the callee. */
struct api_stream_ops {
	/** Up to @len bytes: how many, 0: none now (api_stream_wake() follows), -1: the end. */
	ssize_t (*read)(struct api_stream *s, void *buf, size_t len);
	/**
	 * Bytes from the peer (WebSocket, or a sink; optional). Return: bytes taken, the rest is
	 * offered again after api_stream_wake(); or -1: end it.
	 */
	ssize_t (*write)(struct api_stream *s, const void *buf, size_t len);
	/** The transport is done with it, whoever ended it. Frees it. */
	void (*close)(struct api_stream *s);
};

/** First member of the callee's struct. */
struct api_stream {
	const struct api_stream_ops *ops;
	/* Set by the transport before the first read. */
	void (*wake)(void *transport);
	void *transport;
};

/** api_stream_wake() - more to read, room to write, or the end. Never calls back at once. */
static inline void api_stream_wake(struct api_stream *s)
{
	if (s->wake)
		s->wake(s->transport);
}

struct api_reply {
	unsigned status;	  /* 200 ... */
	const char *content_type; /* NULL: application/json */
	const char *body;	  /* borrowed for the call; NULL with a stream or without body */
	size_t len;
	/** Where it is set, @body stays as it is until the transport calls this, exactly once. */
	void (*release)(void *ctx);
	void *release_ctx;
	const char *etag;	   /* without quotes; NULL: none */
	const char *allow;	   /* of 405: "GET, POST"; NULL: none */
	unsigned retry_after;	   /* seconds; 0: none */
	struct api_stream *stream; /* owned by the transport from done() on; NULL: none */
	bool websocket;		   /* the stream is to become a WebSocket of binary frames */
	uint64_t stream_len;	   /* bytes of the stream; UINT64_MAX: not known */
};

/** One request; lives until its done() has returned or, where the peer went, cancel() has. */
struct api_request {
	const char *method; /* "GET"; also where the peer sent HEAD */
	const char *path;   /* decoded, "/v1/vms/web" */
	/** The first value of a query parameter, decoded; NULL where it is not there. */
	const char *(*query)(const struct api_request *r, const char *name);
	const char *if_match; /* without quotes; NULL: none */
	const char *body;     /* NUL-terminated; NULL: none */
	size_t body_len;
	bool upgrade; /* the peer asks for a WebSocket */
	struct api_peer peer;
	/** Where the body went as it came (api_ops.sink); NULL: it is in @body. */
	struct api_stream *sink;
	uint64_t body_total; /* its length; UINT64_MAX: not known before its end */
	/** To be called exactly once, on the loop; @r is gone afterwards. */
	void (*done)(struct api_request *r, const struct api_reply *reply);
	/** For the callee that answers later. */
	void *pending;
	/**
	 * The peer went away before done(): forget @r, do not call done(). Set by the callee;
	 * NULL: @r stays and done() is still to be called, its reply goes nowhere.
	 */
	void (*cancel)(struct api_request *r);
};

struct api_ops {
	/** One request, whole. Calls r->done() now or later. */
	void (*call)(void *ctx, struct api_request *r);
	/**
	 * Asked once the header of a request is there (optional): who takes its body as it comes
	 * (PUT of a volume's data); NULL: the transport collects it in r->body, at most
	 * API_BODY_MAX bytes. Authorizes as call() does; to refuse it calls r->done() and
	 * returns NULL, then there is no call().
	 *
	 * The transport calls only write() and close() of what it is given. Where write() gave
	 * -1 the rest is dropped. After the last byte call() follows with r->sink set; close()
	 * comes after done(), or without call() where the peer went before the end.
	 */
	struct api_stream *(*sink)(void *ctx, struct api_request *r);
};

struct api {
	const struct api_ops *ops;
	void *ctx;
};

#endif
