/* SPDX-License-Identifier: MIT */
/*
 * Whether KVM is there, and how fast it really is.
 *
 * Theory of operation: /dev/kvm can be open and still be useless: where no hardware support lies
 * below it, the kernel interprets every instruction. So the probe runs a loop of two instructions
 * in a micro guest (real mode, one page of memory) for a few milliseconds and counts. A CPU runs
 * such a loop at many hundred million instructions a second; an interpreter stays far below
 * EMULATED_MIPS.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "cpu/kvm/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROBE_PAGE 4096u
#define PROBE_GPA  0x1000u
/*
 * A round this long is a measurement. Short, because every start waits for it: hardware gets there
 * with some 100,000 turns, an emulation with the first hundred.
 */
#define PROBE_NS       (CLOCK_NS_PER_MS / 5)
#define PROBE_RUNS_MAX 12
#define PROBE_TURNS    128u
/* Below this many million instructions a second the kernel interprets. */
#define EMULATED_MIPS 100.0

/* mov ecx, N; l: dec ecx; jnz l; out 0x10, al; jmp start: two instructions a turn. */
static const uint8_t probe_code[] = {
	0x66, 0xb9, 0, 0, 0, 0, /* mov $N, %ecx */
	0x66, 0x49,		/* dec %ecx */
	0x75, 0xfc,		/* jnz -4 */
	0xe6, 0x10,		/* out %al, $0x10 */
	0xeb, 0xf2,		/* jmp to the start */
};

struct probe_vm {
	int sys, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *page;
};

static void probe_free(struct probe_vm *p)
{
	if (p->run)
		munmap(p->run, p->run_size);
	fd_close(&p->vcpu);
	fd_close(&p->vm);
	fd_close(&p->sys);
	if (p->page)
		munmap(p->page, PROBE_PAGE);
}

static int probe_make(struct probe_vm *p)
{
	struct kvm_userspace_memory_region m = { .guest_phys_addr = PROBE_GPA,
						 .memory_size = PROBE_PAGE };
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = PROBE_GPA, .rflags = 2 };
	void *page, *run;
	int size;

	page = mmap(NULL, PROBE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	p->page = page;
	m.userspace_addr = (uintptr_t)page;
	p->vm = ioctl(p->sys, KVM_CREATE_VM, 0);
	if (p->vm < 0 || ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &m))
		return -errno;
	p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(p->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (p->vcpu < 0 || size < (int)sizeof(*p->run))
		return -ENODEV;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	if (run == MAP_FAILED)
		return -errno;
	p->run = run;
	p->run_size = (size_t)size;
	if (ioctl(p->vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(p->vcpu, KVM_SET_SREGS, &sregs) || ioctl(p->vcpu, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

/* One round of @n turns; nanoseconds, or 0 where the guest did not come back as it should. */
static uint64_t probe_round(struct probe_vm *p, uint32_t n)
{
	uint64_t start;

	memcpy(p->page, probe_code, sizeof(probe_code));
	memcpy(p->page + 2, &n, sizeof(n));
	start = clock_monotonic_ns();
	if (ioctl(p->vcpu, KVM_RUN, 0) || p->run->exit_reason != KVM_EXIT_IO)
		return 0;
	return MAX(clock_monotonic_ns() - start, (uint64_t)1);
}

/*
 * More work until it shows beside what entering and leaving takes; then again, against a
 * disturbance.
 */
static double probe_measure(struct probe_vm *p)
{
	uint64_t entry, ns = 0, again;
	uint32_t n = PROBE_TURNS;

	/* The first round pays for the guest's memory and the CPU's first entry. */
	if (!probe_round(p, 1))
		return 0;
	entry = probe_round(p, 1);
	for (unsigned i = 0; i < PROBE_RUNS_MAX && entry; i++) {
		ns = probe_round(p, n);
		if (!ns || ns >= entry + MAX(entry, PROBE_NS))
			break;
		n *= 4;
	}
	again = ns ? probe_round(p, n) : 0;
	if (!again)
		return 0;
	ns = MIN(ns, again);
	return 2.0 * n * 1000.0 / (double)(ns > entry ? ns - entry : 1);
}

void kvm_probe(struct cpu_probe *out)
{
	struct probe_vm p = { .sys = -1, .vm = -1, .vcpu = -1 };
	struct err e = { 0 };
	int ret = kvm_open(&p.sys, &e);

	*out = (struct cpu_probe) { 0 };
	if (ret) {
		snprintf(out->why, sizeof(out->why), "%.250s", e.msg);
		return;
	}
	ret = probe_make(&p);
	if (!ret)
		out->mips = probe_measure(&p);
	probe_free(&p);
	if (ret || out->mips == 0) {
		snprintf(out->why, sizeof(out->why), "/dev/kvm opens but does not run a guest (%s)",
			 ret ? strerror(-ret) : "the micro guest failed");
		return;
	}
	out->usable = true;
	out->emulated = out->mips < EMULATED_MIPS;
	if (out->emulated)
		snprintf(out->why, sizeof(out->why),
			 "/dev/kvm only emulates (%.1f million instructions a second); there is no "
			 "hardware support below it",
			 out->mips);
	else
		snprintf(out->why, sizeof(out->why),
			 "/dev/kvm runs %.0f million instructions a second", out->mips);
}
