/* SPDX-License-Identifier: MIT */
/*
 * Raw images and block devices: opening, locking and the steps of a request; see raw.h and
 * raw_internal.h.
 *
 * Invariants: the descriptor is blocking (io_uring hands -EAGAIN to non-blocking ones instead of
 * waiting); an OFD lock over the whole file is held while the provider lives.
 *
 * Limits: the size is read once; a file that shrinks beneath a VM gives -EIO.
 */
#include "blk/fmt/raw_internal.h"

#include "base/fd.h"
#include "base/hostfile.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAW_RETRIES 100u

/* blk_req.priv while it is ours. */
enum { PRIV_DONE, PRIV_WRITE_ZEROES, PRIV_RETRIES };

void raw_begin(struct blk_req *r)
{
	r->priv[PRIV_DONE] = 0;
	r->priv[PRIV_WRITE_ZEROES] = 0;
	r->priv[PRIV_RETRIES] = 0;
}

/* A transfer from where the last one ended: the rest of a begun iovec, or all that follow. */
static void step_transfer(const struct blk_req *r, struct raw_step *s)
{
	uint64_t skip = r->priv[PRIV_DONE];
	unsigned i = 0;
	bool write = r->op == BLK_OP_WRITE;

	s->off = r->off + skip;
	while (skip >= r->iov[i].iov_len) {
		skip -= r->iov[i].iov_len;
		i++;
	}
	if (skip || r->n_iov - i == 1) {
		s->call = write ? RAW_WRITE : RAW_READ;
		s->buf = (uint8_t *)r->iov[i].iov_base + skip;
		s->len = MIN(r->iov[i].iov_len - skip, (size_t)INT_MAX & ~(size_t)4095);
		return;
	}
	s->call = write ? RAW_WRITEV : RAW_READV;
	s->iov = r->iov + i;
	s->n_iov = MIN(r->n_iov - i, (unsigned)IOV_MAX);
}

void raw_step(const struct raw *d, const struct blk_req *r, struct raw_step *s)
{
	*s = (struct raw_step) { .off = r->off, .range = r->len };
	switch (r->op) {
	case BLK_OP_READ:
	case BLK_OP_WRITE:
		step_transfer(r, s);
		return;
	case BLK_OP_DISCARD:
		s->call = RAW_FALLOCATE;
		s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		return;
	case BLK_OP_WRITE_ZEROES:
		if (r->priv[PRIV_WRITE_ZEROES]) {
			s->call = RAW_WRITE;
			s->off = r->off + r->priv[PRIV_DONE];
			s->buf = d->zeroes;
			s->len = MIN(r->len - r->priv[PRIV_DONE], (uint64_t)RAW_ZEROES);
			return;
		}
		s->call = RAW_FALLOCATE;
		/* A hole reads as zeroes too and gives the blocks back. */
		s->mode = FALLOC_FL_KEEP_SIZE |
			  (r->unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
		return;
	case BLK_OP_FLUSH:
	case BLK_OP_COUNT:
		break;
	}
	s->call = RAW_DATASYNC;
}

/* Bytes moved: finished at the request's length; nothing moved means a file that shrank. */
static bool moved(struct blk_req *r, long res, int *ret)
{
	r->priv[PRIV_RETRIES] = 0;
	r->priv[PRIV_DONE] += (uint64_t)res;
	*ret = res ? 0 : -EIO;
	return !res || r->priv[PRIV_DONE] >= r->len;
}

/* fallocate(2)'s answers of filesystems and devices that cannot, or not at this alignment. */
static bool cannot(long res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -EINVAL || res == -ENODEV;
}

bool raw_step_done(struct blk_req *r, long res, int *ret)
{
	if ((res == -EINTR || res == -EAGAIN) && r->priv[PRIV_RETRIES]++ < RAW_RETRIES)
		return false;
	if (res >= 0 && (r->op == BLK_OP_READ || r->op == BLK_OP_WRITE ||
			 (r->op == BLK_OP_WRITE_ZEROES && r->priv[PRIV_WRITE_ZEROES])))
		return moved(r, res, ret);
	if (r->op == BLK_OP_WRITE_ZEROES && !r->priv[PRIV_WRITE_ZEROES] && cannot(res)) {
		r->priv[PRIV_WRITE_ZEROES] = 1;
		return false;
	}
	/* A discard is only advice. */
	if (r->op == BLK_OP_DISCARD && cannot(res))
		res = 0;
	*ret = (int)MIN(res, 0L);
	return true;
}

static void raw_info(struct blk_backend *b, struct blk_info *out)
{
	*out = CONTAINER_OF(b, struct raw, base)->info;
}

static void raw_submit(struct blk_backend *b, struct blk_req *r)
{
	struct raw *d = CONTAINER_OF(b, struct raw, base);

	raw_begin(r);
	d->engine->submit(d, r);
}

static void raw_close(struct blk_backend *b)
{
	struct raw *d = CONTAINER_OF(b, struct raw, base);

	d->engine->close(d);
	fd_close(&d->fd);
	free(d->zeroes);
	free(d);
}

static const struct blk_backend_ops raw_ops = {
	.name = "raw",
	.info = raw_info,
	.submit = raw_submit,
	.close = raw_close,
};

/* Size and block size of @fd into @info, or the sentence that says why not. */
static int inspect(int fd, const char *path, bool read_only, struct blk_info *info, struct err *e)
{
	struct stat st;
	int fl = fcntl(fd, F_GETFL), sector = 0;
	off_t size;

	if (fl < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot look at disk image %s: %s", path,
			       strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR,
			       "disk image %s is a directory; name a file or a block device", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(
			e, -EISDIR,
			"disk image %s is neither a regular file nor a block device; name one",
			path);
	if (!read_only && (fl & O_ACCMODE) != O_RDWR)
		return err_set(e, -EACCES,
			       "disk image %s is not open for writing; add readonly or open it so",
			       path);
	size = lseek(fd, 0, SEEK_END);
	if (size < 0)
		return err_set(e, -errno, "cannot find the size of disk image %s: %s", path,
			       strerror(errno));
	if (size == 0)
		return err_set(e, -EINVAL,
			       "disk image %s is empty; give it a size, for instance with "
			       "truncate -s 8G",
			       path);
	if (size % BLK_SECTOR)
		return err_set(
			e, -EINVAL,
			"disk image %s has %lld bytes, no multiple of %u; it may be cut short or "
			"of another format, use a raw image",
			path, (long long)size, BLK_SECTOR);
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKSSZGET, &sector) < 0)
		sector = 0;
	*info = (struct blk_info) {
		.size = (uint64_t)size,
		/* Partition tables in image files count in 512 bytes, whatever lies below. */
		.block_size = sector >= 4096 ? 4096 : BLK_SECTOR,
		.read_only = read_only,
		.can_discard = !read_only,
		.can_write_zeroes = !read_only,
		.can_flush = true,
	};
	return 0;
}

static int lock(int fd, const char *path, bool read_only, struct err *e)
{
	struct flock fl = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(
			e, -EBUSY,
			"disk image %s is in use by another virtual machine; stop that one, or "
			"attach it readonly to both",
			path);
	return err_set(e, -errno, "cannot lock disk image %s: %s", path, strerror(errno));
}

static int start_engine(struct raw *d, const struct raw_engine *engine, const char *path,
			struct err *e)
{
	int ret;

	d->engine = engine ? engine : &raw_uring_engine;
	ret = d->engine->open(d);
	if (!engine && (ret == -ENOSYS || ret == -EPERM || ret == -EACCES)) {
		log_line(LOG_INFO, "blk", "%s: no io_uring here (%s), using threads", path,
			 strerror(-ret));
		d->engine = &raw_thread_engine;
		ret = d->engine->open(d);
	}
	if (ret)
		return err_set(e, ret, "cannot start I/O on disk image %s: %s", path,
			       strerror(-ret));
	return 0;
}

int raw_open_with(struct blk_backend **out, int fd, const char *path, bool read_only,
		  struct loop *loop, const struct raw_engine *engine, struct err *e)
{
	struct raw *d;
	struct blk_info info;
	int ret;

	ret = inspect(fd, path, read_only, &info, e);
	if (ret)
		return ret;
	ret = fd_set_nonblock(fd, 0);
	if (ret)
		return err_set(e, ret, "cannot set up disk image %s: %s", path, strerror(-ret));
	ret = lock(fd, path, read_only, e);
	if (ret)
		return ret;
	d = calloc(1, sizeof(*d));
	if (!d)
		goto fail_memory;
	*d = (struct raw) { .base.ops = &raw_ops, .loop = loop, .fd = fd, .info = info };
	d->zeroes = calloc(1, RAW_ZEROES);
	if (!d->zeroes)
		goto fail_memory;
	ret = start_engine(d, engine, path, e);
	if (ret)
		goto fail;
	*out = &d->base;
	return 0;

fail_memory:
	ret = err_set(e, -ENOMEM, "no memory for disk image %s", path);
fail:
	/* The caller keeps the descriptor: leave it as it was. */
	if (fcntl(fd, F_OFD_SETLK, &(struct flock) { .l_type = F_UNLCK }) < 0)
		log_line(LOG_WARN, "blk", "cannot unlock %s: %s", path, strerror(errno));
	if (d)
		free(d->zeroes);
	free(d);
	return ret;
}

int blk_raw_open_fd(struct blk_backend **out, int fd, const char *path, bool read_only,
		    struct loop *loop, struct err *e)
{
	return raw_open_with(out, fd, path, read_only, loop, NULL, e);
}

int blk_raw_open(struct blk_backend **out, const char *path, bool read_only, struct loop *loop,
		 struct err *e)
{
	FD_AUTO fd = -1;
	int ret = hostfile_disk(path, read_only, &fd, e);

	if (ret)
		return ret;
	ret = blk_raw_open_fd(out, fd, path, read_only, loop, e);
	if (ret == 0)
		fd_take(&fd);
	return ret;
}
