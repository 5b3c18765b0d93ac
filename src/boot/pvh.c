/* SPDX-License-Identifier: MIT */
/*
 * The PVH loader: an ELF kernel with Xen's 32-bit physical entry.
 *
 * Theory of operation (Xen docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/
 * start_info.h): a note "Xen" of type 18 (XEN_ELFNOTE_PHYS32_ENTRY) holds the entry's physical
 * address. Segments go to their physical addresses; the CPU starts there in flat 32-bit
 * protected mode without paging, EBX pointing to struct hvm_start_info with the command line,
 * the memory map, the RSDP's address and the initrd as first module.
 *
 * Limits: everything below 4 GiB.
 */
#include "boot/boot.h"

#include "base/bytes.h"
#include "boot/elf.h"
#include "boot/load.h"

#include <errno.h>
#include <string.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define NOTE_HEADER		 12

/* struct hvm_start_info, version 1, then what it points to, all in one page. */
#define START_MAGIC	0x336ec578u
#define START_SIZE	56
#define START_MODULE	64
#define START_MEMMAP	128
#define MEMMAP_ENTRY	24
#define START_INFO_SPAN (START_MEMMAP + BOOT_E820_MAX * MEMMAP_ENTRY)

static_assert(START_INFO_SPAN <= MEM_PAGE_SIZE, "start info fits into its page");

/** Look for the note in one PT_NOTE segment; sizes are padded to @align (gABI, "Note Section"). */
static bool note_in(const uint8_t *n, uint64_t len, uint64_t align, uint64_t *entry)
{
	while (len >= NOTE_HEADER) {
		uint32_t namesz = get_le32(n), descsz = get_le32(n + 4), type = get_le32(n + 8);
		uint64_t desc = align_up((uint64_t)NOTE_HEADER + namesz, align);
		uint64_t next = align_up(desc + descsz, align);

		if (!range_ok(desc, descsz, len))
			return false;
		if (type == XEN_ELFNOTE_PHYS32_ENTRY && namesz == 4 &&
		    !memcmp(n + NOTE_HEADER, "Xen", 4) && (descsz == 4 || descsz == 8)) {
			*entry = get_le(n + desc, descsz);
			return true;
		}
		if (next >= len)
			return false;
		n += next;
		len -= next;
	}
	return false;
}

static bool find_entry(const struct elf_image *img, uint64_t *entry)
{
	for (unsigned i = 0; i < img->phnum; i++) {
		const struct elf_segment s = elf_segment(img, i);

		if (s.type == ELF_PT_NOTE && range_ok(s.off, s.filesz, img->len) &&
		    note_in(img->bytes + s.off, s.filesz, s.align == 8 ? 8 : 4, entry))
			return true;
	}
	return false;
}

static int pvh_probe(const uint8_t *kernel, size_t len)
{
	struct elf_image img = { 0 };
	uint64_t entry = 0;

	if (!elf_probe(kernel, len))
		return 0;
	/* Without a multiboot header it is ours too: load then says what is missing. */
	if (!boot_multiboot.probe(kernel, len))
		return 1;
	return !elf_open(&img, kernel, len, "", NULL) && find_entry(&img, &entry);
}

static int put_start_info(struct mem *m, const struct boot_params *p, gpa_t initrd, struct err *e)
{
	uint8_t page[MEM_PAGE_SIZE] = { 0 };

	put_le32(page, START_MAGIC);
	put_le32(page + 4, 1); /* version */
	if (initrd) {
		put_le32(page + 12, 1);
		put_le64(page + 16, BOOT_INFO + START_MODULE);
		put_le64(page + START_MODULE, initrd);
		put_le64(page + START_MODULE + 8, p->initrd_len);
	}
	put_le64(page + 24, BOOT_CMDLINE);
	put_le64(page + 32, p->rsdp);
	put_le64(page + 40, BOOT_INFO + START_MEMMAP);
	put_le32(page + 48, p->n_e820);
	for (unsigned i = 0; i < p->n_e820; i++) {
		uint8_t *t = page + START_MEMMAP + i * MEMMAP_ENTRY;

		put_le64(t, p->e820[i].addr);
		put_le64(t + 8, p->e820[i].size);
		put_le32(t + 16, p->e820[i].type);
	}
	return boot_put(m, BOOT_INFO, page, sizeof(page), "the start info", e);
}

static int pvh_load(struct mem *m, const struct boot_params *p, struct cpu_state *s, struct err *e)
{
	const struct boot_span none = { 0 };
	struct elf_image img = { 0 };
	struct boot_span span = { 0 };
	uint64_t entry = 0;
	gpa_t initrd = 0;
	int rc;

	rc = elf_open(&img, p->kernel, p->kernel_len, p->kernel_name, e);
	if (rc)
		return rc;
	if (!find_entry(&img, &entry))
		return err_set(e, -ENOEXEC,
			       "kernel '%s' has neither a PVH entry note nor a multiboot header; "
			       "build it with CONFIG_PVH or give its bzImage",
			       p->kernel_name);
	rc = elf_load(&img, m, none, &span, e);
	if (rc)
		return rc;
	if (entry < span.start || entry >= span.end)
		return err_set(e, -ENOEXEC, "kernel '%s' is corrupt: its PVH entry is 0x%llx",
			       p->kernel_name, (unsigned long long)entry);
	rc = boot_put_initrd_high(m, p, span, mem_low_ram_end(m), &initrd, e);
	if (!rc)
		rc = boot_put_cmdline(m, BOOT_CMDLINE, boot_cmdline(p), BOOT_CMDLINE_MAX, e);
	if (!rc)
		rc = put_start_info(m, p, initrd, e);
	if (!rc)
		rc = boot_enter_32(m, s, (uint32_t)entry, e);
	if (rc)
		return rc;
	s->gpr[CPU_RBX] = BOOT_INFO;
	return 0;
}

static_assert(START_SIZE <= START_MODULE, "the module list lies behind");

const struct boot_loader_ops boot_pvh = {
	.name = "pvh",
	.probe = pvh_probe,
	.load = pvh_load,
};
