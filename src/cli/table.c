/* SPDX-License-Identifier: MIT */
/*
 * A table of text, see table.h.
 */
#include "cli/table.h"

#include "cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *t, size_t n_columns)
{
	assert(n_columns && n_columns <= TABLE_COLUMNS_MAX);
	*t = (struct table) { .n_columns = n_columns };
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table) { 0 };
}

int table_cell(struct table *t, const char *text, struct err *e)
{
	char *copy = text_clean(text, strlen(text), "");

	if (copy && t->n_cells == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		char **cells = reallocarray(t->cells, room, sizeof(*cells));

		if (!cells) {
			free(copy);
			copy = NULL;
		} else {
			t->cells = cells;
			t->room = room;
		}
	}
	if (!copy)
		return err_set(e, -ENOMEM, "no memory for a table");
	t->cells[t->n_cells++] = copy;
	return 0;
}

size_t table_rows(const struct table *t)
{
	return t->n_cells / t->n_columns;
}

/* @s, at most @max columns of it. */
static void print_cut(FILE *f, const char *s, size_t max)
{
	const char *end = s + strlen(s), *at = s;
	size_t used = 0;

	while (at < end) {
		const char *from = at;
		char one[8];

		text_next(&at, end);
		snprintf(one, sizeof(one), "%.*s", (int)(at - from), from);
		used += text_width(one);
		if (used > max)
			return;
		fputs(one, f);
	}
}

static void print_row(const struct table *t, FILE *f, char *const *cells, const size_t *widths,
		      size_t limit)
{
	size_t at = 0;

	for (size_t c = 0; c < t->n_columns; c++) {
		size_t width = text_width(cells[c]);
		size_t pad = widths[c] - width;
		bool last = c + 1 == t->n_columns;

		if (limit && at + widths[c] > limit) {
			if (!t->right[c] && at < limit)
				print_cut(f, cells[c], limit - at);
			break;
		}
		fprintf(f, "%*s%s%*s", t->right[c] ? (int)pad : 0, "", cells[c],
			last ? 0 : (int)(t->right[c] ? 2 : pad + 2), "");
		at += widths[c] + 2;
	}
	fputc('\n', f);
}

void table_print(const struct table *t, FILE *f, size_t from, size_t max_rows, size_t width)
{
	size_t widths[TABLE_COLUMNS_MAX] = { 0 };
	size_t rows = table_rows(t);

	for (size_t i = from * t->n_columns; i < rows * t->n_columns; i++) {
		size_t n = text_width(t->cells[i]);

		if (n > widths[i % t->n_columns])
			widths[i % t->n_columns] = n;
	}
	for (size_t r = from; r < rows && r - from < max_rows; r++)
		print_row(t, f, t->cells + r * t->n_columns, widths, width);
}

void table_print_csv(const struct table *t, FILE *f, size_t from)
{
	for (size_t i = from * t->n_columns; i < table_rows(t) * t->n_columns; i++) {
		const char *s = t->cells[i];
		bool quoted = s[strcspn(s, ",\"")];

		if (quoted)
			fputc('"', f);
		for (; *s; s++) {
			if (*s == '"')
				fputc('"', f);
			fputc(*s, f);
		}
		if (quoted)
			fputc('"', f);
		fputc((i + 1) % t->n_columns ? ',' : '\n', f);
	}
}
