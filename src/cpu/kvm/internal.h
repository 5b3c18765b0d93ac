/* SPDX-License-Identifier: MIT */
/*
 * What the KVM engine's files share: vm.c (VM, memory, interrupts), vcpu.c (the run loop),
 * state.c (state in and out), probe.c (whether KVM is there and how fast it is).
 */
#ifndef HOLM_CPU_KVM_INTERNAL_H
#define HOLM_CPU_KVM_INTERNAL_H

#include "cpu/cpu.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

/** A kernel structure with its flexible array, room for @n entries behind it. */
#define KVM_LIST(type, entry, n)                                                                   \
	union {                                                                                    \
		struct type list;                                                                  \
		uint8_t room[sizeof(struct type) + (n) * sizeof(struct entry)];                    \
	}

#define KVM_IOAPIC_PINS 24

enum kvm_stat { STAT_IO, STAT_MMIO, STAT_EOI, STAT_IRQ_WINDOW, STAT_KICK, STAT_OTHER, STAT_COUNT };

struct cpu_vcpu {
	struct cpu_vm *vm;
	unsigned id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	/* The running thread, for the signal; valid while in_run. */
	_Atomic pthread_t thread;
	atomic_bool in_run;
	atomic_bool kicked;    /* vcpu_run must return */
	atomic_bool attention; /* only look at INTR again */
	atomic_uint_fast64_t stat[STAT_COUNT];
};

struct cpu_vm {
	int sys_fd, fd;
	unsigned n;
	_Atomic(struct cpu_vcpu *) vcpu[CPU_VCPUS_MAX];
	const struct cpu_io_ops *io;
	struct mem *mem;
	struct cpuid_table cpuid;
	atomic_bool intr; /* the PIC's wire */
	bool dirty_log;
	uint64_t tsc_stood; /* vCPU 0's TSC when the VM came to stand still */
	struct kvm_slot {
		const struct mem_region *r; /* NULL: free */
	} slot[MEM_REGIONS_MAX];
};

/** kvm_open() - /dev/kvm with API version 12 and what the engine needs; -errno and a sentence. */
int kvm_open(int *fd, struct err *e) MUST_CHECK;
/** kvm_supported() - KVM_GET_SUPPORTED_CPUID as a table, with TSC frequency. */
int kvm_supported(int sys_fd, struct cpuid_table *out, struct err *e) MUST_CHECK;
/** kvm_signal() - the signal that interrupts KVM_RUN. */
int kvm_signal(void);

int kvm_vcpu_create(struct cpu_vcpu **out, struct cpu_vm *vm, unsigned id,
		    struct err *e) MUST_CHECK;
void kvm_vcpu_destroy(struct cpu_vcpu *v);
enum cpu_exit kvm_vcpu_run(struct cpu_vcpu *v);
void kvm_vcpu_kick(struct cpu_vcpu *v);
/** kvm_vcpu_poke() - leave KVM_RUN to look at INTR; vcpu_run does not return for it. */
void kvm_vcpu_poke(struct cpu_vcpu *v);
unsigned kvm_vcpu_stats(struct cpu_vcpu *v, struct cpu_stat *out, unsigned max);
int kvm_get_state(struct cpu_vcpu *v, struct cpu_state *s, struct err *e) MUST_CHECK;
int kvm_set_state(struct cpu_vcpu *v, const struct cpu_state *s, struct err *e) MUST_CHECK;
void kvm_probe(struct cpu_probe *p);

#endif
