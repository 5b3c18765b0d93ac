/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest at fw_cfg: any accesses, and DMA structures of its making.
 */
#include "fuzzenv.h"

#include "chipset/chipset.h"

#include <endian.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct fuzzenv f;
	struct fw_cfg *c;

	fuzzenv_init(&f);
	if (fw_cfg_create(&c, &f.env, NULL) ||
	    fw_cfg_add_file(c, "opt/fuzz", "some bytes", 10, NULL))
		abort();
	while (in.left) {
		uint8_t op = (uint8_t)fuzz_take(&in, 1), raw[16];

		switch (op & 3) {
		case 0:
			bus_write(f.env.ports, 0x510 + (op >> 2 & 15), 1u << (op >> 6),
				  fuzz_take(&in, 4));
			break;
		case 1:
			bus_read(f.env.ports, 0x510 + (op >> 2 & 15), 1u << (op >> 6));
			break;
		default:
			/* A plausible structure: known bits, small item, any length and address. */
			put_le32(raw, htobe32((uint32_t)fuzz_take(&in, 1) |
					      (uint32_t)(fuzz_take(&in, 1) & 0x3f) << 16));
			put_le32(raw + 4, htobe32((uint32_t)fuzz_take(&in, 3)));
			put_le64(raw + 8, htobe64(fuzz_take(&in, 3)));
			if (mem_write(f.env.mem, 0x1000, raw, sizeof(raw)))
				abort();
			bus_write(f.env.ports, 0x514, 4, 0);
			bus_write(f.env.ports, 0x518, 4, htobe32(0x1000));
			break;
		}
	}
	fw_cfg_dev_ops.destroy(c);
	fuzzenv_free(&f);
	return 0;
}
