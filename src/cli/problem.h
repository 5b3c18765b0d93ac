/* SPDX-License-Identifier: MIT */
/*
 * The manager's errors (application/problem+json, docs/API.md) as ours.
 */
#ifndef HOLM_CLI_PROBLEM_H
#define HOLM_CLI_PROBLEM_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/**
 * problem_set() - an error from an answer that is none of success.
 * @status: of HTTP, for an answer without a code that we know
 * @body:   its @len bytes; anything
 *
 * Return: the -errno, whose exit code (err_exit_code) is the documented one of the code.
 */
int problem_set(struct err *e, long status, const char *body, size_t len);

/** problem_set_json() - the same from a value: a problem, or a string that is the sentence. */
int problem_set_json(struct err *e, long status, json_t *problem);

#endif
