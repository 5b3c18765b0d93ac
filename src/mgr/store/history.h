/* SPDX-License-Identifier: MIT */
/*
 * The history of monitoring: an hour at 1 s and a week at 1 min, in a file of its own.
 *
 * Theory of operation: who samples hands over all samples of a second at once. They are kept in
 * memory until their ten seconds are over, then written in one transaction, one row for each
 * series ("host", or a VM's id) with the differences between its samples. When a minute is over,
 * its rows are read back and rolled up to one point, so what a killed holmd had written is rolled
 * up by the next one. Rows are keyed by time first: writing appends, the oldest go from the front,
 * and a query seeks one row for each ten seconds or minute.
 *
 * The file is a ring: old rows go by time, and before their time where the file has reached its
 * bound, so that both kinds keep the same part of their time; the places are used again. It is not
 * precious: one that is corrupt or of an unknown version is moved aside to "PATH.bad", of which
 * there is one, and begun anew with a warning.
 *
 * Limits: what a crash loses is up to ten seconds of samples, of a power failure as much as the
 * host had not written. Times are the wall clock's; a clock that jumps ahead ages everything.
 *
 * Threads: one, the manager's loop.
 */
#ifndef HOLM_MGR_STORE_HISTORY_H
#define HOLM_MGR_STORE_HISTORY_H

#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HISTORY_SECONDS	  3600u		 /* how long points of 1 s are kept */
#define HISTORY_MINUTES	  (7u * 24 * 60) /* how many points of 1 min are kept */
#define HISTORY_CHUNK_S	  10u		 /* what is written at once */
#define HISTORY_ID_MAX	  64
#define HISTORY_BYTES_MIN (1u << 20) /* the least bound of the file */

/** One moment of a VM or of the host; what is not known is 0. */
enum history_field {
	/* Gauges, in bytes. */
	HIST_RSS,
	HIST_BALLOON,
	HIST_GUEST_USED,
	/* Counters since the start of the VM. */
	HIST_CPU_NS,
	HIST_STEAL_NS, /* runnable but not run */
	HIST_THROTTLED_NS,
	HIST_BLK_READS,
	HIST_BLK_WRITES,
	HIST_BLK_READ_BYTES,
	HIST_BLK_WRITE_BYTES,
	HIST_NET_RX_PACKETS,
	HIST_NET_TX_PACKETS,
	HIST_NET_RX_BYTES,
	HIST_NET_TX_BYTES,
	HIST_COUNT
};
#define HIST_GAUGES HIST_CPU_NS /* the fields below it are gauges */

/** history_field_name() - "cpu_ns"; members of the API's samples. */
const char *history_field_name(enum history_field f);

struct history_sample {
	const char *id; /* borrowed; "host" or a VM's id */
	uint64_t at_ns; /* wall clock */
	uint64_t v[HIST_COUNT];
};

enum history_step { HISTORY_1S, HISTORY_1MIN, HISTORY_STEP_COUNT };

/**
 * A sample, or a minute rolled up: gauges are averages, rounded down, counters as they stood at
 * its last sample, and @at_ns the minute's begin.
 */
struct history_point {
	uint64_t at_ns;
	uint64_t v[HIST_COUNT];
	uint64_t max[HIST_GAUGES]; /* the highest of each gauge */
	uint64_t cpu_max; /* the most CPU time between two samples, in thousandths of a CPU */
};

/** Return 0 to go on; another value ends the walk and is returned. */
typedef int (*history_fn)(void *ctx, const struct history_point *p);

struct history;

/**
 * history_open() - the file at @path, which is made where it is not there.
 * @clock:     borrowed; only its wall clock is used
 * @max_bytes: bound of the file, without the log of at most about 2 MiB beside it
 *
 * Errors: -EBUSY (another holmd has it), -EROFS, -ENOSPC, -EACCES, -ENOENT, -ENOMEM, -EIO.
 */
int history_open(struct history **out, const char *path, const struct clock *clock,
		 uint64_t max_bytes, struct err *e) MUST_CHECK;

/** history_close() - write what is in memory and close. NULL is allowed. */
void history_close(struct history *h);

/**
 * history_add() - the samples of one moment, of as many series as there are.
 *
 * On failure (-ENOSPC, -EIO, -ENOMEM) the samples that were to be written are lost and later
 * calls go on.
 */
int history_add(struct history *h, const struct history_sample *s, size_t n,
		struct err *e) MUST_CHECK;

/**
 * history_query() - points of @id with @from_ns <= at_ns < @to_ns, oldest first.
 *
 * A series that is not known has no points. Samples not yet written are among them; a minute is
 * once it is over.
 */
int history_query(struct history *h, const char *id, enum history_step step, uint64_t from_ns,
		  uint64_t to_ns, history_fn fn, void *ctx, struct err *e) MUST_CHECK;

#endif
