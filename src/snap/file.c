/* SPDX-License-Identifier: MIT */
/*
 * Saved state as a file, see file.h.
 */
#include "snap/file.h"

#include "base/bytes.h"
#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC "HOLMSAVE"
#define HEAD  32

/* seccomp: loop: fsync */
int snap_file_write(int fd, const struct snap_writer *w, struct err *e)
{
	uint8_t head[HEAD] = { 0 };
	int ret;

	memcpy(head, MAGIC, 8);
	put_le32(head + 8, SNAP_FILE_VERSION);
	put_le32(head + 12, (uint32_t)crc32(0, w->buf, (unsigned)w->len));
	put_le64(head + 16, w->len);
	ret = fd_write_full(fd, head, sizeof(head));
	if (!ret)
		ret = fd_write_full(fd, w->buf, w->len);
	if (!ret && fsync(fd))
		ret = -errno;
	return ret ? err_set(e, ret, "cannot write the VM's state: %s", strerror(-ret)) : 0;
}

static int bad(struct err *e, const char *why)
{
	return err_set(e, -EBADMSG, "the saved state %s: take another one", why);
}

static int check_head(const uint8_t *buf, size_t len, struct err *e)
{
	if (len < HEAD || memcmp(buf, MAGIC, 8) != 0)
		return bad(e, "is no state of Holm's");
	if (get_le32(buf + 8) > SNAP_FILE_VERSION)
		return err_set(
			e, -ENOTSUP,
			"the saved state has version %u, and this Holm knows %u: use a newer "
			"one",
			get_le32(buf + 8), SNAP_FILE_VERSION);
	if (get_le64(buf + 16) != len - HEAD)
		return bad(e, "is cut short");
	if ((uint32_t)crc32(0, buf + HEAD, (unsigned)(len - HEAD)) != get_le32(buf + 12))
		return bad(e, "has changed since it was written");
	return 0;
}

int snap_file_read(int fd, uint8_t **buf, struct snap_reader *r, struct err *e)
{
	struct stat st;
	ssize_t n;
	int ret;

	*buf = NULL;
	if (fstat(fd, &st))
		return err_set(e, -errno, "cannot look at the saved state: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size < HEAD || st.st_size > SNAP_FILE_MAX)
		return bad(e, "is no state of Holm's");
	*buf = malloc((size_t)st.st_size);
	if (!*buf)
		return err_set(e, -ENOMEM, "no memory for the saved state");
	n = fd_pread_full(fd, *buf, (size_t)st.st_size, 0);
	if (n < 0)
		return err_set(e, (int)n, "cannot read the saved state: %s", strerror((int)-n));
	ret = check_head(*buf, (size_t)n, e);
	return ret ? ret : snap_reader_init(r, *buf + HEAD, (size_t)n - HEAD, e);
}
