/* SPDX-License-Identifier: MIT */
/*
 * The bzImage loader: Linux's x86 boot protocol from 2.12, entered in 64-bit mode.
 *
 * Theory of operation (Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" and
 * "64-bit Boot Protocol"): the file is a real-mode part of setup_sects + 1 sectors, whose header
 * at 0x1f1 says how to load, and the protected-mode part. The header is copied into a zero page,
 * the loader's fields are filled in, the protected-mode part goes to pref_address (or, where the
 * kernel is relocatable and RAM does not reach, to the lowest aligned address), and the first CPU
 * starts at its offset 0x200 with the zero page's address in RSI. Real-mode code never runs.
 *
 * Invariant: every number of the header is checked in header_parse() before anything is written.
 *
 * Limits: kernel and initrd below 4 GiB; no setup_data, no EFI handover.
 */
#include "boot/boot.h"

#include "base/bytes.h"
#include "boot/load.h"

#include <errno.h>
#include <string.h>

/* Offsets in the file and in the zero page: boot.rst, and zero-page.rst below 0x1f1. */
#define ZP_ACPI_RSDP	     0x070
#define ZP_E820_ENTRIES	     0x1e8
#define HDR_SETUP_SECTS	     0x1f1
#define HDR_SYSSIZE	     0x1f4
#define HDR_BOOT_FLAG	     0x1fe
#define HDR_JUMP_OFFSET	     0x201
#define HDR_MAGIC	     0x202
#define HDR_VERSION	     0x206
#define HDR_TYPE_OF_LOADER   0x210
#define HDR_LOADFLAGS	     0x211
#define HDR_CODE32_START     0x214
#define HDR_RAMDISK_IMAGE    0x218
#define HDR_RAMDISK_SIZE     0x21c
#define HDR_CMD_LINE_PTR     0x228
#define HDR_INITRD_ADDR_MAX  0x22c
#define HDR_KERNEL_ALIGNMENT 0x230
#define HDR_RELOCATABLE	     0x234
#define HDR_XLOADFLAGS	     0x236
#define HDR_CMDLINE_SIZE     0x238
#define HDR_PAYLOAD_OFFSET   0x248
#define HDR_PAYLOAD_LENGTH   0x24c
#define HDR_PREF_ADDRESS     0x258
#define HDR_INIT_SIZE	     0x260
#define HDR_END_2_12	     0x268 /* all fields of version 2.12 lie below */
#define HDR_END_MAX	     0x290 /* the zero page's next field */
#define ZP_E820_TABLE	     0x2d0
#define ZP_E820_SIZE	     20

#define BOOT_FLAG	     0xaa55
#define HDRS_MAGIC	     0x53726448 /* "HdrS" */
#define LOADFLAG_HIGH	     0x01
#define XLF_KERNEL_64	     0x0001
#define LOADER_UNDEFINED     0xff
#define SECTOR		     512u
#define ENTRY_64	     0x200u
#define KERNEL_ALIGN_MAX     0x40000000u
#define ZERO_PAGE_E820_SPAN  (ZP_E820_TABLE + BOOT_E820_MAX * ZP_E820_SIZE)

static_assert(ZERO_PAGE_E820_SPAN <= MEM_PAGE_SIZE, "the map fits into the zero page");

/** The header's numbers, checked. */
struct header {
	size_t header_end;   /* of the setup header in the file */
	size_t image_off;    /* protected-mode part in the file */
	size_t image_len;    /* its bytes */
	uint64_t need;	     /* bytes of RAM from the load address on */
	uint64_t pref;	     /* load address it prefers */
	uint64_t align;	     /* power of 2 */
	uint64_t initrd_max; /* last address an initrd byte may have */
	size_t cmdline_max;  /* bytes without NUL */
	bool relocatable;
};

static int bzimage_probe(const uint8_t *kernel, size_t len)
{
	return len >= HDR_END_2_12 && get_le16(kernel + HDR_BOOT_FLAG) == BOOT_FLAG &&
	       get_le32(kernel + HDR_MAGIC) == HDRS_MAGIC;
}

static int header_parse(const struct boot_params *p, struct header *out, struct err *e)
{
	const uint8_t *k = p->kernel;
	unsigned version = get_le16(k + HDR_VERSION);
	unsigned sects = k[HDR_SETUP_SECTS] ? k[HDR_SETUP_SECTS] : 4;
	uint32_t init_size = get_le32(k + HDR_INIT_SIZE);
	struct header h = { 0 };

	if (version < 0x020c)
		return err_set(e, -ENOEXEC,
			       "kernel '%s' speaks boot protocol %u.%02u; Holm needs 2.12 (Linux "
			       "3.8) or later",
			       p->kernel_name, version >> 8, version & 0xff);
	if (!(get_le16(k + HDR_XLOADFLAGS) & XLF_KERNEL_64))
		return err_set(e, -ENOEXEC,
			       "kernel '%s' has no 64-bit entry; give one built for x86-64",
			       p->kernel_name);
	if (!(k[HDR_LOADFLAGS] & LOADFLAG_HIGH))
		return err_set(e, -ENOEXEC, "kernel '%s' is a zImage; give a bzImage",
			       p->kernel_name);
	h.header_end = HDR_MAGIC + (size_t)k[HDR_JUMP_OFFSET];
	h.image_off = (size_t)(sects + 1) * SECTOR;
	if (h.header_end < HDR_INIT_SIZE + 4 || h.header_end > h.image_off)
		return err_set(e, -ENOEXEC,
			       "kernel '%s' is corrupt: its setup header ends at 0x%zx",
			       p->kernel_name, h.header_end);
	h.header_end = MIN(h.header_end, (size_t)HDR_END_MAX);
	if (h.image_off + ENTRY_64 >= p->kernel_len)
		return err_set(e, -ENOEXEC,
			       "kernel '%s' is cut off: %zu bytes, the setup part alone has %zu",
			       p->kernel_name, p->kernel_len, h.image_off);
	h.image_len = p->kernel_len - h.image_off;
	if ((uint64_t)get_le32(k + HDR_SYSSIZE) * 16 > h.image_len)
		return err_set(e, -ENOEXEC,
			       "kernel '%s' is cut off: its header promises %llu bytes, %zu are "
			       "there",
			       p->kernel_name, (unsigned long long)get_le32(k + HDR_SYSSIZE) * 16,
			       h.image_len);
	if (!range_ok(get_le32(k + HDR_PAYLOAD_OFFSET), get_le32(k + HDR_PAYLOAD_LENGTH),
		      h.image_len))
		return err_set(e, -ENOEXEC,
			       "kernel '%s' is corrupt: its payload lies beyond the file's end",
			       p->kernel_name);
	h.align = get_le32(k + HDR_KERNEL_ALIGNMENT);
	if (!is_pow2(h.align) || h.align < MEM_PAGE_SIZE || h.align > KERNEL_ALIGN_MAX)
		return err_set(e, -ENOEXEC, "kernel '%s' is corrupt: it asks for alignment 0x%llx",
			       p->kernel_name, (unsigned long long)h.align);
	h.relocatable = k[HDR_RELOCATABLE];
	h.need = MAX((uint64_t)init_size, (uint64_t)h.image_len);
	h.pref = get_le64(k + HDR_PREF_ADDRESS);
	h.initrd_max = get_le32(k + HDR_INITRD_ADDR_MAX);
	h.cmdline_max = MIN(get_le32(k + HDR_CMDLINE_SIZE), (uint32_t)BOOT_CMDLINE_MAX);
	*out = h;
	return 0;
}

/** Choose the load address; -EFBIG where RAM does not suffice. */
static int place(const struct mem *m, const struct boot_params *p, const struct header *h,
		 struct boot_span *out, struct err *e)
{
	uint64_t end = mem_low_ram_end(m);
	gpa_t at = h->pref;

	if (at < BOOT_HIGH_START || !range_ok(at, h->need, end)) {
		at = align_up(BOOT_HIGH_START, h->align);
		if (!h->relocatable || !range_ok(at, h->need, end))
			return err_set(e, -EFBIG,
				       "kernel '%s' needs %llu MiB of RAM from 0x%llx on; the VM's "
				       "RAM below 4 GiB ends at 0x%llx, give it more memory",
				       p->kernel_name, (unsigned long long)(h->need >> 20),
				       (unsigned long long)(h->relocatable ? at : h->pref),
				       (unsigned long long)end);
	}
	*out = (struct boot_span) { .start = at, .end = at + h->need };
	return 0;
}

static void fill_zero_page(uint8_t *zp, const struct boot_params *p, const struct header *h,
			   gpa_t load, gpa_t initrd)
{
	memset(zp, 0, MEM_PAGE_SIZE);
	memcpy(zp + HDR_SETUP_SECTS, p->kernel + HDR_SETUP_SECTS, h->header_end - HDR_SETUP_SECTS);
	zp[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	put_le32(zp + HDR_CODE32_START, (uint32_t)load);
	put_le32(zp + HDR_CMD_LINE_PTR, BOOT_CMDLINE);
	put_le32(zp + HDR_RAMDISK_IMAGE, (uint32_t)initrd);
	put_le32(zp + HDR_RAMDISK_SIZE, initrd ? (uint32_t)p->initrd_len : 0);
	put_le64(zp + ZP_ACPI_RSDP, p->rsdp);
	zp[ZP_E820_ENTRIES] = (uint8_t)p->n_e820;
	for (unsigned i = 0; i < p->n_e820; i++) {
		uint8_t *t = zp + ZP_E820_TABLE + i * ZP_E820_SIZE;

		put_le64(t, p->e820[i].addr);
		put_le64(t + 8, p->e820[i].size);
		put_le32(t + 16, p->e820[i].type);
	}
}

static int bzimage_load(struct mem *m, const struct boot_params *p, struct cpu_state *s,
			struct err *e)
{
	uint8_t zp[MEM_PAGE_SIZE];
	struct boot_span span = { 0 };
	struct header h = { 0 };
	gpa_t initrd = 0;
	int rc;

	rc = header_parse(p, &h, e);
	if (!rc)
		rc = place(m, p, &h, &span, e);
	if (!rc)
		rc = boot_put_initrd_high(m, p, span, h.initrd_max + 1, &initrd, e);
	if (!rc)
		rc = boot_put_cmdline(m, BOOT_CMDLINE, boot_cmdline(p), h.cmdline_max, e);
	if (!rc)
		rc = boot_put(m, span.start, p->kernel + h.image_off, h.image_len, "the kernel", e);
	if (rc)
		return rc;
	fill_zero_page(zp, p, &h, span.start, initrd);
	rc = boot_put(m, BOOT_INFO, zp, sizeof(zp), "the zero page", e);
	if (!rc)
		rc = boot_enter_64(m, s, span.start + ENTRY_64, e);
	if (rc)
		return rc;
	s->gpr[CPU_RSI] = BOOT_INFO;
	return 0;
}

const struct boot_loader_ops boot_bzimage = {
	.name = "bzimage",
	.probe = bzimage_probe,
	.load = bzimage_load,
};
