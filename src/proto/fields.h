/* SPDX-License-Identifier: MIT */
/*
 * The table of a configuration's fields; only for config.c and config_json.c.
 */
#ifndef HOLM_PROTO_FIELDS_H
#define HOLM_PROTO_FIELDS_H

#include "proto/config.h"

#include <jansson.h>

/** What JSON type a field is written as. */
enum config_json { CONFIG_STRING, CONFIG_NUMBER, CONFIG_BOOL, CONFIG_ARRAY, CONFIG_JSON_COUNT };

struct config_field {
	const char *name;
	enum config_json json;
	bool internal; /* between holm and holm-vmm; refused from users' files */
	/** Parse and store; *@c is unchanged on failure. */
	int (*set)(struct vm_config *c, const char *value, struct err *e);
	/** A new reference, or NULL where the field is not given (or memory is out). */
	json_t *(*get)(const struct vm_config *c);
};

/** config_fields() - the table; *@n receives how many. */
const struct config_field *config_fields(size_t *n);

/** config_find() - by name, or NULL. */
const struct config_field *config_find(const char *name);

/** config_add_disk() - append one; strings are copied. -E2BIG, -EINVAL, -ENOMEM. */
int config_add_disk(struct vm_config *c, const char *path, size_t path_len, bool readonly,
		    const char *serial, struct err *e) MUST_CHECK;

#endif
