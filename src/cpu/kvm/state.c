/* SPDX-License-Identifier: MIT */
/*
 * State of a KVM vCPU to and from struct cpu_state.
 *
 * Each group has its ioctl pair (Linux, Documentation/virt/kvm/api.rst); the layouts of the XSAVE
 * area and the local APIC page are the architecture's on both sides. The order of setting matters:
 * special registers first (they carry the APIC's mode), the deadline timer after the APIC, events
 * and the processor state last.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "cpu/kvm/internal.h"
#include "spec/x86.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static_assert(sizeof(((struct kvm_xsave *)0)->region) == CPU_XSAVE_SIZE, "the same area");
static_assert(KVM_APIC_REG_SIZE == CPU_LAPIC_SIZE, "the same page");

/* --- segments ------------------------------------------------------------------------------ */

static void seg_get(struct cpu_segment *s, const struct kvm_segment *k)
{
	*s = (struct cpu_segment) { .base = k->base, .limit = k->limit, .selector = k->selector };
	s->attr = (uint16_t)(k->type | k->s << 4 | k->dpl << 5 | k->present << 7 | k->avl << 12 |
			     k->l << 13 | k->db << 14 | k->g << 15);
	if (k->unusable)
		s->attr &= (uint16_t)~CPU_ATTR_P;
}

static void seg_set(struct kvm_segment *k, const struct cpu_segment *s)
{
	*k = (struct kvm_segment) { .base = s->base,
				    .limit = s->limit,
				    .selector = s->selector,
				    .type = s->attr & CPU_ATTR_TYPE,
				    .s = s->attr >> 4 & 1,
				    .dpl = s->attr >> 5 & 3,
				    .present = s->attr >> 7 & 1,
				    .avl = s->attr >> 12 & 1,
				    .l = s->attr >> 13 & 1,
				    .db = s->attr >> 14 & 1,
				    .g = s->attr >> 15 & 1,
				    .unusable = !(s->attr & CPU_ATTR_P) };
}

static void sregs_get(struct cpu_state *s, const struct kvm_sregs *k)
{
	const struct kvm_segment *seg[CPU_SEG_COUNT] = { &k->es, &k->cs, &k->ss,
							 &k->ds, &k->fs, &k->gs };

	for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
		seg_get(&s->seg[i], seg[i]);
	seg_get(&s->ldtr, &k->ldt);
	seg_get(&s->tr, &k->tr);
	s->gdtr = (struct cpu_dtable) { .base = k->gdt.base, .limit = k->gdt.limit };
	s->idtr = (struct cpu_dtable) { .base = k->idt.base, .limit = k->idt.limit };
	s->cr0 = k->cr0;
	s->cr2 = k->cr2;
	s->cr3 = k->cr3;
	s->cr4 = k->cr4;
	s->cr8 = k->cr8;
	s->efer = k->efer;
	s->apic_base = k->apic_base;
}

static void sregs_set(struct kvm_sregs *k, const struct cpu_state *s)
{
	struct kvm_segment *seg[CPU_SEG_COUNT] = { &k->es, &k->cs, &k->ss, &k->ds, &k->fs, &k->gs };

	for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
		seg_set(seg[i], &s->seg[i]);
	seg_set(&k->ldt, &s->ldtr);
	seg_set(&k->tr, &s->tr);
	k->gdt = (struct kvm_dtable) { .base = s->gdtr.base, .limit = s->gdtr.limit };
	k->idt = (struct kvm_dtable) { .base = s->idtr.base, .limit = s->idtr.limit };
	k->cr0 = s->cr0;
	k->cr2 = s->cr2;
	k->cr3 = s->cr3;
	k->cr4 = s->cr4;
	k->cr8 = s->cr8;
	k->efer = s->efer;
	k->apic_base = s->apic_base;
}

/* --- general registers: KVM's order is not the encoding's ------------------------------------- */

static void regs_get(struct cpu_state *s, const struct kvm_regs *k)
{
	const uint64_t r[CPU_GPR_COUNT] = { k->rax, k->rcx, k->rdx, k->rbx, k->rsp, k->rbp,
					    k->rsi, k->rdi, k->r8,  k->r9,  k->r10, k->r11,
					    k->r12, k->r13, k->r14, k->r15 };

	memcpy(s->gpr, r, sizeof(s->gpr));
	s->rip = k->rip;
	s->rflags = k->rflags;
}

static void regs_set(struct kvm_regs *k, const struct cpu_state *s)
{
	const uint64_t *r = s->gpr;

	*k = (struct kvm_regs) { .rax = r[CPU_RAX],
				 .rcx = r[CPU_RCX],
				 .rdx = r[CPU_RDX],
				 .rbx = r[CPU_RBX],
				 .rsp = r[CPU_RSP],
				 .rbp = r[CPU_RBP],
				 .rsi = r[CPU_RSI],
				 .rdi = r[CPU_RDI],
				 .r8 = r[CPU_R8],
				 .r9 = r[CPU_R9],
				 .r10 = r[CPU_R10],
				 .r11 = r[CPU_R11],
				 .r12 = r[CPU_R12],
				 .r13 = r[CPU_R13],
				 .r14 = r[CPU_R14],
				 .r15 = r[CPU_R15],
				 .rip = s->rip,
				 .rflags = s->rflags };
}

/* Offsets in the local APIC's page: SDM vol. 3A, table 10-1. */
#define APIC_REG_ISR 0x100
#define APIC_REG_IRR 0x200

/* --- events and processor state -----------------------------------------------------------------
 */

/*
 * An interrupt on its way into the guest has left the APIC's IRR for its ISR (SDM vol. 3A, 10.8.4);
 * neutral state has none on its way, so it goes back. The PIC's is not the APIC's: nothing is set.
 */
static void take_back(struct cpu_state *s, unsigned vector)
{
	unsigned word = vector / 32 * 16;
	uint32_t bit = 1u << vector % 32;
	uint8_t *isr = s->lapic + APIC_REG_ISR + word, *irr = s->lapic + APIC_REG_IRR + word;

	if (!(get_le32(isr) & bit))
		return;
	put_le32(isr, get_le32(isr) & ~bit);
	put_le32(irr, get_le32(irr) | bit);
}

static void events_get(struct cpu_state *s, const struct kvm_vcpu_events *k)
{
	if (k->interrupt.injected && !k->interrupt.soft)
		take_back(s, k->interrupt.nr);
	s->int_shadow = k->interrupt.shadow;
	s->nmi_pending = k->nmi.pending || k->nmi.injected;
	s->nmi_masked = k->nmi.masked;
	s->exception_pending = k->exception.injected || k->exception.pending;
	s->exception_vector = k->exception.nr;
	s->exception_has_code = k->exception.has_error_code;
	s->exception_code = k->exception.error_code;
}

static void events_set(struct kvm_vcpu_events *k, const struct cpu_state *s)
{
	k->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	k->interrupt.injected = 0;
	k->interrupt.shadow = s->int_shadow ? KVM_X86_SHADOW_INT_STI : 0;
	k->nmi.pending = s->nmi_pending;
	k->nmi.injected = 0;
	k->nmi.masked = s->nmi_masked;
	k->exception.injected = s->exception_pending;
	k->exception.pending = 0;
	k->exception.nr = s->exception_vector;
	k->exception.has_error_code = s->exception_has_code;
	k->exception.error_code = s->exception_code;
}

static enum cpu_mp_state mp_get(uint32_t k)
{
	switch (k) {
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		return CPU_MP_WAIT_SIPI;
	case KVM_MP_STATE_HALTED:
		return CPU_MP_HALTED;
	default:
		return CPU_MP_RUNNABLE;
	}
}

static uint32_t mp_set(enum cpu_mp_state s)
{
	return s == CPU_MP_HALTED      ? KVM_MP_STATE_HALTED
	       : s == CPU_MP_WAIT_SIPI ? KVM_MP_STATE_INIT_RECEIVED
				       : KVM_MP_STATE_RUNNABLE;
}

/* --- MSRs
 * ----------------------------------------------------------------------------------------- */

/* One at a time: KVM stops at the first it does not know, and that one is simply left out. */
static void msrs_get(struct cpu_vcpu *v, struct cpu_state *s)
{
	unsigned n;
	const uint32_t *list = cpu_state_msrs(&n);

	for (unsigned i = 0; i < n; i++) {
		KVM_LIST(kvm_msrs, kvm_msr_entry, 1) q = { .list.nmsrs = 1 };

		q.list.entries[0].index = list[i];
		if (ioctl(v->fd, KVM_GET_MSRS, &q) == 1)
			cpu_state_set_msr(s, list[i], q.list.entries[0].data);
	}
}

static void msrs_set(struct cpu_vcpu *v, const struct cpu_state *s, bool deadline)
{
	for (unsigned i = 0; i < s->n_msrs; i++) {
		KVM_LIST(kvm_msrs, kvm_msr_entry, 1) q = { .list.nmsrs = 1 };

		if ((s->msrs[i].index == X86_MSR_TSC_DEADLINE) != deadline)
			continue;
		q.list.entries[0].index = s->msrs[i].index;
		q.list.entries[0].data = s->msrs[i].value;
		if (ioctl(v->fd, KVM_SET_MSRS, &q) != 1)
			log_line(LOG_DEBUG, "kvm", "vCPU %u: MSR %#x does not take %#llx", v->id,
				 s->msrs[i].index, (unsigned long long)s->msrs[i].value);
	}
}

/* --- all of it
 * -------------------------------------------------------------------------------------- */

static int failed(struct cpu_vcpu *v, const char *what, struct err *e)
{
	int ret = -errno;

	return err_set(e, ret, "KVM does not take or give the %s of vCPU %u: %s", what, v->id,
		       strerror(-ret));
}

int kvm_get_state(struct cpu_vcpu *v, struct cpu_state *s, struct err *e)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs = { 0 };
	struct kvm_xsave xsave;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events = { 0 };
	struct kvm_debugregs debug;
	struct kvm_mp_state mp;

	memset(s, 0, sizeof(*s));
	if (ioctl(v->fd, KVM_GET_REGS, &regs))
		return failed(v, "registers", e);
	if (ioctl(v->fd, KVM_GET_SREGS, &sregs))
		return failed(v, "special registers", e);
	if (ioctl(v->fd, KVM_GET_XCRS, &xcrs))
		return failed(v, "XCR0", e);
	if (ioctl(v->fd, KVM_GET_XSAVE, &xsave))
		return failed(v, "FPU state", e);
	if (ioctl(v->fd, KVM_GET_LAPIC, &lapic))
		return failed(v, "local APIC", e);
	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events))
		return failed(v, "events", e);
	if (ioctl(v->fd, KVM_GET_DEBUGREGS, &debug))
		return failed(v, "debug registers", e);
	if (ioctl(v->fd, KVM_GET_MP_STATE, &mp))
		return failed(v, "processor state", e);
	regs_get(s, &regs);
	sregs_get(s, &sregs);
	s->xcr0 = xcrs.nr_xcrs ? xcrs.xcrs[0].value : X86_XCR0_X87;
	memcpy(s->xsave, xsave.region, sizeof(s->xsave));
	memcpy(s->lapic, lapic.regs, sizeof(s->lapic));
	events_get(s, &events);
	for (unsigned i = 0; i < 4; i++)
		s->dr[i] = debug.db[i];
	s->dr6 = debug.dr6;
	s->dr7 = debug.dr7;
	s->mp = mp_get(mp.mp_state);
	msrs_get(v, s);
	return 0;
}

int kvm_set_state(struct cpu_vcpu *v, const struct cpu_state *s, struct err *e)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs = { 0 };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = s->xcr0 };
	struct kvm_xsave xsave;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events = { 0 };
	struct kvm_debugregs debug = { .dr6 = s->dr6, .dr7 = s->dr7 };
	struct kvm_mp_state mp = { .mp_state = mp_set(s->mp) };

	regs_set(&regs, s);
	sregs_set(&sregs, s);
	memcpy(xsave.region, s->xsave, sizeof(s->xsave));
	memcpy(lapic.regs, s->lapic, sizeof(s->lapic));
	events_set(&events, s);
	for (unsigned i = 0; i < 4; i++)
		debug.db[i] = s->dr[i];
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs))
		return failed(v, "special registers", e);
	if (ioctl(v->fd, KVM_SET_XCRS, &xcrs))
		return failed(v, "XCR0", e);
	if (ioctl(v->fd, KVM_SET_XSAVE, &xsave))
		return failed(v, "FPU state", e);
	if (ioctl(v->fd, KVM_SET_REGS, &regs))
		return failed(v, "registers", e);
	if (ioctl(v->fd, KVM_SET_DEBUGREGS, &debug))
		return failed(v, "debug registers", e);
	msrs_set(v, s, false);
	if (ioctl(v->fd, KVM_SET_LAPIC, &lapic))
		return failed(v, "local APIC", e);
	msrs_set(v, s, true);
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &events))
		return failed(v, "events", e);
	if (ioctl(v->fd, KVM_SET_MP_STATE, &mp))
		return failed(v, "processor state", e);
	return 0;
}
