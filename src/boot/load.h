/* SPDX-License-Identifier: MIT */
/*
 * What the loaders share: the map of low memory at a direct boot, placement, entry states.
 *
 * Internal to boot/.
 */
#ifndef HOLM_BOOT_LOAD_H
#define HOLM_BOOT_LOAD_H

#include "base/compiler.h"
#include "base/err.h"
#include "boot/boot.h"
#include "cpu/state.h"
#include "mem/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* Low memory at a direct boot, see boot.h. Nothing else below 0x30000 is in use. */
#define BOOT_GDT	0x500u
#define BOOT_INFO	0x7000u /* zero page or start info, one page */
#define BOOT_STACK_TOP	0x9000u
#define BOOT_PML4	0x9000u /* then PDPT, then four page directories */
#define BOOT_CMDLINE	0x20000u
#define BOOT_LOW_END	0x9fc00u /* start of the EBDA: end of conventional memory */
#define BOOT_HIGH_START 0x100000u

/* Selectors of the boot GDT: Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol". */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define BOOT_TR 0x20u

/** Guest-physical bytes [start, end). */
struct boot_span {
	gpa_t start, end;
};

/** boot_cmdline() - @p's command line, never NULL. */
static inline const char *boot_cmdline(const struct boot_params *p)
{
	return p->cmdline ? p->cmdline : "";
}

/** boot_basename() - what stands behind the last slash of @path. */
const char *boot_basename(const char *path);

/** boot_put() - mem_write() to a place that the loader chose in RAM; the sentence names @what. */
int boot_put(struct mem *m, gpa_t gpa, const void *bytes, size_t len, const char *what,
	     struct err *e) MUST_CHECK;

/**
 * boot_put_cmdline() - @text with its NUL at @gpa.
 * @max: bytes the kernel takes, without NUL
 *
 * Errors: -EINVAL (longer than that).
 */
int boot_put_cmdline(struct mem *m, gpa_t gpa, const char *text, size_t max,
		     struct err *e) MUST_CHECK;

/**
 * boot_put_initrd_high() - as high in low RAM as @limit (first address beyond) allows.
 * @kernel: where the kernel is; the initrd goes behind it
 *
 * Errors: -EFBIG. *@at is 0 where there is no initrd.
 */
int boot_put_initrd_high(struct mem *m, const struct boot_params *p, struct boot_span kernel,
			 gpa_t limit, gpa_t *at, struct err *e) MUST_CHECK;

/** boot_no_room() - the -EFBIG sentence for an initrd beside @p's kernel. */
int boot_no_room(const struct mem *m, const struct boot_params *p, struct err *e) MUST_CHECK;

/**
 * boot_enter_32() - GDT into memory; @s in flat 32-bit protected mode at @entry, no paging.
 * boot_enter_64() - the same in long mode, the first 4 GiB mapped one to one.
 *
 * General registers stay as they are but for RSP in the 64-bit case.
 */
int boot_enter_32(struct mem *m, struct cpu_state *s, uint32_t entry, struct err *e) MUST_CHECK;
int boot_enter_64(struct mem *m, struct cpu_state *s, uint64_t entry, struct err *e) MUST_CHECK;

#endif
