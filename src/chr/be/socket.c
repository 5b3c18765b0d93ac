/* SPDX-License-Identifier: MIT */
/*
 * A console on a Unix socket.
 *
 * Theory of operation: one peer at a time; a new one replaces the old. Output without a peer
 * vanishes and nothing is replayed. A peer that does not read fills its socket and then the
 * core's ring; what it left there when it goes is not shown to the next one.
 *
 * The path is made with mode 0600 and removed at close. A socket there that nobody serves any
 * more is taken over.
 */
#include "base/fd.h"
#include "base/log.h"
#include "chr/be/backends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_ROUND 4096u

struct sock {
	struct chr_backend base;
	struct loop *loop;
	int listener, peer; /* peer: -1 without one */
	struct loop_fd *listen_watch, *peer_watch;
	bool rx_on, want_write;
	struct sockaddr_un addr;
};

static void update(struct sock *s)
{
	if (s->peer_watch)
		loop_fd_mod(s->peer_watch,
			    (s->rx_on ? EPOLLIN : 0u) | (s->want_write ? EPOLLOUT : 0u));
}

static void drop_peer(struct sock *s)
{
	loop_fd_del(s->peer_watch);
	s->peer_watch = NULL;
	fd_close(&s->peer);
}

/* seccomp: loop,vcpu: read write sendto sendmsg recvfrom epoll_ctl close */
/* seccomp: loop: accept accept4 unlink fcntl */
static ssize_t sock_write(struct chr_backend *b, const void *buf, size_t len)
{
	struct sock *s = CONTAINER_OF(b, struct sock, base);
	ssize_t n;

	if (s->peer < 0)
		return (ssize_t)len;
	n = send(s->peer, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	/* Gone: its hang-up event closes it. Until then output vanishes. */
	return (ssize_t)len;
}

static void sock_want_write(struct chr_backend *b, bool on)
{
	struct sock *s = CONTAINER_OF(b, struct sock, base);

	s->want_write = on;
	update(s);
}

static void sock_rx_enable(struct chr_backend *b, bool on)
{
	struct sock *s = CONTAINER_OF(b, struct sock, base);

	s->rx_on = on;
	update(s);
}

static void on_peer(void *arg, int fd UNUSED, uint32_t events)
{
	struct sock *s = arg;
	uint8_t buf[READ_ROUND];
	ssize_t n;

	if ((events & EPOLLIN) && s->rx_on) {
		n = recv(s->peer, buf, MIN(sizeof(buf), chr_input_room(&s->base)), MSG_DONTWAIT);
		if (n > 0) {
			chr_input(&s->base, buf, (size_t)n);
			return;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		events |= EPOLLHUP;
	}
	if (events & (EPOLLHUP | EPOLLERR))
		drop_peer(s);
	if (s->want_write)
		chr_writable(&s->base);
}

static void on_connect(void *arg, int fd, uint32_t events UNUSED)
{
	struct sock *s = arg;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct err e = { 0 };

	if (peer < 0)
		return;
	drop_peer(s);
	/* What the old peer did not read vanishes: there is no peer at this moment. */
	chr_writable(&s->base);
	if (loop_fd_add(s->loop, peer, 0, on_peer, s, &s->peer_watch, &e)) {
		log_line(LOG_WARN, "chr", "%s: %s", s->addr.sun_path, e.msg);
		fd_close(&peer);
		return;
	}
	s->peer = peer;
	update(s);
}

static void sock_close(struct chr_backend *b)
{
	struct sock *s = CONTAINER_OF(b, struct sock, base);

	drop_peer(s);
	loop_fd_del(s->listen_watch);
	fd_close(&s->listener);
	/* In a sandbox this may be refused: then the next VM takes the stale socket over. */
	unlink(s->addr.sun_path);
	free(s);
}

static const struct chr_backend_ops sock_ops = {
	.name = "socket",
	.write = sock_write,
	.want_write = sock_want_write,
	.rx_enable = sock_rx_enable,
	.close = sock_close,
};

/* Make way at @addr: remove a socket that nobody serves; refuse anything else. */
static int make_way(const struct sockaddr_un *addr, struct err *e)
{
	FD_AUTO probe = -1;
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0)
		return 0; /* bind(2) has the last word */
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST,
			       "%s exists and is no socket; name another path for the console",
			       addr->sun_path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return err_set(e, -errno, "cannot make a socket: %s", strerror(errno));
	if (connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		return err_set(e, -EADDRINUSE,
			       "socket %s is in use by another program; name another path",
			       addr->sun_path);
	if (errno == ECONNREFUSED && unlink(addr->sun_path) < 0)
		return err_set(e, -errno, "cannot remove the stale socket %s: %s", addr->sun_path,
			       strerror(errno));
	return 0;
}

static int listen_at(const struct sockaddr_un *addr, struct err *e)
{
	FD_AUTO fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* unix(7): on Linux bind(2) gives the path the socket's own mode, so there is no moment
	 * at which others could connect. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 || listen(fd, 1) < 0)
		return err_set(e, -errno, "cannot listen on socket %s: %s", addr->sun_path,
			       strerror(errno));
	return fd_take(&fd);
}

int chr_socket_open(struct chr_backend **out, const char *path, struct loop *loop, struct err *e)
{
	struct sock *s;
	size_t len = strlen(path);
	int ret;

	if (!len || len >= sizeof(s->addr.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "socket path \"%s\" must have 1 to %zu bytes; name a shorter one",
			       path, sizeof(s->addr.sun_path) - 1);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "no memory for a console on %s", path);
	s->base.ops = &sock_ops;
	s->loop = loop;
	s->peer = -1;
	s->addr.sun_family = AF_UNIX;
	memcpy(s->addr.sun_path, path, len + 1);
	ret = make_way(&s->addr, e);
	if (ret)
		goto fail_path;
	s->listener = listen_at(&s->addr, e);
	ret = MIN(s->listener, 0);
	if (ret)
		goto fail_path;
	ret = loop_fd_add(loop, s->listener, EPOLLIN, on_connect, s, &s->listen_watch, e);
	if (ret)
		goto fail_watch;
	*out = &s->base;
	return 0;

fail_watch:
	fd_close(&s->listener);
	unlink(path);
fail_path:
	free(s);
	return ret;
}
