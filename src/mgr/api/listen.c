/* SPDX-License-Identifier: MIT */
/*
 * The listening sockets of the HTTP transport, see http.h.
 *
 * Theory of operation: a Unix socket is made with mode 0600 and opened to its group only when
 * its owner is right. accept(2) that fails for lack of descriptors or memory would be reported
 * by the loop again and again: the listener then rests for a second.
 */
#include "mgr/api/http_internal.h"

#include "base/fd.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_ROUND   16
#define ACCEPT_REST_NS CLOCK_NS_PER_SEC
#define BACKLOG	       128
#define ACTIVATION_FD  3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

static void on_rested(void *arg)
{
	struct http_listener *l = arg;

	loop_fd_mod(l->watch, EPOLLIN);
}

static void on_connect(void *arg, int fd, uint32_t events UNUSED)
{
	struct http_listener *l = arg;
	struct http *h = l->daemon->http;
	const struct clock *clock = loop_clock(h->loop);

	for (unsigned i = 0; i < ACCEPT_ROUND; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t len = sizeof(from);
		struct err e = { 0 };
		int conn =
			accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (conn >= 0) {
			/* An unnamed Unix peer has no address but its family. */
			if (http_serve(l->daemon, conn, (struct sockaddr *)&from,
				       MAX(len, (socklen_t)sizeof(struct sockaddr)), &e))
				log_guest(&h->noise, "api", "%s", e.msg);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_guest(&h->noise, "api", "cannot accept a connection: %s",
				  strerror(errno));
			loop_fd_mod(l->watch, 0);
			loop_timer_arm(&l->pause, clock->mono_ns(clock) + ACCEPT_REST_NS);
		}
		return;
	}
}

/* Take @fd (also on failure where @owned). */
static int watch(struct http *h, unsigned which, struct http_daemon *d, int fd, bool owned,
		 struct err *e)
{
	struct http_listener *l = &h->listener[which];
	int ret;

	*l = (struct http_listener) { .daemon = d, .fd = fd, .owned = owned };
	loop_timer_init(&l->pause, h->loop, on_rested, l);
	ret = fd_set_nonblock(fd, 1);
	if (ret)
		return err_set(e, ret, "cannot use descriptor %d: %s", fd, strerror(-ret));
	return loop_fd_add(h->loop, fd, EPOLLIN, on_connect, l, &l->watch, e);
}

/* Remove a socket that nobody serves; refuse anything else. */
static int make_way(const struct sockaddr_un *addr, struct err *e)
{
	FD_AUTO probe = -1;
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0)
		return 0; /* bind(2) has the last word */
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "%s exists and is no socket; name another path",
			       addr->sun_path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return err_set(e, -errno, "cannot make a socket: %s", strerror(errno));
	if (!connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EAGAIN)
		return err_set(e, -EADDRINUSE,
			       "another holmd serves %s; stop it first, or name another path",
			       addr->sun_path);
	if (errno != ECONNREFUSED)
		return err_set(e, -errno, "cannot tell who serves %s: %s", addr->sun_path,
			       strerror(errno));
	if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		return err_set(e, -errno, "cannot remove the stale socket %s: %s", addr->sun_path,
			       strerror(errno));
	return 0;
}

static int listen_unix(struct http *h, const struct http_config *config, struct err *e)
{
	const char *path = config->socket_path;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	FD_AUTO fd = -1;
	int ret;

	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "socket path \"%s\" must have 1 to %zu bytes; name a shorter one",
			       path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	ret = make_way(&addr, e);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* unix(7): on Linux bind(2) gives the path the socket's own mode, so there is no moment
	 * at which others could connect. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(e, -errno, "cannot listen on socket %s: %s", path, strerror(errno));
	h->socket_path = strdup(path);
	if (!h->socket_path) {
		unlink(path);
		return err_set(e, -ENOMEM, "no memory for a socket's path");
	}
	if ((config->socket_gid != (gid_t)-1 && chown(path, (uid_t)-1, config->socket_gid) < 0) ||
	    (config->socket_mode && chmod(path, config->socket_mode) < 0) ||
	    listen(fd, BACKLOG) < 0)
		return err_set(e, -errno, "cannot give socket %s its group and mode: %s", path,
			       strerror(errno));
	return watch(h, HTTP_LISTEN_PATH, &h->plain, fd_take(&fd), true, e);
}

static int listen_tcp(struct http *h, const struct http_config *config, struct err *e)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	const int on = 1;
	FD_AUTO fd = -1;
	char port[8];
	int ret;

	snprintf(port, sizeof(port), "%u", config->tcp_port);
	ret = getaddrinfo(config->tcp_host, port, &hints, &found);
	if (ret)
		return err_set(e, -EINVAL, "cannot listen on \"%s\": %s", config->tcp_host,
			       gai_strerror(ret));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		ret = err_set(e, -errno, "cannot listen on %s port %s: %s", config->tcp_host, port,
			      strerror(errno));
	freeaddrinfo(found);
	return ret ? ret : watch(h, HTTP_LISTEN_TCP, &h->tls, fd_take(&fd), true, e);
}

static int listen_inherited(struct http *h, int fd, struct err *e)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	int on = 0;
	socklen_t on_len = sizeof(on);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &on_len) < 0 || !on ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0 || sa.ss_family != AF_UNIX)
		return err_set(e, -EINVAL,
			       "the inherited descriptor %d is no listening Unix socket", fd);
	return watch(h, HTTP_LISTEN_INHERITED, &h->plain, fd, false, e);
}

int http_listen(struct http *h, const struct http_config *config, struct err *e)
{
	int ret = 0;

	if (config->listen_fd >= 0)
		ret = listen_inherited(h, config->listen_fd, e);
	if (!ret && config->socket_path)
		ret = listen_unix(h, config, e);
	if (!ret && config->tcp_host)
		ret = listen_tcp(h, config, e);
	return ret;
}

void http_unlisten(struct http *h)
{
	for (unsigned i = 0; i < HTTP_LISTEN_COUNT; i++) {
		struct http_listener *l = &h->listener[i];

		loop_fd_del(l->watch);
		loop_timer_disarm(&l->pause);
		if (l->owned)
			fd_close(&l->fd);
		*l = (struct http_listener) { .fd = -1 };
	}
	if (h->socket_path)
		unlink(h->socket_path);
	free(h->socket_path);
	h->socket_path = NULL;
}

uint16_t http_tcp_port(const struct http *h)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	struct sockaddr_in in;
	int fd = h->listener[HTTP_LISTEN_TCP].fd;

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	/* The port lies at the same place in an address of IPv6. */
	static_assert(offsetof(struct sockaddr_in, sin_port) ==
			      offsetof(struct sockaddr_in6, sin6_port),
		      "ports of both families");
	memcpy(&in, &sa, sizeof(in));
	return ntohs(in.sin_port);
}

int http_inherited_fd(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");

	if (!pid || !fds || strtol(pid, NULL, 10) != getpid() || strtol(fds, NULL, 10) != 1)
		return -1;
	return ACTIVATION_FD;
}
