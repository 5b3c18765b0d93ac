/* SPDX-License-Identifier: MIT */
/*
 * A request's body from the options of a VM, see vm.h.
 *
 * Theory of operation: the configuration goes through the same table as that of `holm run`, so
 * it is checked in the same way; from its JSON only the members that the user gave are sent, as
 * the manager has defaults of its own (the console, for one).
 */
#include "base/fd.h"
#include "cli/body.h"
#include "cli/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int vm_body_init(struct vm_body *b, struct err *e)
{
	int ret = vm_config_init(&b->config, e);

	b->given = json_object();
	b->root = json_object();
	return ret;
}

void vm_body_free(struct vm_body *b)
{
	vm_config_free(&b->config);
	json_decref(b->given);
	json_decref(b->root);
}

static int read_config(struct vm_body *b, const char *path, struct err *e)
{
	MEM_AUTO uint8_t *text = NULL;
	json_t *root;
	size_t len;
	int ret = file_read(path, VM_CONFIG_MAX, &text, &len, e);

	if (!ret)
		ret = vm_config_decode(&b->config, (const char *)text, len, path, false, e);
	if (ret)
		return ret;
	root = json_loadb((const char *)text, len, 0, NULL);
	json_object_update(b->given, root);
	json_decref(root);
	return 0;
}

int vm_body_option(struct vm_body *b, const struct cmd_option *opt, const char *value,
		   struct err *e)
{
	int ret;

	if (!opt->field && !opt->json)
		return read_config(b, value, e);
	if (opt->json)
		return body_set(b->root, opt, value, e);
	ret = vm_config_set(&b->config, opt->field, value ? value : "true", e);
	if (!ret && json_object_set_new(b->given, opt->field, json_true()))
		ret = err_set(e, -ENOMEM, "no memory for a request");
	return ret;
}

/* A path of this process's as one of any; NULL: no memory, or no working directory. */
static json_t *absolute(const char *path)
{
	MEM_AUTO char *cwd = path[0] == '/' ? strdup("") : getcwd(NULL, 0);

	return cwd ? json_sprintf("%s%s%s", cwd, *cwd ? "/" : "", path) : NULL;
}

static int make_absolute(json_t *config, struct err *e)
{
	static const char *const paths[] = { "kernel", "initrd", "log", "metrics" };
	static const char *const lines[] = { "serial", "console" };
	json_t *disk;
	size_t i;
	int bad = 0;

	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *path = json_string_value(json_object_get(config, paths[i]));

		if (path)
			bad |= json_object_set_new(config, paths[i], absolute(path));
	}
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *value = json_string_value(json_object_get(config, lines[i]));
		const char *colon = value ? strchr(value, ':') : NULL;
		json_t *path = colon ? absolute(colon + 1) : NULL;

		if (!colon)
			continue;
		bad |= !path || json_object_set_new(config, lines[i],
						    json_sprintf("%.*s:%s", (int)(colon - value),
								 value, json_string_value(path)));
		json_decref(path);
	}
	json_array_foreach(json_object_get(config, "disks"), i, disk)
	{
		const char *path = json_string_value(json_object_get(disk, "path"));

		/* "volume:NAME" is no path. */
		if (path && strncmp(path, "volume:", 7) != 0)
			bad |= json_object_set_new(disk, "path", absolute(path));
	}
	return bad ? err_set(e, -ENOMEM, "cannot make a path absolute") : 0;
}

json_t *vm_body_take(struct vm_body *b, bool local, struct err *e)
{
	MEM_AUTO char *text = vm_config_encode(&b->config, false);
	json_t *all = text ? json_loads(text, 0, NULL) : NULL;
	json_t *config = json_object(), *v;
	const char *key;
	int bad = !all;

	json_object_foreach(all, key, v)
	{
		if (!json_object_get(b->given, key))
			continue;
		bad |= json_object_set(!strcmp(key, "name") ? b->root : config, key, v);
	}
	json_decref(all);
	if (bad)
		err_set(e, -ENOMEM, "no memory for a request");
	else
		bad = local ? make_absolute(config, e) : 0;
	if (!bad && json_object_size(config))
		bad = json_object_set(b->root, "config", config);
	json_decref(config);
	return bad ? NULL : json_incref(b->root);
}
