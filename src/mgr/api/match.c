/* SPDX-License-Identifier: MIT */
/*
 * The matcher of routes, see routes.h.
 */
#include "mgr/api/routes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool route_name_ok(const char *name, size_t len)
{
	static const char set[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return len && len <= ROUTE_NAME_MAX && strspn(name, set) >= len;
}

static size_t segment(const char *at)
{
	return strcspn(at, "/");
}

/* Whether @path has the shape of @pattern: the same words, something where it has {..}. */
static bool same_shape(const char *pattern, const char *path)
{
	while (*pattern == '/' && *path == '/') {
		size_t want = segment(++pattern), have = segment(++path);

		if (*pattern == '{' ? !have : want != have || memcmp(pattern, path, have) != 0)
			return false;
		pattern += want;
		path += have;
	}
	return !*pattern && !*path;
}

static void add_allow(struct route_match *m, const char *method)
{
	size_t len = strlen(m->allow);

	snprintf(m->allow + len, sizeof(m->allow) - len, "%s%s", len ? ", " : "", method);
}

/* The values of {..} in m->text, cut apart there, and the word behind them. */
static int take_args(struct route_match *m, struct err *e)
{
	const char *pattern = m->route->pattern;
	char *at = m->text;
	unsigned n = 0;

	while (*pattern) {
		size_t want = segment(++pattern), have = segment(++at);
		bool last = !pattern[want];

		if (*pattern == '{' || (n && last)) {
			if (*pattern == '{' && !route_name_ok(at, have))
				return err_set(e, -EINVAL,
					       "'%.*s' is no name: 1 to %d letters, digits, '.', "
					       "'_' or '-'",
					       (int)MIN(have, (size_t)80), at, ROUTE_NAME_MAX);
			BUG_ON(n == ROUTE_ARGS_MAX);
			m->arg[n++] = at;
		}
		pattern += want;
		at += have;
		if (!last)
			*at = '\0';
	}
	return 0;
}

int route_match(struct route_match *m, const struct api_route *table, size_t n, const char *method,
		const char *path, struct err *e)
{
	*m = (struct route_match) { 0 };
	if (strlen(path) >= sizeof(m->text))
		return err_set(e, -ENOENT, "no such route");
	for (size_t i = 0; i < n; i++) {
		if (!same_shape(table[i].pattern, path))
			continue;
		if (!strcmp(table[i].method, method)) {
			m->route = &table[i];
			memcpy(m->text, path, strlen(path) + 1);
			return take_args(m, e);
		}
		add_allow(m, table[i].method);
	}
	if (m->allow[0])
		return err_set(e, -EOPNOTSUPP, "%.16s is not to be had for %.200s: use %s", method,
			       path, m->allow);
	return err_set(e, -ENOENT, "no such route: %.200s; GET /v1/openapi.json lists them all",
		       path);
}
