/* SPDX-License-Identifier: MIT */
/*
 * Boot: puts a kernel and its tables into guest memory and says where the first CPU starts.
 *
 * Theory of operation: boot_load() tries each loader's probe on the kernel's bytes; the one that
 * claims it loads. A loader writes only through mem_*() and returns a neutral struct cpu_state;
 * it never touches an engine. Order in low memory (direct boot): 0x500 boot GDT, 0x7000 zero
 * page or start info, 0x20000 command line, 0xe0000 ACPI tables (RSDP first), kernel from 1 MiB,
 * initrd as high as the kernel allows.
 */
#ifndef HOLM_BOOT_BOOT_H
#define HOLM_BOOT_BOOT_H

#include "base/compiler.h"
#include "base/err.h"
#include "cpu/state.h"
#include "mem/mem.h"

#include <stdint.h>

#define BOOT_E820_MAX	 16
#define BOOT_CMDLINE_MAX 2047 /* what the kernel's own limit is on x86, without NUL */

enum boot_e820_type { BOOT_E820_RAM = 1, BOOT_E820_RESERVED = 2, BOOT_E820_ACPI = 3 };

struct boot_e820 {
	uint64_t addr, size;
	uint32_t type;
};

struct boot_params {
	const uint8_t *kernel; /* the file's bytes */
	size_t kernel_len;
	const char *kernel_name; /* for sentences */
	const uint8_t *initrd;	 /* NULL for none */
	size_t initrd_len;
	const char *initrd_name;
	const char *cmdline; /* NULL: "" */
	gpa_t rsdp;	     /* where the ACPI RSDP is, 0: none */
	struct boot_e820 e820[BOOT_E820_MAX];
	unsigned n_e820;
};

/** A loader; provider side. */
struct boot_loader_ops {
	const char *name; /* "bzimage", "pvh", "multiboot" */
	/** 1 where @kernel is of its kind, else 0. Reads only @len bytes. */
	int (*probe)(const uint8_t *kernel, size_t len);
	/**
	 * Load; fill @s (already in reset state) with the first CPU's state.
	 * Errors: -ENOEXEC (corrupt), -EFBIG (kernel or initrd larger than RAM), -EINVAL.
	 */
	int (*load)(struct mem *m, const struct boot_params *p, struct cpu_state *s, struct err *e);
};

extern const struct boot_loader_ops boot_bzimage, boot_pvh, boot_multiboot;

/**
 * boot_e820_make() - the map for RAM of @m: low memory up to 0x9fc00, EBDA and ROM area
 * reserved, ACPI tables, RAM up to the hole, ECAM reserved, RAM above 4 GiB.
 */
void boot_e820_make(struct boot_params *p, const struct mem *m, gpa_t ecam, uint64_t ecam_size);

/**
 * boot_load() - load with the first of @loaders (NULL-terminated) that claims the kernel.
 * Errors: -ENOEXEC (none claims it), and those of the loader.
 */
int boot_load(const struct boot_loader_ops *const *loaders, struct mem *m,
	      const struct boot_params *p, struct cpu_state *s, struct err *e) MUST_CHECK;

#endif
