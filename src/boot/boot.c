/* SPDX-License-Identifier: MIT */
/*
 * Choice of the loader and the e820 map, see boot.h.
 */
#include "boot/boot.h"

#include "boot/load.h"

#include <errno.h>

#define BOOT_4GIB 0x100000000ull

static void add(struct boot_params *p, uint64_t start, uint64_t end, uint32_t type)
{
	if (end <= start)
		return;
	BUG_ON(p->n_e820 == BOOT_E820_MAX);
	p->e820[p->n_e820++] =
		(struct boot_e820) { .addr = start, .size = end - start, .type = type };
}

void boot_e820_make(struct boot_params *p, const struct mem *m, gpa_t ecam, uint64_t ecam_size)
{
	p->n_e820 = 0;
	add(p, 0, BOOT_LOW_END, BOOT_E820_RAM);
	add(p, BOOT_LOW_END, 0xa0000, BOOT_E820_RESERVED); /* EBDA */
	add(p, 0xe0000, 0xf0000, BOOT_E820_ACPI);
	add(p, 0xf0000, 0x100000, BOOT_E820_RESERVED); /* where a BIOS ROM would be */
	add(p, BOOT_HIGH_START, mem_low_ram_end(m), BOOT_E820_RAM);
	/* PCI Firmware Specification 3.3, 4.1.2: the ECAM area is reserved in the map too. */
	add(p, ecam, ecam + ecam_size, BOOT_E820_RESERVED);
	add(p, BOOT_4GIB, mem_high_ram_end(m), BOOT_E820_RAM);
}

int boot_load(const struct boot_loader_ops *const *loaders, struct mem *m,
	      const struct boot_params *p, struct cpu_state *s, struct err *e)
{
	BUG_ON(p->n_e820 > BOOT_E820_MAX);
	for (; *loaders; loaders++)
		if ((*loaders)->probe(p->kernel, p->kernel_len))
			return (*loaders)->load(m, p, s, e);
	return err_set(e, -ENOEXEC,
		       "'%s' is no kernel that Holm can start; give a bzImage, an ELF vmlinux with "
		       "a PVH note or a multiboot image",
		       p->kernel_name);
}
