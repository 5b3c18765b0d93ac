/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/pci share; nobody else includes this.
 */
#ifndef HOLM_PCI_PCI_INTERNAL_H
#define HOLM_PCI_PCI_INTERNAL_H

#include "base/log.h"
#include "pci/pci.h"
#include "spec/pci.h"

#include <pthread.h>

#define PCI_MSIX_PBA_OFF 2048u

/** A BAR of a function; the bus hands it back to our handlers. */
struct pci_bar {
	struct pci_func *f;
	unsigned index;
	bool mapped;
	bool refused; /* wanted at .range.base, but something else is there */
	struct bus_range range;
};

struct pci_func {
	struct pci_bus *bus;
	unsigned slot;
	struct pci_func_config cfg;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t wmask[PCI_CONFIG_SIZE]; /* bits that the guest may write */
	uint8_t boot[PCI_CONFIG_SIZE];	/* what a reset gives back */
	unsigned cap_end;		/* first free byte for capabilities */
	unsigned cap_last;		/* offset of the last next pointer */
	struct pci_bar bar[PCI_BARS];
	bool intx_level; /* what the device drives, before the disable bit */
	unsigned msix_cap;
	/* MSI-X state; the lock, because any thread may notify. Innermost: nothing is called
	 * while it is held. */
	pthread_mutex_t msix_lock;
	uint8_t msix_table[PCI_MSIX_VECTORS_MAX * 16];
	uint64_t msix_pending;
	uint16_t msix_flags; /* the live copy of message control's two bits */
};

struct pci_bus {
	struct dev_env env;
	struct pci_func *func[PCI_SLOTS];
	struct pci_func *bridge;
	struct irq_line intx[4];
	uint32_t intx_slots[4]; /* slots that pull each line */
	uint32_t address;	/* port 0xcf8 */
	struct bus_range ports, ecam;
	struct log_limit limit;
};

/* func.c */
void pci_func_config_write(struct pci_func *f, unsigned off, unsigned size, uint32_t val);
uint32_t pci_func_config_read(struct pci_func *f, unsigned off, unsigned size);
/** pci_func_bar_size() - 0 where @i is no BAR or the upper half of one. */
uint64_t pci_func_bar_size(const struct pci_func *f, unsigned i);
void pci_func_bar_place(struct pci_func *f, unsigned i, uint64_t base);
void pci_func_update_intx(struct pci_func *f);

/* bus.c */
/** pci_bus_remap() - make the ranges on the buses what config space says. */
void pci_bus_remap(struct pci_bus *b);
void pci_bus_drive(struct pci_bus *b, unsigned slot, bool level);

/* msix.c */
void pci_msix_reset(struct pci_func *f);
uint64_t pci_msix_read(struct pci_func *f, uint64_t off, unsigned size);
void pci_msix_write(struct pci_func *f, uint64_t off, unsigned size, uint64_t val);
/** pci_msix_update() - message control has changed: send what was pending and is not masked. */
void pci_msix_update(struct pci_func *f);

#endif
