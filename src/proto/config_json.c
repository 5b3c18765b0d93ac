/* SPDX-License-Identifier: MIT */
/*
 * A configuration as JSON, see config.h.
 *
 * Theory of operation: jansson parses the text; each value is turned into the string that the
 * field's own parser takes, so nothing is checked in two places.
 *
 * Limits: the text is at most VM_CONFIG_MAX bytes; strings hold no NUL (jansson refuses it).
 */
#include "base/fd.h"
#include "proto/config.h"
#include "proto/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int disk_from_object(struct vm_config *c, json_t *o, struct err *e)
{
	const char *key, *path = NULL, *serial = "";
	bool readonly = false;
	json_t *v;

	json_object_foreach(o, key, v)
	{
		if (!strcmp(key, "path") && json_is_string(v))
			path = json_string_value(v);
		else if (!strcmp(key, "serial") && json_is_string(v))
			serial = json_string_value(v);
		else if (!strcmp(key, "readonly") && json_is_boolean(v))
			readonly = json_is_true(v);
		else
			return err_set(e, -EINVAL,
				       "disks: '%.80s' is unknown or of a wrong type: use path, "
				       "readonly and serial",
				       key);
	}
	if (!path)
		return err_set(e, -EINVAL, "disks: an entry has no path");
	return config_add_disk(c, path, strlen(path), readonly, serial, e);
}

static int set_scalar(struct vm_config *c, const struct config_field *f, json_t *v, struct err *e)
{
	char number[32];

	if (json_is_string(v) && f->json != CONFIG_BOOL)
		return f->set(c, json_string_value(v), e);
	if (json_is_integer(v) && f->json == CONFIG_NUMBER) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return f->set(c, number, e);
	}
	if (json_is_boolean(v) && f->json == CONFIG_BOOL)
		return f->set(c, json_is_true(v) ? "true" : "false", e);
	if (json_is_object(v) && !strcmp(f->name, "disks"))
		return disk_from_object(c, v, e);
	return err_set(e, -EINVAL, "'%s' has a value of the wrong type", f->name);
}

static int set_field(struct vm_config *c, const char *key, json_t *v, bool internal, struct err *e)
{
	const struct config_field *f = config_find(key);
	json_t *item;
	size_t i;

	if (!f || (f->internal && !internal))
		return err_set(e, -EINVAL, "unknown field '%.80s'", key);
	if (f->json != CONFIG_ARRAY)
		return set_scalar(c, f, v, e);
	if (!json_is_array(v))
		return err_set(e, -EINVAL, "'%s' is not an array", key);
	json_array_foreach(v, i, item)
	{
		int ret = set_scalar(c, f, item, e);

		if (ret)
			return ret;
	}
	return 0;
}

int vm_config_decode(struct vm_config *c, const char *json, size_t len, const char *what,
		     bool internal, struct err *e)
{
	json_error_t why;
	json_t *root, *v;
	const char *key;
	int ret = 0;

	if (len > VM_CONFIG_MAX)
		return err_set(e, -EINVAL, "%s: larger than %u bytes", what, VM_CONFIG_MAX);
	root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return err_set(e, -EINVAL, "%s: line %d: not valid JSON: %s", what, why.line,
			       why.text);
	if (!json_is_object(root))
		ret = err_set(e, -EINVAL, "%s: not a JSON object", what);
	else
		json_object_foreach(root, key, v)
		{
			ret = set_field(c, key, v, internal, e);
			if (ret) {
				err_prefix(e, "%s", what);
				break;
			}
		}
	json_decref(root);
	return ret;
}

char *vm_config_encode(const struct vm_config *c, bool internal)
{
	size_t n;
	const struct config_field *f = config_fields(&n);
	json_t *root = json_object();
	char *text, *line;
	size_t len;

	for (size_t i = 0; i < n; i++) {
		json_t *v = f[i].internal && !internal ? NULL : f[i].get(c);

		if (v && json_object_set_new(root, f[i].name, v)) {
			json_decref(root);
			return NULL;
		}
	}
	text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (!text)
		return NULL;
	len = strlen(text);
	line = realloc(text, len + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	line[len] = '\n';
	line[len + 1] = '\0';
	return line;
}

int vm_config_copy(struct vm_config *to, const struct vm_config *from, struct err *e)
{
	MEM_AUTO char *text = vm_config_encode(from, false);

	if (!text)
		return err_set(e, -ENOMEM, "no memory for the configuration");
	return vm_config_decode(to, text, strlen(text), "configuration", false, e);
}
