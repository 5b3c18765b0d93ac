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
 * A pause is asked for under the machine lock and done by machine_run(), which waits for the vCPUs
 * outside it: when the hook `settled` runs, no vCPU is in the guest, devices are quiet, and the
 * machine's clock stands (gclock.h). Engines that can move the guest's clocks back when it goes on
 * (cpu_engine_ops.vm_stand_still) hide the pause from the guest; its wall clock is then behind.
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
	/** The machine stands or runs as was last asked for. Loop's thread, locked. Optional. */
	void (*settled)(void *ctx);
	/** machine_save() is done, or failed as @e (NULL: it did not). Likewise. Optional. */
	void (*saved)(void *ctx, const struct err *e);
	void *ctx;
};

/**
 * machine_create() - build all of it; nothing runs yet. With state_fd and memory_fd it is made from
 * what machine_save() wrote, by either engine.
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

/**
 * machine_pause(), machine_resume() - have the vCPUs stand still, or go on; soon: see above. The
 * last one asked for counts. Machine lock held; any thread.
 */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
/** machine_paused() - whether a pause was asked for last. Machine lock held. */
bool machine_paused(const struct machine *m);
/**
 * machine_save() - write a machine that stands to two empty files; hooks.saved() follows.
 * @state_fd:  devices and CPUs
 * @memory_fd: RAM, sparse
 *
 * Both descriptors are the machine's from success on. It goes on standing; what its disks still
 * had to do is done. Errors: -EBUSY (it runs, or is being saved). Machine lock held.
 */
int machine_save(struct machine *m, int state_fd, int memory_fd, struct err *e) MUST_CHECK;
/** machine_reset() - as the button on the case, whatever `on_reboot` says. Machine lock held. */
void machine_reset(struct machine *m);
/**
 * machine_balloon() - have the guest keep @keep bytes of its memory, at least 16 MiB of them.
 *
 * Errors: -ERANGE (less than that, or more than it has). Machine lock held.
 */
int machine_balloon(struct machine *m, uint64_t keep, struct err *e) MUST_CHECK;
/**
 * machine_limit_io(), machine_limit_net() - bytes a second from now on, at most RATE_MAX; 0: no
 * limit. All disks together; the network each way. Machine lock held.
 */
void machine_limit_io(struct machine *m, uint64_t per_sec);
void machine_limit_net(struct machine *m, uint64_t per_sec);
/**
 * machine_forward() - forward a port of the host's to the guest from now on (@on), or no more.
 *
 * Errors: -ENOTSUP (no user-mode network), -E2BIG, -ENOENT (@on false and there is none), and
 * those of listening. Loop's thread, machine lock held.
 */
int machine_forward(struct machine *m, const struct vm_forward *f, bool on,
		    struct err *e) MUST_CHECK;

/** machine_end() - how it ended; MACHINE_RUNS while it does. Any thread. */
enum machine_end machine_end(const struct machine *m);
/** machine_end_name() - "poweroff". */
const char *machine_end_name(enum machine_end end);
/** machine_engine() - its name; *@why (where not NULL) receives the sentence that says why. */
const char *machine_engine(const struct machine *m, const char **why);

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
/**
 * machine_balloon_stats() - a new JSON object: what the guest was asked to give and has given,
 * and its own figures, which are as old as the call before. Machine lock held. NULL: no memory.
 */
json_t *machine_balloon_stats(struct machine *m);
/** machine_restore_terminal() - as chr_stdio_restore(); async-signal-safe. */
void machine_restore_terminal(void);
/** machine_probe() - a new JSON array: what each engine's probe found. */
json_t *machine_probe(void);

#endif
