/* SPDX-License-Identifier: MIT */
/*
 * MC146818 real-time clock with 128 bytes of CMOS memory.
 *
 * Theory of operation: Motorola MC146818 data sheet. The time is the host's wall clock plus an
 * offset that the guest changes by setting the clock; registers 0..9 and 0x32 (century) are made
 * from it at each read. While SET (register B bit 7) is up the guest's bytes are held back and
 * taken over when it falls. One loop timer serves the periodic, update-ended and alarm interrupts
 * for as long as one of them is enabled.
 *
 * Limits: daylight saving is not done; the update cycle is visible for its last 244 us.
 */
#include "chipset/chipset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CMOS_SIZE      128
#define REG_SEC	       0
#define REG_SEC_ALARM  1
#define REG_MIN	       2
#define REG_MIN_ALARM  3
#define REG_HOUR       4
#define REG_HOUR_ALARM 5
#define REG_WDAY       6
#define REG_MDAY       7
#define REG_MON	       8
#define REG_YEAR       9
#define REG_A	       10
#define REG_B	       11
#define REG_C	       12
#define REG_D	       13
#define REG_CENTURY    0x32

#define A_UIP	       0x80u
#define B_SET	       0x80u
#define B_PIE	       0x40u
#define B_AIE	       0x20u
#define B_UIE	       0x10u
#define B_BINARY       0x04u
#define B_24H	       0x02u
#define C_IRQF	       0x80u
#define C_PF	       0x40u
#define C_AF	       0x20u
#define C_UF	       0x10u
#define D_VRT	       0x80u
#define UIP_NS	       244000u

struct rtc {
	struct dev_env env;
	struct bus_range range;
	struct irq_line irq;
	struct loop_timer timer;
	uint8_t index;
	uint8_t cmos[CMOS_SIZE];
	int64_t offset_s;	   /* guest's clock minus the host's, seconds */
	uint64_t last_s;	   /* guest second of the last update interrupt */
	uint64_t next_periodic_ns; /* host monotonic time; 0: off */
};

static const struct snap_field fields[] = {
	SNAP_FIELD(struct rtc, SNAP_U8, index),
	SNAP_FIELD(struct rtc, SNAP_BYTES, cmos),
	SNAP_FIELD(struct rtc, SNAP_U64, offset_s),
};

static uint64_t wall(const struct rtc *r)
{
	return r->env.clock->wall_ns(r->env.clock);
}

static uint64_t mono(const struct rtc *r)
{
	return r->env.clock->mono_ns(r->env.clock);
}

static uint64_t guest_seconds(const struct rtc *r)
{
	return wall(r) / CLOCK_NS_PER_SEC + (uint64_t)r->offset_s;
}

/* --- encoding --------------------------------------------------------------------------------- */

static uint8_t encode(const struct rtc *r, unsigned v)
{
	return (uint8_t)(r->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *r, uint8_t v)
{
	return r->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hour(const struct rtc *r, unsigned h)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, h);
	return (uint8_t)(encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static void time_to_cmos(struct rtc *r)
{
	time_t t = (time_t)guest_seconds(r);
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return;
	r->cmos[REG_SEC] = encode(r, (unsigned)tm.tm_sec);
	r->cmos[REG_MIN] = encode(r, (unsigned)tm.tm_min);
	r->cmos[REG_HOUR] = encode_hour(r, (unsigned)tm.tm_hour);
	r->cmos[REG_WDAY] = encode(r, (unsigned)tm.tm_wday + 1);
	r->cmos[REG_MDAY] = encode(r, (unsigned)tm.tm_mday);
	r->cmos[REG_MON] = encode(r, (unsigned)tm.tm_mon + 1);
	r->cmos[REG_YEAR] = encode(r, (unsigned)tm.tm_year % 100);
	r->cmos[REG_CENTURY] = encode(r, (unsigned)(tm.tm_year + 1900) / 100);
}

static void cmos_to_time(struct rtc *r)
{
	struct tm tm = {
		.tm_sec = (int)decode(r, r->cmos[REG_SEC]),
		.tm_min = (int)decode(r, r->cmos[REG_MIN]),
		.tm_hour = (int)decode_hour(r, r->cmos[REG_HOUR]),
		.tm_mday = (int)decode(r, r->cmos[REG_MDAY]),
		.tm_mon = (int)decode(r, r->cmos[REG_MON]) - 1,
		.tm_year = (int)(decode(r, r->cmos[REG_CENTURY]) * 100 +
				 decode(r, r->cmos[REG_YEAR])) -
			   1900,
	};
	time_t t = timegm(&tm);

	r->offset_s = (int64_t)t - (int64_t)(wall(r) / CLOCK_NS_PER_SEC);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void update_irq(struct rtc *r)
{
	uint8_t c = r->cmos[REG_C] & (C_PF | C_AF | C_UF);
	bool on = c & r->cmos[REG_B]; /* the enables sit at the flags' bits */

	r->cmos[REG_C] = (uint8_t)(c | (on ? C_IRQF : 0));
	irq_set(&r->irq, on);
}

/* Period of the periodic interrupt: register A bits 3..0 (data sheet, table 5). */
static uint64_t period_ns(const struct rtc *r)
{
	unsigned rs = r->cmos[REG_A] & 15;

	if (!rs)
		return 0;
	if (rs < 3)
		rs += 7;
	return CLOCK_NS_PER_SEC / (32768u >> (rs - 1));
}

static bool alarm_matches(const struct rtc *r)
{
	static const uint8_t pairs[][2] = { { REG_SEC, REG_SEC_ALARM },
					    { REG_MIN, REG_MIN_ALARM },
					    { REG_HOUR, REG_HOUR_ALARM } };

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		uint8_t want = r->cmos[pairs[i][1]];

		if ((want & 0xc0) != 0xc0 && want != r->cmos[pairs[i][0]])
			return false;
	}
	return true;
}

static void arm(struct rtc *r)
{
	uint8_t b = r->cmos[REG_B];
	uint64_t next = UINT64_MAX, period = period_ns(r);

	if ((b & B_PIE) && period) {
		if (!r->next_periodic_ns)
			r->next_periodic_ns = mono(r) + period;
		next = r->next_periodic_ns;
	} else {
		r->next_periodic_ns = 0;
	}
	if ((b & (B_UIE | B_AIE)) && !(b & B_SET)) {
		uint64_t left = CLOCK_NS_PER_SEC - wall(r) % CLOCK_NS_PER_SEC;

		next = MIN(next, mono(r) + left);
	}
	if (next == UINT64_MAX)
		loop_timer_disarm(&r->timer);
	else
		loop_timer_arm(&r->timer, next);
}

static void expired(void *arg)
{
	struct rtc *r = arg;
	uint64_t t = mono(r), s = guest_seconds(r), period = period_ns(r);

	if (r->next_periodic_ns && period && t >= r->next_periodic_ns) {
		r->cmos[REG_C] |= C_PF;
		/* Missed periods are skipped. */
		r->next_periodic_ns += period * ((t - r->next_periodic_ns) / period + 1);
	}
	if (s != r->last_s && !(r->cmos[REG_B] & B_SET)) {
		r->last_s = s;
		time_to_cmos(r);
		r->cmos[REG_C] |= C_UF;
		if (alarm_matches(r))
			r->cmos[REG_C] |= C_AF;
	}
	update_irq(r);
	arm(r);
}

/* --- ports -------------------------------------------------------------------------------------
 */

static bool is_time(unsigned reg)
{
	return reg == REG_CENTURY || (reg <= REG_YEAR && reg != REG_SEC_ALARM &&
				      reg != REG_MIN_ALARM && reg != REG_HOUR_ALARM);
}

static uint8_t read_reg(struct rtc *r)
{
	unsigned reg = r->index & 0x7f;
	uint8_t val;

	if (is_time(reg) && !(r->cmos[REG_B] & B_SET))
		time_to_cmos(r);
	switch (reg) {
	case REG_A:
		val = r->cmos[REG_A] & (uint8_t)~A_UIP;
		if (!(r->cmos[REG_B] & B_SET) &&
		    wall(r) % CLOCK_NS_PER_SEC >= CLOCK_NS_PER_SEC - UIP_NS)
			val |= A_UIP;
		return val;
	case REG_C:
		val = r->cmos[REG_C];
		r->cmos[REG_C] = 0;
		update_irq(r);
		return val;
	case REG_D:
		return D_VRT;
	default:
		return r->cmos[reg];
	}
}

static void write_b(struct rtc *r, uint8_t val)
{
	bool was_set = r->cmos[REG_B] & B_SET;

	if ((val & B_SET) && !was_set)
		time_to_cmos(r);
	if (was_set && !(val & B_SET))
		cmos_to_time(r);
	if (val & B_SET)
		val &= (uint8_t)~B_UIE;
	r->cmos[REG_B] = val;
	r->last_s = guest_seconds(r);
	update_irq(r);
	arm(r);
}

static void write_reg(struct rtc *r, uint8_t val)
{
	unsigned reg = r->index & 0x7f;

	switch (reg) {
	case REG_A:
		r->cmos[REG_A] = val & (uint8_t)~A_UIP;
		r->next_periodic_ns = 0;
		arm(r);
		return;
	case REG_B:
		write_b(r, val);
		return;
	case REG_C:
	case REG_D:
		return; /* read-only */
	default:
		break;
	}
	if (is_time(reg) && !(r->cmos[REG_B] & B_SET)) {
		time_to_cmos(r);
		r->cmos[reg] = val;
		cmos_to_time(r);
		return;
	}
	r->cmos[reg] = val;
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size UNUSED)
{
	struct rtc *r = dev;

	return off ? read_reg(r) : 0xff; /* the index register is write-only */
}

/* Bit 7 of the index masks NMI, which nothing here raises. */
static void rtc_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t val)
{
	struct rtc *r = dev;

	if (off)
		write_reg(r, (uint8_t)val);
	else
		r->index = (uint8_t)val;
}

static const struct bus_ops rtc_ops = { rtc_read, rtc_write, 1, 1 };

/* --- life cycle
 * ----------------------------------------------------------------------------------- */

static void rtc_reset(void *dev)
{
	struct rtc *r = dev;

	/* RESET clears the interrupt enables and flags; time and memory stay. */
	r->cmos[REG_A] = 0x26;
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_C] = 0;
	r->index = 0;
	update_irq(r);
	arm(r);
}

static void put16(uint8_t *p, uint64_t v)
{
	v = MIN(v, 0xffffull);
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

void rtc_setup_bios(struct rtc *r, uint64_t low_ram, uint64_t high_ram)
{
	uint64_t ext = low_ram > 0x100000 ? low_ram - 0x100000 : 0;
	uint64_t high = high_ram >> 16;

	put16(&r->cmos[0x15], 640);	  /* base memory, KiB */
	put16(&r->cmos[0x17], ext >> 10); /* extended, KiB */
	put16(&r->cmos[0x30], ext >> 10);
	put16(&r->cmos[0x34], low_ram > 0x1000000 ? (low_ram - 0x1000000) >> 16 : 0);
	r->cmos[0x5b] = (uint8_t)high; /* above 4 GiB, 64 KiB units */
	r->cmos[0x5c] = (uint8_t)(high >> 8);
	r->cmos[0x5d] = (uint8_t)(high >> 16);
	r->cmos[0x14] = 0x06; /* equipment: FPU, no mouse */
}

int rtc_create(struct rtc **out, const struct dev_env *env, const struct irq_line *irq,
	       struct err *e)
{
	struct rtc *r = calloc(1, sizeof(*r));
	int ret;

	/* gmtime_r() and timegm() open the zone file once; after set-up nothing can be opened. */
	tzset();
	if (!r)
		return err_set(e, -ENOMEM, "no memory for the clock");
	r->env = *env;
	r->irq = *irq;
	r->range = (struct bus_range) { 0x70, 2, &rtc_ops, r, "rtc" };
	tzset(); /* now: the time zone file cannot be opened later, in the sandbox */
	loop_timer_init(&r->timer, env->loop, expired, r);
	ret = bus_claim(env->ports, &r->range, e);
	if (ret) {
		free(r);
		return ret;
	}
	rtc_reset(r);
	*out = r;
	return 0;
}

static void rtc_save(void *dev, struct snap_writer *w)
{
	struct rtc *r = dev;

	if (!(r->cmos[REG_B] & B_SET))
		time_to_cmos(r);
	snap_save_fields(w, r, fields, ARRAY_SIZE(fields));
}

static int rtc_load(void *dev, const struct snap_reader *rd, struct err *e)
{
	struct rtc *r = dev;
	int ret = snap_load_fields(rd, r, fields, ARRAY_SIZE(fields), e);

	if (ret)
		return ret;
	r->next_periodic_ns = 0;
	r->last_s = guest_seconds(r);
	update_irq(r);
	arm(r);
	return 0;
}

static void rtc_destroy(void *dev)
{
	struct rtc *r = dev;

	if (!r)
		return;
	loop_timer_disarm(&r->timer);
	bus_release(r->env.ports, &r->range);
	free(r);
}

const struct dev_ops rtc_dev_ops = {
	.type = "mc146818",
	.reset = rtc_reset,
	.save = rtc_save,
	.load = rtc_load,
	.destroy = rtc_destroy,
};
