/* SPDX-License-Identifier: MIT */
/*
 * One request of the HTTP transport, from its line to its reply.
 *
 * Theory of operation: libmicrohttpd calls http_request_line() when the target is there, then
 * http_request_handle() with the header, again for each piece of the body, and once more at its
 * end. A request that the callee answers later suspends its connection; done() resumes it, and
 * http_request_handle() is called again to queue the response.
 *
 * A response can be queued with the header or after the body, not in between: what is wrong with
 * a body is said at its end, the rest of it is read and dropped until the deadline.
 *
 * Limits: the header of a request is bounded by HTTP_MEMORY, which libmicrohttpd answers itself.
 * A request with a foreign Origin is refused: a browser must not be led to use the certificate
 * of its user.
 */
#include "mgr/api/http_internal.h"
#include "mgr/api/reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BODY_FIRST 4096u /* bytes of a body's first buffer */

static const char *header(const struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->conn->mhd, MHD_HEADER_KIND, name);
}

static struct http_conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void request_free(struct http_request *r)
{
	loop_call_cancel(&r->sink_wake);
	if (r->api.sink)
		r->api.sink->ops->close(r->api.sink);
	if (r->response)
		MHD_destroy_response(r->response);
	uri_free(&r->uri);
	free(r->raw);
	free(r->body);
	free(r);
}

static void add_header(struct MHD_Response *resp, const char *name, const char *value)
{
	/* Fails for lack of memory, or for a value with control characters: then it is not sent. */
	if (MHD_add_response_header(resp, name, value) != MHD_YES)
		log_line(LOG_WARN, "api", "cannot send header %s", name);
}

static void add_headers(const struct http_request *r, struct MHD_Response *resp,
			const struct api_reply *a)
{
	char text[128];

	if (a->body || a->stream)
		add_header(resp, "Content-Type",
			   a->content_type ? a->content_type : "application/json");
	add_header(resp, "Cache-Control", "no-store");
	add_header(resp, "X-Content-Type-Options", "nosniff");
	if (a->etag) {
		snprintf(text, sizeof(text), "\"%.100s\"", a->etag);
		add_header(resp, "ETag", text);
	}
	if (a->allow)
		add_header(resp, "Allow", a->allow);
	if (a->retry_after) {
		snprintf(text, sizeof(text), "%u", a->retry_after);
		add_header(resp, "Retry-After", text);
	}
	if (a->status == 401)
		add_header(resp, "WWW-Authenticate", "Bearer");
	if (r->conn->http->stopping)
		add_header(resp, "Connection", "close");
}

static struct MHD_Response *make_response(struct http_request *r, const struct api_reply *a)
{
	struct MHD_Response *resp;

	if (a->stream && a->websocket)
		return websocket_response(r->conn, a->stream, r->accept);
	if (a->stream)
		resp = http_stream_response(r->conn, a->stream, a->stream_len);
	else if (a->release)
		resp = MHD_create_response_from_buffer_with_free_callback_cls(
			a->len, (void *)a->body, a->release, a->release_ctx);
	else
		resp = MHD_create_response_from_buffer(a->body ? a->len : 0, (void *)a->body,
						       MHD_RESPMEM_MUST_COPY);
	if (!resp && a->release)
		a->release(a->release_ctx);
	if (resp)
		add_headers(r, resp, a);
	return resp;
}

/* The peer went before, and there was no cancel(): only now the request can go. */
static void done_orphan(struct http_request *r, const struct api_reply *a)
{
	if (a->stream)
		a->stream->ops->close(a->stream);
	if (a->release)
		a->release(a->release_ctx);
	request_free(r);
}

static void request_done(struct api_request *api, const struct api_reply *a)
{
	struct http_request *r = CONTAINER_OF(api, struct http_request, api);

	if (r->phase == HTTP_ORPHAN) {
		done_orphan(r, a);
		return;
	}
	BUG_ON(r->phase > HTTP_CALLED);
	BUG_ON(a->websocket && !api->upgrade);
	r->status = a->status;
	r->response = make_response(r, a);
	r->phase = r->response ? HTTP_ANSWERED : HTTP_GONE;
	if (api->sink) {
		loop_call_cancel(&r->sink_wake);
		api->sink->ops->close(api->sink);
		api->sink = NULL;
	}
	if (!r->inside)
		http_conn_resume(r->conn);
}

static const char *request_query(const struct api_request *api, const char *name)
{
	return uri_query(&CONTAINER_OF(api, struct http_request, api)->uri, name);
}

void *http_request_line(void *cls UNUSED, const char *uri, struct MHD_Connection *mhd)
{
	struct http_conn *c = conn_of(mhd);
	struct http_request *r = calloc(1, sizeof(*r));

	if (!r || !c) {
		free(r);
		return NULL;
	}
	r->conn = c;
	r->raw = strdup(uri);
	r->api.done = request_done;
	r->api.query = request_query;
	c->request = r;
	http_conn_deadline(c, c->http->limits.request_ms);
	return r;
}

static enum MHD_Result queue(struct http_request *r)
{
	enum MHD_Result ok;

	if (r->phase != HTTP_ANSWERED)
		return MHD_NO;
	ok = MHD_queue_response(r->conn->mhd, r->status, r->response);
	MHD_destroy_response(r->response);
	r->response = NULL;
	r->phase = HTTP_QUEUED;
	http_conn_deadline(r->conn, r->conn->http->limits.send_ms);
	return ok;
}

/*
 * Answer before the body is there. A response that is queued at once makes libmicrohttpd close
 * the connection; where the body is small it is rather dropped first.
 */
static enum MHD_Result queue_early(struct http_request *r)
{
	return r->api.body_total > API_BODY_MAX ? queue(r) : MHD_YES;
}

static void fail_here(struct http_request *r, enum api_code code, const char *detail)
{
	r->inside = true;
	api_fail(&r->api, code, "%s", detail);
	r->inside = false;
}

static enum MHD_Result refuse(struct http_request *r, enum api_code code, const char *detail)
{
	fail_here(r, code, detail);
	return queue_early(r);
}

static enum MHD_Result refuse_rate(struct http_request *r, unsigned wait_s)
{
	size_t len = 0;
	char *body = api_problem(API_TOO_MANY, "more requests than the rate allows; come again",
				 NULL, &len);
	const struct api_reply a = {
		.status = api_code_status(API_TOO_MANY),
		.content_type = "application/problem+json",
		.body = body,
		.len = len,
		.retry_after = wait_s,
	};

	r->inside = true;
	request_done(&r->api, &a);
	r->inside = false;
	free(body);
	return queue_early(r);
}

/* RFC 6454, 7: "scheme://host:port"; the host and port must be ours. */
static bool origin_ok(const struct http_request *r)
{
	const char *origin = header(r, "Origin"), *host = header(r, "Host");
	const char *at = origin ? strstr(origin, "://") : NULL;

	return !origin || (at && host && !strcasecmp(at + 3, host));
}

/* RFC 6750, 2.1: "Bearer" and a token of visible characters. */
static bool take_token(struct http_request *r)
{
	const char *value = header(r, "Authorization");

	if (!value || strncasecmp(value, "Bearer ", 7) != 0)
		return true;
	value += 7;
	value += strspn(value, " ");
	if (!*value || strlen(value) >= sizeof(r->token))
		return false;
	for (const char *p = value; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	memcpy(r->token, value, strlen(value) + 1);
	r->api.peer.token = r->token;
	return true;
}

/* RFC 9110, 13.1.1; of its list form only one strong tag, or "*". */
static bool take_if_match(struct http_request *r)
{
	const char *value = header(r, "If-Match");
	size_t len = value ? strlen(value) : 0;

	if (!value)
		return true;
	if (len >= 3 && len - 2 < sizeof(r->if_match) && *value == '"' &&
	    strcspn(value + 1, "\"") == len - 2)
		memcpy(r->if_match, value + 1, len - 2);
	else if (!strcmp(value, "*"))
		r->if_match[0] = '*';
	else
		return false;
	r->api.if_match = r->if_match;
	return true;
}

/* RFC 6455, 4.2.1. False: asks for a WebSocket in a way that cannot be served. */
static bool take_upgrade(struct http_request *r, const char *version)
{
	const char *upgrade = header(r, "Upgrade"), *conn = header(r, "Connection");
	const char *ws_version = header(r, "Sec-WebSocket-Version");
	const char *key = header(r, "Sec-WebSocket-Key");

	if (!upgrade || strcasecmp(upgrade, "websocket") != 0)
		return true;
	r->api.upgrade = !strcmp(r->method, "GET") && !strcmp(version, "HTTP/1.1") && conn &&
			 strcasestr(conn, "upgrade") && ws_version && !strcmp(ws_version, "13") &&
			 key && websocket_accept(key, r->accept);
	return r->api.upgrade;
}

static uint64_t body_total(const struct http_request *r)
{
	const char *len = header(r, "Content-Length");

	if (len)
		return strtoull(len, NULL, 10);
	return header(r, "Transfer-Encoding") ? UINT64_MAX : 0;
}

/* Who asks. False: the certificate is not to be trusted. */
static bool take_peer(struct http_request *r)
{
	if (http_tls_certificate(r->conn))
		return false;
	r->api.peer = r->conn->id;
	memcpy(r->certificate, r->conn->certificate, sizeof(r->certificate));
	if (r->conn->id.certificate)
		r->api.peer.certificate = r->certificate;
	return true;
}

static void sink_resume(void *arg)
{
	struct http_request *r = arg;

	if (r->phase == HTTP_BODY)
		http_conn_resume(r->conn);
}

static void sink_woken(void *transport)
{
	loop_call_schedule(&((struct http_request *)transport)->sink_wake);
}

/* Whether somebody takes the body as it comes. False: the request is answered already. */
static bool ask_sink(struct http_request *r)
{
	const struct api *api = r->conn->http->api;

	if (!api->ops->sink)
		return true;
	r->inside = true;
	r->api.sink = api->ops->sink(api->ctx, &r->api);
	r->inside = false;
	if (r->phase != HTTP_BODY)
		return false;
	if (r->api.sink) {
		loop_call_init(&r->sink_wake, r->conn->http->loop, sink_resume, r);
		r->api.sink->wake = sink_woken;
		r->api.sink->transport = r;
	}
	return true;
}

/* The header is there. */
static enum MHD_Result begin(struct http_request *r, const char *method, const char *version)
{
	struct http_conn *c = r->conn;
	const struct clock *clock = loop_clock(c->http->loop);
	unsigned wait_s =
		c->unrated ? 0 : peer_take(&c->http->peers, c->peer, clock->mono_ns(clock));
	struct err e = { 0 };

	snprintf(r->method, sizeof(r->method), "%s", method);
	r->api.body_total = body_total(r);
	/* libmicrohttpd leaves the body of a reply to HEAD away. */
	r->api.method = strcmp(r->method, "HEAD") != 0 ? r->method : "GET";
	if (wait_s)
		return refuse_rate(r, wait_s);
	if (strlen(method) >= sizeof(r->method) || !uri_utf8_ok(method))
		return refuse(r, API_BAD_REQUEST, "the method of the request is none");
	if (!r->raw)
		return refuse(r, API_NO_RESOURCE, "no memory for a request");
	if (uri_parse(&r->uri, r->raw, &e))
		return refuse(r, api_code_of(e.code), e.msg);
	r->api.path = r->uri.path;
	if (!origin_ok(r))
		return refuse(r, API_FORBIDDEN, "the request comes from another site's page");
	if (!take_peer(r))
		return refuse(r, API_NOT_AUTHENTICATED,
			      "the client certificate is not signed by the CA that holmd trusts");
	if (!take_token(r))
		return refuse(r, API_NOT_AUTHENTICATED,
			      "the bearer token must have 1 to 255 visible characters");
	if (!take_if_match(r))
		return refuse(r, API_BAD_REQUEST,
			      "If-Match must hold one tag in quotes, as ETag gave it, or *");
	if (!take_upgrade(r, version))
		return refuse(
			r, API_BAD_REQUEST,
			"a WebSocket is asked for by GET with version 13 and a key (RFC 6455)");
	r->phase = HTTP_BODY;
	if (!r->api.body_total)
		return MHD_YES;
	if (!ask_sink(r))
		return queue_early(r);
	if (!r->api.sink && r->api.body_total != UINT64_MAX && r->api.body_total > API_BODY_MAX)
		return refuse(r, API_TOO_LARGE, "the body of a request has at most 1 MiB");
	return MHD_YES;
}

/* A piece of the body into memory; too much of it is dropped and said at its end. */
static void collect(struct http_request *r, const char *data, size_t len)
{
	size_t size = MAX(r->body_size, (size_t)BODY_FIRST);
	char *body;

	r->body_dropped |= len > API_BODY_MAX - r->api.body_len;
	if (r->body_dropped)
		return;
	while (size <= r->api.body_len + len)
		size *= 2;
	if (size != r->body_size) {
		body = realloc(r->body, size);
		if (!body) {
			r->body_dropped = true;
			return;
		}
		r->body = body;
		r->body_size = size;
	}
	memcpy(r->body + r->api.body_len, data, len);
	r->api.body_len += len;
	r->body[r->api.body_len] = '\0';
}

/* A piece of the body to the sink. Return: bytes it took of it. */
static size_t pour(struct http_request *r, const char *data, size_t len)
{
	struct api_stream *s = r->api.sink;
	size_t taken = 0;

	while (taken < len && !r->body_dropped) {
		ssize_t n = s->ops->write(s, data + taken, len - taken);

		BUG_ON(n > (ssize_t)(len - taken));
		if (!n)
			break;
		if (n < 0)
			r->body_dropped = true;
		else
			taken += (size_t)n;
	}
	/* Progress; a failed upload's rest has to come soon. */
	http_conn_deadline(r->conn, r->conn->http->limits.request_ms);
	return r->body_dropped ? len : taken;
}

static enum MHD_Result take_body(struct http_request *r, const char *data, size_t *size)
{
	if (!r->api.sink) {
		collect(r, data, *size);
		*size = 0;
	} else if (r->body_dropped) {
		*size = 0;
	} else {
		*size -= pour(r, data, *size);
		if (*size && http_conn_suspend(r->conn))
			return MHD_NO;
	}
	return MHD_YES;
}

/* All of it is there. */
static enum MHD_Result call(struct http_request *r)
{
	const struct api *api = r->conn->http->api;

	if (r->body_dropped && !r->api.sink) {
		fail_here(r, API_TOO_LARGE, "the body of a request has at most 1 MiB");
		return queue(r);
	}
	r->api.body = r->body;
	r->phase = HTTP_CALLED;
	r->inside = true;
	api->ops->call(api->ctx, &r->api);
	r->inside = false;
	if (r->phase != HTTP_CALLED)
		return queue(r);
	if (http_conn_suspend(r->conn))
		return MHD_NO;
	return MHD_YES;
}

enum MHD_Result http_request_handle(void *cls UNUSED, struct MHD_Connection *mhd UNUSED,
				    const char *url UNUSED, const char *method, const char *version,
				    const char *data, size_t *size, void **con_cls)
{
	struct http_request *r = *con_cls;

	if (!r || r->conn->http->ending)
		return MHD_NO;
	switch (r->phase) {
	case HTTP_LINE:
		return begin(r, method, version);
	case HTTP_BODY:
		return *size ? take_body(r, data, size) : call(r);
	case HTTP_ANSWERED:
		if (!*size)
			return queue(r);
		*size = 0;
		return MHD_YES;
	case HTTP_CALLED:
	case HTTP_QUEUED:
	case HTTP_ORPHAN:
	case HTTP_GONE:
		break;
	}
	return MHD_NO;
}

void http_request_gone(struct http_request *r)
{
	if (r->phase == HTTP_CALLED && !r->api.cancel) {
		r->phase = HTTP_ORPHAN;
		return;
	}
	if (r->phase == HTTP_CALLED)
		r->api.cancel(&r->api);
	r->phase = HTTP_GONE;
}

void http_request_completed(void *cls UNUSED, struct MHD_Connection *mhd UNUSED, void **con_cls,
			    enum MHD_RequestTerminationCode why UNUSED)
{
	struct http_request *r = *con_cls;
	struct http_conn *c;

	if (!r)
		return;
	*con_cls = NULL;
	c = r->conn;
	c->request = NULL;
	http_conn_deadline(c, c->http->stopping ? 0 : c->http->limits.idle_ms);
	if (r->phase == HTTP_CALLED)
		http_request_gone(r);
	if (r->phase != HTTP_ORPHAN)
		request_free(r);
	else
		r->conn = NULL;
}
