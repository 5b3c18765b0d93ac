/* SPDX-License-Identifier: MIT */
/*
 * The command table: one const row per command of `holm`, from which the dispatcher, the help,
 * the man pages, docs/CLI.md and the shells' completions all come.
 */
#ifndef HOLM_CLI_COMMAND_H
#define HOLM_CLI_COMMAND_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** One option. */
struct cmd_option {
	const char *name;   /* long name without dashes */
	char letter;	    /* short name, 0: none */
	const char *arg;    /* placeholder of its value, NULL: it is a flag */
	const char *help;   /* one or two sentences, no trailing full stop */
	const char *field;  /* of struct vm_config, set from the value; NULL: handled by run */
	const char *values; /* completions, space-separated; "@file": paths; NULL: none */
	bool repeat;	    /* may be given several times */
	bool hidden;	    /* not in help and docs: for tests */
};

/** One command. @run gets the arguments after the command's name; returns enum holm_exit. */
struct cmd {
	const char *name;
	const char *args;    /* of the synopsis, "[COMMAND]" */
	const char *summary; /* a line without trailing full stop */
	const char *text;    /* paragraphs for the manual, separated by empty lines */
	const struct cmd_option *options;
	size_t n_options;
	const char *values; /* completions of its positional arguments, as in cmd_option */
	bool hidden;
	int (*run)(const struct cmd *self, int argc, char **argv);
};

/** cmd_table() - all commands; *@n receives how many. */
const struct cmd *cmd_table(size_t *n);
/** cmd_find() - by name, or NULL. */
const struct cmd *cmd_find(const char *name);

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
	bool ended; /* after "--" */
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
int cmd_sched(const struct cmd *self, int argc, char **argv);
int cmd_version(const struct cmd *self, int argc, char **argv);
int cmd_help(const struct cmd *self, int argc, char **argv);
int cmd_completion(const struct cmd *self, int argc, char **argv);
int cmd_man(const struct cmd *self, int argc, char **argv);
int cmd_gen_docs(const struct cmd *self, int argc, char **argv);

/** docs_print_help() - a command's help, or with NULL the list of commands. */
void docs_print_help(FILE *f, const struct cmd *c);
/** docs_print_markdown() - docs/CLI.md. */
void docs_print_markdown(FILE *f);
/** docs_print_man() - the manual page of one command, or with NULL holm(1). */
void docs_print_man(FILE *f, const struct cmd *c);

/**
 * vmm_path() - where holm-vmm is: beside this program.
 * Return: 0, or -errno with a sentence.
 */
int vmm_path(char *buf, size_t len, struct err *e) MUST_CHECK;

#endif
