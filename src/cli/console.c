/* SPDX-License-Identifier: MIT */
/*
 * holm console: this terminal on a VM's console, over a WebSocket.
 *
 * Theory of operation: one poll loop between the terminal, the socket and signals. The terminal
 * is raw and given back at the end, whatever the end is: signals come through a descriptor, and
 * a guard process (guard.h) stays behind for those that cannot be caught.
 */
#include "base/fd.h"
#include "cli/guard.h"
#include "cli/tty.h"
#include "cli/vm.h"
#include "cli/websocket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define ESCAPE 0x1d /* Ctrl-] */

struct console {
	struct websocket *ws;
	bool read_only, input; /* standard input is still read */
	bool escaped;	       /* Ctrl-] was the last key */
	bool terminal;	       /* standard input is one: the escape counts */
	int out_failed;	       /* -errno of standard output */
	int signal;	       /* that ended it */
};

static void on_output(void *ctx, const void *data, size_t len)
{
	struct console *c = ctx;

	if (!c->out_failed)
		c->out_failed = fd_write_full(STDOUT_FILENO, data, len);
}

/* Takes the escape out of @buf; returns how much is left, *@detach when it said so. */
static size_t keys(struct console *c, unsigned char *buf, size_t len, unsigned char *out,
		   bool *detach)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (c->terminal && !c->escaped && buf[i] == ESCAPE) {
			c->escaped = true;
			continue;
		}
		if (c->escaped && (buf[i] == 'd' || buf[i] == 'q')) {
			*detach = true;
			return n;
		}
		if (c->escaped && buf[i] != ESCAPE)
			out[n++] = ESCAPE;
		out[n++] = buf[i];
		c->escaped = false;
	}
	return n;
}

/* 1: go on, 0: detached. */
static int on_input(struct console *c, struct err *e)
{
	unsigned char in[4096], out[2 * sizeof(in)];
	bool detach = false;
	ssize_t n = read(STDIN_FILENO, in, sizeof(in));
	size_t len;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0) {
		c->input = false;
		return 1;
	}
	len = keys(c, in, (size_t)n, out, &detach);
	if (len && websocket_send(c->ws, out, len))
		return err_set(e, -ENOMEM, "no memory for input");
	return !detach;
}

static int loop(struct console *c, struct tty *t, struct err *e)
{
	int ret;

	/* First what came together with the handshake. */
	while ((ret = websocket_process(c->ws, e)) > 0) {
		bool room = !websocket_full(c->ws);
		struct pollfd p[] = {
			{ .fd = websocket_fd(c->ws), .events = websocket_events(c->ws) },
			{ .fd = t->signal_fd, .events = POLLIN },
			{ .fd = c->input && room ? STDIN_FILENO : -1, .events = POLLIN },
		};

		if (c->out_failed)
			return err_set(e, c->out_failed, "cannot write the console's output: %s",
				       strerror(-c->out_failed));
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return err_set(e, -errno, "cannot wait for input: %s", strerror(errno));
		if (p[1].revents) {
			c->signal = tty_signal(t);
			return 0;
		}
		if (p[2].revents) {
			ret = on_input(c, e);
			if (ret <= 0)
				break;
		}
	}
	return ret;
}

static int attach(struct session *s, struct console *c, const struct url *u, struct err *e)
{
	struct tty t;
	int ret = websocket_open(&c->ws, s->client, u, on_output, c, e);

	if (ret)
		return ret;
	c->terminal = !c->read_only && isatty(STDIN_FILENO);
	if (c->terminal)
		fprintf(stderr, "attached to %s; Ctrl-] d detaches\n", s->names[0]);
	ret = tty_set(&t, c->read_only ? TTY_KEEP : TTY_RAW, e);
	if (!ret) {
		ret = loop(c, &t, e);
		websocket_bye(c->ws);
		tty_restore(&t);
		if (c->terminal)
			fprintf(stderr, "\ndetached from %s\n", s->names[0]);
	}
	websocket_close(c->ws);
	return ret;
}

static int parse(struct session *s, struct console *c, struct url *u, struct err *e)
{
	const struct cmd_option *opt;
	const char *value;
	bool force = false;
	int ret;

	while ((ret = session_next(s, &opt, &value, e)) > 0) {
		c->read_only |= !strcmp(opt->name, "read");
		force |= !strcmp(opt->name, "force");
	}
	if (!ret)
		ret = session_want(s, 1, 1, e);
	if (ret)
		return ret;
	url_init(u, "/v1/console");
	url_query(u, "vm", s->names[0]);
	url_query(u, "mode", c->read_only ? "read" : NULL);
	url_query(u, "force", force ? "true" : NULL);
	c->input = !c->read_only;
	return 0;
}

int cmd_console(const struct cmd *self, int argc, char **argv)
{
	struct console c = { 0 };
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	ret = parse(&s, &c, &u, &e);
	if (!ret && !c.read_only)
		ret = guard_terminal("the console", &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = attach(&s, &c, &u, &e);
	ret = session_close(&s, ret, &e);
	return c.signal ? HOLM_EXIT_KILLED : ret;
}
