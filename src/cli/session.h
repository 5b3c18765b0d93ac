/* SPDX-License-Identifier: MIT */
/*
 * What every command that talks to the manager shares: its common options, the names it is given,
 * and the connection.
 */
#ifndef HOLM_CLI_SESSION_H
#define HOLM_CLI_SESSION_H

#include "cli/client.h"
#include "cli/command.h"
#include "cli/output.h"

/** Options that commands take by naming the set; session_next() handles them. */
extern const struct cmd_options session_connection; /* --host, --cert, --key, --cacert */
extern const struct cmd_options session_output;	    /* --format, -q, --filter, --no-header */
extern const struct cmd_options session_format;	    /* --format of one object */
extern const struct cmd_options session_wait;	    /* --no-wait */

/* Of VMs: vm_options.c. */
extern const struct cmd_options vm_managed_options; /* resources, policy, restart ... */
extern const struct cmd_options vm_run_options;	    /* --project, --burst */
extern const struct cmd_options vm_set_options;	    /* --autostart on|off */
extern const struct cmd_options vm_create_options;  /* --start, --autostart, --config */

/* For rows of the command table. */
#define CMD_OPTIONS(list) (&(const struct cmd_options) { list, ARRAY_SIZE(list), NULL })
#define CMD_SETS(...)                                                                              \
	((const struct cmd_options *const[]) { __VA_ARGS__, &session_connection, NULL })
#define CMD_ONLY_CONNECTION ((const struct cmd_options *const[]) { &session_connection, NULL })

struct session {
	struct opts opts;
	struct client_target target;
	struct output output;
	bool no_wait;
	char **names; /* positional arguments: the front of argv, in order */
	int n_names;
	struct client *client; /* NULL until session_open() */
};

/** session_init() - for a command's arguments; nothing to fail. */
void session_init(struct session *s, const struct cmd *self, int argc, char **argv);

/**
 * session_next() - the next option that is the command's own.
 *
 * Common options are kept in @s, other arguments go to @s->names. Return: 1, 0 at the end, or
 * -errno.
 */
int session_next(struct session *s, const struct cmd_option **opt, const char **value,
		 struct err *e) MUST_CHECK;

/** session_parse() - as session_next() to the end, for commands without options of their own. */
int session_parse(struct session *s, struct err *e) MUST_CHECK;

/** session_want() - -EINVAL with the synopsis unless there are @min to @max (-1: any) names. */
int session_want(const struct session *s, int min, int max, struct err *e) MUST_CHECK;

/** session_open() - connect, see client_open(). */
int session_open(struct session *s, struct err *e) MUST_CHECK;

/**
 * session_call() - a request with an optional JSON body, see client_call().
 * @out: receives the answer; may be NULL
 */
int session_call(struct session *s, const char *method, const struct url *url, json_t *body,
		 json_t **out, struct err *e) MUST_CHECK;

/** session_close() - disconnect; returns the exit code for @ret, and prints @e where it is set. */
int session_close(struct session *s, int ret, const struct err *e);

/** What is done to one name. */
typedef int (*session_each_fn)(struct session *s, const char *name, void *ctx, struct err *e);

/**
 * session_each() - @fn for every name, going on after failures, each of which is printed.
 *
 * Return: 0, or the first failure, whose sentence is out already: @e stays unset.
 */
int session_each(struct session *s, session_each_fn fn, void *ctx) MUST_CHECK;

#endif
