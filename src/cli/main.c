/* SPDX-License-Identifier: MIT */
/*
 * holm: finds the command in the table and runs it.
 */
#include "cli/command.h"

#include <errno.h>
#include <string.h>

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const struct cmd *c;
	struct err e = { 0 };

	if (argc < 2) {
		docs_print_help(stderr, NULL);
		return HOLM_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		c = cmd_find("help");
	else if (!strcmp(argv[1], "--version"))
		c = cmd_find("version");
	else
		c = cmd_find(argv[1]);
	if (!c) {
		err_set(&e, -EINVAL, "unknown command '%.80s'; see 'holm help'", argv[1]);
		return cmd_fail(&e);
	}
	if (c->run != cmd_help && wants_help(argc - 2, argv + 2)) {
		docs_print_help(stdout, c);
		return HOLM_EXIT_OK;
	}
	return c->run(c, argc - 2, argv + 2);
}
