/* SPDX-License-Identifier: MIT */
/*
 * Folders and sockets of VMs' processes, see place.h.
 */
#include "mgr/run/place.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ID_LEN 16

static int open_folder(const char *path, int *fd, struct err *e)
{
	struct stat st;
	char vm[4096];

	if (snprintf(vm, sizeof(vm), "%s/vm", path) >= (int)sizeof(vm))
		return err_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
	if ((mkdir(path, 0700) && errno != EEXIST) || (mkdir(vm, 0700) && errno != EEXIST))
		return err_set(e, -errno, "cannot make folder %s: %s", vm, strerror(errno));
	*fd = open(vm, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return err_set(e, -errno, "cannot open folder %s: %s", vm, strerror(errno));
	/* One that was there before may be somebody else's, or open to others. */
	if (fstat(*fd, &st) || st.st_uid != geteuid() || fchmod(*fd, 0700)) {
		fd_close(fd);
		return err_set(e, -EPERM,
			       "folder %s is not of holmd's own user: remove it, or choose "
			       "another place",
			       vm);
	}
	return 0;
}

int place_open(struct place *p, const char *run_dir, const char *state_dir, struct err *e)
{
	int ret;

	*p = (struct place) { -1, -1 };
	ret = open_folder(run_dir, &p->run, e);
	if (!ret)
		ret = open_folder(state_dir, &p->state, e);
	if (ret)
		place_close(p);
	return ret;
}

void place_close(struct place *p)
{
	fd_close(&p->run);
	fd_close(&p->state);
}

static int open_at(int parent, const char *id)
{
	int fd = openat(parent, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int make_at(int parent, const char *id, int *fd, struct err *e)
{
	if (mkdirat(parent, id, 0700) && errno != EEXIST)
		return err_set(e, -errno, "cannot make the folder of VM %s: %s", id,
			       strerror(errno));
	*fd = open_at(parent, id);
	if (*fd < 0)
		return err_set(e, *fd, "cannot open the folder of VM %s: %s", id, strerror(-*fd));
	return 0;
}

int place_make(const struct place *p, const char *id, int *run, int *state, struct err *e)
{
	FD_AUTO first = -1;
	int ret = make_at(p->run, id, &first, e);

	if (!ret)
		ret = make_at(p->state, id, state, e);
	if (!ret)
		*run = fd_take(&first);
	return ret;
}

int place_run(const struct place *p, const char *id)
{
	return open_at(p->run, id);
}

int place_state(const struct place *p, const char *id)
{
	return open_at(p->state, id);
}

/* One level: nobody but the manager makes anything there. */
static void remove_at(int parent, const char *id)
{
	int fd = open_at(parent, id);
	struct dirent *d;
	DIR *dir;

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((d = readdir(dir)))
		unlinkat(dirfd(dir), d->d_name, 0);
	closedir(dir);
	unlinkat(parent, id, AT_REMOVEDIR);
}

void place_remove_run(const struct place *p, const char *id)
{
	remove_at(p->run, id);
}

void place_remove_state(const struct place *p, const char *id)
{
	remove_at(p->state, id);
}

static void each_at(int parent, void (*fn)(void *ctx, const char *id), void *ctx)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir) {
		fd_close(&fd);
		return;
	}
	while ((d = readdir(dir)))
		if (strlen(d->d_name) == ID_LEN &&
		    strspn(d->d_name, "0123456789abcdef") == ID_LEN)
			fn(ctx, d->d_name);
	closedir(dir);
}

void place_each(const struct place *p, void (*fn)(void *ctx, const char *id), void *ctx)
{
	each_at(p->run, fn, ctx);
	each_at(p->state, fn, ctx);
}

static void address(struct sockaddr_un *a, int dir, const char *name)
{
	*a = (struct sockaddr_un) { .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", dir, name);
}

int place_listen(int dir, const char *name, int *out, struct err *e)
{
	FD_AUTO fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;

	if (fd < 0)
		return err_set(e, -errno, "cannot make a socket: %s", strerror(errno));
	unlinkat(dir, name, 0);
	address(&a, dir, name);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16))
		return err_set(e, -errno, "cannot listen on socket %s: %s", name, strerror(errno));
	*out = fd_take(&fd);
	return 0;
}

int place_connect(int dir, const char *name, int *out, struct err *e)
{
	FD_AUTO fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;
	int on = 1;

	if (fd < 0)
		return err_set(e, -errno, "cannot make a socket: %s", strerror(errno));
	/* Before the first packet can come: what was sent earlier carries no sender. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		return err_set(e, -errno, "cannot ask for credentials: %s", strerror(errno));
	address(&a, dir, name);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return err_set(e, -errno, "cannot connect to the VM's socket %s: %s", name,
			       strerror(errno));
	*out = fd_take(&fd);
	return 0;
}
