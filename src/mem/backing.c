/* SPDX-License-Identifier: MIT */
/*
 * Shared, merged and saved memory, see backing.h.
 */
#include "mem/backing.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

static const struct mem_backing none = { .fd = -1, .file = -1, .pagemap = -1 };

static int open_memfd(struct mem_backing *b, const char *name, struct err *e)
{
	b->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->fd < 0)
		return err_set(e, -errno, "cannot make a memfd for guest memory: %m");
	if (ftruncate(b->fd, (off_t)b->size) < 0 ||
	    fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return err_set(e, -errno,
			       "cannot get %llu MiB of guest memory: %m; give the VM less",
			       (unsigned long long)(b->size >> 20));
	return 0;
}

static void advise(const struct mem_backing *b, bool merge)
{
	/* A hint: a core dump without the guest. */
	(void)madvise(b->host, b->size, MADV_DONTDUMP);
	if (!merge)
		return;
	/* Two huge pages are hardly ever equal, and one is given back only as a whole. */
	(void)madvise(b->host, b->size, MADV_NOHUGEPAGE);
	if (madvise(b->host, b->size, MADV_MERGEABLE) < 0)
		log_line(LOG_WARN, "memory", "equal pages will not be merged: %s",
			 errno == EINVAL ? "this kernel has no KSM" : strerror(errno));
}

int mem_backing_make(struct mem_backing *out, enum mem_backing_kind kind, const char *name,
		     uint64_t size, struct err *e)
{
	struct mem_backing b = none;
	bool shared = kind == MEM_BACKING_SHARED;
	int rc;
	void *p;

	b.size = size;
	b.kind = kind;
	rc = shared ? open_memfd(&b, name, e) : 0;
	if (rc)
		goto fail;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		 MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS), b.fd, 0);
	if (p == MAP_FAILED) {
		rc = err_set(e, -errno, "cannot get %llu MiB of guest memory: %m; give the VM less",
			     (unsigned long long)(size >> 20));
		goto fail;
	}
	b.host = p;
	if (!shared)
		b.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	advise(&b, !shared);
	*out = b;
	return 0;
fail:
	mem_backing_free(&b);
	return rc;
}

int mem_backing_map(struct mem_backing *out, int fd, uint64_t size, bool merge, struct err *e)
{
	struct mem_backing b = none;
	struct stat st;
	void *p;

	if (fstat(fd, &st))
		return err_set(e, -errno, "cannot look at the saved memory: %m");
	/* Else a page behind the end would be a signal. */
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return err_set(
			e, -EBADMSG,
			"the saved memory has %lld bytes, and the VM %llu: it is cut short or "
			"another VM's",
			(long long)st.st_size, (unsigned long long)size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_NORESERVE | MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, -errno, "cannot map the saved memory: %m");
	b.host = p;
	b.size = size;
	b.kind = MEM_BACKING_SAVED;
	/* Both only make saving it again faster. */
	b.file = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	b.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	advise(&b, merge);
	*out = b;
	return 0;
}

void mem_backing_free(struct mem_backing *b)
{
	if (b->host)
		munmap(b->host, b->size);
	fd_close(&b->fd);
	fd_close(&b->file);
	fd_close(&b->pagemap);
	*b = none;
}

/* From this size on a copy goes through the memfd. */
#define BULK_MIN 262144u

/*
 * Much at once is written to the memfd rather than through the mapping: that spares a page fault
 * and the zeroing of every fresh page, which makes up most of a boot's start.
 */
/* seccomp: loop: pwrite64 */
void mem_backing_fill(const struct mem_backing *b, uint64_t off, const uint8_t *buf, size_t len)
{
	while (b->fd >= 0 && len >= BULK_MIN) {
		ssize_t n = pwrite(b->fd, buf, len, (off_t)off);

		if (n <= 0)
			break; /* the mapping says the same with a signal, if it is out of memory */
		off += (uint64_t)n;
		buf += n;
		len -= (size_t)n;
	}
	memcpy(b->host + off, buf, len);
}

/* From this size on saved memory is replaced by zeros that cost nothing. */
#define REPLACE_MIN (2u << 20)

/* seccomp: loop,vcpu: mmap */
static int discard_saved(const struct mem_backing *b, uint64_t off, uint64_t len)
{
	if (len < REPLACE_MIN) {
		memset(b->host + off, 0, len);
		return 0;
	}
	if (mmap(b->host + off, len, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_NORESERVE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

/* seccomp: loop,vcpu: fallocate madvise */
int mem_backing_discard(const struct mem_backing *b, uint64_t off, uint64_t len)
{
	int ret;

	if (b->kind == MEM_BACKING_SAVED)
		return discard_saved(b, off, len);
	if (b->fd >= 0)
		ret = fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
				(off_t)len);
	else
		ret = madvise(b->host + off, len, MADV_DONTNEED);
	return ret < 0 ? -errno : 0;
}

/* The next range that is more than a hole of @fd; false where there is none. */
static bool next_of_file(int fd, uint64_t size, uint64_t *from, uint64_t *to)
{
	off_t data = lseek(fd, (off_t)*from, SEEK_DATA), hole;

	*to = size;
	if (data < 0)
		return errno != ENXIO; /* cannot tell: all of it */
	hole = lseek(fd, data, SEEK_HOLE);
	*from = (uint64_t)data;
	if (hole > data)
		*to = (uint64_t)hole;
	return true;
}

/* Pages of this process alone are looked for in steps of so many. */
#define LOOK_PAGES 512u

/* /proc/PID/pagemap, Linux, Documentation/admin-guide/mm/pagemap.rst. */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_FILE	(1ull << 61)

/* Whether [@from, @to) may have pages that were written here. */
static bool has_own_pages(const struct mem_backing *b, uint64_t from, uint64_t to)
{
	uint64_t entry[LOOK_PAGES], at = ((uintptr_t)b->host + from) / PAGE * sizeof(entry[0]);
	size_t len = (to - from) / PAGE * sizeof(entry[0]);

	if (b->pagemap < 0 || fd_pread_full(b->pagemap, entry, len, at) != (ssize_t)len)
		return true;
	for (size_t i = 0; i < len / sizeof(entry[0]); i++)
		if ((entry[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) && !(entry[i] & PAGEMAP_FILE))
			return true;
	return false;
}

/* seccomp: loop: lseek pread64 */
bool mem_backing_data(const struct mem_backing *b, uint64_t *from, uint64_t *to)
{
	if (*from >= b->size)
		return false;
	if (b->fd >= 0)
		return next_of_file(b->fd, b->size, from, to);
	for (; *from < b->size; *from = *to) {
		uint64_t data = *from, end;

		*to = MIN(b->size, *from + LOOK_PAGES * PAGE);
		if (b->file >= 0 && next_of_file(b->file, b->size, &data, &end) && data < *to)
			return true;
		if (has_own_pages(b, *from, *to))
			return true;
	}
	return false;
}

/* mincore(2) works by page tables: of private memory it tells what this process has mapped. */
static uint64_t count_mapped(const struct mem_backing *b)
{
	unsigned char there[4096];
	uint64_t pages = 0, step = (uint64_t)sizeof(there) * PAGE;

	for (uint64_t off = 0; off < b->size; off += step) {
		uint64_t len = MIN(b->size - off, step);

		if (mincore(b->host + off, len, there) < 0)
			return 0;
		for (uint64_t i = 0; i < len / PAGE; i++)
			pages += there[i] & 1;
	}
	return pages * PAGE;
}

/* seccomp: loop: fstat newfstatat mincore */
uint64_t mem_backing_resident(const struct mem_backing *b)
{
	struct stat st;

	if (b->fd < 0)
		return count_mapped(b);
	return fstat(b->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}
