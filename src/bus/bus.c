/* SPDX-License-Identifier: MIT */
/*
 * Dispatch of port and MMIO accesses, see bus.h.
 *
 * Theory of operation: an array of pointers to the claimed ranges, sorted by base, searched by
 * halves. An access becomes pieces of 1, 2, 4 or 8 bytes that the device takes; each piece uses
 * what was looked up for the whole access, because a handler may move its own range (a BAR).
 *
 * Invariant: ranges never overlap and none is empty.
 */
#include "bus/bus.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct bus {
	const char *name;
	uint64_t limit;
	struct bus_range **ranges; /* ascending by base */
	unsigned n, cap;
};

int bus_create(struct bus **out, const char *name, uint64_t limit, struct err *e)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, -ENOMEM, "out of memory");
	b->name = name;
	b->limit = limit;
	*out = b;
	return 0;
}

void bus_destroy(struct bus *b)
{
	if (!b)
		return;
	BUG_ON(b->n);
	free(b->ranges);
	free(b);
}

/** Index of the first range whose base is above @addr. */
static unsigned bus_above(const struct bus *b, uint64_t addr)
{
	unsigned lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (b->ranges[mid]->base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct bus_range *bus_find(const struct bus *b, uint64_t addr)
{
	unsigned i = bus_above(b, addr);
	const struct bus_range *r;

	if (!i)
		return NULL;
	r = b->ranges[i - 1];
	return addr - r->base < r->size ? r : NULL;
}

static int bus_check(const struct bus *b, const struct bus_range *r, unsigned at, struct err *e)
{
	const struct bus_range *other = NULL;

	if (!r->size || !range_ok(r->base, r->size, b->limit))
		return err_set(e, -EINVAL, "%s: range 0x%llx+0x%llx of %s is empty or too high",
			       b->name, (unsigned long long)r->base, (unsigned long long)r->size,
			       r->name);
	if (at && r->base - b->ranges[at - 1]->base < b->ranges[at - 1]->size)
		other = b->ranges[at - 1];
	else if (at < b->n && b->ranges[at]->base - r->base < r->size)
		other = b->ranges[at];
	if (other)
		return err_set(e, -EEXIST, "%s: 0x%llx+0x%llx of %s overlaps 0x%llx+0x%llx of %s",
			       b->name, (unsigned long long)r->base, (unsigned long long)r->size,
			       r->name, (unsigned long long)other->base,
			       (unsigned long long)other->size, other->name);
	return 0;
}

int bus_claim(struct bus *b, struct bus_range *r, struct err *e)
{
	unsigned at = bus_above(b, r->base);
	int rc = bus_check(b, r, at, e);

	if (rc)
		return rc;
	BUG_ON(!r->ops || !r->ops->read || !r->ops->write);
	BUG_ON(r->ops->max_size && r->ops->min_size > r->ops->max_size);
	if (b->n == b->cap) {
		unsigned cap = b->cap ? b->cap * 2 : 32;
		struct bus_range **p = realloc(b->ranges, cap * sizeof(*p));

		if (!p)
			return err_set(e, -ENOMEM, "out of memory");
		b->ranges = p;
		b->cap = cap;
	}
	memmove(&b->ranges[at + 1], &b->ranges[at], (b->n - at) * sizeof(b->ranges[0]));
	b->ranges[at] = r;
	b->n++;
	return 0;
}

void bus_release(struct bus *b, struct bus_range *r)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->ranges[i] != r)
			continue;
		b->n--;
		memmove(&b->ranges[i], &b->ranges[i + 1], (b->n - i) * sizeof(b->ranges[0]));
		return;
	}
}

/** What an access needs of its range, safe against a handler that moves the range. */
struct bus_target {
	const struct bus_ops *ops;
	void *dev;
	uint64_t off, size; /* offset of the access, size of the range */
	unsigned min, max;
};

static bool bus_target(const struct bus *b, uint64_t addr, unsigned size, struct bus_target *t)
{
	const struct bus_range *r = bus_find(b, addr);

	if (!r || r->size - (addr - r->base) < size)
		return false;
	*t = (struct bus_target) { .ops = r->ops,
				   .dev = r->dev,
				   .off = addr - r->base,
				   .size = r->size,
				   .min = r->ops->min_size ? r->ops->min_size : 1,
				   .max = r->ops->max_size ? r->ops->max_size : 8 };
	return true;
}

/** The largest piece of 1, 2, 4 or 8 bytes that @left and @max allow. */
static unsigned bus_piece(unsigned left, unsigned max)
{
	unsigned n = MIN(left, max);

	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

/** Read @n bytes at @off through aligned reads of the least size that the device takes. */
static uint64_t bus_read_wide(const struct bus_target *t, uint64_t off, unsigned n)
{
	uint64_t at = align_down(off, t->min), v = 0;

	for (unsigned done = 0; done < n;) {
		unsigned skip = (unsigned)(off + done - at);
		unsigned take = MIN(t->min - skip, n - done);
		uint64_t w = UINT64_MAX;

		if (range_ok(at, t->min, t->size))
			w = t->ops->read(t->dev, at, t->min);
		v |= ((w >> (skip * 8)) & size_mask(take)) << (done * 8);
		done += take;
		at += t->min;
	}
	return v;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size)
{
	struct bus_target t;
	uint64_t v = 0;

	BUG_ON(!size || size > 8);
	if (!bus_target(b, addr, size, &t))
		return size_mask(size);
	for (unsigned done = 0; done < size;) {
		unsigned n = bus_piece(size - done, t.max);
		uint64_t w;

		if (n < t.min)
			w = bus_read_wide(&t, t.off + done, n);
		else
			w = t.ops->read(t.dev, t.off + done, n);
		v |= (w & size_mask(n)) << (done * 8);
		done += n;
	}
	return v;
}

void bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val)
{
	struct bus_target t;

	BUG_ON(!size || size > 8);
	if (!bus_target(b, addr, size, &t))
		return;
	for (unsigned done = 0; done < size;) {
		unsigned n = bus_piece(size - done, t.max);

		if (n >= t.min)
			t.ops->write(t.dev, t.off + done, n, (val >> (done * 8)) & size_mask(n));
		done += n;
	}
}
