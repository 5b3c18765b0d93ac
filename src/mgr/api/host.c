/* SPDX-License-Identifier: MIT */
/*
 * Handlers on the host as a whole: capacity, the queue, the audit log, metrics. docs/API.md.
 */
#include "mgr/api/handlers.h"

#include "mgr/api/ctx.h"
#include "mgr/api/openapi.h"
#include "mgr/api/reply.h"
#include "mgr/run/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AUDIT_PAGE 1000

void h_openapi(struct api_ctx *ctx UNUSED, struct api_request *r, const char *const arg[] UNUSED)
{
	api_reply_text(r, "application/json", api_openapi_json, api_openapi_json_len);
}

/* Per cent of the last 10 s in which something waited; null where the kernel does not say. */
static json_t *pressure(const struct psi *p)
{
	return p->there ? json_real(p->some.avg10 / 100.0) : json_null();
}

static json_t *nodes(const struct host_capacity *c)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < c->n_nodes; i++)
		json_array_append_new(a, json_pack("{s:i, s:s, s:I}", "id", (int)c->nodes[i].id,
						   "cpus", c->nodes[i].cpus, "memory",
						   (json_int_t)c->nodes[i].memory));
	return a;
}

static json_t *ksm(void)
{
	struct host_ksm k;

	host_ksm("", &k);
	return json_pack("{s:b, s:b, s:I, s:I, s:I}", "there", k.there, "running", k.running,
			 "saved", (json_int_t)k.saved, "shared", (json_int_t)k.shared, "sharing",
			 (json_int_t)k.sharing);
}

/* What the kernel says of itself. Members that it does not tell are left out. */
static void add_kernel(json_t *o)
{
	struct host_capacity c;
	struct host_use u;

	if (!host_capacity("", &c, NULL)) {
		json_object_set_new(o, "cpus", json_integer((json_int_t)c.cpus));
		json_object_set_new(o, "nodes", nodes(&c));
		if (!host_use("", &u, NULL)) {
			json_object_set_new(o, "memory",
					    json_pack("{s:I, s:I}", "total", (json_int_t)c.memory,
						      "available",
						      (json_int_t)u.memory_available));
			json_object_set_new(o, "load",
					    json_pack("[f, f, f]", u.load[0] / 100.0,
						      u.load[1] / 100.0, u.load[2] / 100.0));
			json_object_set_new(o, "pressure",
					    json_pack("{s:o, s:o, s:o}", "cpu", pressure(&u.cpu),
						      "memory", pressure(&u.memory), "io",
						      pressure(&u.io)));
		}
	}
	json_object_set_new(o, "ksm", ksm());
}

void h_host(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	const struct sched *s = &ctx->mgr->sched;
	size_t running = 0;
	json_t *o;

	for (size_t i = 0; i < ctx->mgr->n_vms; i++)
		running += vm_state_has_process(ctx->mgr->vms[i]->life.state);
	o = json_pack("{s:s, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I}}", "version", HOLM_VERSION,
		      "capacity", "cpu", (json_int_t)s->capacity.cpu, "memory",
		      (json_int_t)s->capacity.memory, "admitted", "cpu", (json_int_t)s->used.cpu,
		      "memory", (json_int_t)s->used.memory, "vms", "defined",
		      (json_int_t)ctx->mgr->n_vms, "running", (json_int_t)running);
	if (o)
		add_kernel(o);
	api_reply_json(r, 200, o);
}

static json_t *queued(const struct mgr *m, const struct vm *vm)
{
	uint64_t now_ns = m->clock->mono_ns(m->clock), now = now_ns / CLOCK_NS_PER_MS;
	const struct sched_job *j = &vm->job;
	uint64_t waited_ns = now_ns - MIN(now_ns, j->since_ms * CLOCK_NS_PER_MS);
	char since[CLOCK_TEXT_LEN];

	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:s, s:I, s:s}", "name", vm->name, "id", vm->id,
			 "project", vm->project, "priority", j->priority, "burst_ms",
			 (json_int_t)j->burst_ms, "since",
			 clock_format(since, m->clock->wall_ns(m->clock) - waited_ns), "position",
			 (json_int_t)sched_position(&m->sched, j, now), "why",
			 j->state == SCHED_WAITING ? "does not fit yet" : "between time slices");
}

static int by_position(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	json_int_t p = json_integer_value(json_object_get(*x, "position"));
	json_int_t q = json_integer_value(json_object_get(*y, "position"));

	return (p > q) - (p < q);
}

void h_sched_queue(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *items = json_array();
	json_t **list = calloc(ctx->mgr->n_vms + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; list && i < ctx->mgr->n_vms; i++) {
		const struct vm *vm = ctx->mgr->vms[i];

		if ((vm->job.state == SCHED_WAITING || vm->job.state == SCHED_STILL) &&
		    ctx_sees(ctx, vm->project))
			list[n++] = queued(ctx->mgr, vm);
	}
	if (list)
		qsort(list, n, sizeof(*list), by_position);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(items, list[i]);
	free(list);
	api_reply_json(r, 200,
		       json_pack("{s:s, s:o}", "policy", sched_policy_name(ctx->mgr->sched.policy),
				 "items", items));
}

static int add_entry(void *ctx, const struct audit_entry *a)
{
	char at[CLOCK_TEXT_LEN];

	json_array_append_new(ctx, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "seq",
					     (json_int_t)a->seq, "at", clock_format(at, a->at_ns),
					     "who", a->who, "from", a->from, "what", a->what, "on",
					     a->on, "result", a->result));
	return 0;
}

void h_audit_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *items = json_array();
	struct err e = { 0 };
	uint64_t since;

	if (!ctx_number(r, "since", 0, INT64_MAX, &since)) {
		json_decref(items);
		return;
	}
	if (ctx->store->ops->audit_each(ctx->store, since + 1, AUDIT_PAGE, add_entry, items, &e)) {
		json_decref(items);
		api_fail_err(r, &e);
		return;
	}
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

void h_audit_verify(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	uint64_t n = 0;
	struct err e = { 0 };
	int ret = ctx->store->ops->audit_verify(ctx->store, &n, &e);

	if (ret && ret != -EBADMSG)
		api_fail_err(r, &e);
	else
		api_reply_json(r, 200,
			       json_pack("{s:b, s:I, s:s}", "intact", !ret, "entries",
					 (json_int_t)n, "detail", ret ? e.msg : ""));
}
