/* SPDX-License-Identifier: MIT */
/*
 * Two cascaded 8259A interrupt controllers with edge/level control registers.
 *
 * Theory of operation: Intel 8259A data sheet (231468). Each chip has the three registers of the
 * data sheet: IRR (requests), ISR (in service), IMR (masks). Inputs 8..15 belong to the slave,
 * whose output is the master's input 2. An edge-triggered request is latched until acknowledged;
 * a level-triggered one (ELCR bit set: 82371SB data sheet, 4.2.6) follows its wire. The INTR
 * output is recomputed after every change.
 *
 * Limits: no 8080 mode, no buffered mode, special fully nested mode only as far as the master's
 * view of its slave.
 */
#include "chipset/chipset.h"

#include <errno.h>
#include <stdlib.h>

#define CASCADE 2u

struct chip {
	uint8_t irr, isr, imr, wires, elcr;
	uint8_t vector; /* ICW2 bits 7..3 */
	uint8_t lowest; /* input of the lowest priority; 7 after initialisation */
	uint8_t init;	/* 0: done, else the number of the next ICW */
	uint8_t icw4, need_icw4, single;
	uint8_t read_isr, poll, special_mask, auto_eoi, rotate_auto, nested;
};

struct pic {
	struct bus *ports;
	struct bus_range range[2], elcr_range;
	struct irq_line intr;
	struct chip chip[2];
	uint8_t out; /* what INTR is */
};

static const struct snap_field chip_fields[] = {
	SNAP_FIELD(struct chip, SNAP_U8, irr),	    SNAP_FIELD(struct chip, SNAP_U8, isr),
	SNAP_FIELD(struct chip, SNAP_U8, imr),	    SNAP_FIELD(struct chip, SNAP_U8, wires),
	SNAP_FIELD(struct chip, SNAP_U8, elcr),	    SNAP_FIELD(struct chip, SNAP_U8, vector),
	SNAP_FIELD(struct chip, SNAP_U8, lowest),   SNAP_FIELD(struct chip, SNAP_U8, init),
	SNAP_FIELD(struct chip, SNAP_U8, icw4),	    SNAP_FIELD(struct chip, SNAP_U8, need_icw4),
	SNAP_FIELD(struct chip, SNAP_U8, single),   SNAP_FIELD(struct chip, SNAP_U8, read_isr),
	SNAP_FIELD(struct chip, SNAP_U8, poll),	    SNAP_FIELD(struct chip, SNAP_U8, special_mask),
	SNAP_FIELD(struct chip, SNAP_U8, auto_eoi), SNAP_FIELD(struct chip, SNAP_U8, rotate_auto),
	SNAP_FIELD(struct chip, SNAP_U8, nested),
};

/* --- priorities ------------------------------------------------------------------------------- */

/* 0 is the highest priority; 8 where no bit is set. */
static unsigned rank_of(const struct chip *c, uint8_t bits)
{
	for (unsigned rank = 0; rank < 8; rank++)
		if (bits >> ((c->lowest + 1 + rank) & 7) & 1)
			return rank;
	return 8;
}

static unsigned input_at(const struct chip *c, unsigned rank)
{
	return (c->lowest + 1 + rank) & 7;
}

/* The input that requests an interrupt now, or -1. */
static int requested(const struct chip *c, bool master)
{
	unsigned want = rank_of(c, c->irr & (uint8_t)~c->imr);
	uint8_t service = c->isr;

	if (want == 8)
		return -1;
	if (c->special_mask)
		service &= (uint8_t)~c->imr;
	/* Special fully nested: the slave may interrupt its own service (data sheet, SFNM). */
	if (master && c->nested)
		service &= (uint8_t) ~(1u << CASCADE);
	if (want >= rank_of(c, service))
		return -1;
	return (int)input_at(c, want);
}

static void update(struct pic *p)
{
	struct chip *m = &p->chip[0];
	bool slave = requested(&p->chip[1], false) >= 0, out;

	m->wires = (uint8_t)((m->wires & ~(1u << CASCADE)) | (slave ? 1u << CASCADE : 0));
	if (slave)
		m->irr |= 1u << CASCADE;
	else
		m->irr &= (uint8_t) ~(1u << CASCADE);
	out = requested(m, true) >= 0;
	if (out == p->out)
		return;
	p->out = out;
	irq_set(&p->intr, out);
}

static void chip_wire(struct chip *c, unsigned n, bool level)
{
	uint8_t bit = (uint8_t)(1u << n);
	bool rising = level && !(c->wires & bit);

	c->wires = (uint8_t)(level ? c->wires | bit : c->wires & ~bit);
	if (c->elcr & bit)
		c->irr = (uint8_t)(level ? c->irr | bit : c->irr & ~bit);
	else if (rising)
		c->irr |= bit;
	else if (!level)
		c->irr &= (uint8_t)~bit; /* a request must stay up until INTA */
}

void pic_set_irq(void *pic, unsigned n, bool level)
{
	struct pic *p = pic;

	if (n == CASCADE || n > 15)
		return;
	chip_wire(&p->chip[n >> 3], n & 7, level);
	update(p);
}

/* --- acknowledge and end of interrupt -----------------------------------------------------------
 */

static void chip_ack(struct chip *c, unsigned n)
{
	uint8_t bit = (uint8_t)(1u << n);

	if (!(c->elcr & bit))
		c->irr &= (uint8_t)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_auto)
		c->lowest = (uint8_t)n;
}

uint8_t pic_ack(struct pic *p)
{
	struct chip *m = &p->chip[0], *s = &p->chip[1];
	int n = requested(m, true);
	uint8_t vector;

	if (n < 0) {
		vector = m->vector + 7; /* spurious */
	} else if (n == CASCADE) {
		int k = requested(s, false);

		chip_ack(m, CASCADE);
		if (k >= 0)
			chip_ack(s, (unsigned)k);
		vector = (uint8_t)(s->vector + (k < 0 ? 7 : k));
	} else {
		chip_ack(m, (unsigned)n);
		vector = (uint8_t)(m->vector + n);
	}
	update(p);
	return vector;
}

/* OCW2: data sheet, figure 8. */
static void write_ocw2(struct chip *c, uint8_t val)
{
	unsigned level = val & 7, rank;

	switch (val >> 5) {
	case 0: /* rotate in automatic EOI mode: clear */
	case 4: /* and set */
		c->rotate_auto = val >> 7;
		break;
	case 1: /* non-specific EOI */
	case 5: /* and rotate */
		rank = rank_of(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);
		if (rank == 8)
			break;
		level = input_at(c, rank);
		c->isr &= (uint8_t) ~(1u << level);
		if (val & 0x80)
			c->lowest = (uint8_t)level;
		break;
	case 3: /* specific EOI */
	case 7: /* and rotate */
		c->isr &= (uint8_t) ~(1u << level);
		if (val & 0x80)
			c->lowest = (uint8_t)level;
		break;
	case 6: /* set priority */
		c->lowest = (uint8_t)level;
		break;
	default:
		break;
	}
}

static void write_ocw3(struct chip *c, uint8_t val)
{
	if (val & 4)
		c->poll = 1;
	if (val & 2)
		c->read_isr = val & 1;
	if (val & 0x40)
		c->special_mask = val >> 5 & 1;
}

static void write_icw1(struct chip *c, uint8_t val)
{
	/* Edge detection starts anew: a wire that is up must fall before it counts again. */
	c->irr &= c->elcr & c->wires;
	c->imr = c->isr = 0;
	c->lowest = 7;
	c->special_mask = c->read_isr = c->poll = c->auto_eoi = c->rotate_auto = c->nested = 0;
	c->single = val >> 1 & 1;
	c->need_icw4 = val & 1;
	c->init = 2;
}

static void write_data(struct chip *c, uint8_t val)
{
	switch (c->init) {
	case 2:
		c->vector = val & 0xf8;
		c->init = c->single ? (c->need_icw4 ? 4 : 0) : 3;
		break;
	case 3:
		c->init = c->need_icw4 ? 4 : 0;
		break;
	case 4:
		c->icw4 = val;
		c->auto_eoi = val >> 1 & 1;
		c->nested = val >> 4 & 1;
		c->init = 0;
		break;
	default:
		c->imr = val;
		break;
	}
}

/* --- ports ---------------------------------------------------------------------------------------
 */

static struct chip *chip_of(struct pic *p, const struct bus_range *r)
{
	return &p->chip[r - p->range];
}

static uint64_t chip_read(struct pic *p, struct chip *c, uint64_t off)
{
	if (c->poll) {
		int n = requested(c, c == &p->chip[0]);

		c->poll = 0;
		if (n < 0)
			return 0;
		chip_ack(c, (unsigned)n);
		update(p);
		return 0x80u | (unsigned)n;
	}
	if (off)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static void chip_write(struct pic *p, struct chip *c, uint64_t off, uint8_t val)
{
	if (off)
		write_data(c, val);
	else if (val & 0x10)
		write_icw1(c, val);
	else if (val & 0x08)
		write_ocw3(c, val);
	else
		write_ocw2(c, val);
	update(p);
}

static uint64_t master_read(void *dev, uint64_t off, unsigned size UNUSED)
{
	struct pic *p = dev;

	return chip_read(p, chip_of(p, &p->range[0]), off);
}

static void master_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t val)
{
	struct pic *p = dev;

	chip_write(p, chip_of(p, &p->range[0]), off, (uint8_t)val);
}

static uint64_t slave_read(void *dev, uint64_t off, unsigned size UNUSED)
{
	struct pic *p = dev;

	return chip_read(p, chip_of(p, &p->range[1]), off);
}

static void slave_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t val)
{
	struct pic *p = dev;

	chip_write(p, chip_of(p, &p->range[1]), off, (uint8_t)val);
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size UNUSED)
{
	return ((struct pic *)dev)->chip[off].elcr;
}

/* Inputs 0, 1, 2, 8 and 13 are always edge-triggered (82371SB, 4.2.6). */
static void elcr_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t val)
{
	struct pic *p = dev;

	p->chip[off].elcr = (uint8_t)(val & (off ? 0xde : 0xf8));
	update(p);
}

static const struct bus_ops master_ops = { master_read, master_write, 1, 1 };
static const struct bus_ops slave_ops = { slave_read, slave_write, 1, 1 };
static const struct bus_ops elcr_ops = { elcr_read, elcr_write, 1, 1 };

/* --- life cycle
 * ------------------------------------------------------------------------------------ */

static void pic_reset(void *dev)
{
	struct pic *p = dev;

	for (unsigned i = 0; i < 2; i++)
		p->chip[i] = (struct chip) { .lowest = 7, .wires = p->chip[i].wires };
	update(p);
}

void pic_setup_bios(struct pic *p)
{
	for (unsigned i = 0; i < 2; i++) {
		struct chip *c = &p->chip[i];

		write_icw1(c, 0x11);
		write_data(c, i ? 0x70 : 0x08);
		write_data(c, i ? 2 : 4);
		write_data(c, 1);
		c->imr = i ? 0xff : 0xfb;
	}
	update(p);
}

int pic_create(struct pic **out, const struct dev_env *env, const struct irq_line *intr,
	       struct err *e)
{
	struct pic *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for the interrupt controllers");
	p->ports = env->ports;
	p->intr = *intr;
	p->range[0] = (struct bus_range) { 0x20, 2, &master_ops, p, "pic-master" };
	p->range[1] = (struct bus_range) { 0xa0, 2, &slave_ops, p, "pic-slave" };
	p->elcr_range = (struct bus_range) { 0x4d0, 2, &elcr_ops, p, "pic-elcr" };
	ret = bus_claim(p->ports, &p->range[0], e);
	if (ret)
		goto fail_master;
	ret = bus_claim(p->ports, &p->range[1], e);
	if (ret)
		goto fail_slave;
	ret = bus_claim(p->ports, &p->elcr_range, e);
	if (ret)
		goto fail_elcr;
	pic_reset(p);
	*out = p;
	return 0;

fail_elcr:
	bus_release(p->ports, &p->range[1]);
fail_slave:
	bus_release(p->ports, &p->range[0]);
fail_master:
	free(p);
	return ret;
}

static void pic_save(void *dev, struct snap_writer *w)
{
	struct pic *p = dev;

	snap_begin(w, "master", 1);
	snap_save_fields(w, &p->chip[0], chip_fields, ARRAY_SIZE(chip_fields));
	snap_end(w);
	snap_begin(w, "slave", 1);
	snap_save_fields(w, &p->chip[1], chip_fields, ARRAY_SIZE(chip_fields));
	snap_end(w);
}

static int load_chip(const struct snap_reader *r, const char *name, struct chip *c, struct err *e)
{
	struct snap_reader sub;
	uint32_t version;
	int ret = snap_enter(r, name, 1, &sub, &version, e);

	if (ret)
		return ret;
	ret = snap_load_fields(&sub, c, chip_fields, ARRAY_SIZE(chip_fields), e);
	if (!ret && (c->lowest > 7 || c->init > 4))
		ret = err_set(e, -EBADMSG, "the saved interrupt controller is not valid");
	return ret;
}

static int pic_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct pic *p = dev;
	struct chip tmp[2] = { p->chip[0], p->chip[1] };
	int ret = load_chip(r, "master", &tmp[0], e);

	if (!ret)
		ret = load_chip(r, "slave", &tmp[1], e);
	if (ret)
		return ret;
	p->chip[0] = tmp[0];
	p->chip[1] = tmp[1];
	update(p);
	return 0;
}

static void pic_destroy(void *dev)
{
	struct pic *p = dev;

	if (!p)
		return;
	bus_release(p->ports, &p->elcr_range);
	bus_release(p->ports, &p->range[1]);
	bus_release(p->ports, &p->range[0]);
	free(p);
}

const struct dev_ops pic_dev_ops = {
	.type = "i8259",
	.reset = pic_reset,
	.save = pic_save,
	.load = pic_load,
	.destroy = pic_destroy,
};
