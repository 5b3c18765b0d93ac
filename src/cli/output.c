/* SPDX-License-Identifier: MIT */
/*
 * What the manager answers, as a user asked to see it, see output.h.
 */
#include "cli/output.h"

#include "base/fd.h"
#include "cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX 16

static const char *const format_names[] = { "table", "json", "csv" };
static_assert(ARRAY_SIZE(format_names) == OUTPUT_COUNT, "a name for each");

int output_option(struct output *o, const char *name, const char *value, struct err *e)
{
	if (!strcmp(name, "quiet")) {
		o->quiet = true;
		return 0;
	}
	if (!strcmp(name, "no-header")) {
		o->no_header = true;
		return 0;
	}
	if (!strcmp(name, "filter")) {
		if (!strchr(value, '=') || value[0] == '=')
			return err_set(e, -EINVAL, "filter '%.80s' is none: write KEY=VALUE",
				       value);
		if (o->n_filters == OUTPUT_FILTERS_MAX)
			return err_set(e, -E2BIG, "more than %d filters", OUTPUT_FILTERS_MAX);
		o->filters[o->n_filters++] = value;
		return 0;
	}
	for (size_t i = 0; i < OUTPUT_COUNT; i++)
		if (!strcmp(format_names[i], value)) {
			o->format = (enum output_format)i;
			return 0;
		}
	return err_set(e, -EINVAL, "'%.80s' is no format: use table, json or csv", value);
}

json_t *output_member(json_t *item, const char *path)
{
	while (item && *path) {
		size_t n = strcspn(path, ".");
		char key[64];

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		item = json_object_get(item, key);
		path += n + (path[n] == '.');
	}
	return item;
}

/* A scalar as text; "" for null and what is not there; arrays of scalars joined by commas. */
static void plain(char *buf, size_t len, json_t *v)
{
	json_t *item;
	size_t i, at = 0;

	buf[0] = '\0';
	if (json_is_string(v)) {
		snprintf(buf, len, "%s", json_string_value(v));
	} else if (json_is_integer(v)) {
		snprintf(buf, len, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	} else if (json_is_real(v)) {
		snprintf(buf, len, "%.3f", json_real_value(v));
	} else if (json_is_boolean(v)) {
		snprintf(buf, len, "%s", json_is_true(v) ? "yes" : "no");
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, item)
		{
			char one[128];

			if (json_is_array(item))
				continue;
			plain(one, sizeof(one), item);
			if (at < len)
				at += (size_t)snprintf(buf + at, len - at, "%s%s", at ? "," : "",
						       one);
		}
	}
}

static void shown(char *buf, size_t len, json_t *v, enum column_kind kind)
{
	int64_t then;

	if (kind == COLUMN_SIZE && json_is_integer(v)) {
		text_size(buf, len, (uint64_t)json_integer_value(v));
	} else if (kind == COLUMN_CPU && json_is_integer(v)) {
		snprintf(buf, len, "%.4g", (double)json_integer_value(v) / 1000);
	} else if (kind == COLUMN_NS && json_is_integer(v)) {
		snprintf(buf, len, "%.1fs", (double)json_integer_value(v) / 1e9);
	} else if (kind == COLUMN_SINCE && json_is_string(v) &&
		   text_time(json_string_value(v), &then)) {
		int64_t now = time(NULL);

		text_duration(buf, len, now > then ? (uint64_t)(now - then) : 0);
	} else {
		plain(buf, len, v);
	}
}

static bool passes(json_t *item, const char *filter, const struct column *columns, size_t n)
{
	size_t key_len = strcspn(filter, "=");
	const char *want = filter + key_len + 1;
	char key[128], text[1024];

	for (size_t c = 0; c < n; c++) {
		json_t *v;

		if (strlen(columns[c].title) != key_len ||
		    strncasecmp(columns[c].title, filter, key_len) != 0)
			continue;
		v = output_member(item, columns[c].path);
		plain(text, sizeof(text), v);
		if (!strcmp(text, want))
			return true;
		shown(text, sizeof(text), v, columns[c].kind);
		return !strcmp(text, want);
	}
	if (key_len >= sizeof(key))
		return false;
	memcpy(key, filter, key_len);
	key[key_len] = '\0';
	plain(text, sizeof(text), output_member(item, key));
	return !strcmp(text, want);
}

/* A new array of the items that pass all filters, or NULL. */
static json_t *filtered(const struct output *o, json_t *items, const struct column *columns,
			size_t n)
{
	json_t *kept = json_array(), *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		bool good = true;

		for (size_t k = 0; k < o->n_filters && good; k++)
			good = passes(item, o->filters[k], columns, n);
		if (good && json_array_append(kept, item)) {
			json_decref(kept);
			return NULL;
		}
	}
	return kept;
}

static void print_names(FILE *f, json_t *items)
{
	json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "name"));
		MEM_AUTO char *clean = NULL;

		if (!name)
			name = json_string_value(json_object_get(item, "vm"));
		if (!name)
			name = json_string_value(json_object_get(item, "id"));
		clean = name ? text_clean(name, strlen(name), "") : NULL;
		if (clean)
			fprintf(f, "%s\n", clean);
	}
}

static int fill(const struct output *o, struct table *t, json_t *items,
		const struct column *columns, size_t n, struct err *e)
{
	json_t *item;
	size_t i;
	int ret = 0;

	for (size_t c = 0; c < n && !ret; c++) {
		t->right[c] = columns[c].kind != COLUMN_TEXT && columns[c].kind != COLUMN_SINCE;
		ret = table_cell(t, columns[c].title, e);
	}
	json_array_foreach(items, i, item) for (size_t c = 0; c < n && !ret; c++)
	{
		json_t *v = output_member(item, columns[c].path);
		char text[1024];

		if (o->format == OUTPUT_CSV)
			plain(text, sizeof(text), v);
		else
			shown(text, sizeof(text), v, columns[c].kind);
		ret = table_cell(t, text[0] || o->format == OUTPUT_CSV ? text : "-", e);
	}
	return ret;
}

int output_list(const struct output *o, FILE *f, json_t *items, const struct column *columns,
		size_t n, struct err *e)
{
	json_t *kept = filtered(o, items, columns, n);
	struct table t;
	int ret = 0;

	if (!kept)
		return err_set(e, -ENOMEM, "no memory for a list");
	if (o->quiet) {
		print_names(f, kept);
	} else if (o->format == OUTPUT_JSON) {
		ret = output_json(f, kept, e);
	} else {
		table_init(&t, n);
		ret = fill(o, &t, kept, columns, n, e);
		if (!ret && o->format == OUTPUT_CSV)
			table_print_csv(&t, f, o->no_header);
		else if (!ret)
			table_print(&t, f, o->no_header, o->max_rows ? o->max_rows : SIZE_MAX,
				    o->width);
		table_free(&t);
	}
	json_decref(kept);
	return ret;
}

/*
 * Everything above ASCII is escaped on the way, so neither C1 controls nor changes of direction
 * get through; jansson escapes the controls of ASCII but DEL.
 */
int output_json(FILE *f, json_t *value, struct err *e)
{
	MEM_AUTO char *text =
		json_dumps(value, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

	if (!text)
		return err_set(e, -ENOMEM, "no memory for JSON");
	for (char *p = text; *p; p++) {
		if (*p == 0x7f)
			fputs("\\u007f", f);
		else
			fputc(*p, f);
	}
	fputc('\n', f);
	return 0;
}

/* Members that are bytes, by name. */
static bool is_size(const char *key)
{
	static const char *const names[] = { "memory",	"size", "capacity", "disk",  "rss",
					     "balloon", "used", "free",	    "total", "available" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(key, names[i]))
			return true;
	return strlen(key) > 6 && !strcmp(key + strlen(key) - 6, "_bytes");
}

static void print_tree(FILE *f, json_t *object, unsigned depth);

static void print_member(FILE *f, const char *key, json_t *v, unsigned depth)
{
	MEM_AUTO char *name = text_clean(key, strlen(key), "");
	MEM_AUTO char *clean = NULL;
	char text[2048];
	json_t *item;
	size_t i;

	if (!name)
		return;
	if (json_is_object(v) && json_object_size(v) && depth < DEPTH_MAX) {
		fprintf(f, "%*s%s:\n", (int)depth * 2, "", name);
		print_tree(f, v, depth + 1);
		return;
	}
	if (json_is_object(json_array_get(v, 0)) && depth < DEPTH_MAX) {
		fprintf(f, "%*s%s:\n", (int)depth * 2, "", name);
		json_array_foreach(v, i, item)
		{
			fprintf(f, "%*s-\n", (int)depth * 2 + 2, "");
			print_tree(f, item, depth + 2);
		}
		return;
	}
	shown(text, sizeof(text), v, is_size(key) ? COLUMN_SIZE : COLUMN_TEXT);
	clean = text_clean(text, strlen(text), "");
	fprintf(f, "%*s%s: %s\n", (int)depth * 2, "", name, clean && *clean ? clean : "-");
}

static void print_tree(FILE *f, json_t *object, unsigned depth)
{
	const char *key;
	json_t *v;

	json_object_foreach(object, key, v)
	{
		print_member(f, key, v, depth);
	}
}

int output_object(const struct output *o, FILE *f, json_t *object, struct err *e)
{
	if (o->format == OUTPUT_JSON)
		return output_json(f, object, e);
	if (o->format == OUTPUT_CSV)
		return err_set(e, -EINVAL, "one object has no CSV: use table or json");
	print_tree(f, object, 0);
	return 0;
}
