/* SPDX-License-Identifier: MIT */
/*
 * A PCI function: config space, BARs, capabilities, INTx. PCI Local Bus 3.0, chapter 6.
 *
 * Theory of operation: config space is 256 bytes and a mask of what the guest may write; BAR
 * sizing falls out of the mask. What config space means (ranges, MSI-X, INTx) is recomputed after
 * each write. The bytes that the guest sees are never trusted for sizes: those come from the
 * function's const description.
 *
 * Limits: one function in a slot; no expansion ROM; the bus-master bit is kept but gates nothing.
 */
#include "base/bytes.h"
#include "pci/pci_internal.h"

#include <errno.h>
#include <stdlib.h>

uint64_t pci_func_bar_size(const struct pci_func *f, unsigned i)
{
	return f->cfg.bar[i].size;
}

static uint64_t bar_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bar *bar = dev;
	struct pci_func *f = bar->f;

	if (f->cfg.msix_vectors && bar->index == f->cfg.msix_bar)
		return pci_msix_read(f, off, size);
	if (!f->cfg.ops || !f->cfg.ops->bar_read)
		return UINT64_MAX;
	return f->cfg.ops->bar_read(f->cfg.dev, bar->index, off, size);
}

static void bar_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bar *bar = dev;
	struct pci_func *f = bar->f;

	if (f->cfg.msix_vectors && bar->index == f->cfg.msix_bar)
		pci_msix_write(f, off, size, val);
	else if (f->cfg.ops && f->cfg.ops->bar_write)
		f->cfg.ops->bar_write(f->cfg.dev, bar->index, off, size, val);
}

static const struct bus_ops bar_ops = { .read = bar_read, .write = bar_write };

void pci_func_bar_place(struct pci_func *f, unsigned i, uint64_t base)
{
	unsigned at = PCI_BASE_ADDRESS_0 + 4 * i;
	const struct pci_bar_config *c = &f->cfg.bar[i];

	put_le32(f->config + at, (uint32_t)base | (f->config[at] & (c->io ? 0x3u : 0xfu)));
	if (c->is64)
		put_le32(f->config + at + 4, (uint32_t)(base >> 32));
}

static int check_bars(const struct pci_func_config *c, struct err *e)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar_config *b = &c->bar[i];
		uint64_t most = b->io ? 256 : b->is64 ? 1ull << 40 : 1ull << 31;

		if (!b->size)
			continue;
		if (!is_pow2(b->size) || b->size < 16 || b->size > most || (b->io && b->is64) ||
		    (b->is64 && (i + 1 == PCI_BARS || c->bar[i + 1].size)))
			return err_set(e, -EINVAL, "%s: BAR %u is not one PCI can have", c->name,
				       i);
	}
	if (c->msix_vectors > PCI_MSIX_VECTORS_MAX ||
	    (c->msix_vectors && (c->msix_bar >= PCI_BARS || c->bar[c->msix_bar].io ||
				 c->bar[c->msix_bar].size < PCI_MSIX_PBA_OFF + 8)))
		return err_set(e, -EINVAL, "%s: no room for its MSI-X table", c->name);
	return 0;
}

static void init_config(struct pci_func *f)
{
	const struct pci_func_config *c = &f->cfg;
	uint8_t *p = f->config, *w = f->wmask;

	put_le16(p + PCI_VENDOR_ID, c->vendor);
	put_le16(p + PCI_DEVICE_ID, c->device);
	put_le32(p + PCI_CLASS_REVISION, c->class_rev);
	put_le16(p + PCI_SUBSYSTEM_VENDOR_ID, c->subsys_vendor);
	put_le16(p + PCI_SUBSYSTEM_ID, c->subsys);
	p[PCI_INTERRUPT_PIN] = c->intx ? 1 : 0;
	w[PCI_INTERRUPT_LINE] = 0xff;
	w[PCI_CACHE_LINE_SIZE] = 0xff;
	put_le16(w + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
					  PCI_COMMAND_SERR | PCI_COMMAND_INTX_OFF);
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar_config *b = &c->bar[i];
		unsigned at = PCI_BASE_ADDRESS_0 + 4 * i;
		uint64_t mask = ~(b->size - 1);

		f->bar[i] = (struct pci_bar) { .f = f, .index = i };
		f->bar[i].range = (struct bus_range) {
			.size = b->size, .ops = &bar_ops, .dev = &f->bar[i], .name = "pci-bar"
		};
		if (!b->size)
			continue;
		put_le32(w + at, (uint32_t)mask);
		if (b->io)
			p[at] = PCI_BAR_IO;
		else
			p[at] = (uint8_t)((b->is64 ? PCI_BAR_64 : 0) |
					  (b->prefetch ? PCI_BAR_PREFETCH : 0));
		if (b->is64)
			put_le32(w + at + 4, (uint32_t)(mask >> 32));
	}
	f->cap_last = PCI_CAPABILITY_LIST;
	f->cap_end = PCI_HEADER_END;
}

static int add_msix_cap(struct pci_func *f)
{
	uint8_t cap[PCI_MSIX_CAP_LEN] = { PCI_CAP_ID_MSIX };
	uint8_t w[PCI_MSIX_CAP_LEN] = { 0 };
	int at;

	put_le16(cap + PCI_MSIX_FLAGS, (uint16_t)(f->cfg.msix_vectors - 1));
	put_le32(cap + PCI_MSIX_TABLE, f->cfg.msix_bar);
	put_le32(cap + PCI_MSIX_PBA, PCI_MSIX_PBA_OFF | f->cfg.msix_bar);
	put_le16(w + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	at = pci_func_add_cap(f, cap, w, sizeof(cap));
	if (at < 0)
		return at;
	f->msix_cap = (unsigned)at;
	return 0;
}

int pci_func_add(struct pci_bus *b, int slot, const struct pci_func_config *cfg,
		 struct pci_func **out, struct err *e)
{
	struct pci_func *f;
	int rc = check_bars(cfg, e);

	if (rc)
		return rc;
	if (slot < 0)
		for (slot = 1; slot < PCI_SLOTS && b->func[slot];)
			slot++;
	else if (slot < PCI_SLOTS && b->func[slot])
		return err_set(e, -EEXIST, "PCI slot %d is taken", slot);
	if (slot >= PCI_SLOTS)
		return err_set(e, -ENOSPC, "no PCI slot is free for %s; take a device away",
			       cfg->name);
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(e, -ENOMEM, "no memory for %s", cfg->name);
	f->bus = b;
	f->slot = (unsigned)slot;
	f->cfg = *cfg;
	pthread_mutex_init(&f->msix_lock, NULL);
	init_config(f);
	pci_msix_reset(f);
	if (cfg->msix_vectors)
		BUG_ON(add_msix_cap(f));
	memcpy(f->boot, f->config, sizeof(f->boot));
	b->func[slot] = f;
	*out = f;
	return 0;
}

void pci_func_remove(struct pci_func *f)
{
	if (!f)
		return;
	f->intx_level = false;
	pci_func_update_intx(f);
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (f->bar[i].mapped)
			bus_release(f->cfg.bar[i].io ? f->bus->env.ports : f->bus->env.mmio,
				    &f->bar[i].range);
	f->bus->func[f->slot] = NULL;
	pci_bus_remap(f->bus);
	pthread_mutex_destroy(&f->msix_lock);
	free(f);
}

unsigned pci_func_slot(const struct pci_func *f)
{
	return f->slot;
}

int pci_func_add_cap(struct pci_func *f, const uint8_t *cap, const uint8_t *wmask, unsigned len)
{
	unsigned at = (unsigned)align_up(f->cap_end, 4);

	BUG_ON(len < 2);
	if (len > PCI_CONFIG_SIZE - at)
		return -ENOSPC;
	memcpy(f->config + at, cap, len);
	f->config[at + 1] = 0;
	if (wmask)
		memcpy(f->wmask + at, wmask, len);
	f->config[f->cap_last] = (uint8_t)at;
	f->cap_last = at + 1;
	f->cap_end = at + len;
	f->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	memcpy(f->boot, f->config, sizeof(f->boot));
	return (int)at;
}

uint32_t pci_func_config_read(struct pci_func *f, unsigned off, unsigned size)
{
	uint32_t v;

	if (!range_ok(off, size, PCI_CONFIG_SIZE))
		return UINT32_MAX;
	if (off >= PCI_HEADER_END && f->cfg.ops && f->cfg.ops->config_read &&
	    f->cfg.ops->config_read(f->cfg.dev, off, size, &v))
		return v;
	return (uint32_t)get_le(f->config + off, size);
}

/* What config space controls, after a write of it or a load. */
static void apply(struct pci_func *f)
{
	pci_msix_update(f);
	pci_func_update_intx(f);
	pci_bus_remap(f->bus);
}

void pci_func_config_write(struct pci_func *f, unsigned off, unsigned size, uint32_t val)
{
	uint8_t old[PCI_CONFIG_SIZE];

	if (!range_ok(off, size, PCI_CONFIG_SIZE))
		return;
	memcpy(old, f->config, sizeof(old));
	for (unsigned i = 0; i < size; i++) {
		uint8_t w = f->wmask[off + i];

		f->config[off + i] = (uint8_t)((f->config[off + i] & ~w) | ((val >> (8 * i)) & w));
	}
	if (off >= PCI_HEADER_END && f->cfg.ops && f->cfg.ops->config_write)
		f->cfg.ops->config_write(f->cfg.dev, off, size, val);
	if (memcmp(old, f->config, sizeof(old)) != 0)
		apply(f);
}

void pci_func_update_intx(struct pci_func *f)
{
	bool off = get_le16(f->config + PCI_COMMAND) & PCI_COMMAND_INTX_OFF;

	if (!f->cfg.intx)
		return;
	/* 6.2.3: the status bit shows the device's wish, whatever the disable bit says. */
	f->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (f->intx_level)
		f->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	pci_bus_drive(f->bus, f->slot, f->intx_level && !off);
}

void pci_func_intx(struct pci_func *f, bool level)
{
	if (f->intx_level == level)
		return;
	f->intx_level = level;
	pci_func_update_intx(f);
}

void pci_func_reset(struct pci_func *f)
{
	f->intx_level = false;
	memcpy(f->config, f->boot, sizeof(f->config));
	pci_msix_reset(f);
	apply(f);
}

void pci_func_save(const struct pci_func *f, struct snap_writer *w)
{
	snap_begin(w, "pci", 1);
	snap_put_bytes(w, "config", f->config, sizeof(f->config));
	snap_put_bytes(w, "msix_table", f->msix_table, sizeof(f->msix_table));
	snap_put_u64(w, "msix_pending", f->msix_pending);
	snap_put_u64(w, "intx_level", f->intx_level);
	snap_end(w);
}

int pci_func_load(struct pci_func *f, const struct snap_reader *r, struct err *e)
{
	uint8_t config[PCI_CONFIG_SIZE], table[sizeof(f->msix_table)];
	uint64_t pending = 0, level = 0;
	struct snap_reader sub;
	uint32_t version;
	int rc = snap_enter(r, "pci", 1, &sub, &version, e);

	if (!rc)
		rc = snap_get_bytes(&sub, "config", config, sizeof(config), e);
	if (!rc)
		rc = snap_get_bytes(&sub, "msix_table", table, sizeof(table), e);
	if (!rc)
		rc = snap_get_u64(&sub, "msix_pending", &pending, e);
	if (!rc)
		rc = snap_get_u64(&sub, "intx_level", &level, e);
	if (rc)
		return rc;
	if (get_le32(config) != get_le32(f->config) || level > 1)
		return err_set(e, -EBADMSG, "%s: the snapshot holds another PCI device",
			       f->cfg.name);
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		f->config[i] = (uint8_t)((f->config[i] & ~f->wmask[i]) | (config[i] & f->wmask[i]));
	memcpy(f->msix_table, table, sizeof(table));
	f->msix_pending = pending;
	f->intx_level = level;
	apply(f);
	return 0;
}
