/* SPDX-License-Identifier: MIT */
/*
 * ELF files as kernels: reading of headers and loading of segments (System V gABI, chapters 4
 * and 5), 32 and 64 bits alike.
 *
 * Internal to boot/. The bytes are outside input: each number is checked before use.
 */
#ifndef HOLM_BOOT_ELF_H
#define HOLM_BOOT_ELF_H

#include "base/compiler.h"
#include "base/err.h"
#include "boot/load.h"

#include <stdbool.h>
#include <stdint.h>

#define ELF_PT_LOAD	 1
#define ELF_PT_NOTE	 4
#define ELF_SEGMENTS_MAX 128

struct elf_segment {
	uint32_t type;
	uint64_t off, vaddr, paddr, filesz, memsz, align;
};

struct elf_image {
	const uint8_t *bytes;
	size_t len;
	const char *name;
	bool is64;
	uint64_t entry;
	uint64_t phoff;
	unsigned phnum, phentsize;
};

/** elf_probe() - whether the bytes start as a little-endian ELF file for i386 or x86-64. */
bool elf_probe(const uint8_t *bytes, size_t len);

/** elf_open() - check the file and program headers' places; -ENOEXEC. Bytes are borrowed. */
int elf_open(struct elf_image *out, const uint8_t *bytes, size_t len, const char *name,
	     struct err *e) MUST_CHECK;

/** elf_segment() - program header @i, below phnum; its numbers are unchecked. */
struct elf_segment elf_segment(const struct elf_image *img, unsigned i);

/**
 * elf_load() - copy all PT_LOAD segments to their physical addresses and zero what follows.
 * @low:  segments may also lie in here, below 1 MiB; empty: none
 * @span: receives the extent in memory
 *
 * Errors: -ENOEXEC (corrupt), -EFBIG (outside of RAM). All is checked before the first write.
 */
int elf_load(const struct elf_image *img, struct mem *m, struct boot_span low,
	     struct boot_span *span, struct err *e) MUST_CHECK;

/** elf_entry() - the entry's physical address: through the segment that holds it, if any does. */
uint64_t elf_entry(const struct elf_image *img);

#endif
