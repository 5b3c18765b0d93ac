/* SPDX-License-Identifier: MIT */
/*
 * Architectural constants of x86-64.
 *
 * Names and numbers are those of the Intel SDM (325462) and the AMD APM (24593); the section is
 * cited at each block.
 */
#ifndef HOLM_SPEC_X86_H
#define HOLM_SPEC_X86_H

/* RFLAGS: SDM vol. 1, 3.4.3. */
#define X86_FLAG_CF	    (1ull << 0)
#define X86_FLAG_FIXED	    (1ull << 1)
#define X86_FLAG_PF	    (1ull << 2)
#define X86_FLAG_AF	    (1ull << 4)
#define X86_FLAG_ZF	    (1ull << 6)
#define X86_FLAG_SF	    (1ull << 7)
#define X86_FLAG_TF	    (1ull << 8)
#define X86_FLAG_IF	    (1ull << 9)
#define X86_FLAG_DF	    (1ull << 10)
#define X86_FLAG_OF	    (1ull << 11)
#define X86_FLAG_IOPL	    (3ull << 12)
#define X86_FLAG_IOPL_SHIFT 12
#define X86_FLAG_NT	    (1ull << 14)
#define X86_FLAG_RF	    (1ull << 16)
#define X86_FLAG_VM	    (1ull << 17)
#define X86_FLAG_AC	    (1ull << 18)
#define X86_FLAG_VIF	    (1ull << 19)
#define X86_FLAG_VIP	    (1ull << 20)
#define X86_FLAG_ID	    (1ull << 21)
#define X86_FLAGS_ARITH                                                                            \
	(X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | X86_FLAG_ZF | X86_FLAG_SF | X86_FLAG_OF)

/* CR0: SDM vol. 3A, 2.5. */
#define X86_CR0_PE (1ull << 0)
#define X86_CR0_MP (1ull << 1)
#define X86_CR0_EM (1ull << 2)
#define X86_CR0_TS (1ull << 3)
#define X86_CR0_ET (1ull << 4)
#define X86_CR0_NE (1ull << 5)
#define X86_CR0_WP (1ull << 16)
#define X86_CR0_AM (1ull << 18)
#define X86_CR0_NW (1ull << 29)
#define X86_CR0_CD (1ull << 30)
#define X86_CR0_PG (1ull << 31)

/* CR3: SDM vol. 3A, 4.5 and 4.10.4.1 (MOV to CR3). */
#define X86_CR3_PCID_MASK 0xfffull
#define X86_CR3_NOFLUSH	  (1ull << 63)

/* CR4: SDM vol. 3A, 2.5. */
#define X86_CR4_VME	   (1ull << 0)
#define X86_CR4_PVI	   (1ull << 1)
#define X86_CR4_TSD	   (1ull << 2)
#define X86_CR4_DE	   (1ull << 3)
#define X86_CR4_PSE	   (1ull << 4)
#define X86_CR4_PAE	   (1ull << 5)
#define X86_CR4_MCE	   (1ull << 6)
#define X86_CR4_PGE	   (1ull << 7)
#define X86_CR4_PCE	   (1ull << 8)
#define X86_CR4_OSFXSR	   (1ull << 9)
#define X86_CR4_OSXMMEXCPT (1ull << 10)
#define X86_CR4_UMIP	   (1ull << 11)
#define X86_CR4_LA57	   (1ull << 12)
#define X86_CR4_VMXE	   (1ull << 13)
#define X86_CR4_FSGSBASE   (1ull << 16)
#define X86_CR4_PCIDE	   (1ull << 17)
#define X86_CR4_OSXSAVE	   (1ull << 18)
#define X86_CR4_SMEP	   (1ull << 20)
#define X86_CR4_SMAP	   (1ull << 21)
#define X86_CR4_PKE	   (1ull << 22)

/* EFER: SDM vol. 3A, 2.2.1; SVME and FFXSR: APM vol. 2, 3.1.7. */
#define X86_EFER_SCE   (1ull << 0)
#define X86_EFER_LME   (1ull << 8)
#define X86_EFER_LMA   (1ull << 10)
#define X86_EFER_NX    (1ull << 11)
#define X86_EFER_SVME  (1ull << 12)
#define X86_EFER_FFXSR (1ull << 14)

/* Exception vectors: SDM vol. 3A, table 6-1. */
enum x86_vector {
	X86_VEC_DE = 0,
	X86_VEC_DB = 1,
	X86_VEC_NMI = 2,
	X86_VEC_BP = 3,
	X86_VEC_OF = 4,
	X86_VEC_BR = 5,
	X86_VEC_UD = 6,
	X86_VEC_NM = 7,
	X86_VEC_DF = 8,
	X86_VEC_TS = 10,
	X86_VEC_NP = 11,
	X86_VEC_SS = 12,
	X86_VEC_GP = 13,
	X86_VEC_PF = 14,
	X86_VEC_MF = 16,
	X86_VEC_AC = 17,
	X86_VEC_MC = 18,
	X86_VEC_XM = 19,
};

/* Page-fault error code: SDM vol. 3A, 4.7. */
#define X86_PF_P    (1u << 0)
#define X86_PF_W    (1u << 1)
#define X86_PF_U    (1u << 2)
#define X86_PF_RSVD (1u << 3)
#define X86_PF_I    (1u << 4)

/* Paging-structure entries: SDM vol. 3A, 4.5, table 4-15 ff. */
#define X86_PTE_P   (1ull << 0)
#define X86_PTE_W   (1ull << 1)
#define X86_PTE_U   (1ull << 2)
#define X86_PTE_PCD (1ull << 4)
#define X86_PTE_A   (1ull << 5)
#define X86_PTE_D   (1ull << 6)
#define X86_PTE_PS  (1ull << 7)
#define X86_PTE_G   (1ull << 8)
#define X86_PTE_NX  (1ull << 63)

/* MSRs: SDM vol. 4, tables 2-2 ff.; 0xc000_01xx: APM vol. 2, appendix A. */
#define X86_MSR_TSC		  0x10
#define X86_MSR_APIC_BASE	  0x1b
#define X86_MSR_FEATURE_CONTROL	  0x3a
#define X86_MSR_TSC_ADJUST	  0x3b
#define X86_MSR_SPEC_CTRL	  0x48
#define X86_MSR_PRED_CMD	  0x49
#define X86_MSR_BIOS_UPDT_TRIG	  0x79
#define X86_MSR_BIOS_SIGN_ID	  0x8b
#define X86_MSR_PLATFORM_INFO	  0xce
#define X86_MSR_MTRRCAP		  0xfe
#define X86_MSR_ARCH_CAPABILITIES 0x10a
#define X86_MSR_SYSENTER_CS	  0x174
#define X86_MSR_SYSENTER_ESP	  0x175
#define X86_MSR_SYSENTER_EIP	  0x176
#define X86_MSR_MCG_CAP		  0x179
#define X86_MSR_MCG_STATUS	  0x17a
#define X86_MSR_MISC_ENABLE	  0x1a0
#define X86_MSR_MTRR_PHYSBASE0	  0x200
#define X86_MSR_MTRR_FIX64K	  0x250
#define X86_MSR_MTRR_FIX16K_80000 0x258
#define X86_MSR_MTRR_FIX16K_A0000 0x259
#define X86_MSR_MTRR_FIX4K_C0000  0x268
#define X86_MSR_PAT		  0x277
#define X86_MSR_MTRR_DEF_TYPE	  0x2ff
#define X86_MSR_MC0_CTL		  0x400
#define X86_MSR_TSC_DEADLINE	  0x6e0
#define X86_MSR_X2APIC_FIRST	  0x800
#define X86_MSR_X2APIC_LAST	  0x8ff
#define X86_MSR_XSS		  0xda0
#define X86_MSR_EFER		  0xc0000080
#define X86_MSR_STAR		  0xc0000081
#define X86_MSR_LSTAR		  0xc0000082
#define X86_MSR_CSTAR		  0xc0000083
#define X86_MSR_SFMASK		  0xc0000084
#define X86_MSR_FS_BASE		  0xc0000100
#define X86_MSR_GS_BASE		  0xc0000101
#define X86_MSR_KERNEL_GS_BASE	  0xc0000102
#define X86_MSR_TSC_AUX		  0xc0000103
#define X86_MSR_AMD_SYSCFG	  0xc0010010
#define X86_MSR_AMD_HWCR	  0xc0010015
#define X86_MSR_AMD_NB_CFG	  0xc001001f
#define X86_MSR_AMD_PATCH_LEVEL	  0x8b

/* KVM's paravirtual MSRs: Linux, Documentation/virt/kvm/x86/msr.rst. */
#define X86_MSR_KVM_WALL_CLOCK_NEW  0x4b564d00
#define X86_MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
#define X86_MSR_KVM_PV_EOI_EN	    0x4b564d04

/* Segment descriptor types (S = 0): SDM vol. 3A, table 3-2. */
#define X86_DESC_TSS16_AVAIL 1
#define X86_DESC_LDT	     2
#define X86_DESC_TSS16_BUSY  3
#define X86_DESC_CALL_GATE16 4
#define X86_DESC_TASK_GATE   5
#define X86_DESC_INT_GATE16  6
#define X86_DESC_TRAP_GATE16 7
#define X86_DESC_TSS_AVAIL   9
#define X86_DESC_TSS_BUSY    11
#define X86_DESC_CALL_GATE   12
#define X86_DESC_INT_GATE    14
#define X86_DESC_TRAP_GATE   15

/* XCR0 and XSAVE: SDM vol. 1, 13.1 to 13.4. */
#define X86_XCR0_X87   (1ull << 0)
#define X86_XCR0_SSE   (1ull << 1)
#define X86_XCR0_AVX   (1ull << 2)

#define X86_PAGE_SIZE  4096ull
#define X86_PAGE_SHIFT 12

#endif
