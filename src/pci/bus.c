/* SPDX-License-Identifier: MIT */
/*
 * The PCI bus: host bridge, config ports, ECAM, BAR ranges, INTx routing.
 *
 * Theory of operation: after every change of a config space pci_bus_remap() compares what each
 * BAR wants (decode bit set, an address that is none of the sizing values) with what is claimed,
 * releases what moved and claims what is new; so a BAR that was in another's way gets its range
 * as soon as the other leaves.
 *
 * The host bridge is 1b36:0008: the id that the Linux PCI ID list gives to QEMU's generic PCIe
 * host bridge (pci.ids, vendor 1b36); guests bind no driver to it.
 *
 * Port 0xcf9 lies inside the address register's doubleword; a byte write there is the PC's reset
 * control register (Intel ICH9 datasheet, 13.7.5: bit 2 resets), so it is handled here.
 */
#include "base/bytes.h"
#include "pci/pci_internal.h"

#include <errno.h>
#include <stdlib.h>

#define ECAM_SIZE     0x100000u
#define RESET_CONTROL 1u /* offset of port 0xcf9 */
#define RESET_CPU     0x04u

static uint64_t config_read(struct pci_bus *b, unsigned slot, unsigned fn, unsigned off,
			    unsigned size)
{
	if (fn || !b->func[slot])
		return UINT32_MAX;
	return pci_func_config_read(b->func[slot], off, size);
}

static void config_write(struct pci_bus *b, unsigned slot, unsigned fn, unsigned off, unsigned size,
			 uint64_t val)
{
	if (!fn && b->func[slot])
		pci_func_config_write(b->func[slot], off, size, (uint32_t)val);
}

/* 3.2.2.3.2: enable 31, bus 23..16, device 15..11, function 10..8, register 7..2. */
static bool decode_address(const struct pci_bus *b, unsigned *slot, unsigned *fn, unsigned *reg)
{
	*slot = b->address >> 11 & 31;
	*fn = b->address >> 8 & 7;
	*reg = b->address & 0xfc;
	return b->address & PCI_CONFIG_ADDRESS_ENABLE && !(b->address >> 16 & 0xff);
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *b = dev;
	unsigned slot, fn, reg;

	if (off < 4)
		return off == 0 && size == 4 ? b->address : off == RESET_CONTROL ? 0 : UINT64_MAX;
	if (!decode_address(b, &slot, &fn, &reg))
		return UINT64_MAX;
	return config_read(b, slot, fn, reg + (unsigned)(off - 4), size);
}

static void ports_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bus *b = dev;
	unsigned slot, fn, reg;

	if (off == RESET_CONTROL && size == 1 && val & RESET_CPU)
		dev_request(&b->env, DEV_REQUEST_RESET, 0);
	if (off == 0 && size == 4)
		b->address = (uint32_t)val;
	if (off >= 4 && decode_address(b, &slot, &fn, &reg))
		config_write(b, slot, fn, reg + (unsigned)(off - 4), size, val);
}

static const struct bus_ops ports_ops = { .read = ports_read, .write = ports_write, 1, 4 };

/* PCI Express 5.0, 7.2.2: bus 27..20, device 19..15, function 14..12, register 11..0. */
static uint64_t ecam_read(void *dev, uint64_t off, unsigned size)
{
	return config_read(dev, off >> 15 & 31, off >> 12 & 7, off & 0xfff, size);
}

static void ecam_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	config_write(dev, off >> 15 & 31, off >> 12 & 7, off & 0xfff, size, val);
}

static const struct bus_ops ecam_ops = { .read = ecam_read, .write = ecam_write, 1, 4 };

void pci_bus_drive(struct pci_bus *b, unsigned slot, bool level)
{
	unsigned line = slot % 4;
	uint32_t old = b->intx_slots[line], now = old & ~(1u << slot);

	if (level)
		now |= 1u << slot;
	b->intx_slots[line] = now;
	if (!old != !now)
		irq_set(&b->intx[line], now != 0);
}

/* Where BAR @i of @f should be; false where nowhere. */
static bool bar_wanted(const struct pci_func *f, unsigned i, uint64_t *base)
{
	const struct pci_bar_config *c = &f->cfg.bar[i];
	unsigned at = PCI_BASE_ADDRESS_0 + 4 * i;
	uint16_t command = get_le16(f->config + PCI_COMMAND);
	uint64_t limit = c->io ? 0x10000 : c->is64 ? 1ull << MEM_GPA_BITS : 1ull << 32;
	uint64_t v = get_le32(f->config + at);
	const struct mem_region *r;
	unsigned n;

	if (!c->size || !(command & (c->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	if (c->is64)
		v |= (uint64_t)get_le32(f->config + at + 4) << 32;
	v &= ~(c->size - 1);
	*base = v;
	/* 0 is "not placed", the topmost slot is what sizing leaves behind. */
	if (!v || !range_ok(v, c->size, limit - 1))
		return false;
	if (c->io)
		return true;
	r = mem_regions(f->bus->env.mem, &n);
	for (unsigned k = 0; k < n; k++)
		if (range_overlap(v, c->size, r[k].gpa, r[k].size))
			return false;
	return true;
}

static void claim(struct pci_bus *b, struct pci_bar *bar, uint64_t base)
{
	struct bus *on = bar->f->cfg.bar[bar->index].io ? b->env.ports : b->env.mmio;
	bool told = bar->refused && bar->range.base == base;

	bar->range.base = base;
	bar->mapped = bus_claim(on, &bar->range, NULL) == 0;
	bar->refused = !bar->mapped;
	if (bar->refused && !told)
		log_guest(&b->limit, "pci", "%s: BAR %u at 0x%llx is in another's way, unmapped",
			  bar->f->cfg.name, bar->index, (unsigned long long)base);
}

void pci_bus_remap(struct pci_bus *b)
{
	for (int add = 0; add < 2; add++) {
		for (unsigned k = 0; k < PCI_SLOTS * PCI_BARS; k++) {
			struct pci_func *f = b->func[k / PCI_BARS];
			struct pci_bar *bar = f ? &f->bar[k % PCI_BARS] : NULL;
			uint64_t base = 0;
			bool want;

			if (!bar || !f->cfg.bar[bar->index].size)
				continue;
			want = bar_wanted(f, bar->index, &base);
			if (!add && bar->mapped && (!want || bar->range.base != base)) {
				bus_release(f->cfg.bar[bar->index].io ? b->env.ports : b->env.mmio,
					    &bar->range);
				bar->mapped = false;
			} else if (add && want && !bar->mapped) {
				claim(b, bar, base);
			}
		}
	}
}

int pci_bus_create(struct pci_bus **out, const struct dev_env *env, gpa_t ecam,
		   const struct irq_line intx[4], struct err *e)
{
	static const struct pci_func_config bridge = {
		.name = "pci-host",
		.vendor = 0x1b36,
		.device = 0x0008,
		.subsys_vendor = 0x1af4,
		.subsys = 0x1100,
		.class_rev = PCI_CLASS_BRIDGE_HOST << 16,
	};
	struct pci_bus *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return err_set(e, -ENOMEM, "no memory for the PCI bus");
	b->env = *env;
	memcpy(b->intx, intx, sizeof(b->intx));
	b->ports = (struct bus_range) { .base = PCI_CONFIG_ADDRESS,
					.size = 8,
					.ops = &ports_ops,
					.dev = b,
					.name = "pci-config" };
	b->ecam = (struct bus_range) {
		.base = ecam, .size = ECAM_SIZE, .ops = &ecam_ops, .dev = b, .name = "pci-ecam"
	};
	rc = pci_func_add(b, 0, &bridge, &b->bridge, e);
	if (rc)
		goto fail_free;
	rc = bus_claim(env->ports, &b->ports, e);
	if (rc)
		goto fail_bridge;
	if (ecam) {
		rc = bus_claim(env->mmio, &b->ecam, e);
		if (rc)
			goto fail_ports;
	}
	*out = b;
	return 0;
fail_ports:
	bus_release(env->ports, &b->ports);
fail_bridge:
	pci_func_remove(b->bridge);
fail_free:
	free(b);
	return rc;
}

void pci_bus_destroy(struct pci_bus *b)
{
	if (!b)
		return;
	for (unsigned s = 1; s < PCI_SLOTS; s++)
		BUG_ON(b->func[s]);
	if (b->ecam.base)
		bus_release(b->env.mmio, &b->ecam);
	bus_release(b->env.ports, &b->ports);
	pci_func_remove(b->bridge);
	free(b);
}

/* A window that BARs are cut from. */
struct window {
	uint64_t next, end;
};

static bool window_take(struct window *w, uint64_t size, uint64_t *base)
{
	uint64_t at;

	if (ADD_OVERFLOWS(w->next, size - 1, &at))
		return false;
	at = align_down(at, size);
	if (at > w->end || size > w->end - at)
		return false;
	*base = at;
	w->next = at + size;
	return true;
}

int pci_bus_assign(struct pci_bus *b, gpa_t mmio32, uint64_t mmio32_size, gpa_t mmio64,
		   uint64_t mmio64_size, uint16_t io, uint16_t io_size, struct err *e)
{
	struct window w32 = { mmio32, mmio32 + mmio32_size },
		      w64 = { mmio64, mmio64 + mmio64_size };
	struct window wio = { io, (uint64_t)io + io_size };

	/* Largest first: then alignment wastes nothing. */
	for (uint64_t size = 1ull << 40; size >= 16; size >>= 1) {
		for (unsigned k = 0; k < PCI_SLOTS * PCI_BARS; k++) {
			struct pci_func *f = b->func[k / PCI_BARS];
			unsigned i = k % PCI_BARS;
			uint64_t base = 0;

			if (!f || f->cfg.bar[i].size != size)
				continue;
			if (f->cfg.bar[i].io
				    ? !window_take(&wio, size, &base)
				    : !(f->cfg.bar[i].is64 && window_take(&w64, size, &base)) &&
					      !window_take(&w32, size, &base))
				return err_set(e, -ENOSPC,
					       "no room in the PCI window for BAR %u of %s", i,
					       f->cfg.name);
			pci_func_bar_place(f, i, base);
		}
	}
	for (unsigned s = 1; s < PCI_SLOTS; s++) {
		struct pci_func *f = b->func[s];

		if (!f)
			continue;
		f->config[PCI_COMMAND] |= PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
		if (f->cfg.intx)
			f->config[PCI_INTERRUPT_LINE] = (uint8_t)b->intx[s % 4].n;
		memcpy(f->boot, f->config, sizeof(f->boot));
		f->boot[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	}
	pci_bus_remap(b);
	return 0;
}

static void bus_dev_reset(void *dev)
{
	struct pci_bus *b = dev;

	b->address = 0;
	pci_func_reset(b->bridge);
}

static void bus_dev_save(void *dev, struct snap_writer *w)
{
	struct pci_bus *b = dev;

	snap_put_u64(w, "address", b->address);
	pci_func_save(b->bridge, w);
}

static int bus_dev_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct pci_bus *b = dev;
	uint64_t address;
	int rc = snap_get_u64(r, "address", &address, e);

	if (!rc && address > UINT32_MAX)
		rc = err_set(e, -EBADMSG, "pci: the config address has more than 32 bits");
	if (!rc)
		rc = pci_func_load(b->bridge, r, e);
	if (!rc)
		b->address = (uint32_t)address;
	return rc;
}

static void bus_dev_destroy(void *dev)
{
	pci_bus_destroy(dev);
}

const struct dev_ops pci_bus_dev_ops = {
	.type = "pci-host",
	.reset = bus_dev_reset,
	.save = bus_dev_save,
	.load = bus_dev_load,
	.destroy = bus_dev_destroy,
};
