/* SPDX-License-Identifier: MIT */
/*
 * The bus: claims that overlap, look-up at the edges, accesses split and widened to what the
 * device takes, ranges that move in their own handler.
 */
#include "bus/bus.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/** A device of plain bytes that writes down each access. */
struct fake {
	uint8_t bytes[64];
	char log[256];
	struct bus *bus;
	struct bus_range *move; /* release this on a write */
};

static void note(struct fake *f, char op, uint64_t off, unsigned size)
{
	size_t n = strlen(f->log);

	snprintf(f->log + n, sizeof(f->log) - n, "%c%u@%llu ", op, size, (unsigned long long)off);
}

static uint64_t fake_read(void *dev, uint64_t off, unsigned size)
{
	struct fake *f = dev;

	note(f, 'r', off, size);
	assert_true(off + size <= sizeof(f->bytes));
	/* Upper bytes are rubbish on purpose. */
	return get_le(f->bytes + off, size) | (size < 8 ? ~size_mask(size) : 0);
}

static void fake_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct fake *f = dev;

	note(f, 'w', off, size);
	assert_int_equal(val & ~size_mask(size), 0);
	put_le(f->bytes + off, size, val);
	if (f->move)
		bus_release(f->bus, f->move);
}

static const struct bus_ops ops_any = { .read = fake_read, .write = fake_write };
static const struct bus_ops ops_1 = { .read = fake_read, .write = fake_write, .max_size = 1 };
static const struct bus_ops ops_4 = {
	.read = fake_read, .write = fake_write, .min_size = 4, .max_size = 4
};

static struct bus *setup(struct fake *f, struct bus_range *r, const struct bus_ops *ops)
{
	struct bus *b;

	assert_int_equal(bus_create(&b, "ports", 0x10000, NULL), 0);
	*f = (struct fake) { .bus = b };
	for (unsigned i = 0; i < sizeof(f->bytes); i++)
		f->bytes[i] = (uint8_t)(i + 1);
	*r = (struct bus_range) {
		.base = 0x100, .size = sizeof(f->bytes), .ops = ops, .dev = f, .name = "fake"
	};
	assert_int_equal(bus_claim(b, r, NULL), 0);
	return b;
}

static void teardown(struct bus *b, struct bus_range *r)
{
	bus_release(b, r);
	bus_release(b, r);
	bus_destroy(b);
}

static void claims(void **state UNUSED)
{
	struct fake f;
	struct bus_range r, o = { .ops = &ops_any, .name = "other" };
	struct bus *b = setup(&f, &r, &ops_any);
	struct err e;

	o.base = 0xff;
	o.size = 2;
	assert_int_equal(bus_claim(b, &o, &e), -EEXIST);
	assert_non_null(strstr(e.msg, "fake"));
	assert_non_null(strstr(e.msg, "other"));
	o.base = 0x13f;
	assert_int_equal(bus_claim(b, &o, &e), -EEXIST);
	o.base = 0x110;
	o.size = 1;
	assert_int_equal(bus_claim(b, &o, &e), -EEXIST);
	o.base = 0;
	o.size = 0x10000;
	assert_int_equal(bus_claim(b, &o, &e), -EEXIST);
	o.size = 0;
	assert_int_equal(bus_claim(b, &o, &e), -EINVAL);
	o.base = 0xffff;
	o.size = 2;
	assert_int_equal(bus_claim(b, &o, &e), -EINVAL);
	o.base = UINT64_MAX;
	assert_int_equal(bus_claim(b, &o, &e), -EINVAL);
	o.base = 0x140;
	assert_int_equal(bus_claim(b, &o, &e), 0);
	assert_ptr_equal(bus_find(b, 0x13f), &r);
	assert_ptr_equal(bus_find(b, 0x140), &o);
	assert_ptr_equal(bus_find(b, 0x141), &o);
	assert_null(bus_find(b, 0x142));
	assert_null(bus_find(b, 0xff));
	bus_release(b, &o);
	assert_null(bus_find(b, 0x140));
	teardown(b, &r);
	bus_destroy(NULL);
}

static void many(void **state UNUSED)
{
	struct bus *b;
	struct bus_range r[100];

	assert_int_equal(bus_create(&b, "ports", 0x10000, NULL), 0);
	for (unsigned i = 0; i < 100; i++) {
		r[i] = (struct bus_range) {
			.base = (i * 37 % 100) * 16, .size = 8, .ops = &ops_any, .name = "x"
		};
		assert_int_equal(bus_claim(b, &r[i], NULL), 0);
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_ptr_equal(bus_find(b, r[i].base + 7), &r[i]);
		assert_null(bus_find(b, r[i].base + 8));
	}
	for (unsigned i = 0; i < 100; i++)
		bus_release(b, &r[i]);
	bus_destroy(b);
}

static void unclaimed(void **state UNUSED)
{
	struct fake f;
	struct bus_range r;
	struct bus *b = setup(&f, &r, &ops_any);

	assert_true(bus_read(b, 0x80, 1) == 0xff);
	assert_true(bus_read(b, 0x80, 8) == UINT64_MAX);
	/* Reaches beyond the end: refused whole. */
	assert_true(bus_read(b, 0x13e, 4) == 0xffffffff);
	bus_write(b, 0x13e, 4, 0);
	bus_write(b, 0xfe, 4, 0);
	assert_true(bus_read(b, UINT64_MAX, 8) == UINT64_MAX);
	assert_string_equal(f.log, "");
	teardown(b, &r);
}

static void sizes_as_they_are(void **state UNUSED)
{
	struct fake f;
	struct bus_range r;
	struct bus *b = setup(&f, &r, &ops_any);

	assert_true(bus_read(b, 0x101, 2) == 0x0302);
	assert_true(bus_read(b, 0x100, 8) == 0x0807060504030201ull);
	bus_write(b, 0x104, 4, 0xffffffff12345678ull);
	assert_string_equal(f.log, "r2@1 r8@0 w4@4 ");
	f.log[0] = 0;
	/* What is left of an access across a page. */
	assert_true(bus_read(b, 0x110, 3) == 0x131211);
	bus_write(b, 0x110, 7, 0x77665544332211ull);
	assert_string_equal(f.log, "r2@16 r1@18 w4@16 w2@20 w1@22 ");
	assert_int_equal(f.bytes[22], 0x77);
	teardown(b, &r);
}

static void split(void **state UNUSED)
{
	struct fake f;
	struct bus_range r;
	struct bus *b = setup(&f, &r, &ops_1);

	assert_true(bus_read(b, 0x100, 4) == 0x04030201);
	bus_write(b, 0x108, 2, 0xbbaa);
	assert_string_equal(f.log, "r1@0 r1@1 r1@2 r1@3 w1@8 w1@9 ");
	assert_int_equal(f.bytes[8], 0xaa);
	assert_int_equal(f.bytes[9], 0xbb);
	teardown(b, &r);
	b = setup(&f, &r, &ops_4);
	assert_true(bus_read(b, 0x108, 8) == 0x100f0e0d0c0b0a09ull);
	assert_string_equal(f.log, "r4@8 r4@12 ");
	teardown(b, &r);
}

static void widen(void **state UNUSED)
{
	struct fake f;
	struct bus_range r;
	struct bus *b = setup(&f, &r, &ops_4);

	assert_true(bus_read(b, 0x105, 2) == 0x0706);
	assert_string_equal(f.log, "r4@4 ");
	f.log[0] = 0;
	assert_true(bus_read(b, 0x107, 2) == 0x0908);
	assert_string_equal(f.log, "r4@4 r4@8 ");
	f.log[0] = 0;
	bus_write(b, 0x105, 2, 0xffff);
	assert_string_equal(f.log, "");
	teardown(b, &r);
}

static void handler_moves_its_range(void **state UNUSED)
{
	struct fake f;
	struct bus_range r;
	struct bus *b = setup(&f, &r, &ops_1);

	f.move = &r;
	bus_write(b, 0x100, 2, 0x1234);
	assert_string_equal(f.log, "w1@0 w1@1 ");
	assert_null(bus_find(b, 0x100));
	bus_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claims),
		cmocka_unit_test(many),
		cmocka_unit_test(unclaimed),
		cmocka_unit_test(sizes_as_they_are),
		cmocka_unit_test(split),
		cmocka_unit_test(widen),
		cmocka_unit_test(handler_moves_its_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
