/* SPDX-License-Identifier: MIT */
/*
 * Directory pools, see pool.h.
 */
#include "mgr/img/pool.h"

#include "base/fd.h"
#include "base/log.h"
#include "mgr/core/record.h"
#include "mgr/img/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SUFFIX VOLUME_SUFFIX

struct pool {
	struct pool_record record;
	int fd; /* of the directory; holds its lock */
	unsigned held;
};

static int path_check(const char *path, struct err *e)
{
	const char *p = path;

	if (*path != '/' || !path[1] || strlen(path) > VM_PATH_MAX)
		return err_set(e, -EINVAL,
			       "pool path '%.80s' must be absolute and no longer than %d bytes",
			       path, VM_PATH_MAX);
	while (*p) {
		size_t n = strcspn(++p, "/");

		if (!n || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return err_set(e, -EINVAL,
				       "pool path '%.80s' must have no empty part, no '.' and no "
				       "'..'",
				       path);
		p += n;
	}
	return 0;
}

int pool_decode(struct pool_record *r, const char *json, size_t len, bool stored, struct err *e)
{
	static const char *const members[] = { "name", "path", "id" };
	const char *name = r->name, *path = r->path, *id = r->id;
	struct pool_record next = { 0 };
	JSON_AUTO *o = NULL;
	int ret = record_parse(&o, json, len, "the pool", e);

	if (!ret)
		ret = record_known(o, members, ARRAY_SIZE(members) - !stored, "pool", e);
	if (!ret)
		ret = record_string(o, "name", &name, "pool", e);
	if (!ret)
		ret = record_string(o, "path", &path, "pool", e);
	if (!ret && stored)
		ret = record_string(o, "id", &id, "pool", e);
	if (!ret)
		ret = vm_name_check("pool name", name, e);
	if (!ret)
		ret = path_check(path, e);
	if (ret)
		return ret;
	if (stored && !volume_id_ok(id))
		return err_set(e, -EINVAL, "pool id '%.40s' is not %d hexadecimal digits", id,
			       POOL_ID_LEN);
	snprintf(next.id, sizeof(next.id), "%s", id);
	snprintf(next.name, sizeof(next.name), "%s", name);
	snprintf(next.path, sizeof(next.path), "%s", path);
	*r = next;
	return 0;
}

char *pool_encode(const struct pool_record *r)
{
	JSON_AUTO *o = json_pack("{s:s, s:s, s:s}", "id", r->id, "name", r->name, "path", r->path);

	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

/*
 * The directory, part by part without following links: whoever may write to a directory on the
 * way could otherwise have us take and sweep another one.
 */
static int open_path(const char *path, struct err *e)
{
	FD_AUTO fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	MEM_AUTO char *copy = strdup(path);
	char *save = NULL;

	if (fd < 0 || !copy)
		return err_set(e, -ENOMEM, "cannot open pool %s", path);
	for (char *part = strtok_r(copy, "/", &save); part;) {
		char *next = strtok_r(NULL, "/", &save);
		int flags = (next ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
		int sub = openat(fd, part, flags);

		if (sub < 0 && errno == ENOENT) {
			if (mkdirat(fd, part, 0700) < 0 && errno != EEXIST)
				return err_set(e, -errno, "cannot make pool directory %s: %s", path,
					       strerror(errno));
			sub = openat(fd, part, flags);
		}
		if (sub < 0 && (errno == ENOTDIR || errno == ELOOP))
			return err_set(e, -ENOTDIR,
				       "pool path %s: '%s' is a link or no directory; name the "
				       "real path",
				       path, part);
		if (sub < 0)
			return err_set(e, -errno, "cannot open pool directory %s: %s", path,
				       strerror(errno));
		fd_close(&fd);
		fd = sub;
		part = next;
	}
	return fd_take(&fd);
}

typedef int (*entry_fn)(void *ctx, int dirfd, const char *name);

static int each_entry(int dirfd, entry_fn fn, void *ctx)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;
	int ret = 0;

	if (!d) {
		ret = -errno;
		fd_close(&fd);
		return ret;
	}
	while (!ret && (ent = readdir(d)))
		ret = fn(ctx, dirfd, ent->d_name);
	closedir(d);
	return ret;
}

static int sweep_entry(void *ctx, int dirfd, const char *name)
{
	const struct pool *p = ctx;

	if (strncmp(name, POOL_TMP, strlen(POOL_TMP)) != 0)
		return 0;
	if (unlinkat(dirfd, name, 0) == 0)
		log_line(LOG_INFO, "img", "pool %s: removed what was left of unfinished work",
			 p->record.name);
	return 0;
}

int pool_open(struct pool **out, const struct pool_record *r, struct err *e)
{
	struct pool *p;
	int ret = path_check(r->path, e);

	if (ret)
		return ret;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for pool %s", r->name);
	p->record = *r;
	p->fd = open_path(r->path, e);
	if (p->fd < 0) {
		ret = p->fd;
		goto fail;
	}
	/* A second manager's sweep would take our unfinished work away, and ours its. */
	if (flock(p->fd, LOCK_EX | LOCK_NB) < 0) {
		ret = err_set(e, -EBUSY,
			      "pool directory %s is in use by another pool or another holmd",
			      r->path);
		goto fail;
	}
	ret = each_entry(p->fd, sweep_entry, p);
	if (ret) {
		err_set(e, ret, "cannot read pool directory %s: %s", r->path, strerror(-ret));
		goto fail;
	}
	*out = p;
	return 0;

fail:
	pool_close(p);
	return ret;
}

void pool_hold(struct pool *p)
{
	p->held++;
}

void pool_release(struct pool *p)
{
	BUG_ON(!p->held);
	p->held--;
}

bool pool_busy(const struct pool *p)
{
	return p->held;
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	fd_close(&p->fd);
	free(p);
}

const struct pool_record *pool_record(const struct pool *p)
{
	return &p->record;
}

int pool_fd(const struct pool *p)
{
	return p->fd;
}

struct walk {
	pool_fn fn;
	void *ctx;
};

static int volume_entry(void *ctx, int dirfd, const char *name)
{
	const struct walk *w = ctx;
	size_t len = strlen(name), tail = strlen(SUFFIX);
	char volume[VM_NAME_MAX + 1];
	struct stat st;

	if (name[0] == '.' || len <= tail || len - tail > VM_NAME_MAX ||
	    strcmp(name + len - tail, SUFFIX) != 0)
		return 0;
	snprintf(volume, sizeof(volume), "%.*s", (int)(len - tail), name);
	if (vm_name_check("", volume, NULL) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	return w->fn(w->ctx, volume);
}

int pool_each(const struct pool *p, pool_fn fn, void *ctx)
{
	struct walk w = { fn, ctx };

	return each_entry(p->fd, volume_entry, &w);
}

struct sum {
	const struct pool *p;
	struct pool_usage *u;
};

static int add_usage(void *ctx, const char *name)
{
	struct sum *s = ctx;
	struct volume_usage v;

	if (volume_usage(s->p, name, &v, NULL))
		return 0; /* gone meanwhile */
	s->u->apparent += v.apparent;
	s->u->allocated += v.allocated;
	s->u->volumes++;
	return 0;
}

int pool_usage(const struct pool *p, struct pool_usage *out, struct err *e)
{
	struct pool_usage u = { 0 };
	struct sum s = { p, &u };
	struct statvfs v;
	int ret = fstatvfs(p->fd, &v) < 0 ? -errno : pool_each(p, add_usage, &s);

	if (ret)
		return err_set(e, ret, "cannot look at pool %s: %s", p->record.name,
			       strerror(-ret));
	u.size = (uint64_t)v.f_blocks * v.f_frsize;
	u.free = (uint64_t)v.f_bavail * v.f_frsize;
	*out = u;
	return 0;
}
