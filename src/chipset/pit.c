/* SPDX-License-Identifier: MIT */
/*
 * 8254 timer with the PC's speaker port.
 *
 * Theory of operation: Intel 8254 data sheet (231164). A channel does not tick: it remembers when
 * its count was loaded, and every read computes the present count and output from the clock. Only
 * channel 0 has a loop timer, armed for the next change of its output; when the host is late the
 * missed periods are skipped, so the guest never sees a storm of interrupts. Channel 2's gate and
 * output are at port 0x61 (bits 0 and 5), with the refresh toggle in bit 4.
 *
 * Limits: gates of channels 0 and 1 are always up; the refresh channel 1 has no effect.
 */
#include "chipset/chipset.h"

#include <errno.h>
#include <stdlib.h>

#define PIT_HZ	   1193182u
#define REFRESH_NS 15085u /* half a period of the DRAM refresh request */

enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

struct channel {
	uint64_t start_ns; /* when the count was loaded (or the gate rose) */
	uint32_t count;	   /* 1..65536 (10000 in BCD) */
	uint8_t mode, access, bcd, gate;
	uint8_t null_count;	       /* control word written, count not yet */
	uint8_t write_high, write_low; /* ACCESS_BOTH: high byte is next; the low one kept */
	uint8_t read_high;
	uint8_t latched, status_latched, status; /* latched: bytes left to read */
	uint16_t latch;
};

struct pit {
	struct dev_env env;
	struct bus_range range, speaker_range;
	struct irq_line irq;
	struct loop_timer timer;
	struct channel ch[3];
	uint8_t speaker; /* bits 0 and 1 of port 0x61 */
	uint8_t out0;	 /* channel 0's output as the wire shows it */
};

static const struct snap_field channel_fields[] = {
	SNAP_FIELD(struct channel, SNAP_U64, start_ns),
	SNAP_FIELD(struct channel, SNAP_U32, count),
	SNAP_FIELD(struct channel, SNAP_U8, mode),
	SNAP_FIELD(struct channel, SNAP_U8, access),
	SNAP_FIELD(struct channel, SNAP_U8, bcd),
	SNAP_FIELD(struct channel, SNAP_U8, gate),
	SNAP_FIELD(struct channel, SNAP_U8, null_count),
	SNAP_FIELD(struct channel, SNAP_U8, write_high),
	SNAP_FIELD(struct channel, SNAP_U8, write_low),
	SNAP_FIELD(struct channel, SNAP_U8, read_high),
	SNAP_FIELD(struct channel, SNAP_U8, latched),
	SNAP_FIELD(struct channel, SNAP_U8, status_latched),
	SNAP_FIELD(struct channel, SNAP_U8, status),
	SNAP_FIELD(struct channel, SNAP_U16, latch),
};

static uint64_t now(const struct pit *p)
{
	return p->env.clock->mono_ns(p->env.clock);
}

static uint64_t ticks_to_ns(uint64_t t)
{
	return (uint64_t)(((unsigned __int128)t * CLOCK_NS_PER_SEC + PIT_HZ - 1) / PIT_HZ);
}

/* Ticks since the count was loaded. */
static uint64_t elapsed(const struct pit *p, const struct channel *c)
{
	return (uint64_t)((unsigned __int128)(now(p) - c->start_ns) * PIT_HZ / CLOCK_NS_PER_SEC);
}

/* --- counts and outputs ------------------------------------------------------------------------
 */

static bool periodic(const struct channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* The output @t ticks after the load (data sheet, mode definitions). */
static bool output_at(const struct channel *c, uint64_t t)
{
	switch (c->mode) {
	case 0:
	case 1:
		return t >= c->count;
	case 2:
		return t % c->count != c->count - 1;
	case 3:
		return t % c->count < (c->count + 1) / 2;
	default:
		return t != c->count;
	}
}

static bool output(const struct pit *p, const struct channel *c)
{
	if (c->null_count)
		return c->mode != 0;
	if (!c->gate)
		return c->mode != 0; /* stopped; only channel 2 can be */
	return output_at(c, elapsed(p, c));
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 |
			  (v / 1000 % 10) << 12);
}

static uint32_t from_bcd(uint16_t v)
{
	return (v & 15u) + (v >> 4 & 15u) * 10 + (v >> 8 & 15u) * 100 + (v >> 12) * 1000u;
}

static uint16_t counter(const struct pit *p, const struct channel *c)
{
	uint64_t t = c->gate ? elapsed(p, c) : 0;
	uint32_t wrap = c->bcd ? 10000 : 65536, v;

	if (c->mode == 3)
		v = c->count - (uint32_t)(t * 2 % c->count); /* counts by two */
	else if (periodic(c))
		v = c->count - (uint32_t)(t % c->count);
	else
		v = (uint32_t)((c->count + (uint64_t)wrap - t % wrap) % wrap);
	return c->bcd ? to_bcd(v % 10000) : (uint16_t)v;
}

/* The next time channel 0's output rises, in ticks after @t; UINT64_MAX: never. */
static uint64_t next_rise(const struct channel *c, uint64_t t)
{
	switch (c->mode) {
	case 0:
	case 1:
		return t < c->count ? c->count : UINT64_MAX;
	case 2:
	case 3:
		return (t / c->count + 1) * c->count;
	default:
		return t <= c->count ? c->count + 1ull : UINT64_MAX;
	}
}

static void arm(struct pit *p)
{
	struct channel *c = &p->ch[0];
	uint64_t rise;

	loop_timer_disarm(&p->timer);
	if (c->null_count)
		return;
	rise = next_rise(c, elapsed(p, c));
	if (rise != UINT64_MAX)
		loop_timer_arm(&p->timer, c->start_ns + ticks_to_ns(rise));
}

static void drive(struct pit *p, bool level)
{
	p->out0 = level;
	irq_set(&p->irq, level);
}

/* Channel 0's output rose: one edge, however many periods passed. */
static void expired(void *arg)
{
	struct pit *p = arg;

	drive(p, false);
	drive(p, true);
	arm(p);
}

/* --- ports
 * ---------------------------------------------------------------------------------------- */

static void load_count(struct pit *p, struct channel *c, uint16_t raw)
{
	uint32_t wrap = c->bcd ? 10000 : 65536;

	c->count = c->bcd ? from_bcd(raw) % wrap : raw;
	if (!c->count)
		c->count = wrap;
	/* A count of 1 is not allowed in the periodic modes. */
	if (periodic(c) && c->count == 1)
		c->count = 2;
	c->null_count = 0;
	c->start_ns = now(p);
	if (c == &p->ch[0]) {
		drive(p, output(p, c));
		arm(p);
	}
}

static void write_count(struct pit *p, struct channel *c, uint8_t val)
{
	switch (c->access) {
	case ACCESS_LOW:
		load_count(p, c, val);
		break;
	case ACCESS_HIGH:
		load_count(p, c, (uint16_t)(val << 8));
		break;
	default:
		if (c->write_high)
			load_count(p, c, (uint16_t)(val << 8 | c->write_low));
		else
			c->write_low = val;
		c->write_high ^= 1;
		break;
	}
}

static void latch_count(const struct pit *p, struct channel *c)
{
	if (c->latched)
		return;
	c->latch = counter(p, c);
	c->latched = c->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(const struct pit *p, struct channel *c)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)(output(p, c) << 7 | c->null_count << 6 | c->access << 4 |
			      c->mode << 1 | c->bcd);
	c->status_latched = 1;
}

static void write_control(struct pit *p, uint8_t val)
{
	struct channel *c;

	if (val >> 6 == 3) { /* read-back */
		for (unsigned i = 0; i < 3; i++) {
			if (!(val >> (i + 1) & 1))
				continue;
			if (!(val & 0x20))
				latch_count(p, &p->ch[i]);
			if (!(val & 0x10))
				latch_status(p, &p->ch[i]);
		}
		return;
	}
	c = &p->ch[val >> 6];
	if (!(val & 0x30)) {
		latch_count(p, c);
		return;
	}
	c->access = val >> 4 & 3;
	c->mode = val >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4; /* bit 2 does not count for modes 2 and 3 */
	c->bcd = val & 1;
	c->null_count = 1;
	c->write_high = c->read_high = c->latched = c->status_latched = 0;
	if (c == &p->ch[0]) {
		drive(p, c->mode != 0);
		arm(p);
	}
}

static uint8_t read_count(const struct pit *p, struct channel *c)
{
	uint16_t v;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->latched) {
		bool high =
			c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->latched == 1);

		c->latched--;
		return (uint8_t)(high ? c->latch >> 8 : c->latch);
	}
	v = counter(p, c);
	if (c->access == ACCESS_LOW)
		return (uint8_t)v;
	if (c->access == ACCESS_HIGH)
		return (uint8_t)(v >> 8);
	c->read_high ^= 1;
	return (uint8_t)(c->read_high ? v : v >> 8);
}

static uint64_t pit_read(void *dev, uint64_t off, unsigned size UNUSED)
{
	struct pit *p = dev;

	return off == 3 ? 0xff : read_count(p, &p->ch[off]);
}

static void pit_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t val)
{
	struct pit *p = dev;

	if (off == 3)
		write_control(p, (uint8_t)val);
	else
		write_count(p, &p->ch[off], (uint8_t)val);
}

static uint64_t speaker_read(void *dev, uint64_t off UNUSED, unsigned size UNUSED)
{
	const struct pit *p = dev;

	return p->speaker | (now(p) / REFRESH_NS & 1) << 4 | (uint64_t)output(p, &p->ch[2]) << 5;
}

static void speaker_write(void *dev, uint64_t off UNUSED, unsigned size UNUSED, uint64_t val)
{
	struct pit *p = dev;
	uint8_t gate = val & 1;

	p->speaker = val & 3;
	/* A rising gate (re)starts modes 1, 2, 3 and 5; modes 0 and 4 go on. */
	if (gate && !p->ch[2].gate)
		p->ch[2].start_ns = now(p);
	p->ch[2].gate = gate;
}

static const struct bus_ops pit_ops = { pit_read, pit_write, 1, 1 };
static const struct bus_ops speaker_ops = { speaker_read, speaker_write, 1, 1 };

/* --- life cycle
 * -------------------------------------------------------------------------------------- */

static void pit_reset(void *dev)
{
	struct pit *p = dev;

	loop_timer_disarm(&p->timer);
	for (unsigned i = 0; i < 3; i++)
		p->ch[i] = (struct channel) {
			.count = 65536, .access = ACCESS_BOTH, .null_count = 1, .gate = i != 2
		};
	p->speaker = 0;
	drive(p, false);
}

void pit_setup_bios(struct pit *p)
{
	write_control(p, 0x36);
	write_count(p, &p->ch[0], 0);
	write_count(p, &p->ch[0], 0);
}

int pit_create(struct pit **out, const struct dev_env *env, const struct irq_line *irq,
	       struct err *e)
{
	struct pit *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for the timer");
	p->env = *env;
	p->irq = *irq;
	p->range = (struct bus_range) { 0x40, 4, &pit_ops, p, "pit" };
	p->speaker_range = (struct bus_range) { 0x61, 1, &speaker_ops, p, "speaker" };
	loop_timer_init(&p->timer, env->loop, expired, p);
	ret = bus_claim(env->ports, &p->range, e);
	if (ret)
		goto fail_range;
	ret = bus_claim(env->ports, &p->speaker_range, e);
	if (ret)
		goto fail_speaker;
	pit_reset(p);
	*out = p;
	return 0;

fail_speaker:
	bus_release(env->ports, &p->range);
fail_range:
	free(p);
	return ret;
}

static const char *const names[] = { "channel0", "channel1", "channel2" };

/* start_ns is saved as the time that passed since. */
static void pit_save(void *dev, struct snap_writer *w)
{
	struct pit *p = dev;

	snap_put_u64(w, "speaker", p->speaker);
	for (unsigned i = 0; i < 3; i++) {
		struct channel c = p->ch[i];

		c.start_ns = now(p) - c.start_ns;
		snap_begin(w, names[i], 1);
		snap_save_fields(w, &c, channel_fields, ARRAY_SIZE(channel_fields));
		snap_end(w);
	}
}

static int load_channel(struct pit *p, const struct snap_reader *r, const char *name,
			struct channel *c, struct err *e)
{
	struct snap_reader sub;
	uint32_t version;
	int ret = snap_enter(r, name, 1, &sub, &version, e);

	if (!ret)
		ret = snap_load_fields(&sub, c, channel_fields, ARRAY_SIZE(channel_fields), e);
	if (ret)
		return ret;
	if (!c->count || c->count > 65536 || c->mode > 5 || c->access > 3 || c->latched > 2 ||
	    c->null_count > 1 || c->write_high > 1 || c->read_high > 1)
		return err_set(e, -EBADMSG, "the saved timer's %s is not valid", name);
	c->start_ns = now(p) - c->start_ns;
	return 0;
}

static int pit_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct pit *p = dev;
	struct channel tmp[3] = { p->ch[0], p->ch[1], p->ch[2] };
	uint64_t speaker;
	int ret = snap_get_u64(r, "speaker", &speaker, e);

	for (unsigned i = 0; i < 3 && !ret; i++)
		ret = load_channel(p, r, names[i], &tmp[i], e);
	if (ret)
		return ret;
	p->speaker = speaker & 3;
	for (unsigned i = 0; i < 3; i++)
		p->ch[i] = tmp[i];
	drive(p, output(p, &p->ch[0]));
	arm(p);
	return 0;
}

static void pit_destroy(void *dev)
{
	struct pit *p = dev;

	if (!p)
		return;
	loop_timer_disarm(&p->timer);
	bus_release(p->env.ports, &p->speaker_range);
	bus_release(p->env.ports, &p->range);
	free(p);
}

const struct dev_ops pit_dev_ops = {
	.type = "i8254",
	.reset = pit_reset,
	.save = pit_save,
	.load = pit_load,
	.destroy = pit_destroy,
};
