/* SPDX-License-Identifier: MIT */
/*
 * holm logs: what a VM wrote on its console.
 *
 * The guest wrote it, so on a terminal its control characters are replaced; a file or pipe gets
 * the bytes as they are.
 */
#include "base/fd.h"
#include "cli/text.h"
#include "cli/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct logs {
	bool clean;
	char rest[4]; /* a character whose end has not come yet */
	size_t n_rest;
};

/* How many bytes at the end begin a character of UTF-8 that is not whole. */
static size_t unfinished(const char *data, size_t len)
{
	for (size_t back = 1; back <= 3 && back <= len; back++) {
		unsigned char c = (unsigned char)data[len - back];

		if ((c & 0xc0) == 0x80)
			continue;
		return c >= 0xc0 && back < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) ? back : 0;
	}
	return 0;
}

static int put(const char *data, size_t len, struct err *e)
{
	int ret = fd_write_full(STDOUT_FILENO, data, len);

	return ret ? err_set(e, ret, "cannot write the log: %s", strerror(-ret)) : 0;
}

static int on_log(void *ctx, const char *data, size_t len, struct err *e)
{
	struct logs *l = ctx;
	MEM_AUTO char *joined = NULL, *clean = NULL;
	size_t total = l->n_rest + len;

	if (!l->clean)
		return put(data, len, e);
	joined = malloc(total + 1);
	if (!joined)
		return err_set(e, -ENOMEM, "no memory for the log");
	memcpy(joined, l->rest, l->n_rest);
	memcpy(joined + l->n_rest, data, len);
	l->n_rest = unfinished(joined, total);
	memcpy(l->rest, joined + total - l->n_rest, l->n_rest);
	/* A line of a terminal ends in "\r\n"; ours needs no '\r'. */
	for (size_t i = total = total - l->n_rest; i-- > 0;)
		if (joined[i] == '\r') {
			memmove(joined + i, joined + i + 1, total - i - 1);
			total--;
		}
	clean = text_clean(joined, total, "\n\t");
	if (!clean)
		return err_set(e, -ENOMEM, "no memory for the log");
	return put(clean, strlen(clean), e);
}

int cmd_logs(const struct cmd *self, int argc, char **argv)
{
	struct logs l = { .clean = isatty(STDOUT_FILENO) };
	const struct cmd_option *opt;
	const char *value;
	bool follow = false;
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	while ((ret = session_next(&s, &opt, &value, &e)) > 0) {
		if (!strcmp(opt->name, "follow"))
			follow = true;
		else
			l.clean = false;
	}
	if (!ret)
		ret = session_want(&s, 1, 1, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret) {
		const struct client_request r = {
			.method = "GET", .url = &u, .sink = on_log, .ctx = &l
		};

		noun_url(&u, &vm_noun, s.names[0]);
		url_add(&u, "log");
		url_query(&u, "follow", follow ? "true" : NULL);
		ret = client_call(s.client, &r, NULL, NULL, &e);
	}
	return session_close(&s, ret, &e);
}
