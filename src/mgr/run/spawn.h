/* SPDX-License-Identifier: MIT */
/*
 * Making a VM's process: everything it may use is opened here and handed down by descriptor.
 */
#ifndef HOLM_MGR_RUN_SPAWN_H
#define HOLM_MGR_RUN_SPAWN_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/core/runner.h"
#include "mgr/run/place.h"

#include <sys/types.h>

struct spawn_env {
	const struct place *place;
	const char *vmm; /* path of holm-vmm */
	bool own_uids;	 /* a user id for each process, own_uid.h */
	int saved;	 /* folder of a saved state that it goes on from (saved.h); -1: none */
};

/**
 * spawn_vmm() - fork and exec holm-vmm for @s.
 * @pid: receives the child's
 *
 * Kernel, initrd and disks are opened here and handed down, like its sockets and its tap. The
 * child leads a session of its own, has no terminal, and outlives its parent. What keeps it
 * from running at all it writes into its exit record. Errors: those of opening things.
 */
int spawn_vmm(const struct spawn_env *env, const struct run_spec *s, pid_t *pid,
	      struct err *e) MUST_CHECK;

#endif
