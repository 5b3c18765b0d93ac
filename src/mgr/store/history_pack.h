/* SPDX-License-Identifier: MIT */
/*
 * Samples as bytes and as minutes; only for history.c and its tests.
 *
 * Theory of operation: a chunk is a run of segments; a segment is a count and that many samples,
 * each its milliseconds since the chunk's begin and its fields. Numbers are little-endian base
 * 128; from the second sample of a segment on, fields are differences to the one before. So a
 * quiet second takes 16 bytes, and a chunk that is gone on with is its old bytes and new ones
 * behind them.
 */
#ifndef HOLM_MGR_STORE_HISTORY_PACK_H
#define HOLM_MGR_STORE_HISTORY_PACK_H

#include "mgr/store/history.h"

#include <stdbool.h>

#define PACK_VARINT_MAX 10
#define PACK_CHUNK_MAX	(1 + HISTORY_CHUNK_S * (1 + HIST_COUNT) * PACK_VARINT_MAX)
#define PACK_MINUTE_MAX ((HIST_COUNT + HIST_GAUGES + 1) * PACK_VARINT_MAX)

/** pack_chunk() - @n (1 to HISTORY_CHUNK_S) samples as one segment; bytes put to @buf. */
size_t pack_chunk(uint8_t buf[PACK_CHUNK_MAX], uint64_t begin_ns, const struct history_point *p,
		  size_t n);

/** A walk through a chunk. */
struct unpack {
	const uint8_t *p, *end;
	uint64_t begin_ns;
	uint64_t left; /* samples of the segment */
	struct history_point at;
};

void unpack_init(struct unpack *u, uint64_t begin_ns, const void *buf, size_t len);
/** unpack_next() - u->at is the next sample; false at the end or where the bytes are no sample. */
bool unpack_next(struct unpack *u);

/** pack_minute() - as bytes; unpack_minute() - false where they are none. */
size_t pack_minute(uint8_t buf[PACK_MINUTE_MAX], const struct history_point *p);
bool unpack_minute(struct history_point *p, const void *buf, size_t len);

/** What a minute's samples come to; zeroed, then rollup_add() for each in order. */
struct rollup {
	unsigned n;
	struct history_point last;
	__extension__ unsigned __int128 sum[HIST_GAUGES];
	uint64_t max[HIST_GAUGES];
	uint64_t cpu_max;
};

void rollup_add(struct rollup *r, const struct history_point *p);
/** rollup_done() - the point; r->n is not 0. */
void rollup_done(const struct rollup *r, uint64_t minute_ns, struct history_point *out);

#endif
