/* SPDX-License-Identifier: MIT */
/*
 * PCI constants. Sources: PCI Local Bus Specification 3.0 (registers: chapter 6), PCI Express
 * Base Specification 5.0 (ECAM: 7.2.2).
 */
#ifndef HOLM_SPEC_PCI_H
#define HOLM_SPEC_PCI_H

/* Header type 0: PCI 3.0, 6.1 and 6.2. */
#define PCI_VENDOR_ID		0x00
#define PCI_DEVICE_ID		0x02
#define PCI_COMMAND		0x04
#define PCI_COMMAND_IO		0x0001u
#define PCI_COMMAND_MEMORY	0x0002u
#define PCI_COMMAND_MASTER	0x0004u
#define PCI_COMMAND_SERR	0x0100u
#define PCI_COMMAND_INTX_OFF	0x0400u
#define PCI_STATUS		0x06
#define PCI_STATUS_INTERRUPT	0x0008u
#define PCI_STATUS_CAP_LIST	0x0010u
#define PCI_CLASS_REVISION	0x08
#define PCI_CACHE_LINE_SIZE	0x0c
#define PCI_BASE_ADDRESS_0	0x10
#define PCI_BAR_IO		0x01u
#define PCI_BAR_64		0x04u
#define PCI_BAR_PREFETCH	0x08u
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID	0x2e
#define PCI_CAPABILITY_LIST	0x34
#define PCI_INTERRUPT_LINE	0x3c
#define PCI_INTERRUPT_PIN	0x3d
#define PCI_HEADER_END		0x40
#define PCI_CONFIG_SIZE		256u

/* Capabilities: PCI 3.0, 6.7 and appendix H. */
#define PCI_CAP_ID_VENDOR 0x09
#define PCI_CAP_ID_MSIX	  0x11

/* MSI-X: PCI 3.0, 6.8.2. */
#define PCI_MSIX_FLAGS	       2
#define PCI_MSIX_TABLE	       4
#define PCI_MSIX_PBA	       8
#define PCI_MSIX_CAP_LEN       12
#define PCI_MSIX_FLAGS_MASKALL 0x4000u
#define PCI_MSIX_FLAGS_ENABLE  0x8000u
#define PCI_MSIX_ENTRY_SIZE    16u
#define PCI_MSIX_ENTRY_DATA    8u
#define PCI_MSIX_ENTRY_CTRL    12u
#define PCI_MSIX_CTRL_MASK     0x1u

/* Configuration mechanism by ports: PCI 3.0, 3.2.2.3.2. */
#define PCI_CONFIG_ADDRESS	  0xcf8
#define PCI_CONFIG_ADDRESS_ENABLE 0x80000000u

#define PCI_CLASS_BRIDGE_HOST	  0x0600u

#endif
