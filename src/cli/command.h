/* SPDX-License-Identifier: MIT */
/*
 * The command table: one const row per command of `holm`, from which the dispatcher, the help,
 * the man pages, docs/CLI.md and the shells' completions all come.
 *
 * Theory of operation: the rows stand in one table for each noun, in the file that runs them;
 * commands.c lists the tables. A command's name is a verb ("run") or a noun and its verbs
 * ("net create", "system audit verify"); the longest name that the arguments begin with wins.
 * Options come in sets, so that commands share them; a set with a title is explained once in
 * docs/CLI.md.
 */
#ifndef HOLM_CLI_COMMAND_H
#define HOLM_CLI_COMMAND_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** How an option's value is written in a request, see body.h. */
enum cmd_json {
	CMD_JSON_TEXT,
	CMD_JSON_NUMBER,
	CMD_JSON_SIZE,	 /* "10M": bytes */
	CMD_JSON_CPU,	 /* "1.5": thousandths of a CPU */
	CMD_JSON_MS,	 /* "30s": milliseconds */
	CMD_JSON_SWITCH, /* a flag, or on|off */
	CMD_JSON_LIST,	 /* one more string of an array */
	CMD_JSON_COUNT
};

/** One option. */
struct cmd_option {
	const char *name;   /* long name without dashes */
	char letter;	    /* short name, 0: none */
	const char *arg;    /* placeholder of its value, NULL: it is a flag */
	const char *help;   /* one or two sentences, no trailing full stop */
	const char *field;  /* of struct vm_config, set from the value, from "true" where it is a
			       flag; NULL: handled by run */
	const char *json;   /* member of the request's body, "resources.cpu.shares"; or NULL;
			       goes before @field where a VM of the manager's is meant */
	enum cmd_json kind; /* with @json */
	const char *values; /* completions, space-separated; "@file": paths; "@vm", "@net" ...:
			       live names; NULL: none */
	bool repeat;	    /* may be given several times */
	bool hidden;	    /* not in help and docs: for tests */
};

/** Options that go together. */
struct cmd_options {
	const struct cmd_option *list;
	size_t n;
	const char *title; /* of sets that many commands share, "Connection options"; or NULL */
};

struct noun;

/** One command. @run gets the arguments after the command's name; returns enum holm_exit. */
struct cmd {
	const char *name;
	const char *alias;   /* a second name, or NULL */
	const char *args;    /* of the synopsis, "[COMMAND]" */
	const char *summary; /* a line without trailing full stop */
	const char *text;    /* paragraphs for the manual, separated by empty lines */
	const struct cmd_options *const *sets; /* ended by NULL; NULL: takes no options */
	const char *values;	 /* completions of its positional arguments, as in cmd_option */
	const struct noun *noun; /* what it works on (noun.h), or NULL */
	const char *verb;	 /* of the API, for noun_act() and noun_post() */
	bool hidden;
	int (*run)(const struct cmd *self, int argc, char **argv);
};

/** The rows of one noun, or of verbs that belong together. */
struct cmd_table {
	const char *noun;    /* first word of all its names; NULL: its names are verbs */
	const char *summary; /* what the noun is; or the heading of the verbs in the help */
	const struct cmd *rows;
	size_t n;
};

/** cmd_tables() - all tables; *@n receives how many. */
const struct cmd_table *const *cmd_tables(size_t *n);
/** cmd_noun() - the table of a noun, or NULL. */
const struct cmd_table *cmd_noun(const char *name);
/**
 * cmd_find() - the command whose name is the longest that @argv begins with, or NULL.
 * @used: receives how many words its name has
 */
const struct cmd *cmd_find(int argc, char **argv, int *used);
/** cmd_option_at() - the @i-th option over all sets, NULL behind the last. */
const struct cmd_option *cmd_option_at(const struct cmd *c, size_t i);
/** cmd_option_find() - by long name of @len bytes, or NULL. */
const struct cmd_option *cmd_option_find(const struct cmd *c, const char *name, size_t len);

extern const struct cmd_table cmd_table_run, cmd_table_vm, cmd_table_life, cmd_table_watch,
	cmd_table_net, cmd_table_volume, cmd_table_pool, cmd_table_project, cmd_table_user,
	cmd_table_sched, cmd_table_snapshot, cmd_table_system;
/** The configuration's options of `holm run`, which `holm create` and `holm set` share. */
extern const struct cmd_options cmd_config_options;

/** A documented exit code. */
struct cmd_exit {
	enum holm_exit code;
	const char *meaning;
};
const struct cmd_exit *cmd_exits(size_t *n);

/** cmd_fail() - print "holm: SENTENCE" on stderr; returns the exit code for @e->code. */
int cmd_fail(const struct err *e);

/* Arguments, in order of the command line. */
struct opts {
	const struct cmd *cmd;
	int argc;
	char **argv;
	int at;
	size_t letter; /* of argv[at]: flags before it were taken, "-aq"; 0: none was */
	bool ended;    /* after "--" */
};

/**
 * opts_next() - the next argument.
 * @opt:   receives the option, or NULL for a positional argument
 * @value: receives its value (NULL for a flag), or the positional argument
 *
 * Return: 1, 0 at the end, or -EINVAL (unknown option, value missing or not wanted).
 */
int opts_next(struct opts *o, const struct cmd_option **opt, const char **value,
	      struct err *e) MUST_CHECK;

/* The commands; contracts as struct cmd's run. */
int cmd_run(const struct cmd *self, int argc, char **argv);
int cmd_doctor(const struct cmd *self, int argc, char **argv);
int cmd_simulate(const struct cmd *self, int argc, char **argv);
int cmd_version(const struct cmd *self, int argc, char **argv);
int cmd_help(const struct cmd *self, int argc, char **argv);
int cmd_completion(const struct cmd *self, int argc, char **argv);
int cmd_man(const struct cmd *self, int argc, char **argv);
int cmd_gen_docs(const struct cmd *self, int argc, char **argv);
int cmd_names(const struct cmd *self, int argc, char **argv);

/** docs_print_help() - a command's help, or with NULL the list of commands. */
void docs_print_help(FILE *f, const struct cmd *c);
/** docs_print_noun() - the commands of a noun. */
void docs_print_noun(FILE *f, const struct cmd_table *t);
/** docs_print_markdown() - docs/CLI.md. */
void docs_print_markdown(FILE *f);
/** docs_print_names() - each visible command a line; the build's list of man pages is checked
 * against it. */
void docs_print_names(FILE *f);
/** docs_print_man() - the manual page of one command, or with NULL holm(1). */
void docs_print_man(FILE *f, const struct cmd *c);

/**
 * program_path() - where another program of Holm's is, "holm-vmm": beside this one.
 * Return: 0, or -errno with a sentence.
 */
int program_path(char *buf, size_t len, const char *name, struct err *e) MUST_CHECK;

#endif
