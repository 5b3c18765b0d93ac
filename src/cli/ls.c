/* SPDX-License-Identifier: MIT */
/*
 * holm ls.
 */
#include "cli/vm.h"

#include <string.h>

static void drop_deleted(json_t *items)
{
	for (size_t i = json_array_size(items); i-- > 0;) {
		json_t *vm = json_array_get(items, i);
		const char *state = json_string_value(json_object_get(vm, "state"));

		if (state && !strcmp(state, "deleted"))
			json_array_remove(items, i);
	}
}

int cmd_ls(const struct cmd *self, int argc, char **argv)
{
	const struct cmd_option *opt;
	const char *value;
	struct session s;
	struct err e = { 0 };
	json_t *items = NULL;
	bool all = false;
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	url_init(&u, vm_noun.base);
	while ((ret = session_next(&s, &opt, &value, &e)) > 0) {
		if (opt->json)
			url_query(&u, opt->json + 1, value);
		/* Who asks for a state wants it even where it is "deleted". */
		all |= !opt->json || !strcmp(opt->name, "state");
	}
	if (!ret)
		ret = session_want(&s, 0, 0, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = noun_list(&s, &u, &items, &e);
	if (!ret && !all)
		drop_deleted(items);
	if (!ret)
		ret = output_list(&s.output, stdout, items, vm_noun.columns, vm_noun.n_columns, &e);
	json_decref(items);
	return session_close(&s, ret, &e);
}
