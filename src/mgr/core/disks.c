/* SPDX-License-Identifier: MIT */
/*
 * Who has which disks: see manager.h.
 *
 * Theory of operation: a VM that runs holds its disks by the locks of its process. One that is
 * suspended has no process, and its memory holds what it last saw of them, so nobody may change
 * them until it is restored or killed.
 *
 * Limits: a disk of the host's is known by its path as it was written.
 */
#include "mgr/core/manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct vm *mgr_volume_user(const struct mgr *m, const char *volume)
{
	for (size_t i = 0; i < m->n_vms; i++) {
		const struct vm *vm = m->vms[i];

		for (unsigned d = 0; d < vm->config.n_disks; d++) {
			const char *path = vm->config.disks[d].path;

			if (!strncmp(path, VM_DISK_VOLUME, strlen(VM_DISK_VOLUME)) &&
			    !strcmp(path + strlen(VM_DISK_VOLUME), volume) &&
			    vm->life.state != VM_DELETED)
				return vm;
		}
	}
	return NULL;
}

/* Whether both cannot have it at once. */
static bool collide(const struct vm_disk *a, const struct vm_disk *b)
{
	return !strcmp(a->path, b->path) && (!a->readonly || !b->readonly);
}

/* Its memory holds what it last saw, and no lock holds that for it. */
static bool is_saved(const struct vm *vm)
{
	return vm->life.state == VM_SUSPENDED || vm->life.state == VM_SUSPENDING ||
	       (vm->life.state == VM_RESUMING && !vm->life.run.pid);
}

static const struct vm *suspended_with(const struct mgr *m, const struct vm_disk *d,
				       const struct vm *asks)
{
	for (size_t i = 0; i < m->n_vms; i++) {
		const struct vm *vm = m->vms[i];

		if (vm == asks || !is_saved(vm))
			continue;
		for (unsigned k = 0; k < vm->config.n_disks; k++)
			if (collide(&vm->config.disks[k], d))
				return vm;
	}
	return NULL;
}

int mgr_check_disks_free(const struct mgr *m, const struct vm *vm, struct err *e)
{
	for (unsigned i = 0; i < vm->config.n_disks; i++) {
		const struct vm *other = suspended_with(m, &vm->config.disks[i], vm);

		if (other)
			return err_set(e, -EBUSY,
				       "disk '%.200s' is that of VM '%s', which is suspended: "
				       "restore or kill that one first",
				       vm->config.disks[i].path, other->name);
	}
	return 0;
}

bool mgr_volume_in_use(const struct mgr *m, const char *volume)
{
	char path[VM_PATH_MAX + 1];
	struct vm_disk d = { .path = path };

	snprintf(path, sizeof(path), "%s%s", VM_DISK_VOLUME, volume);
	for (size_t i = 0; i < m->n_vms; i++) {
		const struct vm *vm = m->vms[i];

		for (unsigned k = 0; k < vm->config.n_disks; k++)
			if (vm_state_has_process(vm->life.state) &&
			    collide(&vm->config.disks[k], &d))
				return true;
	}
	return suspended_with(m, &d, NULL);
}
