/* SPDX-License-Identifier: MIT */
/*
 * The routes of the API as one const table, and the matcher that looks a request up in it.
 *
 * Theory of operation: a pattern's segments are words or "{name}", which takes any name or id. A
 * row also says what its caller must be allowed and where the project stands for which that is
 * asked; the one place that authorizes (api_call) reads it, no handler does. docs/API.md and
 * openapi.json are checked against the text of the table in routes.c.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_MGR_API_ROUTES_H
#define HOLM_MGR_API_ROUTES_H

#include "mgr/api/uri.h"
#include "mgr/core/access.h"
#include "mgr/core/api.h"

#include <stddef.h>

#define ROUTE_ARGS_MAX 2
#define ROUTE_NAME_MAX 64

struct api_ctx;

/**
 * A handler: the caller is authorized; answers by r->done(), now or later.
 * @arg: the values of the pattern's {..} in order, then, where the pattern ends with a word
 *       behind one, that word ("start"); NULL after the last. Valid during the call.
 */
typedef void api_handler_fn(struct api_ctx *ctx, struct api_request *r, const char *const arg[]);

/** For which project the caller's role counts. */
enum route_scope {
	SCOPE_NOTHING,	 /* nobody needs a role */
	SCOPE_ANY,	 /* a role in any project is enough; lists show what the caller may see */
	SCOPE_ALL,	 /* the role for project "*" */
	SCOPE_VM,	 /* that of the VM arg[0] */
	SCOPE_CONSOLE,	 /* that of the VM ?vm=; where ?mode=read NEED_VIEW is enough */
	SCOPE_PROJECT,	 /* project arg[0] */
	SCOPE_VOLUME,	 /* that of the volume arg[0] */
	SCOPE_OPERATION, /* that of what the operation arg[0] works on */
	SCOPE_BODY,	 /* member "project" of the body, or "default" */
	SCOPE_COUNT
};

struct api_route {
	const char *method, *pattern;
	enum access_need need;
	enum route_scope scope;
	api_handler_fn *handler;
};

extern const struct api_route api_routes[];
extern const size_t api_routes_count;

struct route_match {
	const struct api_route *route;
	const char *arg[ROUTE_ARGS_MAX + 1];
	char text[URI_PATH_MAX + 1]; /* what @arg points into */
	char allow[64];		     /* of -EOPNOTSUPP: "GET, POST" */
};

/**
 * route_match() - the row for @method and @path.
 *
 * Errors: -ENOENT (no such path), -EOPNOTSUPP (m->allow says which methods there are), -EINVAL
 * (a segment is no name). All with a sentence.
 */
int route_match(struct route_match *m, const struct api_route *table, size_t n, const char *method,
		const char *path, struct err *e) MUST_CHECK;

/** route_name_ok() - 1 to 64 letters, digits, '.', '_' or '-', as in a VM's configuration. */
bool route_name_ok(const char *name, size_t len);

#endif
