/* SPDX-License-Identifier: MIT */
/*
 * What the kinds of objects (networks, volumes, VMs ...) have in common: list, show, create,
 * change, remove, and verbs of their own; all by a small const struct.
 */
#ifndef HOLM_CLI_NOUN_H
#define HOLM_CLI_NOUN_H

#include "cli/output.h"
#include "cli/session.h"

struct noun {
	const char *name;	      /* for sentences, "network" */
	const char *base;	      /* of its routes, "/v1/networks" */
	const struct column *columns; /* of lists */
	size_t n_columns;
	const char *view; /* of lists whose columns are all that is needed: ?view=...; or NULL */
};

/* Commands; contracts as struct cmd's run. An option whose @json begins with '?' is a parameter
 * of the query. */
int noun_ls(const struct cmd *self, int argc, char **argv);	/* GET base */
int noun_info(const struct cmd *self, int argc, char **argv);	/* GET base/NAME for each */
int noun_create(const struct cmd *self, int argc, char **argv); /* POST base: name, options */
int noun_set(const struct cmd *self, int argc, char **argv);	/* PATCH base/NAME: options */
int noun_rm(const struct cmd *self, int argc, char **argv);	/* DELETE base/NAME for each */
int noun_act(const struct cmd *self, int argc, char **argv);	/* POST base/NAME/verb for each */

/** noun_url() - base/NAME. */
void noun_url(struct url *u, const struct noun *n, const char *name);

/** noun_list() - the items of a list's answer, a new reference. */
int noun_list(struct session *s, const struct url *u, json_t **items, struct err *e) MUST_CHECK;

/**
 * noun_change() - PATCH an object, refused where it changes between our look at it and this.
 * @verb: for the progress of long work
 */
int noun_change(struct session *s, const struct noun *n, const char *name, json_t *body,
		const char *verb, struct err *e) MUST_CHECK;

/** noun_autostart() - the body of a change of "autostart" to "on" or "off". */
int noun_autostart(json_t **body, const char *value, struct err *e) MUST_CHECK;

/**
 * noun_key_value() - "KEY=VALUE" as the command's option KEY; '_' may stand for '-'.
 * @value: receives the value, in @arg
 *
 * Return: the option, or NULL with a sentence.
 */
const struct cmd_option *noun_key_value(const struct cmd *c, const char *arg, const char **value,
					struct err *e);

#endif
