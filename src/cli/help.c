/* SPDX-License-Identifier: MIT */
/*
 * holm help, holm man and holm gen-docs: what the table says, for people.
 */
#include "cli/command.h"
#include "mgr/core/life.h"

#include <errno.h>
#include <string.h>

/* The one optional argument: a visible command; *@out is NULL where there is none. */
static int command_arg(const struct cmd *self, int argc, char **argv, const struct cmd **out,
		       struct err *e)
{
	struct opts o = { .cmd = self, .argc = argc, .argv = argv };
	const struct cmd_option *opt;
	const char *value;
	int ret;

	*out = NULL;
	while ((ret = opts_next(&o, &opt, &value, e)) > 0) {
		if (*out)
			return err_set(e, -EINVAL, "'holm %s' takes one command, not '%.80s' too",
				       self->name, value);
		*out = cmd_find(value);
		if (!*out || (*out)->hidden)
			return err_set(e, -EINVAL, "unknown command '%.80s'; see 'holm help'",
				       value);
	}
	return ret;
}

int cmd_help(const struct cmd *self, int argc, char **argv)
{
	const struct cmd *c;
	struct err e = { 0 };

	if (argc == 1 && !strcmp(argv[0], "states")) {
		vm_life_print(stdout, false);
		return HOLM_EXIT_OK;
	}
	if (command_arg(self, argc, argv, &c, &e))
		return cmd_fail(&e);
	docs_print_help(stdout, c);
	return HOLM_EXIT_OK;
}

int cmd_man(const struct cmd *self, int argc, char **argv)
{
	const struct cmd *c;
	struct err e = { 0 };

	if (command_arg(self, argc, argv, &c, &e))
		return cmd_fail(&e);
	docs_print_man(stdout, c);
	return HOLM_EXIT_OK;
}

int cmd_gen_docs(const struct cmd *self, int argc, char **argv)
{
	struct err e = { 0 };

	if (argc != 1 || strcmp(argv[0], "markdown") != 0) {
		err_set(&e, -EINVAL, "'holm %s' prints: markdown", self->name);
		return cmd_fail(&e);
	}
	docs_print_markdown(stdout);
	return HOLM_EXIT_OK;
}
