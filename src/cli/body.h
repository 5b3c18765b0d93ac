/* SPDX-License-Identifier: MIT */
/*
 * Options as members of a request's JSON body.
 */
#ifndef HOLM_CLI_BODY_H
#define HOLM_CLI_BODY_H

#include "cli/command.h"

#include <jansson.h>

/**
 * body_set() - put an option's value at its path (@opt->json) in @body; objects on the way are
 * made.
 * @value: as given; NULL for a flag, which is true
 *
 * Return: 0, -EINVAL or -ERANGE with a sentence that names the option, -ENOMEM. @body's members
 * are unchanged on failure.
 */
int body_set(json_t *body, const struct cmd_option *opt, const char *value,
	     struct err *e) MUST_CHECK;

/** body_put() - @v (taken over, also on failure) at a path; with @append to the array there. */
int body_put(json_t *body, const char *path, json_t *v, bool append, struct err *e) MUST_CHECK;

#endif
