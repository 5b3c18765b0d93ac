/* SPDX-License-Identifier: MIT */
/*
 * Volumes as files, see volume.h.
 */
#include "base/fd.h"
#include "mgr/img/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool volume_id_ok(const char *id)
{
	return strlen(id) == POOL_ID_LEN && strspn(id, "0123456789abcdef") == POOL_ID_LEN;
}

int volume_file(char out[VOLUME_FILE_MAX], const char *name, struct err *e)
{
	int ret = vm_name_check("volume name", name, e);

	if (!ret)
		snprintf(out, VOLUME_FILE_MAX, "%s" VOLUME_SUFFIX, name);
	return ret;
}

static int open_beneath(int dirfd, const char *file, int flags)
{
	/* O_NONBLOCK: a FIFO that somebody put there must not hold us up. */
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK),
		.mode = flags & O_CREAT ? 0600 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dirfd, file, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int volume_fd(const struct pool *p, const char *name, int flags, struct err *e)
{
	char file[VOLUME_FILE_MAX];
	const char *pool = pool_record(p)->name;
	FD_AUTO fd = -1;
	struct stat st;
	int ret = volume_file(file, name, e);

	if (ret)
		return ret;
	fd = open_beneath(pool_fd(p), file, flags);
	if (fd == -ENOENT)
		return err_set(e, -ENOENT, "there is no volume %s in pool %s", name, pool);
	if (fd < 0 && fd != -ELOOP)
		return err_set(e, fd, "cannot open volume %s of pool %s: %s", name, pool,
			       strerror(-fd));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -ELOOP,
			       "volume %s of pool %s is a link or no plain file; remove it by hand",
			       name, pool);
	return fd_take(&fd);
}

int volume_lock(int fd, bool write, const char *name, struct err *e)
{
	struct flock fl = { .l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(e, -EBUSY,
			       "volume %s is in use; stop the VM that has it, or wait for the "
			       "operation on it",
			       name);
	return err_set(e, -errno, "cannot lock volume %s: %s", name, strerror(errno));
}

int volume_absent(const struct pool *p, const char *name, struct err *e)
{
	char file[VOLUME_FILE_MAX];
	struct stat st;
	int ret = volume_file(file, name, e);

	if (ret)
		return ret;
	if (fstatat(pool_fd(p), file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, -EEXIST, "there is a volume %s in pool %s already", name,
			       pool_record(p)->name);
	return 0;
}

int volume_tmp_make(struct volume_tmp *t, struct pool *p, struct err *e)
{
	uint64_t r = 0;

	*t = (struct volume_tmp) { .pool = p, .fd = -1 };
	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return err_set(e, -EIO, "no random number for a temporary file");
	snprintf(t->file, sizeof(t->file), POOL_TMP "%016llx", (unsigned long long)r);
	t->fd = open_beneath(pool_fd(p), t->file, O_RDWR | O_CREAT | O_EXCL);
	if (t->fd < 0) {
		int ret = t->fd;

		t->fd = -1;
		return err_set(e, ret, "cannot make a file in pool %s: %s", pool_record(p)->name,
			       strerror(-ret));
	}
	pool_hold(p);
	return 0;
}

int volume_tmp_publish(struct volume_tmp *t, const char *name, bool replace, struct err *e)
{
	char file[VOLUME_FILE_MAX];
	int dir = pool_fd(t->pool), ret = volume_file(file, name, e);

	if (ret)
		return ret;
	if (fsync(t->fd) < 0)
		ret = -errno;
	else if (renameat2(dir, t->file, dir, file, replace ? 0 : RENAME_NOREPLACE) < 0)
		ret = -errno;
	if (ret == -EEXIST)
		return volume_absent(t->pool, name, e);
	if (!ret) {
		t->file[0] = 0;
		if (fsync(dir) < 0)
			ret = -errno;
	}
	return ret ? err_set(e, ret, "cannot write volume %s to pool %s: %s", name,
			     pool_record(t->pool)->name, strerror(-ret))
		   : 0;
}

void volume_tmp_drop(struct volume_tmp *t)
{
	if (t->fd < 0)
		return;
	if (t->file[0])
		unlinkat(pool_fd(t->pool), t->file, 0);
	pool_release(t->pool);
	fd_close(&t->fd);
}

static int check_size(const char *name, uint64_t size, struct err *e)
{
	if (!size || size % VOLUME_SECTOR || size > VOLUME_SIZE_MAX)
		return err_set(e, -EINVAL,
			       "size %llu of volume %s is not 512 bytes to 64 TiB in steps of 512",
			       (unsigned long long)size, name);
	return 0;
}

int volume_create(struct pool *p, const char *name, uint64_t size, struct err *e)
{
	struct volume_tmp t;
	int ret = volume_absent(p, name, e);

	if (!ret)
		ret = check_size(name, size, e);
	if (!ret)
		ret = volume_tmp_make(&t, p, e);
	if (ret)
		return ret;
	if (ftruncate(t.fd, (off_t)size) < 0)
		ret = err_set(e, -errno, "cannot make volume %s of %llu bytes: %s", name,
			      (unsigned long long)size, strerror(errno));
	else
		ret = volume_tmp_publish(&t, name, false, e);
	volume_tmp_drop(&t);
	return ret;
}

int volume_open(struct pool *p, const char *name, bool read_only, struct err *e)
{
	FD_AUTO fd = volume_fd(p, name, read_only ? O_RDONLY : O_RDWR, e);
	struct flock fl = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
	int ret;

	if (fd < 0)
		return fd;
	/* Only asked: the lock is the VMM's, which keeps it when we are gone. */
	if (fcntl(fd, F_OFD_GETLK, &fl) < 0)
		return err_set(e, -errno, "cannot ask for locks of volume %s: %s", name,
			       strerror(errno));
	if (fl.l_type != F_UNLCK)
		return err_set(e, -EBUSY,
			       "volume %s is in use; stop the VM that has it, or attach it "
			       "read-only to both",
			       name);
	ret = fd_set_nonblock(fd, 0);
	return ret ? err_set(e, ret, "cannot set up volume %s: %s", name, strerror(-ret))
		   : fd_take(&fd);
}

int volume_resize(struct pool *p, const char *name, uint64_t size, bool shrink, bool in_use,
		  struct err *e)
{
	FD_AUTO fd = volume_fd(p, name, O_RDWR, e);
	struct stat st;
	int ret = check_size(name, size, e);

	if (fd < 0)
		return fd;
	if (ret)
		return ret;
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot look at volume %s: %s", name, strerror(errno));
	if (size < (uint64_t)st.st_size) {
		if (!shrink)
			return err_set(e, -EINVAL,
				       "volume %s has %llu bytes; making it smaller cuts data off "
				       "and must be asked for with shrink",
				       name, (unsigned long long)st.st_size);
		if (in_use)
			return err_set(e, -EBUSY, "volume %s is in use and can only grow", name);
		ret = volume_lock(fd, true, name, e);
		if (ret)
			return ret;
	}
	if (ftruncate(fd, (off_t)size) < 0 || fsync(fd) < 0)
		return err_set(e, -errno, "cannot resize volume %s: %s", name, strerror(errno));
	return 0;
}

int volume_remove(struct pool *p, const char *name, bool in_use, struct err *e)
{
	FD_AUTO fd = volume_fd(p, name, O_RDWR, e);
	char file[VOLUME_FILE_MAX];
	int ret;

	if (fd < 0)
		return fd;
	if (in_use)
		return err_set(e, -EBUSY, "volume %s is in use; take it from its VM first", name);
	ret = volume_lock(fd, true, name, e);
	if (!ret)
		ret = volume_file(file, name, e);
	if (ret)
		return ret;
	if (unlinkat(pool_fd(p), file, 0) < 0 || fsync(pool_fd(p)) < 0)
		return err_set(e, -errno, "cannot remove volume %s: %s", name, strerror(errno));
	return 0;
}

int volume_usage(const struct pool *p, const char *name, struct volume_usage *out, struct err *e)
{
	FD_AUTO fd = volume_fd(p, name, O_RDONLY, e);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot look at volume %s: %s", name, strerror(errno));
	*out = (struct volume_usage) {
		.apparent = (uint64_t)st.st_size,
		.allocated = (uint64_t)st.st_blocks * 512,
	};
	return 0;
}

ssize_t volume_read(int fd, void *buf, size_t len, uint64_t off, uint64_t *hole)
{
	off_t data = lseek(fd, (off_t)off, SEEK_DATA), end;

	*hole = 0;
	if (data < 0 && errno != ENXIO)
		return -errno;
	if (data < 0 || (uint64_t)data > off) {
		end = data < 0 ? lseek(fd, 0, SEEK_END) : data;
		if (end < 0)
			return -errno;
		*hole = (uint64_t)end > off ? (uint64_t)end - off : 0;
		return 0;
	}
	/* To the next hole only: so what follows is seen as one. */
	end = lseek(fd, (off_t)off, SEEK_HOLE);
	if (end < 0)
		return -errno;
	return fd_pread_full(fd, buf, (size_t)MIN((uint64_t)len, (uint64_t)end - off), off);
}
