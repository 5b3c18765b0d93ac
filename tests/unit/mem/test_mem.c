/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: where RAM and ROM lie, accesses across regions and off their ends, dirty and code
 * flags, discard, and that untouched memory costs nothing; of shared and of merged memory.
 */
#include "mem/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <sys/stat.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB  0x100000ull
#define GIB4 0x100000000ull

struct heard {
	unsigned adds, dels, codes;
	gpa_t last_code;
	int fail_at; /* fail the n-th add, counted from 1 */
};

static int hear_add(void *ctx, const struct mem_region *r UNUSED, struct err *e)
{
	struct heard *h = ctx;

	if ((int)++h->adds == h->fail_at)
		return err_set(e, -ENOSPC, "no slot");
	return 0;
}

static void hear_del(void *ctx, const struct mem_region *r UNUSED)
{
	((struct heard *)ctx)->dels++;
}

static void hear_code(void *ctx, gpa_t gpa)
{
	struct heard *h = ctx;

	h->codes++;
	h->last_code = gpa;
}

static struct mem *make(uint64_t size, gpa_t hole)
{
	struct mem *m;

	assert_int_equal(mem_create(&m, NULL), 0);
	assert_int_equal(mem_add_ram(m, size, hole, NULL), 0);
	return m;
}

static void layout(void **state UNUSED)
{
	struct mem *m = make(6 * MIB, 4 * MIB);
	const struct mem_region *r;
	unsigned n;

	assert_int_equal(mem_ram_size(m), 6 * MIB);
	assert_int_equal(mem_low_ram_end(m), 4 * MIB);
	assert_int_equal(mem_high_ram_end(m), GIB4 + 2 * MIB);
	r = mem_regions(m, &n);
	assert_int_equal(n, 2);
	assert_int_equal(r[1].gpa, GIB4);
	assert_int_equal(r[1].off, 4 * MIB);
	assert_ptr_equal(r[1].host, r[0].host + 4 * MIB);
	assert_ptr_equal(mem_find(m, 4 * MIB - 1), &r[0]);
	assert_null(mem_find(m, 4 * MIB));
	assert_null(mem_find(m, GIB4 - 1));
	assert_ptr_equal(mem_find(m, GIB4 + 2 * MIB - 1), &r[1]);
	assert_null(mem_find(m, GIB4 + 2 * MIB));
	assert_null(mem_find(m, UINT64_MAX));
	mem_destroy(m);

	m = make(2 * MIB, 4 * MIB);
	assert_int_equal(mem_low_ram_end(m), 2 * MIB);
	assert_int_equal(mem_high_ram_end(m), GIB4);
	mem_destroy(m);
	mem_destroy(NULL);
}

static void wrong_sizes(void **state UNUSED)
{
	struct mem *m;
	struct err e;

	assert_int_equal(mem_create(&m, NULL), 0);
	assert_int_equal(mem_add_ram(m, MIB - 4096, 4 * MIB, &e), -EINVAL);
	assert_int_equal(mem_add_ram(m, MIB + 1, 4 * MIB, &e), -EINVAL);
	assert_int_equal(mem_add_ram(m, 1ull << 47, 0xc0000000, &e), -EINVAL);
	assert_int_equal(mem_add_ram(m, UINT64_MAX & ~4095ull, 0xc0000000, &e), -EINVAL);
	assert_int_equal(mem_add_ram(m, MIB, 4 * MIB, &e), 0);
	assert_int_equal(mem_add_ram(m, MIB, 4 * MIB, &e), -EEXIST);
	mem_destroy(m);
}

static void reads_and_writes(void **state UNUSED)
{
	struct mem *m = make(6 * MIB, 4 * MIB);
	uint8_t buf[16], want[16];
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	memset(want, 0x5a, sizeof(want));
	assert_int_equal(mem_write(m, 4 * MIB - 16, want, 16), 0);
	assert_int_equal(mem_read(m, 4 * MIB - 16, buf, 16), 0);
	assert_memory_equal(buf, want, 16);
	/* One byte too far: nothing is written. */
	memset(buf, 0x11, sizeof(buf));
	assert_int_equal(mem_write(m, 4 * MIB - 15, buf, 16), -EFAULT);
	assert_int_equal(mem_read(m, 4 * MIB - 16, buf, 16), 0);
	assert_memory_equal(buf, want, 16);
	assert_int_equal(mem_read(m, 4 * MIB - 15, buf, 16), -EFAULT);
	assert_int_equal(mem_read(m, UINT64_MAX - 3, buf, 8), -EFAULT);
	assert_int_equal(mem_write(m, UINT64_MAX - 3, buf, 8), -EFAULT);
	assert_int_equal(mem_write(m, 0, buf, 0), 0);
	assert_int_equal(mem_zero(m, 4 * MIB - 8, 4), 0);
	assert_int_equal(mem_read_u64(m, 4 * MIB - 8, &v64), 0);
	assert_true(v64 == 0x5a5a5a5a00000000ull);
	assert_int_equal(mem_read_u32(m, 4 * MIB - 4, &v32), 0);
	assert_int_equal(v32, 0x5a5a5a5a);
	assert_int_equal(mem_read_u16(m, 4 * MIB - 1, &v16), -EFAULT);
	mem_destroy(m);
}

static void rom(void **state UNUSED)
{
	struct mem *m = make(4 * MIB, 4 * MIB);
	uint8_t bytes[5000], buf[8192];
	struct err e;

	memset(bytes, 0xab, sizeof(bytes));
	assert_int_equal(mem_add_rom(m, 0x3ff000, bytes, 5000, "bios", &e), -EEXIST);
	assert_non_null(strstr(e.msg, "ram-low"));
	assert_int_equal(mem_add_rom(m, 0xffff0001, bytes, 5000, "bios", &e), -EINVAL);
	assert_int_equal(mem_add_rom(m, 0xffffe000, bytes, 0, "bios", &e), -EINVAL);
	assert_int_equal(mem_add_rom(m, 4 * MIB, bytes, 5000, "bios", &e), 0);
	assert_int_equal(mem_read(m, 4 * MIB, buf, 8192), 0);
	assert_memory_equal(buf, bytes, 5000);
	assert_int_equal(buf[5000], 0);
	assert_int_equal(mem_write(m, 4 * MIB, buf, 1), -EFAULT);
	assert_null(mem_map(m, 4 * MIB, 1, true));
	assert_non_null(mem_map(m, 4 * MIB, 1, false));
	/* RAM and the ROM behind it adjoin: a read may span them, a write may not. */
	assert_int_equal(mem_read(m, 4 * MIB - 4, buf, 8), 0);
	assert_int_equal(mem_write(m, 4 * MIB - 4, buf, 8), -EFAULT);
	assert_int_equal(mem_discard(m, 4 * MIB - 4096, 8192), -EFAULT);
	mem_destroy(m);
}

static void dirty_and_code(void **state UNUSED)
{
	struct mem *m = make(4 * MIB, 4 * MIB);
	struct heard h = { 0 };
	const struct mem_listener l = {
		.region_add = hear_add, .region_del = hear_del, .code_written = hear_code, .ctx = &h
	};
	const struct mem_region *r = mem_find(m, 0);
	uint8_t map[128] = { 0 };
	char *p;

	assert_int_equal(mem_listen(m, &l, NULL), 0);
	assert_int_equal(h.adds, 1);
	assert_int_equal(mem_write(m, 0x1fff, "ab", 2), 0);
	mem_dirty_take(m, r, map);
	assert_int_equal(map[0], 0x06);
	memset(map, 0, sizeof(map));
	mem_dirty_take(m, r, map);
	assert_int_equal(map[0], 0);

	assert_int_equal(h.codes, 0);
	atomic_fetch_or(&r->flags[9], MEM_PAGE_CODE);
	assert_int_equal(mem_write(m, 0x8ffe, "abcd", 4), 0);
	assert_int_equal(h.codes, 1);
	assert_int_equal(h.last_code, 0x9000);
	/* The listener is told each time, dirty already or not. */
	assert_int_equal(mem_zero(m, 0x9000, 1), 0);
	assert_int_equal(h.codes, 2);

	p = mem_map(m, 0x9ff0, 0x20, true);
	assert_non_null(p);
	memset(p, 1, 0x20);
	mem_unmap(m, 0x9ff0, 0x20, false);
	assert_int_equal(h.codes, 2);
	mem_unmap(m, 0x9ff0, 0x20, true);
	assert_int_equal(h.codes, 3);
	mem_dirty_take(m, r, map);
	assert_int_equal(map[1], 0x07);
	assert_null(mem_map(m, 4 * MIB - 8, 9, false));
	assert_null(mem_map(m, 8, SIZE_MAX, false));
	mem_destroy(m);
	assert_int_equal(h.dels, 1);
}

static void listener_fails(void **state UNUSED)
{
	struct mem *m = make(6 * MIB, 4 * MIB);
	struct heard h = { .fail_at = 2 };
	const struct mem_listener l = { .region_add = hear_add, .region_del = hear_del, .ctx = &h };
	unsigned n;

	assert_int_equal(mem_listen(m, &l, NULL), -ENOSPC);
	assert_int_equal(h.dels, 1);
	mem_destroy(m);
	assert_int_equal(h.dels, 1);

	/* RAM that an engine refuses leaves nothing behind. */
	h = (struct heard) { .fail_at = 2 };
	assert_int_equal(mem_create(&m, NULL), 0);
	assert_int_equal(mem_listen(m, &l, NULL), 0);
	assert_int_equal(mem_add_ram(m, 6 * MIB, 4 * MIB, NULL), -ENOSPC);
	mem_regions(m, &n);
	assert_int_equal(n, 0);
	assert_int_equal(h.dels, 1);
	h = (struct heard) { 0 };
	assert_int_equal(mem_add_ram(m, 6 * MIB, 4 * MIB, NULL), 0);
	mem_destroy(m);
	assert_int_equal(h.dels, 2);
}

static void lazy_and_discard(void **state UNUSED)
{
	struct mem *m = make(5 * 1024 * MIB, 0xc0000000);
	const struct mem_region *r = mem_find(m, 0);
	uint64_t v;

	assert_int_equal(mem_ram_resident(m), 0);
	assert_int_equal(mem_write(m, GIB4 + 64 * MIB, "x", 1), 0);
	assert_true(mem_ram_resident(m) >= 4096);
	assert_true(mem_ram_resident(m) <= 4 * MIB);
	assert_int_equal(mem_discard(m, GIB4 + 64 * MIB, 2 * MIB), 0);
	assert_int_equal(mem_read_u64(m, GIB4 + 64 * MIB, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(mem_discard(m, GIB4 - 4096, 8192), -EFAULT);
	/* Nobody takes pages away from under us. */
	assert_int_equal(ftruncate(r->backing->fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(r->backing->fd, (off_t)(6 * 1024 * MIB)), -1);
	mem_destroy(m);
}

static struct mem *make_merged(uint64_t size, gpa_t hole)
{
	struct mem *m;

	assert_int_equal(mem_create(&m, NULL), 0);
	assert_int_equal(mem_add_ram_merged(m, size, hole, NULL), 0);
	return m;
}

/* The flags of the mapping that holds @p: a line "VmFlags: rd wr ... mg" of /proc/self/smaps. */
static bool has_vm_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool here = false, found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag);
	}
	fclose(f);
	return found;
}

static void merged_is_told_to_ksm(void **state UNUSED)
{
	struct mem *m = make_merged(6 * MIB, 4 * MIB), *shared = make(6 * MIB, 4 * MIB);
	const struct mem_region *r;
	unsigned n;

	r = mem_regions(m, &n);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].backing->fd, -1);
	assert_ptr_equal(r[1].host, r[0].host + 4 * MIB);
	assert_int_equal(r[1].off, 4 * MIB);
	assert_false(has_vm_flag(mem_find(shared, 0)->host, " mg"));
	mem_destroy(shared);
	if (access("/sys/kernel/mm/ksm/run", F_OK) == 0) {
		assert_true(has_vm_flag(r[0].host, " mg"));
		assert_true(has_vm_flag(r[1].host + 2 * MIB - 1, " mg"));
	}
	mem_destroy(m);
}

static void merged_lazy_and_discard(void **state UNUSED)
{
	struct mem *m = make_merged(5 * 1024 * MIB, 0xc0000000);
	const struct mem_region *r = mem_find(m, GIB4);
	static uint8_t big[2 * MIB], back[2 * MIB];
	uint8_t map[5 * 1024 * MIB / 4096 / 8] = { 0 };

	assert_int_equal(mem_ram_resident(m), 0);
	/* More than is copied at once, and not from a page's start. */
	memset(big, 0x5a, sizeof(big));
	assert_int_equal(mem_write(m, GIB4 + 64 * MIB + 8, big, sizeof(big)), 0);
	assert_int_equal(mem_ram_resident(m), 2 * MIB + 4096);
	assert_int_equal(mem_write(m, 0x5000, "x", 1), 0);
	assert_int_equal(mem_ram_resident(m), 2 * MIB + 8192);
	assert_int_equal(mem_read(m, GIB4 + 64 * MIB + 8, back, sizeof(back)), 0);
	assert_memory_equal(big, back, sizeof(big));
	mem_dirty_take(m, r, map);
	memset(map, 0, sizeof(map));
	assert_int_equal(mem_discard(m, GIB4 + 64 * MIB, 2 * MIB), 0);
	assert_int_equal(mem_ram_resident(m), 8192);
	/* Its neighbours stay, and what is gone is dirty and reads as 0. */
	assert_int_equal(mem_read(m, GIB4 + 64 * MIB, back, sizeof(back)), 0);
	for (size_t i = 0; i < sizeof(back); i++)
		assert_int_equal(back[i], 0);
	assert_int_equal(mem_read(m, GIB4 + 66 * MIB, back, 9), 0);
	assert_memory_equal(back, "ZZZZZZZZ", 9);
	assert_int_equal(mem_read(m, 0x5000, back, 1), 0);
	assert_int_equal(back[0], 'x');
	mem_dirty_take(m, r, map);
	assert_int_equal(map[64 * MIB / 4096 / 8], 0xff);
	assert_int_equal(mem_discard(m, GIB4 - 4096, 8192), -EFAULT);
	mem_destroy(m);
}

static int fresh_file(void)
{
	int fd = memfd_create("saved", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static uint64_t on_disk(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void put(struct mem *m, gpa_t gpa, char c)
{
	assert_int_equal(mem_write(m, gpa, &c, 1), 0);
}

static void has(const struct mem *m, gpa_t gpa, char want)
{
	char c;

	assert_int_equal(mem_read(m, gpa, &c, 1), 0);
	assert_int_equal(c, want);
}

/* Saved, gone on from, changed, and saved again: each file has what it is to have, and no more. */
static void saved(void **state UNUSED)
{
	const uint64_t size = 5 * 1024 * MIB, hole = 0xc0000000;
	int first = fresh_file(), second = fresh_file(), other = fresh_file();
	static char many[4 * MIB];
	struct mem *m = make(size, hole);
	struct err e = { 0 };

	put(m, 0, 'a');
	put(m, hole - 1, 'b');
	put(m, GIB4, 'c');
	put(m, GIB4 + 2048 * MIB - 1, 'd');
	put(m, 64 * MIB, 0); /* touched, of zeros */
	memset(many, 'e', sizeof(many));
	assert_int_equal(mem_write(m, 100 * MIB, many, sizeof(many)), 0);
	assert_int_equal(mem_save(m, first, &e), 0);
	mem_destroy(m);
	assert_int_equal(lseek(first, 0, SEEK_END), (long long)size);
	assert_in_range(on_disk(first), sizeof(many) + 4 * 4096, sizeof(many) + 8 * 4096);

	assert_int_equal(mem_create(&m, NULL), 0);
	assert_int_equal(mem_add_ram_saved(m, first, false, size + 4096, hole, &e), -EBADMSG);
	assert_int_equal(mem_add_ram_saved(m, first, false, size, hole, &e), 0);
	has(m, 0, 'a');
	has(m, hole - 1, 'b');
	has(m, GIB4, 'c');
	has(m, GIB4 + 2048 * MIB - 1, 'd');
	has(m, 100 * MIB + 4095, 'e');
	has(m, 200 * MIB, 0);
	put(m, 0, 'A');
	put(m, 300 * MIB, 'f');
	/* A page, and so many that they are given back as a whole. */
	assert_int_equal(mem_discard(m, GIB4, 4096), 0);
	assert_int_equal(mem_discard(m, 100 * MIB, sizeof(many)), 0);
	has(m, GIB4, 0);
	has(m, 101 * MIB, 0);
	put(m, 103 * MIB, 'g');
	assert_int_equal(mem_save(m, second, &e), 0);
	assert_in_range(on_disk(second), 5 * 4096, 10 * 4096);
	mem_destroy(m);

	assert_int_equal(mem_create(&m, NULL), 0);
	assert_int_equal(mem_add_ram_saved(m, second, true, size, hole, &e), 0);
	has(m, 0, 'A');
	has(m, hole - 1, 'b');
	has(m, GIB4, 0);
	has(m, 101 * MIB, 0);
	has(m, 103 * MIB, 'g');
	has(m, 300 * MIB, 'f');
	mem_destroy(m);
	/* The first is as it was. */
	assert_int_equal(mem_create(&m, NULL), 0);
	assert_int_equal(mem_add_ram_saved(m, first, false, size, hole, &e), 0);
	has(m, 0, 'a');
	has(m, 300 * MIB, 0);
	has(m, 101 * MIB, 'e');
	mem_destroy(m);
	/* Private memory that was never a file. */
	m = make_merged(6 * MIB, 4 * MIB);
	put(m, GIB4 + MIB, 'h');
	assert_int_equal(mem_save(m, other, &e), 0);
	assert_int_equal(on_disk(other), 4096);
	mem_destroy(m);
	close(first);
	close(second);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout),
		cmocka_unit_test(wrong_sizes),
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(rom),
		cmocka_unit_test(dirty_and_code),
		cmocka_unit_test(listener_fails),
		cmocka_unit_test(lazy_and_discard),
		cmocka_unit_test(merged_is_told_to_ksm),
		cmocka_unit_test(merged_lazy_and_discard),
		cmocka_unit_test(saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
