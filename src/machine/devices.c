/* SPDX-License-Identifier: MIT */
/*
 * The board's devices, in order: interrupt controllers first, since every other device is wired
 * to them; then what has a fixed port; then PCI and what sits on it.
 */
#include "virtio/dev/devices.h"
#include "machine/parts.h"
#include "machine/registry.h"
#include "virtio/pci/virtio_pci.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int chr_build(struct machine *m, const struct vm_chr *c, const char *what, struct chr **out,
	      struct err *e)
{
	struct chr_backend *b;
	int ret = registry_chrs[c->kind](&b, c, what, m, e);

	if (ret)
		return ret;
	ret = chr_create(out, b, e);
	if (ret)
		b->ops->close(b);
	return ret;
}

static int build_serial(struct machine *m, struct err *e)
{
	struct irq_line irq = wiring_gsi(m, BOARD_IRQ_COM1);
	struct uart *uart;
	const struct vm_chr ring = { .kind = VM_CHR_RING };
	struct chr *chr;
	int ret = chr_build(m, m->config->console_fd >= 0 ? &ring : &m->config->serial, "serial",
			    &chr, e);

	if (ret)
		return ret;
	ret = uart_create(&uart, &m->env, BOARD_PORT_COM1, &irq, chr, e);
	if (ret) {
		chr_destroy(chr);
		return ret;
	}
	m->serial = chr;
	ret = machine_add_dev(m, &uart_dev_ops, uart, "serial0", e);
	if (ret)
		m->serial = NULL;
	return ret;
}

/* What payloads ask of fw_cfg: QEMU, docs/specs/fw_cfg.rst and its standard keys. */
static int build_fw_cfg(struct machine *m, struct err *e)
{
	uint64_t ram = m->config->memory;
	uint16_t cpus = (uint16_t)m->config->cpus;
	int ret = fw_cfg_create(&m->fw_cfg, &m->env, e);

	if (!ret)
		ret = machine_add_dev(m, &fw_cfg_dev_ops, m->fw_cfg, "fw_cfg", e);
	if (!ret)
		ret = fw_cfg_add_item(m->fw_cfg, 0x03, &ram, sizeof(ram), e);
	if (!ret)
		ret = fw_cfg_add_item(m->fw_cfg, 0x05, &cpus, sizeof(cpus), e);
	if (!ret)
		ret = fw_cfg_add_item(m->fw_cfg, 0x0f, &cpus, sizeof(cpus), e);
	return ret;
}

static int build_irq_chips(struct machine *m, struct err *e)
{
	struct irq_line intr = wiring_intr(m);
	struct ioapic_config cfg = {
		.base = BOARD_IOAPIC,
		.routes_changed = wiring_routes,
		.ctx = m,
	};
	int ret = pic_create(&m->pic, &m->env, &intr, e);

	if (!ret)
		ret = machine_add_dev(m, &pic_dev_ops, m->pic, "pic", e);
	if (!ret)
		ret = ioapic_create(&m->ioapic, &m->env, &cfg, e);
	if (!ret)
		ret = machine_add_dev(m, &ioapic_dev_ops, m->ioapic, "ioapic", e);
	return ret;
}

static int build_pci(struct machine *m, struct err *e)
{
	struct irq_line intx[4];
	int ret;

	for (unsigned i = 0; i < 4; i++)
		intx[i] = wiring_gsi(m, BOARD_IRQ_PCI_FIRST + i);
	ret = pci_bus_create(&m->pci, &m->env, BOARD_ECAM, intx, e);
	return ret ? ret : machine_add_dev(m, &pci_bus_dev_ops, m->pci, "pci", e);
}

int chipset_build(struct machine *m, struct err *e)
{
	struct irq_line pit_irq = wiring_gsi(m, BOARD_IRQ_PIT);
	struct irq_line rtc_irq = wiring_gsi(m, BOARD_IRQ_RTC);
	struct irq_line kbd_irq = wiring_gsi(m, BOARD_IRQ_KEYBOARD);
	struct irq_line sci = wiring_gsi(m, BOARD_IRQ_SCI);
	struct i8042 *kbd = NULL;
	int ret = build_irq_chips(m, e);

	if (!ret)
		ret = pit_create(&m->pit, &m->env, &pit_irq, e);
	if (!ret)
		ret = machine_add_dev(m, &pit_dev_ops, m->pit, "pit", e);
	if (!ret)
		ret = rtc_create(&m->rtc, &m->env, &rtc_irq, e);
	if (!ret)
		ret = machine_add_dev(m, &rtc_dev_ops, m->rtc, "rtc", e);
	if (!ret)
		ret = i8042_create(&kbd, &m->env, &kbd_irq, e);
	if (!ret)
		ret = machine_add_dev(m, &i8042_dev_ops, kbd, "i8042", e);
	if (!ret)
		ret = acpi_pm_create(&m->acpi_pm, &m->env, BOARD_PORT_PM, &sci, e);
	if (!ret)
		ret = machine_add_dev(m, &acpi_pm_dev_ops, m->acpi_pm, "acpi-pm", e);
	if (!ret)
		ret = build_serial(m, e);
	if (!ret)
		ret = build_fw_cfg(m, e);
	if (!ret)
		ret = build_pci(m, e);
	return ret;
}

int machine_add_virtio(struct machine *m, struct virtio_dev *d, struct err *e)
{
	const char *name = virtio_dev_config(d)->name;
	void *impl;
	int ret = virtio_pci_create(&impl, &m->env, m->pci, d, e);

	if (ret) {
		virtio_dev_destroy(d);
		return ret;
	}
	return machine_add_dev(m, &virtio_pci_dev_ops, impl, name, e);
}

/* Names are borrowed by the devices, so they must be constant. */
static const char *const blk_names[] = {
	"virtio-blk0",	"virtio-blk1",	"virtio-blk2",	"virtio-blk3",
	"virtio-blk4",	"virtio-blk5",	"virtio-blk6",	"virtio-blk7",
	"virtio-blk8",	"virtio-blk9",	"virtio-blk10", "virtio-blk11",
	"virtio-blk12", "virtio-blk13", "virtio-blk14", "virtio-blk15",
};
static_assert(ARRAY_SIZE(blk_names) == VM_DISKS_MAX, "a name for each disk");

static int build_disk(struct machine *m, unsigned i, struct err *e)
{
	const struct vm_disk *c = &m->config->disks[i];
	struct blk_backend *b;
	struct virtio_dev *d;
	struct blk *k;
	const struct registry_format *f = &registry_formats[0];
	int ret;

	if (i < m->config->n_disk_fds)
		ret = f->open_fd(&b, m->config->disk_fds[i], c->path, c->readonly, m->loop, e);
	else
		ret = f->open(&b, c->path, c->readonly, m->loop, e);
	/* A size that is wrong is the file's fault, not the command line's. */
	if (ret == -EINVAL) {
		ret = -EBADMSG;
		if (e)
			e->code = ret;
	}
	if (ret)
		return ret;
	ret = blk_create(&k, b, m->loop, e);
	if (ret) {
		b->ops->close(b);
		return ret;
	}
	blk_set_limit(k, &m->io_limit);
	ret = virtio_blk_create(&d, &m->env, blk_names[i], k, c->serial,
				m->config->cpus < 4 ? m->config->cpus : 4, e);
	if (ret) {
		blk_destroy(k);
		return ret;
	}
	ret = machine_add_virtio(m, d, e);
	if (!ret)
		m->blks[i] = k;
	return ret;
}

/* A locally administered address from the VM's name (FNV-1a), the same at each start. */
static void make_mac(const char *name, uint8_t mac[6])
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
	mac[0] = (uint8_t)((mac[0] & 0xfcu) | 0x02u);
}

static int build_net(struct machine *m, struct err *e)
{
	registry_net_fn open = registry_nets[m->config->net];
	struct net_backend *b;
	struct virtio_dev *d;
	struct net *n;
	uint8_t mac[6];
	int ret;

	if (!open)
		return 0;
	ret = open(&b, m->config, m->loop, e);
	if (ret)
		return ret;
	ret = net_create(&n, b, m->loop, e);
	if (ret) {
		b->ops->close(b);
		return ret;
	}
	if (m->config->mac_given)
		memcpy(mac, m->config->mac, sizeof(mac));
	else
		make_mac(m->config->name, mac);
	ret = virtio_net_create(&d, &m->env, "virtio-net0", n, mac, e);
	if (ret) {
		net_destroy(n);
		return ret;
	}
	ret = machine_add_virtio(m, d, e);
	if (!ret)
		m->net = n;
	return ret;
}

int virtio_build(struct machine *m, struct err *e)
{
	int ret = 0;

	for (unsigned i = 0; !ret && i < m->config->n_disks; i++) {
		ret = build_disk(m, i, e);
		if (ret)
			return ret;
	}
	return build_net(m, e);
}
