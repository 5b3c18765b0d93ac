/* SPDX-License-Identifier: MIT */
/*
 * A model of the local APIC with x2APIC and TSC-deadline timer, for engines without their own.
 *
 * Theory of operation: SDM vol. 3A, chapter 10. Each vCPU has one struct lapic; all of a VM are
 * known to a struct lapic_set, which delivers messages between them. Interrupt requests come from
 * any thread: they set a bit in IRR (and TMR) atomically and call the owner's `wake`. Everything
 * else (registers, ISR, acceptance, EOI) runs on the owning vCPU's thread.
 *
 * INIT, SIPI, NMI, SMI and ExtINT are flags in `events`, set by anyone and taken by the owner
 * with lapic_take_events().
 */
#ifndef HOLM_CPU_LAPIC_H
#define HOLM_CPU_LAPIC_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LAPIC_VECTORS	   256
#define LAPIC_BASE_DEFAULT 0xfee00000u

/* Bits of lapic.events. */
#define LAPIC_EV_INIT 0x01u
#define LAPIC_EV_SIPI 0x02u /* start page in sipi_vector */
#define LAPIC_EV_NMI  0x04u

/** What the model needs of its owner, all with the same context. */
struct lapic_owner_ops {
	/** There is something new in irr or events: wake or interrupt the vCPU. Any thread. */
	void (*wake)(void *ctx);
	/** The guest's TSC, now. Owner's thread. */
	uint64_t (*tsc)(void *ctx);
	/** Host monotonic nanoseconds, for the one-shot and periodic timer. Owner's thread. */
	uint64_t (*now_ns)(void *ctx);
	/**
	 * Call lapic_timer_check() at guest TSC @deadline (deadline mode) or at host time @at_ns
	 * (other modes); UINT64_MAX in both: no timer. Owner's thread.
	 */
	void (*timer_arm)(void *ctx, uint64_t tsc_deadline, uint64_t at_ns);
	/** EOI of a level-triggered vector: the IOAPIC wants to know. Owner's thread. */
	void (*eoi)(void *ctx, uint8_t vector);
};

struct lapic_set;

struct lapic {
	struct lapic_set *set;
	uint32_t id; /* APIC id, also the index in the set */
	const struct lapic_owner_ops *ops;
	void *ctx;

	/* Shared: any thread sets bits. */
	_Atomic uint64_t irr[LAPIC_VECTORS / 64];
	_Atomic uint64_t tmr[LAPIC_VECTORS / 64];
	atomic_uint events;
	atomic_uint sipi_vector;
	/* Read by senders to decide acceptance: base MSR, SVR and logical id. */
	_Atomic uint64_t base_msr;
	atomic_uint svr, ldr, dfr;

	/* Owner's thread only. */
	uint64_t isr[LAPIC_VECTORS / 64];
	uint32_t tpr, esr, esr_pending;
	uint64_t icr;
	uint32_t lvt_timer, lvt_thermal, lvt_pmc, lvt_lint0, lvt_lint1, lvt_error;
	uint32_t timer_icr, timer_dcr;
	uint64_t timer_start_ns; /* when the current count began */
	uint64_t tsc_deadline;	 /* MSR 0x6e0; 0 while disarmed */
};

/** lapic_set_create() - for @n vCPUs, ids 0..@n-1. */
int lapic_set_create(struct lapic_set **out, unsigned n, struct err *e) MUST_CHECK;
void lapic_set_destroy(struct lapic_set *s);

/** lapic_init() - power-on state, and enter it into the set. vCPU @id 0 is the BSP. */
void lapic_init(struct lapic *l, struct lapic_set *set, uint32_t id,
		const struct lapic_owner_ops *ops, void *ctx);

/** lapic_reset() - as after INIT (@init) or power-on. Owner's thread. */
void lapic_reset(struct lapic *l, bool init);

/** lapic_msi() - deliver a message (SDM vol. 3A, 10.11) to whom it names. Any thread. */
void lapic_msi(struct lapic_set *s, uint64_t addr, uint32_t data);

/**
 * lapic_mmio_read(), lapic_mmio_write() - the register page in xAPIC mode, @off 0..0xfff.
 * 4-byte aligned accesses count; others read 0 and are dropped. Owner's thread.
 */
uint32_t lapic_mmio_read(struct lapic *l, uint32_t off);
void lapic_mmio_write(struct lapic *l, uint32_t off, uint32_t val);

/**
 * lapic_msr_read(), lapic_msr_write() - MSRs 0x1b, 0x6e0 and 0x800..0x8ff.
 * Return: 0, or -EINVAL where the access gets #GP. Owner's thread.
 */
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val) MUST_CHECK;
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val) MUST_CHECK;

/** lapic_tpr() - CR8 view: TPR bits 7..4. lapic_set_tpr() - write CR8. Owner's thread. */
uint32_t lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint32_t cr8);

/** lapic_pending() - the vector that would be delivered now, or -1. Cheap; owner's thread. */
int lapic_pending(const struct lapic *l);

/** lapic_has_work() - whether irr or events may hold anything; two loads. Owner's thread. */
bool lapic_has_work(const struct lapic *l);

/** lapic_accept() - move lapic_pending()'s vector from IRR to ISR and return it. */
uint8_t lapic_accept(struct lapic *l);

/** lapic_eoi() - write to the EOI register. Owner's thread. */
void lapic_eoi(struct lapic *l);

/** lapic_takes_extint() - whether LINT0 (or a disabled APIC) lets the PIC's INTR through. */
bool lapic_takes_extint(const struct lapic *l);

/** lapic_take_events() - the LAPIC_EV_* bits set since the last call, cleared. */
unsigned lapic_take_events(struct lapic *l);

/** lapic_timer_check() - the timer may be due: raise its vector, re-arm. Owner's thread. */
void lapic_timer_check(struct lapic *l);

/**
 * lapic_save_regs(), lapic_load_regs() - to and from a 1 KiB register page (struct cpu_state).
 * Loading refuses (-EINVAL) values no register can have. Owner's thread.
 */
void lapic_save_regs(const struct lapic *l, uint8_t *regs);
int lapic_load_regs(struct lapic *l, const uint8_t *regs, uint64_t base_msr,
		    uint64_t tsc_deadline) MUST_CHECK;

#endif
