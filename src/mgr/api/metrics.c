/* SPDX-License-Identifier: MIT */
/*
 * Prometheus' text format, see metrics.h. Its rules are those of "Exposition formats, text-based
 * format" of Prometheus' documentation.
 */
#include "mgr/api/metrics.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = { "counter", "gauge", "histogram" };
static_assert(ARRAY_SIZE(kinds) == METRICS_KIND_COUNT, "a name for each kind");

static void put(struct metrics *m, const char *s, size_t len)
{
	size_t size = MAX(m->size, (size_t)4096);
	char *text;

	while (size - m->len <= len && !m->failed)
		m->failed = MUL_OVERFLOWS(size, (size_t)2, &size);
	if (m->failed)
		return;
	if (size != m->size) {
		text = realloc(m->text, size);
		if (!text) {
			m->failed = true;
			return;
		}
		m->text = text;
		m->size = size;
	}
	memcpy(m->text + m->len, s, len);
	m->len += len;
	m->text[m->len] = '\0';
}

static void puts_plain(struct metrics *m, const char *s)
{
	put(m, s, strlen(s));
}

/* @quote: of a label's value, where '"' is escaped too. */
static void puts_escaped(struct metrics *m, const char *s, bool quote)
{
	for (; *s; s++) {
		if (*s == '\n')
			put(m, "\\n", 2);
		else if (*s == '\\' || (quote && *s == '"'))
			put(m, (const char[]) { '\\', *s }, 2);
		else
			put(m, s, 1);
	}
}

static bool name_ok(const char *s, bool colon)
{
	const char *first = s;

	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') && *s != '_' &&
		    !(colon && *s == ':') && !(s > first && *s >= '0' && *s <= '9'))
			return false;
	return s > first;
}

void metrics_family(struct metrics *m, const char *name, enum metrics_kind kind, const char *help)
{
	BUG_ON(!name_ok(name, true));
	BUG_ON(m->families == METRICS_FAMILIES_MAX);
	for (unsigned i = 0; i < m->families; i++)
		BUG_ON(!strcmp(m->family[i], name));
	m->family[m->families++] = name;
	puts_plain(m, "# HELP ");
	puts_plain(m, name);
	puts_plain(m, " ");
	puts_escaped(m, help, false);
	puts_plain(m, "\n# TYPE ");
	puts_plain(m, name);
	puts_plain(m, " ");
	puts_plain(m, kinds[kind]);
	puts_plain(m, "\n");
}

/* A sample's line; @le: a bucket's bound, or NULL. */
static void sample(struct metrics *m, const char *suffix, const struct metrics_label *labels,
		   size_t n, const char *le, const char *value)
{
	BUG_ON(!m->families);
	puts_plain(m, m->family[m->families - 1]);
	puts_plain(m, suffix);
	for (size_t i = 0; i < n; i++) {
		BUG_ON(!name_ok(labels[i].name, false));
		puts_plain(m, i ? "," : "{");
		puts_plain(m, labels[i].name);
		puts_plain(m, "=\"");
		puts_escaped(m, labels[i].value, true);
		puts_plain(m, "\"");
	}
	if (le) {
		puts_plain(m, n ? ",le=\"" : "{le=\"");
		puts_plain(m, le);
		puts_plain(m, "\"");
	}
	puts_plain(m, n || le ? "} " : " ");
	puts_plain(m, value);
	puts_plain(m, "\n");
}

static const char *number(char text[32], double v)
{
	if (isnan(v))
		return "NaN";
	if (isinf(v))
		return v > 0 ? "+Inf" : "-Inf";
	/* The shortest of those two that reads back as the same value. */
	snprintf(text, 32, "%.15g", v);
	if (strtod(text, NULL) != v)
		snprintf(text, 32, "%.17g", v);
	return text;
}

void metrics_u64(struct metrics *m, const struct metrics_label *labels, size_t n, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	sample(m, "", labels, n, NULL, text);
}

void metrics_f64(struct metrics *m, const struct metrics_label *labels, size_t n, double value)
{
	char text[32];

	sample(m, "", labels, n, NULL, number(text, value));
}

void metrics_histogram(struct metrics *m, const struct metrics_label *labels, size_t n,
		       const double *bounds, const uint64_t *counts, size_t n_bounds, double sum)
{
	char text[32], le[32];
	uint64_t all = 0;

	for (size_t i = 0; i <= n_bounds; i++) {
		all += counts[i];
		snprintf(text, sizeof(text), "%" PRIu64, all);
		sample(m, "_bucket", labels, n, i < n_bounds ? number(le, bounds[i]) : "+Inf",
		       text);
	}
	sample(m, "_count", labels, n, NULL, text);
	sample(m, "_sum", labels, n, NULL, number(text, sum));
}

const char *metrics_text(const struct metrics *m, size_t *len)
{
	*len = m->len;
	if (m->failed)
		return NULL;
	return m->text ? m->text : "";
}

void metrics_free(struct metrics *m)
{
	free(m->text);
	*m = (struct metrics) { 0 };
}
