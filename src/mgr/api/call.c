/* SPDX-License-Identifier: MIT */
/*
 * One request from its peer to its handler, see ctx.h.
 */
#include "mgr/api/ctx.h"

#include "mgr/api/reply.h"
#include "mgr/api/routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum access_role ctx_role(const struct api_ctx *ctx, const struct identity *who,
			  const char *project)
{
	const struct project *x;

	if (!project)
		return people_role_anywhere(ctx->people, who);
	if (!strcmp(project, "*"))
		return people_role(ctx->people, who, NULL);
	x = people_project(ctx->people, project);
	return x ? people_role(ctx->people, who, x->id) : ROLE_NONE;
}

bool ctx_may(const struct api_ctx *ctx, const char *project, enum access_need need)
{
	return access_allows(ctx_role(ctx, &ctx->who, project), need);
}

bool ctx_sees(const struct api_ctx *ctx, const char *project)
{
	return ctx_may(ctx, project, NEED_VIEW);
}

json_t *ctx_body(struct api_request *r)
{
	json_error_t why;
	json_t *o = json_loadb(r->body ? r->body : "", r->body_len, JSON_REJECT_DUPLICATES, &why);

	if (json_is_object(o))
		return o;
	if (o)
		api_fail(r, API_BAD_REQUEST, "the body is not a JSON object");
	else
		api_fail(r, API_BAD_REQUEST, "the body is not valid JSON: line %d: %s", why.line,
			 why.text);
	json_decref(o);
	return NULL;
}

bool ctx_number(struct api_request *r, const char *name, uint64_t fallback, uint64_t max,
		uint64_t *out)
{
	const char *v = r->query(r, name);
	char *end;

	*out = fallback;
	if (!v)
		return true;
	errno = 0;
	*out = strtoull(v, &end, 10);
	if (!errno && !*end && v[0] >= '0' && v[0] <= '9' && *out <= max)
		return true;
	api_fail(r, API_BAD_REQUEST, "%s '%.40s' is not a number of 0 to %llu", name, v,
		 (unsigned long long)max);
	return false;
}

/* The project that a request's object lies in; NULL: any, for lists. */
static const char *project_of(const struct api_ctx *ctx, const struct api_request *r,
			      const struct route *route, const char *arg0, char *buf, size_t len)
{
	const struct vm *vm;
	const struct project *x;
	json_t *body;

	switch (route->scope) {
	case SCOPE_VM:
		vm = mgr_find(ctx->mgr, arg0);
		return vm ? vm->project : "*";
	case SCOPE_PROJECT:
		x = people_project(ctx->people, arg0);
		return x ? x->name : "*";
	case SCOPE_BODY:
		/* A thing about to be made: its project stands in the body. */
		body = json_loadb(r->body ? r->body : "", r->body_len, 0, NULL);
		snprintf(buf, len, "%s",
			 json_is_string(json_object_get(body, "project"))
				 ? json_string_value(json_object_get(body, "project"))
				 : "default");
		json_decref(body);
		return buf;
	case SCOPE_VOLUME:
		return ctx->volume_project ? ctx->volume_project(ctx, arg0) : "*";
	case SCOPE_HOST:
		return "*";
	default:
		return NULL;
	}
}

/* Before the answer, because the request is gone afterwards. */
static void audit_refused(struct api_ctx *ctx, const struct api_request *r, enum api_code c)
{
	char what[32];

	if (!strcmp(r->method, "GET"))
		return;
	snprintf(what, sizeof(what), "http.%s", r->method);
	mgr_audit(ctx->mgr, &ctx->by, what, r->path, api_code_name(c));
}

/* Whether the request may go on; else it is answered. */
static bool authorize(struct api_ctx *ctx, struct api_request *r, const struct route *route,
		      const char *arg0)
{
	char buf[VM_NAME_MAX + 1];
	const char *project = project_of(ctx, r, route, arg0, buf, sizeof(buf));
	enum access_role role = ctx_role(ctx, &ctx->who, project);

	if (access_allows(role, route->need))
		return true;
	/* What one may not see is not there; who may see nothing at all is told so. */
	if (role == ROLE_NONE && people_role_anywhere(ctx->people, &ctx->who) != ROLE_NONE &&
	    (route->scope == SCOPE_VM || route->scope == SCOPE_PROJECT ||
	     route->scope == SCOPE_VOLUME)) {
		audit_refused(ctx, r, API_NOT_FOUND);
		api_fail(r, API_NOT_FOUND, "there is no '%s'", arg0);
		return false;
	}
	audit_refused(ctx, r, API_FORBIDDEN);
	api_fail(r, API_FORBIDDEN, "%s is %s here: this needs %s", ctx->who.name,
		 role == ROLE_NONE ? "nobody" : access_role_name(role),
		 access_need_name(route->need));
	return false;
}

static bool identify(struct api_ctx *ctx, struct api_request *r, const struct route *route)
{
	struct err e = { 0 };

	memset(&ctx->who, 0, sizeof(ctx->who));
	snprintf(ctx->who.name, sizeof(ctx->who.name), "unknown");
	ctx->by = (struct mgr_actor) { .user = ctx->who.name, .from = r->peer.from };
	if (!people_identify(ctx->people, &r->peer, &ctx->who, &e) || route->need == NEED_NOTHING)
		return true;
	audit_refused(ctx, r, API_NOT_AUTHENTICATED);
	api_fail(r, API_NOT_AUTHENTICATED, "%s", e.msg);
	return false;
}

/* The route, or NULL where the request is answered already. */
static const struct route *admit(struct api_ctx *ctx, struct api_request *r,
				 struct route_args *args)
{
	const struct route *route = NULL;
	char allow[ROUTE_ALLOW_MAX];
	enum route_found found = route_find(r->method, r->path, &route, args, allow);

	if (found == ROUTE_NO_METHOD) {
		api_fail_method(r, allow);
		return NULL;
	}
	if (found == ROUTE_NONE) {
		api_fail(r, API_NOT_FOUND, "there is nothing at %.200s", r->path);
		return NULL;
	}
	if (!identify(ctx, r, route))
		return NULL;
	if (route->need != NEED_NOTHING && !authorize(ctx, r, route, args->arg[0]))
		return NULL;
	return route;
}

static void call(void *arg, struct api_request *r)
{
	struct api_ctx *ctx = arg;
	struct route_args args;
	const struct route *route;

	ctx->requests++;
	route = admit(ctx, r, &args);
	if (route)
		route->handler(ctx, r, args.arg);
}

static struct api_stream *sink(void *arg, struct api_request *r)
{
	struct api_ctx *ctx = arg;
	struct route_args args;
	const struct route *route;

	if (strcmp(r->method, "PUT") != 0 || !ctx->upload)
		return NULL;
	route = admit(ctx, r, &args);
	return route ? ctx->upload(ctx, r, args.arg) : NULL;
}

static const struct api_ops ops = { .call = call, .sink = sink };

void ctx_init(struct api_ctx *ctx)
{
	ctx->api = (struct api) { .ops = &ops, .ctx = ctx };
}
