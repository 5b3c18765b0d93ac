/* SPDX-License-Identifier: MIT */
/*
 * A pseudo-terminal of our own making.
 *
 * Theory of operation: we hold the other side open too, so the master never reports a hang-up
 * between two users; what nobody reads fills the terminal's queue and then the core's ring.
 */
#include "base/fd.h"
#include "chr/be/backends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#define READ_ROUND 4096u

struct pty {
	struct chr_backend base;
	int master, slave;
	struct loop_fd *watch;
	bool rx_on, want_write;
};

static void update(struct pty *p)
{
	loop_fd_mod(p->watch, (p->rx_on ? EPOLLIN : 0u) | (p->want_write ? EPOLLOUT : 0u));
}

/* seccomp: loop,vcpu: read write epoll_ctl poll */
static ssize_t pty_write(struct chr_backend *b, const void *buf, size_t len)
{
	ssize_t n = write(CONTAINER_OF(b, struct pty, base)->master, buf, len);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

static void pty_want_write(struct chr_backend *b, bool on)
{
	struct pty *p = CONTAINER_OF(b, struct pty, base);

	p->want_write = on;
	update(p);
}

static void pty_rx_enable(struct chr_backend *b, bool on)
{
	struct pty *p = CONTAINER_OF(b, struct pty, base);

	p->rx_on = on;
	update(p);
}

static void on_event(void *arg, int fd UNUSED, uint32_t events)
{
	struct pty *p = arg;
	uint8_t buf[READ_ROUND];

	if (events & EPOLLOUT)
		chr_writable(&p->base);
	if ((events & EPOLLIN) && p->rx_on) {
		ssize_t n = read(p->master, buf, MIN(sizeof(buf), chr_input_room(&p->base)));

		if (n > 0)
			chr_input(&p->base, buf, (size_t)n);
	}
}

static void pty_close(struct chr_backend *b)
{
	struct pty *p = CONTAINER_OF(b, struct pty, base);

	loop_fd_del(p->watch);
	fd_close(&p->slave);
	fd_close(&p->master);
	free(p);
}

static const struct chr_backend_ops pty_ops = {
	.name = "pty",
	.write = pty_write,
	.want_write = pty_want_write,
	.rx_enable = pty_rx_enable,
	.close = pty_close,
};

/* The other side, raw: bytes pass unchanged until its user sets a mode. */
static int open_slave(int master, char *path, size_t len)
{
	FD_AUTO fd = -1;
	struct termios t;
	int ret;

	if (grantpt(master) < 0 || unlockpt(master) < 0)
		return -errno;
	ret = ptsname_r(master, path, len);
	if (ret)
		return -ret;
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &t) < 0)
		return -errno;
	cfmakeraw(&t);
	if (tcsetattr(fd, TCSANOW, &t) < 0)
		return -errno;
	return fd_take(&fd);
}

int chr_pty_open(struct chr_backend **out, char **name, struct loop *loop, struct err *e)
{
	FD_AUTO master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	FD_AUTO slave = -1;
	MEM_AUTO struct pty *p = NULL;
	MEM_AUTO char *copy = NULL;
	char path[64];
	int ret;

	if (master < 0)
		return err_set(e, -errno,
			       "cannot make a pseudo-terminal: %s; check that /dev/pts is mounted",
			       strerror(errno));
	slave = open_slave(master, path, sizeof(path));
	if (slave < 0)
		return err_set(e, slave, "cannot set up a pseudo-terminal: %s", strerror(-slave));
	p = calloc(1, sizeof(*p));
	copy = strdup(path);
	if (!p || !copy)
		return err_set(e, -ENOMEM, "no memory for a pseudo-terminal");
	ret = loop_fd_add(loop, master, 0, on_event, p, &p->watch, e);
	if (ret)
		return ret;
	p->base.ops = &pty_ops;
	p->master = fd_take(&master);
	p->slave = fd_take(&slave);
	*out = &p->base;
	*name = copy;
	p = NULL;
	copy = NULL;
	return 0;
}
