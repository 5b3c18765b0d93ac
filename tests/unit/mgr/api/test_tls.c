/* SPDX-License-Identifier: MIT */
/*
 * The HTTP transport over TCP with TLS: version 1.3 only, client certificates, WebSockets. The
 * certificates are made here; the client is OpenSSL.
 */
#include "httptest.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static char buf[1 << 20];

struct cert {
	EVP_PKEY *key;
	X509 *x;
};

/* A certificate for @name, signed by @ca (NULL: by itself). */
static struct cert make_cert(const char *name, const struct cert *ca)
{
	static long serial;
	struct cert c = { EVP_EC_gen("P-256"), X509_new() };
	X509_NAME *n;

	assert_true(c.key && c.x);
	n = X509_get_subject_name(c.x);
	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c.x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(c.x), 3600);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(c.x, ca ? X509_get_subject_name(ca->x) : n);
	X509_set_pubkey(c.x, c.key);
	if (!ca) {
		X509_EXTENSION *e =
			X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		assert_int_equal(X509_add_ext(c.x, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(c.x, ca ? ca->key : c.key, EVP_sha256()) > 0);
	return c;
}

static void free_cert(struct cert *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->x);
}

static void write_pem(const struct httptest *t, char path[128], const char *name,
		      const struct cert *c, bool key)
{
	FILE *f;

	snprintf(path, 128, "%s/%s", t->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	if (key)
		assert_true(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL));
	else
		assert_true(PEM_write_X509(f, c->x));
	assert_int_equal(fclose(f), 0);
}

struct tlstest {
	struct httptest t;
	struct cert ca, server, client, stranger;
	char cert_path[128], key_path[128], ca_path[128], other_key[128];
	struct http_config config;
};

static void tls_init(struct tlstest *s)
{
	ht_init(&s->t);
	s->ca = make_cert("ca", NULL);
	s->server = make_cert("localhost", NULL);
	s->client = make_cert("client", &s->ca);
	s->stranger = make_cert("stranger", NULL);
	write_pem(&s->t, s->cert_path, "cert", &s->server, false);
	write_pem(&s->t, s->key_path, "key", &s->server, true);
	write_pem(&s->t, s->ca_path, "ca", &s->ca, false);
	write_pem(&s->t, s->other_key, "other", &s->client, true);
	s->config = (struct http_config) { .socket_gid = (gid_t)-1,
					   .listen_fd = -1,
					   .tcp_host = "127.0.0.1",
					   .cert_path = s->cert_path,
					   .key_path = s->key_path,
					   .client_ca_path = s->ca_path };
}

static void tls_start(struct tlstest *s)
{
	struct err e = { 0 };

	tls_init(s);
	if (http_create(&s->t.http, &s->config, &s->t.api, s->t.loop, &e))
		fail_msg("%s", e.msg);
	assert_true(http_tcp_port(s->t.http) > 0);
}

static void tls_end(struct tlstest *s)
{
	unlink(s->cert_path);
	unlink(s->key_path);
	unlink(s->ca_path);
	unlink(s->other_key);
	free_cert(&s->ca);
	free_cert(&s->server);
	free_cert(&s->client);
	free_cert(&s->stranger);
	ht_end(&s->t);
}

static int tcp_connect(struct httptest *t)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(http_tcp_port(t->http)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(fd_set_nonblock(fd, 1), 0);
	return fd;
}

/* A handshake, at most of version @max, with @cert (NULL: none). NULL: refused. */
static SSL *tls_connect(struct httptest *t, const struct cert *cert, int max)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	int ret;

	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, max), 1);
	if (cert) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, cert->x), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
	}
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, tcp_connect(t));
	for (unsigned i = 0; (ret = SSL_connect(ssl)) != 1; i++) {
		int why = SSL_get_error(ssl, ret);

		assert_true(i < ROUNDS_MAX);
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
			close(SSL_get_fd(ssl));
			SSL_free(ssl);
			return NULL;
		}
		ht_round(t);
	}
	return ssl;
}

static void tls_close(SSL *ssl)
{
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
}

static void tls_send(struct httptest *t, SSL *ssl, const void *data, size_t len)
{
	for (unsigned i = 0; SSL_write(ssl, data, (int)len) <= 0; i++) {
		assert_true(i < ROUNDS_MAX);
		ht_round(t);
	}
}

/* Until @needle is there; -1: the connection ended before. */
static ssize_t tls_read(struct httptest *t, SSL *ssl, const char *needle)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		int n = SSL_read(ssl, buf + len, (int)(sizeof(buf) - 1 - len));

		if (n > 0) {
			len += (size_t)n;
			buf[len] = '\0';
			i = 0;
			if (memmem(buf, len, needle, strlen(needle)))
				return (ssize_t)len;
		} else if (SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) {
			return -1;
		} else {
			ht_round(t);
		}
	}
	fail_msg("no \"%s\" in: %s", needle, buf);
	return -1;
}

static const char stream[] = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char late[] = "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char get[] = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

static void peers_are_known_by_their_certificate(void **state UNUSED)
{
	unsigned char digest[32];
	char want[80] = "\"cert\":\"";
	struct tlstest s;
	unsigned len = sizeof(digest);
	SSL *ssl;

	tls_start(&s);
	ssl = tls_connect(&s.t, &s.client, TLS1_3_VERSION);
	assert_non_null(ssl);
	assert_string_equal(SSL_get_version(ssl), "TLSv1.3");
	assert_int_equal(X509_digest(s.client.x, EVP_sha256(), digest, &len), 1);
	for (unsigned i = 0; i < len; i++)
		snprintf(want + 8 + 2 * i, 3, "%02x", digest[i]);
	for (unsigned i = 0; i < 2; i++) {
		tls_send(&s.t, ssl, get, sizeof(get) - 1);
		assert_true(tls_read(&s.t, ssl, "\"body\":\"\"}") > 0);
		assert_non_null(strstr(buf, want));
		assert_non_null(strstr(buf, "\"uid\":-1,"));
		assert_non_null(strstr(buf, "\"from\":\"127.0.0.1:"));
	}
	tls_close(ssl);
	/* Without one, a token may do. */
	ssl = tls_connect(&s.t, NULL, TLS1_3_VERSION);
	assert_non_null(ssl);
	tls_send(&s.t, ssl, get, sizeof(get) - 1);
	assert_true(tls_read(&s.t, ssl, "\"cert\":\"\"") > 0);
	tls_close(ssl);
	/* One that the CA did not sign is not taken. */
	assert_int_equal(s.t.calls, 3);
	ssl = tls_connect(&s.t, &s.stranger, TLS1_3_VERSION);
	if (ssl) {
		tls_send(&s.t, ssl, get, sizeof(get) - 1);
		if (tls_read(&s.t, ssl, "not_authenticated") > 0)
			assert_non_null(strstr(buf, "HTTP/1.1 401"));
		tls_close(ssl);
	}
	assert_int_equal(s.t.calls, 3);
	tls_end(&s);
}

static void only_tls13_is_spoken(void **state UNUSED)
{
	struct tlstest s;
	int fd;

	tls_start(&s);
	assert_null(tls_connect(&s.t, NULL, TLS1_2_VERSION));
	fd = tcp_connect(&s.t);
	ht_send(&s.t, fd, get);
	HT_UNTIL(&s.t, !http_connections(s.t.http));
	ht_read(&s.t, fd, buf, sizeof(buf), NULL);
	assert_null(strstr(buf, "HTTP/1.1 200"));
	close(fd);
	/* A handshake that does not come ends as any request does. */
	fd = tcp_connect(&s.t);
	HT_UNTIL(&s.t, http_connections(s.t.http) == 1);
	ht_pass(&s.t, 9000);
	assert_int_equal(http_connections(s.t.http), 1);
	ht_pass(&s.t, 1100);
	assert_int_equal(http_connections(s.t.http), 0);
	assert_int_equal(s.t.calls, 0);
	close(fd);
	tls_end(&s);
}

static void streams_and_late_replies(void **state UNUSED)
{
	struct tlstest s;
	SSL *ssl;

	tls_start(&s);
	s.t.stream_limit = s.t.stream_total = s.t.stream_len = 500000;
	ssl = tls_connect(&s.t, NULL, TLS1_3_VERSION);
	tls_send(&s.t, ssl, stream, sizeof(stream) - 1);
	assert_true(tls_read(&s.t, ssl, "\r\n\r\n") > 0);
	for (size_t got = strlen(strstr(buf, "\r\n\r\n") + 4); got < 500000;) {
		int n = SSL_read(ssl, buf, sizeof(buf));

		if (n > 0)
			assert_int_equal(buf[0], 'a' + got % 26);
		got += n > 0 ? (size_t)n : 0;
		ht_round(&s.t);
	}
	tls_send(&s.t, ssl, late, sizeof(late) - 1);
	HT_UNTIL(&s.t, s.t.late);
	ht_settle(&s.t);
	/* An idle transport sleeps here too. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(loop_poll(s.t.loop, 1), 0);
	api_fail(s.t.late, API_TIMEOUT, "late");
	assert_true(tls_read(&s.t, ssl, "\"late\"") > 0);
	tls_send(&s.t, ssl, late, sizeof(late) - 1);
	s.t.late = NULL;
	HT_UNTIL(&s.t, s.t.late);
	tls_close(ssl);
	HT_UNTIL(&s.t, s.t.cancels == 1 && !http_connections(s.t.http));
	tls_end(&s);
}

static SSL *ws_connect(struct tlstest *s)
{
	static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
				      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	SSL *ssl = tls_connect(&s->t, NULL, TLS1_3_VERSION);

	tls_send(&s->t, ssl, upgrade, sizeof(upgrade) - 1);
	assert_true(tls_read(&s->t, ssl, "\r\n\r\n") > 0);
	assert_non_null(strstr(buf, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	return ssl;
}

static void websockets_are_relayed(void **state UNUSED)
{
	struct tlstest s;
	SSL *ssl;

	tls_start(&s);
	ssl = ws_connect(&s);
	tls_send(&s.t, ssl, "\x82\x85\0\0\0\0hello", 11);
	assert_true(tls_read(&s.t, ssl, "\x82\x05hello") > 0);
	ht_settle(&s.t);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(loop_poll(s.t.loop, 1), 0);
	tls_send(&s.t, ssl, "\x88\x82\0\0\0\0\x03\xe8", 8);
	assert_true(tls_read(&s.t, ssl, "\x88\x02\x03\xe8") > 0);
	HT_UNTIL(&s.t, s.t.closes == 1);
	/* A peer that does not close its side is not waited for long. */
	ht_pass(&s.t, 5100);
	assert_int_equal(http_connections(s.t.http), 0);
	tls_close(ssl);
	/* A peer that vanishes, and a transport that does. */
	tls_close(ws_connect(&s));
	ht_pass(&s.t, 300);
	assert_int_equal(s.t.closes, 2);
	ht_pass(&s.t, 100);
	assert_int_equal(http_connections(s.t.http), 0);
	ssl = ws_connect(&s);
	tls_end(&s);
	assert_int_equal(s.t.closes, 3);
	tls_close(ssl);
}

static void bad_certificates_are_refused(void **state UNUSED)
{
	struct tlstest s;
	struct err e = { 0 };

	tls_init(&s);
	s.config.key_path = s.other_key;
	assert_int_equal(http_create(&s.t.http, &s.config, &s.t.api, s.t.loop, &e), -EINVAL);
	s.config.key_path = s.cert_path;
	assert_int_equal(http_create(&s.t.http, &s.config, &s.t.api, s.t.loop, &e), -EINVAL);
	s.config.key_path = s.key_path;
	s.config.client_ca_path = "/nowhere";
	assert_int_equal(http_create(&s.t.http, &s.config, &s.t.api, s.t.loop, &e), -ENOENT);
	s.config.client_ca_path = s.key_path;
	assert_int_equal(http_create(&s.t.http, &s.config, &s.t.api, s.t.loop, &e), -EINVAL);
	tls_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_are_known_by_their_certificate),
		cmocka_unit_test(only_tls13_is_spoken),
		cmocka_unit_test(streams_and_late_replies),
		cmocka_unit_test(websockets_are_relayed),
		cmocka_unit_test(bad_certificates_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
