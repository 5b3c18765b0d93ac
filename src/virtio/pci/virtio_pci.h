/* SPDX-License-Identifier: MIT */
/*
 * The modern virtio PCI transport: virtio 1.2, 4.1.
 */
#ifndef HOLM_VIRTIO_PCI_VIRTIO_PCI_H
#define HOLM_VIRTIO_PCI_VIRTIO_PCI_H

#include "pci/pci.h"
#include "virtio/virtio.h"

/**
 * virtio_pci_create() - put @d (owned from success on) into a free slot of @bus.
 * @out: receives the implementation for virtio_pci_dev_ops
 */
int virtio_pci_create(void **out, const struct dev_env *env, struct pci_bus *bus,
		      struct virtio_dev *d, struct err *e) MUST_CHECK;

/** Life cycle of the pair, for the machine's device list. */
extern const struct dev_ops virtio_pci_dev_ops;

#endif
