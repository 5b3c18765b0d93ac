/* SPDX-License-Identifier: MIT */
/*
 * Dispatch of port and MMIO accesses to devices.
 *
 * Theory of operation: a bus is a sorted array of ranges, each with its ops. An access is looked
 * up by its first byte; one that reaches beyond the range's end is refused as if unclaimed.
 * Unclaimed reads give all ones, unclaimed writes vanish, as on a PC. Ranges come and go at run
 * time (PCI BARs).
 *
 * Threads: the caller holds the machine lock (the loop's), for accesses and for changes; the
 * engine's call-outs take it. So device handlers never run in parallel.
 */
#ifndef HOLM_BUS_BUS_H
#define HOLM_BUS_BUS_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdint.h>

/** A device's handlers for one range. Must not block. @off is relative to the range's start. */
struct bus_ops {
	/** Mandatory. @size is 1, 2, 4 or 8; the result's upper bytes are ignored. */
	uint64_t (*read)(void *dev, uint64_t off, unsigned size);
	/** Mandatory. Upper bytes of @val beyond @size are 0. */
	void (*write)(void *dev, uint64_t off, unsigned size, uint64_t val);
	/**
	 * Sizes the device decodes itself, 0 means 1..8. An access outside is split into pieces
	 * of max_size (or, where smaller than min_size, widened for reads and dropped for writes).
	 */
	uint8_t min_size, max_size;
};

/** One claimed range; embedded in the device, zeroed before bus_claim(). */
struct bus_range {
	uint64_t base, size;
	const struct bus_ops *ops;
	void *dev;
	const char *name; /* static string, for logs and `info` */
};

struct bus;

/** bus_create() - @limit is the first address beyond it: 0x10000 for ports. */
int bus_create(struct bus **out, const char *name, uint64_t limit, struct err *e) MUST_CHECK;
/** bus_destroy() - all ranges must be released. NULL is allowed. */
void bus_destroy(struct bus *b);

/**
 * bus_claim() - give [@r->base, @r->base + @r->size) to a device; @r is borrowed.
 *
 * Errors: -EINVAL (empty or beyond the limit), -EEXIST (overlaps, the sentence names both).
 */
int bus_claim(struct bus *b, struct bus_range *r, struct err *e) MUST_CHECK;
/** bus_release() - no-op where @r is not claimed. */
void bus_release(struct bus *b, struct bus_range *r);

/**
 * bus_read(), bus_write() - an access of @size bytes, 1 to 8; odd sizes (what an engine leaves of
 * an access across pages) become pieces of 4, 2 and 1.
 */
uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size);
void bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val);

/** bus_find() - the range that holds @addr, or NULL. */
const struct bus_range *bus_find(const struct bus *b, uint64_t addr);

#endif
