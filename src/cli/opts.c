/* SPDX-License-Identifier: MIT */
/*
 * Arguments against a command's table of options, see command.h.
 *
 * Accepted: --name VALUE, --name=VALUE, -x VALUE, -xVALUE, "--" before positional arguments.
 */
#include "cli/command.h"

#include <errno.h>
#include <string.h>

static const struct cmd_option *find_long(const struct cmd *c, const char *name, size_t len)
{
	for (size_t i = 0; i < c->n_options; i++)
		if (strlen(c->options[i].name) == len && !memcmp(c->options[i].name, name, len))
			return &c->options[i];
	return NULL;
}

static const struct cmd_option *find_letter(const struct cmd *c, char letter)
{
	for (size_t i = 0; i < c->n_options; i++)
		if (c->options[i].letter == letter)
			return &c->options[i];
	return NULL;
}

int opts_next(struct opts *o, const struct cmd_option **opt, const char **value, struct err *e)
{
	const struct cmd_option *found;
	const char *arg, *given = NULL;

	if (o->at < o->argc && !o->ended && !strcmp(o->argv[o->at], "--")) {
		o->ended = true;
		o->at++;
	}
	if (o->at >= o->argc)
		return 0;
	arg = o->argv[o->at];
	if (o->ended || arg[0] != '-' || !arg[1]) {
		o->at++;
		*opt = NULL;
		*value = arg;
		return 1;
	}
	if (arg[1] == '-') {
		const char *eq = strchr(arg, '=');

		found = find_long(o->cmd, arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2));
		given = eq ? eq + 1 : NULL;
	} else {
		found = find_letter(o->cmd, arg[1]);
		given = arg[2] ? arg + 2 : NULL;
	}
	if (!found)
		return err_set(e, -EINVAL, "unknown option '%.80s'; see 'holm help %s'", arg,
			       o->cmd->name);
	if (!found->arg && given)
		return err_set(e, -EINVAL, "option '--%s' takes no value", found->name);
	o->at++;
	if (found->arg && !given) {
		if (o->at >= o->argc)
			return err_set(e, -EINVAL, "option '--%s' needs a value: %s", found->name,
				       found->arg);
		given = o->argv[o->at++];
	}
	*opt = found;
	*value = given;
	return 1;
}
