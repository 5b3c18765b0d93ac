/* SPDX-License-Identifier: MIT */
/*
 * The wall round a VM's process: what is left to an attacker who broke out of the guest.
 *
 * Theory of operation, in the order main calls it:
 * - sandbox_close_stray() at the very start: no descriptor is inherited but the standard three and
 *   those that the configuration names.
 * - sandbox_lock() after everything is open, before vCPU threads exist: no new privileges;
 *   Landlock, so that no path can be opened but, with user-mode networking, /etc/resolv.conf for
 *   reading; and a filter of
 *   system calls for all threads: everything that some kind of thread or the start needs.
 * - sandbox_enter() on each vCPU's thread and at last on the main thread: a filter of its own
 *   kind on top.
 * A call outside kills the process. Memory can be made executable only where the engine makes
 * code.
 *
 * The allow-list is gathered by tools/gen-seccomp from comments beside the code.
 */
#ifndef HOLM_VMM_SANDBOX_H
#define HOLM_VMM_SANDBOX_H

#include "base/compiler.h"
#include "base/err.h"
#include "proto/config.h"

#include <stdbool.h>

enum sandbox_kind {
	SANDBOX_LOOP = 1,
	SANDBOX_VCPU = 2,
	SANDBOX_WORKER = 4,
	SANDBOX_START = 8,
	SANDBOX_ALL = 15,
};

struct sandbox {
	enum vm_sandbox mode;
	bool exec_ok; /* the engine makes code at run time */
	/* libslirp reads /etc/resolv.conf again when it changes: that one file may be opened. */
	bool resolver;
	bool landlocked; /* set by sandbox_lock() */
};

/**
 * sandbox_close_stray() - close every descriptor from 3 on but the @n of @keep (from 3 on, all
 * different), which no further program inherits.
 *
 * Errors: -EBADF (one of @keep is not open, named); the others are closed all the same.
 */
int sandbox_close_stray(const int *keep, unsigned n, struct err *e) MUST_CHECK;

/** sandbox_lock() - see above; errors: -ENOTSUP (no seccomp), -EPERM. */
int sandbox_lock(struct sandbox *s, struct err *e) MUST_CHECK;

/** sandbox_enter() - narrow the calling thread to @kind. */
int sandbox_enter(const struct sandbox *s, enum sandbox_kind kind, struct err *e) MUST_CHECK;

/** sandbox_test_forbidden() - make a call no kind is allowed; returns only where it passed. */
void sandbox_test_forbidden(void);

#endif
