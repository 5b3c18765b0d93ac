/* SPDX-License-Identifier: MIT */
/*
 * What the micro guests (guest.S, case_*.S) and their host program (main.c) agree on.
 *
 * The guest is one flat binary at MICRO_BASE. It starts with the header below; one case is run
 * per VM, in 64-bit mode at privilege level 0 with RDI holding the case's entry. A case writes
 * values to the log; the host compares the log with what the case says it must be (SDM).
 */
#ifndef MICRO_H
#define MICRO_H

#define MICRO_MAGIC    0x6f7263696d6d6c68

#define MICRO_RAM      0x800000 /* bytes */
#define MICRO_TABLES   0x10000	/* PML4, PDPT, PD, PT of 0..2 MiB, PT of 2..4 MiB */
#define MICRO_PD       (MICRO_TABLES + 0x2000)
#define MICRO_PT0      (MICRO_TABLES + 0x3000)
#define MICRO_PT1      (MICRO_TABLES + 0x4000)
#define MICRO_STACK    0x80000
#define MICRO_BASE     0x100000
#define MICRO_USER     0x180000 /* to 0x1fffff: pages of level 3 */
#define MICRO_SCRATCH  0x200000 /* pages of level 0, for cases to change; PTEs in MICRO_PT1 */
#define MICRO_LARGE    0x400000 /* two pages of 2 MiB, level 0 */

#define MICRO_APIC     0x3fe00000 /* linear address of the local APIC's page */

#define MICRO_PORT_END 0xf4 /* a byte: 0 the case is through, 1 an exception nobody expected */
#define MICRO_LOG_MAX  64

/* Flags of a case. */
#define MICRO_SHUTDOWN 1 /* ends by triple fault */
#define MICRO_TWO      2 /* two vCPUs */
/*
 * Left out with the engine KVM there, because what is below it answers otherwise: see which.
 * KVM's emulator lacks INT n, FWAIT, far calls in 64-bit mode and many checks. QEMU's CPU numbers
 * IDT error codes by 16, checks neither segment limits nor many reserved bits, and has no #AC,
 * RF or INT1. KVM takes any value for x2APIC's EOI.
 * QEMU's CPU once hung in fpu_errors.
 */
#define MICRO_NOT_EMULATED 4 /* a KVM that emulates every instruction itself */
#define MICRO_NOT_TCG	   8 /* KVM on AMD-V that QEMU emulates */

#define SEL_CODE64	   0x08
#define SEL_DATA	   0x10
#define SEL_CODE32	   0x18
#define SEL_USER32	   0x23
#define SEL_USERDATA	   0x2b
#define SEL_USER64	   0x33
#define SEL_TSS		   0x38 /* 16 bytes */
#define SEL_LIMITED	   0x48 /* data, base MICRO_SCRATCH, limit 0xfff, level 3 */
#define SEL_ABSENT	   0x50
#define SEL_GATE0	   0x58 /* call gate to level 0, for level 3; 16 bytes */
#define SEL_GATE_DPL0	   0x68 /* call gate for level 0 only; 16 bytes */
#define SEL_DOWN	   0x78 /* data, expand down, valid from 0x1000 */
#define SEL_EXEC	   0x80 /* code that may not be read */
#define SEL_LDT		   0x88 /* 16 bytes */
#define SEL_TSS_BUSY	   0x98 /* 16 bytes */
#define SEL_CONFORM	   0xa8 /* conforming code, level 0 */
#define SEL_CODE16	   0xb0
#define SEL_TOP		   0xb8 /* the table's size */

#endif
