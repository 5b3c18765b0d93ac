/* SPDX-License-Identifier: MIT */
/*
 * Who may name what of the host, see policy.h.
 *
 * Paths and time: a kernel is looked at when it is configured and opened by its path when the VM
 * starts, perhaps weeks later, so the look alone would prove nothing. What makes it hold is that
 * between the two nobody but root and holmd's user can lead the path elsewhere: the path must be
 * written without symlinks, "." and "..", every folder from the root on must belong to one of the
 * two and be writable by nobody else (above the boot folder a sticky one like /tmp will do), and
 * the last part must be a file. What remains is the admin's own doing: who makes a boot folder
 * writable later, or puts a symlink into it, has chosen so.
 */
#include "mgr/api/policy.h"

#include "base/fd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without any option: an option may name a place on the host one day. */
static const char *const devices[] = { "virtio-rng", "virtio-balloon", "pvpanic",
				       "virtio-console" };

/* Whether @path is below @dir by its text alone. */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/' && path[len + 1];
}

/* "/a/b": no empty part, no "." and "..", no slash at its end. */
static bool is_plain(const char *path)
{
	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (!len || (path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.'))))
			return false;
		path += len;
	}
	return !*path;
}

/* Whether only root and holmd's user can change what is in folder @path. */
static bool is_ours(const char *path, bool sticky_will_do)
{
	struct stat st;

	if (lstat(path, &st) || !S_ISDIR(st.st_mode))
		return false;
	if (st.st_uid && st.st_uid != geteuid())
		return false;
	return !(st.st_mode & 022) || (sticky_will_do && (st.st_mode & S_ISVTX));
}

/* Every folder on the way to @path, which is plain and below @dir; none may be a symlink. */
static bool way_is_ours(const char *path, const char *dir)
{
	size_t top = strlen(dir);
	char part[PATH_MAX];

	if (strlen(path) >= sizeof(part) || !is_ours("/", true))
		return false;
	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		if (!is_ours(part, (size_t)(p - path) < top))
			return false;
	}
	return true;
}

static bool is_boot_file(const struct api_ctx *ctx, const char *path)
{
	struct stat st;

	if (!is_plain(path))
		return false;
	for (size_t i = 0; i < ctx->n_boot_dirs; i++) {
		MEM_AUTO char *dir = realpath(ctx->boot_dirs[i], NULL);

		/* By its text first: whether a file elsewhere exists is nobody's business. */
		if (dir && is_below(path, dir))
			return way_is_ours(path, dir) && !lstat(path, &st) && S_ISREG(st.st_mode);
	}
	return false;
}

static int check_boot(const struct api_ctx *ctx, const char *what, const char *path, struct err *e)
{
	if (!path || is_boot_file(ctx, path))
		return 0;
	return err_set(e, -EPERM,
		       "%s '%.160s' is not a file below a boot folder that only the admin can "
		       "change (%.160s), its path written without symlinks: ask the admin to put "
		       "it there",
		       what, path, ctx->n_boot_dirs ? ctx->boot_dirs[0] : "there is none");
}

static int check_disks(const struct api_ctx *ctx, const struct vm_config *c, struct err *e)
{
	static const char volume[] = "volume:";

	for (unsigned i = 0; i < c->n_disks; i++) {
		const char *path = c->disks[i].path;
		const char *name = path + sizeof(volume) - 1, *project;

		if (strncmp(path, volume, sizeof(volume) - 1) != 0)
			return err_set(e, -EPERM,
				       "disk '%.160s' is a path of the host, which only an admin "
				       "may name: use volume:NAME",
				       path);
		project = ctx->volume_project ? ctx->volume_project(ctx, name) : "*";
		/* One that is not there reads like one that is another's. */
		if (!ctx_may(ctx, project, NEED_OWN))
			return err_set(e, -EPERM, "volume '%.80s' is in no project that you own",
				       name);
	}
	return 0;
}

static int check_net(const struct vm_config *c, struct err *e)
{
	if (c->net == VM_NET_TAP)
		return err_set(e, -EPERM,
			       "net 'tap:%.40s' is an interface of the host, which only an admin "
			       "may name: use user, network:NAME or none",
			       c->tap);
	for (unsigned i = 0; i < c->n_forwards; i++)
		if (c->forwards[i].host_port < POLICY_PORT_MIN)
			return err_set(e, -EPERM,
				       "forward from port %u: ports below %d are for admins",
				       c->forwards[i].host_port, POLICY_PORT_MIN);
	return 0;
}

static int check_devices(const struct vm_config *c, struct err *e)
{
	for (unsigned i = 0; i < c->n_devices; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(devices) && strcmp(devices[k], c->devices[i]) != 0)
			k++;
		if (k == ARRAY_SIZE(devices))
			return err_set(e, -EPERM,
				       "device '%.80s' is for admins: use virtio-rng, "
				       "virtio-balloon, pvpanic or virtio-console, without options",
				       c->devices[i]);
	}
	return 0;
}

/* null puts a default back, and defaults name nothing of the host. */
static char *without_nulls(const json_t *config)
{
	json_t *o = json_object(), *v;
	const char *key;
	char *text;

	json_object_foreach((json_t *)(uintptr_t)config, key,
			    v) if (!json_is_null(v) && json_object_set(o, key, v))
	{
		json_decref(o);
		return NULL;
	}
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

int policy_check_config(const struct api_ctx *ctx, const json_t *config, struct err *e)
{
	MEM_AUTO char *text = NULL;
	struct vm_config c;
	int ret;

	if (!json_is_object(config) || ctx_may(ctx, "*", NEED_ADMIN))
		return 0;
	text = without_nulls(config);
	if (!text)
		return err_set(e, -ENOMEM, "no memory for the configuration");
	ret = vm_config_init(&c, e);
	if (ret)
		return ret;
	/* By the parsers that the VM's process uses, so nothing means one thing here. */
	ret = vm_config_decode(&c, text, strlen(text), "config", false, e);
	if (!ret)
		ret = check_boot(ctx, "kernel", c.kernel, e);
	if (!ret)
		ret = check_boot(ctx, "initrd", c.initrd, e);
	if (!ret)
		ret = check_disks(ctx, &c, e);
	if (!ret)
		ret = check_net(&c, e);
	if (!ret)
		ret = check_devices(&c, e);
	vm_config_free(&c);
	return ret;
}
