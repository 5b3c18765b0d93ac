/* SPDX-License-Identifier: MIT */
/*
 * The machine: one configuration made into a running PC.
 *
 * Theory of operation: machine_create() opens and builds everything in an exact order (loop,
 * engine, memory, buses, chipset, PCI, virtio, vCPUs, boot) and on failure unwinds in reverse.
 * machine_start() makes the vCPU threads, which wait; machine_run() lets them go and runs the
 * loop on the calling thread until the guest or the host ends the machine. Requests to end it
 * come from devices under the machine lock or from signals; the first one wins, stops the vCPUs
 * and is acted upon by the loop's thread.
 *
 * Threads: all functions on the main thread, without the machine lock, unless they say otherwise.
 */
#ifndef HOLM_MACHINE_MACHINE_H
#define HOLM_MACHINE_MACHINE_H

#include "base/compiler.h"
#include "base/err.h"
#include "proto/config.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct machine;

/** Why a machine stopped. */
enum machine_end {
	MACHINE_RUNS,
	MACHINE_POWEROFF,
	MACHINE_RESET,
	MACHINE_DEBUG_EXIT, /* the code goes with it */
	MACHINE_PANIC,
	MACHINE_SHUTDOWN, /* triple fault */
	MACHINE_QUIT,	  /* a signal or the console's escape */
	MACHINE_ERROR,	  /* the engine cannot go on */
	MACHINE_END_COUNT
};

/** What the process lends to the machine. */
struct machine_hooks {
	/** Each vCPU's thread calls it once before the first guest instruction. Optional. */
	void (*vcpu_thread)(void *ctx);
	void *ctx;
};

/**
 * machine_create() - build all of it; nothing runs yet.
 * @c: borrowed, must outlive the machine
 *
 * Errors: those of the parts, each with its sentence; nothing is left behind.
 */
int machine_create(struct machine **out, const struct vm_config *c, struct err *e) MUST_CHECK;
/** machine_destroy() - stop and join the vCPUs, then the reverse of create. NULL is allowed. */
void machine_destroy(struct machine *m);

/** machine_start() - make the vCPU threads and wait until each has run its hook and waits. */
int machine_start(struct machine *m, const struct machine_hooks *hooks, struct err *e) MUST_CHECK;

/** machine_run() - until the machine ends. Return: the process's exit code. */
int machine_run(struct machine *m);

/** machine_request() - end it; the first request wins. Machine lock held; any thread. */
void machine_request(struct machine *m, enum machine_end end, uint32_t code);
/** machine_power_button() - press it. Machine lock held. */
void machine_power_button(struct machine *m);

/** machine_loop() - for the process's own descriptors. */
struct loop *machine_loop(struct machine *m);
/** machine_needs_exec() - whether the engine makes code at run time. */
bool machine_needs_exec(const struct machine *m);
/** machine_stats() - a new JSON object with all counters. Machine lock held. NULL: no memory. */
json_t *machine_stats(struct machine *m);
/** machine_restore_terminal() - as chr_stdio_restore(); async-signal-safe. */
void machine_restore_terminal(void);
/** machine_probe() - a new JSON array: what each engine's probe found. */
json_t *machine_probe(void);

#endif
