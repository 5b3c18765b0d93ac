/* SPDX-License-Identifier: MIT */
/*
 * The loaders on synthetic kernels: what lands where, and the sentence for each corruption.
 */
#include "boot/boot.h"

#include "base/bytes.h"
#include "spec/x86.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIB	 0x100000u
#define BZ_LEN	 (5 * 512 + 8192)
#define ELF_LEN	 0x2000
#define RAM_SIZE (64 * MIB)

static const struct boot_loader_ops *const loaders[] = { &boot_bzimage, &boot_multiboot, &boot_pvh,
							 NULL };

struct fix {
	struct mem *m;
	struct boot_params p;
	struct cpu_state s;
	struct err e;
	uint8_t k[BZ_LEN];
	uint8_t initrd[5000];
};

static void setup(struct fix *f)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(mem_create(&f->m, NULL), 0);
	assert_int_equal(mem_add_ram(f->m, RAM_SIZE, 0xc0000000, NULL), 0);
	memset(f->initrd, 0x77, sizeof(f->initrd));
	f->p = (struct boot_params) { .kernel = f->k,
				      .kernel_name = "/boot/kernel",
				      .initrd = f->initrd,
				      .initrd_len = sizeof(f->initrd),
				      .initrd_name = "/boot/initrd",
				      .cmdline = "console=ttyS0",
				      .rsdp = 0xe0000 };
	boot_e820_make(&f->p, f->m, 0xe0000000, MIB);
}

static int load(struct fix *f)
{
	return boot_load(loaders, f->m, &f->p, &f->s, &f->e);
}

static void fails(struct fix *f, int rc, const char *word)
{
	assert_int_equal(load(f), rc);
	if (!strstr(f->e.msg, word))
		fail_msg("'%s' not in: %s", word, f->e.msg);
}

static void make_bzimage(struct fix *f)
{
	uint8_t *k = f->k;

	f->p.kernel_len = BZ_LEN;
	k[0x1f1] = 4;
	put_le32(k + 0x1f4, 8192 / 16);
	put_le16(k + 0x1fe, 0xaa55);
	k[0x201] = 0x6a;
	memcpy(k + 0x202, "HdrS", 4);
	put_le16(k + 0x206, 0x020f);
	k[0x211] = 1;
	put_le32(k + 0x22c, 0x7fffffff);
	put_le32(k + 0x230, 0x200000);
	k[0x234] = 1;
	put_le16(k + 0x236, 1);
	put_le32(k + 0x238, 2047);
	put_le64(k + 0x258, 0x1000000);
	put_le32(k + 0x260, 0x800000);
	memset(k + 5 * 512, 0xcc, 8192);
}

static void bzimage_loads(void **state UNUSED)
{
	struct fix f;
	uint8_t zp[4096], b[16];
	uint64_t v;

	setup(&f);
	make_bzimage(&f);
	assert_int_equal(load(&f), 0);
	assert_int_equal(f.s.rip, 0x1000200);
	assert_int_equal(f.s.gpr[CPU_RSI], 0x7000);
	assert_true(f.s.efer & X86_EFER_LMA);
	assert_int_equal(f.s.seg[CPU_CS].selector, 0x10);
	assert_true(f.s.seg[CPU_CS].attr & CPU_ATTR_L);
	assert_int_equal(mem_read(f.m, 0x1000200, b, 1), 0);
	assert_int_equal(b[0], 0xcc);
	assert_int_equal(mem_read(f.m, 0x7000, zp, 4096), 0);
	assert_int_equal(get_le64(zp + 0x70), 0xe0000);
	assert_int_equal(zp[0x1e8], f.p.n_e820);
	assert_int_equal(zp[0x210], 0xff);
	assert_int_equal(get_le32(zp + 0x21c), 5000);
	assert_int_equal(get_le32(zp + 0x218), RAM_SIZE - 8192);
	assert_int_equal(mem_read(f.m, RAM_SIZE - 8192 + 4999, b, 2), 0);
	assert_int_equal(b[0], 0x77);
	assert_int_equal(b[1], 0);
	assert_int_equal(mem_read(f.m, get_le32(zp + 0x228), b, 14), 0);
	assert_string_equal((char *)b, "console=ttyS0");
	/* The page tables map the fourth GiB one to one. */
	assert_int_equal(mem_read_u64(f.m, f.s.cr3 + 0x5ff8, &v), 0);
	assert_true((v & ~0xfffull) == 0xffe00000);
	mem_destroy(f.m);
}

static void bzimage_places(void **state UNUSED)
{
	struct fix f;

	setup(&f);
	make_bzimage(&f);
	put_le64(f.k + 0x258, 0x10000000);
	assert_int_equal(load(&f), 0);
	assert_int_equal(f.s.rip, 0x200200);
	f.k[0x234] = 0;
	fails(&f, -EFBIG, "more memory");
	make_bzimage(&f);
	put_le32(f.k + 0x22c, 0x2ffffff);
	assert_int_equal(load(&f), 0);
	put_le32(f.k + 0x22c, 0x1000000);
	fails(&f, -EFBIG, "initrd '/boot/initrd'");
	mem_destroy(f.m);
}

static void bzimage_refuses(void **state UNUSED)
{
	static const struct {
		unsigned off, size;
		uint64_t val;
		int rc;
		const char *word;
	} bad[] = {
		{ 0x206, 2, 0x020b, -ENOEXEC, "2.11" },
		{ 0x236, 2, 0, -ENOEXEC, "64-bit entry" },
		{ 0x211, 1, 0, -ENOEXEC, "zImage" },
		{ 0x201, 1, 0x10, -ENOEXEC, "setup header" },
		{ 0x1f1, 1, 200, -ENOEXEC, "cut off" },
		{ 0x1f4, 4, 0xffffffff, -ENOEXEC, "cut off" },
		{ 0x24c, 4, 0x10000, -ENOEXEC, "payload" },
		{ 0x230, 4, 3, -ENOEXEC, "alignment" },
		{ 0x260, 4, 0xf0000000, -EFBIG, "more memory" },
		{ 0x238, 4, 5, -EINVAL, "command line" },
		{ 0x202, 4, 0, -ENOEXEC, "no kernel" },
	};
	struct fix f;

	setup(&f);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(f.k, 0, sizeof(f.k));
		make_bzimage(&f);
		put_le(f.k + bad[i].off, bad[i].size, bad[i].val);
		fails(&f, bad[i].rc, bad[i].word);
	}
	memset(f.k, 0, sizeof(f.k));
	make_bzimage(&f);
	f.p.kernel_len = 0x300;
	fails(&f, -ENOEXEC, "cut off");
	f.p.kernel_len = 0;
	fails(&f, -ENOEXEC, "no kernel");
	make_bzimage(&f);
	/* Larger than RAM: refused by its length, its bytes are never read. */
	f.p.initrd_len = RAM_SIZE + 1;
	fails(&f, -EFBIG, "initrd '/boot/initrd' (65 MiB)");
	f.p.initrd_len = SIZE_MAX;
	fails(&f, -EFBIG, "initrd");
	mem_destroy(f.m);
}

/** ELF64 with one PT_LOAD at 1 MiB and, with @note, one PT_NOTE. */
static void make_elf(struct fix *f, bool note)
{
	uint8_t *k = f->k, *h;

	memset(k, 0, ELF_LEN);
	f->p.kernel_len = ELF_LEN;
	memcpy(k, "\177ELF\2\1\1", 7);
	put_le16(k + 16, 2);
	put_le16(k + 18, 62);
	put_le64(k + 24, 0xffffffff80100040);
	put_le64(k + 32, 64);
	put_le16(k + 54, 56);
	put_le16(k + 56, 2);
	h = k + 64;
	put_le32(h, 1);
	put_le64(h + 8, 0x1000);
	put_le64(h + 16, 0xffffffff80100000);
	put_le64(h + 24, MIB);
	put_le64(h + 32, 0x1000);
	put_le64(h + 40, 0x3000);
	h += 56;
	put_le32(h, 4);
	put_le64(h + 8, 0x200);
	put_le64(h + 32, 20);
	put_le64(h + 48, 4);
	memset(k + 0x1000, 0x90, 0x1000);
	if (note) {
		put_le32(k + 0x200, 4);
		put_le32(k + 0x204, 4);
		put_le32(k + 0x208, 18);
		memcpy(k + 0x20c, "Xen", 4);
		put_le32(k + 0x210, MIB + 0x10);
	}
}

static void pvh(void **state UNUSED)
{
	struct fix f;
	uint8_t i[256];
	uint8_t b;

	setup(&f);
	make_elf(&f, true);
	/* Old bytes where the kernel's zeroed part comes. */
	assert_int_equal(mem_write(f.m, MIB + 0x2fff, "x", 1), 0);
	assert_int_equal(load(&f), 0);
	assert_int_equal(f.s.rip, MIB + 0x10);
	assert_int_equal(f.s.cr0, X86_CR0_PE | X86_CR0_ET);
	assert_int_equal(f.s.efer, 0);
	assert_int_equal(mem_read(f.m, f.s.gpr[CPU_RBX], i, sizeof(i)), 0);
	assert_int_equal(get_le32(i), 0x336ec578);
	assert_int_equal(get_le32(i + 12), 1);
	assert_int_equal(get_le64(i + 32), 0xe0000);
	assert_int_equal(get_le32(i + 48), f.p.n_e820);
	assert_int_equal(mem_read(f.m, MIB + 0x2fff, &b, 1), 0);
	assert_int_equal(b, 0);

	put_le32(f.k + 0x210, 0x10);
	fails(&f, -ENOEXEC, "PVH entry");
	make_elf(&f, false);
	fails(&f, -ENOEXEC, "CONFIG_PVH");
	make_elf(&f, true);
	put_le64(f.k + 64 + 32, 0x1001);
	fails(&f, -ENOEXEC, "segment 0");
	make_elf(&f, true);
	put_le64(f.k + 64 + 40, RAM_SIZE);
	fails(&f, -EFBIG, "more memory");
	make_elf(&f, true);
	put_le64(f.k + 64 + 24, UINT64_MAX - 0xfff);
	fails(&f, -EFBIG, "more memory");
	make_elf(&f, true);
	memcpy(f.k + 64 + 56, f.k + 64, 56);
	fails(&f, -ENOEXEC, "PVH");
	make_elf(&f, true);
	put_le64(f.k + 32, UINT64_MAX - 8);
	fails(&f, -ENOEXEC, "program headers");
	make_elf(&f, true);
	f.p.kernel_len = 60;
	fails(&f, -ENOEXEC, "cut off");
	mem_destroy(f.m);
}

static void put_mb_header(uint8_t *p, uint32_t flags)
{
	put_le32(p, 0x1badb002);
	put_le32(p + 4, flags);
	put_le32(p + 8, 0u - 0x1badb002u - flags);
}

static void multiboot(void **state UNUSED)
{
	struct fix f;
	uint8_t i[128], line[32], mod[16];

	setup(&f);
	make_elf(&f, false);
	put_mb_header(f.k + 0x1000, 3);
	assert_int_equal(load(&f), 0);
	assert_int_equal(f.s.rip, MIB + 0x40);
	assert_int_equal(f.s.gpr[CPU_RAX], 0x2badb002);
	assert_int_equal(mem_read(f.m, f.s.gpr[CPU_RBX], i, sizeof(i)), 0);
	assert_int_equal(get_le32(i), 0x24d);
	assert_int_equal(get_le32(i + 8), 63 * 1024);
	assert_int_equal(mem_read(f.m, get_le32(i + 16), line, 21), 0);
	assert_string_equal((char *)line, "kernel console=ttyS0");
	assert_int_equal(mem_read(f.m, get_le32(i + 24), mod, 16), 0);
	assert_int_equal(get_le32(mod), MIB + 0x3000);
	assert_int_equal(get_le32(mod + 4), MIB + 0x3000 + 5000);

	put_mb_header(f.k + 0x1000, 0x8003);
	fails(&f, -ENOEXEC, "features 0x8000");

	/* Addresses of its own, no ELF. */
	memset(f.k, 0, sizeof(f.k));
	put_mb_header(f.k + 0x20, 0x10003);
	put_le32(f.k + 0x2c, 0x200020);
	put_le32(f.k + 0x30, 0x200000);
	put_le32(f.k + 0x38, 0x210000);
	put_le32(f.k + 0x3c, 0x200100);
	assert_int_equal(load(&f), 0);
	assert_int_equal(f.s.rip, 0x200100);
	put_le32(f.k + 0x3c, 0x210000);
	fails(&f, -ENOEXEC, "entry_addr");
	put_le32(f.k + 0x38, 0x200001);
	fails(&f, -ENOEXEC, "bss_end_addr");
	put_le32(f.k + 0x34, 0x300000);
	fails(&f, -ENOEXEC, "load_end_addr");
	put_le32(f.k + 0x30, 0x100000);
	fails(&f, -ENOEXEC, "load_addr");
	mem_destroy(f.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bzimage_loads),   cmocka_unit_test(bzimage_places),
		cmocka_unit_test(bzimage_refuses), cmocka_unit_test(pvh),
		cmocka_unit_test(multiboot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
