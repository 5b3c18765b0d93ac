/* SPDX-License-Identifier: MIT */
/*
 * A small AML encoder for what varies in the ACPI tables (ACPI 6.4, chapter 20 and 6.4).
 *
 * Theory of operation: terms are appended to a buffer of fixed size. What has a PkgLength is
 * opened and closed; closing moves the contents behind the length. Running out of room is our
 * bug (the input is bounded by acpi_build()), so it ends in BUG_ON().
 *
 * Internal to boot/.
 */
#ifndef HOLM_BOOT_AML_H
#define HOLM_BOOT_AML_H

#include "base/compiler.h"

#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t len, cap;
};

/** aml_scope() - open Scope(@path), e.g. "\\_SB_.PCI0". Return: for aml_close(). */
size_t aml_scope(struct aml *a, const char *path);
/** aml_device() - open Device(@name), four characters. */
size_t aml_device(struct aml *a, const char *name);
/** aml_package() - open a Package of @n elements. */
size_t aml_package(struct aml *a, uint8_t n);
/** aml_close() - end what @mark was returned for; innermost first. */
void aml_close(struct aml *a, size_t mark);

/** aml_name() - Name(@name, ...): the value follows by one of the next four. */
void aml_name(struct aml *a, const char *name);
void aml_int(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
/** aml_eisaid() - "PNP0A08" as the 32-bit number of ACPI 6.4, 19.3.4. */
void aml_eisaid(struct aml *a, const char *id);
/** aml_resources() - a Buffer of the descriptors in @r, with the end tag. */
void aml_resources(struct aml *a, const struct aml *r);

/* Resource descriptors, appended to a buffer of their own: ACPI 6.4, 6.4.2 and 6.4.3. */
void aml_res_io(struct aml *r, uint16_t base, uint8_t len);
void aml_res_irq(struct aml *r, unsigned irq);
void aml_res_mem32(struct aml *r, uint32_t base, uint32_t len);
/** Windows of a bridge, [@base, @base + @len). */
void aml_res_bus_window(struct aml *r, uint16_t first, uint16_t count);
void aml_res_io_window(struct aml *r, uint16_t base, uint16_t len);
void aml_res_mem32_window(struct aml *r, uint32_t base, uint32_t len);
void aml_res_mem64_window(struct aml *r, uint64_t base, uint64_t len);

#endif
