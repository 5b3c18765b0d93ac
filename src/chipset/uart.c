/* SPDX-License-Identifier: MIT */
/*
 * 16550A UART.
 *
 * Theory of operation: National Semiconductor PC16550D data sheet (1995), section numbers below.
 * Bytes the guest sends go to the host's stream at once, so the transmitter is always empty; the
 * transmitter-empty interrupt is latched when a byte is written (or the interrupt enabled) and
 * cleared by reading IIR. Received bytes wait in a 16-byte FIFO; the stream delivers no more than
 * fits. The receive time-out is not timed: below the trigger level data is reported as timed out
 * at once, which drivers cannot tell from a slow line.
 *
 * Limits: no baud rate timing, no DMA mode; break, parity and framing errors never happen.
 */
#include "chipset/chipset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UART_FIFO 16

/* Register offsets (8.0). */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR, REG_COUNT };

#define IER_RX	     0x01u
#define IER_THRE     0x02u
#define IER_LINE     0x04u
#define IER_MODEM    0x08u
#define IIR_NONE     0x01u
#define IIR_MODEM    0x00u
#define IIR_THRE     0x02u
#define IIR_RX	     0x04u
#define IIR_LINE     0x06u
#define IIR_TIMEOUT  0x0cu
#define IIR_FIFO     0xc0u
#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_DLAB     0x80u
#define MCR_DTR	     0x01u
#define MCR_RTS	     0x02u
#define MCR_OUT1     0x04u
#define MCR_OUT2     0x08u
#define MCR_LOOP     0x10u
#define LSR_DATA     0x01u
#define LSR_OVERRUN  0x02u
#define LSR_THRE     0x20u
#define LSR_TEMT     0x40u
#define MSR_DELTA    0x0fu
#define MSR_CTS	     0x10u
#define MSR_DSR	     0x20u
#define MSR_RI	     0x40u
#define MSR_DCD	     0x80u

struct uart {
	struct bus *ports;
	struct bus_range range;
	struct irq_line irq;
	struct chr *chr;
	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint16_t divisor;
	uint8_t overrun, thre_pending; /* booleans, as bytes for the field table */
	uint8_t fifo[UART_FIFO];
	uint8_t head, count;
};

static const struct snap_field fields[] = {
	SNAP_FIELD(struct uart, SNAP_U8, ier),		SNAP_FIELD(struct uart, SNAP_U8, fcr),
	SNAP_FIELD(struct uart, SNAP_U8, lcr),		SNAP_FIELD(struct uart, SNAP_U8, mcr),
	SNAP_FIELD(struct uart, SNAP_U8, msr),		SNAP_FIELD(struct uart, SNAP_U8, scr),
	SNAP_FIELD(struct uart, SNAP_U16, divisor),	SNAP_FIELD(struct uart, SNAP_U8, overrun),
	SNAP_FIELD(struct uart, SNAP_U8, thre_pending), SNAP_FIELD(struct uart, SNAP_BYTES, fifo),
	SNAP_FIELD(struct uart, SNAP_U8, head),		SNAP_FIELD(struct uart, SNAP_U8, count),
};

static unsigned fifo_size(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

/* FCR bits 7..6 (8.5). */
static unsigned trigger(const struct uart *u)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

/* The interrupt of the highest priority (table V). */
static uint8_t interrupt_id(const struct uart *u)
{
	if ((u->ier & IER_LINE) && u->overrun)
		return IIR_LINE;
	if ((u->ier & IER_RX) && u->count >= trigger(u))
		return IIR_RX;
	if ((u->ier & IER_RX) && u->count)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTA))
		return IIR_MODEM;
	return IIR_NONE;
}

/* On a PC the interrupt reaches the controller only with OUT2 set. */
static void update_irq(struct uart *u)
{
	bool gate = (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);

	irq_set(&u->irq, gate && interrupt_id(u) != IIR_NONE);
}

static void put_rx(struct uart *u, uint8_t byte)
{
	if (u->count >= fifo_size(u)) {
		u->overrun = 1;
		return;
	}
	u->fifo[(u->head + u->count++) % UART_FIFO] = byte;
}

static uint8_t get_rx(struct uart *u)
{
	uint8_t byte;

	if (!u->count)
		return 0;
	byte = u->fifo[u->head];
	u->head = (uint8_t)((u->head + 1) % UART_FIFO);
	u->count--;
	if (!(u->mcr & MCR_LOOP))
		chr_room_changed(u->chr);
	return byte;
}

static size_t client_room(void *ctx)
{
	struct uart *u = ctx;

	return u->mcr & MCR_LOOP ? 0 : fifo_size(u) - MIN(fifo_size(u), (unsigned)u->count);
}

static void client_rx(void *ctx, const uint8_t *buf, size_t len)
{
	struct uart *u = ctx;

	for (size_t i = 0; i < len; i++)
		put_rx(u, buf[i]);
	update_irq(u);
}

static const struct chr_client_ops client_ops = { .room = client_room, .rx = client_rx };

/* Modem lines: a peer that is always there, or in loopback our own outputs (8.7). */
static uint8_t modem_lines(const struct uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
			 (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void update_modem(struct uart *u)
{
	uint8_t now = modem_lines(u), diff = (uint8_t)((u->msr ^ now) >> 4);

	/* The ring indicator's delta is set by its trailing edge only. */
	if ((diff & 4) && (now & MSR_RI))
		diff &= (uint8_t)~4;
	u->msr = (uint8_t)(now | (u->msr & MSR_DELTA) | diff);
}

static uint64_t uart_read(void *dev, uint64_t off, unsigned size UNUSED)
{
	struct uart *u = dev;
	uint8_t val = 0;

	switch (off) {
	case REG_DATA:
		val = u->lcr & LCR_DLAB ? (uint8_t)u->divisor : get_rx(u);
		break;
	case REG_IER:
		val = u->lcr & LCR_DLAB ? (uint8_t)(u->divisor >> 8) : u->ier;
		break;
	case REG_IIR_FCR:
		val = interrupt_id(u);
		if (val == IIR_THRE)
			u->thre_pending = 0;
		val |= u->fcr & FCR_ENABLE ? IIR_FIFO : 0;
		break;
	case REG_LCR:
		val = u->lcr;
		break;
	case REG_MCR:
		val = u->mcr;
		break;
	case REG_LSR:
		val = LSR_THRE | LSR_TEMT;
		val |= u->count ? LSR_DATA : 0;
		val |= u->overrun ? LSR_OVERRUN : 0;
		u->overrun = 0;
		break;
	case REG_MSR:
		val = u->msr;
		u->msr &= (uint8_t)~MSR_DELTA;
		break;
	default:
		val = u->scr;
		break;
	}
	update_irq(u);
	return val;
}

static void write_data(struct uart *u, uint8_t val)
{
	if (u->mcr & MCR_LOOP)
		put_rx(u, val);
	else
		chr_write(u->chr, &val, 1);
	u->thre_pending = 1;
}

static void write_fcr(struct uart *u, uint8_t val)
{
	/* Switching the FIFO on or off empties it (8.5). */
	if (((val ^ u->fcr) & FCR_ENABLE) || (val & FCR_CLEAR_RX))
		u->count = 0;
	u->fcr = val & 0xc9;
	if (!(u->mcr & MCR_LOOP))
		chr_room_changed(u->chr);
}

static void uart_write(void *dev, uint64_t off, unsigned size UNUSED, uint64_t v)
{
	struct uart *u = dev;
	uint8_t val = (uint8_t)v;

	switch (off) {
	case REG_DATA:
		if (u->lcr & LCR_DLAB)
			u->divisor = (uint16_t)((u->divisor & 0xff00) | val);
		else
			write_data(u, val);
		break;
	case REG_IER:
		if (u->lcr & LCR_DLAB) {
			u->divisor = (uint16_t)((u->divisor & 0xff) | val << 8);
		} else {
			/* Enabling the interrupt with an empty transmitter raises it. */
			if (val & ~u->ier & IER_THRE)
				u->thre_pending = 1;
			u->ier = val & 0x0f;
		}
		break;
	case REG_IIR_FCR:
		write_fcr(u, val);
		break;
	case REG_LCR:
		u->lcr = val;
		break;
	case REG_MCR:
		u->mcr = val & 0x1f;
		update_modem(u);
		if (!(u->mcr & MCR_LOOP))
			chr_room_changed(u->chr);
		break;
	case REG_SCR:
		u->scr = val;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
	update_irq(u);
}

static const struct bus_ops uart_bus_ops = {
	.read = uart_read,
	.write = uart_write,
	.min_size = 1,
	.max_size = 1,
};

/* --- life cycle ------------------------------------------------------------------------------ */

static void uart_reset(void *dev)
{
	struct uart *u = dev;

	u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0;
	u->divisor = 12; /* 9600 baud, as a BIOS leaves it */
	u->overrun = u->thre_pending = u->head = u->count = 0;
	u->msr = modem_lines(u);
	irq_set(&u->irq, false);
	chr_room_changed(u->chr);
}

int uart_create(struct uart **out, const struct dev_env *env, uint16_t base,
		const struct irq_line *irq, struct chr *chr, struct err *e)
{
	struct uart *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return err_set(e, -ENOMEM, "no memory for a serial port");
	u->ports = env->ports;
	u->irq = *irq;
	u->range = (struct bus_range) {
		.base = base, .size = REG_COUNT, .ops = &uart_bus_ops, .dev = u, .name = "serial"
	};
	ret = bus_claim(env->ports, &u->range, e);
	if (ret) {
		free(u);
		return ret;
	}
	u->chr = chr;
	chr_set_client(chr, &client_ops, u);
	uart_reset(u);
	*out = u;
	return 0;
}

static void uart_save(void *dev, struct snap_writer *w)
{
	snap_save_fields(w, dev, fields, ARRAY_SIZE(fields));
}

static int uart_load(void *dev, const struct snap_reader *r, struct err *e)
{
	struct uart *u = dev, tmp = *u;
	int ret = snap_load_fields(r, &tmp, fields, ARRAY_SIZE(fields), e);

	if (ret)
		return ret;
	if (tmp.head >= UART_FIFO || tmp.count > UART_FIFO)
		return err_set(e, -EBADMSG, "the saved serial port has an impossible FIFO");
	tmp.ier &= 0x0f;
	tmp.mcr &= 0x1f;
	*u = tmp;
	update_irq(u);
	return 0;
}

static void uart_destroy(void *dev)
{
	struct uart *u = dev;

	if (!u)
		return;
	bus_release(u->ports, &u->range);
	chr_destroy(u->chr);
	free(u);
}

const struct dev_ops uart_dev_ops = {
	.type = "16550a",
	.reset = uart_reset,
	.save = uart_save,
	.load = uart_load,
	.destroy = uart_destroy,
};
