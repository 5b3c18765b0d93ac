/* SPDX-License-Identifier: MIT */
/*
 * Metrics in Prometheus' text format 0.0.4.
 *
 * Theory of operation: the caller opens a family and writes its samples before the next one. The
 * text grows on the heap; lack of memory is remembered and shows at the end.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_MGR_API_METRICS_H
#define HOLM_MGR_API_METRICS_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_TYPE	     "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_FAMILIES_MAX 128

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_KIND_COUNT };

struct metrics_label {
	const char *name, *value;
};

/** Zero it; metrics_free() afterwards. */
struct metrics {
	char *text;
	size_t len, size;
	bool failed;
	const char *family[METRICS_FAMILIES_MAX]; /* borrowed: literals */
	unsigned families;
};

/**
 * metrics_family() - begin one.
 * @name: a literal; a counter's ends with "_total"; no name twice
 * @help: one sentence
 */
void metrics_family(struct metrics *m, const char *name, enum metrics_kind kind, const char *help);

/** metrics_u64() - a sample of the family that was begun last. @n labels; their values any text. */
void metrics_u64(struct metrics *m, const struct metrics_label *labels, size_t n, uint64_t value);
void metrics_f64(struct metrics *m, const struct metrics_label *labels, size_t n, double value);

/**
 * metrics_histogram() - one histogram.
 * @bounds: @n_bounds upper bounds, ascending
 * @counts: values in each bucket, not cumulated; @n_bounds + 1, the last one is beyond all bounds
 * @sum:    of all values
 */
void metrics_histogram(struct metrics *m, const struct metrics_label *labels, size_t n,
		       const double *bounds, const uint64_t *counts, size_t n_bounds, double sum);

/** metrics_text() - what there is, with its length; NULL: memory was short. */
const char *metrics_text(const struct metrics *m, size_t *len);

void metrics_free(struct metrics *m);

#endif
