/* SPDX-License-Identifier: MIT */
/*
 * The path and query of a request, see url.h.
 */
#include "cli/url.h"

#include <stdio.h>
#include <string.h>

static void put(struct url *u, const char *s, size_t len)
{
	if (u->len + len + 1 > sizeof(u->s)) {
		u->cut = true;
		return;
	}
	memcpy(u->s + u->len, s, len);
	u->len += len;
	u->s[u->len] = '\0';
}

/* RFC 3986, 2.3: what is unreserved stands for itself. */
static void put_escaped(struct url *u, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";

	for (; *s; s++) {
		char hex[4];

		if (strchr(plain, *s)) {
			put(u, s, 1);
			continue;
		}
		snprintf(hex, sizeof(hex), "%%%02X", (unsigned char)*s);
		put(u, hex, 3);
	}
}

void url_init(struct url *u, const char *path)
{
	u->len = 0;
	u->cut = false;
	u->query = false;
	put(u, path, strlen(path));
}

void url_add(struct url *u, const char *segment)
{
	put(u, "/", 1);
	/* These two would be taken as steps in the path (RFC 3986, 5.2.4). */
	if (!strcmp(segment, ".") || !strcmp(segment, ".."))
		put(u, segment[1] ? "%2E%2E" : "%2E", segment[1] ? 6 : 3);
	else
		put_escaped(u, segment);
}

void url_query(struct url *u, const char *key, const char *value)
{
	if (!value)
		return;
	put(u, u->query ? "&" : "?", 1);
	u->query = true;
	put(u, key, strlen(key));
	put(u, "=", 1);
	put_escaped(u, value);
}

void url_query_number(struct url *u, const char *key, long long value)
{
	char s[32];

	snprintf(s, sizeof(s), "%lld", value);
	url_query(u, key, s);
}
