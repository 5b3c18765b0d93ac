/* SPDX-License-Identifier: MIT */
/*
 * The target of a request, see uri.h.
 *
 * Theory of operation: the raw text is copied once and decoded in place, each part in its own
 * bounds; a decoded part is never longer than what it was.
 */
#include "mgr/api/uri.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* RFC 3629, 4: the syntax of well-formed sequences; no surrogates, nothing overlong. */
bool uri_utf8_ok(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		unsigned more, low = 0x80, high = 0xbf;

		if (*p < 0x80) {
			p++;
			continue;
		}
		if (*p < 0xc2 || *p > 0xf4)
			return false;
		more = *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
		if (*p == 0xe0)
			low = 0xa0;
		else if (*p == 0xed)
			high = 0x9f;
		else if (*p == 0xf0)
			low = 0x90;
		else if (*p == 0xf4)
			high = 0x8f;
		for (p++; more; more--, p++, low = 0x80, high = 0xbf)
			if (*p < low || *p > high)
				return false;
	}
	return true;
}

/* Decode @s in place: once. @query: '+' is a space. False: not to be taken. */
static bool decode(char *s, bool query)
{
	char *to = s;

	for (char *at = s; *at; at++) {
		char c = *at;

		if (c == '%') {
			int high = hex(at[1]), low = high < 0 ? -1 : hex(at[2]);

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			if (c == '/' && !query)
				return false;
			at += 2;
		} else if (c == '+' && query) {
			c = ' ';
		}
		/* Also a byte of 0, which would end the string early. */
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return false;
		*to++ = c;
	}
	*to = '\0';
	return uri_utf8_ok(s);
}

static bool has_dots(const char *path)
{
	for (const char *seg = path; (seg = strchr(seg, '/')); seg++) {
		size_t len = strcspn(seg + 1, "/");

		if (len && len <= 2 && !memcmp(seg + 1, "..", len))
			return true;
	}
	return false;
}

static int parse_query(struct uri *u, char *text, struct err *e)
{
	char *next;

	for (char *part = text; part; part = next) {
		char *eq;

		next = strchr(part, '&');
		if (next)
			*next++ = '\0';
		if (!*part)
			continue;
		if (u->queries == URI_QUERY_MAX)
			return err_set(e, -EINVAL, "the query has more than %d parameters",
				       URI_QUERY_MAX);
		eq = strchr(part, '=');
		if (eq)
			*eq++ = '\0';
		if (!decode(part, true) || (eq && !decode(eq, true)))
			return err_set(e, -EINVAL,
				       "the query is not to be decoded: use UTF-8 in valid percent "
				       "encoding, without control characters");
		u->query[u->queries].name = part;
		u->query[u->queries++].value = eq ? eq : "";
	}
	return 0;
}

int uri_parse(struct uri *u, const char *raw, struct err *e)
{
	size_t path_len = strcspn(raw, "?");
	int ret;

	if (*raw != '/')
		return err_set(e, -EINVAL, "the target of the request must be a path from /");
	if (path_len > URI_PATH_MAX)
		return err_set(e, -EINVAL, "the path has %zu bytes, at most %d are taken", path_len,
			       URI_PATH_MAX);
	u->text = strdup(raw);
	if (!u->text)
		return err_set(e, -ENOMEM, "no memory for a request");
	u->path = u->text;
	if (raw[path_len] == '?') {
		u->text[path_len] = '\0';
		ret = parse_query(u, u->text + path_len + 1, e);
		if (ret)
			goto fail;
	}
	if (!decode(u->text, false) || has_dots(u->text)) {
		ret = err_set(e, -EINVAL,
			      "the path is not to be decoded: use UTF-8 in valid percent encoding, "
			      "without control characters, \"..\" or an encoded slash");
		goto fail;
	}
	return 0;

fail:
	uri_free(u);
	return ret;
}

void uri_free(struct uri *u)
{
	free(u->text);
	*u = (struct uri) { 0 };
}

const char *uri_query(const struct uri *u, const char *name)
{
	for (unsigned i = 0; i < u->queries; i++)
		if (!strcmp(u->query[i].name, name))
			return u->query[i].value;
	return NULL;
}
