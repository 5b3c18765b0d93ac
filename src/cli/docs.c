/* SPDX-License-Identifier: MIT */
/*
 * The command table as help text, Markdown and manual pages.
 */
#include "cli/command.h"
#include "cli/problem.h"

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

/* What the environment says, for holm(1) and docs/CLI.md. */
static const struct {
	const char *name, *meaning;
} environment[] = {
	{ "HOLM_SOCKET",
	  "The manager's socket. Without it /run/holm/holmd.sock is taken where this "
	  "user may use it, else holm/holmd.sock in XDG_RUNTIME_DIR, else "
	  ".local/state/holm/holmd.sock in HOME; on these last two, which are the "
	  "user's own, a manager is started where none runs" },
	{ "HOLM_HOST", "The manager of another host, as with --host" },
	{ "HOLM_TOKEN", "The token that is shown to the manager of another host" },
	{ "XDG_STATE_HOME", "Where holm/holmd.log, the log of a manager that was started so, lies; "
			    ".local/state in HOME by default" },
};

static void print_synopsis(FILE *f, const struct cmd *c)
{
	fprintf(f, "holm %s", c->name);
	if (c->sets)
		fputs(" [OPTION...]", f);
	if (c->args)
		fprintf(f, " %s", c->args);
}

static void print_names(FILE *f, const struct cmd_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct cmd *c = &t->rows[i];
		int width = t->noun ? 24 : 12;

		if (c->hidden)
			continue;
		fprintf(f, "  %-*s %s", width, c->name, c->summary);
		if (c->alias)
			fprintf(f, " (also: %s)", c->alias);
		fputc('\n', f);
	}
}

void docs_print_noun(FILE *f, const struct cmd_table *t)
{
	fprintf(f, "usage: holm %s COMMAND [ARGUMENT...]\n\n%s.\n\n", t->noun, t->summary);
	print_names(f, t);
	fprintf(f, "\n'holm help %s COMMAND' explains one of them.\n", t->noun);
}

static void print_all_names(FILE *f)
{
	size_t n;
	const struct cmd_table *const *t = cmd_tables(&n);

	fputs("usage: holm COMMAND [ARGUMENT...]\n", f);
	for (size_t i = 0; i < n; i++)
		if (!t[i]->noun) {
			fprintf(f, "\n%s:\n", t[i]->summary);
			print_names(f, t[i]);
		}
	fputs("\nWith a verb of their own:\n", f);
	for (size_t i = 0; i < n; i++)
		if (t[i]->noun)
			fprintf(f, "  %-12s %s\n", t[i]->noun, t[i]->summary);
	fputs("\n'holm help COMMAND' explains one of them.\n", f);
}

void docs_print_help(FILE *f, const struct cmd *c)
{
	const struct cmd_option *o;

	if (!c) {
		print_all_names(f);
		return;
	}
	fputs("usage: ", f);
	print_synopsis(f, c);
	fprintf(f, "\n\n%s.\n", c->summary);
	if (c->alias)
		fprintf(f, "\n'holm %s' is the same.\n", c->alias);
	if (c->text) {
		fputc('\n', f);
		print_folded(f, c->text, 0);
	}
	if (c->sets)
		fputs("\noptions:\n", f);
	for (size_t i = 0; (o = cmd_option_at(c, i)); i++) {
		if (o->hidden)
			continue;
		fputs("  ", f);
		print_option_head(f, o);
		fputc('\n', f);
		print_folded(f, o->help, 8);
	}
}

static void markdown_options(FILE *f, const struct cmd_options *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct cmd_option *o = &set->list[i];

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

static void markdown_command(FILE *f, const struct cmd *c)
{
	bool own = false, shared = false;

	fprintf(f, "\n## holm %s\n\n%s.\n\n    ", c->name, c->summary);
	print_synopsis(f, c);
	fputc('\n', f);
	if (c->alias)
		fprintf(f, "\n`holm %s` is the same.\n", c->alias);
	if (c->text)
		fprintf(f, "\n%s\n", c->text);
	for (size_t i = 0; c->sets && c->sets[i]; i++) {
		if (c->sets[i]->title)
			continue;
		if (!own)
			fputs("\n| option | meaning |\n|---|---|\n", f);
		own = true;
		markdown_options(f, c->sets[i]);
	}
	for (size_t i = 0; c->sets && c->sets[i]; i++)
		if (c->sets[i]->title) {
			fprintf(f, "%s%s",
				shared ? ", "
				: own  ? "\nAlso: "
				       : "\nTakes: ",
				c->sets[i]->title);
			shared = true;
		}
	if (shared)
		fputs(".\n", f);
}

/* Each set that has a title, once. */
static void markdown_shared(FILE *f)
{
	const struct cmd_options *done[16];
	size_t n, n_done = 0;
	const struct cmd_table *const *t = cmd_tables(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < t[i]->n; j++) {
			const struct cmd *c = &t[i]->rows[j];

			for (size_t k = 0; c->sets && c->sets[k]; k++) {
				bool again = !c->sets[k]->title;

				for (size_t d = 0; d < n_done; d++)
					again |= done[d] == c->sets[k];
				if (again || n_done == ARRAY_SIZE(done))
					continue;
				done[n_done++] = c->sets[k];
				fprintf(f, "\n## Shared: %s\n\n| option | meaning |\n|---|---|\n",
					c->sets[k]->title);
				markdown_options(f, c->sets[k]);
			}
		}
}

void docs_print_markdown(FILE *f)
{
	size_t n, n_exits, n_codes;
	const struct cmd_table *const *t = cmd_tables(&n);
	const struct cmd_exit *x = cmd_exits(&n_exits);
	const struct problem_code *codes = problem_codes(&n_codes);

	fputs("# The command line\n\n"
	      "Generated from the command tables in `src/cli` by "
	      "`holm gen-docs markdown`; do not edit.\n",
	      f);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < t[i]->n; j++)
			if (!t[i]->rows[j].hidden)
				markdown_command(f, &t[i]->rows[j]);
	markdown_shared(f);
	fputs("\n## Environment\n\n| variable | meaning |\n|---|---|\n", f);
	for (size_t i = 0; i < ARRAY_SIZE(environment); i++)
		fprintf(f, "| `%s` | %s |\n", environment[i].name, environment[i].meaning);
	fputs("\n## Exit codes\n\n| code | meaning |\n|---|---|\n", f);
	for (size_t i = 0; i < n_exits; i++)
		fprintf(f, "| %d | %s |\n", (int)x[i].code, x[i].meaning);
	fputs("| odd | The guest wrote to the debug-exit port: (value << 1) \\| 1 |\n", f);
	fputs("\nWhat the manager refuses ends with:\n\n| code of the API | exit code "
	      "|\n|---|---|\n",
	      f);
	for (size_t i = 0; i < n_codes; i++)
		fprintf(f, "| `%s` | %d |\n", codes[i].code, (int)err_exit_code(-codes[i].err));
	fputs("| no manager answers | 10 |\n", f);
	fputs("\nErrors are one sentence on standard error that says what is wrong, with which "
	      "object, and what to do.\n",
	      f);
}

void docs_print_names(FILE *f)
{
	size_t n;
	const struct cmd_table *const *t = cmd_tables(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < t[i]->n; j++)
			if (!t[i]->rows[j].hidden)
				fprintf(f, "%s\n", t[i]->rows[j].name);
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

/* A name with dashes for its spaces, as files and pages have it. */
static void page_name(char *buf, size_t len, const char *name)
{
	snprintf(buf, len, "holm-%s", name);
	for (char *p = buf; *p; p++)
		if (*p == ' ')
			*p = '-';
}

static void roff_overview(FILE *f)
{
	size_t n;
	const struct cmd_table *const *t = cmd_tables(&n);
	char name[64];

	roff_title(f, "holm");
	fputs("holm \\- run virtual machines\n.SH SYNOPSIS\n.B holm\n.I COMMAND\n"
	      "[\\fIARGUMENT\\fR...]\n.SH COMMANDS\n",
	      f);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < t[i]->n; j++) {
			if (t[i]->rows[j].hidden)
				continue;
			page_name(name, sizeof(name), t[i]->rows[j].name);
			fprintf(f, ".TP\n.BR %s (1)\n%s.\n", name, t[i]->rows[j].summary);
		}
	fputs(".SH ENVIRONMENT\n", f);
	for (size_t i = 0; i < ARRAY_SIZE(environment); i++) {
		fprintf(f, ".TP\n.B %s\n", environment[i].name);
		roff_text(f, environment[i].meaning);
		fputs(".\n", f);
	}
	roff_exits(f);
}

void docs_print_man(FILE *f, const struct cmd *c)
{
	const struct cmd_option *o;
	char name[64];

	if (!c) {
		roff_overview(f);
		return;
	}
	page_name(name, sizeof(name), c->name);
	roff_title(f, name);
	roff_text(f, name);
	fprintf(f, " \\- %s\n.SH SYNOPSIS\n", c->summary);
	print_synopsis(f, c);
	fputs("\n.SH DESCRIPTION\n", f);
	roff_paragraphs(f, c->text ? c->text : c->summary);
	if (c->alias)
		fprintf(f, ".PP\n.B holm %s\nis the same.\n", c->alias);
	if (c->sets)
		fputs(".SH OPTIONS\n", f);
	for (size_t i = 0; (o = cmd_option_at(c, i)); i++) {
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
