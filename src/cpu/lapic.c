/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's model. All sections cited are of the SDM vol. 3A, chapter 10.
 *
 * Theory of operation: senders (IPIs, MSIs) look at the receiver's atomic members only: base,
 * SVR, LDR and DFR say whether it is meant; then TMR, IRR or events are set and wake() is called,
 * in that order, so an owner that sleeps after it found nothing is woken. Registers have one
 * read and one write function by index (offset / 16); xAPIC's page and x2APIC's MSRs are two
 * doors to them that differ in what they refuse.
 *
 * The timer's input clock is 1 GHz before the divider, so its ticks are nanoseconds; CPUID leaf
 * 15h names the same number as crystal frequency. timer_start_ns is 0 while the count stands.
 *
 * Limits: no CMCI (six LVT entries), SMI and ExtINT messages are dropped, no error is noted at
 * the receiver of an illegal vector, the APIC id cannot be written.
 */
#include "cpu/lapic.h"

#include "base/bytes.h"
#include "spec/x86.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAPIC_VERSION	    0x50014u /* 10.4.8: integrated, LVT entries less one is 5 */
#define LAPIC_PERIOD_MIN_NS 50000u   /* periodic timers are not armed faster than this */
#define LAPIC_SET_MAX	    256u

/* Registers by offset / 16: table 10-1. */
enum lapic_reg {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR2 = 0x31,
	REG_LVT_TIMER = 0x32,
	REG_LVT_THERMAL = 0x33,
	REG_LVT_PMC = 0x34,
	REG_LVT_LINT0 = 0x35,
	REG_LVT_LINT1 = 0x36,
	REG_LVT_ERROR = 0x37,
	REG_TIMER_ICR = 0x38,
	REG_TIMER_CCR = 0x39,
	REG_TIMER_DCR = 0x3e,
	REG_SELF_IPI = 0x3f,
};

/* 10.4.4, figure 10-5 and 10.12.1. */
#define BASE_BSP   (1ull << 8)
#define BASE_EXTD  (1ull << 10)
#define BASE_EN	   (1ull << 11)
#define BASE_ADDR  (((1ull << 46) - 1) & ~0xfffull)

#define SVR_ENABLE (1u << 8)
#define SVR_VALID  0x3ffu /* focus checking is bit 9; no suppress-EOI-broadcast */

/* ICR: 10.6.1; message data: 10.11.2. */
#define DM_FIXED     0u
#define DM_LOWEST    1u
#define DM_NMI	     4u
#define DM_INIT	     5u
#define DM_SIPI	     6u
#define DM_EXTINT    7u
#define ICR_MODE(v)  (((v) >> 8) & 7)
#define ICR_LOGICAL  (1u << 11)
#define ICR_BUSY     (1u << 12)
#define ICR_ASSERT   (1u << 14)
#define ICR_LEVEL    (1u << 15)
#define ICR_HAND(v)  (((v) >> 18) & 3)
#define ICR_VALID    0xcdfffu /* with the busy bit, which writes may hold */

#define LVT_MASKED   (1u << 16)
#define LVT_MODE_TMR 0x60000u
#define LVT_PERIODIC 0x20000u
#define LVT_DEADLINE 0x40000u

/* 10.5.3. */
#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_ILLEGAL_REG	 (1u << 7)

struct lapic_set {
	unsigned n;
	_Atomic(struct lapic *) l[];
};

/** A message on its way. */
struct message {
	uint32_t dest;
	bool wide; /* dest has 32 bits, all ones is broadcast; otherwise 8 */
	bool logical, level, assert;
	unsigned mode;
	uint8_t vector;
};

static bool is_x2(const struct lapic *l)
{
	return (atomic_load_explicit(&l->base_msr, memory_order_relaxed) & (BASE_EN | BASE_EXTD)) ==
	       (BASE_EN | BASE_EXTD);
}

static bool is_on(const struct lapic *l)
{
	return atomic_load_explicit(&l->base_msr, memory_order_relaxed) & BASE_EN;
}

static bool sw_enabled(const struct lapic *l)
{
	return atomic_load_explicit(&l->svr, memory_order_relaxed) & SVR_ENABLE;
}

static uint32_t x2_ldr(uint32_t id)
{
	return (id >> 4) << 16 | 1u << (id & 15); /* 10.12.10.2 */
}

/* --- delivery ---------------------------------------------------------------------------- */

int lapic_set_create(struct lapic_set **out, unsigned n, struct err *e)
{
	struct lapic_set *s;

	if (!n || n > LAPIC_SET_MAX)
		return err_set(e, -EINVAL, "%u vCPUs cannot share one interrupt bus", n);
	s = calloc(1, sizeof(*s) + n * sizeof(s->l[0]));
	if (!s)
		return err_set(e, -ENOMEM, "no memory for the interrupt bus");
	s->n = n;
	*out = s;
	return 0;
}

void lapic_set_destroy(struct lapic_set *s)
{
	free(s);
}

static void raise_vector(struct lapic *l, uint8_t vec, bool level)
{
	uint64_t bit = 1ull << (vec & 63);

	if (vec < 16)
		return;
	if (level)
		atomic_fetch_or(&l->tmr[vec >> 6], bit);
	else
		atomic_fetch_and(&l->tmr[vec >> 6], ~bit);
	atomic_fetch_or(&l->irr[vec >> 6], bit);
	l->ops->wake(l->ctx);
}

static void raise_event(struct lapic *l, unsigned ev)
{
	if (ev == LAPIC_EV_INIT) /* a SIPI that came before is void */
		atomic_fetch_and(&l->events, ~LAPIC_EV_SIPI);
	atomic_fetch_or(&l->events, ev);
	l->ops->wake(l->ctx);
}

/* 10.6.2: physical, logical flat and cluster, x2APIC logical (10.12.10). */
static bool matches(const struct lapic *l, const struct message *m)
{
	uint32_t ldr, dest = m->dest;

	if (dest == (m->wide ? UINT32_MAX : 0xffu))
		return true;
	if (!m->logical)
		return dest == l->id;
	if (is_x2(l)) {
		ldr = x2_ldr(l->id);
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	}
	if (dest > 0xff)
		return false;
	ldr = atomic_load(&l->ldr) >> 24;
	if (atomic_load(&l->dfr) >> 28 == 0xf)
		return ldr & dest;
	/* Cluster 15 is all clusters. */
	return (dest >> 4 == 0xf || dest >> 4 == ldr >> 4) && (dest & ldr & 0xf);
}

static void deliver_one(struct lapic *l, const struct message *m)
{
	if (!is_on(l))
		return;
	switch (m->mode) {
	case DM_FIXED:
	case DM_LOWEST:
		if (sw_enabled(l))
			raise_vector(l, m->vector, m->level);
		break;
	case DM_NMI:
		raise_event(l, LAPIC_EV_NMI);
		break;
	case DM_INIT:
		if (!m->level || m->assert) /* the de-assert form does nothing: 10.6.1 */
			raise_event(l, LAPIC_EV_INIT);
		break;
	case DM_SIPI:
		atomic_store(&l->sipi_vector, m->vector);
		raise_event(l, LAPIC_EV_SIPI);
		break;
	default:
		break;
	}
}

/*
 * Who gets a lowest-priority message is model-specific where priorities are equal (10.6.2.4);
 * here the vector chooses among all that match, which spreads devices over CPUs.
 */
static void deliver_lowest(struct lapic_set *s, const struct message *m)
{
	unsigned matching = 0, pick;

	for (int pass = 0; pass < 2; pass++) {
		pick = matching ? m->vector % matching : 0;
		for (unsigned i = 0; i < s->n; i++) {
			struct lapic *l = atomic_load(&s->l[i]);

			if (!l || !is_on(l) || !sw_enabled(l) || !matches(l, m))
				continue;
			if (!pass) {
				matching++;
			} else if (!pick--) {
				deliver_one(l, m);
				return;
			}
		}
	}
}

static void deliver(struct lapic_set *s, const struct message *m)
{
	if (m->mode == DM_LOWEST) {
		deliver_lowest(s, m);
		return;
	}
	for (unsigned i = 0; i < s->n; i++) {
		struct lapic *l = atomic_load(&s->l[i]);

		if (l && matches(l, m))
			deliver_one(l, m);
	}
}

void lapic_msi(struct lapic_set *s, uint64_t addr, uint32_t data)
{
	struct message m = {
		.dest = (addr >> 12) & 0xff,
		.logical = addr & 4,
		.mode = ICR_MODE(data),
		.vector = (uint8_t)data,
		.assert = data & ICR_ASSERT,
		.level = data & ICR_LEVEL,
	};

	if ((addr & ~0xfffffull) == LAPIC_BASE_DEFAULT)
		deliver(s, &m);
}

static void note_error(struct lapic *l, uint32_t bit)
{
	l->esr_pending |= bit;
	if (!(l->lvt_error & LVT_MASKED) && sw_enabled(l))
		raise_vector(l, (uint8_t)l->lvt_error, false);
}

static void send_ipi(struct lapic *l)
{
	uint32_t low = (uint32_t)l->icr, high = (uint32_t)(l->icr >> 32);
	unsigned hand = ICR_HAND(low);
	struct message m = {
		.dest = is_x2(l) ? high : high >> 24,
		.wide = is_x2(l),
		.logical = low & ICR_LOGICAL,
		.mode = ICR_MODE(low),
		.vector = (uint8_t)low,
		.assert = low & ICR_ASSERT,
		/* IPIs other than INIT are edge-triggered whatever the bit says: 10.6.1. */
		.level = ICR_MODE(low) == DM_INIT && (low & ICR_LEVEL),
	};

	if (m.mode <= DM_LOWEST && m.vector < 16) {
		note_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	if (!hand) {
		deliver(l->set, &m);
		return;
	}
	for (unsigned i = 0; i < l->set->n; i++) {
		struct lapic *t = atomic_load(&l->set->l[i]);

		if (t && (hand == 2 || (hand == 1) == (t == l)))
			deliver_one(t, &m);
	}
}

/* --- the timer ----------------------------------------------------------------------------- */

static unsigned timer_shift(const struct lapic *l)
{
	unsigned d = (l->timer_dcr & 3) | ((l->timer_dcr >> 1) & 4); /* 10.5.4, figure 10-10 */

	return (d + 1) & 7;
}

static uint64_t timer_period(const struct lapic *l)
{
	return (uint64_t)l->timer_icr << timer_shift(l);
}

static bool timer_deadline_mode(const struct lapic *l)
{
	return (l->lvt_timer & LVT_MODE_TMR) == LVT_DEADLINE;
}

static uint32_t timer_count(const struct lapic *l)
{
	uint64_t period = timer_period(l), gone;

	if (timer_deadline_mode(l) || !l->timer_start_ns || !period)
		return 0;
	gone = l->ops->now_ns(l->ctx) - l->timer_start_ns;
	if ((l->lvt_timer & LVT_MODE_TMR) == LVT_PERIODIC)
		gone %= period;
	else if (gone >= period)
		return 0;
	return (uint32_t)((period - gone + (1u << timer_shift(l)) - 1) >> timer_shift(l));
}

static void timer_arm(struct lapic *l)
{
	uint64_t at = UINT64_MAX;

	if (timer_deadline_mode(l)) {
		l->ops->timer_arm(l->ctx, l->tsc_deadline ? l->tsc_deadline : UINT64_MAX, at);
		return;
	}
	if (l->timer_start_ns && l->timer_icr) {
		at = l->timer_start_ns + timer_period(l);
		if ((l->lvt_timer & LVT_MODE_TMR) == LVT_PERIODIC)
			at = MAX(at, l->timer_start_ns + LAPIC_PERIOD_MIN_NS);
	}
	l->ops->timer_arm(l->ctx, UINT64_MAX, at);
}

static void timer_fire(struct lapic *l)
{
	if (!(l->lvt_timer & LVT_MASKED))
		raise_vector(l, (uint8_t)l->lvt_timer, false);
}

void lapic_timer_check(struct lapic *l)
{
	uint64_t now, period = timer_period(l);

	if (timer_deadline_mode(l)) {
		if (l->tsc_deadline && l->ops->tsc(l->ctx) >= l->tsc_deadline) {
			l->tsc_deadline = 0;
			timer_fire(l);
		}
	} else if (l->timer_start_ns && period) {
		now = l->ops->now_ns(l->ctx);
		if (now >= l->timer_start_ns && now - l->timer_start_ns >= period) {
			if ((l->lvt_timer & LVT_MODE_TMR) == LVT_PERIODIC)
				l->timer_start_ns = now - (now - l->timer_start_ns) % period;
			else
				l->timer_start_ns = 0;
			timer_fire(l);
		}
	}
	timer_arm(l);
}

static void timer_start(struct lapic *l, uint32_t count)
{
	if (timer_deadline_mode(l))
		return; /* 10.5.4.1: writes are ignored */
	l->timer_icr = count;
	l->timer_start_ns = count ? MAX(l->ops->now_ns(l->ctx), 1u) : 0;
	timer_arm(l);
}

/* A change of the divider keeps the current count: restart from what is left. */
static void timer_divide(struct lapic *l, uint32_t dcr)
{
	uint64_t gone = l->timer_icr - timer_count(l), now = l->ops->now_ns(l->ctx);
	bool runs = l->timer_start_ns && timer_count(l);

	l->timer_dcr = dcr & 0xb;
	if (!runs)
		return;
	gone <<= timer_shift(l);
	l->timer_start_ns = now > gone ? now - gone : 1;
	timer_arm(l);
}

static void timer_set_lvt(struct lapic *l, uint32_t val)
{
	bool was = timer_deadline_mode(l);

	l->lvt_timer = val;
	if (was != timer_deadline_mode(l)) { /* 10.5.4.1: a change of mode disarms */
		l->tsc_deadline = 0;
		l->timer_start_ns = 0;
		l->timer_icr = 0;
	}
	timer_arm(l);
}

/* --- registers ------------------------------------------------------------------------------- */

void lapic_reset(struct lapic *l, bool init)
{
	uint64_t base = LAPIC_BASE_DEFAULT | BASE_EN | (l->id ? 0 : BASE_BSP);

	if (!init) {
		atomic_store(&l->base_msr, base);
		atomic_store(&l->events, 0);
		atomic_store(&l->sipi_vector, 0);
	}
	for (unsigned i = 0; i < LAPIC_VECTORS / 64; i++) {
		atomic_store(&l->irr[i], 0);
		atomic_store(&l->tmr[i], 0);
		l->isr[i] = 0;
	}
	atomic_store(&l->svr, 0xff);
	atomic_store(&l->dfr, UINT32_MAX);
	atomic_store(&l->ldr, is_x2(l) ? x2_ldr(l->id) : 0);
	l->tpr = l->esr = l->esr_pending = 0;
	l->icr = 0;
	l->lvt_timer = l->lvt_thermal = l->lvt_pmc = LVT_MASKED;
	l->lvt_lint0 = l->lvt_lint1 = l->lvt_error = LVT_MASKED;
	/* The BSP's virtual wire, as firmware leaves it: MP spec 1.4, 3.6.2.1. */
	if (!init && !l->id)
		l->lvt_lint0 = DM_EXTINT << 8;
	l->timer_icr = l->timer_dcr = 0;
	l->timer_start_ns = l->tsc_deadline = 0;
	timer_arm(l);
}

void lapic_init(struct lapic *l, struct lapic_set *set, uint32_t id,
		const struct lapic_owner_ops *ops, void *ctx)
{
	BUG_ON(id >= set->n);
	memset(l, 0, sizeof(*l));
	l->set = set;
	l->id = id;
	l->ops = ops;
	l->ctx = ctx;
	lapic_reset(l, false);
	atomic_store(&set->l[id], l);
}

static int highest(const uint64_t *w)
{
	for (int i = LAPIC_VECTORS / 64 - 1; i >= 0; i--)
		if (w[i])
			return i * 64 + 63 - __builtin_clzll(w[i]);
	return -1;
}

static int highest_irr(const struct lapic *l)
{
	for (int i = LAPIC_VECTORS / 64 - 1; i >= 0; i--) {
		uint64_t w = atomic_load_explicit(&l->irr[i], memory_order_relaxed);

		if (w)
			return i * 64 + 63 - __builtin_clzll(w);
	}
	return -1;
}

/* 10.8.3.1. */
static uint32_t ppr(const struct lapic *l)
{
	int isrv = highest(l->isr);
	uint32_t in_service = isrv < 0 ? 0 : (uint32_t)isrv & 0xf0;

	return (l->tpr & 0xf0) >= in_service ? l->tpr : in_service;
}

static uint32_t *lvt_reg(struct lapic *l, unsigned reg, uint32_t *valid)
{
	switch (reg) {
	case REG_LVT_TIMER:
		*valid = 0x700ff;
		return &l->lvt_timer;
	case REG_LVT_THERMAL:
		*valid = 0x107ff;
		return &l->lvt_thermal;
	case REG_LVT_PMC:
		*valid = 0x107ff;
		return &l->lvt_pmc;
	case REG_LVT_LINT0:
		*valid = 0x1a7ff;
		return &l->lvt_lint0;
	case REG_LVT_LINT1:
		*valid = 0x1a7ff;
		return &l->lvt_lint1;
	case REG_LVT_ERROR:
		*valid = 0x100ff;
		return &l->lvt_error;
	default:
		return NULL;
	}
}

/* A register's value; -1: there is none that can be read. */
static int64_t reg_read(const struct lapic *l, unsigned reg)
{
	uint32_t valid, *lvt = lvt_reg((struct lapic *)l, reg, &valid);
	unsigned i = reg & 7;

	if (lvt)
		return *lvt;
	if (reg >= REG_ISR && reg < REG_ISR + 8)
		return (uint32_t)(l->isr[i / 2] >> (i & 1) * 32);
	if (reg >= REG_TMR && reg < REG_TMR + 8)
		return (uint32_t)(atomic_load(&l->tmr[i / 2]) >> (i & 1) * 32);
	if (reg >= REG_IRR && reg < REG_IRR + 8)
		return (uint32_t)(atomic_load(&l->irr[i / 2]) >> (i & 1) * 32);
	switch (reg) {
	case REG_ID:
		return is_x2(l) ? l->id : (int64_t)l->id << 24 & 0xff000000;
	case REG_VERSION:
		return LAPIC_VERSION;
	case REG_TPR:
		return l->tpr;
	case REG_PPR:
		return ppr(l);
	case REG_LDR:
		return is_x2(l) ? x2_ldr(l->id) : atomic_load(&l->ldr);
	case REG_DFR:
		return atomic_load(&l->dfr);
	case REG_SVR:
		return atomic_load(&l->svr);
	case REG_ESR:
		return l->esr;
	case REG_ICR:
		return (uint32_t)l->icr;
	case REG_ICR2:
		return (uint32_t)(l->icr >> 32);
	case REG_TIMER_ICR:
		return l->timer_icr;
	case REG_TIMER_CCR:
		return timer_count(l);
	case REG_TIMER_DCR:
		return l->timer_dcr;
	default:
		return -1;
	}
}

static void set_svr(struct lapic *l, uint32_t val)
{
	atomic_store(&l->svr, val & SVR_VALID);
	if (val & SVR_ENABLE)
		return;
	/* 10.4.7.2: software-disabled, all LVT entries are masked. */
	for (unsigned r = REG_LVT_TIMER; r <= REG_LVT_ERROR; r++) {
		uint32_t valid, *lvt = lvt_reg(l, r, &valid);

		*lvt |= LVT_MASKED;
	}
}

/* Write @val (checked already where x2APIC asks for it); false: no register that is written. */
static bool reg_write(struct lapic *l, unsigned reg, uint32_t val)
{
	uint32_t valid = 0, *lvt = lvt_reg(l, reg, &valid);

	if (lvt) {
		val = (val & valid) | (sw_enabled(l) ? 0 : LVT_MASKED);
		if (reg == REG_LVT_TIMER)
			timer_set_lvt(l, val);
		else
			*lvt = val;
		return true;
	}
	switch (reg) {
	case REG_TPR:
		l->tpr = val & 0xff;
		return true;
	case REG_EOI:
		lapic_eoi(l);
		return true;
	case REG_LDR:
		atomic_store(&l->ldr, val & 0xff000000u);
		return true;
	case REG_DFR:
		atomic_store(&l->dfr, val | 0x0fffffffu);
		return true;
	case REG_SVR:
		set_svr(l, val);
		return true;
	case REG_ESR: /* 10.5.3: a write latches what came since the last */
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		return true;
	case REG_ICR:
		l->icr = (l->icr & ~0xffffffffull) | (val & ICR_VALID & ~ICR_BUSY);
		send_ipi(l);
		return true;
	case REG_ICR2:
		l->icr = (uint32_t)l->icr | (uint64_t)(val & 0xff000000u) << 32;
		return true;
	case REG_TIMER_ICR:
		timer_start(l, val);
		return true;
	case REG_TIMER_DCR:
		timer_divide(l, val);
		return true;
	case REG_ID:
	case REG_VERSION:
	case REG_PPR:
	case REG_APR:
	case REG_TIMER_CCR:
		return true; /* read-only, no error */
	default:
		return false;
	}
}

uint32_t lapic_mmio_read(struct lapic *l, uint32_t off)
{
	int64_t v;

	if ((off & 15) || off > 0xff0 || !is_on(l) || is_x2(l))
		return 0;
	v = reg_read(l, off >> 4);
	if (v < 0 && off >> 4 != REG_EOI && off >> 4 != REG_APR)
		note_error(l, ESR_ILLEGAL_REG);
	return v < 0 ? 0 : (uint32_t)v;
}

void lapic_mmio_write(struct lapic *l, uint32_t off, uint32_t val)
{
	if ((off & 15) || off > 0xff0 || !is_on(l) || is_x2(l))
		return;
	if (!reg_write(l, off >> 4, val))
		note_error(l, ESR_ILLEGAL_REG);
}

/* 10.12.1.2, table 10-6: which bits a WRMSR may set; 0: the register takes no write but of 0. */
static int x2_write_mask(unsigned reg, uint64_t *mask)
{
	struct lapic none;
	uint32_t valid;

	if (lvt_reg(&none, reg, &valid)) {
		*mask = valid | (1u << 12) | (1u << 14); /* the read-only status bits */
		return 0;
	}
	switch (reg) {
	case REG_TPR:
		*mask = 0xff;
		return 0;
	case REG_EOI:
	case REG_ESR:
		*mask = 0;
		return 0;
	case REG_SVR:
		*mask = SVR_VALID;
		return 0;
	case REG_ICR:
		*mask = 0xffffffff00000000ull | (ICR_VALID & ~ICR_BUSY);
		return 0;
	case REG_TIMER_ICR:
		*mask = UINT32_MAX;
		return 0;
	case REG_TIMER_DCR:
		*mask = 0xb;
		return 0;
	case REG_SELF_IPI:
		*mask = 0xff;
		return 0;
	default:
		return -EINVAL;
	}
}

static int x2_write(struct lapic *l, unsigned reg, uint64_t val)
{
	uint64_t mask;

	if (!is_x2(l) || x2_write_mask(reg, &mask) || (val & ~mask))
		return -EINVAL;
	if (reg == REG_ICR) {
		l->icr = val;
		send_ipi(l);
	} else if (reg == REG_SELF_IPI) {
		if (val < 16)
			note_error(l, ESR_SEND_ILLEGAL);
		else if (sw_enabled(l))
			raise_vector(l, (uint8_t)val, false);
	} else {
		reg_write(l, reg, (uint32_t)val);
	}
	return 0;
}

static int x2_read(const struct lapic *l, unsigned reg, uint64_t *val)
{
	int64_t v;

	if (!is_x2(l) || reg == REG_ICR2 || reg == REG_DFR)
		return -EINVAL;
	v = reg_read(l, reg);
	if (v < 0)
		return -EINVAL;
	*val = reg == REG_ICR ? l->icr : (uint64_t)v;
	return 0;
}

/* 10.12.5, figure 10-27: which changes of mode there are. */
static int base_write(struct lapic *l, uint64_t val)
{
	const uint64_t mode = BASE_EN | BASE_EXTD;
	uint64_t old = atomic_load(&l->base_msr);

	if (val & ~(BASE_ADDR | BASE_BSP | mode))
		return -EINVAL;
	if ((val & mode) == BASE_EXTD)
		return -EINVAL;
	if ((old & mode) == mode && (val & mode) == BASE_EN)
		return -EINVAL;
	if (!(old & mode) && (val & mode) == mode)
		return -EINVAL;
	val = (val & ~BASE_BSP) | (old & BASE_BSP);
	atomic_store(&l->base_msr, val);
	if ((old & BASE_EN) && !(val & BASE_EN))
		lapic_reset(l, true); /* 10.4.3: its state is lost */
	else if ((val & mode) == mode && (old & mode) != mode)
		atomic_store(&l->ldr, x2_ldr(l->id));
	return 0;
}

int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val)
{
	if (msr == X86_MSR_APIC_BASE) {
		*val = atomic_load(&l->base_msr);
		return 0;
	}
	if (msr == X86_MSR_TSC_DEADLINE) {
		*val = timer_deadline_mode(l) ? l->tsc_deadline : 0;
		return 0;
	}
	if (msr < X86_MSR_X2APIC_FIRST || msr > X86_MSR_X2APIC_LAST)
		return -EINVAL;
	return x2_read(l, msr - X86_MSR_X2APIC_FIRST, val);
}

int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val)
{
	if (msr == X86_MSR_APIC_BASE)
		return base_write(l, val);
	if (msr == X86_MSR_TSC_DEADLINE) {
		if (timer_deadline_mode(l)) {
			l->tsc_deadline = val;
			lapic_timer_check(l);
		}
		return 0;
	}
	if (msr < X86_MSR_X2APIC_FIRST || msr > X86_MSR_X2APIC_LAST)
		return -EINVAL;
	return x2_write(l, msr - X86_MSR_X2APIC_FIRST, val);
}

/* --- acceptance ------------------------------------------------------------------------------ */

uint32_t lapic_cr8(const struct lapic *l)
{
	return l->tpr >> 4;
}

void lapic_set_cr8(struct lapic *l, uint32_t cr8)
{
	l->tpr = (cr8 & 15) << 4;
}

int lapic_pending(const struct lapic *l)
{
	int vec = is_on(l) ? highest_irr(l) : -1;

	return vec >= 0 && ((uint32_t)vec & 0xf0) > (ppr(l) & 0xf0) ? vec : -1;
}

bool lapic_has_work(const struct lapic *l)
{
	return atomic_load_explicit(&l->events, memory_order_relaxed) || highest_irr(l) >= 0;
}

uint8_t lapic_accept(struct lapic *l)
{
	int vec = lapic_pending(l);
	uint64_t bit;

	BUG_ON(vec < 0);
	bit = 1ull << (vec & 63);
	atomic_fetch_and(&l->irr[vec >> 6], ~bit);
	l->isr[vec >> 6] |= bit;
	return (uint8_t)vec;
}

void lapic_eoi(struct lapic *l)
{
	int vec = highest(l->isr);

	if (vec < 0)
		return;
	l->isr[vec >> 6] &= ~(1ull << (vec & 63));
	if (atomic_load(&l->tmr[vec >> 6]) & (1ull << (vec & 63)))
		l->ops->eoi(l->ctx, (uint8_t)vec);
}

bool lapic_takes_extint(const struct lapic *l)
{
	if (!is_on(l))
		return true; /* 10.4.3: the pin is then the CPU's INTR */
	return !(l->lvt_lint0 & LVT_MASKED) && ICR_MODE(l->lvt_lint0) == DM_EXTINT;
}

unsigned lapic_take_events(struct lapic *l)
{
	if (!atomic_load_explicit(&l->events, memory_order_relaxed))
		return 0;
	return atomic_exchange(&l->events, 0);
}

/* --- state -------------------------------------------------------------------------------------
 */

void lapic_save_regs(const struct lapic *l, uint8_t *regs)
{
	memset(regs, 0, 1024);
	for (unsigned reg = 0; reg < 0x3f; reg++) {
		int64_t v = reg_read(l, reg);

		if (v >= 0)
			put_le32(regs + reg * 16, (uint32_t)v);
	}
	/* ESR as it would be read is there already; what is not latched yet is lost. */
}

static uint64_t load_words(const uint8_t *regs, unsigned reg, unsigned i)
{
	return get_le32(regs + (reg + 2 * i) * 16) |
	       (uint64_t)get_le32(regs + (reg + 2 * i + 1) * 16) << 32;
}

static void load_timer(struct lapic *l, const uint8_t *regs, uint64_t tsc_deadline)
{
	uint32_t left = get_le32(regs + REG_TIMER_CCR * 16);
	uint64_t now, gone;

	l->timer_icr = get_le32(regs + REG_TIMER_ICR * 16);
	l->timer_dcr = get_le32(regs + REG_TIMER_DCR * 16);
	l->tsc_deadline = timer_deadline_mode(l) ? tsc_deadline : 0;
	l->timer_start_ns = 0;
	if (!timer_deadline_mode(l) && l->timer_icr && left) {
		now = l->ops->now_ns(l->ctx);
		gone = (uint64_t)(l->timer_icr - MIN(left, l->timer_icr)) << timer_shift(l);
		l->timer_start_ns = now > gone ? now - gone : 1;
	}
	timer_arm(l);
}

int lapic_load_regs(struct lapic *l, const uint8_t *regs, uint64_t base_msr, uint64_t tsc_deadline)
{
	static const uint8_t plain[] = { REG_TPR, REG_LDR, REG_DFR, REG_SVR };
	static const uint32_t allowed[] = { 0xff, UINT32_MAX, UINT32_MAX, SVR_VALID };
	uint32_t valid, *lvt;

	if ((base_msr & ~(BASE_ADDR | BASE_BSP | BASE_EN | BASE_EXTD)) ||
	    (base_msr & (BASE_EN | BASE_EXTD)) == BASE_EXTD)
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
		if (get_le32(regs + plain[i] * 16) & ~allowed[i])
			return -EINVAL;
	for (unsigned r = REG_LVT_TIMER; r <= REG_LVT_ERROR; r++) {
		BUG_ON(!lvt_reg(l, r, &valid));
		if (get_le32(regs + r * 16) & ~(valid | 1u << 12 | 1u << 14))
			return -EINVAL;
	}
	if ((get_le32(regs + REG_TIMER_DCR * 16) & ~0xbu) ||
	    (load_words(regs, REG_IRR, 0) & 0xffff) || (load_words(regs, REG_ISR, 0) & 0xffff))
		return -EINVAL;

	atomic_store(&l->base_msr, base_msr);
	l->tpr = get_le32(regs + REG_TPR * 16);
	atomic_store(&l->dfr, get_le32(regs + REG_DFR * 16) | 0x0fffffffu);
	atomic_store(&l->svr, get_le32(regs + REG_SVR * 16));
	atomic_store(&l->ldr,
		     is_x2(l) ? x2_ldr(l->id) : get_le32(regs + REG_LDR * 16) & 0xff000000u);
	l->esr = get_le32(regs + REG_ESR * 16) & 0xff;
	l->esr_pending = 0;
	l->icr = get_le32(regs + REG_ICR * 16) | (uint64_t)get_le32(regs + REG_ICR2 * 16) << 32;
	l->icr &= 0xffffffff00000000ull | (ICR_VALID & ~ICR_BUSY);
	for (unsigned r = REG_LVT_TIMER; r <= REG_LVT_ERROR; r++) {
		lvt = lvt_reg(l, r, &valid);
		*lvt = get_le32(regs + r * 16) & valid;
	}
	for (unsigned i = 0; i < LAPIC_VECTORS / 64; i++) {
		l->isr[i] = load_words(regs, REG_ISR, i);
		atomic_store(&l->tmr[i], load_words(regs, REG_TMR, i));
		atomic_store(&l->irr[i], load_words(regs, REG_IRR, i));
	}
	load_timer(l, regs, tsc_deadline);
	if (lapic_has_work(l))
		l->ops->wake(l->ctx);
	return 0;
}
