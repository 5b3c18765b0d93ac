/* SPDX-License-Identifier: MIT */
/*
 * The panic port, see pvpanic.h.
 *
 * Interface: QEMU, docs/specs/pvpanic.rst. One byte at port 0x505; reading tells which events it
 * knows, writing reports them. Bit 0: the guest panicked; bit 1: it panicked and a crash kernel
 * takes over, so the machine must go on.
 */
#include "machine/pvpanic.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>

#define PVPANIC_PORT	    0x505
#define PVPANIC_PANICKED    0x01u
#define PVPANIC_CRASHLOADED 0x02u

struct pvpanic {
	const struct dev_env *env;
	struct bus_range range;
	struct log_limit limit;
};

static uint64_t pvpanic_read(void *dev, uint64_t off, unsigned size)
{
	return PVPANIC_PANICKED | PVPANIC_CRASHLOADED;
}

static void pvpanic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pvpanic *p = dev;

	if (val & PVPANIC_PANICKED)
		dev_request(p->env, DEV_REQUEST_PANIC, 0);
	else if (val & PVPANIC_CRASHLOADED)
		log_guest(&p->limit, "pvpanic", "the guest panicked; its crash kernel goes on");
}

static const struct bus_ops pvpanic_bus_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
	.min_size = 1,
	.max_size = 1,
};

int pvpanic_create(struct pvpanic **out, const struct dev_env *env, struct err *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for pvpanic");
	p->env = env;
	p->range = (struct bus_range) {
		.base = PVPANIC_PORT,
		.size = 1,
		.ops = &pvpanic_bus_ops,
		.dev = p,
		.name = "pvpanic",
	};
	ret = bus_claim(env->ports, &p->range, e);
	if (ret) {
		free(p);
		return ret;
	}
	*out = p;
	return 0;
}

static void pvpanic_destroy(void *dev)
{
	struct pvpanic *p = dev;

	if (!p)
		return;
	bus_release(p->env->ports, &p->range);
	free(p);
}

const struct dev_ops pvpanic_dev_ops = {
	.type = "pvpanic",
	.destroy = pvpanic_destroy,
};
