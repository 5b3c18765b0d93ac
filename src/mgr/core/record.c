/* SPDX-License-Identifier: MIT */
/*
 * Strict reading of JSON, see record.h.
 */
#include "mgr/core/record.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

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
