/* SPDX-License-Identifier: MIT */
/*
 * A table of text in aligned columns, or as CSV.
 *
 * Theory of operation: cells are added row by row and kept until the table is printed, when the
 * widths are known. A cell is cleaned as it comes in (text_clean), so nothing that a guest or the
 * manager names can steer a terminal.
 */
#ifndef HOLM_CLI_TABLE_H
#define HOLM_CLI_TABLE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table {
	size_t n_columns;
	bool right[TABLE_COLUMNS_MAX]; /* aligned at the right: numbers */
	char **cells;
	size_t n_cells, room;
};

/** table_init() - without rows; at most TABLE_COLUMNS_MAX columns. */
void table_init(struct table *t, size_t n_columns);
void table_free(struct table *t);
/** table_cell() - the next cell, copied; -ENOMEM. */
int table_cell(struct table *t, const char *text, struct err *e) MUST_CHECK;
/** table_rows() - how many whole rows there are. */
size_t table_rows(const struct table *t);
/**
 * table_print() - aligned, two spaces between columns.
 * @from: the first row to print; @max_rows: how many at most
 * @width: lines are cut at this many columns; 0: never
 */
void table_print(const struct table *t, FILE *f, size_t from, size_t max_rows, size_t width);
/** table_print_csv() - RFC 4180 with "\n" line ends. */
void table_print_csv(const struct table *t, FILE *f, size_t from);

#endif
