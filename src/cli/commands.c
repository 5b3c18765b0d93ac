/* SPDX-License-Identifier: MIT */
/*
 * The list of the tables of commands, and the exit codes, see command.h.
 */
#include "base/fd.h"
#include "cli/command.h"
#include "cli/text.h"

#include <string.h>

/* Their order is that of the help and the manual. */
static const struct cmd_table *const tables[] = {
	&cmd_table_run,	 &cmd_table_vm,	    &cmd_table_life,	 &cmd_table_watch,
	&cmd_table_net,	 &cmd_table_volume, &cmd_table_pool,	 &cmd_table_project,
	&cmd_table_user, &cmd_table_sched,  &cmd_table_snapshot, &cmd_table_system,
};

static const struct cmd_exit exits[] = {
	{ HOLM_EXIT_OK, "The guest powered off, or the command did its work" },
	{ HOLM_EXIT_USAGE,
	  "The command line, the configuration or a request to the manager is wrong" },
	{ HOLM_EXIT_INPUT,
	  "A file is missing, corrupt or of the wrong kind; or the manager knows no such "
	  "object" },
	{ HOLM_EXIT_BUSY,
	  "Something is in use: a disk by another VM, a port, a name; or the VM's state does not "
	  "allow it, the object changed meanwhile, or a wait ran out of time" },
	{ HOLM_EXIT_ENGINE, "The engine that was asked for is not to be had" },
	{ HOLM_EXIT_RESOURCE,
	  "Out of memory, space, descriptors, rights or a project's quota; or no manager answers" },
	{ HOLM_EXIT_INTERNAL, "A bug of Holm's, or the host failed" },
	{ HOLM_EXIT_GUEST_PANIC, "The guest reported a panic" },
	{ HOLM_EXIT_GUEST_SHUTDOWN, "The guest's CPU shut down: a triple fault" },
	{ HOLM_EXIT_GUEST_REBOOT, "The guest rebooted under --on-reboot exit" },
	{ HOLM_EXIT_KILLED, "The VM was ended by a signal or the console's escape" },
};

const struct cmd_table *const *cmd_tables(size_t *n)
{
	*n = ARRAY_SIZE(tables);
	return tables;
}

const struct cmd_table *cmd_noun(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (tables[i]->noun && !strcmp(tables[i]->noun, name))
			return tables[i];
	return NULL;
}

/* How many of the words in @argv make up @name; 0 where it is another one. */
static int words_of(const char *name, int argc, char **argv)
{
	int i = 0;

	while (name && *name) {
		size_t n = strcspn(name, " ");

		if (i >= argc || strlen(argv[i]) != n || memcmp(argv[i], name, n) != 0)
			return 0;
		name += n + (name[n] == ' ');
		i++;
	}
	return i;
}

const struct cmd *cmd_find(int argc, char **argv, int *used)
{
	const struct cmd *best = NULL;

	*used = 0;
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (size_t i = 0; i < tables[t]->n; i++) {
			const struct cmd *c = &tables[t]->rows[i];
			int n = words_of(c->name, argc, argv);

			if (!n)
				n = words_of(c->alias, argc, argv);
			if (n > *used) {
				*used = n;
				best = c;
			}
		}
	return best;
}

const struct cmd_option *cmd_option_at(const struct cmd *c, size_t i)
{
	for (size_t s = 0; c->sets && c->sets[s]; s++) {
		if (i < c->sets[s]->n)
			return &c->sets[s]->list[i];
		i -= c->sets[s]->n;
	}
	return NULL;
}

const struct cmd_option *cmd_option_find(const struct cmd *c, const char *name, size_t len)
{
	const struct cmd_option *o;

	for (size_t i = 0; (o = cmd_option_at(c, i)); i++)
		if (strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
	return NULL;
}

const struct cmd_exit *cmd_exits(size_t *n)
{
	*n = ARRAY_SIZE(exits);
	return exits;
}

int cmd_fail(const struct err *e)
{
	/* It may name what others named, and be cut within a character. */
	MEM_AUTO char *clean = text_clean(e->msg, strlen(e->msg), "");

	fprintf(stderr, "holm: %s\n", clean ? clean : "no memory for an error's sentence");
	return (int)err_exit_code(e->code);
}
