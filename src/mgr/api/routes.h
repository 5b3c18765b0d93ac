/* SPDX-License-Identifier: MIT */
/*
 * The API's routes: one const table from which requests, authorization, the check against
 * openapi.json and the test of all roles come.
 */
#ifndef HOLM_MGR_API_ROUTES_H
#define HOLM_MGR_API_ROUTES_H

#include "base/compiler.h"
#include "mgr/api/handlers.h"
#include "mgr/core/access.h"

#include <stddef.h>

#define ROUTE_ARGS	2
#define ROUTE_ARG_MAX	128
#define ROUTE_ALLOW_MAX 64

/** Where the project comes from that a request is authorized in. */
enum route_scope {
	SCOPE_NONE,    /* nowhere: the description of the API */
	SCOPE_ANY,     /* a list: a role anywhere, each item is looked at */
	SCOPE_VM,      /* the VM in the first argument */
	SCOPE_PROJECT, /* the project in the first argument */
	SCOPE_VOLUME,  /* the volume in the first argument */
	SCOPE_BODY,    /* "project" in the body, of what is about to be made */
	SCOPE_HOST,    /* the role for all, "*" */
	SCOPE_COUNT
};

struct route {
	const char *method;
	const char *pattern; /* "/v1/vms/{vm}" */
	enum access_need need;
	enum route_scope scope;
	api_handler_fn handler;
};

/** What stood in the braces, in order. */
struct route_args {
	char buf[ROUTE_ARGS][ROUTE_ARG_MAX];
	const char *arg[ROUTE_ARGS]; /* NULL behind the last */
};

enum route_found { ROUTE_FOUND, ROUTE_NONE, ROUTE_NO_METHOD };

/**
 * route_find() - the route of a request.
 * @allow: receives the methods the path has ("GET, POST") with ROUTE_NO_METHOD
 *
 * An argument is a name or an id: anything else is ROUTE_NONE.
 */
enum route_found route_find(const char *method, const char *path, const struct route **out,
			    struct route_args *args, char allow[ROUTE_ALLOW_MAX]);

/** route_table() - all; *@n receives how many. */
const struct route *route_table(size_t *n);

#endif
