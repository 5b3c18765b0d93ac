/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and their error codes: SDM vol. 3A, chapter 6.
 */
#include "micro.inc"
	.text

CASE divide_error
	TRY 1f
	xor %ecx, %ecx
	mov $1, %eax
	cltd
at_de:	div %ecx
1:	TRY 2f
	mov $0x80000000, %eax		/* the quotient does not fit */
	cltd
	mov $-1, %ecx
at_de2:	idiv %ecx
2:	ret
WANT divide_error, 0, 0, at_de, 0, 0, at_de2

CASE undefined
	TRY 1f
at_ud:	ud2
1:	TRY 2f
at_lock: .byte 0xf0, 0x01, 0xc0		/* LOCK with a register */
2:	TRY 3f
at_push: .byte 0x06			/* PUSH ES in 64-bit mode */
3:	TRY 4f
at_cs:	.byte 0x8e, 0xc8		/* MOV CS, AX */
4:	ret
WANT undefined, 6, 0, at_ud, 6, 0, at_lock, 6, 0, at_push, 6, 0, at_cs

CASE too_long
	TRY 1f
at_long: .fill 15, 1, 0x66
	nop
1:	ret
WANT too_long, 13, 0, at_long

CASE software_interrupt, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	TRY 1f
	int3
after_3: nop
1:	TRY 2f
	int $0x21
after_21: nop
2:	TRY 3f
	.byte 0xf1			/* INT1: a trap without DR6 */
after_1: nop
3:	ret
WANT software_interrupt, 3, 0, after_3, 0x21, 0, after_21, 1, 0, after_1

CASE not_canonical, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	mov $0x800000000000, %rax
	TRY 1f
at_nc:	mov (%rax), %rbx
1:	TRY 2f
	mov %rax, %rbp
at_ncs:	mov (%rbp), %rbx		/* by the stack segment */
2:	movq $MICRO_TABLES + 0x1003, MICRO_TABLES + 255 * 8
	movq $MICRO_PD | 3, MICRO_TABLES + 0x1000 + 511 * 8
	movq $MICRO_LARGE | 0x83, MICRO_PD + 511 * 8
	mov $0x7ffffffffff8, %rcx
	mov (%rcx), %rbx		/* the last one that is */
	TRY 3f
at_nce:	mov 1(%rcx), %rbx		/* its end is beyond */
3:	ret
WANT not_canonical, 13, 0, at_nc, 12, 0, at_ncs, 13, 0, at_nce

CASE misaligned
	TRY 1f
at_ma:	movaps %xmm0, PAGE(0) + 8
1:	TRY 2f
at_cx:	cmpxchg16b PAGE(0) + 8
2:	ret
WANT misaligned, 13, 0, at_ma, 13, 0, at_cx

/* A KVM that emulates leaves out what only level 3 sees with CR0.AM. QEMU's CPU has no #AC. */
CASE alignment_check, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	mov %cr0, %rax
	bts $18, %rax
	mov %rax, %cr0
	TRY 1f
	USER user_ac
1:	ret
	.pushsection .user, "awx"
user_ac: pushfq
	btsq $18, (%rsp)
	popfq
at_ac:	mov user_ac + 1, %eax
	int $0x80
	.popsection
WANT alignment_check, 17, 0, at_ac

CASE segment_faults
	mov $0x1f3, %eax		/* beyond the GDT */
	TRY 1f
at_s1:	mov %eax, %ds
1:	mov $SEL_ABSENT, %eax
	TRY 2f
at_s2:	mov %eax, %ds
2:	mov $SEL_ABSENT, %eax
	TRY 3f
at_s3:	mov %eax, %ss
3:	mov $SEL_EXEC, %eax
	TRY 4f
at_s4:	mov %eax, %es			/* may not be read */
4:	mov $SEL_USERDATA, %eax
	TRY 5f
at_s5:	mov %eax, %ss			/* its level is not ours */
5:	mov $SEL_TSS, %eax
	TRY 6f
at_s6:	mov %eax, %fs			/* a system descriptor */
6:	mov $SEL_DATA | 4, %eax
	TRY 7f
at_s7:	mov %eax, %gs			/* no LDT is loaded */
7:	xor %eax, %eax
	mov %eax, %ss			/* null is allowed at level 0 of 64-bit mode */
	mov $SEL_DATA, %eax
	mov %eax, %ss
	ret
WANT segment_faults, 13, 0x1f0, at_s1, 11, SEL_ABSENT, at_s2, 12, SEL_ABSENT, at_s3, \
	13, SEL_EXEC, at_s4, 13, SEL_USERDATA & ~3, at_s5, 13, SEL_TSS, at_s6, \
	13, SEL_DATA | 4, at_s7

CASE idt_errors, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	movb $0x0e, idt + 0x31 * 16 + 5	/* not present */
	TRY 1f
at_i1:	int $0x31
1:	movb $0x85, idt + 0x32 * 16 + 5	/* a task gate */
	TRY 2f
at_i2:	int $0x32
2:	movw $SEL_DATA, idt + 0x33 * 16 + 2
	TRY 3f
at_i3:	int $0x33			/* to a data segment */
3:	movw $0x20 * 16 - 1, idtr
	lidt idtr
	TRY 4f
at_i4:	int $0x30			/* beyond the table */
4:	ret
WANT idt_errors, 11, 0x31 * 8 + 2, at_i1, 13, 0x32 * 8 + 2, at_i2, 13, SEL_DATA, at_i3, \
	13, 0x30 * 8 + 2, at_i4

CASE double_fault
	movb $0x0e, idt + 13 * 16 + 5
	movb $0x0e, idt + 11 * 16 + 5
	TRY 1f
	mov $0x800000000000, %rcx
at_df:	mov (%rcx), %rax		/* #GP, in it #NP, both contributory */
1:	ret
WANT double_fault, 8, 0, at_df

CASE page_fault_in_fault, MICRO_SHUTDOWN
	movq $0x600, idtr + 2		/* a table on a page that is not there */
	movq $0, MICRO_PT0
	lidt idtr
	invlpg 0
	ud2				/* #UD, in it #PF, in that #DF, and no table for any */
WANT page_fault_in_fault

CASE page_fault_to_double
	/* The stack of #PF's handler is not there: #PF in #PF is a double fault on its own stack. */
	movb $1, idt + 8 * 16 + 4	/* IST 1 for #DF */
	TRY 1f
	mov $PAGE(1), %rsp
	movq $0, PTE(0)
	movq $0, PTE(1)
	invlpg PAGE(0)
	invlpg PAGE(1)
at_pd:	mov PAGE(1), %eax
1:	ret
WANT page_fault_to_double, 8, 0, at_pd

CASE triple_fault, MICRO_SHUTDOWN
	movw $0, idtr
	lidt idtr
	LOG $1
	ud2
WANT triple_fault, 1

CASE interrupt_stack_table
	movb $1, idt + 6 * 16 + 4
	TRY 1f
at_ist:	ud2
1:	mov $ist_stack_top, %eax	/* five words of the CPU's, two of the stub's, one of trap's */
	sub frame + 7 * 8, %rax
	LOG %rax
	ret
WANT interrupt_stack_table, 6, 0, at_ist, 64

CASE fpu_traps, MICRO_NOT_EMULATED
	mov %cr0, %rax
	bts $3, %rax			/* TS */
	mov %rax, %cr0
	TRY 1f
at_nm:	fninit
1:	TRY 2f
at_nm2:	pxor %xmm0, %xmm0
2:	clts
	mov %cr0, %rax
	bts $2, %rax			/* EM */
	mov %rax, %cr0
	TRY 3f
at_em:	fninit
3:	TRY 4f
at_em2:	pxor %xmm0, %xmm0
4:	mov %cr0, %rax
	btr $2, %rax
	mov %rax, %cr0
	mov %cr4, %rax
	btr $9, %rax			/* OSFXSR */
	mov %rax, %cr4
	TRY 5f
at_os:	pxor %xmm0, %xmm0
5:	mov %cr4, %rax
	bts $9, %rax
	mov %rax, %cr4
	TRY 6f
at_avx:	vxorps %ymm0, %ymm0, %ymm0	/* OSXSAVE is clear */
6:	ret
WANT fpu_traps, 7, 0, at_nm, 7, 0, at_nm2, 7, 0, at_em, 6, 0, at_em2, 6, 0, at_os, 6, 0, at_avx

CASE fpu_errors, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	fninit
	fnstcw PAGE(0)
	andw $~4, PAGE(0)		/* zero divide unmasked */
	fldcw PAGE(0)
	fld1
	fldz
	TRY 1f
	fdivrp %st, %st(1)		/* pends */
at_mf:	fwait
1:	fnclex
	stmxcsr PAGE(0)
	btrl $9, PAGE(0)
	ldmxcsr PAGE(0)
	mov $0x3f800000, %eax
	movd %eax, %xmm0
	pxor %xmm1, %xmm1
	TRY 2f
at_xm:	divss %xmm1, %xmm0
2:	movd %xmm0, %eax		/* unchanged */
	LOG %rax
	orl $0x10000, PAGE(0)
	TRY 3f
at_mx:	ldmxcsr PAGE(0)			/* a reserved bit */
3:	ret
WANT fpu_errors, 16, 0, at_mf, 19, 0, at_xm, 0x3f800000, 13, 0, at_mx
