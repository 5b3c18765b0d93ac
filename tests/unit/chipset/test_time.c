/* SPDX-License-Identifier: MIT */
/*
 * Timers and the clock, driven over the bus on a fake clock: 8254, MC146818, ACPI's PM timer.
 */
#include "../testenv.h"

#include "chipset/chipset.h"

static struct pit *make_pit(struct testenv *t)
{
	struct irq_line line = testenv_line(t, 0);
	struct pit *p;

	testenv_init(t);
	assert_int_equal(pit_create(&p, &t->env, &line, NULL), 0);
	return p;
}

static void pit_periodic_does_not_storm(void **state UNUSED)
{
	struct testenv t;
	struct pit *p = make_pit(&t);

	testenv_out(&t, 0x43, 0x34); /* channel 0, both bytes, mode 2 */
	testenv_out(&t, 0x40, 0xa9); /* 11945 ticks: 10.01 ms */
	testenv_out(&t, 0x40, 0x2e);
	t.rises[0] = 0;
	for (unsigned i = 0; i < 10; i++)
		testenv_advance(&t, 10020000);
	assert_in_range(t.rises[0], 9, 11);
	t.rises[0] = 0;
	testenv_advance(&t, CLOCK_NS_PER_SEC); /* the host was away: one edge, not a hundred */
	assert_int_equal(t.rises[0], 1);
	pit_dev_ops.destroy(p);
	testenv_free(&t);
}

static void pit_one_shot_and_latch(void **state UNUSED)
{
	struct testenv t;
	struct pit *p = make_pit(&t);
	unsigned lo, hi;

	testenv_out(&t, 0x43, 0x30); /* mode 0 */
	testenv_out(&t, 0x40, 0x00);
	testenv_out(&t, 0x40, 0x10); /* 4096 ticks: 3.43 ms */
	assert_false(t.level[0]);
	testenv_advance(&t, 1716000); /* half of it */
	testenv_out(&t, 0x43, 0x00);  /* latch */
	testenv_advance(&t, 1000000);
	lo = testenv_in(&t, 0x40);
	hi = testenv_in(&t, 0x40);
	assert_in_range(lo | hi << 8, 2040, 2056);
	testenv_advance(&t, 1000000);
	assert_true(t.level[0]);
	assert_int_equal(t.rises[0], 1);
	pit_dev_ops.destroy(p);
	testenv_free(&t);
}

/* What Linux's quick calibration does: channel 2 in mode 0, OUT2 in port 0x61. */
static void pit_channel2_gate(void **state UNUSED)
{
	struct testenv t;
	struct pit *p = make_pit(&t);

	testenv_out(&t, 0x61, 0x01);
	testenv_out(&t, 0x43, 0xb0);
	testenv_out(&t, 0x42, 0xff);
	testenv_out(&t, 0x42, 0x00);
	assert_int_equal(testenv_in(&t, 0x61) & 0x20, 0);
	testenv_advance(&t, 300000);
	assert_int_equal(testenv_in(&t, 0x61) & 0x20, 0x20);
	pit_dev_ops.destroy(p);
	testenv_free(&t);
}

static uint8_t cmos(struct testenv *t, uint8_t reg)
{
	testenv_out(t, 0x70, reg);
	return testenv_in(t, 0x71);
}

static void cmos_set(struct testenv *t, uint8_t reg, uint8_t val)
{
	testenv_out(t, 0x70, reg);
	testenv_out(t, 0x71, val);
}

static struct rtc *make_rtc(struct testenv *t)
{
	struct irq_line line = testenv_line(t, 8);
	struct rtc *r;

	testenv_init(t);
	assert_int_equal(rtc_create(&r, &t->env, &line, NULL), 0);
	return r;
}

static void rtc_tells_and_takes_time(void **state UNUSED)
{
	struct testenv t;
	struct rtc *r = make_rtc(&t);

	assert_int_equal(cmos(&t, 9), 0x26); /* 2026-11-21, a Saturday */
	assert_int_equal(cmos(&t, 0x32), 0x20);
	assert_int_equal(cmos(&t, 8), 0x11);
	assert_int_equal(cmos(&t, 7), 0x21);
	assert_int_equal(cmos(&t, 6), 7);
	testenv_advance(&t, 3661 * CLOCK_NS_PER_SEC);
	assert_int_equal(cmos(&t, 4), 0x01);
	assert_int_equal(cmos(&t, 2), 0x01);
	assert_int_equal(cmos(&t, 0), 0x01);
	cmos_set(&t, 11, 0x82); /* SET */
	cmos_set(&t, 4, 0x23);
	cmos_set(&t, 2, 0x59);
	cmos_set(&t, 0, 0x58);
	cmos_set(&t, 11, 0x02);
	testenv_advance(&t, 2 * CLOCK_NS_PER_SEC);
	assert_int_equal(cmos(&t, 4), 0x00); /* past midnight */
	assert_int_equal(cmos(&t, 7), 0x22);
	rtc_dev_ops.destroy(r);
	testenv_free(&t);
}

static void rtc_interrupts(void **state UNUSED)
{
	struct testenv t;
	struct rtc *r = make_rtc(&t);

	cmos_set(&t, 10, 0x26); /* 1024 Hz */
	cmos_set(&t, 11, 0x42);
	testenv_advance(&t, 1000000);
	assert_true(t.level[8]);
	assert_int_equal(cmos(&t, 12) & 0xc0, 0xc0);
	assert_false(t.level[8]);
	cmos_set(&t, 11, 0x12); /* update-ended */
	testenv_advance(&t, CLOCK_NS_PER_SEC);
	assert_true(t.level[8]);
	assert_int_equal(cmos(&t, 12) & 0x90, 0x90);
	cmos_set(&t, 1, 0x03); /* alarm at any hour, any minute, second 3 */
	cmos_set(&t, 3, 0xff);
	cmos_set(&t, 5, 0xff);
	cmos_set(&t, 11, 0x22);
	(void)cmos(&t, 12);
	for (unsigned i = 0; i < 5 && !t.level[8]; i++)
		testenv_advance(&t, CLOCK_NS_PER_SEC);
	assert_true(t.level[8]);
	assert_int_equal(cmos(&t, 0), 0x03);
	rtc_dev_ops.destroy(r);
	testenv_free(&t);
}

static void pm_timer_button_and_s5(void **state UNUSED)
{
	struct testenv t;
	struct irq_line sci = testenv_line(&t, 9);
	struct acpi_pm *p;
	uint64_t a, b;

	testenv_init(&t);
	assert_int_equal(acpi_pm_create(&p, &t.env, 0x600, &sci, NULL), 0);
	a = bus_read(t.env.ports, 0x608, 4);
	testenv_advance(&t, CLOCK_NS_PER_SEC);
	b = bus_read(t.env.ports, 0x608, 4);
	assert_in_range(b - a, 3579544, 3579546);
	acpi_pm_power_button(p);
	assert_false(t.level[9]);
	bus_write(t.env.ports, 0x602, 2, 0x100);
	assert_true(t.level[9]);
	bus_write(t.env.ports, 0x600, 2, 0x100); /* a one clears */
	assert_false(t.level[9]);
	bus_write(t.env.ports, 0x604, 2, 0x2001 | 2 << 10);
	assert_int_equal(t.request, -1); /* S2 is not offered */
	bus_write(t.env.ports, 0x604, 2, 0x2001 | 5 << 10);
	assert_int_equal(t.request, DEV_REQUEST_POWEROFF);
	acpi_pm_dev_ops.destroy(p);
	testenv_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pit_periodic_does_not_storm),
		cmocka_unit_test(pit_one_shot_and_latch),
		cmocka_unit_test(pit_channel2_gate),
		cmocka_unit_test(rtc_tells_and_takes_time),
		cmocka_unit_test(rtc_interrupts),
		cmocka_unit_test(pm_timer_button_and_s5),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
