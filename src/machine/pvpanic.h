/* SPDX-License-Identifier: MIT */
/*
 * The panic port: how a guest's kernel tells that it panicked.
 */
#ifndef HOLM_MACHINE_PVPANIC_H
#define HOLM_MACHINE_PVPANIC_H

#include "dev/dev.h"

struct pvpanic;
extern const struct dev_ops pvpanic_dev_ops;

/** pvpanic_create() - one byte at port 0x505. */
int pvpanic_create(struct pvpanic **out, const struct dev_env *env, struct err *e) MUST_CHECK;

#endif
