/* SPDX-License-Identifier: MIT */
/*
 * The machine's counters as JSON, for --metrics.
 */
#include "machine/parts.h"

#include "virtio/dev/devices.h"

#include <jansson.h>

#define STATS_MAX 64

static json_t *vcpu_stats(struct machine *m, unsigned id)
{
	struct cpu_stat stats[STATS_MAX];
	unsigned n = m->engine->vcpu_stats(m->vcpus.cpu[id].cpu, stats, STATS_MAX);
	json_t *o = json_object();

	for (unsigned i = 0; i < n; i++)
		json_object_set_new(o, stats[i].name, json_integer((json_int_t)stats[i].value));
	return o;
}

/* Without the zeroes behind the last count, so that the largest machine's fit a packet. */
static json_t *latency_json(const struct latency *l)
{
	json_t *a = json_array();
	unsigned n = LATENCY_BUCKETS;

	while (n && !l->n[n - 1])
		n--;
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(a, json_integer((json_int_t)l->n[i]));
	return a;
}

static json_t *blk_stats_json(const struct blk *k)
{
	static const char *const names[] = { "read", "write", "flush", "discard", "write_zeroes" };
	struct blk_stats s;
	json_t *o = json_object();

	static_assert(ARRAY_SIZE(names) == BLK_OP_COUNT, "a name for each operation");
	blk_stats(k, &s);
	for (unsigned i = 0; i < BLK_OP_COUNT; i++)
		json_object_set_new(
			o, names[i],
			json_pack("{s:I, s:I, s:I, s:I, s:o}", "ops", (json_int_t)s.ops[i], "bytes",
				  (json_int_t)s.bytes[i], "errors", (json_int_t)s.errors[i], "ns",
				  (json_int_t)s.ns[i], "latency_us", latency_json(&s.latency[i])));
	return o;
}

static json_t *net_stats_json(const struct net *n)
{
	struct net_stats s;

	net_stats(n, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "tx_packets",
			 (json_int_t)s.tx_packets, "tx_bytes", (json_int_t)s.tx_bytes, "tx_dropped",
			 (json_int_t)s.tx_dropped, "rx_packets", (json_int_t)s.rx_packets,
			 "rx_bytes", (json_int_t)s.rx_bytes, "rx_dropped", (json_int_t)s.rx_dropped,
			 "tx_latency_us", latency_json(&s.tx_latency));
}

json_t *machine_stats(struct machine *m)
{
	json_t *o = json_object(), *vcpus = json_array(), *disks = json_array();
	uint64_t first = m->vcpus.first_ns, start = m->config->start_ns;

	json_object_set_new(o, "engine", json_string(m->engine->name));
	if (first && start && first > start)
		json_object_set_new(o, "first_instruction_us",
				    json_integer((json_int_t)((first - start) / 1000)));
	/* CLOCK_MONOTONIC, for who noted the time of the exec (bench/start). */
	if (first)
		json_object_set_new(o, "first_instruction_at_ns", json_integer((json_int_t)first));
	json_object_set_new(o, "resets", json_integer((json_int_t)m->resets));
	json_object_set_new(o, "ram_bytes", json_integer((json_int_t)mem_ram_size(m->mem)));
	json_object_set_new(o, "ram_resident_bytes",
			    json_integer((json_int_t)mem_ram_resident(m->mem)));
	for (unsigned i = 0; i < m->vcpus.n; i++)
		json_array_append_new(vcpus, vcpu_stats(m, i));
	json_object_set_new(o, "vcpus", vcpus);
	for (unsigned i = 0; i < m->config->n_disks; i++)
		json_array_append_new(disks, blk_stats_json(m->blks[i]));
	json_object_set_new(o, "disks", disks);
	if (m->net)
		json_object_set_new(o, "net", net_stats_json(m->net));
	if (m->serial)
		json_object_set_new(o, "serial_dropped_bytes",
				    json_integer((json_int_t)chr_dropped(m->serial)));
	return o;
}

json_t *machine_balloon_stats(struct machine *m)
{
	struct virtio_balloon_stats s;
	const struct {
		const char *name;
		uint64_t *value;
	} guest[] = {
		{ "free_bytes", &s.free },	     { "available_bytes", &s.available },
		{ "total_bytes", &s.total },	     { "caches_bytes", &s.caches },
		{ "swap_in_bytes", &s.swap_in },     { "swap_out_bytes", &s.swap_out },
		{ "major_faults", &s.major_faults }, { "minor_faults", &s.minor_faults },
	};
	json_t *o;

	virtio_balloon_get_stats(m->balloon, &s);
	o = json_pack("{s:I, s:I, s:I}", "asked_bytes",
		      (json_int_t)s.target_pages << MEM_PAGE_SHIFT, "given_bytes",
		      (json_int_t)s.actual_pages << MEM_PAGE_SHIFT, "reported_bytes",
		      (json_int_t)s.reported_bytes);
	/* A guest without the driver, or one that has not answered yet, has no figures. */
	for (size_t i = 0; s.total && i < ARRAY_SIZE(guest); i++)
		json_object_set_new(o, guest[i].name, json_integer((json_int_t)*guest[i].value));
	return o;
}
