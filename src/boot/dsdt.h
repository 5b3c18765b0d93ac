/* SPDX-License-Identifier: MIT */
/*
 * The DSDT: bytes that iasl makes from dsdt.asl at build time (tools/make-dsdt).
 *
 * Internal to boot/.
 */
#ifndef HOLM_BOOT_DSDT_H
#define HOLM_BOOT_DSDT_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t acpi_dsdt[];
extern const size_t acpi_dsdt_len;

#endif
