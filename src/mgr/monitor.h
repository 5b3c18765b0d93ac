/* SPDX-License-Identifier: MIT */
/*
 * The monitor: once a second it asks every VM's process how it is, and keeps what it hears.
 *
 * Theory of operation: a timer runs while VMs run, and only then. Each round asks all processes, a
 * few at a time so that no request waits long behind their answers, which fill vm->sample as they
 * come. The next round writes what has come into the history before it asks again, so a process
 * that does not answer holds up nobody.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_MONITOR_H
#define HOLM_MGR_MONITOR_H

#include "base/loop.h"
#include "mgr/core/manager.h"
#include "mgr/store/history.h"

struct monitor {
	struct mgr *mgr;
	struct history *history; /* NULL: there is none */
	struct loop_timer timer; /* of rounds */
	struct loop_timer step;	 /* within one */
	size_t next;		 /* VM to be asked */
	uint64_t step_ns;
	struct history_sample *batch;
	size_t cap_batch;
	/** Each second while VMs run, and once when none does any more. Optional. */
	void (*second)(void *ctx);
	void *ctx;
};

/** monitor_start() - @m zeroed but for mgr, history (borrowed) and second. */
void monitor_start(struct monitor *m);
void monitor_stop(struct monitor *m);
/** monitor_wake() - a VM has started: go on looking. */
void monitor_wake(struct monitor *m);

#endif
