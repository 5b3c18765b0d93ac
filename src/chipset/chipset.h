/* SPDX-License-Identifier: MIT */
/*
 * The chipset's devices: each has a create function that claims its ranges and a dev_ops table.
 *
 * All run under the machine lock. `base` and similar parameters are port numbers or guest-
 * physical addresses; interrupt lines are taken by value. Every create leaves nothing behind on
 * failure; destroy goes through the dev_ops.
 */
#ifndef HOLM_CHIPSET_CHIPSET_H
#define HOLM_CHIPSET_CHIPSET_H

#include "chr/chr.h"
#include "dev/dev.h"

/* Two cascaded 8259A with ELCR. */
struct pic;
extern const struct dev_ops pic_dev_ops;
/** @intr: the master's INTR output. */
int pic_create(struct pic **out, const struct dev_env *env, const struct irq_line *intr,
	       struct err *e) MUST_CHECK;
/** pic_set_irq() - input @n, 0..15; matches irq_line.set with ctx the pic. */
void pic_set_irq(void *pic, unsigned n, bool level);
/** pic_ack() - INTA: the vector, the spurious one where nothing is pending. */
uint8_t pic_ack(struct pic *p);
/** pic_setup_bios() - as a BIOS leaves it: vectors 0x08/0x70, all masked but the cascade. */
void pic_setup_bios(struct pic *p);

/* 8254 with channel 2 gate and speaker port 0x61. */
struct pit;
extern const struct dev_ops pit_dev_ops;
int pit_create(struct pit **out, const struct dev_env *env, const struct irq_line *irq,
	       struct err *e) MUST_CHECK;
/** pit_setup_bios() - channel 0 in mode 3 at 18.2 Hz, as a BIOS leaves it. */
void pit_setup_bios(struct pit *p);

/* MC146818 RTC with 128 bytes of CMOS. */
struct rtc;
extern const struct dev_ops rtc_dev_ops;
int rtc_create(struct rtc **out, const struct dev_env *env, const struct irq_line *irq,
	       struct err *e) MUST_CHECK;
/** rtc_setup_bios() - memory sizes in CMOS, as a BIOS leaves them. */
void rtc_setup_bios(struct rtc *r, uint64_t low_ram, uint64_t high_ram);

/* 82093AA IOAPIC, 24 inputs. */
struct ioapic;
extern const struct dev_ops ioapic_dev_ops;
struct ioapic_config {
	gpa_t base;
	/** All redirection entries changed: for cpu_engine_ops.vm_ioapic_routes. Optional. */
	void (*routes_changed)(void *ctx, const uint64_t *redir, unsigned n);
	void *ctx;
};
/** Delivers through env->msi. */
int ioapic_create(struct ioapic **out, const struct dev_env *env, const struct ioapic_config *cfg,
		  struct err *e) MUST_CHECK;
/** ioapic_set_irq() - input @n, 0..23; matches irq_line.set with ctx the ioapic. */
void ioapic_set_irq(void *ioapic, unsigned n, bool level);
/** ioapic_eoi() - a local APIC ended @vector: clear Remote IRR, deliver again if still high. */
void ioapic_eoi(struct ioapic *a, uint8_t vector);

/* 16550A UART. */
struct uart;
extern const struct dev_ops uart_dev_ops;
/** @chr: owned from success on. */
int uart_create(struct uart **out, const struct dev_env *env, uint16_t base,
		const struct irq_line *irq, struct chr *chr, struct err *e) MUST_CHECK;

/* i8042: reset pulse, self-test, a keyboard stub; also fast A20 at 0x92. */
struct i8042;
extern const struct dev_ops i8042_dev_ops;
int i8042_create(struct i8042 **out, const struct dev_env *env, const struct irq_line *kbd_irq,
		 struct err *e) MUST_CHECK;

/* ACPI fixed hardware: PM1a, PM timer, S5, reset port 0xcf9, power button. */
struct acpi_pm;
extern const struct dev_ops acpi_pm_dev_ops;
int acpi_pm_create(struct acpi_pm **out, const struct dev_env *env, uint16_t base,
		   const struct irq_line *sci, struct err *e) MUST_CHECK;
/** acpi_pm_power_button() - press it once. */
void acpi_pm_power_button(struct acpi_pm *p);

/* QEMU-compatible fw_cfg: ports 0x510/0x511 and DMA at 0x514. */
struct fw_cfg;
extern const struct dev_ops fw_cfg_dev_ops;
int fw_cfg_create(struct fw_cfg **out, const struct dev_env *env, struct err *e) MUST_CHECK;
/** fw_cfg_add_item() - item @key with a copy of the bytes. fw_cfg_add_file(): a named one. */
int fw_cfg_add_item(struct fw_cfg *f, uint16_t key, const void *bytes, size_t len,
		    struct err *e) MUST_CHECK;
int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *bytes, size_t len,
		    struct err *e) MUST_CHECK;

/* isa-debug-exit and pc-testdev, opt-in. */
struct debug_exit;
extern const struct dev_ops debug_exit_dev_ops;
int debug_exit_create(struct debug_exit **out, const struct dev_env *env, uint16_t base,
		      struct err *e) MUST_CHECK;
struct pc_testdev;
extern const struct dev_ops pc_testdev_dev_ops;
/** @irqs: lines of GSI 0..23 to be driven by ports 0x2000 + n. */
int pc_testdev_create(struct pc_testdev **out, const struct dev_env *env,
		      const struct irq_line irqs[24], struct err *e) MUST_CHECK;

#endif
