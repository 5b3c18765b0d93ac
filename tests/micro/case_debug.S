/* SPDX-License-Identifier: MIT */
/*
 * Single steps and breakpoints: SDM vol. 3B, chapter 17.
 */
#include "micro.inc"
	.text

/* The trap's hook for steps: logs where, counts, and goes on until the count is out. */
step_hook:
	push %rax
	cmpq $1, 8(%rsp)
	jne 8f
	mov 24(%rsp), %rax
	LOG %rax
	decq steps
	jnz 7f
	btrq $8, 40(%rsp)
	movq $0, hook
7:	pop %rax
	add $16, %rsp
	iretq
8:	pop %rax
	movq $0, hook
	jmp *resume

	.data
steps:	.quad 0
	.text

.macro STEP n
	movq $\n, steps
	movq $step_hook, hook
	pushfq
	btsq $8, (%rsp)
	popfq
.endm

CASE single_step
	xor %eax, %eax
	mov %rax, %dr6
	STEP 4
	nop				/* POPF itself is not followed by a trap, this is */
ss_1:	mov %cs, %eax
ss_2:	jmp ss_3
	nop
ss_3:	nop
ss_4:	nop
	mov %dr6, %rax
	and $0xe00f, %eax
	LOG %rax			/* BS */
	ret
WANT single_step, ss_1, ss_2, ss_3, ss_4, 0x4000

/* MOV SS holds the trap back until after the next instruction. QEMU's CPU does not. */
CASE step_shadow, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	mov %ss, %ebx
	STEP 2
	nop
sh_1:	mov %ebx, %ss
	nop
sh_2:	nop
	ret
WANT step_shadow, sh_1, sh_2

CASE step_string, MICRO_NOT_EMULATED
	movq $0, PAGE(0)
	mov $PAGE(0), %edi
	mov $3, %ecx
	mov $0x5a, %al
	STEP 4
	nop
st_1:	rep stosb			/* a trap after each */
st_2:	LOG %rcx
	LOG PAGE(0)
	ret
WANT step_string, st_1, st_1, st_1, st_2, 0, 0x5a5a5a

/* An exception in the stepped instruction clears TF for its handler; INT n does not trap itself. */
CASE step_interrupt, MICRO_NOT_EMULATED
	movq $after_int, idt_target
	mov $int_entry, %eax
	mov %ax, idt + 0x40 * 16
	shr $16, %eax
	mov %ax, idt + 0x40 * 16 + 6
	STEP 2
	nop
si_1:	int $0x40
after_int: nop
si_2:	ret
int_entry:
	pushfq
	pop %rax
	and $0x100, %eax
	LOG %rax
	iretq
	.data
idt_target: .quad 0
	.text
WANT step_interrupt, si_1, 0, si_2

CASE code_breakpoint, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	mov $bp_at, %eax
	mov %rax, %dr0
	mov $0x402, %eax		/* G0, execute */
	mov %rax, %dr7
	xor %ebx, %ebx
	TRY 1f
	inc %ebx
bp_at:	inc %ebx			/* a fault: before it */
1:	LOG %rbx
	mov %dr6, %rax
	and $0xf, %eax
	LOG %rax
	LOG frame + 4 * 8		/* RFLAGS as pushed has RF */
	/* With RF set IRET passes it. */
	mov %rsp, %rcx
	TRY 2f
	pushq $SEL_DATA
	push %rcx
	pushq $0x10002
	pushq $SEL_CODE64
	pushq $bp_at2
	mov $bp_at2, %eax
	mov %rax, %dr0
	iretq
bp_at2: inc %ebx
	LOG %rbx
	jmp bp_at2			/* and this time it does */
2:	xor %eax, %eax
	mov %rax, %dr7
	ret
WANT code_breakpoint, 1, 0, bp_at, 1, 1, 0x10002, 2, 1, 0, bp_at2

CASE data_breakpoint, MICRO_NOT_EMULATED
	mov $PAGE(0) + 8, %eax
	mov %rax, %dr1
	mov $0xd00408, %eax		/* G1, write, 4 bytes */
	mov %rax, %dr7
	mov PAGE(0) + 8, %eax		/* a read */
	movl $1, PAGE(0) + 4
	movb $1, PAGE(0) + 12
	TRY 1f
	movb $7, PAGE(0) + 11		/* a trap: after it */
dbp_1:	nop
1:	LOG PAGE(0) + 8
	mov %dr6, %rax
	and $0xf, %eax
	LOG %rax
	mov $0xf00408, %eax		/* reads too */
	mov %rax, %dr7
	TRY 2f
	mov PAGE(0) + 10, %ax
dbp_2:	nop
2:	xor %eax, %eax
	mov %rax, %dr7
	ret
WANT data_breakpoint, 1, 0, dbp_1, 0x107000000, 2, 1, 0, dbp_2

CASE debug_registers, MICRO_NOT_TCG
	mov $0x100000000, %rax
	TRY 1f
at_d1:	mov %rax, %dr7
1:	TRY 2f
at_d2:	mov %rax, %dr6
2:	mov $-1, %rax
	mov %rax, %dr3			/* any linear address */
	mov %dr3, %rbx
	LOG %rbx
	xor %eax, %eax
	mov %rax, %dr6
	mov %dr6, %rbx
	and $~0x10800, %rbx		/* RTM and bus lock bits: as the model has them */
	LOG %rbx
	mov %rax, %dr7
	mov %dr7, %rbx
	LOG %rbx
	.byte 0x0f, 0x21, 0xe3		/* MOV RBX, DR4: DR6 while CR4.DE is clear */
	and $~0x10800, %rbx
	LOG %rbx
	mov %cr4, %rax
	bts $3, %rax
	mov %rax, %cr4
	TRY 3f
at_d3:	.byte 0x0f, 0x21, 0xe3
3:	mov $0x2400, %eax		/* GD */
	mov %rax, %dr7
	TRY 4f
at_d4:	mov %dr0, %rbx
4:	mov %dr6, %rax			/* GD is clear in the handler and after */
	and $0x2000, %eax
	LOG %rax
	ret
WANT debug_registers, 13, 0, at_d1, 13, 0, at_d2, -1, 0xfffe07f0, 0x400, 0xfffe07f0, 6, 0, at_d3, \
	1, 0, at_d4, 0x2000
