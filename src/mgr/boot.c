/* SPDX-License-Identifier: MIT */
/*
 * The first manager since the host's boot, see boot.h.
 */
#include "mgr/boot.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_ID	  "/proc/sys/kernel/random/boot_id"
#define BOOT_FILE "boot"
#define ID_MAX	  64

/* "" where it cannot be read. */
static void read_id(int at, const char *path, char id[ID_MAX])
{
	FD_AUTO fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, id, ID_MAX - 1);

	id[n < 0 ? 0 : n] = '\0';
}

bool boot_is_first(const char *run_dir)
{
	FD_AUTO dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char now[ID_MAX], then[ID_MAX] = "";

	read_id(AT_FDCWD, BOOT_ID, now);
	if (dir >= 0)
		read_id(dir, BOOT_FILE, then);
	return !then[0] || strcmp(now, then) != 0;
}

void boot_note(const char *run_dir)
{
	FD_AUTO dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = dir < 0 ? -errno : 0;
	FD_AUTO fd = -1;
	char now[ID_MAX];

	read_id(AT_FDCWD, BOOT_ID, now);
	if (!ret) {
		fd = openat(dir, BOOT_FILE ".new",
			    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		ret = fd < 0 ? -errno : fd_write_full(fd, now, strlen(now));
	}
	if (!ret && renameat(dir, BOOT_FILE ".new", dir, BOOT_FILE))
		ret = -errno;
	if (ret)
		log_line(LOG_WARN, "boot", "cannot write %s/" BOOT_FILE ": %s", run_dir,
			 strerror(-ret));
}
