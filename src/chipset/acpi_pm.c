/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware: PM1a event and control, PM timer, power button.
 *
 * Theory of operation: ACPI 6.4, 4.8.3 (registers) and 4.8.3.3 (the timer, 3.579545 MHz, 32 bits
 * wide here as the FADT says). Status bits are sticky and cleared by writing ones; the SCI line
 * is the level of status AND enable. Writing SLP_EN with the type of S5 asks for power-off; other
 * sleep states are not offered. The reset register 0xcf9 lies among the PCI host bridge's ports.
 */
#include "base/bytes.h"
#include "chipset/chipset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PM_SIZE	       12
#define PM_TIMER_HZ    3579545u
#define PM1_STS	       0
#define PM1_EN	       2
#define PM1_CNT	       4
#define PM_TMR	       8

#define STS_TMR	       (1u << 0)
#define STS_GBL	       (1u << 5)
#define STS_PWRBTN     (1u << 8)
#define STS_WAK	       (1u << 15)
#define STS_ALL	       (STS_TMR | STS_GBL | STS_PWRBTN | (1u << 10) | STS_WAK)
#define EN_ALL	       (STS_TMR | STS_GBL | STS_PWRBTN | (1u << 10))
#define CNT_SCI_EN     (1u << 0)
#define CNT_SLP_TYP(v) ((v) >> 10 & 7)
#define CNT_SLP_EN     (1u << 13)
#define CNT_KEEP       0x1c07u
#define SLP_TYP_S5     5u

struct acpi_pm {
	struct dev_env env;
	struct bus_range range;
	struct irq_line sci;
	struct loop_timer overflow;
	uint64_t start_ns; /* the timer counts from here */
	uint16_t sts, en, cnt;
	uint32_t saved_timer; /* only while saving and loading */
};

static const struct snap_field fields[] = {
	SNAP_FIELD(struct acpi_pm, SNAP_U16, sts),
	SNAP_FIELD(struct acpi_pm, SNAP_U16, en),
	SNAP_FIELD(struct acpi_pm, SNAP_U16, cnt),
	SNAP_FIELD(struct acpi_pm, SNAP_U32, saved_timer),
};

static uint64_t now(const struct acpi_pm *p)
{
	return p->env.clock->mono_ns(p->env.clock);
}

static uint64_t ns_to_ticks(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * PM_TIMER_HZ / CLOCK_NS_PER_SEC);
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * CLOCK_NS_PER_SEC + PM_TIMER_HZ - 1) /
			  PM_TIMER_HZ);
}

static uint64_t ticks(const struct acpi_pm *p)
{
	return ns_to_ticks(now(p) - p->start_ns);
}

static void update_sci(struct acpi_pm *p)
{
	irq_set(&p->sci, p->sts & p->en & EN_ALL);
}

/* TMR_STS is set when the top bit changes: arm for that only while somebody wants it. */
static void arm_overflow(struct acpi_pm *p)
{
	uint64_t next;

	if (!(p->en & STS_TMR)) {
		loop_timer_disarm(&p->overflow);
		return;
	}
	next = (ticks(p) | 0x7fffffffu) + 1;
	loop_timer_arm(&p->overflow, p->start_ns + ticks_to_ns(next));
}

static void overflow(void *arg)
{
	struct acpi_pm *p = arg;

	p->sts |= STS_TMR;
	update_sci(p);
	arm_overflow(p);
}

static uint32_t pm_reg(struct acpi_pm *p, unsigned reg)
{
	switch (reg) {
	case PM1_STS:
		return p->sts | (uint32_t)p->en << 16;
	case PM1_CNT:
		return p->cnt;
	default:
		return (uint32_t)ticks(p);
	}
}

static uint64_t pm_read(void *dev, uint64_t off, unsigned size)
{
	uint64_t both = pm_reg(dev, off & ~3u);

	return (both >> (off & 3) * 8) & size_mask(size);
}

static void write_cnt(struct acpi_pm *p, uint16_t val)
{
	p->cnt = val & CNT_KEEP;
	if ((val & CNT_SLP_EN) && CNT_SLP_TYP(val) == SLP_TYP_S5)
		dev_request(&p->env, DEV_REQUEST_POWEROFF, 0);
}

/* Byte by byte: drivers write 8, 16 and 32 bits. */
static void pm_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *p = dev;
	uint16_t clear = 0, cnt = p->cnt;
	bool wrote_cnt = false;

	for (unsigned i = 0; i < size; i++, off++, val >>= 8) {
		unsigned sh = (off & 1) * 8;
		uint16_t byte = (uint16_t)((val & 0xff) << sh), keep = (uint16_t) ~(0xff << sh);

		switch (off & ~1ull) {
		case PM1_STS:
			clear |= byte;
			break;
		case PM1_EN:
			p->en = (uint16_t)(((p->en & keep) | byte) & EN_ALL);
			break;
		case PM1_CNT:
			cnt = (uint16_t)((cnt & keep) | byte);
			wrote_cnt = true;
			break;
		default:
			break; /* the timer is read-only */
		}
	}
	p->sts &= (uint16_t) ~(clear & STS_ALL);
	arm_overflow(p);
	update_sci(p);
	if (wrote_cnt)
		write_cnt(p, cnt);
}

static const struct bus_ops pm_ops = { .read = pm_read, .write = pm_write, .max_size = 4 };
void acpi_pm_power_button(struct acpi_pm *p)
{
	p->sts |= STS_PWRBTN;
	update_sci(p);
}

/* --- life cycle --------------------------------------------------------------------------------
 */

static void acpi_pm_reset(void *dev)
{
	struct acpi_pm *p = dev;

	p->sts = p->en = 0;
	p->cnt = CNT_SCI_EN; /* no legacy mode: ACPI is on from the start */
	p->start_ns = now(p);
	loop_timer_disarm(&p->overflow);
	update_sci(p);
}

int acpi_pm_create(struct acpi_pm **out, const struct dev_env *env, uint16_t base,
		   const struct irq_line *sci, struct err *e)
{
	struct acpi_pm *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for ACPI's registers");
	p->env = *env;
	p->sci = *sci;
	p->range = (struct bus_range) {
		.base = base, .size = PM_SIZE, .ops = &pm_ops, .dev = p, .name = "acpi-pm"
	};
	loop_timer_init(&p->overflow, env->loop, overflow, p);
	ret = bus_claim(env->ports, &p->range, e);
	if (ret) {
		free(p);
		return ret;
	}
	acpi_pm_reset(p);
	*out = p;
	return 0;
}

static void acpi_pm_save(void *dev, struct snap_writer *w)
{
	struct acpi_pm tmp = *(struct acpi_pm *)dev;

	tmp.saved_timer = (uint32_t)ticks(&tmp);
	snap_save_fields(w, &tmp, fields, ARRAY_SIZE(fields));
}

static int acpi_pm_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct acpi_pm *p = dev;
	int ret = snap_load_fields(r, p, fields, ARRAY_SIZE(fields), e);

	if (ret)
		return ret;
	p->sts &= STS_ALL;
	p->en &= EN_ALL;
	p->cnt &= CNT_KEEP;
	p->start_ns = now(p) - ticks_to_ns(p->saved_timer);
	arm_overflow(p);
	update_sci(p);
	return 0;
}

static void acpi_pm_destroy(void *dev)
{
	struct acpi_pm *p = dev;

	if (!p)
		return;
	loop_timer_disarm(&p->overflow);
	bus_release(p->env.ports, &p->range);
	free(p);
}

const struct dev_ops acpi_pm_dev_ops = {
	.type = "acpi-pm",
	.reset = acpi_pm_reset,
	.save = acpi_pm_save,
	.load = acpi_pm_load,
	.destroy = acpi_pm_destroy,
};
