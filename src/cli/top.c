/* SPDX-License-Identifier: MIT */
/*
 * holm top: what VMs use, again and again.
 *
 * Theory of operation: each look takes the counters of all running VMs over one connection; rates
 * are the difference to the look before. On a terminal the table takes the screen's place and
 * keys sort it; elsewhere it is printed with an empty line between two looks.
 */
#include "base/clock.h"
#include "cli/stats.h"
#include "cli/text.h"
#include "cli/tty.h"
#include "cli/vm.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },	 { "CPU%", "rate.cpu", COLUMN_NUMBER },
	{ "MEMORY", "memory.rss", COLUMN_SIZE }, { "BALLOON", "memory.balloon", COLUMN_SIZE },
	{ "IO/s", "rate.io", COLUMN_SIZE },	 { "NET/s", "rate.net", COLUMN_SIZE },
	{ "CPU", "cpu_ns", COLUMN_NS },
};

/* In the order of --sort's values and of their keys. */
static const struct {
	char key;
	const char *name, *path;
} sorts[] = {
	{ 'c', "cpu", "rate.cpu" }, { 'm', "memory", "memory.rss" }, { 'i', "io", "rate.io" },
	{ 'o', "net", "rate.net" }, { 'n', "name", NULL },
};

struct top {
	struct session s;
	uint64_t interval_ms, count;
	size_t sort;
	json_t *last; /* name: counters of the look before */
	uint64_t last_ns;
	bool screen;
};

static int64_t sum(json_t *v, const char *a, const char *b)
{
	return json_integer_value(output_member(v, a)) + json_integer_value(output_member(v, b));
}

static int64_t per_second(int64_t now, int64_t before, uint64_t ns)
{
	return now > before ? (int64_t)((double)(now - before) * 1e9 / (double)ns) : 0;
}

/* Adds "rate" to one VM's counters. */
static void add_rates(json_t *vm, json_t *before, uint64_t ns)
{
	int64_t cpu = json_integer_value(output_member(vm, "cpu_ns"));
	int64_t io = sum(vm, "blk.read_bytes", "blk.write_bytes");
	int64_t net = sum(vm, "net.rx_bytes", "net.tx_bytes");

	if (!before || !ns)
		return;
	cpu = per_second(cpu, json_integer_value(output_member(before, "cpu_ns")), ns) / 10000000;
	io = per_second(io, sum(before, "blk.read_bytes", "blk.write_bytes"), ns);
	net = per_second(net, sum(before, "net.rx_bytes", "net.tx_bytes"), ns);
	json_object_set_new(vm, "rate",
			    json_pack("{s:I, s:I, s:I}", "cpu", (json_int_t)cpu, "io",
				      (json_int_t)io, "net", (json_int_t)net));
}

static int compare(const void *a, const void *b, void *ctx)
{
	json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	const char *path = ctx;
	const char *xn = json_string_value(json_object_get(x, "name"));
	const char *yn = json_string_value(json_object_get(y, "name"));

	if (path) {
		json_int_t xv = json_integer_value(output_member(x, path));
		json_int_t yv = json_integer_value(output_member(y, path));

		if (xv != yv)
			return xv < yv ? 1 : -1;
	}
	return strcmp(xn ? xn : "", yn ? yn : "");
}

/* A new array, sorted; NULL: no memory. */
static json_t *sorted(json_t *items, const char *path)
{
	size_t n = json_array_size(items);
	json_t **list = calloc(n + 1, sizeof(*list));
	json_t *out = list ? json_array() : NULL;

	for (size_t i = 0; list && i < n; i++)
		list[i] = json_array_get(items, i);
	if (out)
		qsort_r(list, n, sizeof(*list), compare, (void *)(uintptr_t)path);
	for (size_t i = 0; out && i < n; i++)
		json_array_append(out, list[i]);
	free(list);
	return out;
}

static int look(struct top *t, struct err *e)
{
	uint64_t now = clock_monotonic_ns();
	json_t *items = NULL, *ordered, *seen, *vm;
	size_t i;
	int ret = stats_running(&t->s, &items, e);

	if (ret)
		return ret;
	seen = json_object();
	json_array_foreach(items, i, vm)
	{
		const char *name = json_string_value(json_object_get(vm, "name"));

		add_rates(vm, json_object_get(t->last, name), now - t->last_ns);
		json_object_set(seen, name, vm);
	}
	json_decref(t->last);
	t->last = seen;
	t->last_ns = now;
	ordered = sorted(items, sorts[t->sort].path);
	json_decref(items);
	if (!ordered)
		return err_set(e, -ENOMEM, "no memory for a list");
	if (t->screen) {
		struct winsize w = { 0 };

		ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
		t->s.output.width = w.ws_col;
		t->s.output.max_rows = w.ws_row > 3 ? w.ws_row - 2u : 0;
		printf("\033[H\033[J%zu running, by %s (c m i o n sort, q ends)\n",
		       json_array_size(ordered), sorts[t->sort].name);
	}
	ret = output_list(&t->s.output, stdout, ordered, columns, ARRAY_SIZE(columns), e);
	if (!t->screen)
		putchar('\n');
	fflush(stdout);
	json_decref(ordered);
	return ret;
}

/* Until the next look is due: 1, or 0 to end. */
static int pause_for(struct top *t, struct tty *tty)
{
	uint64_t end = clock_monotonic_ns() + t->interval_ms * 1000000;

	for (;;) {
		uint64_t now = clock_monotonic_ns();
		struct pollfd p[] = {
			{ .fd = tty->signal_fd, .events = POLLIN },
			{ .fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN },
		};
		char key;

		if (now >= end || poll(p, 2, (int)((end - now) / 1000000 + 1)) == 0)
			return 1;
		if (p[0].revents)
			return 0;
		if (!p[1].revents)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q')
			return 0;
		for (size_t i = 0; i < ARRAY_SIZE(sorts); i++)
			if (key == sorts[i].key) {
				t->sort = i;
				return 1;
			}
	}
}

static int option(struct top *t, const struct cmd_option *opt, const char *value, struct err *e)
{
	char *end;

	if (!strcmp(opt->name, "interval")) {
		int ret = text_parse_ms(&t->interval_ms, "--interval", value, e);

		if (!ret && (t->interval_ms < 100 || t->interval_ms > 3600000))
			ret = err_set(e, -ERANGE, "--interval %s is not 100ms to 1h", value);
		return ret;
	}
	if (!strcmp(opt->name, "count")) {
		t->count = strtoull(value, &end, 10);
		if (*value < '0' || *value > '9' || *end || !t->count)
			return err_set(e, -EINVAL, "--count '%.80s' is no number above 0", value);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++)
		if (!strcmp(value, sorts[i].name)) {
			t->sort = i;
			return 0;
		}
	return err_set(e, -EINVAL, "--sort '%.80s' is none: use cpu, memory, io, net or name",
		       value);
}

static int run(struct top *t, struct err *e)
{
	struct tty tty;
	int ret;

	t->screen = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	ret = tty_set(&tty, t->screen ? TTY_KEYS : TTY_KEEP, e);
	if (ret)
		return ret;
	for (uint64_t i = 0; !ret && (!t->count || i < t->count); i++) {
		if (i && !pause_for(t, &tty))
			break;
		ret = look(t, e);
	}
	tty_restore(&tty);
	json_decref(t->last);
	return ret;
}

int cmd_top(const struct cmd *self, int argc, char **argv)
{
	struct top t = { .interval_ms = 2000 };
	const struct cmd_option *opt;
	const char *value;
	struct err e = { 0 };
	int ret;

	session_init(&t.s, self, argc, argv);
	while ((ret = session_next(&t.s, &opt, &value, &e)) > 0) {
		ret = option(&t, opt, value, &e);
		if (ret)
			break;
	}
	if (!ret)
		ret = session_want(&t.s, 0, 0, &e);
	if (!ret)
		ret = session_open(&t.s, &e);
	if (!ret)
		ret = run(&t, &e);
	return session_close(&t.s, ret, &e);
}
