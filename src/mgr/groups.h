/* SPDX-License-Identifier: MIT */
/*
 * The control groups of VMs: made before the process, filled when it is there, set by what the
 * VM and its projects are to have, and removed after it.
 *
 * Theory of operation: a VM's group lies below that of its project and those above, so the kernel
 * shares among projects before it shares within one. Shares become weights: a VM's are its shares
 * times what its priority multiplies with, for each vCPU, so that equal shares mean equal parts a
 * vCPU; a reservation raises the weight to what keeps it when all want all. A limit, and under the
 * policy "fixed" the number of vCPUs, bounds. Whatever controller the host lacks is said once in
 * the log and does without.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_GROUPS_H
#define HOLM_MGR_GROUPS_H

#include "base/loop.h"
#include "mgr/core/manager.h"
#include "mgr/run/cgroup.h"

#define GROUPS_LEAVING 64 /* groups that wait for their processes' end at once */

struct groups {
	struct mgr *mgr;	 /* borrowed */
	const char *beside;	 /* see struct cgroup_env */
	struct cgroups *cg;	 /* NULL: none at all */
	unsigned missing;	 /* bits that have been complained of */
	struct loop_timer sweep; /* removes those whose processes have not ended yet */
	char leaving[GROUPS_LEAVING][CGROUP_PATH_MAX];
	unsigned n_leaving;
};

/** groups_open() - @g zeroed but for mgr and beside. @run_dir tells managers of one host apart:
 * each has groups of its own, and removes none of another's. Never fails: without groups VMs run
 * unbounded.
 */
void groups_open(struct groups *g, const char *run_dir);
void groups_close(struct groups *g);

/** groups_make() - before a process is made. */
int groups_make(struct groups *g, const struct vm *vm, struct err *e) MUST_CHECK;
/** groups_join() - the process is there. */
void groups_join(struct groups *g, const struct vm *vm, pid_t pid);
/** groups_set() - what the VM is to have has changed, or what others have. */
void groups_set(struct groups *g, const struct vm *vm);
/** groups_set_reserved() - of those whose weight depends on who else runs. */
void groups_set_reserved(struct groups *g);
/** groups_leave() - the process is gone, or about to. */
void groups_leave(struct groups *g, const struct vm *vm);
/** groups_throttled() - ns for which the VM's limit held its CPUs back; false: not known. */
bool groups_throttled(struct groups *g, const struct vm *vm, uint64_t *ns);
/** groups_sweep() - remove the groups that belong to no VM with a process. */
void groups_sweep(struct groups *g);

#endif
