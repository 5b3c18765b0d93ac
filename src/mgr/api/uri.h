/* SPDX-License-Identifier: MIT */
/*
 * The target of a request, taken apart strictly: "/v1/vms/web?x=1".
 *
 * Only the origin form is taken. Percent signs are decoded once. Refused are: what is no UTF-8,
 * control characters, segments "." and "..", and an encoded slash, which would make a path look
 * like another one.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_MGR_API_URI_H
#define HOLM_MGR_API_URI_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define URI_PATH_MAX  1024 /* bytes of a path as sent */
#define URI_QUERY_MAX 16   /* parameters */

struct uri {
	char *text; /* owned: the decoded strings that the rest points to */
	const char *path;
	struct {
		const char *name, *value; /* a parameter without "=" has the value "" */
	} query[URI_QUERY_MAX];
	unsigned queries;
};

/** uri_parse() - fill a zeroed @u from @raw. -EINVAL with a sentence, -ENOMEM. */
int uri_parse(struct uri *u, const char *raw, struct err *e) MUST_CHECK;

/** uri_free() - also what was only zeroed. */
void uri_free(struct uri *u);

/** uri_query() - the first value of a parameter, or NULL. */
const char *uri_query(const struct uri *u, const char *name);

/** uri_utf8_ok() - whether @s is well-formed UTF-8 (RFC 3629, 4). */
bool uri_utf8_ok(const char *s);

#endif
