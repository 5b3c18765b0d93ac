/* SPDX-License-Identifier: MIT */
/*
 * The pvh loader on any bytes: it loads or says no, and writes nowhere but to guest RAM.
 */
#include "boot/boot.h"

#include <stdlib.h>

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

	/* One guest for all inputs: what is tested is the reading of the file. */
	if (!m && (mem_create(&m, NULL) || mem_add_ram(m, 32 << 20, 0xc0000000, NULL)))
		abort();
	boot_e820_make(&p, m, 0xe0000000, 0x100000);
	/* load() is asked only for what the probe claimed. */
	if (boot_pvh.probe(data, size) && boot_pvh.load(m, &p, &s, &e) == 0 && !s.rip)
		abort();
	return 0;
}
