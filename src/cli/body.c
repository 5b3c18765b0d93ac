/* SPDX-License-Identifier: MIT */
/*
 * Options as members of a request's JSON body, see body.h.
 */
#include "cli/body.h"

#include "cli/text.h"
#include "proto/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int body_put(json_t *body, const char *path, json_t *v, bool append, struct err *e)
{
	char key[64];

	for (;;) {
		size_t n = strcspn(path, ".");
		json_t *next;

		assert(n < sizeof(key));
		memcpy(key, path, n);
		key[n] = '\0';
		if (!path[n])
			break;
		next = json_object_get(body, key);
		if (!next) {
			next = json_object();
			if (json_object_set_new(body, key, next))
				next = NULL;
		}
		body = next;
		path += n + 1;
	}
	if (append && json_object_get(body, key)) {
		if (!json_array_append_new(json_object_get(body, key), v))
			return 0;
	} else if (append) {
		json_t *list = json_array();

		if (!json_array_append_new(list, v) && !json_object_set_new(body, key, list))
			return 0;
	} else if (!json_object_set_new(body, key, v)) {
		return 0;
	}
	return err_set(e, -ENOMEM, "no memory for a request");
}

static int number(json_t **v, const char *what, const char *value, struct err *e)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (!*value || *end || end == value || *value == ' ')
		return err_set(e, -EINVAL, "%s '%.80s' is not a number", what, value);
	if (errno)
		return err_set(e, -ERANGE, "%s '%.80s' is out of range", what, value);
	*v = json_integer(n);
	return 0;
}

/* "1.5" CPUs are 1500 thousandths. */
static int cpu(json_t **v, const char *what, const char *value, struct err *e)
{
	char *end;
	double n;

	if (!*value || strspn(value, "0123456789.") != strlen(value))
		return err_set(e, -EINVAL, "%s '%.80s' is no number of CPUs: write it like 1.5",
			       what, value);
	n = strtod(value, &end);
	if (*end)
		return err_set(e, -EINVAL, "%s '%.80s' is no number of CPUs: write it like 1.5",
			       what, value);
	if (n > 1e6)
		return err_set(e, -ERANGE, "%s '%.80s' is more than a million CPUs", what, value);
	*v = json_integer((json_int_t)(n * 1000 + 0.5));
	return 0;
}

static int on_off(json_t **v, const char *what, const char *value, struct err *e)
{
	static const char *const yes[] = { "on", "true", "yes" };
	static const char *const no[] = { "off", "false", "no" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!value || !strcmp(value, yes[i])) {
			*v = json_true();
			return 0;
		}
		if (!strcmp(value, no[i])) {
			*v = json_false();
			return 0;
		}
	}
	return err_set(e, -EINVAL, "%s '%.80s' is neither on nor off", what, value);
}

int body_set(json_t *body, const struct cmd_option *opt, const char *value, struct err *e)
{
	char what[64];
	uint64_t n = 0;
	json_t *v = NULL;
	int ret = 0;

	snprintf(what, sizeof(what), "--%s", opt->name);
	switch (opt->kind) {
	case CMD_JSON_NUMBER:
		ret = number(&v, what, value, e);
		break;
	case CMD_JSON_CPU:
		ret = cpu(&v, what, value, e);
		break;
	case CMD_JSON_SIZE:
		ret = vm_size_parse(&n, what, value, e);
		v = ret ? NULL : json_integer((json_int_t)n);
		break;
	case CMD_JSON_MS:
		ret = text_parse_ms(&n, what, value, e);
		v = ret ? NULL : json_integer((json_int_t)n);
		break;
	case CMD_JSON_SWITCH:
		ret = on_off(&v, what, value, e);
		break;
	case CMD_JSON_TEXT:
	case CMD_JSON_LIST:
	case CMD_JSON_COUNT:
		v = json_string(value);
		if (!v)
			ret = err_set(e, -EINVAL, "the value of %s is not valid UTF-8", what);
		break;
	}
	return ret ? ret : body_put(body, opt->json, v, opt->kind == CMD_JSON_LIST, e);
}
