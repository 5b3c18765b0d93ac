/* SPDX-License-Identifier: MIT */
/*
 * Saved state on disk, see saved.h.
 */
#include "mgr/run/saved.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHOLE "saved"
#define FRESH "saved.new"

static const char *const files[] = { "config.json", "state", "memory" };

static void remove_folder(int dir, const char *name)
{
	FD_AUTO fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(fd, files[i], 0);
	unlinkat(dir, name, AT_REMOVEDIR);
}

static int make_file(int dir, const char *name, struct err *e)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, -errno, "cannot make the file %s of the saved state: %s", name,
			       strerror(errno));
	return fd;
}

/* What the VM was made from, as its process was told it. */
static int copy_config(const struct place *p, const char *id, int to, struct err *e)
{
	FD_AUTO run = place_run(p, id);
	FD_AUTO in = run < 0 ? -1 : openat(run, "config.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FD_AUTO out = make_file(to, "config.json", e);
	char buf[4096];
	ssize_t n = 0;
	int ret = 0;

	if (out < 0)
		return out;
	while (in >= 0 && !ret && (n = fd_read_full(in, buf, sizeof(buf))) > 0)
		ret = fd_write_full(out, buf, (size_t)n);
	if (!ret && n < 0)
		ret = (int)n;
	if (!ret && fsync(out))
		ret = -errno;
	return ret ? err_set(e, ret, "cannot write the saved configuration: %s", strerror(-ret))
		   : 0;
}

int saved_begin(const struct place *p, const char *id, int *state, int *memory, struct err *e)
{
	FD_AUTO dir = place_state(p, id);
	FD_AUTO fresh = -1, a = -1, b = -1;
	int ret;

	if (dir >= 0) {
		remove_folder(dir, FRESH);
		if (!mkdirat(dir, FRESH, 0700))
			fresh = openat(dir, FRESH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fresh < 0)
		return err_set(e, -errno, "cannot make the folder of the saved state: %s",
			       strerror(errno));
	ret = copy_config(p, id, fresh, e);
	if (!ret) {
		a = make_file(fresh, "state", e);
		b = a < 0 ? a : make_file(fresh, "memory", e);
		ret = b < 0 ? b : 0;
	}
	if (ret) {
		remove_folder(dir, FRESH);
		return ret;
	}
	*state = fd_take(&a);
	*memory = fd_take(&b);
	return 0;
}

int saved_commit(const struct place *p, const char *id, struct err *e)
{
	FD_AUTO dir = place_state(p, id);
	FD_AUTO fresh = dir < 0 ? -1 : openat(dir, FRESH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned how = RENAME_NOREPLACE;

	if (fresh >= 0 && !fsync(fresh)) {
		if (saved_is_there(p, id))
			how = RENAME_EXCHANGE;
		if (!renameat2(dir, FRESH, dir, WHOLE, how) && !fsync(dir)) {
			remove_folder(dir, FRESH);
			return 0;
		}
	}
	return err_set(e, -errno, "cannot bring the saved state to the disk: %s", strerror(errno));
}

bool saved_is_there(const struct place *p, const char *id)
{
	FD_AUTO dir = place_state(p, id);

	return dir >= 0 && !faccessat(dir, WHOLE "/state", F_OK, 0);
}

int saved_open(const struct place *p, const char *id, struct err *e)
{
	FD_AUTO dir = place_state(p, id);
	int fd = dir < 0 ? -1 : openat(dir, WHOLE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "the VM's saved state cannot be opened: %s",
			       strerror(errno));
	return fd;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static int compare(const struct vm_config *was, const struct vm_config *now, struct err *e)
{
	bool alike = was->n_disks == now->n_disks;

	for (unsigned i = 0; alike && i < was->n_disks; i++) {
		const struct vm_disk *a = &was->disks[i], *b = &now->disks[i];

		alike = !strcmp(a->path, b->path) && a->readonly == b->readonly &&
			!strcmp(a->serial, b->serial);
	}
	if (!alike)
		return err_set(
			e, -EINVAL,
			"the VM was saved with other disks: give it those again, or kill it");
	if (was->net != now->net || !same_text(was->network, now->network) ||
	    !same_text(was->tap, now->tap))
		return err_set(e, -EINVAL,
			       "the VM was saved with another network: give it that again, or kill "
			       "it");
	return 0;
}

int saved_check(int dir, const struct vm_config *now, struct err *e)
{
	FD_AUTO fd = openat(dir, "config.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	MEM_AUTO char *text = malloc(VM_CONFIG_MAX);
	struct vm_config was;
	ssize_t n;
	int ret;

	if (fd < 0 || !text)
		return err_set(e, text ? -errno : -ENOMEM,
			       "the saved configuration cannot be opened: %s", strerror(errno));
	n = fd_read_full(fd, text, VM_CONFIG_MAX);
	if (n < 0)
		return err_set(e, (int)n, "the saved configuration cannot be read: %s",
			       strerror((int)-n));
	ret = vm_config_init(&was, e);
	if (ret)
		return ret;
	ret = vm_config_decode(&was, text, (size_t)n, "saved config.json", false, e);
	if (!ret)
		ret = compare(&was, now, e);
	vm_config_free(&was);
	return ret;
}

void saved_drop(const struct place *p, const char *id)
{
	FD_AUTO dir = place_state(p, id);

	if (dir < 0)
		return;
	remove_folder(dir, FRESH);
	/* By one step: half of it is never taken for whole. */
	if (renameat2(dir, WHOLE, dir, FRESH, RENAME_NOREPLACE))
		return;
	/* It must not be back after a power cut, when the guest has run. */
	(void)fsync(dir);
	remove_folder(dir, FRESH);
}

void saved_abort(const struct place *p, const char *id)
{
	FD_AUTO dir = place_state(p, id);

	if (dir >= 0)
		remove_folder(dir, FRESH);
}
