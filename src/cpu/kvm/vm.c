/* SPDX-License-Identifier: MIT */
/*
 * The KVM engine's VM: memory slots, the split interrupt controller, MSIs and the dirty log.
 *
 * Theory of operation: local APICs are the kernel's (KVM_CAP_SPLIT_IRQCHIP), IOAPIC and PIC the
 * machine's. The IOAPIC's redirection entries are told to KVM as MSI routes of GSI 0..23, only so
 * that it knows for which level-triggered vectors to exit on EOI (KVM_EXIT_IOAPIC_EOI); interrupts
 * themselves come through KVM_SIGNAL_MSI.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst; sections are named by their ioctl.
 */
#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "cpu/kvm/internal.h"
#include "cpu/kvm/kvm.h"
#include "spec/x86.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define KVM_API	      12
#define TSS_ADDR      0xfffbd000u /* three pages in the hole below the firmware */
#define IDENTITY_ADDR 0xfffbc000u

int kvm_signal(void)
{
	return SIGRTMIN + 1;
}

static void on_signal(int sig UNUSED)
{
}

/* IOAPIC, PIC and PIT are ours, so all of these must be there. */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "user memory" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
	{ KVM_CAP_SPLIT_IRQCHIP, "the split interrupt controller" },
	{ KVM_CAP_SIGNAL_MSI, "MSI" },
	{ KVM_CAP_XSAVE, "XSAVE" },
	{ KVM_CAP_XCRS, "XCRS" },
	{ KVM_CAP_VCPU_EVENTS, "vCPU events" },
	{ KVM_CAP_DEBUGREGS, "debug registers" },
	{ KVM_CAP_MP_STATE, "the multi-processor state" },
};

int kvm_open(int *fd, struct err *e)
{
	FD_AUTO f = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int rc = errno;

	if (f < 0 && (rc == EACCES || rc == EPERM))
		return err_set(
			e, -EACCES,
			"no right to open /dev/kvm; join the group kvm or use --engine soft");
	if (f < 0)
		return err_set(e, -ENODEV, "/dev/kvm cannot be opened (%s); use --engine soft",
			       strerror(rc));
	if (ioctl(f, KVM_GET_API_VERSION, 0) != KVM_API)
		return err_set(e, -ENODEV, "/dev/kvm speaks another version; use --engine soft");
	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(f, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return err_set(e, -ENODEV, "this KVM lacks %s; use --engine soft",
				       needed[i].name);
	*fd = fd_take(&f);
	return 0;
}

static uint64_t host_arch_capabilities(int sys_fd)
{
	KVM_LIST(kvm_msrs, kvm_msr_entry, 1) q = { .list.nmsrs = 1 };

	q.list.entries[0].index = X86_MSR_ARCH_CAPABILITIES;

	return ioctl(sys_fd, KVM_GET_MSRS, &q) == 1 ? q.list.entries[0].data : 0;
}

int kvm_supported(int sys_fd, struct cpuid_table *out, struct err *e)
{
	const unsigned max = 256;
	struct cpuid_table host, t = { 0 };
	MEM_AUTO struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + max * sizeof(c->entries[0]));
	int rc = cpuid_host(&host, e);

	if (rc)
		return rc;
	if (!c)
		return err_set(e, -ENOMEM, "no memory for CPUID");
	c->nent = max;
	if (ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, c))
		return err_set(e, -errno, "KVM does not say which CPUID it gives");
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *k = &c->entries[i];

		/* The policy asks for no others; the subleaves of topology are its own. */
		if (k->function == 4 || k->function == 0xb || k->function == 0x8000001d ||
		    (k->function > 0x16 && k->function < 0x40000000) || t.n >= CPUID_LEAVES_MAX)
			continue;
		t.leaf[t.n++] = (struct cpuid_leaf) {
			.leaf = k->function,
			.subleaf = k->index,
			.indexed = k->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = k->eax,
			.ebx = k->ebx,
			.ecx = k->ecx,
			.edx = k->edx,
		};
		/* KVM lists the timer only as a capability (api.rst, KVM_GET_SUPPORTED_CPUID). */
		if (k->function == 1 &&
		    ioctl(sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
			t.leaf[t.n - 1].ecx |= 1u << 24;
	}
	t.tsc_khz = host.tsc_khz;
	t.arch_capabilities = host_arch_capabilities(sys_fd);
	*out = t;
	return 0;
}

static int engine_cpuid(struct cpuid_table *out, struct err *e)
{
	FD_AUTO fd = -1;
	int rc = kvm_open(&fd, e);

	return rc ? rc : kvm_supported(fd, out, e);
}

/* --- memory -------------------------------------------------------------------------------- */

static int set_slot(struct cpu_vm *vm, unsigned i, const struct mem_region *r, uint64_t size)
{
	struct kvm_userspace_memory_region m = {
		.slot = i,
		.guest_phys_addr = r->gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)r->host,
		.flags = (r->kind == MEM_ROM ? KVM_MEM_READONLY : 0) |
			 (vm->dirty_log && r->kind == MEM_RAM ? KVM_MEM_LOG_DIRTY_PAGES : 0),
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m) ? -errno : 0;
}

static int find_slot(const struct cpu_vm *vm, const struct mem_region *r)
{
	for (int i = 0; i < MEM_REGIONS_MAX; i++)
		if (vm->slot[i].r == r)
			return i;
	return -1;
}

static int region_add(void *ctx, const struct mem_region *r, struct err *e)
{
	struct cpu_vm *vm = ctx;
	int i = find_slot(vm, NULL), rc;

	if (i < 0)
		return err_set(e, -ENOSPC, "no memory slot is left for %s", r->name);
	rc = set_slot(vm, (unsigned)i, r, r->size);
	if (rc)
		return err_set(e, rc, "KVM refuses the memory %s at 0x%llx: %s", r->name,
			       (unsigned long long)r->gpa, strerror(-rc));
	vm->slot[i].r = r;
	return 0;
}

static void region_del(void *ctx, const struct mem_region *r)
{
	struct cpu_vm *vm = ctx;
	int i = find_slot(vm, r);

	if (i < 0)
		return;
	if (set_slot(vm, (unsigned)i, r, 0))
		log_line(LOG_ERROR, "kvm", "memory slot %s did not go: %s", r->name,
			 strerror(errno));
	vm->slot[i].r = NULL;
}

static int vm_dirty_log(struct cpu_vm *vm, bool on, struct err *e)
{
	vm->dirty_log = on;
	for (unsigned i = 0; i < MEM_REGIONS_MAX; i++) {
		const struct mem_region *r = vm->slot[i].r;
		int rc = r && r->kind == MEM_RAM ? set_slot(vm, i, r, r->size) : 0;

		if (rc)
			return err_set(e, rc, "KVM does not log the writes of %s: %s", r->name,
				       strerror(-rc));
	}
	return 0;
}

static int vm_dirty_take(struct cpu_vm *vm, const struct mem_region *r, uint8_t *bitmap)
{
	size_t pages = r->size >> MEM_PAGE_SHIFT, bytes = (pages + 63) / 64 * 8;
	MEM_AUTO uint8_t *log = calloc(1, bytes);
	int i = find_slot(vm, r);
	struct kvm_dirty_log d = { .dirty_bitmap = log };

	if (!log)
		return -ENOMEM;
	if (i < 0)
		return -ENOENT;
	d.slot = (uint32_t)i;
	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &d))
		return -errno;
	for (size_t b = 0; b < (pages + 7) / 8; b++)
		bitmap[b] |= log[b];
	return 0;
}

/* --- the VM ---------------------------------------------------------------------------------- */

static int vm_setup(struct cpu_vm *vm, struct err *e)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { KVM_IOAPIC_PINS } };
	/* Ids in full in MSIs and in the APIC page; no 0xff broadcast quirk is switched off. */
	struct kvm_enable_cap x2 = { .cap = KVM_CAP_X2APIC_API,
				     .args = { KVM_X2APIC_API_USE_32BIT_IDS } };
	uint64_t identity = IDENTITY_ADDR;
	struct sigaction sa = { .sa_handler = on_signal };

	vm->fd = ioctl(vm->sys_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return err_set(e, -ENODEV, "KVM makes no VM: %s; use --engine soft",
			       strerror(errno));
	/* Both are needed on old Intel hosts only and refused by some that do not need them. */
	(void)!ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	(void)!ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR);
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &split))
		return err_set(e, -ENODEV,
			       "KVM refuses the split interrupt controller: %s; use --engine soft",
			       strerror(errno));
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &x2))
		log_line(LOG_INFO, "kvm", "no 32-bit APIC ids: %s", strerror(errno));
	sigemptyset(&sa.sa_mask);
	if (sigaction(kvm_signal(), &sa, NULL))
		return err_set(e, -errno, "the signal for vCPUs cannot be set");
	return 0;
}

static void vm_destroy(struct cpu_vm *vm)
{
	if (!vm)
		return;
	if (vm->mem)
		mem_unlisten(vm->mem);
	fd_close(&vm->fd);
	fd_close(&vm->sys_fd);
	free(vm);
}

static int vm_create(struct cpu_vm **out, const struct cpu_vm_config *cfg, struct err *e)
{
	struct cpu_vm *vm;
	struct mem_listener l = { .region_add = region_add, .region_del = region_del };
	int rc;

	if (cfg->options && cfg->options[0])
		return err_set(e, -EINVAL, "the kvm engine has no option \"%s\"", cfg->options);
	if (!cfg->vcpus || cfg->vcpus > CPU_VCPUS_MAX)
		return err_set(e, -EINVAL, "%u vCPUs are not possible; take 1 to %u", cfg->vcpus,
			       CPU_VCPUS_MAX);
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_set(e, -ENOMEM, "no memory for the VM");
	vm->fd = vm->sys_fd = -1;
	vm->n = cfg->vcpus;
	vm->io = cfg->io;
	vm->cpuid = *cfg->cpuid;
	rc = kvm_open(&vm->sys_fd, e);
	if (!rc)
		rc = vm_setup(vm, e);
	if (rc)
		goto fail;
	l.ctx = vm;
	rc = mem_listen(cfg->mem, &l, e);
	if (rc)
		goto fail;
	vm->mem = cfg->mem;
	*out = vm;
	return 0;
fail:
	vm_destroy(vm);
	return rc;
}

/* --- interrupts --------------------------------------------------------------------------------
 */

static void vm_msi(struct cpu_vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_msi m = { .address_lo = (uint32_t)addr,
			     .address_hi = (uint32_t)(addr >> 32),
			     .data = data };

	/* 0: nobody takes it; that is the guest's choice. */
	(void)!ioctl(vm->fd, KVM_SIGNAL_MSI, &m);
}

static void vm_intr(struct cpu_vm *vm, bool level)
{
	struct cpu_vcpu *v = atomic_load(&vm->vcpu[0]);

	atomic_store(&vm->intr, level);
	if (level && v)
		kvm_vcpu_poke(v);
}

static void vcpu_nmi(struct cpu_vcpu *v)
{
	vm_msi(v->vm, 0xfee00000u | (uint64_t)(v->id & 0xff) << 12, 4u << 8);
}

/* The TSC's offset is an attribute of a vCPU from Linux 5.16 on: vcpu.rst, KVM_VCPU_TSC_CTRL. */
static int tsc_offset(const struct cpu_vcpu *v, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr a = { .group = KVM_VCPU_TSC_CTRL,
				     .attr = KVM_VCPU_TSC_OFFSET,
				     .addr = (uintptr_t)offset };

	return ioctl(v->fd, request, &a) ? -errno : 0;
}

static uint64_t tsc_now(const struct cpu_vcpu *v)
{
	KVM_LIST(kvm_msrs, kvm_msr_entry, 1) q = { .list.nmsrs = 1 };

	q.list.entries[0].index = X86_MSR_TSC;
	return ioctl(v->fd, KVM_GET_MSRS, &q) == 1 ? q.list.entries[0].data : 0;
}

/* All vCPUs by the same, so that their TSCs stay as they are to each other. */
static int move_tsc(struct cpu_vm *vm, uint64_t back)
{
	for (unsigned i = 0; i < vm->n; i++) {
		const struct cpu_vcpu *v = atomic_load(&vm->vcpu[i]);
		uint64_t offset;

		if (!v)
			continue;
		if (tsc_offset(v, KVM_GET_DEVICE_ATTR, &offset))
			return -ENOTSUP;
		offset -= back;
		if (tsc_offset(v, KVM_SET_DEVICE_ATTR, &offset))
			return -ENOTSUP;
	}
	return 0;
}

static int vm_get_clock(struct cpu_vm *vm, uint64_t *ns)
{
	struct kvm_clock_data clock = { 0 };

	if (ioctl(vm->fd, KVM_GET_CLOCK, &clock))
		return -errno;
	*ns = clock.clock;
	return 0;
}

static int vm_set_clock(struct cpu_vm *vm, uint64_t ns)
{
	struct kvm_clock_data clock = { .clock = ns };

	return ioctl(vm->fd, KVM_SET_CLOCK, &clock) ? -errno : 0;
}

/*
 * How far the TSC went is measured, since on a host whose own is not stable KVM stops it with the
 * vCPU. The kernel's APIC timers go on meanwhile: one that comes due for the old TSC interrupts
 * too early once, which every system's timer code looks into.
 */
static int vm_stand_still(struct cpu_vm *vm, bool on, uint64_t ns)
{
	const struct cpu_vcpu *first = atomic_load(&vm->vcpu[0]);
	/* A tenth of the time: less is what the kernel put right on the way, and no leap. */
	int64_t some = (int64_t)((unsigned __int128)ns * vm->cpuid.tsc_khz / 10000000), went;
	uint64_t now = 0;
	int ret;

	if (!first)
		return 0;
	if (on) {
		vm->tsc_stood = tsc_now(first);
		return 0;
	}
	/* Set also where it has not gone: else KVM lets such a TSC catch up at the next run. */
	went = (int64_t)(tsc_now(first) - vm->tsc_stood);
	ret = move_tsc(vm, (uint64_t)went);
	/* A KVM that only emulates takes the offset and forgets it. */
	if (!ret && went > some && (int64_t)(tsc_now(first) - vm->tsc_stood) > went / 2)
		ret = -ENOTSUP;
	if (ret || vm_get_clock(vm, &now))
		return ret;
	if (vm_set_clock(vm, now - MIN(ns, now)))
		log_line(LOG_WARN, "kvm", "kvmclock goes on: %s", strerror(errno));
	return 0;
}

static void vm_ioapic_routes(struct cpu_vm *vm, const uint64_t *redir, unsigned n)
{
	KVM_LIST(kvm_irq_routing, kvm_irq_routing_entry, KVM_IOAPIC_PINS) r = { 0 };

	r.list.nr = MIN(n, (unsigned)KVM_IOAPIC_PINS);
	for (uint32_t i = 0; i < r.list.nr; i++) {
		uint64_t d = redir[i];
		uint32_t dest = (uint32_t)(d >> 56);

		/* 82093AA, 3.2.4; message: SDM vol. 3A, 10.11. Masked ones stay: EOIs may come. */
		r.list.entries[i] =
			(struct kvm_irq_routing_entry) { .gsi = i, .type = KVM_IRQ_ROUTING_MSI };
		r.list.entries[i].u.msi.address_lo =
			0xfee00000u | dest << 12 | (d & 1u << 11 ? 4u : 0);
		r.list.entries[i].u.msi.data = (uint32_t)(d & 0x7ff) | (d & 1u << 15 ? 0xc000u : 0);
	}
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r))
		log_line(LOG_ERROR, "kvm", "interrupt routes are refused: %s", strerror(errno));
}

const struct cpu_engine_ops cpu_kvm_engine = {
	.name = "kvm",
	.probe = kvm_probe,
	.cpuid_supported = engine_cpuid,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.vcpu_run = kvm_vcpu_run,
	.vcpu_kick = kvm_vcpu_kick,
	.vcpu_get_state = kvm_get_state,
	.vcpu_set_state = kvm_set_state,
	.vm_msi = vm_msi,
	.vm_intr = vm_intr,
	.vcpu_nmi = vcpu_nmi,
	.vm_stand_still = vm_stand_still,
	.vm_get_clock = vm_get_clock,
	.vm_set_clock = vm_set_clock,
	.vm_ioapic_routes = vm_ioapic_routes,
	.vm_dirty_log = vm_dirty_log,
	.vm_dirty_take = vm_dirty_take,
	.vcpu_stats = kvm_vcpu_stats,
};
