/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues, see virtq.h.
 *
 * Order of memory: the driver writes descriptors, then the ring entry, then avail.idx; so here
 * idx is read first, with acquire. The used entry is written before used.idx (release), and what
 * the driver wants to hear (used_event, flags) is read after a full fence, so that one of both
 * sides sees the other's write (virtio 1.2, 2.7.7 and 2.7.13).
 */
#include "virtio/virtq.h"

#include "base/bytes.h"
#include "spec/virtio.h"

#include <errno.h>
#include <stdatomic.h>

/** A descriptor as read from guest memory. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

void virtq_init(struct virtq *q, struct mem *mem, uint16_t size_max)
{
	*q = (struct virtq) { .mem = mem, .size_max = size_max, .size = size_max };
}

void virtq_reset(struct virtq *q)
{
	virtq_init(q, q->mem, q->size_max);
}

static int fail(struct virtq *q, const char *why)
{
	q->error = why;
	return -EPROTO;
}

/* Areas and their alignment: table in 2.7. */
int virtq_check(struct virtq *q)
{
	uint8_t byte;
	uint64_t avail = 6 + 2ull * q->size, used = 6 + 8ull * q->size;

	if (!q->size || q->size > q->size_max || !is_pow2(q->size))
		return fail(q, "the queue size is no power of two up to the maximum");
	if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
		return fail(q, "a queue area is not aligned");
	if (mem_read(q->mem, q->desc, &byte, 1) ||
	    mem_read(q->mem, q->desc + VIRTQ_DESC_SIZE * q->size - 1, &byte, 1) ||
	    mem_read(q->mem, q->avail, &byte, 1) ||
	    mem_read(q->mem, q->avail + avail - 1, &byte, 1) ||
	    mem_read(q->mem, q->used, &byte, 1) || mem_read(q->mem, q->used + used - 1, &byte, 1))
		return fail(q, "a queue area is not in memory");
	return 0;
}

/* Ring fields; the areas were checked, so a failure means that memory went away. */
static uint16_t ring_u16(const struct virtq *q, gpa_t at)
{
	uint16_t v = 0;

	if (mem_read_u16(q->mem, at, &v))
		v = 0;
	return v;
}

static uint16_t avail_idx(const struct virtq *q)
{
	uint16_t v = ring_u16(q, q->avail + 2);

	atomic_thread_fence(memory_order_acquire);
	return v;
}

bool virtq_pending(const struct virtq *q)
{
	return q->enabled && avail_idx(q) != q->last_avail;
}

void virtq_set_notify(struct virtq *q, bool on)
{
	uint16_t flags = on ? 0 : VIRTQ_USED_F_NO_NOTIFY, idx = q->last_avail;
	int ret = 0;

	if (q->event_idx) {
		/* avail_event: notify when the driver passes this index. */
		if (on)
			ret = mem_write(q->mem, q->used + 4 + 8ull * q->size, &idx, 2);
	} else {
		ret = mem_write(q->mem, q->used, &flags, 2);
	}
	if (ret)
		q->error = "the used ring is not in memory";
	atomic_thread_fence(memory_order_seq_cst);
}

static int read_desc(struct virtq *q, gpa_t table, uint16_t i, struct desc *d)
{
	uint8_t raw[VIRTQ_DESC_SIZE];

	if (mem_read(q->mem, table + (uint64_t)i * VIRTQ_DESC_SIZE, raw, sizeof(raw)))
		return fail(q, "a descriptor is not in memory");
	*d = (struct desc) { .addr = get_le64(raw),
			     .len = get_le32(raw + 8),
			     .flags = get_le16(raw + 12),
			     .next = get_le16(raw + 14) };
	return 0;
}

static int add_segment(struct virtq *q, struct virtq_chain *c, const struct desc *d)
{
	bool in = d->flags & VIRTQ_DESC_F_WRITE;
	unsigned n = c->n_out + c->n_in;
	void *host;

	if (!d->len)
		return fail(q, "a descriptor has no length");
	if (n == VIRTQ_SEGS_MAX)
		return fail(q, "a chain has too many descriptors");
	if (!in && c->n_in)
		return fail(q, "a readable descriptor follows a writable one");
	host = mem_map(q->mem, d->addr, d->len, in);
	if (!host)
		return fail(q, "a buffer is not in memory");
	c->iov[n] = (struct iovec) { .iov_base = host, .iov_len = d->len };
	c->gpa[n] = d->addr;
	if (in) {
		c->n_in++;
		c->in_len += d->len;
	} else {
		c->n_out++;
		c->out_len += d->len;
	}
	return 0;
}

static int walk(struct virtq *q, struct virtq_chain *c)
{
	gpa_t table = q->desc;
	uint32_t limit = q->size, steps = 0;
	uint16_t i = c->head;
	bool indirect = false;
	struct desc d;
	int ret;

	for (;;) {
		if (i >= limit)
			return fail(q, "a descriptor index is beyond the table");
		if (++steps > limit)
			return fail(q, "a chain of descriptors has a loop");
		ret = read_desc(q, table, i, &d);
		if (ret)
			return ret;
		if (d.flags & VIRTQ_DESC_F_INDIRECT) {
			if (!q->indirect || indirect)
				return fail(q, "an indirect descriptor where none may be");
			if ((d.flags & VIRTQ_DESC_F_NEXT) || !d.len || d.len % VIRTQ_DESC_SIZE)
				return fail(q, "an indirect table has a wrong form");
			indirect = true;
			table = d.addr;
			limit = MIN(d.len / VIRTQ_DESC_SIZE, 65536u);
			steps = 0;
			i = 0;
			continue;
		}
		ret = add_segment(q, c, &d);
		if (ret)
			return ret;
		if (!(d.flags & VIRTQ_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	uint16_t idx, waiting;
	int ret;

	if (!q->enabled)
		return 0;
	idx = avail_idx(q);
	waiting = (uint16_t)(idx - q->last_avail);
	if (!waiting)
		return 0;
	if (waiting > q->size)
		return fail(q, "avail.idx jumped by more than the queue's size");
	if (q->in_flight >= q->size)
		return fail(q, "more buffers are in flight than the queue has");
	c->n_out = c->n_in = 0;
	c->out_len = c->in_len = 0;
	c->head = ring_u16(q, q->avail + 4 + 2ull * (q->last_avail & (q->size - 1u)));
	ret = walk(q, c);
	if (ret)
		return ret;
	q->last_avail++;
	q->in_flight++;
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	BUG_ON(!q->in_flight);
	q->last_avail--;
	q->in_flight--;
}

int virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	gpa_t at = q->used + 4 + 8ull * (q->last_used & (q->size - 1u));
	uint64_t left = written;
	uint8_t raw[8];
	uint16_t idx;

	for (unsigned i = c->n_out; i < c->n_out + c->n_in && left; i++) {
		uint64_t n = MIN(left, (uint64_t)c->iov[i].iov_len);

		mem_unmap(q->mem, c->gpa[i], n, true);
		left -= n;
	}
	put_le32(raw, c->head);
	put_le32(raw + 4, written);
	if (mem_write(q->mem, at, raw, sizeof(raw)))
		return fail(q, "the used ring is not in memory");
	atomic_thread_fence(memory_order_release);
	idx = ++q->last_used;
	if (mem_write(q->mem, q->used + 2, &idx, 2))
		return fail(q, "the used ring is not in memory");
	if (q->in_flight)
		q->in_flight--;
	return 0;
}

/* 2.7.7.2: whether used_event lies between what was signalled and what is used now. */
bool virtq_want_signal(struct virtq *q)
{
	uint16_t old = q->signalled_used, now = q->last_used, event;
	bool valid = q->signalled_valid;

	atomic_thread_fence(memory_order_seq_cst);
	if (!q->event_idx)
		return !(ring_u16(q, q->avail) & VIRTQ_AVAIL_F_NO_INTERRUPT);
	event = ring_u16(q, q->avail + 4 + 2ull * q->size);
	q->signalled_used = now;
	q->signalled_valid = true;
	return !valid || (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* --- chains and flat buffers ---------------------------------------------------------------------
 */

static size_t copy(const struct iovec *iov, unsigned n, uint64_t off, void *buf, size_t len,
		   bool to_guest)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		uint8_t *p = iov[i].iov_base;
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - (size_t)off, len - done);
		if (to_guest)
			memcpy(p + off, (uint8_t *)buf + done, part);
		else
			memcpy((uint8_t *)buf + done, p + off, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t virtq_chain_read(const struct virtq_chain *c, uint64_t off, void *buf, size_t len)
{
	return copy(c->iov, c->n_out, off, buf, len, false);
}

size_t virtq_chain_write(const struct virtq_chain *c, uint64_t off, const void *buf, size_t len)
{
	return copy(c->iov + c->n_out, c->n_in, off, (void *)(uintptr_t)buf, len, true);
}

/* --- state
 * ------------------------------------------------------------------------------------------ */

static const struct snap_field fields[] = {
	SNAP_FIELD(struct virtq, SNAP_U16, size),
	SNAP_FIELD(struct virtq, SNAP_BOOL, enabled),
	SNAP_FIELD(struct virtq, SNAP_U64, desc),
	SNAP_FIELD(struct virtq, SNAP_U64, avail),
	SNAP_FIELD(struct virtq, SNAP_U64, used),
	SNAP_FIELD(struct virtq, SNAP_BOOL, event_idx),
	SNAP_FIELD(struct virtq, SNAP_BOOL, indirect),
	SNAP_FIELD(struct virtq, SNAP_U16, last_avail),
	SNAP_FIELD(struct virtq, SNAP_U16, last_used),
	SNAP_FIELD(struct virtq, SNAP_U16, signalled_used),
	SNAP_FIELD(struct virtq, SNAP_BOOL, signalled_valid),
};

void virtq_save(const struct virtq *q, struct snap_writer *w)
{
	snap_save_fields(w, q, fields, ARRAY_SIZE(fields));
}

int virtq_load(struct virtq *q, const struct snap_reader *r, struct err *e)
{
	struct virtq tmp = *q;
	int ret = snap_load_fields(r, &tmp, fields, ARRAY_SIZE(fields), e);

	if (ret)
		return ret;
	if (tmp.enabled && virtq_check(&tmp))
		return err_set(e, -EBADMSG, "a saved queue is not valid: %s", tmp.error);
	tmp.in_flight = 0;
	*q = tmp;
	return 0;
}
