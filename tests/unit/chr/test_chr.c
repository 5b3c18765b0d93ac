/* SPDX-License-Identifier: MIT */
/*
 * The character core over a back end that takes as much as the test allows: order, the bounded
 * ring that drops its oldest bytes, and input no larger than the client's room.
 */
#include "chr/chr.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

struct fake {
	struct chr_backend base;
	size_t allow, n;
	int error;
	bool want, rx_on, closed;
	uint8_t got[2 * CHR_BUFFER];
};

static ssize_t fake_write(struct chr_backend *b, const void *buf, size_t len)
{
	struct fake *f = CONTAINER_OF(b, struct fake, base);

	if (f->error)
		return f->error;
	len = MIN(len, f->allow);
	assert_true(f->n + len <= sizeof(f->got));
	memcpy(f->got + f->n, buf, len);
	f->n += len;
	f->allow -= len;
	return (ssize_t)len;
}

static void fake_want(struct chr_backend *b, bool on)
{
	CONTAINER_OF(b, struct fake, base)->want = on;
}

static void fake_rx(struct chr_backend *b, bool on)
{
	CONTAINER_OF(b, struct fake, base)->rx_on = on;
}

static void fake_close(struct chr_backend *b)
{
	CONTAINER_OF(b, struct fake, base)->closed = true;
}

static const struct chr_backend_ops fake_ops = {
	.name = "fake",
	.write = fake_write,
	.want_write = fake_want,
	.rx_enable = fake_rx,
	.close = fake_close,
};

static void output_waits_in_order(void **state UNUSED)
{
	static struct fake f;
	struct chr *c;

	f = (struct fake) { .base.ops = &fake_ops, .allow = 3 };
	assert_int_equal(chr_create(&c, &f.base, NULL), 0);
	chr_write(c, "hello", 5);
	chr_write(c, " world", 6);
	assert_int_equal(f.n, 3);
	assert_true(f.want);
	f.allow = 100;
	chr_writable(&f.base);
	assert_false(f.want);
	assert_memory_equal(f.got, "hello world", 11);
	assert_int_equal(chr_dropped(c), 0);
	/* A dead back end loses what it refuses, and says how much. */
	f.error = -EPIPE;
	chr_write(c, "gone", 4);
	assert_int_equal(chr_dropped(c), 4);
	assert_false(f.want);
	chr_destroy(c);
	assert_true(f.closed);
}

static void oldest_output_goes_first(void **state UNUSED)
{
	static struct fake f;
	static uint8_t in[CHR_BUFFER + 5000];
	struct chr *c;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7 + i / 256);
	f = (struct fake) { .base.ops = &fake_ops };
	assert_int_equal(chr_create(&c, &f.base, NULL), 0);
	for (size_t i = 0; i < sizeof(in); i += 1000)
		chr_write(c, in + i, MIN((size_t)1000, sizeof(in) - i));
	assert_int_equal(chr_dropped(c), 5000);
	f.allow = 10;
	chr_writable(&f.base);
	assert_true(f.want);
	f.allow = SIZE_MAX;
	chr_flush(c, 1000);
	assert_int_equal(f.n, CHR_BUFFER);
	assert_memory_equal(f.got, in + 5000, CHR_BUFFER);
	/* One write larger than the ring. */
	f.n = 0;
	f.allow = 0;
	chr_write(c, in, sizeof(in));
	assert_int_equal(chr_dropped(c), 10000);
	chr_flush(c, 5); /* gives up */
	assert_int_equal(f.n, 0);
	f.allow = SIZE_MAX;
	chr_writable(&f.base);
	assert_int_equal(f.n, CHR_BUFFER);
	assert_memory_equal(f.got, in + 5000, CHR_BUFFER);
	chr_destroy(c);
}

struct client {
	size_t room, n;
	char got[64];
};

static size_t client_room(void *ctx)
{
	return ((struct client *)ctx)->room;
}

static void client_rx(void *ctx, const uint8_t *buf, size_t len)
{
	struct client *x = ctx;

	memcpy(x->got + x->n, buf, len);
	x->n += len;
	x->room -= len;
}

static void input_follows_room(void **state UNUSED)
{
	static const struct chr_client_ops ops = { .room = client_room, .rx = client_rx };
	static struct fake f;
	struct client x = { .room = 4 };
	struct chr *c;

	f = (struct fake) { .base.ops = &fake_ops };
	assert_int_equal(chr_create(&c, &f.base, NULL), 0);
	assert_int_equal(chr_input_room(&f.base), 0);
	chr_set_client(c, &ops, &x);
	assert_true(f.rx_on);
	assert_int_equal(chr_input_room(&f.base), 4);
	chr_input(&f.base, "abcd", 4);
	assert_false(f.rx_on);
	x.room = 1;
	chr_room_changed(c);
	assert_true(f.rx_on);
	chr_input(&f.base, "e", 1);
	assert_false(f.rx_on);
	assert_memory_equal(x.got, "abcde", 5);
	chr_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_waits_in_order),
		cmocka_unit_test(oldest_output_goes_first),
		cmocka_unit_test(input_follows_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
