/* SPDX-License-Identifier: MIT */
/*
 * Reading the JSON of records and requests strictly: what is not known is refused by name.
 *
 * Every function takes @what, which begins its sentence ("network"); a member that is not there
 * leaves *@out as it was and gives 0, so that one decoder serves a new record and a change.
 *
 * Threads: none of its own.
 */
#ifndef HOLM_MGR_CORE_RECORD_H
#define HOLM_MGR_CORE_RECORD_H

#include "base/compiler.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * record_text() - a text for people into a record: cut to @len bytes with its NUL, and where it
 * is no UTF-8 (a guest's doing, or cut by somebody) a '?' instead. A record with anything else
 * could not be written any more.
 */
void record_text(char *buf, size_t len, const char *text);

/** record_parse() - an object, in a new reference; -EINVAL: no JSON, repeated members. */
int record_parse(json_t **out, const char *json, size_t len, const char *what,
		 struct err *e) MUST_CHECK;

/** record_known() - -EINVAL where @o has a member that is none of the @n @names. */
int record_known(const json_t *o, const char *const *names, size_t n, const char *what,
		 struct err *e) MUST_CHECK;

/** record_string() - borrowed from @o; NUL bytes are refused. */
int record_string(const json_t *o, const char *name, const char **out, const char *what,
		  struct err *e) MUST_CHECK;

int record_bool(const json_t *o, const char *name, bool *out, const char *what,
		struct err *e) MUST_CHECK;

/** record_uint() - @min to @max, else -ERANGE. */
int record_uint(const json_t *o, const char *name, uint64_t min, uint64_t max, uint64_t *out,
		const char *what, struct err *e) MUST_CHECK;

/** json_drop() - for CLEANUP() on a json_t pointer. */
static inline void json_drop(json_t **j)
{
	json_decref(*j);
}

#define JSON_AUTO CLEANUP(json_drop) json_t

#endif
