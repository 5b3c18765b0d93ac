/* SPDX-License-Identifier: MIT */
/*
 * One look at a running VM: what its process says of itself, and what the host says of the
 * process, in the members that the API, the history and the metrics share.
 *
 * Threads: none of its own; all functions are pure.
 */
#ifndef HOLM_MGR_CORE_SAMPLE_H
#define HOLM_MGR_CORE_SAMPLE_H

#include "base/compiler.h"
#include "base/latency.h"

#include <jansson.h>

#include <stdint.h>

#define SAMPLE_EXITS	12
#define SAMPLE_NAME_MAX 24

/** A kind of exit from guest code, summed over the vCPUs. */
struct sample_exit {
	char kind[SAMPLE_NAME_MAX];
	uint64_t count;
};

/** Counters since the process began; bytes, nanoseconds, counts. */
struct sample {
	uint64_t at_ns;			    /* wall clock; 0: there is none yet */
	uint64_t cpu_ns, steal_ns;	    /* of all threads; ready to run but not run */
	uint64_t throttled_ns;		    /* by its control group */
	uint64_t rss;			    /* of the process, guest RAM in it */
	uint64_t ram;			    /* of the guest, whatever it gave back; 0: not said */
	uint64_t balloon;		    /* given back by the guest */
	uint64_t balloon_asked;		    /* that it was last asked to give back */
	uint64_t guest_total, guest_used;   /* as the guest says; 0: it does not */
	uint64_t read_ops, write_ops, read_bytes, write_bytes, read_ns, write_ns;
	/* Operations by their latency, in the buckets of base/latency.h. */
	uint64_t read_latency[LATENCY_BUCKETS], write_latency[LATENCY_BUCKETS];
	uint64_t tx_latency[LATENCY_BUCKETS];
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped;
	struct sample_exit exits[SAMPLE_EXITS];
	unsigned n_exits;
};

/** sample_read() - what the process's answer to "stats" has; the host's members stay. */
void sample_read(struct sample *s, const json_t *stats);

/** sample_encode() - as GET /v1/vms/VM/stats shows it; a new reference, NULL: no memory. */
json_t *sample_encode(const struct sample *s);

#endif
