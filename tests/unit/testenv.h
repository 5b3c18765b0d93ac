/* SPDX-License-Identifier: MIT */
/*
 * What a device test needs: buses, a little RAM, a loop on a fake clock, wires that remember.
 */
#ifndef HOLM_TESTS_UNIT_TESTENV_H
#define HOLM_TESTS_UNIT_TESTENV_H

#include "dev/dev.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

#define TESTENV_LINES 32

struct testenv {
	struct dev_env env;
	struct clock_fake clock;
	bool level[TESTENV_LINES];
	unsigned rises[TESTENV_LINES];
	unsigned n_msi;
	uint64_t msi_addr;
	uint32_t msi_data;
	int request;
	uint32_t request_arg;
};

static inline void testenv_wire(void *ctx, unsigned n, bool level)
{
	struct testenv *t = ctx;

	t->rises[n] += level && !t->level[n];
	t->level[n] = level;
}

static inline void testenv_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct testenv *t = ctx;

	t->n_msi++;
	t->msi_addr = addr;
	t->msi_data = data;
}

static inline void testenv_request(void *ctx, int what, uint32_t arg)
{
	struct testenv *t = ctx;

	t->request = what;
	t->request_arg = arg;
}

/** testenv_init() - 2 MiB of RAM; both clocks start at 2026-11-21 00:00:00 UTC. */
static inline void testenv_init(struct testenv *t)
{
	const uint64_t start = 1795219200ull * CLOCK_NS_PER_SEC;

	*t = (struct testenv) { .request = -1 };
	clock_fake_init(&t->clock, start, start);
	assert_int_equal(bus_create(&t->env.ports, "ports", 0x10000, NULL), 0);
	assert_int_equal(bus_create(&t->env.mmio, "mmio", 1ull << MEM_GPA_BITS, NULL), 0);
	assert_int_equal(mem_create(&t->env.mem, NULL), 0);
	assert_int_equal(mem_add_ram(t->env.mem, 2u << 20, 0xc0000000, NULL), 0);
	assert_int_equal(loop_create(&t->env.loop, &t->clock.clock, NULL), 0);
	t->env.clock = &t->clock.clock;
	t->env.msi = (struct msi_sink) { .send = testenv_msi, .ctx = t };
	t->env.request = testenv_request;
	t->env.request_ctx = t;
}

static inline void testenv_free(struct testenv *t)
{
	loop_destroy(t->env.loop);
	mem_destroy(t->env.mem);
	bus_destroy(t->env.mmio);
	bus_destroy(t->env.ports);
}

static inline struct irq_line testenv_line(struct testenv *t, unsigned n)
{
	return (struct irq_line) { .set = testenv_wire, .ctx = t, .n = n };
}

static inline uint8_t testenv_in(struct testenv *t, uint16_t port)
{
	return (uint8_t)bus_read(t->env.ports, port, 1);
}

static inline void testenv_out(struct testenv *t, uint16_t port, uint8_t val)
{
	bus_write(t->env.ports, port, 1, val);
}

/** testenv_advance() - move the clock and run what became due. */
static inline void testenv_advance(struct testenv *t, uint64_t ns)
{
	clock_fake_advance(&t->clock, ns);
	assert_true(loop_poll(t->env.loop, 0) >= 0);
}

/** testenv_roundtrip() - save @from and load into @to, which must accept it. */
static inline void testenv_roundtrip(const struct dev_ops *ops, void *from, void *to)
{
	struct snap_writer w;
	struct snap_reader r;

	snap_writer_init(&w);
	ops->save(from, &w);
	assert_int_equal(snap_writer_done(&w), 0);
	assert_int_equal(snap_reader_init(&r, w.buf, w.len, NULL), 0);
	assert_int_equal(ops->load(to, &r, NULL), 0);
	snap_writer_free(&w);
}

#endif
