/* SPDX-License-Identifier: MIT */
/*
 * Handler of /metrics, docs/API.md: the host and the VMs that the caller may see, as Prometheus
 * wants it.
 *
 * Theory of operation: the monitor looks at every VM each second and what it saw last is written
 * here, so a scrape asks no VM and waits for none. Each family is one row of a table. A VM that
 * has no process has its state only. Names and units follow Prometheus' "Metric and label naming".
 */
#include "mgr/api/handlers.h"

#include "mgr/api/ctx.h"
#include "mgr/api/metrics.h"
#include "mgr/api/reply.h"

#define LABELS 3 /* of every VM's series, before those of the family's own */

static double seconds(uint64_t ns)
{
	return (double)ns / (double)CLOCK_NS_PER_SEC;
}

static size_t label(struct metrics_label l[LABELS], const struct vm *vm)
{
	l[0] = (struct metrics_label) { "vm", vm->name };
	l[1] = (struct metrics_label) { "project", vm->project };
	l[2] = (struct metrics_label) { "id", vm->id };
	return LABELS;
}

/* A member of a sample as one series, or two where @other names a second one. */
static const struct family {
	const char *name, *help;
	enum metrics_kind kind;
	bool ns;		   /* nanoseconds, shown in seconds */
	size_t at;		   /* in struct sample */
	const char *label, *value; /* NULL: no label of its own */
	size_t other_at;
	const char *other_value;
} families[] = {
#define AT(member) offsetof(struct sample, member)
	{ "holm_vm_cpu_seconds_total", "CPU time of the VM's process.", METRICS_COUNTER, true,
	  AT(cpu_ns), NULL, NULL, 0, NULL },
	{ "holm_vm_steal_seconds_total", "Time its threads were ready to run and did not.",
	  METRICS_COUNTER, true, AT(steal_ns), NULL, NULL, 0, NULL },
	{ "holm_vm_throttled_seconds_total", "Time its control group kept it from running.",
	  METRICS_COUNTER, true, AT(throttled_ns), NULL, NULL, 0, NULL },
	{ "holm_vm_resident_bytes", "Memory of the host that its process has.", METRICS_GAUGE,
	  false, AT(rss), NULL, NULL, 0, NULL },
	{ "holm_vm_balloon_bytes", "Memory that the guest has given back.", METRICS_GAUGE, false,
	  AT(balloon), NULL, NULL, 0, NULL },
	{ "holm_vm_guest_memory_bytes", "Memory that the guest says it has; 0: it does not say.",
	  METRICS_GAUGE, false, AT(guest_total), NULL, NULL, 0, NULL },
	{ "holm_vm_guest_used_bytes", "Memory that the guest says is in use.", METRICS_GAUGE, false,
	  AT(guest_used), NULL, NULL, 0, NULL },
	{ "holm_vm_block_operations_total", "Requests to its disks.", METRICS_COUNTER, false,
	  AT(read_ops), "op", "read", AT(write_ops), "write" },
	{ "holm_vm_block_bytes_total", "Bytes from and to its disks.", METRICS_COUNTER, false,
	  AT(read_bytes), "op", "read", AT(write_bytes), "write" },
	{ "holm_vm_block_seconds_total", "Time that requests to its disks took.", METRICS_COUNTER,
	  true, AT(read_ns), "op", "read", AT(write_ns), "write" },
	{ "holm_vm_network_packets_total", "Packets of its card, as the guest sees them.",
	  METRICS_COUNTER, false, AT(rx_packets), "direction", "receive", AT(tx_packets),
	  "transmit" },
	{ "holm_vm_network_bytes_total", "Bytes of its card, as the guest sees them.",
	  METRICS_COUNTER, false, AT(rx_bytes), "direction", "receive", AT(tx_bytes), "transmit" },
	{ "holm_vm_network_dropped_total", "Packets of its card that were dropped.",
	  METRICS_COUNTER, false, AT(rx_dropped), "direction", "receive", AT(tx_dropped),
	  "transmit" },
#undef AT
};

static bool is_shown(const struct api_ctx *ctx, const struct vm *vm)
{
	return vm->life.state != VM_DELETED && ctx_sees(ctx, vm->project);
}

static void put(struct metrics *m, const struct family *f, struct metrics_label *l, size_t n,
		const struct sample *s, size_t at)
{
	uint64_t v = *(const uint64_t *)(const void *)((const char *)s + at);

	if (f->ns)
		metrics_f64(m, l, n, seconds(v));
	else
		metrics_u64(m, l, n, v);
}

static void vm_family(const struct api_ctx *ctx, struct metrics *m, const struct family *f)
{
	metrics_family(m, f->name, f->kind, f->help);
	for (size_t i = 0; i < ctx->mgr->n_vms; i++) {
		const struct vm *vm = ctx->mgr->vms[i];
		struct metrics_label l[LABELS + 1];
		size_t n;

		if (!vm->sample.at_ns || !is_shown(ctx, vm))
			continue;
		n = label(l, vm);
		if (f->label)
			l[n++] = (struct metrics_label) { f->label, f->value };
		put(m, f, l, n, &vm->sample, f->at);
		if (f->other_value) {
			l[n - 1].value = f->other_value;
			put(m, f, l, n, &vm->sample, f->other_at);
		}
	}
}

static void vm_exits(const struct api_ctx *ctx, struct metrics *m)
{
	metrics_family(m, "holm_vm_exits_total", METRICS_COUNTER,
		       "Exits from guest code by kind, of all its vCPUs.");
	for (size_t i = 0; i < ctx->mgr->n_vms; i++) {
		const struct vm *vm = ctx->mgr->vms[i];
		struct metrics_label l[LABELS + 1];

		if (!vm->sample.at_ns || !is_shown(ctx, vm))
			continue;
		label(l, vm);
		for (unsigned k = 0; k < vm->sample.n_exits; k++) {
			l[LABELS] = (struct metrics_label) { "kind", vm->sample.exits[k].kind };
			metrics_u64(m, l, LABELS + 1, vm->sample.exits[k].count);
		}
	}
}

/* Of its disks, by the bounds of base/latency.h; the last bucket has no bound. */
static void vm_latency(const struct api_ctx *ctx, struct metrics *m)
{
	double bounds[LATENCY_BUCKETS - 1];

	for (unsigned i = 0; i < LATENCY_BUCKETS - 1; i++)
		bounds[i] = (double)(1u << i) / 1e6;
	metrics_family(m, "holm_vm_block_latency_seconds", METRICS_HISTOGRAM,
		       "How long requests to its disks took.");
	for (size_t i = 0; i < ctx->mgr->n_vms; i++) {
		const struct vm *vm = ctx->mgr->vms[i];
		const struct sample *s = &vm->sample;
		struct metrics_label l[LABELS + 1];

		if (!s->at_ns || !vm->config.n_disks || !is_shown(ctx, vm))
			continue;
		label(l, vm);
		l[LABELS] = (struct metrics_label) { "op", "read" };
		metrics_histogram(m, l, LABELS + 1, bounds, s->read_latency, LATENCY_BUCKETS - 1,
				  seconds(s->read_ns));
		l[LABELS].value = "write";
		metrics_histogram(m, l, LABELS + 1, bounds, s->write_latency, LATENCY_BUCKETS - 1,
				  seconds(s->write_ns));
	}
}

/* What is known of a VM without looking at its process. */
static void vm_words(const struct api_ctx *ctx, struct metrics *m)
{
	struct metrics_label l[LABELS + 1];

	metrics_family(m, "holm_vm_state", METRICS_GAUGE, "1 for the state that the VM is in.");
	for (size_t i = 0; i < ctx->mgr->n_vms; i++) {
		const struct vm *vm = ctx->mgr->vms[i];

		if (!is_shown(ctx, vm))
			continue;
		label(l, vm);
		l[LABELS] = (struct metrics_label) { "state", vm_state_name(vm->life.state) };
		metrics_u64(m, l, LABELS + 1, 1);
	}
	metrics_family(m, "holm_vm_info", METRICS_GAUGE, "1, with the engine that runs the VM.");
	for (size_t i = 0; i < ctx->mgr->n_vms; i++) {
		const struct vm *vm = ctx->mgr->vms[i];

		if (!vm->life.run.pid || !is_shown(ctx, vm))
			continue;
		label(l, vm);
		l[LABELS] = (struct metrics_label) { "engine", vm->life.run.engine };
		metrics_u64(m, l, LABELS + 1, 1);
	}
}

static void by_state(const struct api_ctx *ctx, struct metrics *m)
{
	uint64_t n[VM_STATE_COUNT] = { 0 };

	for (size_t i = 0; i < ctx->mgr->n_vms; i++)
		if (ctx_sees(ctx, ctx->mgr->vms[i]->project))
			n[ctx->mgr->vms[i]->life.state]++;
	metrics_family(m, "holm_vms", METRICS_GAUGE, "VMs that the caller may see, by state.");
	for (unsigned s = 0; s < VM_STATE_COUNT; s++) {
		struct metrics_label l = { "state", vm_state_name((enum vm_state)s) };

		metrics_u64(m, &l, 1, n[s]);
	}
}

static void host(const struct api_ctx *ctx, struct metrics *m)
{
	const struct sched *s = &ctx->mgr->sched;
	const struct clock *c = ctx->mgr->clock;

	metrics_family(m, "holm_host_cpu_capacity_cores", METRICS_GAUGE, "CPUs to be shared out.");
	metrics_f64(m, NULL, 0, (double)s->capacity.cpu / 1000);
	metrics_family(m, "holm_host_cpu_admitted_cores", METRICS_GAUGE,
		       "CPUs reserved by VMs that were admitted.");
	metrics_f64(m, NULL, 0, (double)s->used.cpu / 1000);
	metrics_family(m, "holm_host_memory_capacity_bytes", METRICS_GAUGE,
		       "Memory to be shared out, overcommit included.");
	metrics_u64(m, NULL, 0, s->capacity.memory);
	metrics_family(m, "holm_host_memory_admitted_bytes", METRICS_GAUGE,
		       "Memory of VMs that were admitted.");
	metrics_u64(m, NULL, 0, s->used.memory);
	metrics_family(m, "holm_api_requests_total", METRICS_COUNTER,
		       "Requests to the API since holmd began.");
	metrics_u64(m, NULL, 0, ctx->requests);
	metrics_family(m, "holm_events_total", METRICS_COUNTER, "Events since holmd began.");
	metrics_u64(m, NULL, 0, ctx->mgr->events.next_seq);
	metrics_family(m, "holm_uptime_seconds", METRICS_GAUGE, "How long holmd has been there.");
	metrics_f64(m, NULL, 0, seconds(c->mono_ns(c) - ctx->began_ns));
}

void h_metrics(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	struct metrics m = { 0 };
	const char *text;
	size_t len;

	host(ctx, &m);
	by_state(ctx, &m);
	vm_words(ctx, &m);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		vm_family(ctx, &m, &families[i]);
	vm_exits(ctx, &m);
	vm_latency(ctx, &m);
	text = metrics_text(&m, &len);
	if (text)
		api_reply_text(r, METRICS_TYPE, text, len);
	else
		api_fail(r, API_NO_RESOURCE, "no memory for the metrics");
	metrics_free(&m);
}
