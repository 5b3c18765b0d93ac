/* SPDX-License-Identifier: MIT */
/*
 * holm stats, see stats.h.
 */
#include "cli/stats.h"

#include "cli/vm.h"

#include <errno.h>

/* The members are those of GET /v1/vms/VM/stats. */
static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },	   { "CPU", "cpu_ns", COLUMN_NS },
	{ "MEMORY", "memory.rss", COLUMN_SIZE },   { "BALLOON", "memory.balloon", COLUMN_SIZE },
	{ "READ", "blk.read_bytes", COLUMN_SIZE }, { "WRITTEN", "blk.write_bytes", COLUMN_SIZE },
	{ "RX", "net.rx_bytes", COLUMN_SIZE },	   { "TX", "net.tx_bytes", COLUMN_SIZE },
	{ "EXITS", "exits.total", COLUMN_NUMBER },
};

int stats_of(struct session *s, const char *name, json_t **out, struct err *e)
{
	json_t *v = NULL;
	struct url u;
	int ret;

	noun_url(&u, &vm_noun, name);
	url_add(&u, "stats");
	ret = session_call(s, "GET", &u, NULL, &v, e);
	if (!ret && json_object_set_new(v, "name", json_string(name))) {
		json_decref(v);
		ret = err_set(e, -EIO, "the manager's answer is no statistics");
	}
	if (!ret)
		*out = v;
	return ret;
}

int stats_running(struct session *s, json_t **out, struct err *e)
{
	json_t *vms = NULL, *all, *vm;
	struct url u;
	size_t i;
	int ret;

	url_init(&u, vm_noun.base);
	ret = noun_list(s, &u, &vms, e);
	if (ret)
		return ret;
	all = json_array();
	json_array_foreach(vms, i, vm)
	{
		const char *name = json_string_value(json_object_get(vm, "name"));
		json_t *one = NULL;

		if (!name || !json_is_object(json_object_get(vm, "run")))
			continue;
		ret = stats_of(s, name, &one, e);
		/* It may have ended since. */
		if (ret == -ENOENT || ret == -EBUSY)
			ret = 0;
		else if (!ret && json_array_append_new(all, one))
			ret = err_set(e, -ENOMEM, "no memory for statistics");
		if (ret)
			break;
	}
	json_decref(vms);
	if (ret)
		json_decref(all);
	else
		*out = all;
	return ret;
}

static int add_one(struct session *s, const char *name, void *ctx, struct err *e)
{
	json_t *one = NULL;
	int ret = stats_of(s, name, &one, e);

	return ret ? ret : json_array_append_new(ctx, one);
}

int cmd_stats(const struct cmd *self, int argc, char **argv)
{
	json_t *all = NULL;
	struct session s;
	struct err e = { 0 };
	int ret, failed = 0;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret && !s.n_names) {
		ret = stats_running(&s, &all, &e);
	} else if (!ret) {
		all = json_array();
		failed = session_each(&s, add_one, all);
	}
	if (!ret)
		ret = output_list(&s.output, stdout, all, columns, ARRAY_SIZE(columns), &e);
	json_decref(all);
	return session_close(&s, ret ? ret : failed, &e);
}
