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
	char help[] = "help", version[] = "version";
	const struct cmd_table *noun;
	const struct cmd *c;
	struct err e = { 0 };
	int used;

	if (argc < 2) {
		docs_print_help(stderr, NULL);
		return HOLM_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		argv[1] = help;
	else if (!strcmp(argv[1], "--version"))
		argv[1] = version;
	c = cmd_find(argc - 1, argv + 1, &used);
	noun = c ? NULL : cmd_noun(argv[1]);
	if (noun && (argc == 2 || wants_help(argc - 2, argv + 2))) {
		docs_print_noun(argc == 2 ? stderr : stdout, noun);
		return argc == 2 ? HOLM_EXIT_USAGE : HOLM_EXIT_OK;
	}
	if (noun)
		err_set(&e, -EINVAL, "unknown command '%.80s %.80s'; see 'holm help %s'", argv[1],
			argv[2], noun->noun);
	else if (!c)
		err_set(&e, -EINVAL, "unknown command '%.80s'; see 'holm help'", argv[1]);
	if (!c)
		return cmd_fail(&e);
	argc -= 1 + used;
	argv += 1 + used;
	if (c->run != cmd_help && wants_help(argc, argv)) {
		docs_print_help(stdout, c);
		return HOLM_EXIT_OK;
	}
	return c->run(c, argc, argv);
}
