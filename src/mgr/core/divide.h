/* SPDX-License-Identifier: MIT */
/*
 * What several VMs share of block I/O or of the network, divided among them by their shares.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_CORE_DIVIDE_H
#define HOLM_MGR_CORE_DIVIDE_H

#include "base/err.h"
#include "mgr/core/resources.h"
#include "mgr/core/vm.h"

struct mgr;

/**
 * divide_ceiling() - bytes a second that @vm can have at most, by itself and by its projects.
 * @kind: RES_IO or RES_NET
 * Return: 0: nothing bounds it.
 */
uint64_t divide_ceiling(const struct vm *vm, enum res_kind kind);

/** divide_part() - what divide_run() gave it, bytes a second; 0: it has no part in anything. */
uint64_t divide_part(const struct vm *vm, enum res_kind kind);

/**
 * divide_run() - give each VM that runs its part of @kind, by what it moved since the last call:
 * of its projects' limits and, of the network, of the host's capacity (mgr.net_capacity).
 *
 * To be called about once a second, when there are new samples. On failure (-ENOMEM, and what
 * alloc_run() says) all parts are as before.
 */
int divide_run(struct mgr *m, enum res_kind kind, struct err *e) MUST_CHECK;

/** divide_forget() - @vm runs no more. */
void divide_forget(struct vm *vm);

#endif
