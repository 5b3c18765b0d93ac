/* SPDX-License-Identifier: MIT */
/*
 * The bzimage loader on any bytes: it loads or says no, and writes nowhere but to guest RAM.
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
	/* Half of the inputs get the magic numbers, or random ones would never get past them. */
	if (size >= 0x268 && data[0] & 1) {
		copy = malloc(size);
		if (!copy)
			return 0;
		memcpy(copy, data, size);
		put_le16(copy + 0x1fe, 0xaa55);
		memcpy(copy + 0x202, "HdrS", 4);
		put_le16(copy + 0x206, 0x020f);
		copy[0x1f1] = data[0] & 2;
		copy[0x201] = 0x6a;
		copy[0x211] |= 1;
		copy[0x236] |= 1;
		put_le32(copy + 0x230, 1u << (data[1] & 31));
		put_le32(copy + 0x1f4, 1);
		put_le64(copy + 0x248, 0);
		put_le32(copy + 0x260, get_le32(data + 0x260) >> (data[2] & 31));
		p.kernel = copy;
	}
	/* load() is asked only for what the probe claimed. */
	if (boot_bzimage.probe(p.kernel, size) && boot_bzimage.load(m, &p, &s, &e) == 0 && !s.rip)
		abort();
	free(copy);
	return 0;
}
