/* SPDX-License-Identifier: MIT */
/*
 * One VM's process, from its configuration to its exit code.
 */
#ifndef HOLM_VMM_VMM_H
#define HOLM_VMM_VMM_H

#include "proto/config.h"

/** vmm_run() - build, lock down and run the machine; returns the process's exit code. */
int vmm_run(const struct vm_config *c);

#endif
