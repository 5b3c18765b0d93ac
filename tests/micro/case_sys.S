/* SPDX-License-Identifier: MIT */
/*
 * Control registers, MSRs and what only level 0 may do: SDM vol. 3A, 2.5 and 5.9, vol. 4.
 */
#include "micro.inc"
	.text

/* GP_CR n, value expression bits: MOV to CRn of (now, with bit set) must give #GP(0). */
.macro GP_CR n, bit, at, op=bts
	mov %cr\n, %rax
	\op $\bit, %rax
	TRY 1f
\at:	mov %rax, %cr\n
1:
.endm

CASE control_registers, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	GP_CR 0, 0, at_c1, btr		/* PG without PE */
	GP_CR 0, 29, at_c2		/* NW without CD */
	GP_CR 0, 32, at_c3
	GP_CR 4, 5, at_c4, btr		/* PAE in long mode */
	GP_CR 4, 30, at_c5		/* reserved */
	GP_CR 4, 63, at_c6
	GP_CR 3, 63, at_c7		/* only with PCIDE */
	GP_CR 3, 60, at_c8
	mov $16, %eax
	TRY 1f
at_c9:	mov %rax, %cr8
1:	mov $9, %eax
	mov %rax, %cr8
	mov %cr8, %rbx
	LOG %rbx
	xor %eax, %eax
	mov %rax, %cr8
	TRY 2f
at_c10:	.byte 0x0f, 0x20, 0xc8		/* MOV EAX, CR1 */
2:	ret
WANT control_registers, 13, 0, at_c1, 13, 0, at_c2, 13, 0, at_c3, 13, 0, at_c4, 13, 0, at_c5, \
	13, 0, at_c6, 13, 0, at_c7, 13, 0, at_c8, 13, 0, at_c9, 9, 6, 0, at_c10

CASE machine_status_word
	smsw %rax
	LOG %rax
	mov %cr0, %rbx
	or $8, %eax
	and $~1, %eax			/* LMSW sets TS, and cannot clear PE */
	lmsw %ax
	mov %cr0, %rbx
	and $0xf, %ebx
	LOG %rbx
	clts
	mov %cr0, %rbx
	and $0xf, %ebx
	LOG %rbx
	ret
WANT machine_status_word, 0x80010033, 0xb, 3

.macro GP_WRMSR msr, value, at
	mov $\msr, %ecx
	mov $\value, %rax
	mov %rax, %rdx
	shr $32, %rdx
	TRY 1f
\at:	wrmsr
1:
.endm

CASE model_specific_registers, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	mov $0x12345, %ecx
	TRY 2f
at_m1:	rdmsr
2:	GP_WRMSR 0x12345, 0, at_m2
	GP_WRMSR 0xc0000082, 0x800000000000, at_m3	/* LSTAR: not canonical */
	GP_WRMSR 0xc0000100, 0x800000000000, at_m4	/* FS base */
	GP_WRMSR 0xc0000080, 0x80000d01, at_m5		/* EFER: reserved */
	GP_WRMSR 0xc0000080, 0xc01, at_m6		/* LME while paging is on */
	GP_WRMSR 0x277, 0x0707070707070702, at_m7	/* PAT: no such type */
	mov $0xc0000102, %ecx				/* kernel GS base */
	mov $0x89abcdef, %eax
	mov $0x00001234, %edx
	wrmsr
	mov $-1, %rax
	mov $-1, %rdx
	rdmsr
	LOG %rax
	LOG %rdx
	swapgs
	mov $0xc0000101, %ecx
	rdmsr
	LOG %rax
	LOG %rdx
	ret
/* EFER: the LMA bit is not to be written, so what is wrong there is LME. */
WANT model_specific_registers, 13, 0, at_m1, 13, 0, at_m2, 13, 0, at_m3, 13, 0, at_m4, \
	13, 0, at_m5, 13, 0, at_m6, 13, 0, at_m7, 0x89abcdef, 0x1234, 0x89abcdef, 0x1234

/* NB_CFG: Linux sets EnableCf8ExtCfg in it on each AMD CPU of family 10h and later. */
CASE northbridge_configuration
	mov $0xc001001f, %ecx
	TRY 1f
	rdmsr
	bts $14, %edx
	wrmsr
	LOG $1
1:	ret
WANT northbridge_configuration, 1

CASE fs_gs_base, MICRO_NOT_TCG
	mov $0xc0000100, %ecx
	mov $MICRO_SCRATCH, %eax
	xor %edx, %edx
	wrmsr
	movq $77, PAGE(0) + 8
	LOG %fs:8
	mov $SEL_DATA, %eax
	mov %eax, %fs				/* loads the descriptor's base, 0 */
	rdmsr
	LOG %rax
	mov %cr4, %rax
	bts $16, %rax
	mov %rax, %cr4
	mov $0x123456789abc, %rax
	wrgsbase %rax
	rdgsbase %rbx
	LOG %rbx
	mov $0x800000000000, %rax
	TRY 1f
at_gs:	wrgsbase %rax
1:	ret
WANT fs_gs_base, 77, 0, 0x123456789abc, 13, 0, at_gs

CASE extended_control, MICRO_NOT_EMULATED
	TRY 1f
	xor %ecx, %ecx
at_e1:	xgetbv				/* OSXSAVE is clear */
1:	mov %cr4, %rax
	bts $18, %rax
	mov %rax, %cr4
	xor %ecx, %ecx
	xor %edx, %edx
	mov $6, %eax			/* without x87 */
	TRY 2f
at_e2:	xsetbv
2:	mov $5, %eax			/* AVX without SSE */
	TRY 3f
at_e3:	xsetbv
3:	mov $1, %ecx
	mov $7, %eax
	TRY 4f
at_e4:	xsetbv				/* no such register */
4:	xor %ecx, %ecx
	mov $7, %eax
	xsetbv
	xor %eax, %eax
	xgetbv
	and $7, %eax
	LOG %rax
	LOG %rdx
	vxorps %ymm0, %ymm0, %ymm0	/* and now it may */
	mov $1, %eax
	cpuid
	shr $27, %ecx
	and $1, %ecx
	LOG %rcx			/* OSXSAVE shows CR4's bit */
	ret
WANT extended_control, 6, 0, at_e1, 13, 0, at_e2, 13, 0, at_e3, 13, 0, at_e4, 7, 0, 1

/* PRIV label, code: level 3 must get #GP(0) there. */
.macro PRIV at, code:vararg
	TRY 1f
	USER \at
	.pushsection .user, "awx"
\at:	\code
	.popsection
1:
.endm

CASE privileged, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	PRIV at_v1, cli
	PRIV at_v2, hlt
	PRIV at_v3, in %dx, %al
	PRIV at_v4, out %al, $0x80
	PRIV at_v5, wbinvd
	PRIV at_v6, lgdt gdtr
	PRIV at_v7, mov %cr0, %rax
	PRIV at_v8, mov %rax, %cr3
	PRIV at_v9, invlpg 0
	PRIV at_v10, rdmsr
	PRIV at_v11, swapgs
	PRIV at_v12, clts
	PRIV at_v13, mov %dr7, %rax
	PRIV at_v14, ltr %ax
	PRIV at_v15, lmsw %ax
	PRIV at_v16, int $0x21
	PRIV at_v17, iretw
	PRIV at_v18, sysretq
	PRIV at_v19, sti
	PRIV at_v20, invd
	ret
WANT privileged, 13, 0, at_v1, 13, 0, at_v2, 13, 0, at_v3, 13, 0, at_v4, 13, 0, at_v5, \
	13, 0, at_v6, 13, 0, at_v7, 13, 0, at_v8, 13, 0, at_v9, 13, 0, at_v10, 13, 0, at_v11, \
	13, 0, at_v12, 13, 0, at_v13, 13, 0, at_v14, 13, 0, at_v15, 13, 0x21 * 8 + 2, at_v16, \
	13, 0, at_v17, 13, 0, at_v18, 13, 0, at_v19, 13, 0, at_v20

CASE time_stamp_disable, MICRO_NOT_EMULATED
	TRY 1f
	USER at_t0
	.pushsection .user, "awx"
at_t0:	rdtsc
	int $0x80
at_t1:	.popsection
1:	mov %cr4, %rax
	bts $2, %rax
	mov %rax, %cr4
	rdtsc				/* level 0 may */
	PRIV at_t2, rdtsc
	ret
WANT time_stamp_disable, 0x80, 0, at_t1, 13, 0, at_t2

CASE user_flags, MICRO_NOT_EMULATED
	TRY 1f
	USER at_uf
	.pushsection .user, "awx"
at_uf:	pushfq
	orq $0x3200, (%rsp)		/* IF and IOPL: not for level 3 to change, and no fault */
	popfq
	pushfq
	pop %rbx
	int $0x80
at_uf2:	.popsection
1:	and $0x3200, %ebx
	LOG %rbx
	ret
WANT user_flags, 0x80, 0, at_uf2, 0

CASE io_map
	movb $0xff, tss + 0x68 + 0xf4 / 8	/* the map's bytes in the TSS: none below F0h */
	movw $0x68, tss + 0x66
	movw $0xa8, gdt + SEL_TSS		/* limit: to port 200h */
	movb $0x89, gdt + SEL_TSS + 5
	mov $SEL_TSS, %eax
	ltr %ax
	TRY 1f
	USER at_io
	.pushsection .user, "awx"
at_io:	in $0x80, %al			/* allowed */
	in $0xf0, %al
at_io2: .popsection
1:	mov $0x300, %edx
	PRIV at_io3, in %dx, %al
	ret
	.set at_iof, at_io + 2
WANT io_map, 13, 0, at_iof, 13, 0, at_io3

CASE task_register, MICRO_NOT_TCG
	mov $SEL_TSS_BUSY, %eax
	TRY 1f
at_tr1:	ltr %ax
1:	mov $SEL_DATA, %eax
	TRY 2f
at_tr2:	ltr %ax
2:	xor %eax, %eax
	TRY 3f
at_tr3:	ltr %ax
3:	movzbl gdt + SEL_TSS + 5, %eax
	LOG %rax			/* LTR made it busy */
	str %rbx
	LOG %rbx
	mov $SEL_TSS, %eax
	TRY 4f
at_tr4:	lldt %ax
4:	mov $SEL_LDT, %eax
	lldt %ax
	sldt %rbx
	LOG %rbx
	mov $SEL_CODE64 | 4, %eax	/* the LDT's second entry: it is the GDT's */
	TRY 5f
at_tr5:	mov %eax, %ss			/* code */
5:	xor %eax, %eax
	lldt %ax
	ret
WANT task_register, 13, SEL_TSS_BUSY, at_tr1, 13, SEL_DATA, at_tr2, 13, 0, at_tr3, 0x8b, SEL_TSS, \
	13, SEL_TSS, at_tr4, SEL_LDT, 13, SEL_CODE64 | 4, at_tr5

CASE access_rights, MICRO_NOT_EMULATED
	xor %ebx, %ebx
	mov $SEL_USER64, %eax
	lar %eax, %ebx
	and $0xf0ff00, %ebx		/* bits 19:16 are undefined */
	LOG %rbx
	mov $SEL_LIMITED, %eax
	lsl %eax, %ebx
	LOG %rbx
	mov $SEL_TOP, %eax
	mov $0x77, %ebx
	lar %eax, %ebx			/* no such: ZF clear, register kept */
	setz %cl
	movzbl %cl, %ecx
	LOG %rcx
	LOG %rbx
	mov $SEL_EXEC, %eax
	verr %ax
	setz %cl
	LOG %rcx
	mov $SEL_DATA, %eax
	verw %ax
	setz %cl
	LOG %rcx
	mov $SEL_CODE64, %eax
	verw %ax
	setz %cl
	LOG %rcx
	ret
WANT access_rights, 0xa0fb00, 0xfff, 0, 0x77, 0, 1, 0

/* CLI and STI of level 3, which IOPL 3 allows; often enough to be translated. */
CASE interrupt_flag_by_iopl, MICRO_NOT_EMULATED
	TRY 1f
	pushq $SEL_USERDATA
	pushq $user_stack_top
	pushq $0x3002			/* IOPL 3, IF clear */
	pushq $SEL_USER64
	pushq $user_iopl
	iretq
	.pushsection .user, "awx"
user_iopl:
	mov $40, %ebx
2:	sti
	nop
	pushfq
	pop %rax
	cli
	pushfq
	pop %rdx
	dec %ebx
	jnz 2b
	int $0x80
at_iopl:
	.popsection
1:	and $0x3200, %eax
	LOG %rax
	and $0x3200, %edx
	LOG %rdx
	ret
WANT interrupt_flag_by_iopl, 0x80, 0, at_iopl, 0x3200, 0x3000
