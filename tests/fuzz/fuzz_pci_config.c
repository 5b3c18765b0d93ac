/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest in config space: any accesses through ports and ECAM, and to wherever the BARs
 * of a virtio device then are.
 */
#include "fuzzenv.h"

#include "virtio/dev/devices.h"
#include "virtio/pci/virtio_pci.h"

#define ECAM 0xe0000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct irq_line intx[4] = { 0 };
	struct virtio_dev *d;
	struct pci_bus *bus;
	struct fuzzenv f;
	void *vp;

	fuzzenv_init(&f);
	if (pci_bus_create(&bus, &f.env, ECAM, intx, NULL) ||
	    virtio_rng_create(&d, &f.env, "rng", NULL) ||
	    virtio_pci_create(&vp, &f.env, bus, d, NULL) ||
	    pci_bus_assign(bus, 0xc0000000, 0x20000000, 0x100000000, 0x100000000, 0xc000, 0x1000,
			   NULL))
		abort();
	while (in.left) {
		uint8_t op = (uint8_t)fuzz_take(&in, 1);
		unsigned n = 1u << (op >> 4 & 3);
		uint64_t at = fuzz_take(&in, 2), val;

		switch (op & 3) {
		case 0:
			val = fuzz_take(&in, 4);
			bus_write(f.env.ports, 0xcf8, 4, 0x80000000 | at);
			bus_write(f.env.ports, 0xcfc + (at & 3), n, val);
			break;
		case 1:
			bus_write(f.env.mmio, ECAM + (at & 0xffff), n, fuzz_take(&in, n));
			bus_read(f.env.mmio, ECAM + (at & 0xffff), n);
			break;
		case 2:
			bus_write(f.env.mmio, 0x100000000 + at, n, fuzz_take(&in, n));
			bus_read(f.env.mmio, 0x100000000 + at, n);
			break;
		default:
			bus_write(f.env.mmio, 0xc0000000 + at, n, fuzz_take(&in, n));
			fuzzenv_step(&f, 1000);
			break;
		}
	}
	virtio_pci_dev_ops.destroy(vp);
	pci_bus_dev_ops.destroy(bus);
	fuzzenv_free(&f);
	return 0;
}
