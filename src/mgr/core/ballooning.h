/* SPDX-License-Identifier: MIT */
/*
 * How much of its memory each running guest shall keep; the rest its balloon gives to the host.
 *
 * Theory of operation: a limit below a VM's size always holds. What is above what a guest needs
 * is taken only while the host is short of memory: then alloc.h divides the host's memory by what
 * the guests use and a quarter more, and by their reservations, limits, shares and priorities.
 * When the host is no longer short, everybody gets back what is within the limit. VMs whose policy
 * is fixed, and guests that do not say what they use, keep all they have.
 *
 * A guest that says what it uses may count what its balloon holds as used (Linux does where the
 * balloon may shrink by itself when the guest runs out, as Holm offers). It is told from what the
 * guest calls its total: that then does not shrink with the balloon.
 *
 * Threads: none of its own; no state is kept.
 */
#ifndef HOLM_MGR_CORE_BALLOONING_H
#define HOLM_MGR_CORE_BALLOONING_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/core/alloc.h"
#include "mgr/core/resources.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BALLOONING_NEED_MIN (64ull << 20) /* that a guest is taken to need at least */
#define BALLOONING_KEEP_MIN (16ull << 20) /* what no guest is asked to go below */

struct ballooning_vm {
	const char *name; /* for sentences; borrowed for the call */
	enum alloc_policy policy;
	int priority;
	struct res_triple memory;
	uint64_t size;			  /* bytes of RAM, not 0 */
	uint64_t asked;			  /* bytes that its balloon was last asked to hold */
	uint64_t held;			  /* bytes that its balloon holds */
	uint64_t guest_total, guest_used; /* as the guest says; total 0: it does not */
	/* Results. */
	uint64_t keep; /* bytes that the guest shall keep, of whole MiB or its size */
	bool tell;     /* it is to be told: it differs by enough from what was asked */
};

/** What of the host counts. */
struct ballooning_host {
	uint64_t total, available; /* bytes of memory */
	bool pressure_known;
	unsigned pressure; /* hundredths of a per cent of time that something waited for memory */
};

/**
 * ballooning_short() - whether the host is short of memory.
 * @was: what it was when looked at last
 *
 * It is from less than 15 % available or more than 5 % of pressure on, until 20 % and 2.5 % are
 * reached: what is given back must not make it short again at once.
 */
bool ballooning_short(bool was, const struct ballooning_host *h);

/**
 * ballooning_decide() - what each of @n VMs shall keep.
 * @capacity: bytes of the host's memory that VMs may have; only with @is_short
 *
 * Return: 0; -ENOMEM, -EINVAL as alloc_run(). On failure no result is set.
 */
int ballooning_decide(struct ballooning_vm *vm, size_t n, uint64_t capacity, bool is_short,
		      struct err *e) MUST_CHECK;

#endif
