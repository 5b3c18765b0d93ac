/* SPDX-License-Identifier: MIT */
/*
 * Handlers whose answers go on: a VM's console and log, and events. docs/API.md.
 */
#include "mgr/api/handlers.h"

#include "base/fd.h"
#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/run/local.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONSOLE_PACKET	4096u
#define LOG_LOOK_NS	(250 * CLOCK_NS_PER_MS) /* between looks at a log that is followed */
#define EVENT_BACKLOG	(256u << 10)		/* bytes a listener may lag behind */
#define CONSOLE_WAIT_NS (5 * CLOCK_NS_PER_SEC)	/* for a console's first word */

/* A console: bytes both ways between the transport and the VM's console socket. */
struct console {
	struct api_stream stream; /* must be first */
	struct api_ctx *ctx;
	struct api_request *r; /* until the console has answered */
	int fd;
	struct loop_fd *watch;	/* NULL: hung up, what is left is read without it */
	struct loop_timer wait; /* for the answer */
	bool write_wanted;
	bool reads; /* its user may not type */
};

static void console_watch(struct console *c)
{
	if (c->watch)
		loop_fd_mod(c->watch, EPOLLIN | (c->write_wanted ? (uint32_t)EPOLLOUT : 0));
}

static ssize_t console_read(struct api_stream *s, void *buf, size_t len)
{
	struct console *c = CONTAINER_OF(s, struct console, stream);
	ssize_t n;

	if (len < CONSOLE_PACKET)
		return 0;
	n = recv(c->fd, buf, len, MSG_DONTWAIT);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		console_watch(c);
		return 0;
	}
	return -1;
}

static ssize_t console_write(struct api_stream *s, const void *buf, size_t len)
{
	struct console *c = CONTAINER_OF(s, struct console, stream);
	size_t at = 0;

	/* The VM's process knows it too, but it is not the one who says what users may. */
	if (c->reads)
		return -1;
	while (at < len) {
		ssize_t n = send(c->fd, (const char *)buf + at, MIN(len - at, CONSOLE_PACKET),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			c->write_wanted = true;
			console_watch(c);
			break;
		}
		if (n < 0)
			return -1;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

static void console_close(struct api_stream *s)
{
	struct console *c = CONTAINER_OF(s, struct console, stream);

	loop_timer_disarm(&c->wait);
	loop_fd_del(c->watch);
	fd_close(&c->fd);
	free(c);
}

static const struct api_stream_ops console_ops = {
	.read = console_read,
	.write = console_write,
	.close = console_close,
};

static void console_gone(struct api_request *r)
{
	console_close(&((struct console *)r->pending)->stream);
}

/* The console's word on whether it takes us. */
static void console_answered(struct console *c)
{
	char text[512];
	ssize_t n = recv(c->fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	struct api_request *r = c->r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->r = NULL;
	loop_timer_disarm(&c->wait);
	text[MAX(n, 0)] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (n >= 2 && !strncmp(text, "ok", 2)) {
		api_reply_websocket(r, &c->stream);
		return;
	}
	if (n <= 0)
		api_fail(r, API_INTERNAL, "the VM's console went away");
	else
		api_fail(r, API_CONFLICT, "%s", !strncmp(text, "error ", 6) ? text + 6 : text);
	console_close(&c->stream);
}

static void on_console(void *arg, int fd UNUSED, uint32_t events)
{
	struct console *c = arg;

	if (c->r) {
		console_answered(c);
		return;
	}
	/* The transport reads when it has room: until then do not be told again. */
	if (events & EPOLLOUT)
		c->write_wanted = false;
	if (events & (EPOLLHUP | EPOLLERR)) {
		/* That is told whatever one asks for, again and again. */
		loop_fd_del(c->watch);
		c->watch = NULL;
	} else {
		loop_fd_mod(c->watch, 0);
	}
	api_stream_wake(&c->stream);
}

/* A console that says nothing does not hold up whoever asked. */
static void on_silence(void *arg)
{
	struct console *c = arg;

	api_fail(c->r, API_TIMEOUT, "the VM's console does not answer");
	console_close(&c->stream);
}

static bool flag(const struct api_request *r, const char *name)
{
	const char *v = r->query(r, name);

	return v && !strcmp(v, "true");
}

static int console_open(struct console *c, const struct vm *vm, bool reads, bool force,
			struct err *e)
{
	char hello[64];
	int ret = runner_local_console(c->ctx->runner, vm->id, &c->fd, e);

	if (ret)
		return ret;
	snprintf(hello, sizeof(hello), "%s%s%s\n", reads ? "read" : "write", " replay",
		 force && !reads ? " force" : "");
	if (send(c->fd, hello, strlen(hello), MSG_NOSIGNAL) < 0)
		return err_set(e, -errno, "the VM's console does not answer: %s", strerror(errno));
	return loop_fd_add(c->ctx->loop, c->fd, EPOLLIN, on_console, c, &c->watch, e);
}

void h_console(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	const char *name = r->query(r, "vm"), *mode = r->query(r, "mode");
	bool reads = mode && !strcmp(mode, "read");
	struct vm *vm = name ? mgr_find(ctx->mgr, name) : NULL;
	struct console *c;
	struct err e = { 0 };

	if (!vm) {
		api_fail(r, API_NOT_FOUND, "there is no VM '%s'", name ? name : "");
		return;
	}
	if (!r->upgrade) {
		api_fail(r, API_BAD_REQUEST, "a console is a WebSocket: ask for an upgrade");
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		api_fail(r, API_NO_RESOURCE, "no memory for a console");
		return;
	}
	c->stream.ops = &console_ops;
	c->ctx = ctx;
	c->fd = -1;
	c->reads = reads;
	loop_timer_init(&c->wait, ctx->loop, on_silence, c);
	if (console_open(c, vm, reads, flag(r, "force"), &e)) {
		console_close(&c->stream);
		api_fail_err(r, &e);
		return;
	}
	c->r = r;
	loop_timer_arm(&c->wait, ctx->mgr->clock->mono_ns(ctx->mgr->clock) + CONSOLE_WAIT_NS);
	r->pending = c;
	r->cancel = console_gone;
}

/* A log: two files written in turn, the older first; then what comes. */
struct log {
	struct api_stream stream; /* must be first */
	int fd[2];
	unsigned at;  /* the file being read */
	uint64_t off; /* in it */
	bool follow;
	struct loop_timer look;
};

/* The writer went on in the other file: that one was emptied and is newer now. */
static bool turned(const struct log *l)
{
	struct stat here, there;

	if (l->fd[!l->at] < 0 || fstat(l->fd[l->at], &here) || fstat(l->fd[!l->at], &there))
		return false;
	return there.st_size && (there.st_mtim.tv_sec > here.st_mtim.tv_sec ||
				 (there.st_mtim.tv_sec == here.st_mtim.tv_sec &&
				  there.st_mtim.tv_nsec > here.st_mtim.tv_nsec));
}

static ssize_t log_read(struct api_stream *s, void *buf, size_t len)
{
	struct log *l = CONTAINER_OF(s, struct log, stream);

	for (unsigned tries = 0; tries < 2; tries++) {
		ssize_t n = l->fd[l->at] < 0 ? 0 : pread(l->fd[l->at], buf, len, (off_t)l->off);

		if (n > 0) {
			l->off += (uint64_t)n;
			return n;
		}
		if (!turned(l))
			break;
		l->at = !l->at;
		l->off = 0;
	}
	if (!l->follow)
		return -1;
	loop_timer_arm(&l->look, clock_monotonic_ns() + LOG_LOOK_NS);
	return 0;
}

static void log_close(struct api_stream *s)
{
	struct log *l = CONTAINER_OF(s, struct log, stream);

	loop_timer_disarm(&l->look);
	fd_close(&l->fd[0]);
	fd_close(&l->fd[1]);
	free(l);
}

static const struct api_stream_ops log_ops = { .read = log_read, .close = log_close };

static void on_look(void *arg)
{
	api_stream_wake(&((struct log *)arg)->stream);
}

void h_vm_log(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct vm *vm = mgr_find(ctx->mgr, arg[0]);
	struct err e = { 0 };
	struct log *l;

	if (!vm) {
		api_fail(r, API_NOT_FOUND, "there is no VM '%s'", arg[0]);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		api_fail(r, API_NO_RESOURCE, "no memory for the log");
		return;
	}
	l->stream.ops = &log_ops;
	l->follow = flag(r, "follow");
	loop_timer_init(&l->look, ctx->loop, on_look, l);
	if (runner_local_logs(ctx->runner, vm->id, l->fd, &e)) {
		free(l);
		api_fail_err(r, &e);
		return;
	}
	api_reply_stream(r, "text/plain; charset=utf-8", &l->stream, UINT64_MAX);
}

/* A listener to events. */
struct listener {
	struct api_ctx *ctx;
	struct api_queue *queue;
	struct event_listener el;
	struct identity who; /* as the context had it when the request came */
};

static bool may_hear(const struct listener *l, const struct event *ev)
{
	return ctx_role(l->ctx, &l->who, ev->project[0] ? ev->project : NULL) >= ROLE_VIEWER;
}

static bool push(struct listener *l, const struct event *ev)
{
	char head[80];
	int n = snprintf(head, sizeof(head), "id: %" PRIu64 "\nevent: %s\ndata: ", ev->seq,
			 ev->type);

	if (!ev->text || !may_hear(l, ev))
		return true;
	return api_queue_push(l->queue, head, (size_t)n) &&
	       api_queue_push(l->queue, ev->text, strlen(ev->text)) &&
	       api_queue_push(l->queue, "\n\n", 2);
}

static void on_event(void *arg, const struct event *ev)
{
	push(arg, ev);
}

static void on_closed(void *arg)
{
	struct listener *l = arg;

	event_unlisten(&l->ctx->mgr->events, &l->el);
	free(l);
}

void h_events(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	struct listener *l;
	struct err e = { 0 };
	uint64_t since;

	if (!ctx_number(r, "since", ctx->mgr->events.next_seq, INT64_MAX, &since))
		return;
	l = calloc(1, sizeof(*l));
	if (!l || api_queue_create(&l->queue, EVENT_BACKLOG, on_closed, l, &e)) {
		free(l);
		api_fail(r, API_NO_RESOURCE, "no memory for a listener");
		return;
	}
	l->ctx = ctx;
	l->who = ctx->who;
	l->el = (struct event_listener) { .fn = on_event, .ctx = l };
	event_listen(&ctx->mgr->events, &l->el);
	api_queue_push(l->queue, ": holm\n\n", 8);
	for (const struct event *ev = event_since(&ctx->mgr->events, since); ev;
	     ev = event_since(&ctx->mgr->events, ev->seq))
		if (!push(l, ev))
			break;
	api_reply_stream(r, "text/event-stream", api_queue_stream(l->queue), UINT64_MAX);
}
