/* SPDX-License-Identifier: MIT */
/*
 * String instructions that stop in the middle, and code that changes itself: SDM vol. 2 "REP",
 * vol. 3A, 11.6.
 */
#include "micro.inc"
	.text

CASE string_restart
	mov $PAGE(0), %edi
	mov $0x11, %al
	mov $4096, %ecx
	rep stosb
	movq $0, PTE(3)
	invlpg PAGE(3)
	mov $PAGE(0), %esi
	mov $PAGE(2) + 0xf00, %edi
	mov $0x200, %ecx
	TRY 1f
at_st1:	rep movsb
1:	LOG %rcx
	LOG %rsi
	LOG %rdi
	movq $PAGE(3) | 3, PTE(3)
	rep movsb			/* and on */
	LOG %rcx
	LOG %rdi
	LOG PAGE(3) + 0xf8
	ret
WANT string_restart, 14, 2, at_st1, PAGE(3), 0x100, PAGE(0) + 0x100, PAGE(3), 0, PAGE(3) + 0x100, \
	0x1111111111111111

CASE string_down
	movq $0, PTE(0)
	invlpg PAGE(0)
	std
	mov $PAGE(1) + 0x18, %edi
	mov $0x123456789abcdef0, %rax
	mov $8, %ecx
	TRY 1f
at_st2:	rep stosq
1:	cld
	LOG %rcx
	LOG %rdi
	LOG PAGE(1)
	ret
WANT string_down, 14, 2, at_st2, PAGE(0) + 0xff8, 4, PAGE(0) + 0xff8, 0x123456789abcdef0

CASE string_compare
	mov $PAGE(0), %edi
	mov $PAGE(1), %esi
	movb $9, PAGE(0) + 100
	movb $8, PAGE(1) + 100
	mov $4096, %ecx
	repe cmpsb
	seta %al
	movzbl %al, %eax
	LOG %rcx
	LOG %rax
	mov $PAGE(0), %edi
	mov $9, %al
	mov $4096, %ecx
	repne scasb
	LOG %rdi
	mov $PAGE(3) + 0xffc, %edi	/* not found before the page that is not there */
	movq $0, PTE(4)
	invlpg PAGE(4)
	mov $100, %ecx
	TRY 1f
at_st3:	repne scasb
1:	LOG %rcx
	xor %ecx, %ecx
	mov $0x800000000000, %rdi
	rep stosb			/* nothing to do: no fault */
	mov $0x100000001, %rcx		/* ECX with an address-size prefix */
	mov $PAGE(0), %edi
	addr32 rep stosb
	LOG %rcx
	LOG %rdi
	ret
WANT string_compare, 4096 - 101, 0, PAGE(0) + 101, 14, 0, at_st3, PAGE(4), 96, 0, PAGE(0) + 1

/* The stored byte is the immediate of the very next instruction. */
CASE modify_next, MICRO_NOT_TCG
	movb $7, 1f + 1
1:	mov $1, %al
	movzbl %al, %eax
	LOG %rax
	ret
WANT modify_next, 7

CASE modify_hot
	xor %ebx, %ebx
	mov $1000, %ecx
1:	mov %cl, 2f + 1
	jmp 2f
	.balign 64
2:	mov $0, %al
	cmp %cl, %al
	sete %al
	movzbl %al, %eax
	add %eax, %ebx
	dec %ecx
	jnz 1b
	LOG %rbx
	ret
WANT modify_hot, 1000

/* A hot loop is run first, then changed through another address of its page. */
CASE modify_alias
	movq $PAGE(0) | 3, PTE(1)
	invlpg PAGE(1)
	mov $1f, %esi
	mov $PAGE(0), %edi
	mov $2f - 1f, %ecx
	rep movsb
	mov $PAGE(0), %eax
	call *%rax
	LOG %rax
	movb $3, PAGE(1) + (3f - 1f) + 2
	mov $PAGE(0), %eax
	call *%rax
	LOG %rax
	ret
1:	xor %eax, %eax
	mov $200, %ecx
3:	add $1, %eax
	loop 3b
	ret
2:
WANT modify_alias, 200, 600

/* An instruction across two pages, changed in the second. */
CASE modify_crossing
	mov $PAGE(0) + 0xffe, %edi
	movl $0x000001b8, (%rdi)	/* MOV EAX, 1 */
	movw $0xc300, 4(%rdi)
	mov $100, %ecx
1:	call *%rdi
	loop 1b
	LOG %rax
	movb $1, PAGE(1)
	call *%rdi
	LOG %rax
	movq $PAGE(2) | 3, PTE(1)	/* and then another page is there */
	movw $0x0002, PAGE(2)
	movb $0xc3, PAGE(2) + 3
	invlpg PAGE(1)
	call *%rdi
	LOG %rax
	ret
WANT modify_crossing, 1, 0x101, 0x201

/* A string store over the code that runs next, and over a block that ran. */
CASE modify_by_string
	call 3f
	LOG %rax
	mov $3f + 1, %edi
	mov $5, %al
	mov $1, %ecx
	rep stosb
	call 3f
	LOG %rax
	ret
3:	mov $1, %eax
	ret
WANT modify_by_string, 1, 5

/* The other vCPU changes code that this one runs in a loop. */
CASE modify_by_other, MICRO_TWO | MICRO_NOT_TCG
	call start_other
	movl $1f, other_target
	mov $2000000000, %ecx
2:
1:	mov $0, %al			/* becomes 1 */
	test %al, %al
	jnz 3f
	dec %ecx
	jnz 2b
3:	movzbl %al, %eax
	LOG %rax
	ret
WANT modify_by_other, 1

	.globl other_target
	.data
	.balign 4
other_target: .long 0
	.text

/*
 * A program that makes code: 131072 different instructions, 512 at a time, PSHUFD and SHUFPS with
 * all immediates and registers. All registers hold the same value in their parts and so keep it.
 */
CASE many_instructions, MICRO_NOT_EMULATED
	mov $0x1234567, %eax
	movd %eax, %xmm0
	pshufd $0, %xmm0, %xmm0
	.irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqa %xmm0, %xmm\n
	.endr
	xor %r8d, %r8d
1:	mov $PAGE(0), %edi
	mov $512, %ecx
2:	mov $0x700f4066, %eax		/* 66 REX 0f 70: PSHUFD */
	mov $0xc60f4090, %ebx		/* NOP, REX 0f c6: SHUFPS */
	bt $16, %r8d
	cmovc %ebx, %eax
	mov %r8d, %ebx
	shr $14, %ebx
	and $3, %ebx			/* REX.B and, from bit 1, REX.R */
	mov %ebx, %edx
	and $1, %edx
	shl $1, %ebx
	and $4, %ebx
	or %edx, %ebx
	or %bl, %ah
	mov %eax, (%rdi)
	mov %r8d, %eax
	shr $8, %eax
	or $0xc0, %al			/* ModRM */
	mov %al, 4(%rdi)
	mov %r8b, 5(%rdi)
	add $6, %rdi
	inc %r8d
	loop 2b
	movb $0xc3, (%rdi)
	mov $PAGE(0), %eax
	call *%rax
	cmp $131072, %r8d
	jb 1b
	movd %xmm3, %eax
	LOG %rax
	movq %xmm13, %rax
	LOG %rax
	ret
WANT many_instructions, 0x1234567, 0x0123456701234567
