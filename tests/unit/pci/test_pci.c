/* SPDX-License-Identifier: MIT */
/*
 * PCI from the guest's side of the buses: config ports and ECAM, BAR sizing and moving, ranges
 * that overlap, MSI-X masking, INTx sharing, save and load.
 */
#include "pci/pci.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>

#define ECAM 0xe0000000u
#define RAM  (16u << 20)

struct rig {
	struct bus *ports, *mmio;
	struct mem *mem;
	struct dev_env env;
	struct pci_bus *bus;
	struct pci_func *f[2];
	uint64_t wrote;
	unsigned wrote_bar;
	unsigned n_msi;
	uint64_t msi_addr;
	uint32_t msi_data;
	int line[4];
	unsigned requests;
};

static void set_line(void *ctx, unsigned n, bool level)
{
	((struct rig *)ctx)->line[n] = level;
}

static void take_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct rig *t = ctx;

	t->n_msi++;
	t->msi_addr = addr;
	t->msi_data = data;
}

static void take_request(void *ctx, int what, uint32_t arg)
{
	assert_int_equal(what, DEV_REQUEST_RESET);
	assert_int_equal(arg, 0);
	((struct rig *)ctx)->requests++;
}

static uint64_t dev_read(void *dev, unsigned bar, uint64_t off, unsigned size)
{
	(void)dev;
	return 0x1000u * bar + off + size;
}

static void dev_write(void *dev, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	struct rig *t = dev;

	(void)off;
	(void)size;
	t->wrote = val;
	t->wrote_bar = bar;
}

static const struct pci_func_ops dev_func_ops = { .bar_read = dev_read, .bar_write = dev_write };

static void setup(struct rig *t)
{
	struct irq_line lines[4];
	struct pci_func_config c = {
		.name = "test",
		.vendor = 0x1af4,
		.device = 0x1042,
		.class_rev = 0x01800001,
		.bar = { { .size = 4096 },
			 { .size = 4096 },
			 { .size = 32, .io = true },
			 { 0 },
			 { .size = 1 << 16, .is64 = true, .prefetch = true } },
		.intx = true,
		.msix_vectors = 3,
		.msix_bar = 1,
		.ops = &dev_func_ops,
		.dev = t,
	};

	*t = (struct rig) { 0 };
	assert_int_equal(bus_create(&t->ports, "ports", 0x10000, NULL), 0);
	assert_int_equal(bus_create(&t->mmio, "mmio", 1ull << MEM_GPA_BITS, NULL), 0);
	assert_int_equal(mem_create(&t->mem, NULL), 0);
	assert_int_equal(mem_add_ram(t->mem, RAM, 0xc0000000, NULL), 0);
	t->env = (struct dev_env) {
		.ports = t->ports,
		.mmio = t->mmio,
		.mem = t->mem,
		.msi = { .send = take_msi, .ctx = t },
		.request = take_request,
		.request_ctx = t,
	};
	for (unsigned i = 0; i < 4; i++)
		lines[i] = (struct irq_line) { .set = set_line, .ctx = t, .n = i };
	assert_int_equal(pci_bus_create(&t->bus, &t->env, ECAM, lines, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pci_func_add(t->bus, i ? 5 : -1, &c, &t->f[i], NULL), 0);
	assert_int_equal(pci_func_slot(t->f[0]), 1);
}

static void teardown(struct rig *t)
{
	pci_func_remove(t->f[0]);
	pci_func_remove(t->f[1]);
	pci_bus_destroy(t->bus);
	bus_destroy(t->ports);
	bus_destroy(t->mmio);
	mem_destroy(t->mem);
}

static uint64_t ecam(unsigned slot, unsigned reg)
{
	return ECAM + (slot << 15) + reg;
}

static uint32_t rd(struct rig *t, unsigned slot, unsigned reg, unsigned size)
{
	return (uint32_t)bus_read(t->mmio, ecam(slot, reg), size);
}

static void wr(struct rig *t, unsigned slot, unsigned reg, unsigned size, uint32_t v)
{
	bus_write(t->mmio, ecam(slot, reg), size, v);
}

static void test_ports(void **state)
{
	struct rig t;

	(void)state;
	setup(&t);
	bus_write(t.ports, 0xcf8, 4, 0x80000000u | 1 << 11);
	assert_int_equal(bus_read(t.ports, 0xcf8, 4), 0x80000800u);
	assert_int_equal(bus_read(t.ports, 0xcfc, 4), 0x10421af4u);
	assert_int_equal(bus_read(t.ports, 0xcfe, 2), 0x1042u);
	assert_int_equal(rd(&t, 0, 0, 4), 0x00081b36u);
	assert_int_equal(rd(&t, 0, 0x0a, 2), 0x0600u);
	/* Not there: another slot, function, bus; disabled; beyond 256 bytes. */
	assert_int_equal(rd(&t, 2, 0, 4), UINT32_MAX);
	assert_int_equal((uint32_t)bus_read(t.mmio, ecam(1, 0x1000), 4), UINT32_MAX);
	assert_int_equal(rd(&t, 1, 0x100, 4), UINT32_MAX);
	bus_write(t.ports, 0xcf8, 4, 0x80010000u);
	assert_int_equal((uint32_t)bus_read(t.ports, 0xcfc, 4), UINT32_MAX);
	bus_write(t.ports, 0xcf8, 4, 0);
	assert_int_equal((uint32_t)bus_read(t.ports, 0xcfc, 4), UINT32_MAX);
	/* The reset register is a byte of its own. */
	bus_write(t.ports, 0xcf9, 1, 0x02);
	assert_int_equal(t.requests, 0);
	bus_write(t.ports, 0xcf9, 1, 0x06);
	assert_int_equal(t.requests, 1);
	teardown(&t);
}

static void test_bars(void **state)
{
	struct rig t;

	(void)state;
	setup(&t);
	for (unsigned i = 0; i < 6; i++)
		wr(&t, 1, 0x10 + 4 * i, 4, UINT32_MAX);
	assert_int_equal(rd(&t, 1, 0x10, 4), 0xfffff000u);
	assert_int_equal(rd(&t, 1, 0x18, 4), 0xffffffe1u);
	assert_int_equal(rd(&t, 1, 0x1c, 4), 0);
	assert_int_equal(rd(&t, 1, 0x20, 4), 0xffff000cu);
	assert_int_equal(rd(&t, 1, 0x24, 4), 0xffffffffu);
	wr(&t, 1, 0x10, 4, 0xd0000000u);
	wr(&t, 1, 0x18, 4, 0xc000);
	wr(&t, 1, 0x20, 4, 0);
	wr(&t, 1, 0x24, 4, 2);
	assert_null(bus_find(t.mmio, 0xd0000000u));
	wr(&t, 1, 4, 2, 2);
	assert_int_equal(bus_read(t.mmio, 0xd0000010u, 4), 0x14);
	assert_int_equal(bus_read(t.mmio, 0x200000020ull, 2), 0x4022);
	assert_null(bus_find(t.ports, 0xc000));
	wr(&t, 1, 4, 2, 3);
	bus_write(t.ports, 0xc004, 1, 0x5a);
	assert_int_equal(t.wrote, 0x5a);
	assert_int_equal(t.wrote_bar, 2);
	/* Moved: live at the new place only. */
	wr(&t, 1, 0x10, 4, 0xd0010000u);
	assert_null(bus_find(t.mmio, 0xd0000000u));
	assert_non_null(bus_find(t.mmio, 0xd0010000u));
	/* Onto RAM: nowhere. */
	wr(&t, 1, 0x10, 4, 0x00100000u);
	assert_null(bus_find(t.mmio, 0x00100000u));
	assert_null(bus_find(t.mmio, 0xd0010000u));
	/* Onto another function's: refused until that leaves. */
	wr(&t, 5, 0x10, 4, 0xd0020000u);
	wr(&t, 5, 4, 2, 2);
	wr(&t, 1, 0x10, 4, 0xd0020000u);
	wr(&t, 5, 4, 2, 0);
	assert_non_null(bus_find(t.mmio, 0xd0020000u));
	wr(&t, 1, 4, 2, 0);
	assert_null(bus_find(t.mmio, 0xd0020000u));
	teardown(&t);
}

static void test_assign(void **state)
{
	struct rig t;
	uint64_t b0, b4;

	(void)state;
	setup(&t);
	assert_int_equal(pci_bus_assign(t.bus, 0xd0001000u, 0x100000, 0x100000000ull, 0x1000000,
					0xc010, 0x100, NULL),
			 0);
	b0 = rd(&t, 5, 0x10, 4);
	b4 = rd(&t, 5, 0x20, 4) & ~15u;
	b4 |= (uint64_t)rd(&t, 5, 0x24, 4) << 32;
	assert_true(b4 >= 0x100000000ull && b4 % 0x10000 == 0);
	assert_int_equal(bus_read(t.mmio, b0, 4), 4);
	assert_int_equal(bus_read(t.mmio, b4, 4), 0x4004);
	/* A reset brings it back there. */
	wr(&t, 5, 0x10, 4, 0xd0800000u);
	wr(&t, 5, 4, 2, 0);
	pci_func_reset(t.f[1]);
	assert_int_equal(rd(&t, 5, 0x10, 4), b0);
	assert_int_equal(bus_read(t.mmio, b0, 4), 4);
	assert_int_equal(pci_bus_assign(t.bus, 0xd0000000u, 0x2000, 0x100000000ull, 0x1000000,
					0xc000, 0x100, NULL),
			 -ENOSPC);
	teardown(&t);
}

static void test_msix(void **state)
{
	struct rig t;
	unsigned cap;
	uint64_t base;
	struct snap_writer w;
	struct snap_reader r;

	(void)state;
	setup(&t);
	assert_int_equal(pci_bus_assign(t.bus, 0xd0000000u, 0x100000, 0x100000000ull, 0x1000000,
					0xc000, 0x100, NULL),
			 0);
	assert_true(rd(&t, 1, 6, 2) & 0x10);
	cap = rd(&t, 1, 0x34, 1);
	assert_int_equal(rd(&t, 1, cap, 1), 0x11);
	assert_int_equal(rd(&t, 1, cap + 2, 2), 2);
	assert_int_equal(rd(&t, 1, cap + 4, 4), 1);
	assert_int_equal(rd(&t, 1, cap + 8, 4), 2048 + 1);
	base = rd(&t, 1, 0x14, 4);
	assert_int_equal(bus_read(t.mmio, base + 12, 4), 1);
	bus_write(t.mmio, base + 16, 8, 0xfee01000u);
	bus_write(t.mmio, base + 24, 4, 0x4041);
	pci_func_msix_notify(t.f[0], 1);
	assert_int_equal(t.n_msi, 0);
	wr(&t, 1, cap + 2, 2, 0x8000);
	assert_true(pci_func_msix_enabled(t.f[0]));
	/* Masked: pending, sent once at unmasking. */
	pci_func_msix_notify(t.f[0], 1);
	pci_func_msix_notify(t.f[0], 1);
	assert_int_equal(t.n_msi, 0);
	assert_int_equal(bus_read(t.mmio, base + 2048, 8), 2);
	bus_write(t.mmio, base + 28, 4, 0);
	assert_int_equal(t.n_msi, 1);
	assert_int_equal(t.msi_addr, 0xfee01000u);
	assert_int_equal(t.msi_data, 0x4041);
	assert_int_equal(bus_read(t.mmio, base + 2048, 8), 0);
	pci_func_msix_notify(t.f[0], 1);
	assert_int_equal(t.n_msi, 2);
	/* The function mask. */
	wr(&t, 1, cap + 2, 2, 0xc000);
	pci_func_msix_notify(t.f[0], 1);
	pci_func_msix_notify(t.f[0], 7);
	assert_int_equal(t.n_msi, 2);
	/* The state survives a save and load into the other. */
	snap_writer_init(&w);
	pci_func_save(t.f[0], &w);
	assert_int_equal(snap_writer_done(&w), 0);
	assert_int_equal(snap_reader_init(&r, w.buf, w.len, NULL), 0);
	pci_func_reset(t.f[0]);
	assert_false(pci_func_msix_enabled(t.f[0]));
	assert_int_equal(bus_read(t.mmio, base + 2048, 8), 0);
	assert_int_equal(pci_func_load(t.f[0], &r, NULL), 0);
	snap_writer_free(&w);
	assert_int_equal(bus_read(t.mmio, base + 2048, 8), 2);
	wr(&t, 1, cap + 2, 2, 0x8000);
	assert_int_equal(t.n_msi, 3);
	teardown(&t);
}

static void test_intx(void **state)
{
	struct rig t;

	(void)state;
	setup(&t);
	/* Slots 1 and 5 share line 1. */
	pci_func_intx(t.f[0], true);
	pci_func_intx(t.f[1], true);
	assert_int_equal(t.line[1], 1);
	assert_true(rd(&t, 1, 6, 2) & 8);
	pci_func_intx(t.f[0], false);
	assert_int_equal(t.line[1], 1);
	wr(&t, 5, 4, 2, 0x400);
	assert_int_equal(t.line[1], 0);
	assert_true(rd(&t, 5, 6, 2) & 8);
	wr(&t, 5, 4, 2, 0);
	assert_int_equal(t.line[1], 1);
	pci_func_reset(t.f[1]);
	assert_int_equal(t.line[1], 0);
	teardown(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),  cmocka_unit_test(test_bars),
		cmocka_unit_test(test_assign), cmocka_unit_test(test_msix),
		cmocka_unit_test(test_intx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
