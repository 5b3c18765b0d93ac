/* SPDX-License-Identifier: MIT */
/*
 * A VM's saved state on disk, below its folder in STATE:
 *
 *   saved/      config.json, state, memory     whole, or not there
 *   saved.new/                                 being written, or left by a kill: worth nothing
 *
 * It becomes whole by one rename, when all of it is on the disk.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_RUN_SAVED_H
#define HOLM_MGR_RUN_SAVED_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/run/place.h"
#include "proto/config.h"

#include <stdbool.h>

/**
 * saved_begin() - an empty saved.new with two files.
 * @state, @memory: receive their descriptors, the caller's
 */
int saved_begin(const struct place *p, const char *id, int *state, int *memory,
		struct err *e) MUST_CHECK;
/** saved_commit() - both files are on the disk: make it whole; an older one goes. */
int saved_commit(const struct place *p, const char *id, struct err *e) MUST_CHECK;
/** saved_abort() - remove what was begun; a whole one stays. */
void saved_abort(const struct place *p, const char *id);
/** saved_is_there() - whether there is a whole one. */
bool saved_is_there(const struct place *p, const char *id);
/** saved_open() - the folder of a whole one: its descriptor, the caller's; -ENOENT. */
int saved_open(const struct place *p, const char *id, struct err *e) MUST_CHECK;
/**
 * saved_check() - whether @now, paths resolved, has the disks and the network of the saved VM in
 * folder @dir: the guest's memory is about those.
 * Errors: -EINVAL (it has not), -EBADMSG and others of reading its config.json.
 */
int saved_check(int dir, const struct vm_config *now, struct err *e) MUST_CHECK;
/** saved_drop() - remove it, and what was begun; nothing where there is none. */
void saved_drop(const struct place *p, const char *id);

#endif
