/* SPDX-License-Identifier: MIT */
/*
 * Files that a VM is made of, see hostfile.h.
 */
#include "base/hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* O_NONBLOCK: a FIFO must not hold us up. */
#define FLAGS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

int hostfile_disk(const char *path, bool read_only, int *fd, struct err *e)
{
	int got = open(path, (read_only ? O_RDONLY : O_RDWR) | FLAGS);

	if (got >= 0) {
		*fd = got;
		return 0;
	}
	if (errno == ENOENT)
		return err_set(e, -ENOENT,
			       "disk image %s does not exist; correct the path or make it, for "
			       "instance with truncate -s 8G",
			       path);
	if (errno == EISDIR)
		return err_set(e, -EISDIR,
			       "disk image %s is a directory; name a file or a block device", path);
	if (errno == EACCES || errno == EROFS || errno == EPERM)
		return err_set(e, -EACCES,
			       "no right to open disk image %s for %s; change its mode%s", path,
			       read_only ? "reading" : "writing",
			       read_only ? "" : " or add readonly");
	return err_set(e, -errno, "cannot open disk image %s: %s", path, strerror(errno));
}

int hostfile_boot(const char *what, const char *path, int *fd, struct err *e)
{
	int got = open(path, O_RDONLY | FLAGS);

	if (got < 0)
		return err_set(e, -errno, "cannot open the %s %s: %s", what, path, strerror(errno));
	*fd = got;
	return 0;
}
