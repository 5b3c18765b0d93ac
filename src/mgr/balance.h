/* SPDX-License-Identifier: MIT */
/*
 * Memory between VMs and the host: balloons and merging, by what ballooning.h and ksm.h say.
 *
 * Theory of operation: the monitor's second drives it. Every other second it looks at the host
 * and at what the guests said last, and tells balloons what has changed; a change of a VM's
 * record makes it look at once. What a balloon was asked for is what its process says, so a
 * manager that begins anew goes on where the last one was.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_BALANCE_H
#define HOLM_MGR_BALANCE_H

#include "mgr/core/ballooning.h"
#include "mgr/core/manager.h"
#include "mgr/ksm.h"

struct balance {
	struct mgr *mgr;  /* borrowed */
	const char *root; /* of /proc and /sys; "": the host's */
	struct ksm ksm;
	unsigned seconds;
	bool is_short;		    /* the host is, of memory */
	bool blind;		    /* the host's figures cannot be read, which the log has said */
	struct ballooning_vm *list; /* scratch */
	size_t cap_list;
};

/** balance_open() - @b zeroed. @root is borrowed. */
void balance_open(struct balance *b, struct mgr *m, enum ksm_mode ksm, const char *root,
		  const char *run_dir);
void balance_close(struct balance *b);

/** balance_second() - for the monitor; @ctx: the struct balance. */
void balance_second(void *ctx);
/** balance_now() - what a VM is to have has changed. */
void balance_now(struct balance *b);

#endif
