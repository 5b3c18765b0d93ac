/* SPDX-License-Identifier: MIT */
/*
 * The local APIC, interrupts and the second vCPU: SDM vol. 3A, chapter 10 and 8.4.
 */
#include "micro.inc"
	.text
	.globl start_other

#define APIC MICRO_APIC

/* AWAIT n: until n interrupts were counted, for a while; the local APIC may take its time. */
.macro AWAIT n
	mov $10000000, %ecx
71:	cmpq $\n, ticks
	jae 72f
	pause
	loop 71b
72:
.endm

/* VECTOR n, label: the gate of vector n goes to label. */
.macro VECTOR n, label
	mov $\label, %eax
	mov %ax, idt + \n * 16
	shr $16, %eax
	mov %ax, idt + \n * 16 + 6
.endm

apic_on:
	movl $0x1ff, APIC + 0xf0
	movq $0, ticks
	ret

count_entry:
	incq ticks
	movl $0, APIC + 0xb0
	iretq
nmi_entry:
	incq ticks
	iretq
	.data
	.balign 8
ticks:	.quad 0
	.text

CASE self_interrupt
	call apic_on
	VECTOR 0x50, count_entry
	movl $0x00040050, APIC + 0x300	/* to itself */
	nop
	LOG ticks			/* held back: IF is clear */
	mov APIC + 0x200 + 0x20, %eax	/* IRR of 40h..5fh */
	LOG %rax
	sti
	AWAIT 1
	cli
	LOG ticks
	mov APIC + 0x200 + 0x20, %eax
	LOG %rax
	mov APIC + 0x100 + 0x20, %eax
	LOG %rax
	ret
WANT self_interrupt, 0, 0x10000, 1, 0, 0

CASE sti_shadow, MICRO_NOT_EMULATED
	call apic_on
	VECTOR 0x50, count_entry
	movl $0x00040050, APIC + 0x300
	mov $100, %ecx
1:	sti
	cli				/* the shadow covers it: none is taken */
	loop 1b
	LOG ticks
	sti
	AWAIT 1
	cli
	LOG ticks
	ret
WANT sti_shadow, 0, 1

CASE task_priority
	call apic_on
	VECTOR 0x50, count_entry
	mov $5, %eax
	mov %rax, %cr8
	mov APIC + 0x80, %eax
	LOG %rax			/* TPR shows CR8 */
	movl $0x00040050, APIC + 0x300
	sti
	nop
	nop
	LOG ticks			/* class 5 is not above 5 */
	movl $0x40, APIC + 0x80
	AWAIT 1
	cli
	LOG ticks
	mov %cr8, %rax
	LOG %rax
	xor %eax, %eax
	mov %rax, %cr8
	ret
WANT task_priority, 0x50, 0, 1, 4

CASE nested_priority
	call apic_on
	VECTOR 0x50, outer_entry
	VECTOR 0x40, count_entry
	VECTOR 0x60, count_entry
	movl $0x00040050, APIC + 0x300
	sti
	AWAIT 2
	cli
	LOG ticks
	ret
outer_entry:
	movl $0x00040040, APIC + 0x300	/* lower: waits for our EOI */
	movl $0x00040060, APIC + 0x300	/* higher: at once */
	push %rcx
	sti
	AWAIT 1
	cli
	pop %rcx
	LOG ticks
	movl $0, APIC + 0xb0
	iretq
WANT nested_priority, 1, 2

CASE nmi
	call apic_on
	VECTOR 2, nmi_once
	movl $0x00040400, APIC + 0x300	/* to itself, although IF is clear */
	AWAIT 2
	LOG ticks
	ret
nmi_once:
	incq ticks
	cmpq $1, ticks
	jne 1f
	movl $0x00040400, APIC + 0x300	/* blocked until IRET */
	mov $10000, %ecx
2:	pause
	loop 2b
	LOG ticks
	mov $1000000, %ecx		/* for AWAIT outside */
1:	iretq
WANT nmi, 1, 2

/* Wake from HLT by the timer, one-shot. */
CASE timer
	call apic_on
	VECTOR 0x51, count_entry
	movl $0xb, APIC + 0x3e0		/* by 1 */
	movl $0x51, APIC + 0x320
	movl $1000000, APIC + 0x380
	sti
	hlt
	cli
	LOG ticks
	mov APIC + 0x390, %eax
	LOG %rax			/* came to its end */
	ret
WANT timer, 1, 0

CASE timer_periodic
	call apic_on
	VECTOR 0x51, count_entry
	movl $0xb, APIC + 0x3e0
	movl $0x20051, APIC + 0x320
	movl $1000000, APIC + 0x380
1:	sti
	hlt
	cli
	cmpq $5, ticks
	jb 1b
	movl $0x10000, APIC + 0x320	/* masked */
	LOG $5
	ret
WANT timer_periodic, 5

CASE timer_deadline
	mov $1, %eax
	cpuid
	bt $24, %ecx
	jnc 9f
	call apic_on
	VECTOR 0x52, count_entry
	movl $0x40052, APIC + 0x320
	mfence
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	add $2000000, %rax
	mov %rax, %rbx
	mov %rax, %rdx
	shr $32, %rdx
	mov $0x6e0, %ecx
	wrmsr
	sti
	hlt
	cli
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	cmp %rbx, %rax
	jb 8f				/* too early */
	mov $0x6e0, %ecx
	rdmsr
	or %edx, %eax
	jnz 8f				/* disarmed */
	cmpq $1, ticks
	jne 8f
9:	LOG $1
	ret
8:	LOG $2
	ret
WANT timer_deadline, 1

CASE x2apic, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	mov $0x1b, %ecx
	rdmsr
	LOG %rax			/* base, enabled, the boot processor */
	or $0x400, %eax
	wrmsr
	mov $0x802, %ecx
	rdmsr
	LOG %rax			/* id */
	mov $0x80f, %ecx
	mov $0x1ff, %eax
	xor %edx, %edx
	wrmsr
	VECTOR 0x53, x2_entry
	mov $0x53, %eax
	mov $0x83f, %ecx		/* self IPI */
	wrmsr
	sti
	AWAIT 1
	cli
	LOG ticks
	mov $1, %eax
	mov $0x80b, %ecx
	TRY 1f
at_x1:	wrmsr				/* EOI takes 0 only */
1:	mov $0x80e, %ecx		/* DFR is not there */
	TRY 2f
at_x2:	rdmsr
2:	mov $0x1b, %ecx
	mov $0xfee00900, %eax
	TRY 3f
at_x3:	wrmsr				/* not from x2APIC to xAPIC at once */
3:	ret
x2_entry:
	incq ticks
	push %rax
	push %rcx
	push %rdx
	xor %eax, %eax
	xor %edx, %edx
	mov $0x80b, %ecx
	wrmsr
	pop %rdx
	pop %rcx
	pop %rax
	iretq
WANT x2apic, 0xfee00900, 0, 1, 13, 0, at_x1, 13, 0, at_x2, 13, 0, at_x3

/* The second vCPU comes up in real mode and goes the whole way to 64-bit mode. */
CASE init_sipi, MICRO_TWO
	call start_other
	LOG real_segment
	movzwq real_value, %rax
	LOG %rax
	mov other_id, %eax
	LOG %rax
	movl $0xff, other_target	/* it stops */
	ret
WANT init_sipi, 0x800, 0x1234, 1

/* An IPI from here makes the other one count, which was halted. */
CASE wake_other, MICRO_TWO
	call start_other
	VECTOR 0x55, other_count
	movl $1, other_target
	mov $100000000, %ecx
1:	cmpl $2, other_state
	je 2f
	pause
	loop 1b
2:	movl $1 << 24, APIC + 0x310
	movl $0x00004055, APIC + 0x300
	mov $100000000, %ecx
3:	cmpl $3, other_state
	je 4f
	pause
	loop 3b
4:	mov other_state, %eax
	LOG %rax
	ret
other_count:
	movl $3, other_state
	movl $0, APIC + 0xb0
	iretq
WANT wake_other, 3

/* Both add to one cell with LOCK, and one after another with XCHG as a lock. */
CASE atomics, MICRO_TWO
	call start_other
	movl $2, other_target
	call add_many
	mov $400000000, %ecx
1:	cmpl $4, other_state
	je 2f
	pause
	loop 1b
2:	mov sum_lock, %eax
	LOG %rax
	mov sum_plain, %eax
	LOG %rax
	ret
WANT atomics, 200000, 200000

add_many:
	mov $100000, %ecx
1:	lock incl sum_lock
	mov $1, %eax
2:	xchg %eax, lock_cell
	test %eax, %eax
	jnz 2b
	incl sum_plain
	movl $0, lock_cell
	loop 1b
	ret

/* INIT, SIPI, SIPI to APIC id 1, as the SDM's example; waits until it runs 64-bit code. */
start_other:
	call apic_on
	mov $trampoline, %esi
	mov $0x8000, %edi
	mov $trampoline_end - trampoline, %ecx
	rep movsb
	movl $1 << 24, APIC + 0x310
	movl $0x0000c500, APIC + 0x300
	movl $0x00008500, APIC + 0x300
	movl $1 << 24, APIC + 0x310
	movl $0x00004608, APIC + 0x300
	movl $1 << 24, APIC + 0x310
	movl $0x00004608, APIC + 0x300
	mov $400000000, %ecx
1:	cmpl $1, other_state
	je 2f
	pause
	loop 1b
2:	ret

	.code16
trampoline:
	mov %cs, %ax
	mov %ax, %ds
	mov %ax, trampoline_segment - trampoline
	movw $0x1234, trampoline_value - trampoline
	lgdtl trampoline_gdtr - trampoline
	mov $MICRO_TABLES, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x620, %eax
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x900, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80010001, %eax
	mov %eax, %cr0
	ljmpl $SEL_CODE64, $other_64
trampoline_gdtr: .word SEL_TOP - 1
	.long gdt
trampoline_segment: .word 0
trampoline_value: .word 0
trampoline_end:
	.code64
other_64:
	lidt idtr
	mov $SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $other_stack_top, %esp
	mov 0x8000 + trampoline_segment - trampoline, %ax
	mov %ax, real_segment
	mov 0x8000 + trampoline_value - trampoline, %ax
	mov %ax, real_value
	mov APIC + 0x20, %eax
	shr $24, %eax
	mov %eax, other_id
	movl $0x1ff, APIC + 0xf0
	movl $1, other_state
1:	mov other_target, %eax
	pause
	test %eax, %eax
	jz 1b
	cmp $2, %eax
	je 4f
	ja 3f
	movl $2, other_state		/* 1: wait for an interrupt */
	sti
2:	hlt
	jmp 2b
3:	cmp $0xff, %eax			/* 255: no more; else: change the code there */
	je 5f
	mov $5000000, %ecx
6:	loop 6b
	movb $1, 1(%rax)
5:	cli
	hlt
	jmp 5b
4:	call add_many			/* 2 */
	movl $4, other_state
	jmp 5b

	.data
	.balign 8
real_segment: .quad 0
real_value: .word 0
	.balign 64
other_state: .long 0
other_id: .long 0
sum_plain: .long 0
	.balign 64
sum_lock: .long 0
	.balign 64
lock_cell: .long 0
	.bss
	.balign 16
	.fill 4096
other_stack_top:
