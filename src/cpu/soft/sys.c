/* SPDX-License-Identifier: MIT */
/*
 * Control and debug registers, MSRs, CPUID, XCR0, kvmclock.
 *
 * Source: SDM vol. 3A, 2.5 and 2.6; vol. 4 for MSRs; kvmclock: Linux,
 * Documentation/virt/kvm/x86/msr.rst.
 */
#include "base/clock.h"
#include "cpu/soft/soft.h"

#include <errno.h>
#include <x86intrin.h>

/* --- mode ---------------------------------------------------------------------------------- */

static unsigned choose_idx(const struct soft_vcpu *v)
{
	bool ac = v->rf & X86_FLAG_AC;

	if (v->cpl == 3)
		return ac && (v->cr0 & X86_CR0_AM) ? SOFT_MMU_USER_AC : SOFT_MMU_USER;
	return ac || !(v->cr4 & X86_CR4_SMAP) ? SOFT_MMU_KERNEL_AC : SOFT_MMU_KERNEL;
}

static void update_idx(struct soft_vcpu *v)
{
	unsigned idx = choose_idx(v);

	v->mmu_idx = (uint8_t)idx;
	soft_tlb_select(v);
}

void soft_set_rflags(struct soft_vcpu *v, uint64_t fl)
{
	uint64_t old = v->rf;

	fl &= 0x3f7fd5;
	v->cc = fl & X86_FLAGS_ARITH;
	v->rf = fl & ~X86_FLAGS_ARITH;
	if ((old ^ v->rf) & X86_FLAG_AC)
		update_idx(v);
}

void soft_update_mode(struct soft_vcpu *v)
{
	if (soft_real(v))
		v->cpl = 0;
	else if (soft_vm86(v))
		v->cpl = 3;
	if (soft_long(v) && (v->seg[CPU_CS].attr & CPU_ATTR_L))
		v->mode = SOFT_MODE_64;
	else
		v->mode = v->seg[CPU_CS].attr & CPU_ATTR_DB && !soft_vm86(v) ? SOFT_MODE_32
									     : SOFT_MODE_16;
	update_idx(v);
}

/* --- control registers ----------------------------------------------------------------------- */

uint64_t soft_read_cr(struct soft_vcpu *v, unsigned n)
{
	switch (n) {
	case 0:
		return v->cr0;
	case 2:
		return v->cr2;
	case 3:
		return v->cr3;
	case 4:
		return v->cr4;
	case 8:
		return lapic_cr8(&v->lapic);
	default:
		soft_ud(v);
	}
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & X86_EFER_LMA);
}

static void write_cr0(struct soft_vcpu *v, uint64_t val)
{
	uint64_t old = v->cr0, efer = v->efer;

	if (val >> 32)
		soft_gp(v, 0);
	val &= X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP |
	       X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG;
	val |= X86_CR0_ET;
	if (((val & X86_CR0_PG) && !(val & X86_CR0_PE)) ||
	    ((val & X86_CR0_NW) && !(val & X86_CR0_CD)))
		soft_gp(v, 0);
	if ((val & ~old & X86_CR0_PG) && (efer & X86_EFER_LME)) {
		/* Into IA-32e mode: SDM vol. 3A, 9.8.5. */
		if (!(v->cr4 & X86_CR4_PAE) || (v->seg[CPU_CS].attr & CPU_ATTR_L))
			soft_gp(v, 0);
		efer |= X86_EFER_LMA;
	}
	if (~val & old & X86_CR0_PG) {
		if (v->mode == SOFT_MODE_64 || (v->cr4 & X86_CR4_PCIDE))
			soft_gp(v, 0);
		efer &= ~X86_EFER_LMA;
	}
	if (pae_paging(val, v->cr4, efer) &&
	    ((val ^ old) & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)) && !soft_load_pdptes(v, v->cr3))
		soft_gp(v, 0);
	v->cr0 = val;
	v->efer = efer;
	if ((val ^ old) & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
		soft_tlb_flush(v, true);
	if ((val ^ old) & X86_CR0_PE) {
		/* Into protected mode CPL is 0; out of it, CS keeps its hidden part. */
		v->cpl = 0;
	}
	soft_update_mode(v);
}

static void write_cr3(struct soft_vcpu *v, uint64_t val)
{
	bool keep = false;

	if (soft_long(v)) {
		if (v->cr4 & X86_CR4_PCIDE) {
			keep = val & X86_CR3_NOFLUSH;
			val &= ~X86_CR3_NOFLUSH;
		}
		if (val >> v->phys_bits)
			soft_gp(v, 0);
	} else {
		val = (uint32_t)val;
		if (pae_paging(v->cr0, v->cr4, v->efer) && !soft_load_pdptes(v, val))
			soft_gp(v, 0);
	}
	v->cr3 = val;
	soft_tlb_set_pcid(v, v->cr4 & X86_CR4_PCIDE ? val & X86_CR3_PCID_MASK : 0, keep);
}

static void write_cr4(struct soft_vcpu *v, uint64_t val)
{
	uint64_t old = v->cr4, diff = val ^ old;

	if (val & ~v->cr4_allowed)
		soft_gp(v, 0);
	if (soft_long(v) && !(val & X86_CR4_PAE))
		soft_gp(v, 0);
	if ((val & ~old & X86_CR4_PCIDE) && (!soft_long(v) || (v->cr3 & X86_CR3_PCID_MASK)))
		soft_gp(v, 0);
	if (pae_paging(v->cr0, val, v->efer) &&
	    (diff & (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)) &&
	    !soft_load_pdptes(v, v->cr3))
		soft_gp(v, 0);
	v->cr4 = val;
	if (diff &
	    (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PCIDE))
		soft_tlb_flush(v, true);
	if ((old & ~val) & X86_CR4_PCIDE)
		soft_tlb_set_pcid(v, 0, false);
	soft_update_mode(v);
}

void soft_write_cr(struct soft_vcpu *v, unsigned n, uint64_t val)
{
	switch (n) {
	case 0:
		write_cr0(v, val);
		return;
	case 2:
		v->cr2 = val;
		return;
	case 3:
		write_cr3(v, val);
		return;
	case 4:
		write_cr4(v, val);
		return;
	case 8:
		if (val & ~15ull)
			soft_gp(v, 0);
		lapic_set_cr8(&v->lapic, (uint32_t)val);
		soft_attention(v, SOFT_ATT_APIC);
		return;
	default:
		soft_ud(v);
	}
}

/* --- debug registers: SDM vol. 3B, 17.2 --------------------------------------------------------
 */

static unsigned check_dr(struct soft_vcpu *v, unsigned n)
{
	if (n == 4 || n == 5) {
		if (v->cr4 & X86_CR4_DE)
			soft_ud(v);
		n += 2;
	}
	if (n > 7)
		soft_ud(v);
	if (v->dr7 & (1u << 13)) { /* general detect */
		v->dr7 &= ~(1ull << 13);
		v->dr6 |= 1u << 13;
		soft_raise(v, X86_VEC_DB);
	}
	return n;
}

uint64_t soft_read_dr(struct soft_vcpu *v, unsigned n)
{
	n = check_dr(v, n);
	return n < 4 ? v->dr[n] : n == 6 ? v->dr6 : v->dr7;
}

void soft_write_dr(struct soft_vcpu *v, unsigned n, uint64_t val)
{
	n = check_dr(v, n);
	if (n < 4) {
		v->dr[n] = val;
	} else {
		if (val >> 32)
			soft_gp(v, 0);
		if (n == 6)
			v->dr6 = (val & 0xe00f) | 0xffff0ff0;
		else
			v->dr7 = (val & 0xffff2fff) | 0x400;
	}
	/* Watched pages have no tags: make them anew. */
	if (n != 6)
		soft_tlb_flush(v, true);
}

/* --- CPUID and XCR0 ----------------------------------------------------------------------------
 */

void soft_cpuid(struct soft_vcpu *v, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	const struct cpuid_leaf *l = cpuid_find(&v->cpuid, leaf, sub);

	out[0] = out[1] = out[2] = out[3] = 0;
	if (!l && leaf < 0x40000000) {
		/* Beyond the highest basic leaf Intel gives that leaf's data; zeros serve all. */
		return;
	}
	if (!l)
		return;
	out[0] = l->eax;
	out[1] = l->ebx;
	out[2] = l->ecx;
	out[3] = l->edx;
	if (leaf == 1) {
		out[2] &= ~(1u << 27);
		if (v->cr4 & X86_CR4_OSXSAVE)
			out[2] |= 1u << 27;
	}
	/* Size of the area for what XCR0 enables: SDM vol. 1, 13.2. */
	if (leaf == 0xd && sub == 0)
		out[1] = v->xcr0 & X86_XCR0_AVX ? 832 : 576;
	if (leaf == 0xd && sub == 1)
		out[1] = v->xcr0 & X86_XCR0_AVX ? 832 : 576;
}

void soft_xsetbv(struct soft_vcpu *v, uint32_t index, uint64_t val)
{
	if (!(v->cr4 & X86_CR4_OSXSAVE))
		soft_ud(v);
	if (v->cpl || index || !(val & X86_XCR0_X87) || (val & ~v->xcr0_allowed) ||
	    ((val & X86_XCR0_AVX) && !(val & X86_XCR0_SSE)))
		soft_gp(v, 0);
	v->xcr0 = val;
}

uint64_t soft_tsc(struct soft_vcpu *v)
{
	return __rdtsc() + (uint64_t)v->tsc_offset;
}

/* --- kvmclock ------------------------------------------------------------------------------------
 */

/* Multiplier and shift so that ns = ((tsc << shift) * mul) >> 32: msr.rst, struct pvclock. */
static void tsc_scale(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t scaled = 1000000000ull, hz = (uint64_t)khz * 1000;

	*shift = 0;
	while (hz > scaled * 2) {
		hz >>= 1;
		(*shift)--;
	}
	while (hz <= scaled) {
		hz <<= 1;
		(*shift)++;
	}
	*mul = (uint32_t)((scaled << 32) / hz);
}

static void write_system_time(struct soft_vcpu *v, uint64_t msr)
{
	uint8_t page[32] = { 0 };
	uint32_t mul;
	int8_t shift;

	v->kvm_system_time = msr;
	if (!(msr & 1))
		return;
	tsc_scale(v->cpuid.tsc_khz, &mul, &shift);
	put_le32(page, 2); /* version, even: not being changed */
	put_le64(page + 8, soft_tsc(v));
	put_le64(page + 16, soft_now(v->vm) - v->vm->boot_ns);
	put_le32(page + 24, mul);
	page[28] = (uint8_t)shift;
	page[29] = 1; /* PVCLOCK_TSC_STABLE_BIT */
	if (mem_write(v->vm->mem, msr & ~1ull, page, sizeof(page)))
		log_guest(&v->vm->log, "soft", "vCPU %u: kvmclock page at %#llx is no RAM", v->id,
			  (unsigned long long)(msr & ~1ull));
}

static void write_wall_clock(struct soft_vcpu *v, uint64_t gpa)
{
	uint64_t wall = clock_host.wall_ns(&clock_host) - (soft_now(v->vm) - v->vm->boot_ns);
	uint8_t page[12];

	v->kvm_wall_clock = gpa;
	put_le32(page, 2);
	put_le32(page + 4, (uint32_t)(wall / CLOCK_NS_PER_SEC));
	put_le32(page + 8, (uint32_t)(wall % CLOCK_NS_PER_SEC));
	if (mem_write(v->vm->mem, gpa, page, sizeof(page)))
		log_guest(&v->vm->log, "soft", "vCPU %u: wall clock at %#llx is no RAM", v->id,
			  (unsigned long long)gpa);
}

/* --- MSRs --------------------------------------------------------------------------------------
 */

static bool canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

static bool pat_valid(uint64_t v)
{
	for (unsigned i = 0; i < 8; i++, v >>= 8)
		if ((v & 0xff) > 7 || (v & 0xff) == 2 || (v & 0xff) == 3)
			return false;
	return true;
}

/* Plain storage: MSRs that only hold what was written. NULL: not one of these. */
static uint64_t *plain_msr(struct soft_vcpu *v, uint32_t msr)
{
	static const uint16_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					  0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

	switch (msr) {
	case X86_MSR_SYSENTER_CS:
		return &v->sysenter_cs;
	case X86_MSR_SYSENTER_ESP:
		return &v->sysenter_esp;
	case X86_MSR_SYSENTER_EIP:
		return &v->sysenter_eip;
	case X86_MSR_STAR:
		return &v->star;
	case X86_MSR_LSTAR:
		return &v->lstar;
	case X86_MSR_CSTAR:
		return &v->cstar;
	case X86_MSR_SFMASK:
		return &v->sfmask;
	case X86_MSR_KERNEL_GS_BASE:
		return &v->kernel_gs_base;
	case X86_MSR_FS_BASE:
		return &v->seg[CPU_FS].base;
	case X86_MSR_GS_BASE:
		return &v->seg[CPU_GS].base;
	case X86_MSR_TSC_AUX:
		return &v->tsc_aux;
	case X86_MSR_PAT:
		return &v->pat;
	case X86_MSR_SPEC_CTRL:
		return &v->spec_ctrl;
	case X86_MSR_MISC_ENABLE:
		return &v->misc_enable;
	case X86_MSR_MCG_STATUS:
		return &v->mcg_status;
	case X86_MSR_MTRR_DEF_TYPE:
		return &v->mtrr_def;
	case X86_MSR_KVM_PV_EOI_EN:
		return &v->pv_eoi;
	default:
		break;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		if (fixed[i] == msr)
			return &v->mtrr_fix[i];
	if (msr >= X86_MSR_MTRR_PHYSBASE0 && msr < X86_MSR_MTRR_PHYSBASE0 + 16)
		return &v->mtrr_var[msr - X86_MSR_MTRR_PHYSBASE0];
	if (msr >= X86_MSR_MC0_CTL && msr < X86_MSR_MC0_CTL + 16)
		return &v->mc_bank[msr - X86_MSR_MC0_CTL];
	return NULL;
}

static bool is_lapic_msr(uint32_t msr)
{
	return msr == X86_MSR_APIC_BASE || msr == X86_MSR_TSC_DEADLINE ||
	       (msr >= X86_MSR_X2APIC_FIRST && msr <= X86_MSR_X2APIC_LAST);
}

int soft_rdmsr(struct soft_vcpu *v, uint32_t msr, uint64_t *val)
{
	const uint64_t *p;

	if (is_lapic_msr(msr))
		return lapic_msr_read(&v->lapic, msr, val);
	p = plain_msr(v, msr);
	if (p) {
		*val = *p;
		return 0;
	}
	switch (msr) {
	case X86_MSR_TSC:
		*val = soft_tsc(v);
		return 0;
	case X86_MSR_TSC_ADJUST:
		*val = v->tsc_adjust;
		return 0;
	case X86_MSR_EFER:
		*val = v->efer;
		return 0;
	case X86_MSR_ARCH_CAPABILITIES:
		*val = v->cpuid.arch_capabilities;
		return 0;
	case X86_MSR_MTRRCAP:
		*val = 0x508; /* eight variable ranges, fixed ones, write-combining */
		return 0;
	case X86_MSR_MCG_CAP:
		*val = 4; /* four banks, nothing else */
		return 0;
	case X86_MSR_FEATURE_CONTROL:
		*val = 1; /* locked, nothing enabled */
		return 0;
	case X86_MSR_BIOS_SIGN_ID:
		*val = v->intel ? 0x100000000ull : 0x1000065;
		return 0;
	case X86_MSR_KVM_SYSTEM_TIME_NEW:
		*val = v->kvm_system_time;
		return 0;
	case X86_MSR_KVM_WALL_CLOCK_NEW:
		*val = v->kvm_wall_clock;
		return 0;
	case X86_MSR_PLATFORM_INFO:
	case X86_MSR_AMD_SYSCFG:
	case X86_MSR_AMD_NB_CFG:
	case X86_MSR_XSS:
		*val = 0;
		return 0;
	case X86_MSR_AMD_HWCR:
		*val = 1u << 24; /* TscFreqSel: the TSC runs at P0 */
		return 0;
	default:
		return -EINVAL;
	}
}

static int write_efer(struct soft_vcpu *v, uint64_t val)
{
	uint64_t old = v->efer;

	if (val & ~v->efer_allowed)
		return -EINVAL;
	if (((val ^ old) & X86_EFER_LME) && (v->cr0 & X86_CR0_PG))
		return -EINVAL;
	v->efer = (val & ~X86_EFER_LMA) | (old & X86_EFER_LMA);
	if ((val ^ old) & X86_EFER_NX)
		soft_tlb_flush(v, true);
	return 0;
}

/* Values that plain MSRs refuse. */
static bool plain_refuses(const struct soft_vcpu *v, uint32_t msr, uint64_t val)
{
	switch (msr) {
	case X86_MSR_LSTAR:
	case X86_MSR_CSTAR:
	case X86_MSR_FS_BASE:
	case X86_MSR_GS_BASE:
	case X86_MSR_KERNEL_GS_BASE:
	case X86_MSR_SYSENTER_ESP:
	case X86_MSR_SYSENTER_EIP:
		return !canonical(val);
	case X86_MSR_PAT:
		return !pat_valid(val);
	case X86_MSR_TSC_AUX:
	case X86_MSR_SFMASK:
		return v->intel && val >> 32;
	default:
		return false;
	}
}

int soft_wrmsr(struct soft_vcpu *v, uint32_t msr, uint64_t val)
{
	uint64_t *p;

	if (is_lapic_msr(msr)) {
		int ret = lapic_msr_write(&v->lapic, msr, val);

		soft_attention(v, SOFT_ATT_APIC);
		return ret;
	}
	if (plain_refuses(v, msr, val))
		return -EINVAL;
	p = plain_msr(v, msr);
	if (p) {
		*p = val;
		return 0;
	}
	switch (msr) {
	case X86_MSR_TSC:
		v->tsc_adjust += val - soft_tsc(v);
		v->tsc_offset = (int64_t)(val - __rdtsc());
		return 0;
	case X86_MSR_TSC_ADJUST:
		v->tsc_offset += (int64_t)(val - v->tsc_adjust);
		v->tsc_adjust = val;
		return 0;
	case X86_MSR_EFER:
		return write_efer(v, val);
	case X86_MSR_PRED_CMD:
	case X86_MSR_BIOS_UPDT_TRIG:
	case X86_MSR_BIOS_SIGN_ID:
	case X86_MSR_AMD_SYSCFG:
	case X86_MSR_AMD_HWCR:
	case X86_MSR_AMD_NB_CFG: /* the PCI ports reach no extended registers */
		return 0;
	case X86_MSR_XSS:
		return val ? -EINVAL : 0;
	case X86_MSR_KVM_SYSTEM_TIME_NEW:
		write_system_time(v, val);
		return 0;
	case X86_MSR_KVM_WALL_CLOCK_NEW:
		write_wall_clock(v, val);
		return 0;
	default:
		return -EINVAL;
	}
}
