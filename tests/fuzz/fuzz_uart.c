/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest at the serial port: any register accesses and input, on a fake clock. The state
 * is saved and loaded back at the end, which must work.
 */
#include "fuzzenv.h"

#include "chipset/chipset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t sink_write(struct chr_backend *b UNUSED, const void *buf UNUSED, size_t len)
{
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct chr_backend sink = { .ops = &sink_ops };
	struct irq_line none = { 0 };
	struct snap_writer w;
	struct snap_reader r;
	struct fuzzenv f;
	struct uart *u;
	struct chr *c;

	fuzzenv_init(&f);
	if (chr_create(&c, &sink, NULL) || uart_create(&u, &f.env, 0x3f8, &none, c, NULL))
		abort();
	while (in.left) {
		uint8_t op = (uint8_t)fuzz_take(&in, 1);
		uint16_t port = (uint16_t)(0x3f8 + (op & 7));

		if (op & 0x80) {
			size_t n = MIN(chr_input_room(&sink), (size_t)(op & 31));

			if (n)
				chr_input(&sink, "0123456789abcdef0123456789abcdef", n);
		} else if (op & 0x40) {
			bus_write(f.env.ports, port, 1u << (op >> 4 & 1), fuzz_take(&in, 2));
		} else {
			bus_read(f.env.ports, port, 1u << (op >> 4 & 3));
		}
	}
	snap_writer_init(&w);
	uart_dev_ops.save(u, &w);
	if (snap_writer_done(&w) || snap_reader_init(&r, w.buf, w.len, NULL) ||
	    uart_dev_ops.load(u, &r, NULL))
		abort();
	snap_writer_free(&w);
	uart_dev_ops.destroy(u);
	fuzzenv_free(&f);
	return 0;
}
