/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines and the MSI sink: a device's only ties to interrupt controllers.
 *
 * Threads: the caller holds the machine lock, unless the implementer says that any thread may.
 */
#ifndef HOLM_BUS_IRQ_H
#define HOLM_BUS_IRQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A wire. Devices hold it by value; a zeroed one is unconnected. */
struct irq_line {
	void (*set)(void *ctx, unsigned n, bool level);
	void *ctx;
	unsigned n; /* number at the controller, e.g. the GSI */
};

/** irq_set() - drive the wire; edge-triggered inputs see rising edges. */
static inline void irq_set(const struct irq_line *l, bool level)
{
	if (l->set)
		l->set(l->ctx, l->n, level);
}

/** irq_pulse() - up and down at once: one edge. */
static inline void irq_pulse(const struct irq_line *l)
{
	irq_set(l, true);
	irq_set(l, false);
}

/**
 * Where message-signalled interrupts go: the engine. Any thread may send.
 * @addr, @data: as the PCI function's MSI capability holds them (SDM vol. 3A, 10.11)
 */
struct msi_sink {
	void (*send)(void *ctx, uint64_t addr, uint32_t data);
	void *ctx;
};

static inline void msi_send(const struct msi_sink *s, uint64_t addr, uint32_t data)
{
	if (s->send)
		s->send(s->ctx, addr, data);
}

#endif
