/* SPDX-License-Identifier: MIT */
/*
 * isa-debug-exit: a port whose writing ends the VM with a chosen exit code.
 *
 * The same interface as QEMU's device of that name (its documentation: a write of V ends the
 * process with (V << 1) | 1), so that bare-metal test payloads run unchanged. Odd codes never
 * clash with Holm's own, which are even.
 */
#include "chipset/chipset.h"

#include <errno.h>
#include <stdlib.h>

#define DEBUG_EXIT_SIZE 4

struct debug_exit {
	struct dev_env env;
	struct bus_range range;
};

static uint64_t exit_read(void *dev UNUSED, uint64_t off UNUSED, unsigned size UNUSED)
{
	return 0;
}

static void exit_write(void *dev, uint64_t off UNUSED, unsigned size UNUSED, uint64_t val)
{
	struct debug_exit *d = dev;

	dev_request(&d->env, DEV_REQUEST_DEBUG_EXIT, (uint32_t)((val << 1 | 1) & 0xff));
}

static const struct bus_ops exit_ops = { .read = exit_read, .write = exit_write, .max_size = 4 };

int debug_exit_create(struct debug_exit **out, const struct dev_env *env, uint16_t base,
		      struct err *e)
{
	struct debug_exit *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return err_set(e, -ENOMEM, "no memory for isa-debug-exit");
	d->env = *env;
	d->range = (struct bus_range) { .base = base,
					.size = DEBUG_EXIT_SIZE,
					.ops = &exit_ops,
					.dev = d,
					.name = "isa-debug-exit" };
	ret = bus_claim(env->ports, &d->range, e);
	if (ret) {
		free(d);
		return ret;
	}
	*out = d;
	return 0;
}

static void debug_exit_destroy(void *dev)
{
	struct debug_exit *d = dev;

	if (!d)
		return;
	bus_release(d->env.ports, &d->range);
	free(d);
}

const struct dev_ops debug_exit_dev_ops = {
	.type = "isa-debug-exit",
	.destroy = debug_exit_destroy,
};
