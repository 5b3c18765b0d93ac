/* SPDX-License-Identifier: MIT */
/*
 * ELF files as kernels, see elf.h. Offsets are those of the gABI's Elf32 and Elf64 structures.
 */
#include "boot/elf.h"

#include "base/bytes.h"

#include <errno.h>
#include <string.h>

#define EHDR32_SIZE 52
#define EHDR64_SIZE 64
#define PHDR32_SIZE 32
#define PHDR64_SIZE 56
#define EM_386	    3
#define EM_X86_64   62
#define CLASS_32    1
#define CLASS_64    2
#define DATA_LSB    1

bool elf_probe(const uint8_t *b, size_t len)
{
	uint16_t machine;

	if (len < EHDR32_SIZE || memcmp(b, "\177ELF", 4) || (b[4] != CLASS_32 && b[4] != CLASS_64))
		return false;
	machine = get_le16(b + 18);
	return b[5] == DATA_LSB && (machine == EM_386 || machine == EM_X86_64);
}

int elf_open(struct elf_image *out, const uint8_t *b, size_t len, const char *name, struct err *e)
{
	struct elf_image img = { .bytes = b, .len = len, .name = name };

	if (!elf_probe(b, len))
		return err_set(e, -ENOEXEC, "kernel '%s' is no ELF file for x86", name);
	img.is64 = b[4] == CLASS_64;
	if (img.is64 && len < EHDR64_SIZE)
		return err_set(e, -ENOEXEC, "kernel '%s' is cut off in its ELF header", name);
	img.entry = img.is64 ? get_le64(b + 24) : get_le32(b + 24);
	img.phoff = img.is64 ? get_le64(b + 32) : get_le32(b + 28);
	img.phentsize = get_le16(b + (img.is64 ? 54 : 42));
	img.phnum = get_le16(b + (img.is64 ? 56 : 44));
	if (!img.phnum || img.phnum > ELF_SEGMENTS_MAX)
		return err_set(e, -ENOEXEC,
			       "kernel '%s' has %u program headers; Holm takes 1 to %d", name,
			       img.phnum, ELF_SEGMENTS_MAX);
	if (img.phentsize < (img.is64 ? PHDR64_SIZE : PHDR32_SIZE) ||
	    !range_ok(img.phoff, (uint64_t)img.phnum * img.phentsize, len))
		return err_set(e, -ENOEXEC,
			       "kernel '%s' is corrupt: its program headers lie beyond the file's "
			       "end",
			       name);
	*out = img;
	return 0;
}

struct elf_segment elf_segment(const struct elf_image *img, unsigned i)
{
	const uint8_t *h = img->bytes + img->phoff + (size_t)i * img->phentsize;

	BUG_ON(i >= img->phnum);
	if (img->is64)
		return (struct elf_segment) { .type = get_le32(h),
					      .off = get_le64(h + 8),
					      .vaddr = get_le64(h + 16),
					      .paddr = get_le64(h + 24),
					      .filesz = get_le64(h + 32),
					      .memsz = get_le64(h + 40),
					      .align = get_le64(h + 48) };
	return (struct elf_segment) { .type = get_le32(h),
				      .off = get_le32(h + 4),
				      .vaddr = get_le32(h + 8),
				      .paddr = get_le32(h + 12),
				      .filesz = get_le32(h + 16),
				      .memsz = get_le32(h + 20),
				      .align = get_le32(h + 28) };
}

static bool is_loaded(const struct elf_segment *s)
{
	return s->type == ELF_PT_LOAD && s->memsz;
}

/** One PT_LOAD: inside the file, inside RAM, apart from those before it. */
static int check_segment(const struct elf_image *img, unsigned i, const struct mem *m,
			 struct boot_span low, struct err *e)
{
	const struct elf_segment s = elf_segment(img, i);
	bool in_low = s.paddr >= low.start && range_ok(s.paddr, s.memsz, low.end);
	bool in_high = s.paddr >= BOOT_HIGH_START && range_ok(s.paddr, s.memsz, mem_low_ram_end(m));

	if (s.filesz > s.memsz || !range_ok(s.off, s.filesz, img->len))
		return err_set(e, -ENOEXEC,
			       "kernel '%s' is cut off or corrupt: segment %u lies beyond the "
			       "file's end",
			       img->name, i);
	if (!in_low && !in_high)
		return err_set(e, -EFBIG,
			       "kernel '%s' wants 0x%llx bytes at 0x%llx; the VM has RAM for it "
			       "from 0x%x to 0x%llx, give it more memory",
			       img->name, (unsigned long long)s.memsz, (unsigned long long)s.paddr,
			       BOOT_HIGH_START, (unsigned long long)mem_low_ram_end(m));
	for (unsigned j = 0; j < i; j++) {
		const struct elf_segment o = elf_segment(img, j);

		if (is_loaded(&o) && range_overlap(s.paddr, s.memsz, o.paddr, o.memsz))
			return err_set(e, -ENOEXEC,
				       "kernel '%s' is corrupt: segments %u and %u overlap",
				       img->name, j, i);
	}
	return 0;
}

int elf_load(const struct elf_image *img, struct mem *m, struct boot_span low,
	     struct boot_span *span, struct err *e)
{
	struct boot_span out = { .start = UINT64_MAX };
	int rc;

	for (unsigned i = 0; i < img->phnum; i++) {
		const struct elf_segment s = elf_segment(img, i);

		if (!is_loaded(&s))
			continue;
		rc = check_segment(img, i, m, low, e);
		if (rc)
			return rc;
		out.start = MIN(out.start, s.paddr);
		out.end = MAX(out.end, s.paddr + s.memsz);
	}
	if (!out.end)
		return err_set(e, -ENOEXEC, "kernel '%s' has nothing to load", img->name);
	for (unsigned i = 0; i < img->phnum; i++) {
		const struct elf_segment s = elf_segment(img, i);

		if (!is_loaded(&s))
			continue;
		rc = boot_put(m, s.paddr, img->bytes + s.off, s.filesz, "the kernel", e);
		if (rc)
			return rc;
		if (mem_zero(m, s.paddr + s.filesz, s.memsz - s.filesz))
			return err_set(e, -EFBIG, "no RAM for kernel '%s'", img->name);
	}
	*span = out;
	return 0;
}

uint64_t elf_entry(const struct elf_image *img)
{
	for (unsigned i = 0; i < img->phnum; i++) {
		const struct elf_segment s = elf_segment(img, i);

		if (is_loaded(&s) && img->entry - s.vaddr < s.memsz)
			return img->entry - s.vaddr + s.paddr;
	}
	return img->entry;
}
