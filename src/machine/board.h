/* SPDX-License-Identifier: MIT */
/*
 * The board's map: where everything sits. One place, so that tables and devices agree.
 */
#ifndef HOLM_MACHINE_BOARD_H
#define HOLM_MACHINE_BOARD_H

/* Guest-physical. */
#define BOARD_LOW_RAM_END     0xc0000000ull /* start of the 32-bit hole */
#define BOARD_PCI_MMIO32      0xc0000000ull
#define BOARD_PCI_MMIO32_SIZE 0x20000000ull
#define BOARD_ECAM	      0xe0000000ull
#define BOARD_ECAM_SIZE	      0x100000ull /* bus 0 only */
#define BOARD_IOAPIC	      0xfec00000ull
#define BOARD_LAPIC	      0xfee00000ull
#define BOARD_PCI_MMIO64_SIZE 0x1000000000ull /* 64 GiB, from behind the high RAM, aligned */
#define BOARD_ACPI_TABLES     0xe0000ull
#define BOARD_VMGENID	      0xef000ull /* a page of its own, reserved in the memory map */

/* Start of the 64-bit PCI window: behind the high RAM, aligned to its own size. */
static inline unsigned long long board_mmio64(unsigned long long high_ram_end)
{
	return (high_ram_end + BOARD_PCI_MMIO64_SIZE - 1) & ~(BOARD_PCI_MMIO64_SIZE - 1);
}

/* Ports. */
#define BOARD_PORT_PIC_MASTER  0x20
#define BOARD_PORT_PIC_SLAVE   0xa0
#define BOARD_PORT_ELCR	       0x4d0
#define BOARD_PORT_PIT	       0x40
#define BOARD_PORT_SPEAKER     0x61
#define BOARD_PORT_I8042_DATA  0x60
#define BOARD_PORT_I8042_CMD   0x64
#define BOARD_PORT_RTC	       0x70
#define BOARD_PORT_FAST_A20    0x92
#define BOARD_PORT_COM1	       0x3f8
#define BOARD_PORT_COM2	       0x2f8
#define BOARD_PORT_COM3	       0x3e8
#define BOARD_PORT_COM4	       0x2e8
#define BOARD_PORT_FW_CFG      0x510
#define BOARD_PORT_RESET       0xcf9
#define BOARD_PORT_PM	       0x600 /* PM1a event 0x600, control 0x604, timer 0x608 */
#define BOARD_PORT_PCI_IO      0xc000
#define BOARD_PORT_PCI_IO_SIZE 0x1000

/* Global system interrupts. */
#define BOARD_IRQ_PIT	    0 /* PIC input 0, IOAPIC input 2 (MADT override) */
#define BOARD_IRQ_KEYBOARD  1
#define BOARD_IRQ_COM2	    3
#define BOARD_IRQ_COM1	    4
#define BOARD_IRQ_RTC	    8
#define BOARD_IRQ_SCI	    9
#define BOARD_IRQ_PCI_FIRST 16 /* INTA..INTD at 16..19 */
#define BOARD_IOAPIC_PINS   24

#endif
