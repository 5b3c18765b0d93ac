/* SPDX-License-Identifier: MIT */
/*
 * Files of the host that a VM is made of: opened by holm-vmm, or by the manager, which hands them
 * down. What they hold is looked at by whoever uses them.
 */
#ifndef HOLM_BASE_HOSTFILE_H
#define HOLM_BASE_HOSTFILE_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>

/**
 * hostfile_disk() - open a disk image; never waits (a FIFO is refused later, by what it is).
 * @fd: receives the descriptor, O_CLOEXEC and O_NONBLOCK
 *
 * Errors: -ENOENT, -EISDIR, -EACCES (no right, or a read-only file system), others of open(2).
 */
int hostfile_disk(const char *path, bool read_only, int *fd, struct err *e) MUST_CHECK;

/**
 * hostfile_boot() - open a kernel or an initrd for reading, likewise.
 * @what: "kernel", "initrd", for the sentence
 */
int hostfile_boot(const char *what, const char *path, int *fd, struct err *e) MUST_CHECK;

#endif
