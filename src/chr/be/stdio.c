/* SPDX-License-Identifier: MIT */
/*
 * The standard streams as a console.
 *
 * Theory of operation: standard input and output are shared with the shell and other programs, so
 * their open file descriptions are never made non-blocking; where possible they are opened anew
 * through /proc/self/fd with O_NONBLOCK (not for regular files, whose offset is shared on
 * purpose). Where that is refused, poll(2) guards each small read and write.
 *
 * A raw terminal is always read, even while the guest takes nothing, so that the escape works on
 * a guest that hangs; what is typed waits in `typed`, and what overflows that is lost. Any other
 * input is read only as fast as the guest takes it. The end of input stops reading, not the VM.
 *
 * Invariants: `saved` describes the terminal exactly while saved.state is SAVED_RAW; one stdio
 * back end at a time.
 *
 * Limits: SIGPIPE must be ignored by the process (holm-vmm does), else a closed pipe on standard
 * output ends it.
 */
#include "base/fd.h"
#include "chr/be/backends.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE	    0x1d /* Ctrl-] */
#define TYPED_MAX   4096u
#define GUARDED_MAX 256 /* a terminal that polls writable takes this much */
#define READ_ROUND  4096u

enum saved_state { SAVED_NONE, SAVED_RAW };

/* What a signal handler needs to put the terminal back; on tools/globals.allow. */
static struct {
	atomic_int state;
	int fd;
	struct termios term;
} saved;

/* One of the two streams. */
struct stream {
	int fd;
	bool own;	       /* opened anew: ours to close */
	bool guarded;	       /* may block: poll(2) before each call */
	struct loop_fd *watch; /* NULL: not pollable (a regular file, /dev/null) or closed */
};

struct stdio {
	struct chr_backend base;
	struct chr_stdio_config cfg;
	struct stream in, out;
	struct loop_call pump; /* deliver input from the loop */
	bool rx_on, eof, raw;
	bool escaped; /* Ctrl-] was the last byte */
	size_t n_typed;
	uint8_t typed[TYPED_MAX];
};

void chr_stdio_restore(void)
{
	int saved_errno = errno, raw = SAVED_RAW;
	sigset_t stop, old;

	if (!atomic_compare_exchange_strong(&saved.state, &raw, SAVED_NONE))
		return;
	/* A process in the background would be stopped by its own tcsetattr(3). */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &stop, &old);
	tcsetattr(saved.fd, TCSANOW, &saved.term);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved_errno;
}

static int make_raw(struct err *e)
{
	struct termios t;

	if (atomic_load(&saved.state) != SAVED_NONE)
		return err_set(e, -EBUSY,
			       "the terminal serves as a console already; name stdio once");
	if (tcgetattr(STDIN_FILENO, &saved.term) < 0)
		return err_set(e, -errno, "cannot read the terminal's mode: %s", strerror(errno));
	saved.fd = STDIN_FILENO;
	t = saved.term;
	cfmakeraw(&t);
	/* Our own lines on the same terminal keep their carriage returns. */
	t.c_oflag |= OPOST;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	atomic_store(&saved.state, SAVED_RAW);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &t) < 0) {
		atomic_store(&saved.state, SAVED_NONE);
		return err_set(e, -errno, "cannot put the terminal into raw mode: %s",
			       strerror(errno));
	}
	return 0;
}

static void stream_open(struct stream *s, int fd, int mode)
{
	char path[32];
	struct stat st;

	*s = (struct stream) { .fd = fd };
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s->fd = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	s->own = s->fd >= 0;
	s->guarded = !s->own;
	if (!s->own)
		s->fd = fd;
}

static void stream_close(struct stream *s)
{
	loop_fd_del(s->watch);
	s->watch = NULL;
	if (s->own)
		fd_close(&s->fd);
	s->fd = -1;
}

/* Whether a call of at most GUARDED_MAX bytes would not block. */
static bool ready(const struct stream *s, short event)
{
	struct pollfd p = { .fd = s->fd, .events = event };

	return !s->guarded || (poll(&p, 1, 0) == 1 && (p.revents & (event | POLLHUP | POLLERR)));
}

/* seccomp: loop,vcpu: read write poll epoll_ctl ioctl fcntl */
static ssize_t stdio_write(struct chr_backend *b, const void *buf, size_t len)
{
	struct stdio *s = CONTAINER_OF(b, struct stdio, base);
	ssize_t n;

	if (s->out.fd < 0)
		return -EPIPE;
	if (!ready(&s->out, POLLOUT))
		return 0;
	n = write(s->out.fd, buf, s->out.guarded ? MIN(len, (size_t)GUARDED_MAX) : len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

static void on_output(void *arg, int fd UNUSED, uint32_t events)
{
	struct stdio *s = arg;

	/* Nobody reads any more: without this the hang-up would wake us for ever. */
	if ((events & (EPOLLERR | EPOLLHUP)) && !(events & EPOLLOUT))
		stream_close(&s->out);
	chr_writable(&s->base);
}

static void stdio_want_write(struct chr_backend *b, bool on)
{
	struct stdio *s = CONTAINER_OF(b, struct stdio, base);

	if (s->out.watch)
		loop_fd_mod(s->out.watch, on ? EPOLLOUT : 0);
}

/* Take the escape sequences out of @buf; returns the bytes left for the guest. */
static size_t filter(struct stdio *s, const uint8_t *buf, size_t len, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (!s->escaped && buf[i] == ESCAPE) {
			s->escaped = true;
			continue;
		}
		if (s->escaped && buf[i] == 'q' && s->cfg.quit)
			s->cfg.quit(s->cfg.quit_ctx);
		else if (s->escaped && buf[i] != ESCAPE)
			out[n++] = ESCAPE;
		if (!s->escaped || buf[i] != 'q' || !s->cfg.quit)
			out[n++] = buf[i];
		s->escaped = false;
	}
	return n;
}

static void end_of_input(struct stdio *s)
{
	s->eof = true;
	loop_fd_del(s->in.watch);
	s->in.watch = NULL;
}

/* Read once into @buf: bytes, 0 for "nothing now"; notes the end of input. */
static size_t read_some(struct stdio *s, uint8_t *buf, size_t max)
{
	ssize_t n;

	if (s->eof || !max || !ready(&s->in, POLLIN))
		return 0;
	n = read(s->in.fd, buf, max);
	if (n > 0)
		return (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end_of_input(s);
	return 0;
}

static void deliver_typed(struct stdio *s)
{
	size_t n = s->rx_on ? MIN(s->n_typed, chr_input_room(&s->base)) : 0;
	uint8_t piece[TYPED_MAX];

	if (!n)
		return;
	/* Out of the buffer first: the client may call back. */
	memcpy(piece, s->typed, n);
	s->n_typed -= n;
	memmove(s->typed, s->typed + n, s->n_typed);
	chr_input(&s->base, piece, n);
}

static void read_terminal(struct stdio *s)
{
	uint8_t in[TYPED_MAX], out[2 * TYPED_MAX];
	size_t n = filter(s, in, read_some(s, in, sizeof(in)), out);

	n = MIN(n, sizeof(s->typed) - s->n_typed);
	memcpy(s->typed + s->n_typed, out, n);
	s->n_typed += n;
}

static void read_stream(struct stdio *s)
{
	uint8_t buf[READ_ROUND];
	size_t n;

	if (!s->rx_on)
		return;
	n = read_some(s, buf, MIN(sizeof(buf), chr_input_room(&s->base)));
	chr_input(&s->base, buf, n);
}

static void pump(void *arg)
{
	struct stdio *s = arg;

	if (s->raw) {
		deliver_typed(s);
		return;
	}
	read_stream(s);
	/* Regular files are always readable and cannot be watched. */
	if (!s->in.watch && !s->eof && s->rx_on)
		loop_call_schedule(&s->pump);
}

static void on_input(void *arg, int fd UNUSED, uint32_t events)
{
	struct stdio *s = arg;

	if (s->raw) {
		read_terminal(s);
		deliver_typed(s);
	} else {
		read_stream(s);
	}
	/* A hang-up is reported whether we ask or not: do not let it spin while rx is off. */
	if (!s->eof && !s->raw && !s->rx_on && (events & (EPOLLHUP | EPOLLERR))) {
		loop_fd_del(s->in.watch);
		s->in.watch = NULL;
	}
}

static void stdio_rx_enable(struct chr_backend *b, bool on)
{
	struct stdio *s = CONTAINER_OF(b, struct stdio, base);

	s->rx_on = on;
	if (s->in.watch && !s->raw)
		loop_fd_mod(s->in.watch, on ? EPOLLIN : 0);
	if (on && (s->raw || !s->in.watch))
		loop_call_schedule(&s->pump);
}

static void stdio_close(struct chr_backend *b)
{
	struct stdio *s = CONTAINER_OF(b, struct stdio, base);

	loop_call_cancel(&s->pump);
	stream_close(&s->in);
	stream_close(&s->out);
	if (s->raw)
		chr_stdio_restore();
	free(s);
}

static const struct chr_backend_ops stdio_ops = {
	.name = "stdio",
	.write = stdio_write,
	.want_write = stdio_want_write,
	.rx_enable = stdio_rx_enable,
	.close = stdio_close,
};

/* Watch @s unless it cannot be watched; such streams never block. */
static int watch(struct stdio *s, struct stream *st, uint32_t events, loop_fd_fn fn,
		 struct loop *loop, struct err *e)
{
	int ret = loop_fd_add(loop, st->fd, events, fn, s, &st->watch, e);

	return ret == -EPERM ? 0 : ret;
}

int chr_stdio_open(struct chr_backend **out, const struct chr_stdio_config *cfg, struct loop *loop,
		   struct err *e)
{
	struct stdio *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return err_set(e, -ENOMEM, "no memory for the console on standard input");
	*s = (struct stdio) { .base.ops = &stdio_ops, .cfg = *cfg };
	s->raw = cfg->raw && isatty(STDIN_FILENO);
	loop_call_init(&s->pump, loop, pump, s);
	stream_open(&s->in, STDIN_FILENO, O_RDONLY);
	stream_open(&s->out, STDOUT_FILENO, O_WRONLY);
	/* A closed standard input is one at its end. */
	s->eof = fcntl(STDIN_FILENO, F_GETFD) < 0;
	if (!s->eof) {
		ret = watch(s, &s->in, s->raw ? EPOLLIN : 0, on_input, loop, e);
		if (ret)
			goto fail;
	}
	if (fcntl(STDOUT_FILENO, F_GETFD) >= 0) {
		ret = watch(s, &s->out, 0, on_output, loop, e);
		if (ret)
			goto fail;
	}
	if (s->raw) {
		ret = make_raw(e);
		if (ret)
			goto fail;
	}
	*out = &s->base;
	return 0;

fail:
	stream_close(&s->in);
	stream_close(&s->out);
	free(s);
	return ret;
}
