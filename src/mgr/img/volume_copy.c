/* SPDX-License-Identifier: MIT */
/*
 * Clones and uploads, see volume.h.
 */
#include "base/bytes.h"
#include "base/fd.h"
#include "mgr/img/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUF_SIZE (256u << 10)

struct volume_copy {
	struct volume_tmp tmp;
	int from;
	char name[VM_NAME_MAX + 1];
	uint64_t size, at;
	bool begun, by_hand; /* by_hand: no copy_file_range(2) between these two */
	uint8_t *buf;
};

int volume_copy_begin(struct volume_copy **out, struct pool *from_pool, const char *from,
		      struct pool *p, const char *name, struct err *e)
{
	FD_AUTO fd = volume_fd(from_pool, from, O_RDONLY, e);
	struct volume_copy *c;
	struct stat st;
	int ret;

	if (fd < 0)
		return fd;
	ret = volume_absent(p, name, e);
	if (!ret)
		ret = volume_lock(fd, false, from, e);
	if (!ret && fstat(fd, &st) < 0)
		ret = err_set(e, -errno, "cannot look at volume %s: %s", from, strerror(errno));
	if (ret)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "no memory to clone volume %s", from);
	ret = volume_tmp_make(&c->tmp, p, e);
	if (ret) {
		free(c);
		return ret;
	}
	memcpy(c->name, name, strlen(name) + 1);
	c->from = fd_take(&fd);
	c->size = (uint64_t)st.st_size;
	*out = c;
	return 0;
}

/* Bytes [c->at, c->at + len) through memory; how many were copied, or -errno. */
static ssize_t copy_by_hand(struct volume_copy *c, size_t len)
{
	ssize_t n;
	size_t done = 0;

	if (!c->buf)
		c->buf = malloc(BUF_SIZE);
	if (!c->buf)
		return -ENOMEM;
	n = fd_pread_full(c->from, c->buf, MIN(len, (size_t)BUF_SIZE), c->at);
	if (n == 0)
		return -EIO;
	while (n > 0 && done < (size_t)n) {
		ssize_t w =
			pwrite(c->tmp.fd, c->buf + done, (size_t)n - done, (off_t)(c->at + done));

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		done += (size_t)w;
	}
	return n;
}

static ssize_t copy_some(struct volume_copy *c, size_t len)
{
	off_t in = (off_t)c->at, to = (off_t)c->at;
	ssize_t n;

	if (c->by_hand)
		return copy_by_hand(c, len);
	n = copy_file_range(c->from, &in, c->tmp.fd, &to, len, 0);
	if (n > 0)
		return n;
	/* Other file systems, old kernels, and those that answer 0 without having done it. */
	if (n < 0 && errno != EXDEV && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
		return -errno;
	c->by_hand = true;
	return copy_by_hand(c, len);
}

/* From c->at, which is data, to the next hole or the budget's end. 0 or -errno. */
static int copy_data(struct volume_copy *c, uint64_t *budget)
{
	off_t end = lseek(c->from, (off_t)c->at, SEEK_HOLE);
	uint64_t from = c->at;

	if (end < 0)
		return -errno;
	while (c->at < (uint64_t)end && *budget) {
		ssize_t n = copy_some(c, (size_t)MIN((uint64_t)end - c->at, *budget));

		if (n < 0)
			return (int)n;
		c->at += (uint64_t)n;
		*budget -= MIN(*budget, (uint64_t)n);
	}
	/* Begins to write out now, so that the last fsync has little left; only advice. */
	if (sync_file_range(c->tmp.fd, (off_t)from, (off_t)(c->at - from), SYNC_FILE_RANGE_WRITE))
		return 0;
	return 0;
}

static int copy_step(struct volume_copy *c, uint64_t budget)
{
	if (!c->begun) {
		c->begun = true;
		if (ioctl(c->tmp.fd, FICLONE, c->from) == 0) {
			c->at = c->size;
			return 0;
		}
		if (ftruncate(c->tmp.fd, (off_t)c->size) < 0)
			return -errno;
	}
	while (c->at < c->size && budget) {
		off_t data = lseek(c->from, (off_t)c->at, SEEK_DATA);
		int ret;

		if (data < 0 && errno != ENXIO)
			return -errno;
		c->at = data < 0 ? c->size : MIN((uint64_t)data, c->size);
		ret = c->at < c->size ? copy_data(c, &budget) : 0;
		if (ret)
			return ret;
	}
	return c->at < c->size;
}

int volume_copy_step(struct volume_copy *c, uint64_t budget, struct err *e)
{
	int ret = copy_step(c, MAX(budget, (uint64_t)1));

	if (ret < 0)
		return err_set(e, ret, "cannot write volume %s: %s", c->name, strerror(-ret));
	return ret ? ret : volume_tmp_publish(&c->tmp, c->name, false, e);
}

void volume_copy_progress(const struct volume_copy *c, uint64_t *done, uint64_t *all)
{
	*done = c->at;
	*all = c->size;
}

void volume_copy_end(struct volume_copy *c)
{
	if (!c)
		return;
	volume_tmp_drop(&c->tmp);
	fd_close(&c->from);
	free(c->buf);
	free(c);
}

struct volume_upload {
	struct volume_tmp tmp;
	int old; /* holds the lock */
	char name[VM_NAME_MAX + 1];
	uint64_t size, at;
};

int volume_upload_begin(struct volume_upload **out, struct pool *p, const char *name, bool in_use,
			struct err *e)
{
	FD_AUTO fd = volume_fd(p, name, O_RDWR, e);
	struct volume_upload *u;
	struct stat st;
	int ret;

	if (fd < 0)
		return fd;
	if (in_use)
		return err_set(e, -EBUSY, "volume %s is in use; stop its VM first", name);
	ret = volume_lock(fd, true, name, e);
	if (!ret && fstat(fd, &st) < 0)
		ret = err_set(e, -errno, "cannot look at volume %s: %s", name, strerror(errno));
	if (ret)
		return ret;
	u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(e, -ENOMEM, "no memory to fill volume %s", name);
	ret = volume_tmp_make(&u->tmp, p, e);
	if (!ret && ftruncate(u->tmp.fd, st.st_size) < 0)
		ret = err_set(e, -errno, "cannot make room for volume %s: %s", name,
			      strerror(errno));
	if (ret) {
		volume_tmp_drop(&u->tmp);
		free(u);
		return ret;
	}
	memcpy(u->name, name, strlen(name) + 1);
	u->old = fd_take(&fd);
	u->size = (uint64_t)st.st_size;
	*out = u;
	return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

int volume_upload_write(struct volume_upload *u, const void *buf, size_t len, struct err *e)
{
	const uint8_t *p = buf;

	if (!range_ok(u->at, len, u->size))
		return err_set(e, -EFBIG,
			       "more bytes came than the %llu that volume %s has; resize it first",
			       (unsigned long long)u->size, u->name);
	while (len) {
		/* To the next 4 KiB of the file, so that a hole can stay one. */
		size_t n = MIN(len, (size_t)(4096 - u->at % 4096));
		size_t done = is_zero(p, n) ? n : 0;

		while (done < n) {
			ssize_t w = pwrite(u->tmp.fd, p + done, n - done, (off_t)(u->at + done));

			if (w < 0 && errno == EINTR)
				continue;
			if (w < 0)
				return err_set(e, -errno, "cannot write volume %s: %s", u->name,
					       strerror(errno));
			done += (size_t)w;
		}
		p += n;
		len -= n;
		u->at += n;
	}
	return 0;
}

int volume_upload_finish(struct volume_upload *u, struct err *e)
{
	int ret = volume_tmp_publish(&u->tmp, u->name, true, e);

	volume_upload_cancel(u);
	return ret;
}

void volume_upload_cancel(struct volume_upload *u)
{
	if (!u)
		return;
	volume_tmp_drop(&u->tmp);
	fd_close(&u->old);
	free(u);
}
