/* SPDX-License-Identifier: MIT */
/*
 * A standing machine to a file and back; only for src/machine/. The format is in save.c.
 *
 * Threads: the loop's, no vCPU runs.
 */
#ifndef HOLM_MACHINE_SAVE_H
#define HOLM_MACHINE_SAVE_H

#include "base/compiler.h"
#include "base/err.h"
#include "machine/parts.h"

/**
 * save_write() - the state of @m to the empty file @state_fd, its RAM to @memory_fd, both on the
 * disk when this returns. @m stands, its disks are idle. Machine lock held.
 */
int save_write(struct machine *m, int state_fd, int memory_fd, struct err *e) MUST_CHECK;

/**
 * save_read() - the file of m->config->state_fd to m->saved, looked through once.
 *
 * Errors: -EBADMSG (no such file, cut short, changed), -ENOTSUP (of a newer version), -ENOMEM.
 */
int save_read(struct machine *m, struct err *e) MUST_CHECK;
/** save_clock() - have the machine's clock show what it showed. Before anything reads it. */
int save_clock(struct machine *m, struct err *e) MUST_CHECK;
/** save_cpuid() - the CPU that the guest knows to m->cpuid, where that one offers all of it. */
int save_cpuid(struct machine *m, struct err *e) MUST_CHECK;
/** save_load() - devices, engine's clock and vCPUs of m->saved, which is freed. Lock held. */
int save_load(struct machine *m, struct err *e) MUST_CHECK;

#endif
