/* SPDX-License-Identifier: MIT */
/*
 * Output appended to a file; and the back end whose output vanishes.
 *
 * Limits: writing to a regular file is synchronous; the page cache makes that short. A FIFO or
 * a terminal named as the file is written without blocking.
 */
#include "base/fd.h"
#include "chr/be/backends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct file {
	struct chr_backend base;
	int fd;
	struct loop_fd *watch; /* NULL: a regular file, which always takes */
};

/* seccomp: loop,vcpu: write */
static ssize_t file_write(struct chr_backend *b, const void *buf, size_t len)
{
	struct file *f = CONTAINER_OF(b, struct file, base);
	ssize_t n;

	do
		n = write(f->fd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

static void on_writable(void *arg, int fd UNUSED, uint32_t events)
{
	struct file *f = arg;

	/* A FIFO without a reader: stop watching, writes fail and are dropped. */
	if (!(events & EPOLLOUT)) {
		loop_fd_del(f->watch);
		f->watch = NULL;
	}
	chr_writable(&f->base);
}

static void file_want_write(struct chr_backend *b, bool on)
{
	struct file *f = CONTAINER_OF(b, struct file, base);

	if (f->watch)
		loop_fd_mod(f->watch, on ? EPOLLOUT : 0);
}

static void no_rx(struct chr_backend *b UNUSED, bool on UNUSED)
{
}

static void file_close(struct chr_backend *b)
{
	struct file *f = CONTAINER_OF(b, struct file, base);

	loop_fd_del(f->watch);
	fd_close(&f->fd);
	free(f);
}

static const struct chr_backend_ops file_ops = {
	.name = "file",
	.write = file_write,
	.want_write = file_want_write,
	.rx_enable = no_rx,
	.close = file_close,
};

int chr_file_open(struct chr_backend **out, const char *path, struct loop *loop, struct err *e)
{
	FD_AUTO fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	struct file *f;
	int ret;

	if (fd < 0 && errno == ENXIO)
		return err_set(e, -ENXIO,
			       "nobody reads the FIFO %s; start its reader first, or name a file",
			       path);
	if (fd < 0)
		return err_set(
			e, -errno,
			"cannot open %s for console output: %s; name a file that can be written",
			path, strerror(errno));
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(e, -ENOMEM, "no memory for console output to %s", path);
	f->base.ops = &file_ops;
	f->fd = fd;
	ret = loop_fd_add(loop, fd, 0, on_writable, f, &f->watch, e);
	if (ret && ret != -EPERM) {
		free(f);
		return ret;
	}
	fd_take(&fd);
	*out = &f->base;
	return 0;
}

static ssize_t null_write(struct chr_backend *b UNUSED, const void *buf UNUSED, size_t len)
{
	return (ssize_t)len;
}

static void null_want_write(struct chr_backend *b UNUSED, bool on UNUSED)
{
}

static void null_close(struct chr_backend *b)
{
	free(b);
}

static const struct chr_backend_ops null_ops = {
	.name = "null",
	.write = null_write,
	.want_write = null_want_write,
	.rx_enable = no_rx,
	.close = null_close,
};

int chr_null_open(struct chr_backend **out, struct err *e)
{
	struct chr_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, -ENOMEM, "no memory for a character stream");
	b->ops = &null_ops;
	*out = b;
	return 0;
}
