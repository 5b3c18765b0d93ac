/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory: which addresses are RAM or ROM, and the only way to their bytes.
 *
 * Theory of operation: RAM is one mapping (backing.h: a memfd, or private memory whose equal
 * pages the host merges). It appears in the guest-physical address space as regions: [0, hole),
 * and [4 GiB, ...) for the rest; ROM regions have memory of their own. Regions are few
 * (MEM_REGIONS_MAX) and change only while no vCPU runs, so a look-up is a short scan without a
 * lock. An address in no region is MMIO or nothing: the bus decides.
 *
 * Each RAM page has one byte of flags, changed atomically: MEM_PAGE_DIRTY (written since the last
 * mem_dirty_take()) and MEM_PAGE_CODE (the soft engine holds decoded or translated code of it).
 * Whoever writes guest memory on the host's side goes through mem_write() or
 * mem_map()/mem_unmap(), which set DIRTY and tell the code listener. Guest stores by the KVM
 * engine are in KVM's dirty log instead; the soft engine sets the flags itself.
 *
 * Threads: access from any thread. The bytes are shared with running vCPUs: what was read can
 * change at once, so read into a local, check that, use that.
 *
 * Limits: guest-physical addresses below 2^MEM_GPA_BITS.
 */
#ifndef HOLM_MEM_MEM_H
#define HOLM_MEM_MEM_H

#include "base/compiler.h"
#include "base/err.h"
#include "mem/backing.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** A guest-physical address. Never dereferenced; only mem_*() turns it into bytes. */
typedef uint64_t gpa_t;

#define MEM_GPA_BITS	46
#define MEM_REGIONS_MAX 16
#define MEM_PAGE_SIZE	4096u
#define MEM_PAGE_SHIFT	12

#define MEM_PAGE_DIRTY	0x01u
#define MEM_PAGE_CODE	0x02u

enum mem_kind { MEM_RAM, MEM_ROM, MEM_KIND_COUNT };

struct mem_region {
	gpa_t gpa;     /* page-aligned */
	uint64_t size; /* bytes, a multiple of MEM_PAGE_SIZE, not 0 */
	enum mem_kind kind;
	uint8_t *host;			   /* where the bytes are mapped in this process */
	const struct mem_backing *backing; /* what it is cut from */
	uint64_t off;			   /* offset of the first byte in it */
	_Atomic uint8_t *flags;		   /* MEM_PAGE_* for each page */
	const char *name;		   /* static string: "ram-low", "bios" */
};

/** Told before a region comes or after it went; no vCPU runs meanwhile. */
struct mem_listener {
	int (*region_add)(void *ctx, const struct mem_region *r, struct err *e);
	void (*region_del)(void *ctx, const struct mem_region *r);
	/** Host-side code wrote the page at @gpa, which has MEM_PAGE_CODE. Any thread. Optional. */
	void (*code_written)(void *ctx, gpa_t gpa);
	void *ctx;
};

struct mem;

/** mem_create() - an empty map. */
int mem_create(struct mem **out, struct err *e) MUST_CHECK;
void mem_destroy(struct mem *m);

/**
 * mem_add_ram() - a memfd of @size bytes as RAM: below @hole_start at 0, the rest from 4 GiB.
 * @size:       bytes, a multiple of 4 KiB, at least 1 MiB
 * @hole_start: end of low RAM at the most, e.g. 0xc0000000
 *
 * Memory is reserved lazily; the host's pages come at first touch.
 * Errors: -EINVAL, -ENOMEM, -EEXIST (called twice).
 */
int mem_add_ram(struct mem *m, uint64_t size, gpa_t hole_start, struct err *e) MUST_CHECK;

/** mem_add_ram_merged() - as mem_add_ram(), of private memory whose equal pages KSM may merge. */
int mem_add_ram_merged(struct mem *m, uint64_t size, gpa_t hole_start, struct err *e) MUST_CHECK;

/**
 * mem_add_ram_saved() - as mem_add_ram(), with what mem_save() wrote to @fd (stays the caller's).
 * @merged: pages that the guest writes from now on may be merged
 *
 * Pages are read when they are touched; the file never changes and must not be cut short.
 * Errors: also -EBADMSG (the file has another size).
 */
int mem_add_ram_saved(struct mem *m, int fd, bool merged, uint64_t size, gpa_t hole_start,
		      struct err *e) MUST_CHECK;

/**
 * mem_save() - all RAM to the empty file @fd: each page at its offset in RAM, counted without the
 * hole below 4 GiB; pages of zeros are holes. No vCPU runs and no device writes.
 *
 * Errors: those of ftruncate(2) and pwrite(2), -ENOSPC among them.
 */
int mem_save(const struct mem *m, int fd, struct err *e) MUST_CHECK;

/** mem_add_rom() - a read-only copy of @size bytes at @gpa; size rounded up to pages with 0. */
int mem_add_rom(struct mem *m, gpa_t gpa, const void *bytes, uint64_t size, const char *name,
		struct err *e) MUST_CHECK;

/** mem_listen() - the one listener (an engine, *@l is copied); hears at once of all regions. */
int mem_listen(struct mem *m, const struct mem_listener *l, struct err *e) MUST_CHECK;
void mem_unlisten(struct mem *m);

/** mem_ram_size() - bytes of RAM in all. */
uint64_t mem_ram_size(const struct mem *m);
/** mem_ram_resident() - bytes of RAM that the host has pages for; see mem_backing_resident(). */
uint64_t mem_ram_resident(const struct mem *m);
/** mem_low_ram_end() - first address behind the RAM below 4 GiB. */
gpa_t mem_low_ram_end(const struct mem *m);
/** mem_high_ram_end() - first address behind the RAM above 4 GiB; 4 GiB where there is none. */
gpa_t mem_high_ram_end(const struct mem *m);

/** mem_find() - the region that holds @gpa, or NULL. */
const struct mem_region *mem_find(const struct mem *m, gpa_t gpa);

/**
 * mem_regions() - all regions, ascending by address; *@n receives how many.
 *
 * As from mem_find(), pointers to regions last until the next mem_add_*().
 */
const struct mem_region *mem_regions(const struct mem *m, unsigned *n);

/**
 * mem_read() - copy @len bytes at @gpa, which may span regions that adjoin.
 *
 * Return: 0, or -EFAULT where a byte is not RAM or ROM (@buf is then undefined).
 */
int mem_read(const struct mem *m, gpa_t gpa, void *buf, size_t len) MUST_CHECK;

/** mem_write() - as mem_read(), into RAM only; nothing is written on -EFAULT. */
int mem_write(struct mem *m, gpa_t gpa, const void *buf, size_t len) MUST_CHECK;

/** mem_zero() - as mem_write() of zeros. */
int mem_zero(struct mem *m, gpa_t gpa, size_t len) MUST_CHECK;

/**
 * mem_map() - a host pointer to [@gpa, @gpa + @len) for I/O that is in flight.
 * @write: the bytes may be written: RAM only
 *
 * The range must lie in one region. Return: the pointer, valid until the VM ends, or NULL. After
 * the write is done the caller owes one mem_unmap() with @write true.
 */
void *mem_map(struct mem *m, gpa_t gpa, size_t len, bool write);

/** mem_unmap() - the I/O ended: marks pages dirty and tells of code where @write. */
void mem_unmap(struct mem *m, gpa_t gpa, size_t len, bool write);

/** mem_discard() - the guest does not need these bytes: gives pages back, they read as 0. */
int mem_discard(struct mem *m, gpa_t gpa, uint64_t len) MUST_CHECK;

/**
 * mem_dirty_take() - copy and clear the dirty flags of a region's pages.
 * @bitmap: one bit a page, bit 0 of byte 0 first; OR-ed into
 */
void mem_dirty_take(struct mem *m, const struct mem_region *r, uint8_t *bitmap);

/* Fixed-size access for rings and tables; 0 or -EFAULT. */
int mem_read_u16(const struct mem *m, gpa_t gpa, uint16_t *v) MUST_CHECK;
int mem_read_u32(const struct mem *m, gpa_t gpa, uint32_t *v) MUST_CHECK;
int mem_read_u64(const struct mem *m, gpa_t gpa, uint64_t *v) MUST_CHECK;

#endif
