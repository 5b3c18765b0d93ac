/* SPDX-License-Identifier: MIT */
/*
 * VMs' counters, for holm stats and holm top.
 */
#ifndef HOLM_CLI_STATS_H
#define HOLM_CLI_STATS_H

#include "cli/session.h"

/** stats_of() - GET a VM's counters; *@out gets its name as member "name". A new reference. */
int stats_of(struct session *s, const char *name, json_t **out, struct err *e) MUST_CHECK;

/** stats_running() - those of all VMs that have a process, as an array. */
int stats_running(struct session *s, json_t **out, struct err *e) MUST_CHECK;

#endif
