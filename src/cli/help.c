/* SPDX-License-Identifier: MIT */
/*
 * holm help, holm man and holm gen-docs: what the table says, for people.
 */
#include "cli/command.h"
#include "mgr/core/life.h"

#include <errno.h>
#include <string.h>

/*
 * The optional argument: the words of a visible command or of a noun. Where there is none, *@out
 * and *@noun are NULL.
 */
static int command_arg(int argc, char **argv, const struct cmd **out, const struct cmd_table **noun,
		       struct err *e)
{
	int used;

	*out = NULL;
	*noun = NULL;
	if (!argc)
		return 0;
	*out = cmd_find(argc, argv, &used);
	if (*out && !(*out)->hidden && used == argc)
		return 0;
	*out = NULL;
	*noun = argc == 1 ? cmd_noun(argv[0]) : NULL;
	if (!*noun)
		return err_set(e, -EINVAL, "unknown command '%.80s%s%.80s'; see 'holm help'",
			       argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	return 0;
}

int cmd_help(const struct cmd *self, int argc, char **argv)
{
	const struct cmd_table *noun;
	const struct cmd *c;
	struct err e = { 0 };

	if (argc == 1 && !strcmp(argv[0], "states")) {
		vm_life_print(stdout, false);
		return HOLM_EXIT_OK;
	}
	if (command_arg(argc, argv, &c, &noun, &e))
		return cmd_fail(&e);
	if (noun)
		docs_print_noun(stdout, noun);
	else
		docs_print_help(stdout, c);
	return HOLM_EXIT_OK;
}

int cmd_man(const struct cmd *self, int argc, char **argv)
{
	const struct cmd_table *noun;
	const struct cmd *c;
	struct err e = { 0 };

	if (!command_arg(argc, argv, &c, &noun, &e) && noun)
		err_set(&e, -EINVAL, "there is no manual page of '%s' alone; see 'holm help %s'",
			noun->noun, noun->noun);
	if (e.code)
		return cmd_fail(&e);
	docs_print_man(stdout, c);
	return HOLM_EXIT_OK;
}

int cmd_gen_docs(const struct cmd *self, int argc, char **argv)
{
	struct err e = { 0 };

	if (argc == 1 && !strcmp(argv[0], "markdown")) {
		docs_print_markdown(stdout);
		return HOLM_EXIT_OK;
	}
	if (argc == 1 && !strcmp(argv[0], "names")) {
		docs_print_names(stdout);
		return HOLM_EXIT_OK;
	}
	err_set(&e, -EINVAL, "'holm %s' prints: markdown or names", self->name);
	return cmd_fail(&e);
}
