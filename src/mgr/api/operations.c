/* SPDX-License-Identifier: MIT */
/*
 * Handlers of /v1/operations, docs/API.md.
 */
#include "mgr/api/handlers.h"

#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/api/wait.h"

#include <string.h>

void h_operations_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *items = json_array();

	for (const struct mgr_op *op = ctx->mgr->ops.newest; op; op = op->next)
		if (ctx_sees(ctx, op->project))
			json_array_append_new(items, op_encode(op));
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

/* One that the caller may see; else the request is answered. */
static struct mgr_op *find(struct api_ctx *ctx, struct api_request *r, const char *id)
{
	struct mgr_op *op = op_find(&ctx->mgr->ops, id);

	if (op && ctx_sees(ctx, op->project))
		return op;
	api_fail(r, API_NOT_FOUND, "there is no operation '%s'", id);
	return NULL;
}

static bool ended(const struct wait *w)
{
	const struct mgr_op *op = op_find(&w->ctx->mgr->ops, w->id);

	return !op || op->state != OP_RUNNING;
}

static void answer(struct wait *w, bool timeout UNUSED)
{
	const struct mgr_op *op = op_find(&w->ctx->mgr->ops, w->id);

	if (op)
		api_reply_json(w->r, 200, op_encode(op));
	else
		api_fail(w->r, API_NOT_FOUND, "the operation is forgotten");
}

void h_operation_get(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct mgr_op *op = find(ctx, r, arg[0]);
	struct wait w = { .ctx = ctx, .r = r, .ready = ended, .answer = answer };
	uint64_t ms;

	if (!op || !ctx_number(r, "wait_ms", 0, WAIT_MS_MAX, &ms))
		return;
	memcpy(w.id, op->id, sizeof(w.id));
	wait_begin(&w, ms);
}

void h_operation_cancel(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct mgr_op *op = find(ctx, r, arg[0]);
	struct err e = { 0 };

	if (!op)
		return;
	if (mgr_cancel(ctx->mgr, &ctx->by, op, &e))
		api_fail_err(r, &e);
	else
		api_reply_json(r, 200, op_encode(op));
}
