/* SPDX-License-Identifier: MIT */
/*
 * Requests to the manager, see client.h.
 *
 * Limits: answers are read whole up to CLIENT_ANSWER_MAX; redirects are not followed; TLS is 1.3.
 */
#include "cli/client.h"

#include "base/clock.h"
#include "base/fd.h"
#include "cli/daemon.h"
#include "cli/dl.h"
#include "cli/problem.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 120000

/* What we call of libcurl, by the types of its own header. */
struct curl_api {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_cleanup) easy_cleanup;
	__typeof__(&curl_easy_reset) easy_reset;
	CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
	__typeof__(&curl_easy_perform) easy_perform;
	__typeof__(&curl_easy_strerror) easy_strerror;
	__typeof__(&curl_easy_send) easy_send;
	__typeof__(&curl_easy_recv) easy_recv;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
};

#define SYMBOL(x)                                                                                  \
	{                                                                                          \
		"curl_" #x, offsetof(struct curl_api, x)                                           \
	}
static const struct dl_symbol curl_symbols[] = {
	SYMBOL(global_init), SYMBOL(easy_init),	   SYMBOL(easy_cleanup), SYMBOL(easy_reset),
	SYMBOL(easy_setopt), SYMBOL(easy_getinfo), SYMBOL(easy_perform), SYMBOL(easy_strerror),
	SYMBOL(easy_send),   SYMBOL(easy_recv),	   SYMBOL(slist_append), SYMBOL(slist_free_all),
};
static_assert(sizeof(struct curl_api) == ARRAY_SIZE(curl_symbols) * sizeof(void *),
	      "a symbol for each");

struct client {
	struct curl_api curl;
	CURL *easy;
	struct sockaddr_un addr; /* where @host is "" */
	char host[512];		 /* "https://HOST:PORT" without a final '/' */
	const char *token;	 /* of the environment, or NULL */
	const char *cert, *key, *cacert;
	char why[CURL_ERROR_SIZE];
};

/* One request under way. */
struct call {
	struct client *client;
	const struct client_request *r;
	char *body; /* of the answer, unless it goes to the sink */
	size_t len, room;
	uint64_t last_ns; /* when the last byte came */
	bool idle;	  /* ended because nothing came */
	int failed;	  /* of the sink, the source or memory, with @e set */
	struct err *e;
};

static bool success(struct client *c)
{
	long status = 0;

	c->curl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300;
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
	struct call *call = ctx;

	n *= size;
	call->last_ns = clock_monotonic_ns();
	if (call->r->sink && success(call->client)) {
		call->failed = call->r->sink(call->r->ctx, data, n, call->e);
		return call->failed ? 0 : n;
	}
	if (call->len + n + 1 > CLIENT_ANSWER_MAX) {
		call->failed =
			err_set(call->e, -EFBIG, "the manager's answer is larger than %u MiB",
				CLIENT_ANSWER_MAX >> 20);
		return 0;
	}
	if (call->len + n + 1 > call->room) {
		size_t room = MAX(call->len + n + 1, call->room * 2);
		char *body = realloc(call->body, room);

		if (!body) {
			call->failed = err_set(call->e, -ENOMEM, "no memory for an answer");
			return 0;
		}
		call->body = body;
		call->room = room;
	}
	memcpy(call->body + call->len, data, n);
	call->len += n;
	return n;
}

static size_t on_source(char *buf, size_t size, size_t n, void *ctx)
{
	struct call *call = ctx;
	ssize_t got = call->r->source(call->r->ctx, buf, size * n, call->e);

	if (got >= 0)
		return (size_t)got;
	call->failed = (int)got;
	return CURL_READFUNC_ABORT;
}

/* Called about once a second and with each piece. */
static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct call *call = ctx;
	uint64_t idle = (uint64_t)call->r->idle_ms * 1000000;

	call->idle = idle && clock_monotonic_ns() - call->last_ns > idle;
	return call->idle;
}

static int target_host(struct client *c, const struct client_target *t, struct err *e)
{
	const char *host = t->host ? t->host : getenv("HOLM_HOST");
	size_t len = host ? strlen(host) : 0;

	if (!len)
		return 0;
	if (strncmp(host, "https://", 8) != 0 || len == 8 || strpbrk(host, " \t\r\n?#@"))
		return err_set(e, -EINVAL, "host '%.80s' is none: write https://HOST:PORT", host);
	while (host[len - 1] == '/')
		len--;
	if (len >= sizeof(c->host))
		return err_set(e, -EINVAL, "host '%.80s' is too long", host);
	memcpy(c->host, host, len);
	c->token = getenv("HOLM_TOKEN");
	if (c->token && (!*c->token || strpbrk(c->token, "\r\n")))
		return err_set(e, -EINVAL, "HOLM_TOKEN is empty or has more than one line");
	return 0;
}

int client_open(struct client **out, const struct client_target *t, struct err *e)
{
	struct client *c = calloc(1, sizeof(*c));
	bool own;
	int ret;

	if (!c)
		return err_set(e, -ENOMEM, "no memory for a connection");
	c->cert = t->cert;
	c->key = t->key;
	c->cacert = t->cacert;
	ret = target_host(c, t, e);
	if (!ret && !c->host[0]) {
		ret = daemon_socket(&c->addr, &own, e);
		if (!ret)
			ret = daemon_ready(&c->addr, own && !t->no_start, e);
	}
	if (!ret)
		ret = dl_load("libcurl.so.4", curl_symbols, ARRAY_SIZE(curl_symbols), &c->curl, e);
	if (!ret) {
		c->curl.global_init(CURL_GLOBAL_DEFAULT);
		c->easy = c->curl.easy_init();
		if (!c->easy)
			ret = err_set(e, -ENOMEM, "no memory for a connection");
	}
	if (ret) {
		free(c);
		return ret;
	}
	*out = c;
	return 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	c->curl.easy_cleanup(c->easy);
	free(c);
}

/* What all transfers share: where to and how. The connection is kept over easy_reset(). */
static int set_target(struct client *c, const char *path, struct err *e)
{
	char url[sizeof(c->host) + sizeof(((struct url *)0)->s)];
	CURL *h = c->easy;
	CURLcode bad = CURLE_OK;

	c->curl.easy_reset(h);
	c->why[0] = '\0';
	snprintf(url, sizeof(url), "%s%s", c->host[0] ? c->host : "http://holm", path);
	bad |= c->curl.easy_setopt(h, CURLOPT_URL, url);
	bad |= c->curl.easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
	bad |= c->curl.easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= c->curl.easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
	if (!c->host[0]) {
		bad |= c->curl.easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->addr.sun_path);
		bad |= c->curl.easy_setopt(h, CURLOPT_PROXY, "");
	} else {
		bad |= c->curl.easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
		if (c->cacert)
			bad |= c->curl.easy_setopt(h, CURLOPT_CAINFO, c->cacert);
		if (c->cert)
			bad |= c->curl.easy_setopt(h, CURLOPT_SSLCERT, c->cert);
		if (c->key)
			bad |= c->curl.easy_setopt(h, CURLOPT_SSLKEY, c->key);
	}
	return bad ? err_set(e, -EIO, "libcurl does not take an option that is needed") : 0;
}

static int add_header(struct client *c, struct curl_slist **list, const char *name,
		      const char *value, struct err *e)
{
	char line[4096];
	struct curl_slist *longer;

	if (!value)
		return 0;
	if ((size_t)snprintf(line, sizeof(line), "%s:%s%s", name, *value ? " " : "", value) >=
	    sizeof(line))
		return err_set(e, -EINVAL, "the header '%s' is too long", name);
	longer = c->curl.slist_append(*list, line);
	if (!longer)
		return err_set(e, -ENOMEM, "no memory for a request");
	*list = longer;
	return 0;
}

static int set_headers(struct client *c, const struct client_request *r, struct curl_slist **list,
		       struct err *e)
{
	char match[128], bearer[2048];
	int ret = 0;

	if (r->if_match) {
		snprintf(match, sizeof(match), "\"%.100s\"", r->if_match);
		ret = add_header(c, list, "If-Match", match, e);
	}
	if (!ret && c->token) {
		snprintf(bearer, sizeof(bearer), "Bearer %s", c->token);
		ret = add_header(c, list, "Authorization", bearer, e);
	}
	if (!ret && r->body)
		ret = add_header(c, list, "Content-Type", "application/json", e);
	if (!ret && r->source)
		ret = add_header(c, list, "Content-Type", "application/octet-stream", e);
	/*
	 * A volume that may not be written is refused before its bytes are on their way; for the
	 * small bodies of JSON it would only be one more turn.
	 */
	if (!ret)
		ret = add_header(c, list, "Expect", r->source ? "100-continue" : "", e);
	return ret;
}

static void set_body(struct client *c, const struct client_request *r, struct call *call,
		     const char *text)
{
	CURL *h = c->easy;

	if (r->source) {
		c->curl.easy_setopt(h, CURLOPT_UPLOAD, 1L);
		c->curl.easy_setopt(h, CURLOPT_READFUNCTION, on_source);
		c->curl.easy_setopt(h, CURLOPT_READDATA, call);
		if (r->source_len != UINT64_MAX)
			c->curl.easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->source_len);
	} else if (text) {
		c->curl.easy_setopt(h, CURLOPT_POSTFIELDS, text);
		c->curl.easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
	} else if (!strcmp(r->method, "POST")) {
		c->curl.easy_setopt(h, CURLOPT_POSTFIELDS, "");
		c->curl.easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
	}
	c->curl.easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
	c->curl.easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	c->curl.easy_setopt(h, CURLOPT_WRITEDATA, call);
	if (r->idle_ms) {
		c->curl.easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
		c->curl.easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
		c->curl.easy_setopt(h, CURLOPT_XFERINFODATA, call);
	}
	if (r->timeout_ms || !(r->sink || r->source))
		c->curl.easy_setopt(h, CURLOPT_TIMEOUT_MS,
				    (long)(r->timeout_ms ? r->timeout_ms : TIMEOUT_MS));
}

/* The transfer failed before there was an answer that means something. */
static int broken(struct client *c, CURLcode code, struct err *e)
{
	const char *why = c->why[0] ? c->why : c->curl.easy_strerror(code);
	const char *where = c->host[0] ? c->host : c->addr.sun_path;

	switch ((int)code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		return err_set(e, -ECONNREFUSED, "no manager answers at %s: %s", where, why);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, -ETIMEDOUT, "the manager at %s does not answer: %s", where, why);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(e, -EPERM, "no trusted connection to %s: %s", where, why);
	default:
		return err_set(e, -EIO, "the connection to the manager at %s broke: %s", where,
			       why);
	}
}

static int finish(struct client *c, struct call *call, CURLcode code, json_t **out, long *status,
		  struct err *e)
{
	c->curl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, status);
	if (call->failed)
		return call->failed;
	/* A refused upload ends before all of it was sent: what was answered counts. */
	if (code && *status >= 400 && call->len)
		return problem_set(e, *status, call->body, call->len);
	if (code && !call->idle)
		return broken(c, code, e);
	if (*status < 200 || *status >= 300)
		return problem_set(e, *status, call->body, call->len);
	if (!out || call->r->sink || !call->len)
		return 0;
	*out = json_loadb(call->body, call->len, JSON_DECODE_ANY, NULL);
	return *out ? 0 : err_set(e, -EIO, "the manager's answer is not JSON");
}

int client_call(struct client *c, const struct client_request *r, json_t **out, long *status,
		struct err *e)
{
	MEM_AUTO char *text = r->body ? json_dumps(r->body, JSON_COMPACT) : NULL;
	struct err own = { 0 };
	struct call call = {
		.client = c, .r = r, .last_ns = clock_monotonic_ns(), .e = e ? e : &own
	};
	struct curl_slist *headers = NULL;
	long own_status;
	int ret;

	if (!status)
		status = &own_status;
	*status = 0;
	if (out)
		*out = NULL;
	if (r->url->cut)
		return err_set(e, -EINVAL, "a name is too long for a request");
	if (r->body && !text)
		return err_set(e, -ENOMEM, "no memory for a request");
	ret = set_target(c, r->url->s, e);
	if (!ret)
		ret = set_headers(c, r, &headers, e);
	if (!ret) {
		set_body(c, r, &call, text);
		c->curl.easy_setopt(c->easy, CURLOPT_HTTPHEADER, headers);
		ret = finish(c, &call, c->curl.easy_perform(c->easy), out, status, call.e);
	}
	/* The list must outlive its last use by the handle. */
	c->curl.easy_reset(c->easy);
	c->curl.slist_free_all(headers);
	free(call.body);
	return ret;
}

int client_connect(struct client *c, struct err *e)
{
	CURLcode code;
	int ret = set_target(c, "/", e);

	if (ret)
		return ret;
	c->curl.easy_setopt(c->easy, CURLOPT_CONNECT_ONLY, 1L);
	c->curl.easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
	code = c->curl.easy_perform(c->easy);
	return code ? broken(c, code, e) : 0;
}

ssize_t client_raw_send(struct client *c, const void *buf, size_t len)
{
	size_t n = 0;
	CURLcode code = c->curl.easy_send(c->easy, buf, len, &n);

	return code == CURLE_OK ? (ssize_t)n : code == CURLE_AGAIN ? -EAGAIN : -EIO;
}

ssize_t client_raw_recv(struct client *c, void *buf, size_t len)
{
	size_t n = 0;
	CURLcode code = c->curl.easy_recv(c->easy, buf, len, &n);

	return code == CURLE_OK ? (ssize_t)n : code == CURLE_AGAIN ? -EAGAIN : -EIO;
}

int client_raw_fd(struct client *c)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	c->curl.easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &fd);
	return fd;
}

const char *client_host(const struct client *c)
{
	return c->host[0] ? c->host + strlen("https://") : "holm";
}

const char *client_token(const struct client *c)
{
	return c->token;
}
