/* SPDX-License-Identifier: MIT */
/*
 * Samples, see sample.h.
 */
#include "mgr/core/sample.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static uint64_t number(const json_t *o, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(o, name));

	return n < 0 ? 0 : (uint64_t)n;
}

static void add_exit(struct sample *s, const char *kind, uint64_t n)
{
	unsigned i = 0;

	while (i < s->n_exits && strcmp(s->exits[i].kind, kind) != 0)
		i++;
	if (i == SAMPLE_EXITS)
		return;
	if (i == s->n_exits) {
		snprintf(s->exits[i].kind, sizeof(s->exits[i].kind), "%s", kind);
		s->exits[i].count = 0;
		s->n_exits++;
	}
	s->exits[i].count += n;
}

/* Counters of an engine that are exits from guest code to the machine. */
static void read_vcpu(struct sample *s, const json_t *vcpu)
{
	static const char *const kinds[] = { "mmio",	    "port_io", "interrupts",
					     "exceptions",  "halts",   "exits",
					     "code_writes", "kicks",   "tlb_misses" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (json_object_get(vcpu, kinds[i]))
			add_exit(s, kinds[i], number(vcpu, kinds[i]));
}

/* Zeroes behind the last count are left out there. */
static void add_latency(uint64_t *to, const json_t *counts)
{
	for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
		json_int_t n = json_integer_value(json_array_get(counts, i));

		to[i] += n < 0 ? 0 : (uint64_t)n;
	}
}

static void read_disk(struct sample *s, const json_t *disk)
{
	const json_t *r = json_object_get(disk, "read"), *w = json_object_get(disk, "write");

	s->read_ops += number(r, "ops");
	s->read_bytes += number(r, "bytes");
	s->read_ns += number(r, "ns");
	s->write_ops += number(w, "ops");
	s->write_bytes += number(w, "bytes");
	s->write_ns += number(w, "ns");
	add_latency(s->read_latency, json_object_get(r, "latency_us"));
	add_latency(s->write_latency, json_object_get(w, "latency_us"));
}

void sample_read(struct sample *s, const json_t *stats)
{
	const json_t *net = json_object_get(stats, "net"), *b = json_object_get(stats, "balloon");
	json_t *item;
	size_t i;

	s->n_exits = 0;
	s->read_ops = s->read_bytes = s->read_ns = 0;
	s->write_ops = s->write_bytes = s->write_ns = 0;
	memset(s->read_latency, 0, sizeof(s->read_latency));
	memset(s->write_latency, 0, sizeof(s->write_latency));
	memset(s->tx_latency, 0, sizeof(s->tx_latency));
	json_array_foreach(json_object_get(stats, "vcpus"), i, item)
	{
		read_vcpu(s, item);
	}
	json_array_foreach(json_object_get(stats, "disks"), i, item)
	{
		read_disk(s, item);
	}
	s->rss = number(stats, "rss_bytes");
	s->ram = number(stats, "ram_bytes");
	s->balloon = number(b, "given_bytes");
	s->balloon_asked = number(b, "asked_bytes");
	s->guest_total = number(b, "total_bytes");
	s->guest_used = s->guest_total - MIN(s->guest_total, number(b, "available_bytes"));
	s->rx_packets = number(net, "rx_packets");
	s->tx_packets = number(net, "tx_packets");
	s->rx_bytes = number(net, "rx_bytes");
	s->tx_bytes = number(net, "tx_bytes");
	s->rx_dropped = number(net, "rx_dropped");
	s->tx_dropped = number(net, "tx_dropped");
	add_latency(s->tx_latency, json_object_get(net, "tx_latency_us"));
}

#define I(x) ((json_int_t)(x))

static json_t *exits_json(const struct sample *s)
{
	json_t *o = json_object();
	uint64_t total = 0;

	for (unsigned i = 0; i < s->n_exits; i++) {
		const struct sample_exit *x = &s->exits[i];

		/* The first three leave for the machine on every engine. */
		if (!strcmp(x->kind, "mmio") || !strcmp(x->kind, "port_io") ||
		    !strcmp(x->kind, "halts"))
			total += x->count;
		json_object_set_new(o, x->kind, json_integer(I(x->count)));
	}
	json_object_set_new(o, "total", json_integer(I(total)));
	return o;
}

static json_t *latency_json(const uint64_t *n)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		json_array_append_new(a, json_integer(I(n[i])));
	return a;
}

json_t *sample_encode(const struct sample *s)
{
	char at[CLOCK_TEXT_LEN];

	return json_pack("{s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, "
			 " s:{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o},"
			 " s:{s:I, s:I, s:I, s:I, s:I, s:I, s:o}, s:o}",
			 "at", clock_format(at, s->at_ns), "cpu_ns", I(s->cpu_ns), "steal_ns",
			 I(s->steal_ns), "throttled_ns", I(s->throttled_ns), "memory", "rss",
			 I(s->rss), "balloon", I(s->balloon), "guest_total", I(s->guest_total),
			 "guest_used", I(s->guest_used), "blk", "read_ops", I(s->read_ops),
			 "write_ops", I(s->write_ops), "read_bytes", I(s->read_bytes),
			 "write_bytes", I(s->write_bytes), "read_ns", I(s->read_ns), "write_ns",
			 I(s->write_ns), "read_latency_us", latency_json(s->read_latency),
			 "write_latency_us", latency_json(s->write_latency), "net", "rx_packets",
			 I(s->rx_packets), "tx_packets", I(s->tx_packets), "rx_bytes",
			 I(s->rx_bytes), "tx_bytes", I(s->tx_bytes), "rx_dropped", I(s->rx_dropped),
			 "tx_dropped", I(s->tx_dropped), "tx_latency_us",
			 latency_json(s->tx_latency), "exits", exits_json(s));
}
