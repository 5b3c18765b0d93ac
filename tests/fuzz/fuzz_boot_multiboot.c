/* SPDX-License-Identifier: MIT */
/*
 * The multiboot loader on any bytes: it loads or says no, and writes nowhere but to guest RAM.
 */
#include "boot/boot.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t initrd[64] = { 1 };
	static struct mem *m;
	struct boot_params p = { .kernel = data,
				 .kernel_len = size,
				 .kernel_name = "kernel",
				 .initrd = initrd,
				 .initrd_len = sizeof(initrd),
				 .initrd_name = "initrd",
				 .cmdline = "a=b",
				 .rsdp = 0xe0000 };
	struct cpu_state s = { 0 };
	struct err e;
	uint8_t *copy = NULL;

	/* One guest for all inputs: what is tested is the reading of the file. */
	if (!m && (mem_create(&m, NULL) || mem_add_ram(m, 32 << 20, 0xc0000000, NULL)))
		abort();
	boot_e820_make(&p, m, 0xe0000000, 0x100000);
	/* Half of the inputs get a header with a right sum, or random ones would never have it. */
	if (size >= 64 && data[0] & 1) {
		uint32_t flags = (data[1] & 7u) | (data[2] & 1u) << 16;

		copy = malloc(size);
		if (!copy)
			return 0;
		memcpy(copy, data, size);
		put_le32(copy, 0x1badb002);
		put_le32(copy + 4, flags);
		put_le32(copy + 8, 0u - 0x1badb002u - flags);
		if (data[3] & 1) {
			put_le32(copy + 12, 0x100000);
			put_le32(copy + 16, 0x100000);
			put_le32(copy + 20, 0x100000 + data[4]);
			put_le32(copy + 28, 0x100000 + data[5]);
		}
		p.kernel = copy;
	}
	/* load() is asked only for what the probe claimed. */
	if (boot_multiboot.probe(p.kernel, size) && boot_multiboot.load(m, &p, &s, &e) == 0 &&
	    !s.rip)
		abort();
	free(copy);
	return 0;
}
