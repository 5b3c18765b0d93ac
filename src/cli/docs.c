/* SPDX-License-Identifier: MIT */
/*
 * The command table as help text, Markdown and manual pages.
 */
#include "cli/command.h"

#include <ctype.h>
#include <string.h>

/* Print @s folded at column 80 with each line behind @indent spaces, "\n\n" kept. */
static void print_folded(FILE *f, const char *s, unsigned indent)
{
	unsigned col = 0;

	while (*s) {
		size_t n = strcspn(s, " \n");

		if (!strncmp(s, "\n\n", 2)) {
			fputs("\n\n", f);
			col = 0;
			s += 2;
			continue;
		}
		if (n == 0) {
			s++;
			continue;
		}
		if (col && indent + col + 1 + n > 80) {
			fputc('\n', f);
			col = 0;
		}
		if (col)
			fputc(' ', f);
		else
			fprintf(f, "%*s", (int)indent, "");
		fprintf(f, "%.*s", (int)n, s);
		col += (unsigned)n + (col ? 1 : 0);
		s += n;
	}
	fputc('\n', f);
}

static void print_option_head(FILE *f, const struct cmd_option *o)
{
	if (o->letter)
		fprintf(f, "-%c, ", o->letter);
	fprintf(f, "--%s", o->name);
	if (o->arg)
		fprintf(f, " %s", o->arg);
	if (o->repeat)
		fputs(" ...", f);
}

static void print_synopsis(FILE *f, const struct cmd *c)
{
	fprintf(f, "holm %s", c->name);
	if (c->n_options)
		fputs(" [OPTION...]", f);
	if (c->args)
		fprintf(f, " %s", c->args);
}

void docs_print_help(FILE *f, const struct cmd *c)
{
	size_t n;
	const struct cmd *table = cmd_table(&n);

	if (!c) {
		fputs("usage: holm COMMAND [ARGUMENT...]\n\n", f);
		for (size_t i = 0; i < n; i++)
			if (!table[i].hidden)
				fprintf(f, "  %-12s %s\n", table[i].name, table[i].summary);
		fputs("\n'holm help COMMAND' explains one of them.\n", f);
		return;
	}
	fputs("usage: ", f);
	print_synopsis(f, c);
	fprintf(f, "\n\n%s.\n", c->summary);
	if (c->text) {
		fputc('\n', f);
		print_folded(f, c->text, 0);
	}
	if (c->n_options)
		fputs("\noptions:\n", f);
	for (size_t i = 0; i < c->n_options; i++) {
		const struct cmd_option *o = &c->options[i];

		if (o->hidden)
			continue;
		fputs("  ", f);
		print_option_head(f, o);
		fputc('\n', f);
		print_folded(f, o->help, 8);
	}
}

static void markdown_command(FILE *f, const struct cmd *c)
{
	fprintf(f, "\n## holm %s\n\n%s.\n\n    ", c->name, c->summary);
	print_synopsis(f, c);
	fputc('\n', f);
	if (c->text)
		fprintf(f, "\n%s\n", c->text);
	if (!c->n_options)
		return;
	fputs("\n| option | meaning |\n|---|---|\n", f);
	for (size_t i = 0; i < c->n_options; i++) {
		const struct cmd_option *o = &c->options[i];

		if (o->hidden)
			continue;
		fputs("| `", f);
		if (o->letter)
			fprintf(f, "-%c, ", o->letter);
		fprintf(f, "--%s", o->name);
		if (o->arg) {
			fputc(' ', f);
			/* A table's cell ends at a bar, even inside code. */
			for (const char *p = o->arg; *p; p++)
				fprintf(f, *p == '|' ? "\\%c" : "%c", *p);
		}
		fprintf(f, "`%s | %s |\n", o->repeat ? " (repeatable)" : "", o->help);
	}
}

void docs_print_markdown(FILE *f)
{
	size_t n, n_exits;
	const struct cmd *table = cmd_table(&n);
	const struct cmd_exit *x = cmd_exits(&n_exits);

	fputs("# The command line\n\n"
	      "Generated from the command table in `src/cli/commands.c` by "
	      "`holm gen-docs markdown`; do not edit.\n",
	      f);
	for (size_t i = 0; i < n; i++)
		if (!table[i].hidden)
			markdown_command(f, &table[i]);
	fputs("\n## Exit codes\n\n| code | meaning |\n|---|---|\n", f);
	for (size_t i = 0; i < n_exits; i++)
		fprintf(f, "| %d | %s |\n", (int)x[i].code, x[i].meaning);
	fputs("| odd | The guest wrote to the debug-exit port: (value << 1) \\| 1 |\n", f);
	fputs("\nErrors are one sentence on standard error that says what is wrong, with which "
	      "object, and what to do.\n",
	      f);
}

/* Text in roff: a dash is "\-", and a line must not begin with a dot or a quote. */
static void roff_text(FILE *f, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", f);
	for (; *s; s++) {
		if (*s == '-')
			fputs("\\-", f);
		else if (*s == '\\')
			fputs("\\e", f);
		else
			fputc(*s, f);
	}
}

static void roff_paragraphs(FILE *f, const char *s)
{
	const char *end;

	while ((end = strstr(s, "\n\n"))) {
		fprintf(f, "%.*s\n.PP\n", (int)(end - s), s);
		s = end + 2;
	}
	fprintf(f, "%s\n", s);
}

static void roff_exits(FILE *f)
{
	size_t n;
	const struct cmd_exit *x = cmd_exits(&n);

	fputs(".SH EXIT STATUS\n", f);
	for (size_t i = 0; i < n; i++) {
		fprintf(f, ".TP\n%d\n", (int)x[i].code);
		roff_text(f, x[i].meaning);
		fputs(".\n", f);
	}
	fputs(".TP\nodd\nThe guest wrote V to the debug\\-exit port: (V << 1) | 1.\n", f);
}

static void roff_title(FILE *f, const char *name)
{
	fputs(".TH ", f);
	for (; *name; name++)
		fputc(toupper((unsigned char)*name), f);
	fputs(" 1 \"\" \"holm " HOLM_VERSION "\" \"Holm\"\n.SH NAME\n", f);
}

void docs_print_man(FILE *f, const struct cmd *c)
{
	size_t n;
	const struct cmd *table = cmd_table(&n);
	char name[64];

	if (!c) {
		roff_title(f, "holm");
		fputs("holm \\- run virtual machines\n.SH SYNOPSIS\n.B holm\n.I COMMAND\n"
		      "[\\fIARGUMENT\\fR...]\n.SH COMMANDS\n",
		      f);
		for (size_t i = 0; i < n; i++) {
			if (table[i].hidden)
				continue;
			fprintf(f, ".TP\n.BR holm-%s (1)\n%s.\n", table[i].name, table[i].summary);
		}
		roff_exits(f);
		return;
	}
	snprintf(name, sizeof(name), "holm-%s", c->name);
	roff_title(f, name);
	fprintf(f, "holm\\-%s \\- %s\n.SH SYNOPSIS\n", c->name, c->summary);
	print_synopsis(f, c);
	fputs("\n.SH DESCRIPTION\n", f);
	roff_paragraphs(f, c->text ? c->text : c->summary);
	if (c->n_options)
		fputs(".SH OPTIONS\n", f);
	for (size_t i = 0; i < c->n_options; i++) {
		const struct cmd_option *o = &c->options[i];

		if (o->hidden)
			continue;
		fputs(".TP\n", f);
		if (o->letter)
			fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
		fputs("\\fB\\-\\-", f);
		roff_text(f, o->name);
		fputs("\\fR", f);
		if (o->arg) {
			fputs(" \\fI", f);
			roff_text(f, o->arg);
			fputs("\\fR", f);
		}
		fputc('\n', f);
		roff_text(f, o->help);
		fputs(o->repeat ? ". May be given several times.\n" : ".\n", f);
	}
	roff_exits(f);
	fputs(".SH SEE ALSO\n.BR holm (1)\n", f);
}
