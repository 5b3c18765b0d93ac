/* SPDX-License-Identifier: MIT */
/*
 * MSI-X: table, pending bits and masks. PCI Local Bus 3.0, 6.8.2.
 *
 * Theory of operation: the table is bytes as the guest wrote them. A notification for a vector
 * that is masked, by itself or by the function mask, sets its pending bit; whatever unmasks looks
 * through the pending bits and sends them. Messages leave after the lock is dropped, so that the
 * engine's locks never nest inside it.
 */
#include "base/bytes.h"
#include "pci/pci_internal.h"

static bool masked(const struct pci_func *f, unsigned n)
{
	const uint8_t *entry = f->msix_table + n * PCI_MSIX_ENTRY_SIZE;

	return f->msix_flags & PCI_MSIX_FLAGS_MASKALL ||
	       get_le32(entry + PCI_MSIX_ENTRY_CTRL) & PCI_MSIX_CTRL_MASK;
}

static void send_unlock(struct pci_func *f, unsigned n)
{
	const uint8_t *entry = f->msix_table + n * PCI_MSIX_ENTRY_SIZE;
	uint64_t addr = get_le64(entry);
	uint32_t data = get_le32(entry + PCI_MSIX_ENTRY_DATA);

	f->msix_pending &= ~(1ull << n);
	pthread_mutex_unlock(&f->msix_lock);
	msi_send(&f->bus->env.msi, addr, data);
}

bool pci_func_msix_enabled(const struct pci_func *f)
{
	return f->cfg.msix_vectors &&
	       get_le16(f->config + f->msix_cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE;
}

void pci_func_msix_notify(struct pci_func *f, unsigned n)
{
	if (n >= f->cfg.msix_vectors)
		return;
	pthread_mutex_lock(&f->msix_lock);
	if (!(f->msix_flags & PCI_MSIX_FLAGS_ENABLE)) {
		pthread_mutex_unlock(&f->msix_lock);
		return;
	}
	if (!masked(f, n)) {
		send_unlock(f, n);
		return;
	}
	f->msix_pending |= 1ull << n;
	pthread_mutex_unlock(&f->msix_lock);
}

static void send_pending(struct pci_func *f)
{
	for (unsigned n = 0; n < f->cfg.msix_vectors; n++) {
		pthread_mutex_lock(&f->msix_lock);
		if (f->msix_flags & PCI_MSIX_FLAGS_ENABLE && f->msix_pending >> n & 1 &&
		    !masked(f, n))
			send_unlock(f, n);
		else
			pthread_mutex_unlock(&f->msix_lock);
	}
}

void pci_msix_update(struct pci_func *f)
{
	if (!f->cfg.msix_vectors)
		return;
	pthread_mutex_lock(&f->msix_lock);
	f->msix_flags = get_le16(f->config + f->msix_cap + PCI_MSIX_FLAGS);
	pthread_mutex_unlock(&f->msix_lock);
	send_pending(f);
}

void pci_msix_reset(struct pci_func *f)
{
	pthread_mutex_lock(&f->msix_lock);
	memset(f->msix_table, 0, sizeof(f->msix_table));
	/* 6.8.2.9: the state of the mask bit after reset is 1. */
	for (unsigned n = 0; n < f->cfg.msix_vectors; n++)
		f->msix_table[n * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_CTRL] = PCI_MSIX_CTRL_MASK;
	f->msix_pending = 0;
	f->msix_flags = 0;
	pthread_mutex_unlock(&f->msix_lock);
}

uint64_t pci_msix_read(struct pci_func *f, uint64_t off, unsigned size)
{
	uint8_t pba[8];
	uint64_t v = 0;

	pthread_mutex_lock(&f->msix_lock);
	put_le64(pba, f->msix_pending);
	if (range_ok(off, size, (uint64_t)f->cfg.msix_vectors * PCI_MSIX_ENTRY_SIZE))
		v = get_le(f->msix_table + off, size);
	else if (off >= PCI_MSIX_PBA_OFF && range_ok(off - PCI_MSIX_PBA_OFF, size, sizeof(pba)))
		v = get_le(pba + (off - PCI_MSIX_PBA_OFF), size);
	pthread_mutex_unlock(&f->msix_lock);
	return v;
}

void pci_msix_write(struct pci_func *f, uint64_t off, unsigned size, uint64_t val)
{
	/* 6.8.2: accesses are aligned doublewords or quadwords; others are undefined. */
	if ((size != 4 && size != 8) || off % size ||
	    !range_ok(off, size, (uint64_t)f->cfg.msix_vectors * PCI_MSIX_ENTRY_SIZE))
		return;
	pthread_mutex_lock(&f->msix_lock);
	put_le(f->msix_table + off, size, val);
	pthread_mutex_unlock(&f->msix_lock);
	send_pending(f);
}
