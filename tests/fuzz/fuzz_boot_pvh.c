/* SPDX-License-Identifier: MIT */
/*
 * The pvh loader on any bytes: it loads or says no, and writes nowhere but to guest RAM.
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
	/* Half of the inputs get an ELF header, or random ones would never get past it. */
	if (size >= 0x200 && data[0] & 1) {
		copy = malloc(size);
		if (!copy)
			return 0;
		memcpy(copy, data, size);
		memcpy(copy, data[0] & 2 ? "\177ELF\2\1\1" : "\177ELF\1\1\1", 7);
		put_le16(copy + 18, 62);
		put_le64(copy + (data[0] & 2 ? 32 : 28), 64);
		put_le16(copy + (data[0] & 2 ? 54 : 42), 56);
		put_le16(copy + (data[0] & 2 ? 56 : 44), 1 + (data[1] & 3));
		put_le32(copy + 64, 1);
		put_le32(copy + 64 + 56, 4);
		p.kernel = copy;
	}
	/* load() is asked only for what the probe claimed. */
	if (boot_pvh.probe(p.kernel, size) && boot_pvh.load(m, &p, &s, &e) == 0 && !s.rip)
		abort();
	free(copy);
	return 0;
}
