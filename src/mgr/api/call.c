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
	return people_role(ctx->people, who, x ? x->id : NULL);
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

/* "project" of a thing about to be made. */
static const char *project_in_body(const struct api_request *r, char *buf, size_t len)
{
	json_t *body = json_loadb(r->body ? r->body : "", r->body_len, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "project"));

	snprintf(buf, len, "%s", name ? name : "default");
	json_decref(body);
	return buf;
}

/* The project that a request's object lies in; NULL: any, for lists. */
static const char *project_of(const struct api_ctx *ctx, const struct api_request *r,
			      const struct route_match *m, char *buf, size_t len)
{
	const char *name = m->route->scope == SCOPE_CONSOLE ? r->query(r, "vm") : m->arg[0];
	const struct mgr_op *op;
	const struct project *x;
	const struct vm *vm;

	switch (m->route->scope) {
	case SCOPE_VM:
	case SCOPE_CONSOLE:
		vm = name ? mgr_find(ctx->mgr, name) : NULL;
		return vm ? vm->project : "*";
	case SCOPE_PROJECT:
		x = people_project(ctx->people, name);
		return x ? x->name : "*";
	case SCOPE_OPERATION:
		op = op_find(&ctx->mgr->ops, name);
		return op ? op->project : "*";
	case SCOPE_VOLUME:
		return ctx->volume_project ? ctx->volume_project(ctx, name) : "*";
	case SCOPE_BODY:
		return project_in_body(r, buf, len);
	case SCOPE_ALL:
		return "*";
	default:
		return NULL;
	}
}

/* Whether a role that is too low is told so, or that there is no such thing. */
static bool hides(const struct api_route *route)
{
	return route->scope == SCOPE_VM || route->scope == SCOPE_CONSOLE ||
	       route->scope == SCOPE_PROJECT || route->scope == SCOPE_VOLUME ||
	       route->scope == SCOPE_OPERATION;
}

/* Whether there is room for one more in this second; else it is only counted. */
static bool room_to_audit(struct api_ctx *ctx)
{
	struct api_refusals *f = &ctx->refusals;
	uint64_t now = ctx->mgr->clock->mono_ns(ctx->mgr->clock);
	char more[32];

	if (!f->window_ns || now - f->window_ns >= CLOCK_NS_PER_SEC) {
		f->window_ns = now;
		f->n = 0;
	}
	if (f->n >= API_REFUSALS) {
		f->more++;
		return false;
	}
	f->n++;
	if (f->more) {
		const struct mgr_actor holmd = { .user = "holmd", .from = "" };

		snprintf(more, sizeof(more), "%u more", f->more);
		f->more = 0;
		mgr_audit(ctx->mgr, &holmd, "http.refused", "", more);
	}
	return true;
}

/* Before the answer, because the request is gone afterwards. */
static void audit_refused(struct api_ctx *ctx, const struct api_request *r, enum api_code c)
{
	char what[32];

	if (!strcmp(r->method, "GET") || !room_to_audit(ctx))
		return;
	snprintf(what, sizeof(what), "http.%s", r->method);
	mgr_audit(ctx->mgr, &ctx->by, what, r->path, api_code_name(c));
}

/* Whether the request may go on; else it is answered. */
static bool authorize(struct api_ctx *ctx, struct api_request *r, const struct route_match *m)
{
	const char *mode = m->route->scope == SCOPE_CONSOLE ? r->query(r, "mode") : NULL;
	enum access_need need = mode && !strcmp(mode, "read") ? NEED_VIEW : m->route->need;
	char buf[VM_NAME_MAX + 1];
	const char *project = project_of(ctx, r, m, buf, sizeof(buf));
	enum access_role role = ctx_role(ctx, &ctx->who, project);

	if (access_allows(role, need))
		return true;
	/* What one may not see is not there; who may see nothing at all is told so. */
	if (role == ROLE_NONE && hides(m->route) &&
	    people_role_anywhere(ctx->people, &ctx->who) != ROLE_NONE) {
		audit_refused(ctx, r, API_NOT_FOUND);
		api_fail(r, API_NOT_FOUND, "there is nothing at %.200s", r->path);
		return false;
	}
	audit_refused(ctx, r, API_FORBIDDEN);
	api_fail(r, API_FORBIDDEN, "%s is %s here: this needs the right to %s", ctx->who.name,
		 role == ROLE_NONE ? "nobody" : access_role_name(role), access_need_name(need));
	return false;
}

static bool identify(struct api_ctx *ctx, struct api_request *r, const struct api_route *route)
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

/* Whether the request has a route that its user may take; else it is answered. */
static bool admit(struct api_ctx *ctx, struct api_request *r, struct route_match *m)
{
	struct err e = { 0 };
	int ret = route_match(m, api_routes, api_routes_count, r->method, r->path, &e);

	if (ret == -EOPNOTSUPP)
		api_fail_method(r, m->allow);
	else if (ret)
		api_fail_err(r, &e);
	else
		return identify(ctx, r, m->route) &&
		       (m->route->need == NEED_NOTHING || authorize(ctx, r, m));
	return false;
}

static void call(void *arg, struct api_request *r)
{
	struct api_ctx *ctx = arg;
	struct route_match m;

	ctx->requests++;
	if (admit(ctx, r, &m))
		m.route->handler(ctx, r, m.arg);
}

static struct api_stream *sink(void *arg, struct api_request *r)
{
	struct api_ctx *ctx = arg;
	struct route_match m;

	if (strcmp(r->method, "PUT") != 0 || !ctx->upload)
		return NULL;
	return admit(ctx, r, &m) ? ctx->upload(ctx, r, m.arg) : NULL;
}

static const struct api_ops ops = { .call = call, .sink = sink };

void ctx_init(struct api_ctx *ctx)
{
	ctx->api = (struct api) { .ops = &ops, .ctx = ctx };
	ctx->began_ns = ctx->mgr->clock->mono_ns(ctx->mgr->clock);
}
