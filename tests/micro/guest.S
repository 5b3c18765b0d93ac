/* SPDX-License-Identifier: MIT */
/*
 * The micro guests' runtime: descriptor tables, exception entries and the log; see micro.h.
 */
#include "micro.inc"

	.section .header, "a"
	.quad MICRO_MAGIC, cases_start, cases_end, start, log, log_n

	.text
	.globl log_push, resume, resume_rsp, hook, frame, user_stack_top, exit_case, idt, idtr, gdt
	.globl tss, gdtr, frame, ist_stack_top, gate_entry
gate_entry:
	int3
start:
	mov $tss, %eax
	mov $gdt + SEL_TSS, %ebx
	call set_base
	mov $gdt + SEL_TSS_BUSY, %ebx
	call set_base
	mov $gdt, %eax
	mov $gdt + SEL_LDT, %ebx
	call set_base
	mov $gate_entry, %eax
	mov %ax, gdt + SEL_GATE0
	mov %ax, gdt + SEL_GATE_DPL0
	shr $16, %eax
	mov %ax, gdt + SEL_GATE0 + 6
	mov %ax, gdt + SEL_GATE_DPL0 + 6
	lgdt gdtr
	lidt idtr
	mov $SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $256, %ecx
	mov $stub_0, %eax
	mov $idt, %edx
1:	mov %ax, (%rdx)			/* each stub is 16 bytes */
	movw $SEL_CODE64, 2(%rdx)
	movw $0x8e00, 4(%rdx)		/* present, level 0, 64-bit interrupt gate */
	mov %eax, %ebx
	shr $16, %ebx
	mov %bx, 6(%rdx)
	movq $0, 8(%rdx)
	add $16, %eax
	add $16, %edx
	dec %ecx
	jnz 1b
	movb $0xee, idt + 0x80 * 16 + 5	/* INT 80h is for level 3 */
	movb $0xee, idt + 3 * 16 + 5
	movb $0xee, idt + 4 * 16 + 5
	mov $SEL_TSS, %eax
	ltr %ax
	call *%rdi
exit_case:
	xor %eax, %eax
	out %al, $MICRO_PORT_END
1:	hlt
	jmp 1b

/* EAX, below 16 MiB, into the descriptor at RBX. */
set_base:
	mov %ax, 2(%rbx)
	mov %eax, %ecx
	shr $16, %ecx
	mov %cl, 4(%rbx)
	ret

/* The argument is on the stack above the return address; all registers and flags are kept. */
log_push:
	pushfq
	push %rax
	push %rbx
	mov log_n, %rbx
	cmp $MICRO_LOG_MAX, %rbx
	jae 1f
	mov 32(%rsp), %rax
	mov %rax, log(, %rbx, 8)
	incq log_n
1:	pop %rbx
	pop %rax
	popfq
	ret $8

	.balign 16
	.set vector, 0
	.rept 256
	.if vector == 0
stub_0:
	.endif
	.if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
	.else
	pushq $0
	.endif
	pushq $vector
	jmp trap
	.balign 16
	.set vector, vector + 1
	.endr

/* Stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. */
trap:
	cmpq $0, hook
	jne 3f
	LOG (%rsp)
	LOG 8(%rsp)
	LOG 16(%rsp)
	cmpq $14, (%rsp)
	jne 1f
	push %rax
	mov %cr2, %rax
	LOG %rax
	pop %rax
1:	push %rax
	.irp n, 1, 2, 3, 4, 5, 6, 7
	mov \n * 8(%rsp), %rax
	mov %rax, frame + (\n - 1) * 8
	.endr
	mov %rsp, frame + 7 * 8
	mov $SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	pop %rax
	cmpq $0, resume
	je 2f
	mov resume_rsp, %rsp
	pushq resume
	movq $0, resume
	ret
2:	mov $1, %al
	out %al, $MICRO_PORT_END
	hlt
	jmp 2b
3:	jmp *hook

	.data
	.balign 8
resume:		.quad 0
resume_rsp:	.quad 0
hook:		.quad 0	/* jumped to instead of logging, the stack as at trap */
frame:		.fill 8, 8, 0	/* vector, error code, RIP, CS, RFLAGS, RSP, SS; trap's RSP */
log_n:		.quad 0
log:		.fill MICRO_LOG_MAX, 8, 0

	.balign 16
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 10: data */
	.quad 0x00cf9b000000ffff	/* 18: 32-bit code */
	.quad 0x00cffb000000ffff	/* 20: 32-bit code, level 3 */
	.quad 0x00cff3000000ffff	/* 28: data, level 3 */
	.quad 0x00affb000000ffff	/* 30: 64-bit code, level 3 */
	.quad 0x0000890000000067	/* 38: TSS */
	.quad 0
	.quad 0x0040f32000000fff	/* 48: data, base 200000h, limit fffh */
	.quad 0x00cf13000000ffff	/* 50: not present */
	.quad 0x0000ec0000080000	/* 58: call gate, level 3 */
	.quad 0
	.quad 0x00008c0000080000	/* 68: call gate, level 0 */
	.quad 0
	.quad 0x0040f72000000fff	/* 78: expand down, base 200000h, from 1000h */
	.quad 0x00cff9000000ffff	/* 80: execute only, level 3 */
	.quad 0x000082000000000f	/* 88: LDT: the first two entries of the GDT */
	.quad 0
	.quad 0x00008b0000000067	/* 98: busy TSS */
	.quad 0
	.quad 0x00af9f000000ffff	/* a8: conforming */
	.quad 0x00009b000000ffff	/* b0: 16-bit code */
gdt_end:
	.if gdt_end - gdt != SEL_TOP
	.error "the GDT's size"
	.endif
gdtr:	.word SEL_TOP - 1
	.quad gdt
idtr:	.word 256 * 16 - 1
	.quad idt
	.balign 16
tss:	.long 0
	.quad trap_stack_top, 0, 0	/* RSP0..2 */
	.quad 0
	.quad ist_stack_top, 0, 0, 0, 0, 0, 0
	.quad 0
	.word 0, 0x68			/* no I/O map */

	.bss
	.balign 4096
idt:	.fill 4096
	.fill 4096
trap_stack_top:
	.fill 4096
ist_stack_top:

	.section .userbss, "aw"
	.balign 4096
	.fill 4096
user_stack_top:
