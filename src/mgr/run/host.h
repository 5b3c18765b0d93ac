/* SPDX-License-Identifier: MIT */
/*
 * The host: what it has, what is in use, how hard it is pressed, and its merging of equal pages.
 *
 * Theory of operation: each call reads /proc and /sys below a root and keeps nothing. What this
 * kernel does not tell is marked as absent, never guessed.
 *
 * Threads: any.
 */
#ifndef HOLM_MGR_RUN_HOST_H
#define HOLM_MGR_RUN_HOST_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/run/kfile.h"

#include <stdbool.h>
#include <stdint.h>

#define HOST_NODES_MAX 64

struct host_node {
	unsigned id;
	char cpus[128];	 /* list like "0-3,8" */
	uint64_t memory; /* bytes; 0: not told */
};

struct host_capacity {
	unsigned cpus;	 /* that this process may use */
	uint64_t memory; /* bytes */
	struct host_node nodes[HOST_NODES_MAX];
	unsigned n_nodes; /* 0: the kernel knows of none */
};

struct host_use {
	uint64_t memory_available, swap_total, swap_free; /* bytes */
	unsigned load[3];				  /* of 1, 5, 15 minutes, in hundredths */
	uint64_t busy_ticks, total_ticks; /* of all CPUs since the boot; steal is busy */
	uint64_t steal_ticks;
	struct psi cpu, memory, io;
};

struct host_ksm {
	bool there; /* false: built without it */
	bool running;
	uint64_t shared;  /* pages that are there once for several */
	uint64_t sharing; /* places that use them beyond the first */
	uint64_t saved;	  /* bytes: sharing pages */
	uint64_t full_scans;
};

/** host_capacity() - @root: "" for the host. -EIO: /proc does not say how much memory there is. */
int host_capacity(const char *root, struct host_capacity *out, struct err *e) MUST_CHECK;

/** host_use() - -EIO where /proc/meminfo cannot be understood; the rest is zero where absent. */
int host_use(const char *root, struct host_use *out, struct err *e) MUST_CHECK;

/** host_ksm() - never fails: what is not there is not there. */
void host_ksm(const char *root, struct host_ksm *out);

/**
 * host_ksm_set() - merge from now on, or stop; merged pages stay merged.
 * Return: 0; -ENOENT (the kernel has none), -EACCES and others, with a sentence.
 */
int host_ksm_set(const char *root, bool on, struct err *e) MUST_CHECK;

#endif
