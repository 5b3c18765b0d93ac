/* SPDX-License-Identifier: MIT */
/*
 * The manager's errors (application/problem+json, docs/API.md) as ours.
 */
#ifndef HOLM_CLI_PROBLEM_H
#define HOLM_CLI_PROBLEM_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/** A code of the manager's and what it is here. */
struct problem_code {
	const char *code;
	long status; /* of HTTP */
	int err;     /* errno; err_exit_code() of it is the exit code */
};

/** problem_codes() - all of them; *@n receives how many. */
const struct problem_code *problem_codes(size_t *n);

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
