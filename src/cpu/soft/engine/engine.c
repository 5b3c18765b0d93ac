/* SPDX-License-Identifier: MIT */
/*
 * The soft engine's table: VM and vCPU objects, state in and out.
 *
 * Objects are large (TLB sets, block arenas) but mostly untouched; they come zeroed from mmap.
 */
#include "cpu/soft/engine/engine.h"

#include "base/clock.h"
#include "cpu/soft/jit/jit.h"
#include "cpu/soft/soft.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>

/* --- objects ---------------------------------------------------------------------------------- */

struct cpu_vm {
	struct soft_vm s;
	struct cpu_io_ops io;
	struct mem_listener listener;
};

struct cpu_vcpu {
	struct soft_vcpu s;
};

/* Behind the object lies the vCPU's native code, which reaches its fields relative to RIP. */
#define VCPU_SIZE align_up(sizeof(struct cpu_vcpu), X86_PAGE_SIZE)

static void *big_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void soft_probe_engine(struct cpu_probe *p)
{
	*p = (struct cpu_probe) { .usable = true,
				  .why = "the software engine runs on every x86-64 host" };
}

/* What it decodes is what the host runs: the policy (soft = true) takes the rest away. */
static int soft_cpuid_supported(struct cpuid_table *out, struct err *e)
{
	return cpuid_host(out, e);
}

static int on_region_add(void *ctx UNUSED, const struct mem_region *r UNUSED, struct err *e UNUSED)
{
	return 0;
}

static void on_region_del(void *ctx UNUSED, const struct mem_region *r UNUSED)
{
}

static void on_code_written(void *ctx, gpa_t gpa)
{
	soft_code_written(ctx, NULL, gpa & SOFT_PAGE_MASK);
}

/* Runs on the vCPU's thread: the value is the vCPU (see make_timer()). */
static void on_timer(int sig UNUSED, siginfo_t *si, void *uc UNUSED)
{
	if (si->si_code == SI_TIMER && si->si_value.sival_ptr)
		soft_attention(si->si_value.sival_ptr, SOFT_ATT_TIMER);
}

static int install_timer_handler(struct err *e)
{
	struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };

	if (sigaction(SOFT_TIMER_SIGNAL, &sa, NULL) < 0)
		return err_set(e, -errno, "cannot install the timer's signal handler: %s",
			       strerror(errno));
	return 0;
}

/* --- options -------------------------------------------------------------------------------- */

#define JIT_CACHE_DEFAULT (64u << 20)
#define JIT_CACHE_MIN	  (128u << 10) /* of one vCPU */
#define JIT_CACHE_MAX	  (1u << 30)

struct options {
	bool jit;
	unsigned long jit_hot, jit_cache;
};

static bool option_number(const char *text, unsigned long min, unsigned long max, bool size,
			  unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	if (end == text || errno || *text == '-')
		return false;
	if (size && (*end == 'K' || *end == 'M' || *end == 'G')) {
		unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;

		if (*out > max >> shift)
			return false;
		*out <<= shift;
		end++;
	}
	return !*end && *out >= min && *out <= max;
}

static int parse_options(struct options *o, const char *text, struct err *e)
{
	char copy[256], *save = NULL;

	*o = (struct options) { true, JIT_HOT, JIT_CACHE_DEFAULT };
	if (strlen(text) >= sizeof(copy))
		return err_set(e, -EINVAL, "the options of engine soft are too long");
	memcpy(copy, text, strlen(text) + 1);
	for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
		if (!strcmp(t, "jit=off"))
			o->jit = false;
		else if (!strcmp(t, "jit=on"))
			o->jit = true;
		else if (!strncmp(t, "jit-hot=", 8)) {
			if (!option_number(t + 8, 1, JIT_HOT_MAX, false, &o->jit_hot))
				return err_set(e, -EINVAL, "engine soft: '%s' is not 1 to %u", t,
					       JIT_HOT_MAX);
		} else if (!strncmp(t, "jit-cache=", 10)) {
			if (!option_number(t + 10, JIT_CACHE_MIN, JIT_CACHE_MAX, true,
					   &o->jit_cache))
				return err_set(e, -EINVAL,
					       "engine soft: '%s' is not a size from 128K to 1G",
					       t);
		} else {
			return err_set(e, -EINVAL,
				       "engine soft has no option '%s'; it knows jit=off, "
				       "jit-cache=SIZE and jit-hot=RUNS",
				       t);
		}
	}
	return 0;
}

static int soft_vm_create(struct cpu_vm **out, const struct cpu_vm_config *cfg, struct err *e)
{
	struct options o;
	struct cpu_vm *vm;
	int ret = parse_options(&o, cfg->options ? cfg->options : "", e);

	if (ret)
		return ret;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_set(e, -ENOMEM, "no memory for the virtual machine");
	vm->io = *cfg->io;
	vm->s.n = cfg->vcpus;
	vm->s.io = &vm->io;
	vm->s.mem = cfg->mem;
	vm->s.cpuid = *cfg->cpuid;
	vm->s.jit = o.jit ? &soft_jit_ops : NULL;
	vm->s.jit_hot = (unsigned)o.jit_hot;
	vm->s.jit_cache =
		MAX((size_t)o.jit_cache / cfg->vcpus, (size_t)JIT_CACHE_MIN) & ~(X86_PAGE_SIZE - 1);
	vm->s.boot_ns = clock_monotonic_ns();
	pthread_mutex_init(&vm->s.excl_lock, NULL);
	ret = install_timer_handler(e);
	if (ret)
		goto fail_signal;
	ret = lapic_set_create(&vm->s.lapics, cfg->vcpus, e);
	if (ret)
		goto fail_signal;
	ret = soft_thunks_create(&vm->s.thunks, e);
	if (ret)
		goto fail_thunks;
	vm->listener = (struct mem_listener) { .region_add = on_region_add,
					       .region_del = on_region_del,
					       .code_written = on_code_written,
					       .ctx = &vm->s };
	ret = mem_listen(cfg->mem, &vm->listener, e);
	if (ret)
		goto fail_listen;
	*out = vm;
	return 0;

fail_listen:
	soft_thunks_destroy(vm->s.thunks);
fail_thunks:
	lapic_set_destroy(vm->s.lapics);
fail_signal:
	pthread_mutex_destroy(&vm->s.excl_lock);
	free(vm);
	return ret;
}

static void soft_vm_destroy(struct cpu_vm *vm)
{
	if (!vm)
		return;
	mem_unlisten(vm->s.mem);
	soft_thunks_destroy(vm->s.thunks);
	lapic_set_destroy(vm->s.lapics);
	pthread_mutex_destroy(&vm->s.excl_lock);
	free(vm);
}

/* --- vCPUs ---------------------------------------------------------------------------------------
 */

static int soft_vcpu_create(struct cpu_vcpu **out, struct cpu_vm *vm, unsigned id, struct err *e)
{
	struct cpu_vcpu *vc;
	struct soft_vcpu *v;
	int ret;

	BUG_ON(id >= vm->s.n || vm->s.vcpu[id]);
	vc = big_alloc(VCPU_SIZE + vm->s.jit_cache);
	if (!vc)
		return err_set(e, -ENOMEM, "no memory for vCPU %u", id);
	v = &vc->s;
	v->vm = &vm->s;
	v->id = id;
	cpuid_for_vcpu(&v->cpuid, &vm->s.cpuid, id);
	soft_derive_allowed(v);
	v->sets = big_alloc(sizeof(*v->sets) * (SOFT_TLB_SETS + 1));
	if (!v->sets) {
		ret = err_set(e, -ENOMEM, "no memory for the TLB of vCPU %u", id);
		goto fail_sets;
	}
	v->set = v->sets;
	v->sets[SOFT_TLB_SETS].valid = true;
	soft_tlb_select(v);
	ret = soft_blocks_create(v, e);
	if (ret)
		goto fail_blocks;
	ret = vm->s.jit ? vm->s.jit->create(v, (uint8_t *)vc + VCPU_SIZE, vm->s.jit_cache, e) : 0;
	if (ret)
		goto fail_jit;
	lapic_init(&v->lapic, vm->s.lapics, id, &soft_lapic_ops, v);
	soft_reset(v, false);
	v->mp = id == 0 ? CPU_MP_RUNNABLE : CPU_MP_WAIT_SIPI;
	vm->s.vcpu[id] = v;
	*out = vc;
	return 0;

fail_jit:
	soft_blocks_destroy(v);
fail_blocks:
	munmap(v->sets, sizeof(*v->sets) * (SOFT_TLB_SETS + 1));
fail_sets:
	munmap(vc, VCPU_SIZE + vm->s.jit_cache);
	return ret;
}

static void soft_vcpu_destroy(struct cpu_vcpu *vc)
{
	struct soft_vcpu *v;
	size_t size;

	if (!vc)
		return;
	v = &vc->s;
	size = VCPU_SIZE + v->vm->jit_cache;
	v->vm->vcpu[v->id] = NULL;
	if (v->timer_made) /* seccomp: loop: timer_delete */
		timer_delete(v->timer);
	if (v->vm->jit)
		v->vm->jit->destroy(v);
	soft_blocks_destroy(v);
	munmap(v->sets, sizeof(*v->sets) * (SOFT_TLB_SETS + 1));
	munmap(vc, size);
}

static enum cpu_exit soft_vcpu_run(struct cpu_vcpu *vc)
{
	return soft_run(&vc->s);
}

static void soft_vcpu_kick(struct cpu_vcpu *vc)
{
	soft_attention(&vc->s, SOFT_ATT_KICK);
}

static void soft_vm_msi(struct cpu_vm *vm, uint64_t addr, uint32_t data)
{
	lapic_msi(vm->s.lapics, addr, data);
}

static void soft_vm_intr(struct cpu_vm *vm, bool level)
{
	struct soft_vcpu *v = vm->s.vcpu[0];

	if (!v)
		return;
	if (level)
		soft_attention(v, SOFT_ATT_INTR);
	else
		atomic_fetch_and(&v->attention, ~SOFT_ATT_INTR);
}

/* A pair of times in a kvmclock page stays right, as both of its clocks move together. */
static int soft_vm_stand_still(struct cpu_vm *vm, bool on, uint64_t ns)
{
	if (on)
		return 0;
	vm->s.stood_ns += ns;
	for (unsigned i = 0; i < vm->s.n; i++) {
		struct soft_vcpu *v = vm->s.vcpu[i];

		if (!v)
			continue;
		v->tsc_offset -= (int64_t)((unsigned __int128)ns * v->cpuid.tsc_khz / 1000000);
		/* A timer that is armed for too early looks at the clock and is armed anew. */
	}
	return 0;
}

static int soft_vm_get_clock(struct cpu_vm *vm, uint64_t *ns)
{
	*ns = soft_now(&vm->s) - vm->s.boot_ns;
	return 0;
}

static int soft_vm_set_clock(struct cpu_vm *vm, uint64_t ns)
{
	vm->s.boot_ns = soft_now(&vm->s) - ns;
	return 0;
}

static void soft_vcpu_nmi(struct cpu_vcpu *vc)
{
	atomic_fetch_or(&vc->s.lapic.events, LAPIC_EV_NMI);
	soft_attention(&vc->s, SOFT_ATT_APIC);
}

/* --- state ---------------------------------------------------------------------------------------
 */

static int soft_vcpu_get_state(struct cpu_vcpu *vc, struct cpu_state *s, struct err *e UNUSED)
{
	struct soft_vcpu *v = &vc->s;
	const uint32_t *msrs;
	unsigned n;

	memset(s, 0, sizeof(*s));
	memcpy(s->gpr, v->r, sizeof(s->gpr));
	s->rip = v->rip;
	s->rflags = soft_rflags(v);
	memcpy(s->seg, v->seg, sizeof(s->seg));
	s->ldtr = v->ldtr;
	s->tr = v->tr;
	s->gdtr = v->gdtr;
	s->idtr = v->idtr;
	s->cr0 = v->cr0;
	s->cr2 = v->cr2;
	s->cr3 = v->cr3;
	s->cr4 = v->cr4;
	s->cr8 = lapic_cr8(&v->lapic);
	s->efer = v->efer;
	memcpy(s->dr, v->dr, sizeof(s->dr));
	s->dr6 = v->dr6;
	s->dr7 = v->dr7;
	s->xcr0 = v->xcr0;
	soft_fpu_save(v, s->xsave);
	lapic_save_regs(&v->lapic, s->lapic);
	s->apic_base = atomic_load(&v->lapic.base_msr);
	s->mp = v->mp;
	s->int_shadow = v->shadow;
	s->nmi_pending = v->nmi_pending;
	s->nmi_masked = v->nmi_masked;
	s->exception_pending = v->exc_pending;
	s->exception_vector = v->exc_vector;
	s->exception_has_code = v->exc_has_code;
	s->exception_code = v->exc_code;
	msrs = cpu_state_msrs(&n);
	for (unsigned i = 0; i < n; i++) {
		uint64_t val;

		if (soft_rdmsr(v, msrs[i], &val) == 0)
			cpu_state_set_msr(s, msrs[i], val);
	}
	return 0;
}

/* States no CPU can be in. */
static int check_state(const struct soft_vcpu *v, const struct cpu_state *s, struct err *e)
{
	bool lma = s->efer & X86_EFER_LMA;

	if ((s->cr0 & X86_CR0_PG) && !(s->cr0 & X86_CR0_PE))
		return err_set(e, -EINVAL, "vCPU %u: CR0 has paging without protection", v->id);
	if (lma && !((s->cr0 & X86_CR0_PG) && (s->cr4 & X86_CR4_PAE) && (s->efer & X86_EFER_LME)))
		return err_set(e, -EINVAL, "vCPU %u: long mode without its conditions", v->id);
	if (s->cr4 & ~v->cr4_allowed)
		return err_set(e, -EINVAL, "vCPU %u: CR4 %#llx has bits this CPU lacks", v->id,
			       (unsigned long long)s->cr4);
	if (s->efer & ~v->efer_allowed)
		return err_set(e, -EINVAL, "vCPU %u: EFER %#llx has bits this CPU lacks", v->id,
			       (unsigned long long)s->efer);
	if ((s->xcr0 & ~v->xcr0_allowed) || !(s->xcr0 & X86_XCR0_X87))
		return err_set(e, -EINVAL, "vCPU %u: XCR0 %#llx is not supported", v->id,
			       (unsigned long long)s->xcr0);
	if (s->mp >= CPU_MP_COUNT)
		return err_set(e, -EINVAL, "vCPU %u: unknown processor state", v->id);
	return 0;
}

static int soft_vcpu_set_state(struct cpu_vcpu *vc, const struct cpu_state *s, struct err *e)
{
	struct soft_vcpu *v = &vc->s;
	int ret = check_state(v, s, e);

	if (ret)
		return ret;
	if (soft_fpu_load(v, s->xsave))
		return err_set(e, -EINVAL, "vCPU %u: the FPU state is not valid", v->id);
	if (lapic_load_regs(&v->lapic, s->lapic, s->apic_base,
			    cpu_state_msr(s, X86_MSR_TSC_DEADLINE, 0)))
		return err_set(e, -EINVAL, "vCPU %u: the local APIC's state is not valid", v->id);
	memcpy(v->r, s->gpr, sizeof(s->gpr));
	v->rip = s->rip;
	memcpy(v->seg, s->seg, sizeof(s->seg));
	v->ldtr = s->ldtr;
	v->tr = s->tr;
	v->gdtr = s->gdtr;
	v->idtr = s->idtr;
	v->cr0 = s->cr0 | X86_CR0_ET;
	v->cr2 = s->cr2;
	v->cr3 = s->cr3;
	v->cr4 = s->cr4;
	v->efer = s->efer;
	v->xcr0 = s->xcr0;
	memcpy(v->dr, s->dr, sizeof(s->dr));
	v->dr6 = s->dr6;
	v->dr7 = s->dr7;
	v->mp = s->mp;
	v->shadow = s->int_shadow;
	v->nmi_pending = s->nmi_pending;
	v->nmi_masked = s->nmi_masked;
	v->exc_pending = s->exception_pending;
	v->exc_vector = s->exception_vector;
	v->exc_has_code = s->exception_has_code;
	v->exc_code = s->exception_code;
	for (unsigned i = 0; i < s->n_msrs; i++) {
		uint32_t idx = s->msrs[i].index;

		/* Not as the guest would write them: that changes the one by the other. */
		if (idx == X86_MSR_TSC)
			v->tsc_offset = (int64_t)(s->msrs[i].value - __rdtsc());
		else if (idx == X86_MSR_TSC_ADJUST)
			v->tsc_adjust = s->msrs[i].value;
		/* Those with a field of their own, or set above. */
		if (idx == X86_MSR_TSC || idx == X86_MSR_TSC_ADJUST || idx == X86_MSR_EFER ||
		    idx == X86_MSR_APIC_BASE || idx == X86_MSR_TSC_DEADLINE)
			continue;
		if (soft_wrmsr(v, idx, s->msrs[i].value))
			log_line(LOG_WARN, "soft", "vCPU %u: MSR %#x does not take %#llx", v->id,
				 idx, (unsigned long long)s->msrs[i].value);
	}
	v->cpl = soft_real(v) ? 0 : (v->seg[CPU_SS].attr & CPU_ATTR_DPL) >> CPU_ATTR_DPL_SHIFT;
	soft_set_rflags(v, s->rflags);
	soft_tlb_flush(v, true);
	soft_tlb_set_pcid(v, v->cr4 & X86_CR4_PCIDE ? v->cr3 & X86_CR3_PCID_MASK : 0, false);
	if ((v->cr0 & X86_CR0_PG) && (v->cr4 & X86_CR4_PAE) && !soft_long(v))
		(void)soft_load_pdptes(v, v->cr3);
	soft_update_mode(v);
	soft_attention(v, SOFT_ATT_APIC | SOFT_ATT_TIMER);
	return 0;
}

/* --- dirty log and counters
 * ------------------------------------------------------------------------ */

/* The flags are always right but for pages that still have write tags: take those away first. */
static int soft_vm_dirty_take(struct cpu_vm *vm, const struct mem_region *r UNUSED,
			      uint8_t *bitmap UNUSED)
{
	soft_exclusive_begin(&vm->s, NULL);
	for (unsigned i = 0; i < vm->s.n; i++)
		if (vm->s.vcpu[i])
			soft_tlb_flush(vm->s.vcpu[i], true);
	soft_exclusive_end(&vm->s, NULL);
	return 0;
}

static unsigned soft_vcpu_stats(struct cpu_vcpu *vc, struct cpu_stat *out, unsigned max)
{
	const struct soft_vcpu *v = &vc->s;
	const struct cpu_stat all[] = {
		{ "instructions", v->n_insns },
		{ "blocks", v->n_blocks },
		{ "decoded", v->n_decoded },
		{ "tlb_misses", v->n_tlb_miss },
		{ "tlb_flushes", v->n_tlb_flush },
		{ "code_writes", v->n_smc },
		{ "mmio", v->n_mmio },
		{ "port_io", v->n_pio },
		{ "interrupts", v->n_irq },
		{ "exceptions", v->n_exc },
		{ "halts", v->n_halt },
		{ "jit_blocks", v->n_jit_blocks },
		{ "jit_links", v->n_jit_links },
		{ "jit_flushes", v->n_jit_flush },
	};
	unsigned n = MIN(max, (unsigned)ARRAY_SIZE(all));

	memcpy(out, all, n * sizeof(*out));
	return n;
}

const struct cpu_engine_ops cpu_soft_engine = {
	.name = "soft",
	.probe = soft_probe_engine,
	.cpuid_supported = soft_cpuid_supported,
	.vm_create = soft_vm_create,
	.vm_destroy = soft_vm_destroy,
	.vcpu_create = soft_vcpu_create,
	.vcpu_destroy = soft_vcpu_destroy,
	.vcpu_run = soft_vcpu_run,
	.vcpu_kick = soft_vcpu_kick,
	.vcpu_get_state = soft_vcpu_get_state,
	.vcpu_set_state = soft_vcpu_set_state,
	.vm_msi = soft_vm_msi,
	.vm_intr = soft_vm_intr,
	.vcpu_nmi = soft_vcpu_nmi,
	.vm_stand_still = soft_vm_stand_still,
	.vm_get_clock = soft_vm_get_clock,
	.vm_set_clock = soft_vm_set_clock,
	.vm_dirty_take = soft_vm_dirty_take,
	.vcpu_stats = soft_vcpu_stats,
};
