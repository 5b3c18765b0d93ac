/* SPDX-License-Identifier: MIT */
/*
 * How far long work is: a bar on a terminal, else a line at each tenth.
 */
#ifndef HOLM_CLI_PROGRESS_H
#define HOLM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	char what[64]; /* cleaned: it may name an object */
	bool terminal; /* standard error is one */
	int last;      /* what was printed last: percent, or tenth */
	bool printed;
};

void progress_init(struct progress *p, const char *what, const char *name);
/** progress_update() - @done of @total; nothing is printed where @total is 0 or nothing changed. */
void progress_update(struct progress *p, uint64_t done, uint64_t total);
/** progress_end() - take the bar away. */
void progress_end(struct progress *p);

#endif
