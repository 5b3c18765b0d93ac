/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when they are first needed.
 *
 * Why: linking libcurl costs 4.4 ms at each start of `holm`, for the two dozen libraries behind
 * it, and `holm run`, which needs none of them, is at the first guest instruction after 4.5 ms
 * (both measured). So nothing but a command that talks to the manager pays for it.
 */
#ifndef HOLM_CLI_DL_H
#define HOLM_CLI_DL_H

#include "base/compiler.h"
#include "base/err.h"

#include <stddef.h>

/** A function and where its pointer goes in the caller's table. */
struct dl_symbol {
	const char *name;
	size_t offset;
};

/**
 * dl_load() - load @soname and fill @table, a struct of function pointers.
 *
 * The library stays loaded. Return: 0, or -ENOENT with a sentence that names the library or the
 * function that is missing.
 */
int dl_load(const char *soname, const struct dl_symbol *symbols, size_t n, void *table,
	    struct err *e) MUST_CHECK;

#endif
