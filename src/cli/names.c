/* SPDX-License-Identifier: MIT */
/*
 * holm __names: the names of what there is, for the shells' completions.
 *
 * Quick and silent: it starts no manager, waits a second at most, and prints nothing where
 * something is wrong. Shells expand what completions print, so only names of plain characters
 * are.
 */
#include "cli/vm.h"

#include <string.h>

int cmd_names(const struct cmd *self, int argc, char **argv)
{
	static const char *const kinds[][2] = {
		{ "vm", "/v1/vms" },	     { "net", "/v1/networks" },	    { "pool", "/v1/pools" },
		{ "volume", "/v1/volumes" }, { "project", "/v1/projects" }, { "user", "/v1/users" },
	};
	struct client_target target = { .no_start = true };
	struct client *c = NULL;
	json_t *answer = NULL, *item;
	struct url u = { 0 };
	size_t i;

	for (i = 0; argc == 1 && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(argv[0], kinds[i][0]))
			url_init(&u, kinds[i][1]);
	if (!u.len || client_open(&c, &target, NULL))
		return HOLM_EXIT_OK;
	if (!client_call(c,
			 &(const struct client_request) {
				 .method = "GET", .url = &u, .timeout_ms = 1000 },
			 &answer, NULL, NULL))
		json_array_foreach(json_object_get(answer, "items"), i, item)
		{
			const char *name = json_string_value(json_object_get(item, "name"));

			if (name && *name && name[0] != '-' &&
			    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789._-") == strlen(name))
				puts(name);
		}
	json_decref(answer);
	client_close(c);
	return HOLM_EXIT_OK;
}
