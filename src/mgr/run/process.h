/* SPDX-License-Identifier: MIT */
/*
 * What the host says of a process.
 */
#ifndef HOLM_MGR_RUN_PROCESS_H
#define HOLM_MGR_RUN_PROCESS_H

#include "base/compiler.h"

#include <stdint.h>
#include <sys/types.h>

/** process_cpu_ns() - CPU time of all its threads; 0: it is gone. */
uint64_t process_cpu_ns(pid_t pid);
/** process_steal_ns() - time its threads were ready and did not run; 0 where it is not told. */
uint64_t process_steal_ns(pid_t pid);

#endif
