/* SPDX-License-Identifier: MIT */
/*
 * Long work of the manager's: an operation that is waited for.
 */
#ifndef HOLM_CLI_OPERATION_H
#define HOLM_CLI_OPERATION_H

#include "cli/session.h"

/**
 * operation_wait() - wait for what an answer names, unless --no-wait was given.
 * @answer: of the request; an operation, or anything else, which is done already. NULL: done.
 * @verb:   for the progress, "start"; with @name, what it is done to
 *
 * Return: 0, the error of an operation that failed, -EBUSY where it was cancelled.
 */
int operation_wait(struct session *s, json_t *answer, const char *verb, const char *name,
		   struct err *e) MUST_CHECK;

/** operation_call() - session_call(), then operation_wait(). */
int operation_call(struct session *s, const char *method, const struct url *url, json_t *body,
		   const char *verb, const char *name, struct err *e) MUST_CHECK;

#endif
