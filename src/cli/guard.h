/* SPDX-License-Identifier: MIT */
/*
 * The terminal, given back whatever ends the VMM.
 *
 * Theory of operation: the VMM makes the terminal raw and restores it at its end. A VMM that is
 * killed (SIGKILL, or by its sandbox) cannot. So at a terminal holm run stays as its parent,
 * asleep: it passes signals on, waits, restores the terminal and ends as the VMM did. Elsewhere
 * nothing stays behind.
 */
#ifndef HOLM_CLI_GUARD_H
#define HOLM_CLI_GUARD_H

#include "base/compiler.h"
#include "base/err.h"

/**
 * guard_terminal() - where standard input is a terminal, go on in a child and guard it here.
 * @what: who is guarded, for the sentence: "the VM"
 *
 * Returns in the process that is to become the VMM; the guard itself never returns: it exits with
 * the VMM's status, or dies by the same signal after one sentence on stderr.
 *
 * Return: 0, or -errno (no process could be made).
 */
int guard_terminal(const char *what, struct err *e) MUST_CHECK;

#endif
