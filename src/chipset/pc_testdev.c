/* SPDX-License-Identifier: MIT */
/*
 * pc-testdev: what bare-metal test payloads use to provoke the machine.
 *
 * The same interface as QEMU's device of that name: an echo register at port 0xe0, "flush page"
 * at 0xe4 (maps a page anew; nothing needs doing here, so it is accepted and ignored), a wire for
 * each of the 24 interrupt inputs at ports 0x2000 and up, and 64 KiB of plain memory at
 * 0xff000000.
 */
#include "chipset/chipset.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_ECHO  0xe0
#define PORT_FLUSH 0xe4
#define PORT_IRQS  0x2000
#define IRQS	   24
#define IOMEM	   0xff000000ull
#define IOMEM_SIZE 0x10000u

struct pc_testdev {
	struct dev_env env;
	struct bus_range echo, flush, irq_ports, iomem;
	struct irq_line irqs[IRQS];
	uint32_t echo_val;
	uint8_t mem[IOMEM_SIZE];
};

static uint64_t echo_read(void *dev, uint64_t off, unsigned size)
{
	uint64_t val = ((struct pc_testdev *)dev)->echo_val;

	return val >> off * 8 & size_mask(size);
}

static void echo_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pc_testdev *t = dev;
	uint32_t mask = (uint32_t)(size_mask(size) << off * 8);

	t->echo_val = (t->echo_val & ~mask) | ((uint32_t)(val << off * 8) & mask);
}

static uint64_t none_read(void *dev UNUSED, uint64_t off UNUSED, unsigned size UNUSED)
{
	return 0;
}

static void none_write(void *dev UNUSED, uint64_t off UNUSED, unsigned size UNUSED,
		       uint64_t val UNUSED)
{
}

static void irq_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t val)
{
	irq_set(&((struct pc_testdev *)dev)->irqs[off], val != 0);
}

static uint64_t iomem_read(void *dev, uint64_t off, unsigned size)
{
	return get_le(((struct pc_testdev *)dev)->mem + off, size);
}

static void iomem_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	put_le(((struct pc_testdev *)dev)->mem + off, size, val);
}

static const struct bus_ops echo_ops = { .read = echo_read, .write = echo_write, .max_size = 4 };
static const struct bus_ops flush_ops = { .read = none_read, .write = none_write };
static const struct bus_ops irq_ops = { none_read, irq_write, 1, 1 };
static const struct bus_ops iomem_ops = { .read = iomem_read, .write = iomem_write };

int pc_testdev_create(struct pc_testdev **out, const struct dev_env *env,
		      const struct irq_line irqs[24], struct err *e)
{
	struct pc_testdev *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_set(e, -ENOMEM, "no memory for pc-testdev");
	t->env = *env;
	memcpy(t->irqs, irqs, sizeof(t->irqs));
	t->echo = (struct bus_range) { PORT_ECHO, 4, &echo_ops, t, "testdev-echo" };
	t->flush = (struct bus_range) { PORT_FLUSH, 4, &flush_ops, t, "testdev-flush" };
	t->irq_ports = (struct bus_range) { PORT_IRQS, IRQS, &irq_ops, t, "testdev-irqs" };
	t->iomem = (struct bus_range) { IOMEM, IOMEM_SIZE, &iomem_ops, t, "testdev-iomem" };
	ret = bus_claim(env->ports, &t->echo, e);
	if (ret)
		goto fail_echo;
	ret = bus_claim(env->ports, &t->flush, e);
	if (ret)
		goto fail_flush;
	ret = bus_claim(env->ports, &t->irq_ports, e);
	if (ret)
		goto fail_irqs;
	ret = bus_claim(env->mmio, &t->iomem, e);
	if (ret)
		goto fail_iomem;
	*out = t;
	return 0;

fail_iomem:
	bus_release(env->ports, &t->irq_ports);
fail_irqs:
	bus_release(env->ports, &t->flush);
fail_flush:
	bus_release(env->ports, &t->echo);
fail_echo:
	free(t);
	return ret;
}

static const struct snap_field fields[] = {
	SNAP_FIELD(struct pc_testdev, SNAP_U32, echo_val),
	SNAP_FIELD(struct pc_testdev, SNAP_BYTES, mem),
};

static void testdev_save(void *dev, struct snap_writer *w)
{
	snap_save_fields(w, dev, fields, ARRAY_SIZE(fields));
}

static int testdev_load(void *dev, const struct snap_reader *r, struct err *e)
{
	return snap_load_fields(r, dev, fields, ARRAY_SIZE(fields), e);
}

static void testdev_reset(void *dev)
{
	struct pc_testdev *t = dev;

	t->echo_val = 0;
	for (unsigned i = 0; i < IRQS; i++)
		irq_set(&t->irqs[i], false);
}

static void testdev_destroy(void *dev)
{
	struct pc_testdev *t = dev;

	if (!t)
		return;
	bus_release(t->env.mmio, &t->iomem);
	bus_release(t->env.ports, &t->irq_ports);
	bus_release(t->env.ports, &t->flush);
	bus_release(t->env.ports, &t->echo);
	free(t);
}

const struct dev_ops pc_testdev_dev_ops = {
	.type = "pc-testdev",
	.reset = testdev_reset,
	.save = testdev_save,
	.load = testdev_load,
	.destroy = testdev_destroy,
};
