/* SPDX-License-Identifier: MIT */
/*
 * Handlers of /v1/projects and /v1/users, docs/API.md.
 *
 * All changes go the same way: a plan from the directory, its records into the store with the
 * entry of the audit log, then the commit.
 */
#include "mgr/api/handlers.h"

#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/img/stock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Makes a plan so, or fails as the plan or the store did. */
static int carry_out(struct api_ctx *ctx, struct people_plan *plan, const char *what,
		     const char *on, struct err *e)
{
	struct audit_entry a = mgr_entry(ctx->mgr, &ctx->by, what, on);
	size_t n;
	const struct store_change *c = people_plan_changes(plan, &n);
	int ret = ctx->store->ops->apply(ctx->store, c, n, &a, e);

	if (ret)
		people_plan_free(plan);
	else
		people_commit(ctx->people, plan);
	return ret;
}

/* The name in a body, for the audit log; the plan checks it. */
static void body_target(char buf[TARGET_MAX], const char *kind, const struct api_request *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "name"));

	target_write(buf, kind, name ? name : "");
	json_decref(body);
}

/* The end of a change of a project: answers with it, with 204 where @id is NULL, or a problem. */
static void conclude_project(struct api_ctx *ctx, struct api_request *r, int ret,
			     struct people_plan *plan, const char *what, const char *target,
			     const char *id, struct err *e)
{
	const struct project *x;

	if (!ret)
		ret = carry_out(ctx, plan, what, target, e);
	if (ret) {
		api_fail_err(r, e);
		return;
	}
	x = id ? people_project(ctx->people, id) : NULL;
	if (x)
		api_reply_tagged(r, 200, people_project_encode(ctx->people, x), x->etag);
	else
		api_reply_empty(r, 204);
}

static const struct project *find_project(struct api_ctx *ctx, struct api_request *r,
					  const char *name)
{
	const struct project *x = people_project(ctx->people, name);

	if (x && ctx_sees(ctx, x->name))
		return x;
	api_fail(r, API_NOT_FOUND, "there is no project '%s'", name);
	return NULL;
}

static void reply_project(struct api_ctx *ctx, struct api_request *r, unsigned status,
			  const char *name)
{
	const struct project *x = people_project(ctx->people, name);

	if (x)
		api_reply_tagged(r, status, people_project_encode(ctx->people, x), x->etag);
	else
		api_fail(r, API_NOT_FOUND, "the project is gone");
}

void h_projects_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *items = json_array();
	const struct project *x;

	for (size_t i = 0; (x = people_project_at(ctx->people, i)); i++)
		if (ctx_sees(ctx, x->name))
			json_array_append_new(items, people_project_encode(ctx->people, x));
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

void h_projects_create(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	struct people_plan *plan = NULL;
	char target[TARGET_MAX];
	struct err e = { 0 };
	int ret = people_plan_project(ctx->people, r->body, r->body_len, &ctx->who, &plan, &e);

	body_target(target, "project", r);
	if (!ret)
		ret = carry_out(ctx, plan, "project.create", target, &e);
	if (ret)
		api_fail_err(r, &e);
	else
		reply_project(ctx, r, 201, target + strlen("project/"));
}

void h_project_get(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct project *x = find_project(ctx, r, arg[0]);

	if (x)
		reply_project(ctx, r, 200, x->id);
}

static size_t uses(const struct api_ctx *ctx, const struct project *x)
{
	return mgr_project_uses(ctx->mgr, x->name) +
	       (ctx->stock ? stock_uses(ctx->stock, x->name) : 0);
}

static int check_project(struct api_ctx *ctx, struct api_request *r, const struct project *x,
			 struct err *e)
{
	char target[TARGET_MAX];
	const char *name;

	if (r->if_match && strtoull(r->if_match, NULL, 10) != x->etag)
		return err_set(e, -ESTALE, "project '%s' has changed since: look at it again",
			       x->name);
	body_target(target, "project", r);
	name = target + strlen("project/");
	if (name[0] && strcmp(name, x->name) != 0 && uses(ctx, x))
		return err_set(e, -EBUSY,
			       "project '%s' has VMs or volumes: only an empty one is renamed",
			       x->name);
	return 0;
}

void h_project_patch(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct project *x = find_project(ctx, r, arg[0]);
	struct people_plan *plan = NULL;
	char target[TARGET_MAX], id[PEOPLE_ID_LEN + 1];
	struct err e = { 0 };
	int ret;

	if (!x)
		return;
	target_write(target, "project", x->name);
	memcpy(id, x->id, sizeof(id));
	ret = check_project(ctx, r, x, &e);
	if (!ret)
		ret = people_plan_project_change(ctx->people, x, r->body, r->body_len, &ctx->who,
						 &plan, &e);
	conclude_project(ctx, r, ret, plan, "project.set", target, id, &e);
}

void h_project_delete(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct project *x = find_project(ctx, r, arg[0]);
	struct people_plan *plan = NULL;
	char target[TARGET_MAX];
	struct err e = { 0 };
	int ret;

	if (!x)
		return;
	target_write(target, "project", x->name);
	ret = people_plan_project_remove(ctx->people, x, uses(ctx, x), &plan, &e);
	conclude_project(ctx, r, ret, plan, "project.rm", target, NULL, &e);
}

void h_project_grant(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct project *x = find_project(ctx, r, arg[0]);
	struct people_plan *plan = NULL;
	char target[TARGET_MAX], id[PEOPLE_ID_LEN + 1];
	struct err e = { 0 };
	int ret;

	if (!x)
		return;
	target_write(target, "project", x->name);
	memcpy(id, x->id, sizeof(id));
	ret = people_plan_grant(ctx->people, x, r->body, r->body_len, &ctx->who, &plan, &e);
	conclude_project(ctx, r, ret, plan, "project.grant", target, id, &e);
}

void h_users_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *items = json_array();
	const struct user *u;

	for (size_t i = 0; (u = people_user_at(ctx->people, i)); i++)
		json_array_append_new(items, people_user_encode(ctx->people, u));
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

void h_users_create(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	char token[PEOPLE_TOKEN_LEN + 1], target[TARGET_MAX];
	struct people_plan *plan = NULL;
	struct err e = { 0 };
	int ret = people_plan_user(ctx->people, r->body, r->body_len, token, &plan, &e);
	json_t *answer;

	body_target(target, "user", r);
	if (!ret)
		ret = carry_out(ctx, plan, "user.create", target, &e);
	if (ret) {
		api_fail_err(r, &e);
		return;
	}
	answer =
		people_user_encode(ctx->people, people_user(ctx->people, target + strlen("user/")));
	/* The only time that it is told. */
	if (token[0])
		json_object_set_new(answer, "token", json_string(token));
	explicit_bzero(token, sizeof(token));
	api_reply_json(r, 201, answer);
}

void h_user_delete(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct user *u = people_user(ctx->people, arg[0]);
	struct people_plan *plan = NULL;
	char target[TARGET_MAX];
	struct err e = { 0 };
	int ret;

	if (!u) {
		api_fail(r, API_NOT_FOUND, "there is no user '%s'", arg[0]);
		return;
	}
	target_write(target, "user", u->name);
	ret = people_plan_user_remove(ctx->people, u, &ctx->who, &plan, &e);
	if (!ret)
		ret = carry_out(ctx, plan, "user.rm", target, &e);
	if (ret)
		api_fail_err(r, &e);
	else
		api_reply_empty(r, 204);
}
