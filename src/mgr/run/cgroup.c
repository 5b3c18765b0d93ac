/* SPDX-License-Identifier: MIT */
/*
 * Control groups: hierarchies and groups, see cgroup.h. What is in them: cgroup_values.c.
 *
 * Sources: Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/, proc(5) for mountinfo.
 */
#include "mgr/run/cgroup.h"

#include "base/fd.h"
#include "mgr/run/cgroup_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MOUNTS_MAX 65536 /* bytes of mountinfo that are looked at */
#define DEPTH_MAX  16	 /* projects in projects */

/* In version 1, 2; cpuacct is a part of cpu in version 2. */
static const char *const names[][2] = {
	[CGROUP_CPU] = { "cpu", "cpu" },	  [CGROUP_CPUACCT] = { "cpuacct", "cpu" },
	[CGROUP_MEMORY] = { "memory", "memory" }, [CGROUP_IO] = { "blkio", "io" },
	[CGROUP_CPUSET] = { "cpuset", "cpuset" }, [CGROUP_IO_WEIGHT] = { "io weight", "io weight" },
};
static_assert(ARRAY_SIZE(names) == CGROUP_CTL_COUNT, "a name for each");

/* What cgroups_open() reads from. */
struct search {
	const struct cgroup_env *env;
	char *own; /* /proc/self/cgroup */
	char reasons[CGROUP_REAL_CTLS][160];
};

const char *cgroup_ctl_name(enum cgroup_ctl ctl)
{
	BUG_ON((unsigned)ctl >= CGROUP_CTL_COUNT);
	return ctl == CGROUP_CPUACCT ? "cpuacct" : names[ctl][1];
}

unsigned cgroups_version(const struct cgroups *g, enum cgroup_ctl ctl)
{
	BUG_ON((unsigned)ctl >= CGROUP_REAL_CTLS);
	return g->by_ctl[ctl] ? g->by_ctl[ctl]->version : 0;
}

const char *cgroups_where(const struct cgroups *g, enum cgroup_ctl ctl)
{
	BUG_ON((unsigned)ctl >= CGROUP_REAL_CTLS);
	return g->by_ctl[ctl] ? g->by_ctl[ctl]->path : "";
}

const char *cgroups_missing(const struct cgroups *g)
{
	return g->missing;
}

/* Whether @word is one of those in @list, which @seps are between. */
static bool has_word(const char *list, const char *word, const char *seps)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || strchr(seps, p[-1])) && (!p[len] || strchr(seps, p[len])))
			return true;
	return false;
}

/* This process's group: of version 2 with @ctl NULL, or of that controller; "" if not told. */
static void own_group(const struct search *s, const char *ctl, char *buf, size_t len)
{
	char line[1024];

	buf[0] = '\0';
	for (const char *p = s->own, *end; *p; p = *end ? end + 1 : end) {
		char *ctls, *path;

		end = strchrnul(p, '\n');
		snprintf(line, sizeof(line), "%.*s", (int)(end - p), p);
		ctls = strchr(line, ':');
		path = ctls ? strchr(ctls + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		if (ctl ? has_word(ctls + 1, ctl, ",") : !ctls[1])
			snprintf(buf, len, "%s", path);
	}
}

static bool is_delegated(const char *path)
{
	char mark[4] = "";

	/* systemd marks what it delegates: CGROUP_DELEGATION, "user.delegate" since 251. */
	return (getxattr(path, "user.delegate", mark, sizeof(mark)) > 0 ||
		getxattr(path, "trusted.delegate", mark, sizeof(mark)) > 0) &&
	       mark[0] == '1';
}

/* mkdir(2) where it is not there yet, and open. Descriptor or -errno. */
static int dir_make(int at, const char *name, bool *made)
{
	int fd;

	*made = !mkdirat(at, name, 0755);
	if (!*made && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Version 2: let the subgroups of @dir have controllers; what cannot be is seen below. */
static void enable_below(int dir, unsigned ctls)
{
	char have[256], all[128] = "";
	size_t at = 0;

	if (kfile_read(dir, "cgroup.controllers", have, sizeof(have)) < 0)
		return;
	for (unsigned i = 0; i < CGROUP_REAL_CTLS; i++)
		if (i != CGROUP_CPUACCT && (ctls & CGROUP_BIT(i)) &&
		    has_word(have, names[i][1], " \n"))
			at += (size_t)snprintf(all + at, sizeof(all) - at, "%s+%s", at ? " " : "",
					       names[i][1]);
	if (!at || !kfile_write(dir, "cgroup.subtree_control", all))
		return;
	/* One that cannot be enabled fails all that are written with it. */
	for (char *word = all, *end; word; word = end) {
		end = strchr(word, ' ');
		if (end)
			*end++ = '\0';
		if (kfile_write(dir, "cgroup.subtree_control", word))
			continue;
	}
}

/* Version 1: a new cpuset has no CPUs and no memory, and takes no process: as above it. */
static void inherit_cpuset(int parent, int dir)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char buf[4096];

		if (kfile_read(dir, files[i], buf, sizeof(buf)) > 1 ||
		    kfile_read(parent, files[i], buf, sizeof(buf)) <= 0)
			continue;
		if (kfile_write(dir, files[i], buf))
			return; /* attach will tell */
	}
}

/* Leave @group to our groups: version 2 wants no processes in it. @pids: one a line. */
static void move_to_leaf(int group, const char *pids)
{
	bool made;
	FD_AUTO leaf = dir_make(group, "manager", &made);
	char pid[16];

	for (size_t n; leaf >= 0 && (n = strcspn(pids, "\n")); pids += n + (pids[n] == '\n')) {
		snprintf(pid, sizeof(pid), "%.*s", (int)n, pids);
		if (kfile_write(leaf, "cgroup.procs", pid))
			continue; /* enabling fails then, and is told */
	}
}

static void move_self(int own)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	move_to_leaf(own, pid);
}

static void move_all(int group)
{
	char pids[4096];

	if (kfile_read(group, "cgroup.procs", pids, sizeof(pids)) > 0)
		move_to_leaf(group, pids);
}

/* @at, the own group's path with @own at its end, becomes that of @beside. False: it is not there.
 */
static bool go_beside(char *at, size_t len, const char *own, const char *beside)
{
	char path[400];
	size_t keep;
	int n;

	if (!*own)
		return false;
	keep = (size_t)(strrchr(at, '/') - at);
	n = snprintf(path, sizeof(path), "%.*s/%s", (int)keep, at, beside);
	if (n < 0 || (size_t)n >= MIN(sizeof(path), len) || access(path, W_OK))
		return false;
	memcpy(at, path, (size_t)n + 1);
	return true;
}

static void blame(struct search *s, unsigned ctls, const char *why)
{
	for (unsigned i = 0; i < CGROUP_REAL_CTLS; i++)
		if (ctls & CGROUP_BIT(i))
			snprintf(s->reasons[i], sizeof(s->reasons[i]), "%s", why);
}

/* Open the base group of the hierarchy mounted at @mount, whose own root is @mount_root. */
static void add_hier(struct cgroups *g, struct search *s, unsigned version, unsigned ctls,
		     const char *mount, const char *mount_root)
{
	struct cgroup_hier *h = &g->hier[g->n_hier];
	char own[512], at[400], why[160];
	const char *rel = own;
	FD_AUTO parent = -1;
	bool below, beside = false, made;
	int fd, n;

	own_group(s, version == 2 ? NULL : names[__builtin_ctz(ctls)][0], own, sizeof(own));
	/* In a container the mount may show a part of the tree, and the own path all of it. */
	if (strcmp(mount_root, "/") != 0 && !strncmp(own, mount_root, strlen(mount_root)))
		rel += strlen(mount_root);
	if (!strcmp(rel, "/") || strstr(rel, "/.."))
		rel = "";
	n = snprintf(at, sizeof(at), "%s%s%s", s->env->root, mount, rel);
	below = s->env->place == CGROUP_OWN;
	if (s->env->place == CGROUP_AUTO)
		below = geteuid() != 0 || (version == 2 && is_delegated(at));
	if (version == 2 && s->env->beside && n > 0 && (size_t)n < sizeof(at))
		beside = go_beside(at, sizeof(at), rel, s->env->beside);
	if (!below && !beside)
		n = snprintf(at, sizeof(at), "%s%s", s->env->root, mount);
	if (n < 0 || (size_t)n >= sizeof(at)) {
		blame(s, ctls, "its path is too long");
		return;
	}
	parent = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = parent < 0 ? -errno : 0;
	if (!fd && version == 2) {
		if (beside)
			move_all(parent);
		else if (below && *rel)
			move_self(parent);
		enable_below(parent, ctls);
	}
	if (!fd)
		fd = dir_make(parent, s->env->name, &made);
	if (fd < 0) {
		snprintf(why, sizeof(why), "%.80s/%.20s: %s", at, s->env->name, strerror(-fd));
		blame(s, ctls, why);
		return;
	}
	*h = (struct cgroup_hier) { .version = version, .ctls = ctls, .base = fd };
	snprintf(h->path, sizeof(h->path), "%s/%s", at, s->env->name);
	if (version == 1 && (ctls & CGROUP_BIT(CGROUP_CPUSET)))
		inherit_cpuset(parent, fd);
	g->n_hier++;
	if (version == 2) {
		char have[256];

		if (kfile_read(fd, "cgroup.controllers", have, sizeof(have)) < 0)
			have[0] = '\0';
		for (unsigned i = 0; i < CGROUP_REAL_CTLS; i++)
			if ((h->ctls & CGROUP_BIT(i)) && !has_word(have, names[i][1], " \n")) {
				h->ctls &= ~CGROUP_BIT(i);
				blame(s, CGROUP_BIT(i), "the group above does not hand it down");
			}
		enable_below(fd, h->ctls);
	}
	for (unsigned i = 0; i < CGROUP_REAL_CTLS; i++)
		if (h->ctls & CGROUP_BIT(i))
			g->by_ctl[i] = h;
}

/* The controllers of a mount: by its options in version 1, by its file in version 2. */
static unsigned mount_ctls(const struct cgroups *g, const struct search *s, unsigned version,
			   const char *mount, const char *options)
{
	char path[512], have[256] = "";
	unsigned ctls = 0;

	if (version == 2) {
		snprintf(path, sizeof(path), "%s%s/cgroup.controllers", s->env->root, mount);
		if (kfile_read(AT_FDCWD, path, have, sizeof(have)) < 0)
			return 0;
	}
	for (unsigned i = 0; i < CGROUP_REAL_CTLS; i++)
		if (!g->by_ctl[i] && has_word(version == 2 ? have : options, names[i][version - 1],
					      version == 2 ? " \n" : ",\n"))
			ctls |= CGROUP_BIT(i);
	return ctls;
}

/* "36 35 98:0 /root /mount options [tags...] - type source options" */
static void read_mount(struct cgroups *g, struct search *s, char *line)
{
	char *tail = strstr(line, " - "), *type, *options, *save = NULL;
	char *field[5] = { 0 };
	unsigned version, ctls;

	if (!tail)
		return;
	*tail = '\0';
	type = tail + 3;
	options = strrchr(type, ' ');
	if (!options)
		return;
	if (!strncmp(type, "cgroup2 ", 8))
		version = 2;
	else if (!strncmp(type, "cgroup ", 7))
		version = 1;
	else
		return;
	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return;
	}
	ctls = mount_ctls(g, s, version, field[4], options + 1);
	if (ctls && g->n_hier < CGROUP_HIER_MAX)
		add_hier(g, s, version, ctls, field[4], field[3]);
}

static void tell_missing(struct cgroups *g, const struct search *s)
{
	size_t at = 0;

	for (unsigned i = 0; i < CGROUP_REAL_CTLS; i++) {
		if (g->by_ctl[i] || at >= sizeof(g->missing))
			continue;
		at += (size_t)snprintf(g->missing + at, sizeof(g->missing) - at, "%s%s: %s",
				       at ? "; " : "", cgroup_ctl_name((enum cgroup_ctl)i),
				       s->reasons[i][0] ? s->reasons[i] : "not mounted");
	}
}

int cgroups_open(struct cgroups **out, const struct cgroup_env *env, struct err *e)
{
	struct search s = { .env = env };
	MEM_AUTO struct cgroups *g = calloc(1, sizeof(*g));
	MEM_AUTO char *mounts = malloc(MOUNTS_MAX), *own = malloc(MOUNTS_MAX);
	char path[512];

	if (!g || !mounts || !own)
		return err_set(e, -ENOMEM, "no memory for the control groups");
	snprintf(path, sizeof(path), "%s/proc/self/cgroup", env->root);
	if (kfile_read(AT_FDCWD, path, own, MOUNTS_MAX) < 0)
		own[0] = '\0';
	s.own = own;
	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", env->root);
	if (kfile_read(AT_FDCWD, path, mounts, MOUNTS_MAX) < 0)
		mounts[0] = '\0';
	for (char *line = mounts, *end; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		read_mount(g, &s, line);
	}
	tell_missing(g, &s);
	*out = g;
	g = NULL;
	return 0;
}

void cgroups_close(struct cgroups *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < g->n_hier; i++)
		fd_close(&g->hier[i].base);
	free(g);
}

void cgroups_remove_base(struct cgroups *g)
{
	/* Others may use what is not empty; then it stays. */
	for (unsigned i = 0; i < g->n_hier; i++)
		rmdir(g->hier[i].path);
}

int cgroup_dir(char *buf, size_t len, const char *path, struct err *e)
{
	size_t at = 0, n, depth = 0;

	for (const char *p = path; *p; p += n + (p[n] == '/')) {
		n = strcspn(p, "/");
		if (!n || p[0] == '.' || depth++ == DEPTH_MAX || strpbrk(path, "\n\t "))
			return err_set(e, -EINVAL, "'%.80s' can be no path of a control group",
				       path);
		at += (size_t)snprintf(buf + at, at < len ? len - at : 0, "%s%s%.*s", at ? "/" : "",
				       p[n] ? "p-" : "vm-", (int)n, p);
		if (at >= len || strlen(path) > CGROUP_PATH_MAX)
			return err_set(e, -EINVAL,
				       "the path '%.80s' of a control group is too long", path);
	}
	if (!depth)
		return err_set(e, -EINVAL, "the path of a control group is empty");
	return 0;
}

/* Make @dir below the base. *@keep: length of that part of @dir that was there. */
static int make_in(const struct cgroup_hier *h, const char *dir, size_t *keep, struct err *e)
{
	FD_AUTO at = fcntl(h->base, F_DUPFD_CLOEXEC, 0);
	char part[CGROUP_PATH_MAX];

	*keep = 0;
	for (const char *p = dir, *end; at >= 0 && *p; p = *end ? end + 1 : end) {
		bool made;
		int fd;

		end = strchrnul(p, '/');
		snprintf(part, sizeof(part), "%.*s", (int)(end - p), p);
		fd = dir_make(at, part, &made);
		if (fd < 0)
			return err_set(e, fd, "cannot make the control group %s/%s: %s", h->path,
				       dir, strerror(-fd));
		if (!made)
			*keep = (size_t)(end - dir);
		if (h->version == 1 && (h->ctls & CGROUP_BIT(CGROUP_CPUSET)))
			inherit_cpuset(at, fd);
		if (h->version == 2 && !strncmp(part, "p-", 2))
			enable_below(fd, h->ctls);
		fd_close(&at);
		at = fd;
	}
	if (at < 0)
		return err_set(e, -EMFILE, "no descriptor for the control group %s", dir);
	return 0;
}

/* Remove groups from the end of @dir up to where only its first @keep bytes are left. */
static void remove_up(const struct cgroup_hier *h, const char *dir, size_t keep)
{
	char buf[2 * CGROUP_PATH_MAX];
	char *slash;

	snprintf(buf, sizeof(buf), "%s", dir);
	while (strlen(buf) > keep && (!unlinkat(h->base, buf, AT_REMOVEDIR) || errno == ENOENT)) {
		slash = strrchr(buf, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

int cgroup_create(struct cgroups *g, const char *path, struct err *e)
{
	size_t keep[CGROUP_HIER_MAX] = { 0 };
	char dir[2 * CGROUP_PATH_MAX];
	int ret = cgroup_dir(dir, sizeof(dir), path, e);

	for (unsigned i = 0; !ret && i < g->n_hier; i++) {
		ret = make_in(&g->hier[i], dir, &keep[i], e);
		for (unsigned k = 0; ret && k <= i; k++)
			remove_up(&g->hier[k], dir, keep[k]);
	}
	return ret;
}

int cgroup_attach(struct cgroups *g, const char *path, pid_t pid, struct err *e)
{
	char dir[2 * CGROUP_PATH_MAX], file[2 * CGROUP_PATH_MAX + 16], text[16];
	int ret = cgroup_dir(dir, sizeof(dir), path, e);

	snprintf(file, sizeof(file), "%s/cgroup.procs", dir);
	snprintf(text, sizeof(text), "%d", (int)pid);
	for (unsigned i = 0; !ret && i < g->n_hier; i++) {
		ret = kfile_write(g->hier[i].base, file, text);
		if (ret)
			err_set(e, ret, "cannot put process %d into %s/%s: %s", (int)pid,
				g->hier[i].path, dir, strerror(-ret));
	}
	return ret;
}

/* Kill what is in @dir; the end of those comes later. */
static void kill_all(const struct cgroup_hier *h, const char *dir)
{
	char file[2 * CGROUP_PATH_MAX + 16], buf[16384];

	/* Linux 5.14; kills also what forks meanwhile. */
	snprintf(file, sizeof(file), "%s/cgroup.kill", dir);
	if (h->version == 2 && !kfile_write(h->base, file, "1"))
		return;
	snprintf(file, sizeof(file), "%s/cgroup.procs", dir);
	if (kfile_read(h->base, file, buf, sizeof(buf)) <= 0)
		return;
	for (char *p = buf, *end; *p; p = end + (*end == '\n')) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			return;
		if (pid > 1 && pid != getpid() && kill((pid_t)pid, SIGKILL) < 0)
			continue; /* it went by itself */
	}
}

int cgroup_remove(struct cgroups *g, const char *path, struct err *e)
{
	char dir[2 * CGROUP_PATH_MAX];
	bool again = false;
	int ret = cgroup_dir(dir, sizeof(dir), path, e);

	for (unsigned i = 0; !ret && i < g->n_hier; i++) {
		const struct cgroup_hier *h = &g->hier[i];

		kill_all(h, dir);
		if (!unlinkat(h->base, dir, AT_REMOVEDIR) || errno == ENOENT)
			remove_up(h, dir, 0);
		else if (errno == EBUSY)
			again = true;
		else
			ret = err_set(e, -errno, "cannot remove the control group %s/%s: %s",
				      h->path, dir, strerror(errno));
	}
	if (!ret && again)
		ret = err_set(e, -EAGAIN, "processes in the control group of %s still end", path);
	return ret;
}

static int list_below(int at, char *path, unsigned depth, cgroup_list_fn fn, void *ctx)
{
	size_t len = strlen(path);
	int copy = fcntl(at, F_DUPFD_CLOEXEC, 0), ret = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *x;

	if (!d) {
		fd_close(&copy);
		return -EMFILE;
	}
	/* The copy shares its place with the descriptor, which a walk before has moved. */
	rewinddir(d);
	while (!ret && (x = readdir(d))) {
		bool vm = !strncmp(x->d_name, "vm-", 3);

		if (x->d_type != DT_DIR || (!vm && strncmp(x->d_name, "p-", 2) != 0) ||
		    len + strlen(x->d_name) >= CGROUP_PATH_MAX)
			continue;
		snprintf(path + len, CGROUP_PATH_MAX + 1 - len, "%s%s", x->d_name + (vm ? 3 : 2),
			 vm ? "" : "/");
		if (vm) {
			ret = fn(ctx, path);
		} else if (depth < DEPTH_MAX) {
			FD_AUTO fd = openat(at, x->d_name,
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			/* Gone meanwhile is gone. */
			if (fd >= 0)
				ret = list_below(fd, path, depth + 1, fn, ctx);
		}
		path[len] = '\0';
	}
	closedir(d);
	return ret;
}

int cgroup_list(struct cgroups *g, cgroup_list_fn fn, void *ctx, struct err *e)
{
	char path[CGROUP_PATH_MAX + 1] = "";
	int ret = 0;

	for (unsigned i = 0; !ret && i < g->n_hier; i++) {
		ret = list_below(g->hier[i].base, path, 0, fn, ctx);
		if (ret == -EMFILE)
			err_set(e, ret, "no descriptor to list %s", g->hier[i].path);
	}
	return ret;
}
