/* SPDX-License-Identifier: MIT */
/*
 * What the manager answers, as a user asked to see it: a table, JSON, CSV or only names.
 *
 * Theory of operation: a list's columns are a const array that says which member of an item each
 * shows and how. CSV has the plain values, so that programs need not read "1.5G".
 */
#ifndef HOLM_CLI_OUTPUT_H
#define HOLM_CLI_OUTPUT_H

#include "cli/table.h"

#include <jansson.h>
#include <stdint.h>

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_SIZE,  /* bytes */
	COLUMN_CPU,   /* thousandths of a CPU */
	COLUMN_SINCE, /* a time; shown as how long ago */
	COLUMN_NS,    /* nanoseconds of CPU time; shown as seconds */
	COLUMN_COUNT
};

struct column {
	const char *title; /* "MEMORY" */
	const char *path;  /* of the member: "config.memory" */
	enum column_kind kind;
};

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV, OUTPUT_COUNT };

#define OUTPUT_FILTERS_MAX 8

struct output {
	enum output_format format;
	bool quiet; /* only names */
	bool no_header;
	const char *filters[OUTPUT_FILTERS_MAX]; /* "key=value" */
	size_t n_filters;
	size_t width;	 /* tables are cut there; 0: never */
	size_t max_rows; /* of a table; 0: all */
};

/** output_option() - --format, --quiet, --filter and --no-header; -EINVAL. */
int output_option(struct output *o, const char *name, const char *value, struct err *e) MUST_CHECK;

/** output_member() - the member of @item that a path names, or NULL; borrowed. */
json_t *output_member(json_t *item, const char *path);

/**
 * output_list() - print the items of an array that pass the filters.
 *
 * A filter's key is a column's title in any case, which compares what is shown or the plain
 * value, or a member's path. Errors: -ENOMEM.
 */
int output_list(const struct output *o, FILE *f, json_t *items, const struct column *columns,
		size_t n, struct err *e) MUST_CHECK;

/** output_object() - one object: as "key: value" lines, or as JSON. */
int output_object(const struct output *o, FILE *f, json_t *object, struct err *e) MUST_CHECK;

/** output_json() - a value as JSON with a newline; safe for terminals. */
int output_json(FILE *f, json_t *value, struct err *e) MUST_CHECK;

#endif
