/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables, see acpi.h. Sections are those of ACPI 6.4.
 *
 * Theory of operation: tables are appended to one image, each aligned, its address being base
 * plus offset; RSDT and XSDT come last, when all addresses are known, and the RSDP at the front
 * is filled at the end. Machine-dependent AML (windows, interrupt routes, serial ports, CPUs,
 * generation id) is one generated SSDT. The RSDT is there for payloads that know no XSDT.
 *
 * Fixed hardware, not hardware-reduced: SMI_CMD is 0, so the machine is always in ACPI mode
 * (5.2.9, SMI_CMD).
 */
#include "boot/acpi.h"

#include "base/bytes.h"
#include "boot/aml.h"
#include "boot/dsdt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_MAX   0x10000u /* what e820 gives the tables */
#define VCPUS_MAX   254u     /* 8-bit APIC ids, 255 is broadcast */
#define HEADER_SIZE 36u	     /* 5.2.6 */
#define RSDP_SIZE   36u	     /* 5.2.5.3 */
#define FACS_SIZE   64u
#define FADT_SIZE   276u
#define TABLES_MAX  8u
#define PCI_SLOTS   32u
#define RES_MAX	    256u

/* The board's wiring, also in the DSDT. */
#define LAPIC_ADDR    0xfee00000u
#define RESET_PORT    0xcf9u
#define RESET_VALUE   0x06u
#define PCI_GSI_FIRST 16u

struct build {
	uint8_t *b;
	size_t len;
	gpa_t base;
	uint32_t tables[TABLES_MAX]; /* addresses for RSDT and XSDT */
	unsigned n;
};

/** Room for @len zeroed bytes at a multiple of 64; returns the offset. */
static size_t reserve(struct build *w, size_t len)
{
	size_t at = align_up(w->len, 64);

	BUG_ON(at + len > IMAGE_MAX);
	w->len = at + len;
	return at;
}

static uint32_t addr_of(const struct build *w, size_t off)
{
	return (uint32_t)(w->base + off);
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

/** Fill the header of a table of @len bytes at @off and set its checksum: 5.2.6. */
static void finish(struct build *w, size_t off, size_t len, const char *sig, uint8_t rev)
{
	uint8_t *t = w->b + off;

	memcpy(t, sig, 4);
	put_le32(t + 4, (uint32_t)len);
	t[8] = rev;
	t[9] = 0;
	memcpy(t + 10, "HOLM  ", 6);
	memcpy(t + 16, "HOLMPC  ", 8);
	put_le32(t + 24, 1);
	memcpy(t + 28, "HOLM", 4);
	put_le32(t + 32, 1);
	t[9] = checksum(t, len);
}

static void list(struct build *w, size_t off)
{
	BUG_ON(w->n == TABLES_MAX);
	w->tables[w->n++] = addr_of(w, off);
}

/** Generic Address Structure of an I/O port: 5.2.3.2. @access: 1 byte, 2 word, 3 dword. */
static void put_gas(uint8_t *p, uint16_t port, uint8_t bits, uint8_t access)
{
	p[0] = 1;
	p[1] = bits;
	p[2] = 0;
	p[3] = access;
	put_le64(p + 4, port);
}

/* FADT flags, table 5.10. */
#define FADT_WBINVD	   (1u << 0)
#define FADT_PROC_C1	   (1u << 2)
#define FADT_SLP_BUTTON	   (1u << 5) /* no fixed sleep button */
#define FADT_FIX_RTC	   (1u << 6) /* no RTC wake in fixed registers */
#define FADT_TMR_VAL_EXT   (1u << 8) /* 32-bit timer */
#define FADT_RESET_REG_SUP (1u << 10)
/* IAPC_BOOT_ARCH, table 5.11: legacy devices, 8042, no VGA, no ASPM control. */
#define FADT_BOOT_ARCH (1u << 0 | 1u << 1 | 1u << 2 | 1u << 4)

/** 5.2.9; offsets are those of its table. */
static void make_fadt(struct build *w, const struct acpi_config *cfg, size_t facs, size_t dsdt)
{
	size_t at = reserve(w, FADT_SIZE);
	uint8_t *t = w->b + at;

	put_le32(t + 36, addr_of(w, facs));
	put_le32(t + 40, addr_of(w, dsdt));
	put_le16(t + 46, cfg->sci_irq);
	put_le32(t + 56, cfg->pm_base);
	put_le32(t + 64, cfg->pm_base + 4u);
	put_le32(t + 76, cfg->pm_base + 8u);
	t[88] = 4;		  /* PM1_EVT_LEN */
	t[89] = 2;		  /* PM1_CNT_LEN */
	t[91] = 4;		  /* PM_TMR_LEN */
	put_le16(t + 96, 0xffff); /* no C2 */
	put_le16(t + 98, 0xffff); /* no C3 */
	put_le16(t + 109, FADT_BOOT_ARCH);
	put_le32(t + 112, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC |
				  FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP);
	put_gas(t + 116, RESET_PORT, 8, 1);
	t[128] = RESET_VALUE;
	t[131] = 4; /* minor version: 6.4 */
	put_le64(t + 140, addr_of(w, dsdt));
	put_gas(t + 148, cfg->pm_base, 32, 2);
	put_gas(t + 172, (uint16_t)(cfg->pm_base + 4), 16, 2);
	put_gas(t + 208, (uint16_t)(cfg->pm_base + 8), 32, 3);
	memcpy(t + 268, "HOLM", 4); /* hypervisor vendor */
	finish(w, at, FADT_SIZE, "FACP", 6);
	list(w, at);
}

/** An interrupt source override: 5.2.12.5; @flags: MPS INTI, table 5.26. */
static uint8_t *put_override(uint8_t *p, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	p[0] = 2;
	p[1] = 10;
	p[3] = irq;
	put_le32(p + 4, gsi);
	put_le16(p + 8, flags);
	return p + 10;
}

/** 5.2.12. */
static void make_madt(struct build *w, const struct acpi_config *cfg)
{
	size_t len = HEADER_SIZE + 8 + cfg->vcpus * 8u + 12 + 2 * 10 + 6;
	size_t at = reserve(w, len);
	uint8_t *t = w->b + at, *p = t + HEADER_SIZE + 8;

	put_le32(t + 36, LAPIC_ADDR);
	put_le32(t + 40, 1); /* PCAT_COMPAT: 8259s are there */
	for (unsigned i = 0; i < cfg->vcpus; i++, p += 8) {
		p[1] = 8; /* type 0, processor local APIC */
		p[2] = (uint8_t)i;
		p[3] = (uint8_t)i;
		put_le32(p + 4, 1); /* enabled */
	}
	p[0] = 1; /* I/O APIC, id 0, GSI base 0 */
	p[1] = 12;
	put_le32(p + 4, (uint32_t)cfg->ioapic);
	p += 12;
	p = put_override(p, 0, 2, 0x5);				       /* edge, active high */
	p = put_override(p, (uint8_t)cfg->sci_irq, cfg->sci_irq, 0xd); /* level, active high */
	p[0] = 4; /* NMI on LINT1 of all processors: 5.2.12.7 */
	p[1] = 6;
	p[2] = 0xff;
	p[5] = 1;
	BUG_ON(p + 6 != t + len);
	finish(w, at, len, "APIC", 5);
	list(w, at);
}

/** PCI Firmware Specification 3.3, 4.1.2. */
static void make_mcfg(struct build *w, const struct acpi_config *cfg)
{
	size_t at = reserve(w, HEADER_SIZE + 8 + 16);
	uint8_t *t = w->b + at;

	put_le64(t + 44, cfg->ecam); /* segment 0, buses 0 to 0 */
	finish(w, at, HEADER_SIZE + 8 + 16, "MCFG", 1);
	list(w, at);
}

/** Windows ACPI Emulated Devices Table 1.0: RTC and PM timer need no double reads. */
static void make_waet(struct build *w)
{
	size_t at = reserve(w, HEADER_SIZE + 4);

	put_le32(w->b + at + HEADER_SIZE, 3);
	finish(w, at, HEADER_SIZE + 4, "WAET", 1);
	list(w, at);
}

static void put_crs(struct aml *a, const struct aml *res)
{
	aml_name(a, "_CRS");
	aml_resources(a, res);
}

/** _PRT: slot s, pin p at GSI 16 + (s + p) % 4: 6.2.13. */
static void put_prt(struct aml *a)
{
	size_t table;

	aml_name(a, "_PRT");
	table = aml_package(a, PCI_SLOTS * 4);
	for (unsigned s = 0; s < PCI_SLOTS; s++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			size_t row = aml_package(a, 4);

			aml_int(a, s << 16 | 0xffff);
			aml_int(a, pin);
			aml_int(a, 0);
			aml_int(a, PCI_GSI_FIRST + (s + pin) % 4);
			aml_close(a, row);
		}
	}
	aml_close(a, table);
}

static void put_serial(struct aml *a, const struct acpi_config *cfg)
{
	static const uint16_t port[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };

	for (unsigned i = 0; i < 4; i++) {
		uint8_t bytes[RES_MAX];
		struct aml res = { .buf = bytes, .cap = sizeof(bytes) };
		char name[5];
		size_t dev;

		if (!cfg->serial[i])
			continue;
		snprintf(name, sizeof(name), "COM%u", i + 1);
		dev = aml_device(a, name);
		aml_name(a, "_HID");
		aml_eisaid(a, "PNP0501");
		aml_name(a, "_UID");
		aml_int(a, i + 1);
		aml_res_io(&res, port[i], 8);
		aml_res_irq(&res, i % 2 ? 3 : 4);
		put_crs(a, &res);
		aml_close(a, dev);
	}
}

static void put_host_bridge(struct aml *a, const struct acpi_config *cfg)
{
	uint8_t bytes[RES_MAX];
	struct aml res = { .buf = bytes, .cap = sizeof(bytes) };
	size_t scope = aml_scope(a, "\\_SB_.PCI0");

	aml_res_bus_window(&res, 0, 1);
	aml_res_io(&res, 0xcf8, 8);
	aml_res_io_window(&res, 0, 0xcf8);
	aml_res_io_window(&res, 0xd00, 0xf300);
	if (cfg->mmio32_size)
		aml_res_mem32_window(&res, (uint32_t)cfg->mmio32, (uint32_t)cfg->mmio32_size);
	if (cfg->mmio64_size)
		aml_res_mem64_window(&res, cfg->mmio64, cfg->mmio64_size);
	put_crs(a, &res);
	put_prt(a);
	put_serial(a, cfg);
	aml_close(a, scope);
}

/** What a driver must not take: ECAM and the PM block. */
static void put_motherboard(struct aml *a, const struct acpi_config *cfg)
{
	uint8_t bytes[RES_MAX];
	struct aml res = { .buf = bytes, .cap = sizeof(bytes) };
	size_t dev = aml_device(a, "MBRD");

	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0C02");
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_res_mem32(&res, (uint32_t)cfg->ecam, 0x100000);
	aml_res_io(&res, cfg->pm_base, 16);
	put_crs(a, &res);
	aml_close(a, dev);
}

static void put_cpus(struct aml *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[5];
		size_t dev;

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		dev = aml_device(a, name);
		aml_name(a, "_HID");
		aml_string(a, "ACPI0007");
		aml_name(a, "_UID");
		aml_int(a, i);
		aml_close(a, dev);
	}
}

/** Microsoft, "Virtual Machine Generation ID", 2012: ADDR holds low and high half. */
static void put_vmgenid(struct aml *a, gpa_t addr)
{
	size_t dev = aml_device(a, "VGEN"), pkg;

	aml_name(a, "_HID");
	aml_string(a, "HOLM0001");
	aml_name(a, "_CID");
	aml_string(a, "VM_Gen_Counter");
	aml_name(a, "_DDN");
	aml_string(a, "VM_Gen_Counter");
	aml_name(a, "ADDR");
	pkg = aml_package(a, 2);
	aml_int(a, addr & 0xffffffff);
	aml_int(a, addr >> 32);
	aml_close(a, pkg);
	aml_close(a, dev);
}

static void make_ssdt(struct build *w, const struct acpi_config *cfg)
{
	size_t at = reserve(w, HEADER_SIZE);
	struct aml a = { .buf = w->b + at, .len = HEADER_SIZE, .cap = IMAGE_MAX - at };
	size_t scope;

	put_host_bridge(&a, cfg);
	scope = aml_scope(&a, "\\_SB_");
	put_motherboard(&a, cfg);
	put_cpus(&a, cfg->vcpus);
	if (cfg->vmgenid)
		put_vmgenid(&a, cfg->vmgenid);
	aml_close(&a, scope);
	w->len = at + a.len;
	finish(w, at, a.len, "SSDT", 2);
	list(w, at);
}

/** RSDT and XSDT (5.2.7, 5.2.8), then the RSDP at the front (5.2.5.3). */
static void make_roots(struct build *w)
{
	size_t rlen = HEADER_SIZE + w->n * 4, xlen = HEADER_SIZE + w->n * 8;
	size_t rsdt = reserve(w, rlen), xsdt = reserve(w, xlen);
	uint8_t *p = w->b;

	for (unsigned i = 0; i < w->n; i++) {
		put_le32(w->b + rsdt + HEADER_SIZE + i * 4, w->tables[i]);
		put_le64(w->b + xsdt + HEADER_SIZE + i * 8, w->tables[i]);
	}
	finish(w, rsdt, rlen, "RSDT", 1);
	finish(w, xsdt, xlen, "XSDT", 1);
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "HOLM  ", 6);
	p[15] = 2;
	put_le32(p + 16, addr_of(w, rsdt));
	put_le32(p + 20, RSDP_SIZE);
	put_le64(p + 24, addr_of(w, xsdt));
	p[8] = checksum(p, 20);
	p[32] = checksum(p, RSDP_SIZE);
}

static int check(const struct acpi_config *cfg, gpa_t base, struct err *e)
{
	if (!cfg->vcpus || cfg->vcpus > VCPUS_MAX)
		return err_set(e, -EINVAL, "%u vCPUs: ACPI tables take 1 to %u", cfg->vcpus,
			       VCPUS_MAX);
	if (base % 16 || !range_ok(base, IMAGE_MAX, 0x100000))
		return err_set(e, -EINVAL, "ACPI tables at 0x%llx do not lie below 1 MiB",
			       (unsigned long long)base);
	if (!range_ok(cfg->mmio32, cfg->mmio32_size, 0x100000000ull) ||
	    !range_ok(cfg->ecam, 0x100000, 0x100000000ull) || cfg->ioapic > 0xffffffff ||
	    !range_ok(cfg->mmio64, cfg->mmio64_size, 1ull << MEM_GPA_BITS) ||
	    cfg->pm_base > 0xfff0 || cfg->sci_irq > 15)
		return err_set(e, -EINVAL, "the board's addresses do not fit into ACPI tables");
	return 0;
}

int acpi_build(struct acpi_image *out, const struct acpi_config *cfg, gpa_t base, struct err *e)
{
	struct build w = { .base = base };
	size_t facs, dsdt;
	int rc = check(cfg, base, e);

	if (rc)
		return rc;
	w.b = calloc(1, IMAGE_MAX);
	if (!w.b)
		return err_set(e, -ENOMEM, "out of memory");
	reserve(&w, RSDP_SIZE);
	facs = reserve(&w, FACS_SIZE);
	memcpy(w.b + facs, "FACS", 4); /* 5.2.10; has no checksum */
	put_le32(w.b + facs + 4, FACS_SIZE);
	w.b[facs + 32] = 2; /* version */
	BUG_ON(acpi_dsdt_len < HEADER_SIZE);
	dsdt = reserve(&w, acpi_dsdt_len);
	memcpy(w.b + dsdt, acpi_dsdt, acpi_dsdt_len);
	make_fadt(&w, cfg, facs, dsdt);
	make_madt(&w, cfg);
	make_mcfg(&w, cfg);
	make_waet(&w);
	make_ssdt(&w, cfg);
	make_roots(&w);
	*out = (struct acpi_image) { .bytes = w.b, .len = w.len, .rsdp = base };
	return 0;
}
