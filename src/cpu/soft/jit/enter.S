/* SPDX-License-Identifier: MIT */
/*
 * soft_jit_enter(struct soft_vcpu *v, const void *code, uint64_t *sp, const void *bottom), see jit.h.
 * v->r is at the vCPU's start; jit_home in jit.h has the same table. The two words on top are what
 * a RET finds below the oldest CALL: an address, 0, and where it goes then, which is out to whatever
 * address it has. sp[1] becomes the lowest that CALLs may go down to.
 */
	.text
	.globl soft_jit_enter
	.type soft_jit_enter, @function
soft_jit_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	sub $24, %rsp
	mov %rdi, %r13
	mov %rsi, %r15
	movq $0, 8(%rsp)
	mov %rcx, (%rsp)
	mov %rsp, (%rdx)
	lea -65536(%rsp), %rax
	mov %rax, 8(%rdx)
	mov 0(%r13), %rax
	mov 8(%r13), %rcx
	mov 16(%r13), %rdx
	mov 24(%r13), %rbx
	mov 32(%r13), %r12
	mov 40(%r13), %rbp
	mov 48(%r13), %rsi
	mov 56(%r13), %rdi
	mov 64(%r13), %r8
	mov 96(%r13), %r9
	mov 104(%r13), %r10
	mov 112(%r13), %r11
	jmp *%r15
	.size soft_jit_enter, . - soft_jit_enter
	.section .note.GNU-stack, "", @progbits
