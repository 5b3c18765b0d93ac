/* SPDX-License-Identifier: MIT */
/*
 * Strict reading of JSON, see record.h.
 */
#include "mgr/core/record.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Bytes of the character at @s, 0 where it is none. RFC 3629, 4. */
static size_t character(const unsigned char *s)
{
	static const struct {
		unsigned char from, to, low, high; /* of the first byte; of the second */
		size_t n;
	} shapes[] = {
		{ 0x01, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (s[0] < shapes[i].from || s[0] > shapes[i].to)
			continue;
		if (shapes[i].n > 1 && (s[1] < shapes[i].low || s[1] > shapes[i].high))
			return 0;
		for (size_t k = 2; k < shapes[i].n; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return shapes[i].n;
	}
	return 0;
}

void record_text(char *buf, size_t len, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	while (*s) {
		size_t n = character(s);

		if (at + MAX(n, (size_t)1) >= len)
			break;
		if (n)
			memcpy(buf + at, s, n);
		else
			buf[at] = '?';
		n = MAX(n, (size_t)1);
		at += n;
		s += n;
	}
	buf[at] = '\0';
}

int record_parse(json_t **out, const char *json, size_t len, const char *what, struct err *e)
{
	json_error_t why;
	json_t *o = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);

	if (!o)
		return err_set(e, -EINVAL, "%s is not valid JSON: line %d: %s", what, why.line,
			       why.text);
	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(e, -EINVAL, "%s must be a JSON object", what);
	}
	*out = o;
	return 0;
}

int record_known(const json_t *o, const char *const *names, size_t n, const char *what,
		 struct err *e)
{
	const char *key;
	json_t *value;

	/* jansson's iterators take no const, but change nothing. */
	json_object_foreach((json_t *)(uintptr_t)o, key, value)
	{
		size_t i = 0;

		while (i < n && strcmp(names[i], key) != 0)
			i++;
		if (i == n)
			return err_set(e, -EINVAL, "%s has no member '%.80s'", what, key);
	}
	return 0;
}

int record_string(const json_t *o, const char *name, const char **out, const char *what,
		  struct err *e)
{
	const json_t *v = json_object_get(o, name);

	if (!v)
		return 0;
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return err_set(e, -EINVAL, "%s: '%s' must be a string", what, name);
	*out = json_string_value(v);
	return 0;
}

int record_bool(const json_t *o, const char *name, bool *out, const char *what, struct err *e)
{
	const json_t *v = json_object_get(o, name);

	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return err_set(e, -EINVAL, "%s: '%s' must be true or false", what, name);
	*out = json_is_true(v);
	return 0;
}

int record_uint(const json_t *o, const char *name, uint64_t min, uint64_t max, uint64_t *out,
		const char *what, struct err *e)
{
	const json_t *v = json_object_get(o, name);

	if (!v)
		return 0;
	if (!json_is_integer(v))
		return err_set(e, -EINVAL, "%s: '%s' must be a whole number", what, name);
	if (json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) < min ||
	    (uint64_t)json_integer_value(v) > max)
		return err_set(e, -ERANGE, "%s: '%s' must be %" PRIu64 " to %" PRIu64, what, name,
			       min, max);
	*out = (uint64_t)json_integer_value(v);
	return 0;
}
