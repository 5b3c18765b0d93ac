/* SPDX-License-Identifier: MIT */
/*
 * The path and query of a request, put together from parts that may hold anything.
 *
 * A part that does not fit is remembered, and client_call() refuses the URL.
 */
#ifndef HOLM_CLI_URL_H
#define HOLM_CLI_URL_H

#include <stdbool.h>
#include <stddef.h>

struct url {
	char s[2048];
	size_t len;
	bool cut;
	bool query; /* a '?' is there */
};

/** url_init() - start with @path as it is. */
void url_init(struct url *u, const char *path);
/** url_add() - a '/' and one escaped segment. */
void url_add(struct url *u, const char *segment);
/** url_query() - one more parameter; nothing where @value is NULL. */
void url_query(struct url *u, const char *key, const char *value);
/** url_query_number() - a parameter that is a number. */
void url_query_number(struct url *u, const char *key, long long value);

#endif
