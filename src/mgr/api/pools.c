/* SPDX-License-Identifier: MIT */
/*
 * Handlers of /v1/pools, docs/API.md.
 */
#include "mgr/api/handlers.h"

#include "base/fd.h"
#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/img/stock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *encode(const struct stock_pool *p)
{
	MEM_AUTO char *text = pool_encode(&p->record);
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;
	struct pool_usage u;

	if (p->pool && !pool_usage(p->pool, &u, NULL)) {
		json_object_set_new(o, "capacity", json_integer((json_int_t)u.size));
		json_object_set_new(o, "available", json_integer((json_int_t)u.free));
		json_object_set_new(o, "used", json_integer((json_int_t)u.allocated));
		json_object_set_new(o, "volumes", json_integer((json_int_t)u.volumes));
	}
	json_object_set_new(o, "state", json_string(p->pool ? "open" : p->why));
	return o;
}

void h_pools_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *items = json_array();

	for (size_t i = 0; i < ctx->stock->n_pools; i++)
		json_array_append_new(items, encode(&ctx->stock->pools[i]));
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

/* One that is there, opened or not; else the request is answered. */
static struct stock_pool *find(struct api_ctx *ctx, struct api_request *r, const char *name)
{
	struct stock_pool *p = NULL;

	if (stock_pool(ctx->stock, name, &p, NULL) == -ENOENT)
		api_fail(r, API_NOT_FOUND, "there is no pool '%s'", name);
	return p;
}

void h_pools_create(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	struct pool_record rec = { .id = "" };
	char target[TARGET_MAX];
	struct audit_entry a;
	struct stock_pool *p;
	struct err e = { 0 };
	int ret = pool_decode(&rec, r->body ? r->body : "", r->body_len, false, &e);

	vm_id_make(rec.id);
	if (!ret && (!rec.name[0] || !rec.path[0]))
		ret = err_set(&e, -EINVAL, "a pool needs a name and a path");
	target_write(target, "pool", rec.name);
	a = mgr_entry(ctx->mgr, &ctx->by, "pool.create", target);
	if (!ret)
		ret = stock_add_pool(ctx->stock, &rec, &a, &e);
	if (!ret)
		ret = stock_pool(ctx->stock, rec.id, &p, &e);
	if (ret)
		api_fail_err(r, &e);
	else
		api_reply_json(r, 201, encode(p));
}

void h_pool_get(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct stock_pool *p = find(ctx, r, arg[0]);

	if (p)
		api_reply_json(r, 200, encode(p));
}

void h_pool_delete(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct stock_pool *p = find(ctx, r, arg[0]);
	char target[TARGET_MAX];
	struct audit_entry a;
	struct err e = { 0 };

	if (!p)
		return;
	target_write(target, "pool", p->record.name);
	a = mgr_entry(ctx->mgr, &ctx->by, "pool.rm", target);
	if (stock_remove_pool(ctx->stock, p, &a, &e))
		api_fail_err(r, &e);
	else
		api_reply_empty(r, 204);
}
