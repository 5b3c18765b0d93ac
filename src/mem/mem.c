/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory, see mem.h.
 *
 * Theory of operation: the regions are a sorted array in the map itself; adding one shifts its
 * successors, so a pointer to a region lasts until the next mem_add_*(). All RAM is one mapping
 * (backing.h). The flags are one anonymous mapping with a byte for each page, reserved lazily:
 * what the guest never touches costs nothing.
 *
 * Invariants: regions never overlap; gpa, size and off are multiples of the page size; every
 * region ends at or below 2^MEM_GPA_BITS, so sums of an address inside and a length inside never
 * overflow.
 *
 * Order of a host-side write: bytes, fence, flags. An engine that caches code sets MEM_PAGE_CODE,
 * fences, then reads the bytes; so either it sees the new bytes or we see its flag.
 */
#include "mem/mem.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEM_4GIB    0x100000000ull
#define MEM_MIN_RAM 0x100000ull

static_assert(sizeof(_Atomic uint8_t) == 1, "flags are bytes");

/** A mapping that regions are cut from; lives until the map goes. */
struct mem_block {
	struct mem_backing backing;
	_Atomic uint8_t *flags;
};

struct mem {
	struct mem_region regions[MEM_REGIONS_MAX];
	unsigned n;
	bool has_ram;
	uint64_t ram_size;
	gpa_t low_end, high_end;
	const struct mem_listener *listener; /* &own, or NULL */
	struct mem_listener own;
	struct mem_block blocks[MEM_REGIONS_MAX];
	unsigned n_blocks;
};

int mem_create(struct mem **out, struct err *e)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->high_end = MEM_4GIB;
	*out = m;
	return 0;
}

static uint64_t flags_bytes(uint64_t size)
{
	return align_up(size >> MEM_PAGE_SHIFT, MEM_PAGE_SIZE);
}

static void block_free(struct mem_block *b)
{
	if (b->flags)
		munmap((void *)b->flags, flags_bytes(b->backing.size));
	b->flags = NULL;
	mem_backing_free(&b->backing);
}

/** Where a block's bytes come from. */
struct source {
	enum mem_backing_kind kind;
	int fd;	     /* of saved memory */
	bool merged; /* likewise */
};

/** Memory of @size bytes with its flags; nothing is left behind on failure. */
static int block_make(struct mem_block *b, const struct source *from, const char *name,
		      uint64_t size, struct err *e)
{
	void *p;
	int rc;

	if (from->kind == MEM_BACKING_SAVED)
		rc = mem_backing_map(&b->backing, from->fd, size, from->merged, e);
	else
		rc = mem_backing_make(&b->backing, from->kind, name, size, e);
	if (rc)
		return rc;
	p = mmap(NULL, flags_bytes(size), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		rc = err_set(e, -errno,
			     "cannot get the flags of %llu MiB of guest memory: %m; give the VM "
			     "less",
			     (unsigned long long)(size >> 20));
		block_free(b);
		return rc;
	}
	/* A hint: flags that cost what is touched. */
	(void)madvise(p, flags_bytes(size), MADV_NOHUGEPAGE);
	b->flags = p;
	return 0;
}

/** Enter a region at its place; the caller has checked overlap and room. */
static int region_add(struct mem *m, const struct mem_region *r, struct err *e)
{
	unsigned i = m->n;
	int rc;

	BUG_ON(m->n == MEM_REGIONS_MAX);
	if (m->listener) {
		rc = m->listener->region_add(m->listener->ctx, r, e);
		if (rc)
			return rc;
	}
	for (; i && m->regions[i - 1].gpa > r->gpa; i--)
		m->regions[i] = m->regions[i - 1];
	m->regions[i] = *r;
	m->n++;
	return 0;
}

static void region_del(struct mem *m, gpa_t gpa)
{
	for (unsigned i = 0; i < m->n; i++) {
		if (m->regions[i].gpa != gpa)
			continue;
		if (m->listener)
			m->listener->region_del(m->listener->ctx, &m->regions[i]);
		m->n--;
		memmove(&m->regions[i], &m->regions[i + 1], (m->n - i) * sizeof(m->regions[0]));
		return;
	}
}

static int check_free(const struct mem *m, gpa_t gpa, uint64_t size, const char *name,
		      struct err *e)
{
	if (!range_ok(gpa, size, 1ull << MEM_GPA_BITS))
		return err_set(e, -EINVAL, "%s does not fit below 2^%d", name, MEM_GPA_BITS);
	for (unsigned i = 0; i < m->n; i++) {
		const struct mem_region *r = &m->regions[i];

		if (range_overlap(gpa, size, r->gpa, r->size))
			return err_set(e, -EEXIST, "%s at 0x%llx overlaps %s at 0x%llx", name,
				       (unsigned long long)gpa, r->name,
				       (unsigned long long)r->gpa);
	}
	if (m->n == MEM_REGIONS_MAX)
		return err_set(e, -EINVAL, "more than %d memory regions", MEM_REGIONS_MAX);
	return 0;
}

static int add_ram(struct mem *m, const struct source *from, uint64_t size, gpa_t hole_start,
		   struct err *e)
{
	uint64_t low = MIN(size, hole_start), high = size - low;
	struct mem_block *b = &m->blocks[m->n_blocks];
	struct mem_region r;
	int rc;

	if (m->has_ram)
		return err_set(e, -EEXIST, "the VM has its RAM already");
	if (size < MEM_MIN_RAM || size % MEM_PAGE_SIZE || hole_start < MEM_MIN_RAM ||
	    hole_start % MEM_PAGE_SIZE || hole_start > MEM_4GIB)
		return err_set(e, -EINVAL,
			       "RAM of %llu bytes: give at least 1 MiB and a multiple of 4 KiB",
			       (unsigned long long)size);
	rc = check_free(m, 0, low, "RAM", e);
	if (!rc && high)
		rc = check_free(m, MEM_4GIB, high, "RAM", e);
	if (!rc && m->n + 2 > MEM_REGIONS_MAX)
		rc = err_set(e, -EINVAL, "more than %d memory regions", MEM_REGIONS_MAX);
	if (rc)
		return rc;
	rc = block_make(b, from, "holm-ram", size, e);
	if (rc)
		return rc;
	r = (struct mem_region) { .gpa = 0,
				  .size = low,
				  .kind = MEM_RAM,
				  .host = b->backing.host,
				  .backing = &b->backing,
				  .flags = b->flags,
				  .name = "ram-low" };
	rc = region_add(m, &r, e);
	if (rc)
		goto fail_block;
	if (high) {
		r.gpa = MEM_4GIB;
		r.size = high;
		r.host += low;
		r.off = low;
		r.flags += low >> MEM_PAGE_SHIFT;
		r.name = "ram-high";
		rc = region_add(m, &r, e);
		if (rc)
			goto fail_low;
	}
	m->n_blocks++;
	m->has_ram = true;
	m->ram_size = size;
	m->low_end = low;
	m->high_end = MEM_4GIB + high;
	return 0;
fail_low:
	region_del(m, 0);
fail_block:
	block_free(b);
	return rc;
}

int mem_add_ram(struct mem *m, uint64_t size, gpa_t hole_start, struct err *e)
{
	return add_ram(m, &(struct source) { .kind = MEM_BACKING_SHARED }, size, hole_start, e);
}

int mem_add_ram_merged(struct mem *m, uint64_t size, gpa_t hole_start, struct err *e)
{
	return add_ram(m, &(struct source) { .kind = MEM_BACKING_MERGED }, size, hole_start, e);
}

int mem_add_ram_saved(struct mem *m, int fd, bool merged, uint64_t size, gpa_t hole_start,
		      struct err *e)
{
	struct source from = { .kind = MEM_BACKING_SAVED, .fd = fd, .merged = merged };

	return add_ram(m, &from, size, hole_start, e);
}

static bool is_zero(const uint8_t *page)
{
	const uint64_t *w = (const void *)page;
	uint64_t any = 0;

	for (unsigned i = 0; i < MEM_PAGE_SIZE / 8; i++)
		any |= w[i];
	return !any;
}

/* seccomp: loop: pwrite64 */
static int write_pages(const struct mem_backing *b, int fd, uint64_t from, uint64_t to)
{
	while (from < to) {
		ssize_t n = pwrite(fd, b->host + from, MIN(to - from, 1u << 30), (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		from += (uint64_t)n;
	}
	return 0;
}

/* Runs of pages with something in them. */
static int save_range(const struct mem_backing *b, int fd, uint64_t from, uint64_t to)
{
	int ret = 0;

	while (from < to && !ret) {
		uint64_t end;

		while (from < to && is_zero(b->host + from))
			from += MEM_PAGE_SIZE;
		for (end = from; end < to && !is_zero(b->host + end); end += MEM_PAGE_SIZE)
			;
		ret = write_pages(b, fd, from, end);
		from = end;
	}
	return ret;
}

/* seccomp: loop: ftruncate */
int mem_save(const struct mem *m, int fd, struct err *e)
{
	const struct mem_region *low = mem_find(m, 0);
	uint64_t from = 0, to;
	int ret = 0;

	if (!low || !m->has_ram)
		return err_set(e, -EINVAL, "the VM has no RAM");
	if (ftruncate(fd, (off_t)m->ram_size))
		ret = -errno;
	for (; !ret && mem_backing_data(low->backing, &from, &to); from = to)
		ret = save_range(low->backing, fd, from, to);
	return ret ? err_set(e, ret, "cannot write the guest's memory: %s", strerror(-ret)) : 0;
}

int mem_add_rom(struct mem *m, gpa_t gpa, const void *bytes, uint64_t size, const char *name,
		struct err *e)
{
	struct mem_block *b = &m->blocks[m->n_blocks];
	struct mem_region r;
	uint64_t full;
	int rc;

	if (!size || size > MEM_4GIB || gpa % MEM_PAGE_SIZE)
		return err_set(e, -EINVAL, "%s: a ROM has 1 byte to 4 GiB and starts at a page",
			       name);
	full = align_up(size, MEM_PAGE_SIZE);
	rc = check_free(m, gpa, full, name, e);
	if (rc)
		return rc;
	rc = block_make(b, &(struct source) { .kind = MEM_BACKING_SHARED }, "holm-rom", full, e);
	if (rc)
		return rc;
	memcpy(b->backing.host, bytes, size);
	if (mprotect(b->backing.host, full, PROT_READ) < 0) {
		rc = err_set(e, -errno, "cannot protect %s: %m", name);
		goto fail;
	}
	r = (struct mem_region) { .gpa = gpa,
				  .size = full,
				  .kind = MEM_ROM,
				  .host = b->backing.host,
				  .backing = &b->backing,
				  .flags = b->flags,
				  .name = name };
	rc = region_add(m, &r, e);
	if (rc)
		goto fail;
	m->n_blocks++;
	return 0;
fail:
	block_free(b);
	return rc;
}

void mem_destroy(struct mem *m)
{
	if (!m)
		return;
	mem_unlisten(m);
	while (m->n_blocks)
		block_free(&m->blocks[--m->n_blocks]);
	free(m);
}

int mem_listen(struct mem *m, const struct mem_listener *l, struct err *e)
{
	BUG_ON(m->listener);
	for (unsigned i = 0; i < m->n; i++) {
		int rc = l->region_add(l->ctx, &m->regions[i], e);

		if (rc) {
			while (i--)
				l->region_del(l->ctx, &m->regions[i]);
			return rc;
		}
	}
	m->own = *l;
	m->listener = &m->own;
	return 0;
}

void mem_unlisten(struct mem *m)
{
	if (!m->listener)
		return;
	for (unsigned i = m->n; i--;)
		m->listener->region_del(m->listener->ctx, &m->regions[i]);
	m->listener = NULL;
}

uint64_t mem_ram_size(const struct mem *m)
{
	return m->ram_size;
}

gpa_t mem_low_ram_end(const struct mem *m)
{
	return m->low_end;
}

gpa_t mem_high_ram_end(const struct mem *m)
{
	return m->high_end;
}

const struct mem_region *mem_find(const struct mem *m, gpa_t gpa)
{
	const struct mem_region *r = m->regions, *end = r + m->n;

	/* Low RAM is first, so almost every look-up ends at once. */
	for (; r < end; r++)
		if (LIKELY(gpa - r->gpa < r->size))
			return r;
	return NULL;
}

const struct mem_region *mem_regions(const struct mem *m, unsigned *n)
{
	*n = m->n;
	return m->regions;
}

/** Bytes of [@gpa, +@len) that lie in @r, which holds @gpa. */
static size_t chunk_len(const struct mem_region *r, gpa_t gpa, uint64_t len)
{
	uint64_t left = r->size - (gpa - r->gpa);

	return MIN(left, len);
}

int mem_read(const struct mem *m, gpa_t gpa, void *buf, size_t len)
{
	uint8_t *to = buf;

	while (len) {
		const struct mem_region *r = mem_find(m, gpa);
		size_t n;

		if (!r)
			return -EFAULT;
		n = chunk_len(r, gpa, len);
		memcpy(to, r->host + (gpa - r->gpa), n);
		to += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

/** 0 where all of the range is RAM. */
static int check_ram(const struct mem *m, gpa_t gpa, uint64_t len)
{
	while (len) {
		const struct mem_region *r = mem_find(m, gpa);
		uint64_t n;

		if (!r || r->kind != MEM_RAM)
			return -EFAULT;
		n = chunk_len(r, gpa, len);
		gpa += n;
		len -= n;
	}
	return 0;
}

/** The bytes of [@gpa, +@len) in @r have changed: set flags and tell of code. */
static void mark_written(const struct mem *m, const struct mem_region *r, gpa_t gpa, uint64_t len)
{
	uint64_t page = (gpa - r->gpa) >> MEM_PAGE_SHIFT;
	uint64_t last = (gpa - r->gpa + len - 1) >> MEM_PAGE_SHIFT;

	atomic_thread_fence(memory_order_seq_cst);
	for (; page <= last; page++) {
		uint8_t f = atomic_load_explicit(&r->flags[page], memory_order_relaxed);

		if (!(f & MEM_PAGE_DIRTY))
			f |= atomic_fetch_or(&r->flags[page], MEM_PAGE_DIRTY);
		if (f & MEM_PAGE_CODE && m->listener && m->listener->code_written)
			m->listener->code_written(m->listener->ctx,
						  r->gpa + (page << MEM_PAGE_SHIFT));
	}
}

/** Copy @buf, or zeros where it is NULL. */
static int write_bytes(struct mem *m, gpa_t gpa, const uint8_t *buf, size_t len)
{
	if (check_ram(m, gpa, len))
		return -EFAULT;
	while (len) {
		const struct mem_region *r = mem_find(m, gpa);
		size_t n = chunk_len(r, gpa, len);

		if (buf) {
			mem_backing_fill(r->backing, r->off + (gpa - r->gpa), buf, n);
			buf += n;
		} else {
			memset(r->host + (gpa - r->gpa), 0, n);
		}
		mark_written(m, r, gpa, n);
		gpa += n;
		len -= n;
	}
	return 0;
}

int mem_write(struct mem *m, gpa_t gpa, const void *buf, size_t len)
{
	return write_bytes(m, gpa, buf, len);
}

int mem_zero(struct mem *m, gpa_t gpa, size_t len)
{
	return write_bytes(m, gpa, NULL, len);
}

void *mem_map(struct mem *m, gpa_t gpa, size_t len, bool write)
{
	const struct mem_region *r = mem_find(m, gpa);

	if (!r || (write && r->kind != MEM_RAM) || !range_ok(gpa - r->gpa, len, r->size))
		return NULL;
	return r->host + (gpa - r->gpa);
}

void mem_unmap(struct mem *m, gpa_t gpa, size_t len, bool write)
{
	const struct mem_region *r = mem_find(m, gpa);

	if (!write || !len)
		return;
	BUG_ON(!r || r->kind != MEM_RAM || !range_ok(gpa - r->gpa, len, r->size));
	mark_written(m, r, gpa, len);
}

int mem_discard(struct mem *m, gpa_t gpa, uint64_t len)
{
	if (check_ram(m, gpa, len))
		return -EFAULT;
	while (len) {
		const struct mem_region *r = mem_find(m, gpa);
		uint64_t n = chunk_len(r, gpa, len);
		int rc = mem_backing_discard(r->backing, r->off + (gpa - r->gpa), n);

		if (rc)
			return rc;
		mark_written(m, r, gpa, n);
		gpa += n;
		len -= n;
	}
	return 0;
}

uint64_t mem_ram_resident(const struct mem *m)
{
	const struct mem_region *r = mem_find(m, 0);

	return r && r->kind == MEM_RAM ? mem_backing_resident(r->backing) : 0;
}

void mem_dirty_take(struct mem *m UNUSED, const struct mem_region *r, uint8_t *bitmap)
{
	uint64_t pages = r->size >> MEM_PAGE_SHIFT;

	for (uint64_t i = 0; i < pages; i++) {
		/* The plain load keeps untouched flags on the kernel's zero page. */
		if (!(atomic_load_explicit(&r->flags[i], memory_order_relaxed) & MEM_PAGE_DIRTY))
			continue;
		atomic_fetch_and(&r->flags[i], (uint8_t)~MEM_PAGE_DIRTY);
		bitmap[i / 8] |= (uint8_t)(1u << (i % 8));
	}
}

int mem_read_u16(const struct mem *m, gpa_t gpa, uint16_t *v)
{
	return mem_read(m, gpa, v, sizeof(*v));
}

int mem_read_u32(const struct mem *m, gpa_t gpa, uint32_t *v)
{
	return mem_read(m, gpa, v, sizeof(*v));
}

int mem_read_u64(const struct mem *m, gpa_t gpa, uint64_t *v)
{
	return mem_read(m, gpa, v, sizeof(*v));
}
