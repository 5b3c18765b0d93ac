/* SPDX-License-Identifier: MIT */
/*
 * UART, keyboard controller, fw_cfg, debug exit and test device, driven over the bus.
 */
#include "../testenv.h"

#include "base/bytes.h"
#include "chipset/chipset.h"

#include <endian.h>
#include <stdlib.h>

/* A stream that keeps what is written. */
struct sink {
	struct chr_backend b;
	char got[64];
	size_t n;
};

static struct sink sink;

static ssize_t sink_write(struct chr_backend *b UNUSED, const void *buf, size_t len)
{
	memcpy(sink.got + sink.n, buf, len);
	sink.n += len;
	return (ssize_t)len;
}

static void sink_switch(struct chr_backend *b UNUSED, bool on UNUSED)
{
}

static void sink_close(struct chr_backend *b UNUSED)
{
}

static const struct chr_backend_ops sink_ops = { .name = "sink",
						 .write = sink_write,
						 .want_write = sink_switch,
						 .rx_enable = sink_switch,
						 .close = sink_close };

static struct uart *make_uart(struct testenv *t)
{
	struct irq_line line = testenv_line(t, 4);
	struct chr *chr;
	struct uart *u;

	testenv_init(t);
	sink = (struct sink) { .b = { .ops = &sink_ops } };
	assert_int_equal(chr_create(&chr, &sink.b, NULL), 0);
	assert_int_equal(uart_create(&u, &t->env, 0x3f8, &line, chr, NULL), 0);
	return u;
}

static void uart_sends_and_interrupts(void **state UNUSED)
{
	struct testenv t;
	struct uart *u = make_uart(&t);

	testenv_out(&t, 0x3f8, 'h');
	testenv_out(&t, 0x3f8, 'i');
	assert_int_equal(sink.n, 2);
	assert_memory_equal(sink.got, "hi", 2);
	assert_int_equal(testenv_in(&t, 0x3fd) & 0x60, 0x60);
	testenv_out(&t, 0x3fc, 0x08); /* OUT2 */
	testenv_out(&t, 0x3f9, 0x02); /* transmitter empty */
	assert_true(t.level[4]);
	assert_int_equal(testenv_in(&t, 0x3fa) & 0x0f, 0x02);
	assert_false(t.level[4]); /* reading IIR clears it */
	testenv_out(&t, 0x3f8, '!');
	assert_true(t.level[4]);
	uart_dev_ops.destroy(u);
	testenv_free(&t);
}

static void uart_receives_with_fifo(void **state UNUSED)
{
	struct testenv t;
	struct uart *u = make_uart(&t);

	testenv_out(&t, 0x3fa, 0x81); /* FIFO, trigger at 8 */
	testenv_out(&t, 0x3fc, 0x08);
	testenv_out(&t, 0x3f9, 0x01);
	assert_int_equal(chr_input_room(&sink.b), 16);
	chr_input(&sink.b, "abc", 3);
	assert_int_equal(testenv_in(&t, 0x3fa) & 0x0f, 0x0c); /* below the trigger: time-out */
	chr_input(&sink.b, "defgh", 5);
	assert_int_equal(testenv_in(&t, 0x3fa) & 0x0f, 0x04);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(testenv_in(&t, 0x3f8), 'a' + i);
	assert_false(t.level[4]);
	assert_int_equal(testenv_in(&t, 0x3fd) & 1, 0);
	uart_dev_ops.destroy(u);
	testenv_free(&t);
}

static void uart_loops_back(void **state UNUSED)
{
	struct testenv t;
	struct uart *u = make_uart(&t);

	testenv_out(&t, 0x3fc, 0x1a); /* loop, RTS, OUT2: what Linux probes with */
	assert_int_equal(testenv_in(&t, 0x3fe) & 0xf0, 0x90);
	testenv_out(&t, 0x3f8, 'x');
	assert_int_equal(sink.n, 0);
	assert_int_equal(testenv_in(&t, 0x3f8), 'x');
	testenv_out(&t, 0x3fb, 0x83);
	testenv_out(&t, 0x3f8, 0x34);
	testenv_out(&t, 0x3f9, 0x12);
	assert_int_equal(testenv_in(&t, 0x3f8), 0x34);
	testenv_out(&t, 0x3fb, 0x03);
	uart_dev_ops.destroy(u);
	testenv_free(&t);
}

static void keyboard_and_reset(void **state UNUSED)
{
	struct testenv t;
	struct irq_line line = testenv_line(&t, 1);
	struct i8042 *k;

	testenv_init(&t);
	assert_int_equal(i8042_create(&k, &t.env, &line, NULL), 0);
	testenv_out(&t, 0x64, 0xaa);
	assert_int_equal(testenv_in(&t, 0x64) & 1, 1);
	assert_int_equal(testenv_in(&t, 0x60), 0x55);
	testenv_out(&t, 0x60, 0xff);
	assert_true(t.level[1]);
	assert_int_equal(testenv_in(&t, 0x60), 0xfa);
	assert_int_equal(testenv_in(&t, 0x60), 0xaa);
	assert_false(t.level[1]);
	assert_int_equal(t.request, -1);
	testenv_out(&t, 0x64, 0xfe);
	assert_int_equal(t.request, DEV_REQUEST_RESET);
	i8042_dev_ops.destroy(k);
	testenv_free(&t);
}

static void fw_cfg_reads_and_dma(void **state UNUSED)
{
	struct testenv t;
	struct fw_cfg *f;
	uint8_t dir[4 + 64], buf[8];
	uint32_t dma[4] = { htobe32(0x20u << 16 | 8 | 2), htobe32(5), 0, htobe32(0x2000) }, st;

	testenv_init(&t);
	assert_int_equal(fw_cfg_create(&f, &t.env, NULL), 0);
	assert_int_equal(fw_cfg_add_file(f, "opt/x", "hello", 5, NULL), 0);
	assert_int_not_equal(fw_cfg_add_item(f, 0x20, "a", 1, NULL), 0);
	bus_write(t.env.ports, 0x510, 2, 0);
	for (unsigned i = 0; i < 4; i++)
		buf[i] = testenv_in(&t, 0x511);
	assert_memory_equal(buf, "QEMU", 4);
	bus_write(t.env.ports, 0x510, 2, 0x19);
	for (unsigned i = 0; i < sizeof(dir); i++)
		dir[i] = testenv_in(&t, 0x511);
	assert_int_equal(dir[3], 1);
	assert_int_equal(dir[7], 5);
	assert_int_equal(dir[9], 0x20);
	assert_string_equal((char *)dir + 12, "opt/x");
	assert_int_equal(mem_write(t.env.mem, 0x1000, dma, sizeof(dma)), 0);
	bus_write(t.env.ports, 0x514, 4, 0);
	bus_write(t.env.ports, 0x518, 4, htobe32(0x1000));
	assert_int_equal(mem_read(t.env.mem, 0x2000, buf, 5), 0);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(mem_read(t.env.mem, 0x1000, &st, 4), 0);
	assert_int_equal(st, 0);
	dma[0] = htobe32(16); /* a write is refused */
	assert_int_equal(mem_write(t.env.mem, 0x1000, dma, sizeof(dma)), 0);
	bus_write(t.env.ports, 0x518, 4, htobe32(0x1000));
	assert_int_equal(mem_read(t.env.mem, 0x1000, &st, 4), 0);
	assert_int_equal(st, htobe32(1));
	fw_cfg_dev_ops.destroy(f);
	testenv_free(&t);
}

static void debug_exit_and_testdev(void **state UNUSED)
{
	struct testenv t;
	struct irq_line lines[24];
	struct debug_exit *d;
	struct pc_testdev *p;

	testenv_init(&t);
	for (unsigned i = 0; i < 24; i++)
		lines[i] = testenv_line(&t, i);
	assert_int_equal(debug_exit_create(&d, &t.env, 0xf4, NULL), 0);
	assert_int_equal(pc_testdev_create(&p, &t.env, lines, NULL), 0);
	testenv_out(&t, 0xf4, 0x2a);
	assert_int_equal(t.request, DEV_REQUEST_DEBUG_EXIT);
	assert_int_equal(t.request_arg, 0x55);
	bus_write(t.env.ports, 0xe0, 4, 0x12345678);
	assert_int_equal(bus_read(t.env.ports, 0xe1, 1), 0x56);
	testenv_out(&t, 0x2005, 1);
	assert_true(t.level[5]);
	testenv_out(&t, 0x2005, 0);
	assert_false(t.level[5]);
	bus_write(t.env.mmio, 0xff000010, 8, 0x1122334455667788);
	assert_int_equal(bus_read(t.env.mmio, 0xff000014, 2), 0x3344);
	pc_testdev_dev_ops.destroy(p);
	debug_exit_dev_ops.destroy(d);
	testenv_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uart_sends_and_interrupts),
		cmocka_unit_test(uart_receives_with_fifo),
		cmocka_unit_test(uart_loops_back),
		cmocka_unit_test(keyboard_and_reset),
		cmocka_unit_test(fw_cfg_reads_and_dma),
		cmocka_unit_test(debug_exit_and_testdev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
