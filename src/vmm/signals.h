/* SPDX-License-Identifier: MIT */
/*
 * Signals of the VM's process.
 *
 * SIGTERM presses the power button and ends the machine after a grace, or at once the second
 * time or where it is paused; SIGINT, SIGHUP and SIGQUIT end it; SIGUSR1 writes the metrics. These
 * come through a signalfd on the loop. Fatal ones (SIGSEGV ...) put the terminal back and then kill
 * as ever.
 */
#ifndef HOLM_VMM_SIGNALS_H
#define HOLM_VMM_SIGNALS_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "machine/machine.h"
#include "vmm/metrics.h"

#define SIGNALS_GRACE_NS (10 * CLOCK_NS_PER_SEC)

struct signals {
	struct machine *machine;
	const struct metrics *metrics;
	int fd;
	struct loop_fd *watch;
	struct loop_timer grace;
	bool asked; /* the power button was pressed */
};

/** signals_block() - before any thread exists: the signals above wait for the signalfd. */
void signals_block(void);
/** signals_open() - watch them on the machine's loop. */
int signals_open(struct signals *s, struct machine *m, const struct metrics *x,
		 struct err *e) MUST_CHECK;
void signals_close(struct signals *s);

#endif
