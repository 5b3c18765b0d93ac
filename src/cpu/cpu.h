/* SPDX-License-Identifier: MIT */
/*
 * The CPU engine seam: what runs guest instructions.
 *
 * Theory of operation: an engine is one const table. A VM object holds what vCPUs share; each
 * vCPU is run by one thread of the VMM's, which calls vcpu_run() in a loop. The engine *calls
 * out* through cpu_io_ops in mid-instruction for ports, MMIO and interrupt acknowledge, so that a
 * translator need not unwind and KVM exits look the same. vcpu_run() comes back only for the few
 * reasons of enum cpu_exit. State crosses the seam as struct cpu_state, which is architectural:
 * neither KVM's nor the translator's, so a snapshot taken on one engine resumes on the other.
 *
 * Interrupts: IOAPIC, PIC and PIT are the machine's. They reach a vCPU as MSI messages
 * (vm_msi) or as the PIC's INTR wire (vm_intr). The local APIC belongs to the engine.
 */
#ifndef HOLM_CPU_CPU_H
#define HOLM_CPU_CPU_H

#include "base/compiler.h"
#include "base/err.h"
#include "cpu/cpuid.h"
#include "cpu/state.h"
#include "mem/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define CPU_VCPUS_MAX 64

/** Why vcpu_run() came back. */
enum cpu_exit {
	CPU_EXIT_KICKED,   /* vcpu_kick() was called; nothing is wrong */
	CPU_EXIT_SHUTDOWN, /* triple fault */
	CPU_EXIT_DEBUG,	   /* a breakpoint or step that the debugger asked for */
	CPU_EXIT_ERROR,	   /* the engine cannot go on; its log line says why */
	CPU_EXIT_COUNT
};

/**
 * Calls from the engine into the machine, on the vCPU's thread, without any lock held; the
 * machine takes its own. They must not block for long and never re-enter the engine's vcpu_run.
 */
struct cpu_io_ops {
	/** Port access; @size 1, 2 or 4. */
	uint32_t (*port_in)(void *ctx, uint16_t port, unsigned size);
	void (*port_out)(void *ctx, uint16_t port, unsigned size, uint32_t val);
	/** Access to what is neither RAM nor ROM (or a write to ROM); @size 1, 2, 4 or 8. */
	uint64_t (*mmio_read)(void *ctx, gpa_t gpa, unsigned size);
	void (*mmio_write)(void *ctx, gpa_t gpa, unsigned size, uint64_t val);
	/** INTA cycle of vCPU 0: the PIC's vector (its spurious one where INTR went away). */
	uint8_t (*irq_ack)(void *ctx);
	/** A local APIC wrote EOI for @vector of a level-triggered interrupt. */
	void (*eoi)(void *ctx, uint8_t vector);
	void *ctx;
};

/** What an engine is asked to make; copied by vm_create. */
struct cpu_vm_config {
	unsigned vcpus;			 /* 1..CPU_VCPUS_MAX; APIC ids are 0..vcpus-1 */
	const struct cpuid_table *cpuid; /* what guests see; APIC id fields are filled per vCPU */
	const struct cpu_io_ops *io;
	struct mem *mem;
	const char *options; /* engine's own, "jit=off"; NULL or "" for none */
};

/** One fact or finding of a probe, for `holm doctor`. */
struct cpu_probe {
	bool usable;   /* the engine can run here */
	bool emulated; /* KVM without hardware below it: works, but slower than soft */
	double mips;   /* measured millions of instructions a second, 0 if not measured */
	char why[256]; /* one sentence for the person */
};

struct cpu_vm;
struct cpu_vcpu;

/** A counter for --metrics and `stats`. */
struct cpu_stat {
	const char *name; /* static, snake_case */
	uint64_t value;
};

/** An engine. Every op is mandatory unless it says so. Errors are -errno with a sentence. */
struct cpu_engine_ops {
	const char *name; /* "kvm", "soft" */

	/** Find out whether it can run here, within 200 ms; never fails, says so in @p. */
	void (*probe)(struct cpu_probe *p);

	/** What CPUID leaves the engine can give, before policy (see cpuid.h). */
	int (*cpuid_supported)(struct cpuid_table *out, struct err *e);

	/**
	 * Make a VM and listen to @cfg->mem. @cfg->io->ctx must stay valid until vm_destroy.
	 * Errors: -ENODEV (engine not to be had), -EACCES, -ENOMEM, -EINVAL (options).
	 */
	int (*vm_create)(struct cpu_vm **out, const struct cpu_vm_config *cfg, struct err *e);
	/** All vCPUs must be destroyed. NULL is allowed. */
	void (*vm_destroy)(struct cpu_vm *vm);

	/** vCPU @id, in the state after power-on: 0 runs at the reset vector, others wait for SIPI.
	 */
	int (*vcpu_create)(struct cpu_vcpu **out, struct cpu_vm *vm, unsigned id, struct err *e);
	/** Not while vcpu_run is on. NULL is allowed. */
	void (*vcpu_destroy)(struct cpu_vcpu *v);

	/**
	 * Run guest code on the calling thread until there is a reason to come back. Waits inside
	 * for interrupts when the guest halts or waits for SIPI. Only vcpu_kick ends it from
	 * outside.
	 */
	enum cpu_exit (*vcpu_run)(struct cpu_vcpu *v);

	/**
	 * Make a running or the next vcpu_run return CPU_EXIT_KICKED soon. Any thread, any time;
	 * async-signal-safe; sticky until one vcpu_run returned for it.
	 */
	void (*vcpu_kick)(struct cpu_vcpu *v);

	/** State in and out; the vCPU is not running; on its thread or any while none runs it. */
	int (*vcpu_get_state)(struct cpu_vcpu *v, struct cpu_state *s, struct err *e);
	/** Refuses (-EINVAL) a state no CPU can be in; the vCPU is then unchanged. */
	int (*vcpu_set_state)(struct cpu_vcpu *v, const struct cpu_state *s, struct err *e);

	/** A message-signalled interrupt, as a device would write it. Any thread. */
	void (*vm_msi)(struct cpu_vm *vm, uint64_t addr, uint32_t data);

	/** The PIC's INTR wire to vCPU 0's LINT0 changed. Any thread. */
	void (*vm_intr)(struct cpu_vm *vm, bool level);

	/** NMI to one vCPU (`holm nmi`). Any thread. */
	void (*vcpu_nmi)(struct cpu_vcpu *v);

	/**
	 * Which IOAPIC inputs are level-triggered and to whom, so that the engine can call
	 * io->eoi for their vectors. @n redirection entries in the IOAPIC's own layout
	 * (82093AA, 3.2.4). Any thread. Optional: an engine that always calls eoi leaves it NULL.
	 */
	void (*vm_ioapic_routes)(struct cpu_vm *vm, const uint64_t *redir, unsigned n);

	/**
	 * The VM stands still from now on (@on), or goes on after @ns: then its clocks (TSC, APIC
	 * timers, kvmclock) are moved back, so that the guest sees nothing of it. No vCPU runs.
	 * Optional: without it the guest's clocks leap. -ENOTSUP where the host cannot.
	 */
	int (*vm_stand_still)(struct cpu_vm *vm, bool on, uint64_t ns);

	/**
	 * The time that kvmclock shows, ns since the guest's start: what it is, and what it is from
	 * now on. No vCPU runs; set before the state of vCPUs, which has pages with it. -errno.
	 */
	int (*vm_get_clock)(struct cpu_vm *vm, uint64_t *ns);
	int (*vm_set_clock)(struct cpu_vm *vm, uint64_t ns);

	/** Start or stop the dirty log. Optional: NULL where mem's own flags are always right. */
	int (*vm_dirty_log)(struct cpu_vm *vm, bool on, struct err *e);
	/** OR the engine's own dirty pages of @r into @bitmap (see mem_dirty_take). Optional. */
	int (*vm_dirty_take)(struct cpu_vm *vm, const struct mem_region *r, uint8_t *bitmap);

	/** Up to @max counters of one vCPU; returns how many. Any thread; values may lag. */
	unsigned (*vcpu_stats)(struct cpu_vcpu *v, struct cpu_stat *out, unsigned max);
};

#endif
