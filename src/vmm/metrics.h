/* SPDX-License-Identifier: MIT */
/*
 * The metrics file: the machine's counters and the process's memory, as one JSON object.
 */
#ifndef HOLM_VMM_METRICS_H
#define HOLM_VMM_METRICS_H

#include "base/compiler.h"
#include "base/err.h"
#include "machine/machine.h"

#include <jansson.h>

#include <stdbool.h>

/** Descriptors that are opened before the sandbox closes; -1: not asked for. */
struct metrics {
	int fd;
	int status_fd; /* /proc/self/status */
};

/**
 * metrics_open() - create the file @path (NULL: none).
 * @memory: metrics_get() is wanted with the process's memory also without a file
 */
int metrics_open(struct metrics *x, const char *path, bool memory, struct err *e) MUST_CHECK;
/** metrics_get() - a new JSON object: machine_stats() and the memory. Machine lock held. */
json_t *metrics_get(const struct metrics *x, struct machine *m);
/** metrics_write() - replace the file's content; failures are logged. Machine lock held. */
void metrics_write(const struct metrics *x, struct machine *m);
void metrics_close(struct metrics *x);

#endif
