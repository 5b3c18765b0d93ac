/* SPDX-License-Identifier: MIT */
/*
 * The manager's hand on this process: a server of proto/control.h.
 *
 * Theory of operation: the listening socket arrives open. Up to CONTROL_PEERS managers may be
 * connected; none is needed: they may be killed and come back while the VM runs. A peer that does
 * not read its packets is cut off, so the machine never waits for one. Only root and the owner of
 * this process are heard. Bad packets get an error as their reply and change nothing.
 *
 * Each command is one row of a const table: its handler and the states in which it is allowed.
 *
 * Threads: the loop's, machine lock held throughout, unless a function says otherwise.
 */
#ifndef HOLM_VMM_CONTROL_H
#define HOLM_VMM_CONTROL_H

#include "base/compiler.h"
#include "base/err.h"
#include "machine/machine.h"
#include "proto/config.h"
#include "vmm/metrics.h"

#define CONTROL_PEERS 4

struct control;

/**
 * control_open() - serve @c->control_fd, which is owned from success on. Without the lock.
 * @m, @x: borrowed, must outlive it
 */
int control_open(struct control **out, const struct vm_config *c, struct machine *m,
		 const struct metrics *x, struct err *e) MUST_CHECK;
/** control_close() - without the lock. NULL is allowed. */
void control_close(struct control *k);

/** control_settled() - as machine_hooks.settled: answers who asked, tells the others. */
void control_settled(struct control *k);
/** control_saved() - machine_hooks.saved: the answer to a save. */
void control_saved(struct control *k, const struct err *e);
/** control_end() - the last packet to everybody. */
void control_end(struct control *k, const char *end, int code);

#endif
