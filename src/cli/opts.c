/* SPDX-License-Identifier: MIT */
/*
 * Arguments against a command's table of options, see command.h.
 *
 * Accepted: --name VALUE, --name=VALUE, -x VALUE, -xVALUE, -xyz for several flags, "--" before
 * positional arguments.
 */
#include "cli/command.h"

#include <errno.h>
#include <string.h>

static const struct cmd_option *find_letter(const struct cmd *c, char letter)
{
	const struct cmd_option *o;

	for (size_t i = 0; (o = cmd_option_at(c, i)); i++)
		if (o->letter == letter)
			return o;
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
	if (!o->letter && (o->ended || arg[0] != '-' || !arg[1])) {
		o->at++;
		*opt = NULL;
		*value = arg;
		return 1;
	}
	if (arg[1] == '-') {
		const char *eq = strchr(arg, '=');

		found = cmd_option_find(o->cmd, arg + 2,
					eq ? (size_t)(eq - arg - 2) : strlen(arg + 2));
		given = eq ? eq + 1 : NULL;
	} else {
		size_t i = o->letter ? o->letter : 1;

		found = find_letter(o->cmd, arg[i]);
		given = arg[i + 1] ? arg + i + 1 : NULL;
		if (found && !found->arg && given) {
			o->letter = i + 1;
			*opt = found;
			*value = NULL;
			return 1;
		}
		o->letter = 0;
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
