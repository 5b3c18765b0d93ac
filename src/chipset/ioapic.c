/* SPDX-License-Identifier: MIT */
/*
 * I/O APIC with 24 inputs.
 *
 * Theory of operation: Intel 82093AA data sheet (290566), and for the EOI register (version 0x20)
 * the ICH data sheets. Each input has a 64-bit redirection entry; a request that is not masked
 * becomes an MSI message with the entry's fields. A level-triggered entry sets Remote IRR when it
 * delivers and waits for the local APIC's EOI; if the wire is still up then, it delivers again.
 *
 * A level input's polarity bit is ignored: "true" is asserted.
 */
#include "chipset/chipset.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PINS		24
#define WINDOW_SIZE	0x1000
#define REG_SELECT	0x00
#define REG_DATA	0x10
#define REG_EOI		0x40
#define IDX_ID		0
#define IDX_VERSION	1
#define IDX_ARBITRATION 2
#define IDX_TABLE	0x10
#define VERSION		0x20u

/* Redirection entry: 3.2.4. */
#define RTE_VECTOR	   0xffull
#define RTE_DELIVERY_SHIFT 8
#define RTE_DEST_LOGICAL   (1ull << 11)
#define RTE_STATUS	   (1ull << 12)
#define RTE_REMOTE_IRR	   (1ull << 14)
#define RTE_LEVEL	   (1ull << 15)
#define RTE_MASKED	   (1ull << 16)
#define RTE_READ_ONLY	   (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE	   0xff0000000001ffffull
#define RTE_DEST_SHIFT	   56
#define DELIVERY_EXTINT	   7u

/* MSI: SDM vol. 3A, 10.11. */
#define MSI_ADDR	 0xfee00000ull
#define MSI_DEST_LOGICAL (1u << 2)
#define MSI_LEVEL	 (1u << 15)
#define MSI_ASSERT	 (1u << 14)

struct ioapic {
	struct dev_env env;
	struct ioapic_config cfg;
	struct bus_range range;
	uint32_t id, select, wires, irr; /* irr: edges that wait behind a mask, and levels */
	uint64_t redir[PINS];
};

static const struct snap_field fields[] = {
	SNAP_FIELD(struct ioapic, SNAP_U32, id),      SNAP_FIELD(struct ioapic, SNAP_U32, select),
	SNAP_FIELD(struct ioapic, SNAP_U32, wires),   SNAP_FIELD(struct ioapic, SNAP_U32, irr),
	SNAP_FIELD(struct ioapic, SNAP_BYTES, redir),
};

static void send(struct ioapic *a, unsigned n)
{
	uint64_t rte = a->redir[n];
	uint64_t addr = MSI_ADDR | (rte >> RTE_DEST_SHIFT) << 12;
	uint32_t data = (uint32_t)(rte & (RTE_VECTOR | 7u << RTE_DELIVERY_SHIFT));

	if (rte & RTE_DEST_LOGICAL)
		addr |= MSI_DEST_LOGICAL;
	if (rte & RTE_LEVEL)
		data |= MSI_LEVEL | MSI_ASSERT;
	msi_send(&a->env.msi, addr, data);
}

/* Deliver what waits at input @n, if it may. */
static void service(struct ioapic *a, unsigned n)
{
	uint64_t *rte = &a->redir[n];
	uint32_t bit = 1u << n;

	if (!(a->irr & bit) || (*rte & RTE_MASKED))
		return;
	/* ExtINT is the PIC's wire, which reaches the CPU directly. */
	if ((*rte >> RTE_DELIVERY_SHIFT & 7) == DELIVERY_EXTINT)
		return;
	if (*rte & RTE_LEVEL) {
		if (*rte & RTE_REMOTE_IRR)
			return;
		*rte |= RTE_REMOTE_IRR;
	} else {
		a->irr &= ~bit;
	}
	send(a, n);
}

void ioapic_set_irq(void *ioapic, unsigned n, bool level)
{
	struct ioapic *a = ioapic;
	uint32_t bit = 1u << n;
	bool rising;

	if (n >= PINS)
		return;
	rising = level && !(a->wires & bit);
	a->wires = level ? a->wires | bit : a->wires & ~bit;
	if (a->redir[n] & RTE_LEVEL)
		a->irr = level ? a->irr | bit : a->irr & ~bit;
	else if (rising && !(a->redir[n] & RTE_MASKED))
		a->irr |= bit; /* an edge while masked is lost (3.2.4, bit 16) */
	if (rising)
		service(a, n);
}

void ioapic_eoi(struct ioapic *a, uint8_t vector)
{
	for (unsigned n = 0; n < PINS; n++) {
		uint64_t *rte = &a->redir[n];

		if ((*rte & RTE_VECTOR) != vector || !(*rte & RTE_LEVEL))
			continue;
		*rte &= ~RTE_REMOTE_IRR;
		service(a, n);
	}
}

static void routes_changed(struct ioapic *a)
{
	if (a->cfg.routes_changed)
		a->cfg.routes_changed(a->cfg.ctx, a->redir, PINS);
}

static void write_entry(struct ioapic *a, unsigned idx, uint32_t val)
{
	unsigned n = idx / 2, sh = idx & 1 ? 32 : 0;
	uint64_t old = a->redir[n], rte;
	uint32_t bit = 1u << n;

	rte = (old & ~(0xffffffffull << sh)) | (uint64_t)val << sh;
	rte = (rte & RTE_WRITABLE & ~RTE_READ_ONLY) | (old & RTE_READ_ONLY);
	if (!(rte & RTE_LEVEL))
		rte &= ~RTE_REMOTE_IRR;
	a->redir[n] = rte;
	if ((rte ^ old) & RTE_LEVEL)
		a->irr = rte & RTE_LEVEL ? (a->irr & ~bit) | (a->wires & bit) : a->irr & ~bit;
	routes_changed(a);
	service(a, n);
}

static uint32_t read_reg(const struct ioapic *a)
{
	unsigned idx = a->select - IDX_TABLE;

	switch (a->select) {
	case IDX_ID:
	case IDX_ARBITRATION:
		return a->id << 24;
	case IDX_VERSION:
		return VERSION | (PINS - 1) << 16;
	default:
		break;
	}
	if (a->select < IDX_TABLE || idx >= PINS * 2)
		return 0;
	return (uint32_t)(a->redir[idx / 2] >> (idx & 1 ? 32 : 0));
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size UNUSED)
{
	const struct ioapic *a = dev;

	if (off == REG_SELECT)
		return a->select;
	return off == REG_DATA ? read_reg(a) : 0;
}

static void ioapic_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t val)
{
	struct ioapic *a = dev;

	switch (off) {
	case REG_SELECT:
		a->select = val & 0xff;
		break;
	case REG_DATA:
		if (a->select == IDX_ID)
			a->id = val >> 24 & 15;
		else if (a->select >= IDX_TABLE && a->select - IDX_TABLE < PINS * 2)
			write_entry(a, a->select - IDX_TABLE, (uint32_t)val);
		break;
	case REG_EOI:
		ioapic_eoi(a, (uint8_t)val);
		break;
	default:
		break;
	}
}

static const struct bus_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
	.min_size = 4,
	.max_size = 4,
};

/* --- life cycle ------------------------------------------------------------------------------- */

static void ioapic_reset(void *dev)
{
	struct ioapic *a = dev;

	a->id = a->select = a->irr = 0;
	for (unsigned n = 0; n < PINS; n++)
		a->redir[n] = RTE_MASKED;
	routes_changed(a);
}

int ioapic_create(struct ioapic **out, const struct dev_env *env, const struct ioapic_config *cfg,
		  struct err *e)
{
	struct ioapic *a = calloc(1, sizeof(*a));
	int ret;

	if (!a)
		return err_set(e, -ENOMEM, "no memory for the I/O APIC");
	a->env = *env;
	a->cfg = *cfg;
	a->range = (struct bus_range) { cfg->base, WINDOW_SIZE, &ioapic_ops, a, "ioapic" };
	ret = bus_claim(env->mmio, &a->range, e);
	if (ret) {
		free(a);
		return ret;
	}
	for (unsigned n = 0; n < PINS; n++)
		a->redir[n] = RTE_MASKED;
	*out = a;
	return 0;
}

static void ioapic_save(void *dev, struct snap_writer *w)
{
	snap_save_fields(w, dev, fields, ARRAY_SIZE(fields));
}

static int ioapic_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct ioapic *a = dev;
	int ret = snap_load_fields(r, a, fields, ARRAY_SIZE(fields), e);

	if (ret)
		return ret;
	a->id &= 15;
	a->select &= 0xff;
	a->wires &= (1u << PINS) - 1;
	a->irr &= (1u << PINS) - 1;
	for (unsigned n = 0; n < PINS; n++)
		a->redir[n] &= RTE_WRITABLE | RTE_READ_ONLY;
	routes_changed(a);
	return 0;
}

static void ioapic_destroy(void *dev)
{
	struct ioapic *a = dev;

	if (!a)
		return;
	bus_release(a->env.mmio, &a->range);
	free(a);
}

const struct dev_ops ioapic_dev_ops = {
	.type = "ioapic",
	.reset = ioapic_reset,
	.save = ioapic_save,
	.load = ioapic_load,
	.destroy = ioapic_destroy,
};
