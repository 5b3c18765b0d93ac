/* SPDX-License-Identifier: MIT */
/*
 * TLS of the HTTP transport: its certificate, and those that clients show.
 *
 * Theory of operation: libmicrohttpd speaks TLS through GnuTLS; only version 1.3 is let through,
 * and no session tickets, which would outlive a user that is removed. A client certificate is
 * asked for where a CA is named. It has to be signed by that CA, and is then known by the SHA-256
 * of its DER form; that the peer has its key is part of the handshake.
 */
#include "mgr/api/http_internal.h"

#include "base/fd.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX	   (1u << 20)
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:%SERVER_PRECEDENCE:%NO_TICKETS"

/* libmicrohttpd would take a file without any certificate for a CA that signs nothing. */
static int check_ca(const char *path, uint8_t *pem, size_t len, struct err *e)
{
	gnutls_datum_t data;
	gnutls_certificate_credentials_t cred;
	int n;

	if (gnutls_certificate_allocate_credentials(&cred) < 0)
		return err_set(e, -ENOMEM, "no memory for certificates");
	data.data = pem;
	data.size = (unsigned)len;
	n = gnutls_certificate_set_x509_trust_mem(cred, &data, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(cred);
	if (n <= 0)
		return err_set(e, -EINVAL, "%s holds no PEM certificate of a CA", path);
	return 0;
}

int http_tls_start(struct http *h, const struct http_config *config, struct err *e)
{
	MEM_AUTO uint8_t *cert = NULL, *key = NULL, *ca = NULL;
	struct MHD_OptionItem opts[5];
	size_t len, key_len = 0, n = 0;
	int ret = file_read(config->cert_path, PEM_MAX, &cert, &len, e);

	if (!ret)
		ret = file_read(config->key_path, PEM_MAX, &key, &key_len, e);
	if (!ret && config->client_ca_path)
		ret = file_read(config->client_ca_path, PEM_MAX, &ca, &len, e);
	if (!ret && ca)
		ret = check_ca(config->client_ca_path, ca, len, e);
	if (ret)
		return ret;
	opts[n++] = (struct MHD_OptionItem) { MHD_OPTION_HTTPS_MEM_CERT, 0, cert };
	opts[n++] = (struct MHD_OptionItem) { MHD_OPTION_HTTPS_MEM_KEY, 0, key };
	opts[n++] = (struct MHD_OptionItem) { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)PRIORITIES };
	if (ca)
		opts[n++] = (struct MHD_OptionItem) { MHD_OPTION_HTTPS_MEM_TRUST, 0, ca };
	opts[n] = (struct MHD_OptionItem) { MHD_OPTION_END, 0, NULL };
	h->client_ca = ca;
	/* GnuTLS has parsed and copied all of it when this returns. */
	ret = http_daemon_start(h, &h->tls, MHD_USE_TLS, opts, e);
	explicit_bzero(key, key_len);
	return ret ? err_prefix(e, "%s", config->cert_path) : 0;
}

int http_tls_certificate(struct http_conn *c)
{
	const union MHD_ConnectionInfo *info;
	const gnutls_datum_t *list;
	uint8_t digest[32];
	size_t len = sizeof(digest);
	gnutls_session_t session;
	unsigned n = 0, fault = 0;

	info = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	if (c->certificate_known || !c->http->client_ca || !info)
		return 0;
	session = info->tls_session;
	list = gnutls_certificate_get_peers(session, &n);
	if (list && n) {
		if (gnutls_certificate_verify_peers2(session, &fault) < 0 || fault ||
		    gnutls_fingerprint(GNUTLS_DIG_SHA256, &list[0], digest, &len) < 0)
			return -EACCES;
		for (unsigned i = 0; i < sizeof(digest); i++)
			snprintf(c->certificate + 2 * i, 3, "%02x", digest[i]);
		c->id.certificate = c->certificate;
	}
	c->certificate_known = true;
	return 0;
}
