/* SPDX-License-Identifier: MIT */
/*
 * A device's life cycle and what it gets from the machine.
 *
 * A device is created with its dev_env and its own configuration, claims its ranges, and from
 * then on only answers: bus accesses, loop callbacks, the ops below. It never sees the VM, the
 * engine or another device.
 */
#ifndef HOLM_DEV_DEV_H
#define HOLM_DEV_DEV_H

#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "mem/mem.h"
#include "snap/snap.h"

/** What the machine lends to every device; outlives them all. */
struct dev_env {
	struct bus *ports;
	struct bus *mmio;
	struct mem *mem;
	struct loop *loop;
	const struct clock *clock;
	struct msi_sink msi;
	/** Guest asks for an end of the machine (reset, power-off ...). Under the machine lock. */
	void (*request)(void *ctx, int what, uint32_t arg);
	void *request_ctx;
};

/** What a guest can ask of the machine through a device; @arg only where the line says so. */
enum dev_request {
	DEV_REQUEST_RESET,	/* i8042, ACPI reset register, port 0xcf9 */
	DEV_REQUEST_POWEROFF,	/* ACPI S5 */
	DEV_REQUEST_DEBUG_EXIT, /* isa-debug-exit; @arg is the exit code, odd */
	DEV_REQUEST_PANIC,	/* pvpanic */
	DEV_REQUEST_COUNT
};

static inline void dev_request(const struct dev_env *env, enum dev_request what, uint32_t arg)
{
	if (env->request)
		env->request(env->request_ctx, (int)what, arg);
}

/**
 * A device type. All ops run under the machine lock; @dev is what create made.
 * Only destroy is mandatory; a missing reset, quiesce, save or load does nothing.
 */
struct dev_ops {
	const char *type; /* "i8254"; unique in a machine together with the instance's name */
	/** To the state after power-on. vCPUs are stopped. */
	void (*reset)(void *dev);
	/**
	 * Finish or park what is in flight (@on), so that state stands still; later let it go on.
	 * Returns when done; must not let the machine lock go.
	 */
	void (*quiesce)(void *dev, bool on);
	/** State of a quiesced device; must not change it. */
	void (*save)(void *dev, struct snap_writer *w);
	/** Fill a freshly created device; checks every value; leaves it untouched on failure. */
	int (*load)(void *dev, const struct snap_reader *r, struct err *e);
	void (*destroy)(void *dev);
};

/** A live device in the machine's list. */
struct dev {
	const struct dev_ops *ops;
	void *impl;
	char name[32]; /* unique: "serial0", "virtio-blk1" */
};

#endif
