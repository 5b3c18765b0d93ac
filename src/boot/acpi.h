/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables: RSDP, XSDT, FADT, MADT, MCFG, DSDT (ACPI 6.4, chapter 5).
 *
 * The DSDT is static ASL compiled by iasl at build time, with the devices of the board; what
 * varies (number of CPUs, MMIO windows, VMGENID address) is in a small generated SSDT.
 */
#ifndef HOLM_BOOT_ACPI_H
#define HOLM_BOOT_ACPI_H

#include "base/compiler.h"
#include "base/err.h"
#include "mem/mem.h"

#include <stdbool.h>
#include <stdint.h>

struct acpi_config {
	unsigned vcpus;
	gpa_t ecam; /* bus 0 only, 1 MiB */
	gpa_t ioapic;
	uint16_t pm_base; /* PM1a event block; +4 control, +8 timer */
	uint16_t sci_irq;
	gpa_t mmio32; /* PCI windows for the SSDT's _CRS */
	uint64_t mmio32_size;
	gpa_t mmio64;
	uint64_t mmio64_size;
	gpa_t vmgenid;	/* address of the 16-byte generation id, 0: none */
	bool serial[4]; /* which COM ports are there */
};

/** Built tables as one image to be placed at @base. */
struct acpi_image {
	uint8_t *bytes; /* freed by the caller */
	size_t len;
	gpa_t rsdp; /* address of the RSDP inside */
};

/** acpi_build() - all tables with addresses for @base (16-byte aligned, below 1 MiB). */
int acpi_build(struct acpi_image *out, const struct acpi_config *cfg, gpa_t base,
	       struct err *e) MUST_CHECK;

#endif
