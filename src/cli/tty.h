/* SPDX-License-Identifier: MIT */
/*
 * The terminal in another mode for a while, and the signals that would leave it so.
 *
 * Theory of operation: while it is on, SIGINT, SIGTERM, SIGHUP and SIGQUIT come through a
 * descriptor, so the terminal is restored before the process ends. What cannot be caught is the
 * guard's (guard.h).
 */
#ifndef HOLM_CLI_TTY_H
#define HOLM_CLI_TTY_H

#include "base/compiler.h"
#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

enum tty_mode {
	TTY_RAW,  /* every key as it is */
	TTY_KEYS, /* keys at once and without echo; Ctrl-C stays a signal */
	TTY_KEEP  /* only the signals */
};

struct tty {
	bool changed;
	struct termios before;
	sigset_t mask; /* of signals, before */
	int signal_fd; /* readable when one of the signals came */
};

/** tty_set() - standard input, which need not be a terminal. */
int tty_set(struct tty *t, enum tty_mode mode, struct err *e) MUST_CHECK;
/** tty_signal() - the signal that came, or 0. */
int tty_signal(struct tty *t);
/** tty_restore() - as it was. */
void tty_restore(struct tty *t);

#endif
