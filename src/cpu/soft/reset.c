/* SPDX-License-Identifier: MIT */
/*
 * A vCPU after power-on or INIT, and which control bits its CPUID lets it set.
 */
#include "cpu/soft/soft.h"

#include <string.h>

static uint32_t leaf_reg(const struct cpuid_table *t, uint32_t leaf, unsigned reg)
{
	const struct cpuid_leaf *l = cpuid_find(t, leaf, 0);
	uint32_t r[4] = { 0 };

	if (l) {
		r[0] = l->eax;
		r[1] = l->ebx;
		r[2] = l->ecx;
		r[3] = l->edx;
	}
	return r[reg];
}

void soft_derive_allowed(struct soft_vcpu *v)
{
	static const struct {
		uint32_t leaf;
		uint8_t reg, bit;
		uint64_t cr4;
	} table[] = {
		{ 1, 2, 17, X86_CR4_PCIDE },   { 1, 2, 26, X86_CR4_OSXSAVE },
		{ 7, 1, 0, X86_CR4_FSGSBASE }, { 7, 1, 7, X86_CR4_SMEP },
		{ 7, 1, 20, X86_CR4_SMAP },
	};
	uint32_t ext = leaf_reg(&v->cpuid, 0x80000001, 3);

	v->cr4_allowed = X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE |
			 X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (leaf_reg(&v->cpuid, table[i].leaf, table[i].reg) >> table[i].bit & 1)
			v->cr4_allowed |= table[i].cr4;
	v->efer_allowed = X86_EFER_LMA;
	if (ext & (1u << 11))
		v->efer_allowed |= X86_EFER_SCE;
	if (ext & (1u << 29))
		v->efer_allowed |= X86_EFER_LME;
	if (ext & (1u << 20))
		v->efer_allowed |= X86_EFER_NX;
	v->xcr0_allowed = X86_XCR0_X87 | X86_XCR0_SSE;
	if (leaf_reg(&v->cpuid, 1, 2) & (1u << 28))
		v->xcr0_allowed |= X86_XCR0_AVX;
	v->phys_bits = (uint8_t)(leaf_reg(&v->cpuid, 0x80000008, 0) & 0xff);
	if (v->phys_bits < 32 || v->phys_bits > MEM_GPA_BITS)
		v->phys_bits = MEM_GPA_BITS;
	v->intel = leaf_reg(&v->cpuid, 0, 1) == 0x756e6547; /* "Genu" */
}

void soft_reset(struct soft_vcpu *v, bool init)
{
	struct cpu_state s;

	memset(&s, 0, sizeof(s));
	cpu_state_reset(&s, false);
	for (unsigned i = 0; i < 16; i++)
		v->r[i] = s.gpr[i];
	/* DX shows the CPU's signature: SDM vol. 3A, table 9-1. */
	v->r[CPU_RDX] = leaf_reg(&v->cpuid, 1, 0);
	v->rip = s.rip;
	memcpy(v->seg, s.seg, sizeof(v->seg));
	v->ldtr = s.ldtr;
	v->tr = s.tr;
	v->gdtr = s.gdtr;
	v->idtr = s.idtr;
	v->cr0 = init ? X86_CR0_ET | (v->cr0 & (X86_CR0_CD | X86_CR0_NW)) : s.cr0;
	v->cr2 = v->cr3 = v->cr4 = 0;
	v->efer = 0;
	memset(v->dr, 0, sizeof(v->dr));
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->cpl = 0;
	v->shadow = v->nmi_pending = v->nmi_masked = v->exc_pending = false;
	v->db_trap = v->step_armed = false;
	v->delivering = -1;
	if (!init) {
		soft_fpu_reset(v);
		v->xcr0 = X86_XCR0_X87;
		v->pat = 0x0007040600070406ull;
		v->misc_enable = 1; /* fast strings */
		v->star = v->lstar = v->cstar = v->sfmask = v->kernel_gs_base = 0;
		v->sysenter_cs = v->sysenter_esp = v->sysenter_eip = 0;
		v->tsc_aux = v->spec_ctrl = v->tsc_adjust = v->mtrr_def = 0;
		v->kvm_system_time = v->kvm_wall_clock = v->pv_eoi = 0;
	}
	soft_set_rflags(v, X86_FLAG_FIXED);
	soft_tlb_flush(v, true);
	soft_tlb_set_pcid(v, 0, false);
	soft_update_mode(v);
}
