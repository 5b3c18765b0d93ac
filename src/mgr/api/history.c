/* SPDX-License-Identifier: MIT */
/*
 * Handlers of statistics over time: a VM's history, and /metrics. docs/API.md.
 */
#include "mgr/api/handlers.h"

#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/store/history.h"

#include <errno.h>
#include <string.h>

static int add_point(void *ctx, const struct history_point *p)
{
	char at[CLOCK_TEXT_LEN];
	json_t *o = json_pack("{s:s}", "at", clock_format(at, p->at_ns));

	for (unsigned i = 0; i < HIST_COUNT; i++)
		json_object_set_new(o, history_field_name((enum history_field)i),
				    json_integer((json_int_t)p->v[i]));
	json_object_set_new(o, "cpu_max", json_integer((json_int_t)p->cpu_max));
	return json_array_append_new(ctx, o) ? -ENOMEM : 0;
}

/* A time of the query, @fallback where it is not given. False: answered. */
static bool time_arg(struct api_request *r, const char *name, uint64_t fallback, uint64_t *out)
{
	const char *v = r->query(r, name);

	*out = fallback;
	if (!v || !clock_parse(out, v))
		return true;
	api_fail(r, API_BAD_REQUEST, "%s '%.40s' is no time: write it like 2026-01-31T12:00:00Z",
		 name, v);
	return false;
}

void h_vm_history(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct vm *vm = mgr_find(ctx->mgr, arg[0]);
	const char *step = r->query(r, "step");
	bool minutes = step && !strcmp(step, "1min");
	uint64_t now = ctx->mgr->clock->wall_ns(ctx->mgr->clock), from, to;
	struct err e = { 0 };
	json_t *items;

	if (!vm) {
		api_fail(r, API_NOT_FOUND, "there is no VM '%s'", arg[0]);
		return;
	}
	if (step && !minutes && strcmp(step, "1s") != 0) {
		api_fail(r, API_BAD_REQUEST, "step '%.40s' is none: use 1s or 1min", step);
		return;
	}
	if (!time_arg(r, "from", now - (minutes ? 86400 : 600) * CLOCK_NS_PER_SEC, &from) ||
	    !time_arg(r, "to", now, &to))
		return;
	items = json_array();
	if (ctx->history && history_query(ctx->history, vm->id, minutes ? HISTORY_1MIN : HISTORY_1S,
					  from, to, add_point, items, &e)) {
		json_decref(items);
		api_fail_err(r, &e);
		return;
	}
	api_reply_json(r, 200,
		       json_pack("{s:s, s:o}", "step", minutes ? "1min" : "1s", "items", items));
}
