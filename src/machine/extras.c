/* SPDX-License-Identifier: MIT */
/*
 * The device types of --device: "TYPE" or "TYPE,KEY=VALUE", each at most once.
 */
#include "machine/parts.h"
#include "machine/pvpanic.h"
#include "machine/registry.h"
#include "virtio/dev/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int make_debug_exit(struct machine *m, uint64_t base, struct err *e)
{
	struct debug_exit *d;
	int ret = debug_exit_create(&d, &m->env, (uint16_t)base, e);

	return ret ? ret : machine_add_dev(m, &debug_exit_dev_ops, d, "isa-debug-exit", e);
}

static int make_testdev(struct machine *m, uint64_t value, struct err *e)
{
	struct irq_line irqs[BOARD_IOAPIC_PINS];
	struct pc_testdev *d;
	int ret;

	for (unsigned i = 0; i < BOARD_IOAPIC_PINS; i++)
		irqs[i] = wiring_gsi(m, i);
	ret = pc_testdev_create(&d, &m->env, irqs, e);
	return ret ? ret : machine_add_dev(m, &pc_testdev_dev_ops, d, "pc-testdev", e);
}

static int make_pvpanic(struct machine *m, uint64_t value, struct err *e)
{
	struct pvpanic *d;
	int ret = pvpanic_create(&d, &m->env, e);

	return ret ? ret : machine_add_dev(m, &pvpanic_dev_ops, d, "pvpanic", e);
}

static int make_rng(struct machine *m, uint64_t value, struct err *e)
{
	struct virtio_dev *d;
	int ret = virtio_rng_create(&d, &m->env, "virtio-rng0", e);

	return ret ? ret : machine_add_virtio(m, d, e);
}

static int make_balloon(struct machine *m, uint64_t value, struct err *e)
{
	struct virtio_dev *d;
	int ret = virtio_balloon_create(&d, &m->env, "virtio-balloon0", e);

	if (!ret)
		ret = machine_add_virtio(m, d, e);
	if (!ret)
		m->balloon = d;
	return ret;
}

static int make_console(struct machine *m, uint64_t value, struct err *e)
{
	struct virtio_dev *d;
	struct chr *chr;
	int ret = chr_build(m, &m->config->console, "console", &chr, e);

	if (ret)
		return ret;
	ret = virtio_console_create(&d, &m->env, "virtio-console0", chr, e);
	if (ret) {
		chr_destroy(chr);
		return ret;
	}
	return machine_add_virtio(m, d, e);
}

static const struct registry_device devices[] = {
	{ .type = "virtio-rng", .by_default = true, .create = make_rng },
	{ .type = "virtio-balloon", .by_default = true, .create = make_balloon },
	{ .type = "virtio-console", .create = make_console },
	{ .type = "pvpanic", .by_default = true, .create = make_pvpanic },
	{ .type = "isa-debug-exit",
	  .key = "iobase",
	  .key_default = 0x501, /* QEMU's */
	  .key_max = 0xffff,
	  .create = make_debug_exit },
	{ .type = "pc-testdev", .create = make_testdev },
};

const struct registry_device *registry_devices(unsigned *n)
{
	*n = ARRAY_SIZE(devices);
	return devices;
}

/* The index of the type in @text, its value in *@value; -EINVAL with a sentence. */
static int parse(const char *text, uint64_t *value, struct err *e)
{
	size_t len = strcspn(text, ",");
	const char *option = text[len] ? text + len + 1 : NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
		const struct registry_device *d = &devices[i];
		size_t key_len = d->key ? strlen(d->key) : 0;
		char *end;

		if (strlen(d->type) != len || memcmp(d->type, text, len) != 0)
			continue;
		*value = d->key_default;
		if (!option)
			return (int)i;
		if (!d->key || strncmp(option, d->key, key_len) != 0 || option[key_len] != '=')
			return err_set(e, -EINVAL, "device %s has no option '%.80s'%s%s", d->type,
				       option, d->key ? "; it takes " : "", d->key ? d->key : "");
		errno = 0;
		*value = strtoull(option + key_len + 1, &end, 0);
		if (errno || end == option + key_len + 1 || *end || *value > d->key_max)
			return err_set(e, -EINVAL, "device %s: '%.80s' is not a number up to %#llx",
				       d->type, option, (unsigned long long)d->key_max);
		return (int)i;
	}
	return err_set(e, -EINVAL,
		       "unknown device '%.80s': there are virtio-rng, virtio-balloon, "
		       "virtio-console, pvpanic, isa-debug-exit and pc-testdev",
		       text);
}

int extras_build(struct machine *m, struct err *e)
{
	bool wanted[ARRAY_SIZE(devices)] = { false };
	uint64_t values[ARRAY_SIZE(devices)] = { 0 };
	int ret = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		wanted[i] = devices[i].by_default;
	for (unsigned i = 0; i < m->config->n_devices; i++) {
		uint64_t value = 0;
		int at = parse(m->config->devices[i], &value, e);

		if (at < 0)
			return at;
		if (wanted[at] && !devices[at].by_default)
			return err_set(e, -EINVAL, "device %s is given twice", devices[at].type);
		wanted[at] = true;
		values[at] = value;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].create == make_console && m->config->console.kind != VM_CHR_NONE)
			wanted[i] = true;
	for (unsigned i = 0; !ret && i < ARRAY_SIZE(devices); i++)
		if (wanted[i])
			ret = devices[i].create(m, values[i], e);
	return ret;
}
