/* SPDX-License-Identifier: MIT */
/*
 * Where a VM's process has its things on the host; every name follows from the VM's id.
 *
 *   RUN/vm/ID/   control, console (sockets), exit, pid, config.json   gone with the process
 *   STATE/vm/ID/ console.a, console.b, vmm.log, saved/ (saved.h)      gone with the VM
 *
 * Both folders are the manager's alone (0700). Sockets are reached through a descriptor of their
 * folder, because a path in a socket's address has at most 107 bytes.
 */
#ifndef HOLM_MGR_RUN_PLACE_H
#define HOLM_MGR_RUN_PLACE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>

struct place {
	int run, state; /* descriptors of RUN/vm and STATE/vm */
};

/** place_open() - make the folders where they are not there. */
int place_open(struct place *p, const char *run_dir, const char *state_dir,
	       struct err *e) MUST_CHECK;
void place_close(struct place *p);

/** place_make() - a VM's folders; the descriptors are the caller's. */
int place_make(const struct place *p, const char *id, int *run, int *state,
	       struct err *e) MUST_CHECK;
/** place_run() - open what is there of a VM's folder in RUN, or of STATE: descriptor or -errno. */
int place_run(const struct place *p, const char *id) MUST_CHECK;
int place_state(const struct place *p, const char *id) MUST_CHECK;
/** place_remove_run(), place_remove_state() - with all that is in it. */
void place_remove_run(const struct place *p, const char *id);
void place_remove_state(const struct place *p, const char *id);
/** place_each() - call @fn for every id that has a folder in either; @fn may remove it. */
void place_each(const struct place *p, void (*fn)(void *ctx, const char *id), void *ctx);

/** place_listen() - a fresh SOCK_SEQPACKET socket @name in folder @dir that listens. */
int place_listen(int dir, const char *name, int *fd, struct err *e) MUST_CHECK;
/**
 * place_connect() - to such a socket; packets come with their sender's credentials.
 * -ECONNREFUSED or -ENOENT: nobody there.
 */
int place_connect(int dir, const char *name, int *fd, struct err *e) MUST_CHECK;

#endif
