/* SPDX-License-Identifier: MIT */
/*
 * What every command that talks to the manager shares, see session.h.
 */
#include "cli/session.h"

#include <errno.h>
#include <string.h>

static const struct cmd_option connection[] = {
	{ .name = "host",
	  .arg = "https://HOST:PORT",
	  .help = "The manager of another host, with the token in $HOLM_TOKEN or --cert and "
		  "--key; $HOLM_HOST by default" },
	{ .name = "cert",
	  .arg = "FILE",
	  .help = "The user's certificate in PEM",
	  .values = "@file" },
	{ .name = "key", .arg = "FILE", .help = "Its private key in PEM", .values = "@file" },
	{ .name = "cacert",
	  .arg = "FILE",
	  .help = "The certificates that the manager's is checked against; the system's by default",
	  .values = "@file" },
};

static const struct cmd_option output[] = {
	{ .name = "format",
	  .arg = "table|json|csv",
	  .help = "How to print; table by default. CSV has plain numbers",
	  .values = "table json csv" },
	{ .name = "quiet", .letter = 'q', .help = "Print only names" },
	{ .name = "filter",
	  .arg = "KEY=VALUE",
	  .help = "Only what has this value; KEY is a column or a member like run.engine",
	  .repeat = true },
	{ .name = "no-header", .help = "Leave the line with the columns' titles out" },
};

static const struct cmd_option format[] = {
	{ .name = "format",
	  .arg = "table|json",
	  .help = "How to print; table by default, which for one object is lines",
	  .values = "table json" },
};

static const struct cmd_option wait[] = {
	{ .name = "no-wait", .help = "Do not wait until it is done" },
};

const struct cmd_options session_connection = { connection, ARRAY_SIZE(connection),
						"connection options" };
const struct cmd_options session_output = { output, ARRAY_SIZE(output), "output options" };
const struct cmd_options session_format = { format, ARRAY_SIZE(format), "format option" };
const struct cmd_options session_wait = { wait, ARRAY_SIZE(wait), "wait option" };

void session_init(struct session *s, const struct cmd *self, int argc, char **argv)
{
	*s = (struct session) { .opts = { .cmd = self, .argc = argc, .argv = argv },
				.names = argv };
}

static bool in_set(const struct cmd_option *opt, const struct cmd_options *set)
{
	return opt >= set->list && opt < set->list + set->n;
}

/* 1: it was one of the common options, 0: it was not. */
static int common(struct session *s, const struct cmd_option *opt, const char *value, struct err *e)
{
	int ret;

	if (in_set(opt, &session_connection)) {
		if (!strcmp(opt->name, "host"))
			s->target.host = value;
		else if (!strcmp(opt->name, "cert"))
			s->target.cert = value;
		else if (!strcmp(opt->name, "key"))
			s->target.key = value;
		else
			s->target.cacert = value;
		return 1;
	}
	if (in_set(opt, &session_wait)) {
		s->no_wait = true;
		return 1;
	}
	if (!in_set(opt, &session_output) && !in_set(opt, &session_format))
		return 0;
	ret = output_option(&s->output, opt->name, value, e);
	return ret ? ret : 1;
}

int session_next(struct session *s, const struct cmd_option **opt, const char **value,
		 struct err *e)
{
	int ret;

	while ((ret = opts_next(&s->opts, opt, value, e)) > 0) {
		if (!*opt) {
			/* In argv's front, where all arguments are read already. */
			s->names[s->n_names++] = s->opts.argv[s->opts.at - 1];
			continue;
		}
		ret = common(s, *opt, *value, e);
		if (ret < 0)
			return ret;
		if (!ret)
			return 1;
	}
	return ret;
}

int session_parse(struct session *s, struct err *e)
{
	const struct cmd_option *opt;
	const char *value;
	int ret = session_next(s, &opt, &value, e);

	assert(ret <= 0);
	return ret;
}

int session_want(const struct session *s, int min, int max, struct err *e)
{
	const struct cmd *c = s->opts.cmd;

	if (s->n_names >= min && (max < 0 || s->n_names <= max))
		return 0;
	if (s->n_names > max && max >= 0)
		return err_set(e, -EINVAL, "'%.80s' is one argument too many: write holm %s %s",
			       s->names[max], c->name, c->args ? c->args : "");
	return err_set(e, -EINVAL, "an argument is missing: write holm %s %s", c->name,
		       c->args ? c->args : "");
}

int session_open(struct session *s, struct err *e)
{
	return client_open(&s->client, &s->target, e);
}

int session_call(struct session *s, const char *method, const struct url *url, json_t *body,
		 json_t **out, struct err *e)
{
	const struct client_request r = { .method = method, .url = url, .body = body };

	return client_call(s->client, &r, out, NULL, e);
}

int session_close(struct session *s, int ret, const struct err *e)
{
	client_close(s->client);
	s->client = NULL;
	if (fflush(stdout) && !ret) {
		fprintf(stderr, "holm: cannot write the output: %s\n", strerror(errno));
		return HOLM_EXIT_RESOURCE;
	}
	if (!ret)
		return HOLM_EXIT_OK;
	if (e && e->msg[0])
		return cmd_fail(e);
	return (int)err_exit_code(ret);
}

int session_each(struct session *s, session_each_fn fn, void *ctx)
{
	int first = 0;

	for (int i = 0; i < s->n_names; i++) {
		struct err e = { 0 };
		int ret = fn(s, s->names[i], ctx, &e);

		if (!ret)
			continue;
		cmd_fail(&e);
		if (!first)
			first = ret;
	}
	return first;
}
