/* SPDX-License-Identifier: MIT */
/*
 * The runner of this host: holm-vmm processes, see mgr/core/runner.h.
 *
 * Theory of operation: each process is spoken to over the control socket in its folder. A
 * connection that can be made means that it lives; its own word (hello) says the rest. Its end is
 * seen through a pidfd, and what it said of its end stands in its exit record. A process's pid is
 * taken from the kernel (SCM_CREDENTIALS) and only where that process's program is holm-vmm: a
 * guest that broke out into its own process cannot make the manager kill another.
 */
#ifndef HOLM_MGR_RUN_LOCAL_H
#define HOLM_MGR_RUN_LOCAL_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "mgr/core/runner.h"

struct runner_local_config {
	struct loop *loop;
	const char *run_dir, *state_dir; /* made where they are not there */
	const char *vmm;		 /* path of holm-vmm */
	bool own_uids;			 /* each process gets a user id of its own, own_uid.h */
	/** A process was made and has hardly begun. Optional. */
	void (*made)(void *ctx, const char *id, pid_t pid);
	void *ctx;
};

int runner_local_create(struct runner **out, const struct runner_local_config *cfg,
			struct err *e) MUST_CHECK;
/** runner_local_destroy() - let go of all processes, which go on. */
void runner_local_destroy(struct runner *r);

/** runner_local_console() - a connection to a VM's console socket; the caller's. */
int runner_local_console(struct runner *r, const char *id, int *fd, struct err *e) MUST_CHECK;
/** runner_local_logs() - both files of a VM's console log, older first; -1: not there. */
int runner_local_logs(struct runner *r, const char *id, int fd[2], struct err *e) MUST_CHECK;

#endif
