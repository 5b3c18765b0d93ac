/* SPDX-License-Identifier: MIT */
/*
 * holmd as one object: everything made in order, run, and let go in reverse.
 */
#ifndef HOLM_MGR_DAEMON_H
#define HOLM_MGR_DAEMON_H

#include "mgr/options.h"

/** daemon_run() - until a signal or idleness ends it. 0 or -errno with a sentence. */
int daemon_run(const struct options *o, struct err *e) MUST_CHECK;

#endif
