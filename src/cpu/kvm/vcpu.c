/* SPDX-License-Identifier: MIT */
/*
 * A vCPU of the KVM engine: the run loop and its exits.
 *
 * Theory of operation: KVM_RUN blocks for a halted guest too, so the loop only serves exits. It
 * is left by setting run->immediate_exit and sending a signal whose handler does nothing: the
 * flag covers the time before KVM_RUN, the signal the time in it. `kicked` means that vcpu_run
 * returns, a mere poke means that the loop looks at the PIC's INTR wire again.
 *
 * Limits: debug exits are reported as CPU_EXIT_DEBUG without detail.
 */
#include "base/fd.h"
#include "base/log.h"
#include "cpu/kvm/internal.h"
#include "spec/x86.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static const char *const stat_names[] = {
	[STAT_IO] = "exits_io",	    [STAT_MMIO] = "exits_mmio",
	[STAT_EOI] = "exits_eoi",   [STAT_IRQ_WINDOW] = "exits_window",
	[STAT_KICK] = "exits_kick", [STAT_OTHER] = "exits_other",
};
static_assert(ARRAY_SIZE(stat_names) == STAT_COUNT, "stats");

static int set_cpuid(struct cpu_vcpu *v, struct err *e)
{
	struct cpuid_table t;
	KVM_LIST(kvm_cpuid2, kvm_cpuid_entry2, CPUID_LEAVES_MAX) c = { 0 };

	cpuid_for_vcpu(&t, &v->vm->cpuid, v->id);
	c.list.nent = t.n;
	for (unsigned i = 0; i < t.n; i++) {
		const struct cpuid_leaf *l = &t.leaf[i];

		c.list.entries[i] = (struct kvm_cpuid_entry2) {
			.function = l->leaf,
			.index = l->subleaf,
			.flags = l->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = l->eax,
			.ebx = l->ebx,
			.ecx = l->ecx,
			.edx = l->edx,
		};
	}
	if (ioctl(v->fd, KVM_SET_CPUID2, &c))
		return err_set(e, -errno, "KVM refuses the CPUID table: %s", strerror(errno));
	return 0;
}

static void set_msr(struct cpu_vcpu *v, uint32_t index, uint64_t value)
{
	KVM_LIST(kvm_msrs, kvm_msr_entry, 1) q = { .list.nmsrs = 1 };

	q.list.entries[0].index = index;
	q.list.entries[0].data = value;

	if (ioctl(v->fd, KVM_SET_MSRS, &q) != 1)
		log_line(LOG_DEBUG, "kvm", "MSR 0x%x is refused", index);
}

int kvm_vcpu_create(struct cpu_vcpu **out, struct cpu_vm *vm, unsigned id, struct err *e)
{
	struct cpu_vcpu *v;
	int rc, size;

	if (id >= vm->n || atomic_load(&vm->vcpu[id]))
		return err_set(e, -EINVAL, "there is no free vCPU %u", id);
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, -ENOMEM, "no memory for vCPU %u", id);
	v->vm = vm;
	v->id = id;
	v->run = MAP_FAILED;
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (v->fd < 0) {
		rc = err_set(e, -errno, "KVM makes no vCPU %u: %s", id, strerror(errno));
		goto fail;
	}
	size = ioctl(vm->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(*v->run)) {
		rc = err_set(e, -ENODEV, "KVM gives vCPU %u no shared page", id);
		goto fail;
	}
	v->run_size = (size_t)size;
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		rc = err_set(e, -errno, "the shared page of vCPU %u cannot be mapped", id);
		goto fail;
	}
	rc = set_cpuid(v, e);
	if (rc)
		goto fail;
	if (vm->cpuid.arch_capabilities)
		set_msr(v, X86_MSR_ARCH_CAPABILITIES, vm->cpuid.arch_capabilities);
	set_msr(v, X86_MSR_MISC_ENABLE, 1); /* fast strings, as firmware leaves it */
	atomic_store(&vm->vcpu[id], v);
	*out = v;
	return 0;
fail:
	kvm_vcpu_destroy(v);
	return rc;
}

void kvm_vcpu_destroy(struct cpu_vcpu *v)
{
	struct cpu_vcpu *self = v;

	if (!v)
		return;
	atomic_compare_exchange_strong(&v->vm->vcpu[v->id], &self, NULL);
	if (v->run != MAP_FAILED)
		munmap(v->run, v->run_size);
	fd_close(&v->fd);
	free(v);
}

void kvm_vcpu_poke(struct cpu_vcpu *v)
{
	atomic_store(&v->attention, true);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (atomic_load(&v->in_run))
		pthread_kill(atomic_load(&v->thread), kvm_signal());
}

void kvm_vcpu_kick(struct cpu_vcpu *v)
{
	atomic_store(&v->kicked, true);
	kvm_vcpu_poke(v);
}

static void count(struct cpu_vcpu *v, enum kvm_stat s)
{
	atomic_fetch_add_explicit(&v->stat[s], 1, memory_order_relaxed);
}

/* KVM_EXIT_IO: @count accesses of @size bytes each for string instructions. */
static void exit_io(struct cpu_vcpu *v)
{
	const struct kvm_run *r = v->run;
	const struct cpu_io_ops *io = v->vm->io;
	uint8_t *p = (uint8_t *)v->run + r->io.data_offset;

	for (uint32_t i = 0; i < r->io.count; i++, p += r->io.size) {
		uint32_t val = 0;

		if (r->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&val, p, r->io.size);
			io->port_out(io->ctx, r->io.port, r->io.size, val);
		} else {
			val = io->port_in(io->ctx, r->io.port, r->io.size);
			memcpy(p, &val, r->io.size);
		}
	}
}

/* KVM_EXIT_MMIO: 1 to 8 bytes; odd lengths (split accesses) go byte by byte. */
static void exit_mmio(struct cpu_vcpu *v)
{
	struct kvm_run *r = v->run;
	const struct cpu_io_ops *io = v->vm->io;
	unsigned len = MIN(r->mmio.len, 8u), step = len & (len - 1) ? 1 : len;

	for (unsigned i = 0; i < len; i += step) {
		uint64_t val = 0;

		if (r->mmio.is_write) {
			memcpy(&val, r->mmio.data + i, step);
			io->mmio_write(io->ctx, r->mmio.phys_addr + i, step, val);
		} else {
			val = io->mmio_read(io->ctx, r->mmio.phys_addr + i, step);
			memcpy(r->mmio.data + i, &val, step);
		}
	}
}

/* The PIC's interrupt: inject where the guest takes it now, else ask for the window. */
static void offer_intr(struct cpu_vcpu *v)
{
	const struct cpu_io_ops *io = v->vm->io;
	struct kvm_interrupt irq;

	v->run->request_interrupt_window = 0;
	if (v->id || !atomic_load(&v->vm->intr))
		return;
	if (!v->run->ready_for_interrupt_injection) {
		v->run->request_interrupt_window = 1;
		return;
	}
	irq.irq = io->irq_ack(io->ctx);
	if (ioctl(v->fd, KVM_INTERRUPT, &irq))
		log_line(LOG_ERROR, "kvm", "interrupt 0x%x is refused: %s", irq.irq,
			 strerror(errno));
	v->run->request_interrupt_window = atomic_load(&v->vm->intr);
}

static void log_where(struct cpu_vcpu *v, const char *what, uint64_t detail)
{
	struct kvm_regs regs = { 0 };

	if (ioctl(v->fd, KVM_GET_REGS, &regs))
		regs.rip = 0;
	log_line(LOG_ERROR, "kvm", "vCPU %u stops: %s (0x%llx) at rip 0x%llx", v->id, what,
		 (unsigned long long)detail, (unsigned long long)regs.rip);
}

/* One exit; CPU_EXIT_COUNT: go on. */
static enum cpu_exit serve(struct cpu_vcpu *v)
{
	const struct cpu_io_ops *io = v->vm->io;
	struct kvm_run *r = v->run;

	switch (r->exit_reason) {
	case KVM_EXIT_IO:
		count(v, STAT_IO);
		exit_io(v);
		break;
	case KVM_EXIT_MMIO:
		count(v, STAT_MMIO);
		exit_mmio(v);
		break;
	case KVM_EXIT_IOAPIC_EOI:
		count(v, STAT_EOI);
		io->eoi(io->ctx, r->eoi.vector);
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		count(v, STAT_IRQ_WINDOW);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT: /* only without a kernel APIC; then halting is spinning */
		count(v, STAT_OTHER);
		break;
	case KVM_EXIT_DEBUG:
		return CPU_EXIT_DEBUG;
	case KVM_EXIT_SHUTDOWN:
		return CPU_EXIT_SHUTDOWN;
	case KVM_EXIT_FAIL_ENTRY:
		log_where(v, "the CPU refuses its state",
			  r->fail_entry.hardware_entry_failure_reason);
		return CPU_EXIT_ERROR;
	case KVM_EXIT_INTERNAL_ERROR:
		log_where(v, "KVM cannot emulate the instruction", r->internal.suberror);
		return CPU_EXIT_ERROR;
	default:
		log_where(v, "an exit that Holm does not know", r->exit_reason);
		return CPU_EXIT_ERROR;
	}
	return CPU_EXIT_COUNT;
}

/* seccomp: vcpu,loop: ioctl tgkill rt_sigprocmask */
enum cpu_exit kvm_vcpu_run(struct cpu_vcpu *v)
{
	enum cpu_exit why = CPU_EXIT_COUNT;

	atomic_store(&v->thread, pthread_self());
	atomic_store(&v->in_run, true);
	while (why == CPU_EXIT_COUNT) {
		/* Cleared before the wire is looked at: a poke after that is not lost. */
		if (atomic_exchange(&v->attention, false))
			__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		/* After an exit for a port or memory read the instruction is not complete, so a
		 * return must go through KVM_RUN once more with immediate_exit set. */
		if (atomic_load(&v->kicked))
			__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		else if (atomic_load(&v->attention))
			continue;
		offer_intr(v);
		if (!ioctl(v->fd, KVM_RUN, 0)) {
			why = serve(v);
			continue;
		}
		if (errno == EINTR || errno == EAGAIN) {
			count(v, STAT_KICK);
			if (atomic_exchange(&v->kicked, false)) {
				__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
				why = CPU_EXIT_KICKED;
			}
			continue;
		}
		log_where(v, "KVM_RUN fails", (uint64_t)errno);
		why = CPU_EXIT_ERROR;
	}
	atomic_store(&v->in_run, false);
	return why;
}

unsigned kvm_vcpu_stats(struct cpu_vcpu *v, struct cpu_stat *out, unsigned max)
{
	unsigned n = MIN(max, (unsigned)STAT_COUNT);

	for (unsigned i = 0; i < n; i++)
		out[i] = (struct cpu_stat) { .name = stat_names[i],
					     .value = atomic_load(&v->stat[i]) };
	return n;
}
