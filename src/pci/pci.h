/* SPDX-License-Identifier: MIT */
/*
 * PCI: one bus with config space, BARs and MSI-X owned by the core.
 *
 * Theory of operation: the host bridge is function 0:0.0. Config space is reached through ports
 * 0xcf8/0xcfc (PCI Local Bus 3.0, 3.2.2.3.2) and ECAM (PCI Express Base 5.0, 7.2.2). A device
 * describes its function once (struct pci_func_config) and gets back BAR accesses; writes to
 * config space are masked by the core. The core claims and releases BAR ranges on the buses as
 * the guest sizes, moves, enables and disables them; a BAR that would overlap RAM or another
 * device stays unmapped. MSI-X: table and PBA live in a BAR the core serves itself.
 *
 * Threads: machine lock held throughout; pci_func_msix_notify() may be called from any thread.
 */
#ifndef HOLM_PCI_PCI_H
#define HOLM_PCI_PCI_H

#include "base/compiler.h"
#include "base/err.h"
#include "dev/dev.h"

#include <stdbool.h>
#include <stdint.h>

#define PCI_BARS	     6
#define PCI_SLOTS	     32
#define PCI_MSIX_VECTORS_MAX 64

struct pci_bus;
struct pci_func;

/** A function's handlers, under the machine lock; must not block. All optional. */
struct pci_func_ops {
	uint64_t (*bar_read)(void *dev, unsigned bar, uint64_t off, unsigned size);
	void (*bar_write)(void *dev, unsigned bar, uint64_t off, unsigned size, uint64_t val);
	/**
	 * Access inside a device-specific capability window (virtio's PCI config access): return
	 * false to let the core serve it from config space.
	 */
	bool (*config_read)(void *dev, unsigned off, unsigned size, uint32_t *val);
	bool (*config_write)(void *dev, unsigned off, unsigned size, uint32_t val);
};

struct pci_bar_config {
	uint64_t size; /* power of two, at least 16; 0: no such BAR */
	bool io, is64, prefetch;
};

struct pci_func_config {
	const char *name; /* instance name, borrowed: "virtio-blk0" */
	uint16_t vendor, device, subsys_vendor, subsys;
	uint32_t class_rev; /* class 31..24, subclass, prog-if, revision 7..0 */
	struct pci_bar_config bar[PCI_BARS];
	bool intx;	       /* has an INTA# pin */
	unsigned msix_vectors; /* 0: none; else 1..PCI_MSIX_VECTORS_MAX */
	unsigned msix_bar;     /* BAR that holds table (offset 0) and PBA (offset 2048) */
	const struct pci_func_ops *ops;
	void *dev;
};

/**
 * pci_bus_create() - host bridge at slot 0, config ports and, where @ecam is not 0, 1 MiB of
 * ECAM (bus 0 only) there.
 * @intx: four lines, INTA..INTD of slot 0 in turn; slot s pin p drives intx[(s + p) % 4]
 */
int pci_bus_create(struct pci_bus **out, const struct dev_env *env, gpa_t ecam,
		   const struct irq_line intx[4], struct err *e) MUST_CHECK;
void pci_bus_destroy(struct pci_bus *b);
extern const struct dev_ops pci_bus_dev_ops; /* impl is the struct pci_bus */

/**
 * pci_bus_window() - where BARs may be assigned at a direct boot (no firmware): the core places
 * every BAR there and enables decoding, as a BIOS would; the guest may move them.
 */
int pci_bus_assign(struct pci_bus *b, gpa_t mmio32, uint64_t mmio32_size, gpa_t mmio64,
		   uint64_t mmio64_size, uint16_t io, uint16_t io_size, struct err *e) MUST_CHECK;

/**
 * pci_func_add() - a function at the first free slot (or @slot where >= 0).
 *
 * Errors: -EEXIST (slot taken), -ENOSPC (all taken), -EINVAL (a bad BAR).
 */
int pci_func_add(struct pci_bus *b, int slot, const struct pci_func_config *cfg,
		 struct pci_func **out, struct err *e) MUST_CHECK;
void pci_func_remove(struct pci_func *f);

/** pci_func_slot() - the slot it sits in, 1..31. */
unsigned pci_func_slot(const struct pci_func *f);

/**
 * pci_func_add_cap() - append a capability of @len bytes (id and next pointer included; the core
 * sets `next`). @wmask: writable bits, or NULL for none.
 *
 * Return: its offset in config space, or -ENOSPC.
 */
int pci_func_add_cap(struct pci_func *f, const uint8_t *cap, const uint8_t *wmask,
		     unsigned len) MUST_CHECK;

/** pci_func_msix_enabled() - whether the guest turned MSI-X on. */
bool pci_func_msix_enabled(const struct pci_func *f);

/** pci_func_msix_notify() - send vector @n, or set its pending bit while masked. */
void pci_func_msix_notify(struct pci_func *f, unsigned n);

/** pci_func_intx() - drive INTA# (respects the command register's disable bit). */
void pci_func_intx(struct pci_func *f, bool level);

/** pci_func_reset() - config space, BARs and MSI-X to power-on values (BARs keep placement). */
void pci_func_reset(struct pci_func *f);

/** pci_func_save(), pci_func_load() - config space and MSI-X state, into the current section. */
void pci_func_save(const struct pci_func *f, struct snap_writer *w);
int pci_func_load(struct pci_func *f, const struct snap_reader *r, struct err *e) MUST_CHECK;

#endif
