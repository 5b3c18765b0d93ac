/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers, driven over the bus: priorities, masks, ends of interrupt, cascade, level
 * and edge, spurious vectors; the IOAPIC's messages and Remote IRR.
 */
#include "../testenv.h"

#include "chipset/chipset.h"

static struct pic *make_pic(struct testenv *t)
{
	struct irq_line intr = testenv_line(t, 0);
	struct pic *p;

	testenv_init(t);
	assert_int_equal(pic_create(&p, &t->env, &intr, NULL), 0);
	/* As Linux does it: vectors 0x30 and 0x38, then everything open. */
	testenv_out(t, 0x20, 0x11);
	testenv_out(t, 0x21, 0x30);
	testenv_out(t, 0x21, 0x04);
	testenv_out(t, 0x21, 0x01);
	testenv_out(t, 0xa0, 0x11);
	testenv_out(t, 0xa1, 0x38);
	testenv_out(t, 0xa1, 0x02);
	testenv_out(t, 0xa1, 0x01);
	testenv_out(t, 0x21, 0);
	testenv_out(t, 0xa1, 0);
	return p;
}

static void end(struct testenv *t, struct pic *p)
{
	pic_dev_ops.destroy(p);
	testenv_free(t);
}

static void pic_orders_by_priority(void **state UNUSED)
{
	struct testenv t;
	struct pic *p = make_pic(&t);

	pic_set_irq(p, 4, true);
	pic_set_irq(p, 1, true);
	assert_true(t.level[0]);
	assert_int_equal(pic_ack(p), 0x31);
	assert_false(t.level[0]); /* 4 waits for the end of 1 */
	testenv_out(&t, 0x20, 0x20);
	assert_true(t.level[0]);
	assert_int_equal(pic_ack(p), 0x34);
	testenv_out(&t, 0x20, 0x64); /* specific EOI of 4 */
	assert_false(t.level[0]);
	end(&t, p);
}

static void pic_masks_and_is_spurious(void **state UNUSED)
{
	struct testenv t;
	struct pic *p = make_pic(&t);

	testenv_out(&t, 0x21, 0x10);
	assert_int_equal(testenv_in(&t, 0x21), 0x10);
	pic_set_irq(p, 4, true);
	assert_false(t.level[0]);
	testenv_out(&t, 0x21, 0);
	assert_true(t.level[0]);
	/* The request goes before INTA: input 7's vector, nothing in service. */
	pic_set_irq(p, 4, false);
	assert_int_equal(pic_ack(p), 0x37);
	testenv_out(&t, 0x20, 0x0b); /* read ISR */
	assert_int_equal(testenv_in(&t, 0x20), 0);
	end(&t, p);
}

static void pic_cascades(void **state UNUSED)
{
	struct testenv t;
	struct pic *p = make_pic(&t);

	pic_set_irq(p, 12, true);
	assert_int_equal(pic_ack(p), 0x3c);
	testenv_out(&t, 0xa0, 0x0b);
	assert_int_equal(testenv_in(&t, 0xa0), 0x10);
	testenv_out(&t, 0x20, 0x0b);
	assert_int_equal(testenv_in(&t, 0x20), 0x04);
	testenv_out(&t, 0xa0, 0x20);
	testenv_out(&t, 0x20, 0x20);
	assert_false(t.level[0]); /* edge: not again while it stays up */
	pic_set_irq(p, 12, false);
	pic_set_irq(p, 12, true);
	assert_true(t.level[0]);
	end(&t, p);
}

static void pic_level_triggered_comes_again(void **state UNUSED)
{
	struct testenv t;
	struct pic *p = make_pic(&t);

	testenv_out(&t, 0x4d1, 0x02); /* input 9 */
	pic_set_irq(p, 9, true);
	assert_int_equal(pic_ack(p), 0x39);
	testenv_out(&t, 0xa0, 0x20);
	testenv_out(&t, 0x20, 0x20);
	assert_true(t.level[0]);
	pic_set_irq(p, 9, false);
	assert_false(t.level[0]);
	end(&t, p);
}

static void pic_state_round_trip(void **state UNUSED)
{
	struct testenv a, b;
	struct pic *p = make_pic(&a), *q;

	pic_set_irq(p, 5, true);
	q = make_pic(&b);
	testenv_roundtrip(&pic_dev_ops, p, q);
	assert_true(b.level[0]);
	assert_int_equal(pic_ack(q), 0x35);
	end(&a, p);
	end(&b, q);
}

#define IOAPIC 0xfec00000ull

static void ioapic_write(struct testenv *t, uint32_t reg, uint32_t val)
{
	bus_write(t->env.mmio, IOAPIC, 4, reg);
	bus_write(t->env.mmio, IOAPIC + 0x10, 4, val);
}

static uint32_t ioapic_read(struct testenv *t, uint32_t reg)
{
	bus_write(t->env.mmio, IOAPIC, 4, reg);
	return (uint32_t)bus_read(t->env.mmio, IOAPIC + 0x10, 4);
}

static struct ioapic *make_ioapic(struct testenv *t)
{
	struct ioapic_config cfg = { .base = IOAPIC };
	struct ioapic *a;

	testenv_init(t);
	assert_int_equal(ioapic_create(&a, &t->env, &cfg, NULL), 0);
	return a;
}

static void ioapic_edge(void **state UNUSED)
{
	struct testenv t;
	struct ioapic *a = make_ioapic(&t);

	assert_int_equal(ioapic_read(&t, 1), 0x170020);
	assert_int_equal(ioapic_read(&t, 0x10 + 8) >> 16 & 1, 1); /* masked at reset */
	ioapic_set_irq(a, 4, true);
	ioapic_set_irq(a, 4, false);
	ioapic_write(&t, 0x11 + 8, 3u << 24);
	ioapic_write(&t, 0x10 + 8, 0x45);
	assert_int_equal(t.n_msi, 0); /* an edge behind the mask is lost */
	ioapic_set_irq(a, 4, true);
	assert_int_equal(t.n_msi, 1);
	assert_int_equal(t.msi_addr, 0xfee03000);
	assert_int_equal(t.msi_data & 0xff, 0x45);
	ioapic_set_irq(a, 4, true);
	assert_int_equal(t.n_msi, 1);
	ioapic_dev_ops.destroy(a);
	testenv_free(&t);
}

static void ioapic_level(void **state UNUSED)
{
	struct testenv t;
	struct ioapic *a = make_ioapic(&t);

	ioapic_write(&t, 0x10 + 20, 0x8051); /* input 10, level, vector 0x51 */
	ioapic_set_irq(a, 10, true);
	assert_int_equal(t.n_msi, 1);
	assert_int_equal(ioapic_read(&t, 0x10 + 20) >> 14 & 1, 1);
	ioapic_set_irq(a, 10, false);
	ioapic_set_irq(a, 10, true);
	assert_int_equal(t.n_msi, 1); /* waits for the EOI */
	ioapic_eoi(a, 0x51);
	assert_int_equal(t.n_msi, 2);
	ioapic_set_irq(a, 10, false);
	ioapic_eoi(a, 0x51);
	assert_int_equal(t.n_msi, 2);
	assert_int_equal(ioapic_read(&t, 0x10 + 20) >> 14 & 1, 0);
	ioapic_dev_ops.destroy(a);
	testenv_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pic_orders_by_priority),
		cmocka_unit_test(pic_masks_and_is_spurious),
		cmocka_unit_test(pic_cascades),
		cmocka_unit_test(pic_level_triggered_comes_again),
		cmocka_unit_test(pic_state_round_trip),
		cmocka_unit_test(ioapic_edge),
		cmocka_unit_test(ioapic_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
