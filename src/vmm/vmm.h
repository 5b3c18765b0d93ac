/* SPDX-License-Identifier: MIT */
/*
 * One VM's process, from its configuration to its exit code.
 */
#ifndef HOLM_VMM_VMM_H
#define HOLM_VMM_VMM_H

#include "base/err.h"
#include "proto/config.h"

/** vmm_fail() - say on standard error and to c->exit_fd why there is no VM; the exit code. */
int vmm_fail(const struct vm_config *c, const struct err *e);

/** vmm_run() - build, lock down and run the machine; returns the process's exit code. */
int vmm_run(const struct vm_config *c);

#endif
