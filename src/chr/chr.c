/* SPDX-License-Identifier: MIT */
/*
 * The character core, see chr.h.
 *
 * Theory of operation: output goes straight to the back end while the ring is empty; the rest
 * waits in the ring until chr_writable(). Input is let in while the client has room: the back end
 * asks chr_input_room() and brings no more.
 *
 * Invariants: `kept` bytes start at ring[head]; want_write is on exactly while kept is not 0.
 */
#include "chr/chr.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct chr {
	struct chr_backend *backend;
	const struct chr_client_ops *client;
	void *ctx;
	size_t head, kept;
	bool want_write, rx_on;
	uint64_t dropped;
	uint8_t ring[CHR_BUFFER];
};

int chr_create(struct chr **out, struct chr_backend *b, struct err *e)
{
	struct chr *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, -ENOMEM, "no memory for a character stream");
	c->backend = b;
	b->chr = c;
	*out = c;
	return 0;
}

void chr_destroy(struct chr *c)
{
	if (!c)
		return;
	c->client = NULL;
	c->backend->ops->close(c->backend);
	free(c);
}

static size_t room(const struct chr *c)
{
	return c->client ? c->client->room(c->ctx) : 0;
}

void chr_room_changed(struct chr *c)
{
	bool on = room(c) > 0;

	if (on == c->rx_on)
		return;
	c->rx_on = on;
	c->backend->ops->rx_enable(c->backend, on);
}

void chr_set_client(struct chr *c, const struct chr_client_ops *ops, void *ctx)
{
	c->client = ops;
	c->ctx = ctx;
	chr_room_changed(c);
}

/* Bytes the back end took; what it refuses for good is dropped and counted as taken. */
static size_t push(struct chr *c, const uint8_t *buf, size_t len)
{
	ssize_t n = c->backend->ops->write(c->backend, buf, len);

	BUG_ON(n > 0 && (size_t)n > len);
	if (n >= 0)
		return (size_t)n;
	c->dropped += len;
	return len;
}

static void drain(struct chr *c)
{
	while (c->kept) {
		size_t piece = MIN(c->kept, (size_t)CHR_BUFFER - c->head);
		size_t n = push(c, c->ring + c->head, piece);

		c->head = (c->head + n) % CHR_BUFFER;
		c->kept -= n;
		if (n < piece)
			return;
	}
}

static void update_want(struct chr *c)
{
	bool want = c->kept > 0;

	if (want == c->want_write)
		return;
	c->want_write = want;
	c->backend->ops->want_write(c->backend, want);
}

/* Append to the ring; the oldest bytes make room. */
static void keep(struct chr *c, const uint8_t *buf, size_t len)
{
	if (len > CHR_BUFFER) {
		c->dropped += len - CHR_BUFFER;
		buf += len - CHR_BUFFER;
		len = CHR_BUFFER;
	}
	if (c->kept + len > CHR_BUFFER) {
		size_t over = c->kept + len - CHR_BUFFER;

		c->dropped += over;
		c->head = (c->head + over) % CHR_BUFFER;
		c->kept -= over;
	}
	while (len) {
		size_t at = (c->head + c->kept) % CHR_BUFFER;
		size_t piece = MIN(len, CHR_BUFFER - at);

		memcpy(c->ring + at, buf, piece);
		c->kept += piece;
		buf += piece;
		len -= piece;
	}
}

void chr_write(struct chr *c, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len && !c->kept) {
		size_t n = push(c, p, len);

		p += n;
		len -= n;
		if (!n)
			break;
	}
	keep(c, p, len);
	update_want(c);
}

void chr_writable(struct chr_backend *b)
{
	drain(b->chr);
	update_want(b->chr);
}

void chr_flush(struct chr *c, int timeout_ms)
{
	uint64_t end = clock_monotonic_ns() + (uint64_t)MAX(timeout_ms, 0) * CLOCK_NS_PER_MS;

	for (;;) {
		drain(c);
		if (!c->kept || clock_monotonic_ns() >= end)
			break;
		poll(NULL, 0, 1);
	}
	update_want(c);
}

uint64_t chr_dropped(const struct chr *c)
{
	return c->dropped;
}

size_t chr_input_room(struct chr_backend *b)
{
	return room(b->chr);
}

void chr_input(struct chr_backend *b, const void *buf, size_t len)
{
	struct chr *c = b->chr;

	if (!len)
		return;
	BUG_ON(len > room(c));
	c->client->rx(c->ctx, buf, len);
	chr_room_changed(c);
}
