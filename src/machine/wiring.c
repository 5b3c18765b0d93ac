/* SPDX-License-Identifier: MIT */
/*
 * The wires: the engine's calls out to the buses, interrupt lines to their controllers, and
 * requests of devices to the machine.
 *
 * Every call out takes the machine lock, so devices never run in parallel. What a device does
 * there may call back into the engine (vm_msi, vm_intr, vcpu_kick), which takes no lock of ours.
 */
#include "machine/parts.h"

static uint32_t io_port_in(void *ctx, uint16_t port, unsigned size)
{
	struct machine *m = ctx;
	uint64_t val;

	loop_lock(m->loop);
	val = bus_read(m->ports, port, size);
	loop_unlock(m->loop);
	return (uint32_t)val;
}

static void io_port_out(void *ctx, uint16_t port, unsigned size, uint32_t val)
{
	struct machine *m = ctx;

	loop_lock(m->loop);
	bus_write(m->ports, port, size, val);
	loop_unlock(m->loop);
}

static uint64_t io_mmio_read(void *ctx, gpa_t gpa, unsigned size)
{
	struct machine *m = ctx;
	uint64_t val;

	loop_lock(m->loop);
	val = bus_read(m->mmio, gpa, size);
	loop_unlock(m->loop);
	return val;
}

static void io_mmio_write(void *ctx, gpa_t gpa, unsigned size, uint64_t val)
{
	struct machine *m = ctx;

	loop_lock(m->loop);
	bus_write(m->mmio, gpa, size, val);
	loop_unlock(m->loop);
}

static uint8_t io_irq_ack(void *ctx)
{
	struct machine *m = ctx;
	uint8_t vector;

	loop_lock(m->loop);
	vector = pic_ack(m->pic);
	loop_unlock(m->loop);
	return vector;
}

static void io_eoi(void *ctx, uint8_t vector)
{
	struct machine *m = ctx;

	loop_lock(m->loop);
	ioapic_eoi(m->ioapic, vector);
	loop_unlock(m->loop);
}

/* PIC inputs below 16; the PIT's input 0 reaches the IOAPIC at pin 2 (MADT override). */
static void gsi_set(void *ctx, unsigned n, bool level)
{
	struct machine *m = ctx;

	if (n < 16 && n != 2)
		pic_set_irq(m->pic, n, level);
	if (n == BOARD_IRQ_PIT)
		ioapic_set_irq(m->ioapic, 2, level);
	else if (n != 2 && n < BOARD_IOAPIC_PINS)
		ioapic_set_irq(m->ioapic, n, level);
}

static void intr_set(void *ctx, unsigned n, bool level)
{
	struct machine *m = ctx;

	m->engine->vm_intr(m->vm, level);
}

static void msi_to_engine(void *ctx, uint64_t addr, uint32_t data)
{
	struct machine *m = ctx;

	m->engine->vm_msi(m->vm, addr, data);
}

static void device_request(void *ctx, int what, uint32_t arg)
{
	static const enum machine_end ends[] = {
		[DEV_REQUEST_RESET] = MACHINE_RESET,
		[DEV_REQUEST_POWEROFF] = MACHINE_POWEROFF,
		[DEV_REQUEST_DEBUG_EXIT] = MACHINE_DEBUG_EXIT,
		[DEV_REQUEST_PANIC] = MACHINE_PANIC,
	};

	static_assert(ARRAY_SIZE(ends) == DEV_REQUEST_COUNT, "an end for each request");
	machine_request(ctx, ends[what], arg);
}

struct irq_line wiring_gsi(struct machine *m, unsigned n)
{
	return (struct irq_line) { .set = gsi_set, .ctx = m, .n = n };
}

struct irq_line wiring_intr(struct machine *m)
{
	return (struct irq_line) { .set = intr_set, .ctx = m };
}

void wiring_routes(void *ctx, const uint64_t *redir, unsigned n)
{
	struct machine *m = ctx;

	if (m->engine->vm_ioapic_routes)
		m->engine->vm_ioapic_routes(m->vm, redir, n);
}

void wiring_init(struct machine *m)
{
	m->io = (struct cpu_io_ops) {
		.port_in = io_port_in,
		.port_out = io_port_out,
		.mmio_read = io_mmio_read,
		.mmio_write = io_mmio_write,
		.irq_ack = io_irq_ack,
		.eoi = io_eoi,
		.ctx = m,
	};
	m->env = (struct dev_env) {
		.ports = m->ports,
		.mmio = m->mmio,
		.mem = m->mem,
		.loop = m->loop,
		.clock = loop_clock(m->loop),
		.msi = { .send = msi_to_engine, .ctx = m },
		.request = device_request,
		.request_ctx = m,
	};
}
