/* SPDX-License-Identifier: MIT */
/*
 * The multiboot loader: Multiboot Specification 0.6.96, the entry of small kernels.
 *
 * Theory of operation: a header in the first 8 KiB (3.1.1) says whether the image is loaded by
 * addresses of its own (3.1.3, the "a.out kludge") or as ELF. The initrd becomes the one module,
 * on a page behind the kernel. The information structure (3.3) with all it points to sits at
 * MB_INFO, high in conventional memory, so that images may lie low, as some tests do. The CPU
 * starts in flat 32-bit protected mode (3.2).
 *
 * The command line starts with the image's name, as other loaders do it.
 *
 * Limits: everything below 4 GiB; the header's wish for a video mode is ignored.
 */
#include "boot/boot.h"

#include "base/bytes.h"
#include "boot/elf.h"
#include "boot/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MB_SEARCH	8192u
#define MB_HEADER_MAGIC 0x1badb002u
#define MB_LOADER_MAGIC 0x2badb002u
/* Bits 0..15 must be understood; these are: page-align modules, memory, video. */
#define MB_KNOWN_FLAGS	  0x0007u
#define MB_REQUIRED_FLAGS 0xffffu
#define MB_HAS_ADDRESSES  (1u << 16)

#define MB_INFO_MEMORY	  0x001u
#define MB_INFO_CMDLINE	  0x004u
#define MB_INFO_MODS	  0x008u
#define MB_INFO_MMAP	  0x040u
#define MB_INFO_NAME	  0x200u

/* Where things are, from MB_INFO on. */
#define MB_INFO	      0x90000u
#define MB_INFO_PAGE  0x2000u
#define MB_MODULE     0x100u
#define MB_LOADER     0x120u
#define MB_MMAP	      0x200u
#define MB_MMAP_ENTRY 24u
#define MB_MODNAME    0x800u
#define MB_CMDLINE    0x1000u
#define MB_NAME_MAX   255u
#define MB_LOW_START  0x1000u

static_assert(MB_MMAP + BOOT_E820_MAX * MB_MMAP_ENTRY <= MB_MODNAME, "the map has its room");
static_assert(MB_MODNAME + MB_NAME_MAX + 1 <= MB_CMDLINE, "the name has its room");
static_assert(MB_CMDLINE + MB_NAME_MAX + BOOT_CMDLINE_MAX + 2 <= MB_INFO_PAGE, "one block");

static const struct boot_span mb_low = { .start = MB_LOW_START, .end = MB_INFO };

struct mb_header {
	size_t off; /* in the file */
	uint32_t flags;
	uint32_t header_addr, load_addr, load_end, bss_end, entry; /* with MB_HAS_ADDRESSES */
};

static bool find_header(const uint8_t *k, size_t len, struct mb_header *h)
{
	size_t end = MIN(len, (size_t)MB_SEARCH);

	for (size_t i = 0; i + 12 <= end; i += 4) {
		uint32_t flags;

		if (get_le32(k + i) != MB_HEADER_MAGIC)
			continue;
		flags = get_le32(k + i + 4);
		if (MB_HEADER_MAGIC + flags + get_le32(k + i + 8) != 0)
			continue;
		*h = (struct mb_header) { .off = i, .flags = flags };
		if (!(flags & MB_HAS_ADDRESSES))
			return true;
		if (i + 32 > end)
			continue;
		h->header_addr = get_le32(k + i + 12);
		h->load_addr = get_le32(k + i + 16);
		h->load_end = get_le32(k + i + 20);
		h->bss_end = get_le32(k + i + 24);
		h->entry = get_le32(k + i + 28);
		return true;
	}
	return false;
}

static int multiboot_probe(const uint8_t *kernel, size_t len)
{
	struct mb_header h;

	return find_header(kernel, len, &h);
}

static int corrupt(const struct boot_params *p, const char *what, struct err *e)
{
	return err_set(e, -ENOEXEC, "kernel '%s' is corrupt: its multiboot header's %s is wrong",
		       p->kernel_name, what);
}

/** Load by the header's own addresses, 3.1.3. */
static int load_addresses(struct mem *m, const struct boot_params *p, const struct mb_header *h,
			  struct boot_span *span, struct err *e)
{
	uint64_t ram_end = mem_low_ram_end(m), bytes, extent;
	size_t off;
	int rc;

	if (h->header_addr < h->load_addr || h->header_addr - h->load_addr > h->off)
		return corrupt(p, "load_addr", e);
	off = h->off - (h->header_addr - h->load_addr);
	bytes = h->load_end ? (uint64_t)h->load_end - h->load_addr : p->kernel_len - off;
	if ((h->load_end && h->load_end < h->load_addr) || !range_ok(off, bytes, p->kernel_len))
		return corrupt(p, "load_end_addr", e);
	extent = bytes;
	if (h->bss_end) {
		if (h->bss_end < h->load_addr + bytes)
			return corrupt(p, "bss_end_addr", e);
		extent = h->bss_end - h->load_addr;
	}
	if (h->entry < h->load_addr || h->entry - h->load_addr >= extent)
		return corrupt(p, "entry_addr", e);
	if (!(h->load_addr >= mb_low.start && range_ok(h->load_addr, extent, mb_low.end)) &&
	    !(h->load_addr >= BOOT_HIGH_START && range_ok(h->load_addr, extent, ram_end)))
		return err_set(e, -EFBIG,
			       "kernel '%s' wants 0x%llx bytes at 0x%x; the VM's RAM ends at "
			       "0x%llx, give it more memory",
			       p->kernel_name, (unsigned long long)extent, h->load_addr,
			       (unsigned long long)ram_end);
	rc = boot_put(m, h->load_addr, p->kernel + off, bytes, "the kernel", e);
	if (rc)
		return rc;
	if (mem_zero(m, h->load_addr + bytes, extent - bytes))
		return err_set(e, -EFBIG, "no RAM for kernel '%s'", p->kernel_name);
	*span = (struct boot_span) { .start = h->load_addr, .end = h->load_addr + extent };
	return 0;
}

static int load_elf(struct mem *m, const struct boot_params *p, struct boot_span *span,
		    uint64_t *entry, struct err *e)
{
	struct elf_image img = { 0 };
	int rc;

	rc = elf_open(&img, p->kernel, p->kernel_len, p->kernel_name, e);
	if (!rc)
		rc = elf_load(&img, m, mb_low, span, e);
	if (rc)
		return rc;
	*entry = elf_entry(&img);
	if (*entry < span->start || *entry >= span->end)
		return err_set(e, -ENOEXEC, "kernel '%s' is corrupt: its entry is 0x%llx",
			       p->kernel_name, (unsigned long long)*entry);
	return 0;
}

/** The initrd on the first page behind the kernel, at least at 1 MiB. */
static int put_module(struct mem *m, const struct boot_params *p, struct boot_span kernel,
		      gpa_t *at, struct err *e)
{
	gpa_t where = align_up(MAX(kernel.end, (gpa_t)BOOT_HIGH_START), MEM_PAGE_SIZE);
	int rc;

	*at = 0;
	if (!p->initrd || !p->initrd_len)
		return 0;
	if (!range_ok(where, p->initrd_len, mem_low_ram_end(m)))
		return boot_no_room(m, p, e);
	rc = boot_put(m, where, p->initrd, p->initrd_len, "the module", e);
	if (!rc)
		*at = where;
	return rc;
}

static int put_info(struct mem *m, const struct boot_params *p, gpa_t module, struct err *e)
{
	uint8_t b[MB_INFO_PAGE] = { 0 };
	uint32_t flags = MB_INFO_MEMORY | MB_INFO_CMDLINE | MB_INFO_MMAP | MB_INFO_NAME;
	const char *line = boot_cmdline(p);

	if (strlen(line) > BOOT_CMDLINE_MAX)
		return err_set(
			e, -EINVAL,
			"the command line has %zu bytes, at most %d can be given; shorten it",
			strlen(line), BOOT_CMDLINE_MAX);
	put_le32(b + 4, BOOT_LOW_END >> 10);
	put_le32(b + 8, (uint32_t)((mem_low_ram_end(m) - BOOT_HIGH_START) >> 10));
	put_le32(b + 16, MB_INFO + MB_CMDLINE);
	snprintf((char *)b + MB_CMDLINE, MB_INFO_PAGE - MB_CMDLINE, "%.*s%s%s", (int)MB_NAME_MAX,
		 boot_basename(p->kernel_name), *line ? " " : "", line);
	if (module) {
		flags |= MB_INFO_MODS;
		put_le32(b + 20, 1);
		put_le32(b + 24, MB_INFO + MB_MODULE);
		put_le32(b + MB_MODULE, (uint32_t)module);
		put_le32(b + MB_MODULE + 4, (uint32_t)(module + p->initrd_len));
		put_le32(b + MB_MODULE + 8, MB_INFO + MB_MODNAME);
		snprintf((char *)b + MB_MODNAME, MB_NAME_MAX + 1, "%s",
			 boot_basename(p->initrd_name));
	}
	put_le32(b + 44, p->n_e820 * MB_MMAP_ENTRY);
	put_le32(b + 48, MB_INFO + MB_MMAP);
	for (unsigned i = 0; i < p->n_e820; i++) {
		uint8_t *t = b + MB_MMAP + i * MB_MMAP_ENTRY;

		put_le32(t, MB_MMAP_ENTRY - 4);
		put_le64(t + 4, p->e820[i].addr);
		put_le64(t + 12, p->e820[i].size);
		put_le32(t + 20, p->e820[i].type);
	}
	put_le32(b + 64, MB_INFO + MB_LOADER);
	memcpy(b + MB_LOADER, "holm", 5);
	put_le32(b, flags);
	return boot_put(m, MB_INFO, b, sizeof(b), "the multiboot information", e);
}

static int multiboot_load(struct mem *m, const struct boot_params *p, struct cpu_state *s,
			  struct err *e)
{
	struct mb_header h;
	struct boot_span span = { 0 };
	uint64_t entry = 0;
	gpa_t module = 0;
	int rc;

	if (!find_header(p->kernel, p->kernel_len, &h))
		return err_set(e, -ENOEXEC, "kernel '%s' has no multiboot header", p->kernel_name);
	if (h.flags & MB_REQUIRED_FLAGS & ~MB_KNOWN_FLAGS)
		return err_set(e, -ENOEXEC,
			       "kernel '%s' asks for multiboot features 0x%x that Holm does not "
			       "have",
			       p->kernel_name, h.flags & MB_REQUIRED_FLAGS & ~MB_KNOWN_FLAGS);
	if (h.flags & MB_HAS_ADDRESSES) {
		rc = load_addresses(m, p, &h, &span, e);
		entry = h.entry;
	} else {
		rc = load_elf(m, p, &span, &entry, e);
	}
	if (!rc)
		rc = put_module(m, p, span, &module, e);
	if (!rc)
		rc = put_info(m, p, module, e);
	if (!rc)
		rc = boot_enter_32(m, s, (uint32_t)entry, e);
	if (rc)
		return rc;
	s->gpr[CPU_RAX] = MB_LOADER_MAGIC;
	s->gpr[CPU_RBX] = MB_INFO;
	return 0;
}

const struct boot_loader_ops boot_multiboot = {
	.name = "multiboot",
	.probe = multiboot_probe,
	.load = multiboot_load,
};
