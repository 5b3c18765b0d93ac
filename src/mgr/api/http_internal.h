/* SPDX-License-Identifier: MIT */
/*
 * What the files of the HTTP transport share.
 *
 * http.c: the object, libmicrohttpd on the loop, connections and their deadlines. listen.c:
 * sockets. tls.c: certificates. request.c: one request from its line to its reply. stream.c:
 * replies that are streams. websocket.c: a connection that became a WebSocket.
 */
#ifndef HOLM_MGR_API_HTTP_INTERNAL_H
#define HOLM_MGR_API_HTTP_INTERNAL_H

#include "base/log.h"
#include "mgr/api/http.h"
#include "mgr/api/peer.h"
#include "mgr/api/uri.h"

#include <microhttpd.h>
#include <sys/socket.h>

#define WEBSOCKET_ACCEPT_LEN 28
/* Of a connection: request line and headers, and what is sent at once. */
#define HTTP_MEMORY 32768u

/** One libmicrohttpd: those of the Unix socket, or those with TLS. */
struct http_daemon {
	struct http *http;
	struct MHD_Daemon *mhd; /* NULL: not there */
	struct loop_fd *watch;
	struct loop_call again;	 /* it has more to do at once */
	struct loop_timer timer; /* or later */
	unsigned relays_ending;	 /* connections that were WebSockets and are not cleaned up yet */
};

struct http_listener {
	struct http_daemon *daemon;
	int fd; /* -1: none */
	bool owned;
	struct loop_fd *watch;
	struct loop_timer pause; /* after accept(2) failed for lack of something */
};

enum { HTTP_LISTEN_PATH, HTTP_LISTEN_INHERITED, HTTP_LISTEN_TCP, HTTP_LISTEN_COUNT };

struct http {
	struct loop *loop;
	const struct api *api;
	struct http_limits limits;
	struct http_daemon plain, tls;
	struct http_listener listener[HTTP_LISTEN_COUNT];
	char *socket_path; /* ours to remove; NULL: none */
	struct http_conn *conns, *starting;
	unsigned n_conns;
	bool client_ca, stopping;
	bool ending; /* in http_destroy(): nothing may be suspended any more */
	struct loop_timer grace;
	struct loop_call stopped_call;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
	struct log_limit noise;
	struct peers peers;
};

/**
 * One connection. The deadline is armed but while the callee has the request (suspended) or the
 * connection is a WebSocket; when it passes the socket is shut down, which libmicrohttpd sees.
 */
struct http_conn {
	struct http *http;
	struct http_daemon *daemon;
	struct http_conn *prev, *next;
	struct MHD_Connection *mhd;
	int fd; /* libmicrohttpd's */
	bool is_unix, suspended, relay_ending;
	bool unrated; /* root or our own uid, here: who could stop us altogether needs no rate */
	struct peer *peer;
	struct api_peer id;
	char certificate[65];
	bool certificate_known;
	struct loop_timer deadline;
	struct loop_fd *watch; /* while suspended: has the peer gone? */
	struct http_request *request;
	struct http_stream *stream; /* of the reply */
	struct websocket *websocket;
};

enum http_phase {
	HTTP_LINE,     /* its line is there */
	HTTP_BODY,     /* its header is there, a body may come */
	HTTP_CALLED,   /* the callee has it */
	HTTP_ANSWERED, /* done() was called: @response is ready */
	HTTP_QUEUED,   /* libmicrohttpd has the response */
	HTTP_ORPHAN,   /* its peer went, and done() is yet to be called */
	HTTP_GONE,     /* nothing can be said any more: close the connection */
};

struct http_request {
	struct api_request api;
	struct http_conn *conn; /* NULL until its header is there */
	char *raw;		/* the target as sent */
	struct uri uri;
	enum http_phase phase;
	char *body;
	size_t body_size;
	bool body_dropped; /* too large, or the sink does not want it */
	bool inside;	   /* in a call of the callee: done() must not resume */
	struct loop_call sink_wake;
	char method[16], if_match[64], token[256], certificate[65],
		accept[WEBSOCKET_ACCEPT_LEN + 1];
	struct MHD_Response *response;
	unsigned status;
};

/* http.c */
/** http_serve() - hand a new socket (taken) to libmicrohttpd. @from: its address. */
int http_serve(struct http_daemon *d, int fd, const struct sockaddr *from, socklen_t len,
	       struct err *e) MUST_CHECK;
/** http_conn_deadline() - @ms from now the connection is cut off. */
void http_conn_deadline(struct http_conn *c, unsigned ms);
/** http_conn_cut() - shut the socket down; libmicrohttpd cleans up. */
void http_conn_cut(struct http_conn *c);
/** http_conn_suspend() - no I/O until http_conn_resume(), but see the peer go. */
int http_conn_suspend(struct http_conn *c) MUST_CHECK;
void http_conn_resume(struct http_conn *c);

/* listen.c */
int http_listen(struct http *h, const struct http_config *config, struct err *e) MUST_CHECK;
void http_unlisten(struct http *h);

/* tls.c */
int http_tls_start(struct http *h, const struct http_config *config, struct err *e) MUST_CHECK;
/** http_tls_certificate() - c->certificate; -EACCES: shown, but not signed by the CA. */
int http_tls_certificate(struct http_conn *c) MUST_CHECK;

/** http_daemon_start() - @n options of TLS besides, or none. */
int http_daemon_start(struct http *h, struct http_daemon *d, unsigned flags,
		      struct MHD_OptionItem *tls, struct err *e) MUST_CHECK;

/* request.c: callbacks of libmicrohttpd */
void *http_request_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_request_handle(void *cls, struct MHD_Connection *mhd, const char *url,
				    const char *method, const char *version, const char *data,
				    size_t *size, void **con_cls);
void http_request_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
			    enum MHD_RequestTerminationCode why);
/** http_request_gone() - the peer went, or must: cancel it where the callee has it. */
void http_request_gone(struct http_request *r);

/* stream.c */
/** http_stream_response() - a response that reads @s, which is taken also on failure (NULL). */
struct MHD_Response *http_stream_response(struct http_conn *c, struct api_stream *s, uint64_t len);
/** http_stream_detach() - its connection is no more. */
void http_stream_detach(struct http_stream *st);
/** http_stream_gone() - its peer went. */
void http_stream_gone(struct http_stream *st);
/** http_stream_stop() - the daemon ends: so does a stream without a known end. */
void http_stream_stop(struct http_stream *st);

/* websocket.c */
/** websocket_accept() - the answer to a peer's key; false: the key is none. RFC 6455, 4.2.2. */
bool websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_LEN + 1]);
/** websocket_response() - of an upgrade of @c; @s is taken also on failure (NULL). */
struct MHD_Response *websocket_response(struct http_conn *c, struct api_stream *s,
					const char *accept);
/** websocket_stop() - say that the daemon ends. */
void websocket_stop(struct websocket *w);
/** websocket_cut() - end it now. Not from inside libmicrohttpd. */
void websocket_cut(struct websocket *w);
/** websocket_free() - its connection is no more, or never became one. NULL is allowed. */
void websocket_free(struct websocket *w);

#endif
