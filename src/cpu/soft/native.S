/* SPDX-License-Identifier: MIT */
/*
 * native_run_*(), see native.h. Offsets in struct native_ctx are asserted there.
 */
#define CTX_FLAGS 128
#define CTX_MXCSR 136
#define CTX_YMM 192
#define CTX_FX 704

/* Save what the C side keeps; [rsp] is the code, 8[rsp] the context, 16[rsp] the host's MXCSR. */
.macro ENTER_NATIVE
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	subq $8, %rsp
	stmxcsr (%rsp)
	pushq %rdi
	pushq %rsi
.endm

.macro LOAD_GPRS
	pushq CTX_FLAGS(%rdi)
	popfq
	movq 0(%rdi), %rax
	movq 8(%rdi), %rcx
	movq 16(%rdi), %rdx
	movq 24(%rdi), %rbx
	movq 40(%rdi), %rbp
	movq 48(%rdi), %rsi
	movq 64(%rdi), %r8
	movq 72(%rdi), %r9
	movq 80(%rdi), %r10
	movq 88(%rdi), %r11
	movq 96(%rdi), %r12
	movq 104(%rdi), %r13
	movq 112(%rdi), %r14
	movq 120(%rdi), %r15
	movq 56(%rdi), %rdi
.endm

/* Leaves the context in RAX. */
.macro STORE_GPRS
	pushfq
	pushq %rax
	movq 24(%rsp), %rax
	movq %rcx, 8(%rax)
	movq %rdx, 16(%rax)
	movq %rbx, 24(%rax)
	movq %rbp, 40(%rax)
	movq %rsi, 48(%rax)
	movq %rdi, 56(%rax)
	movq %r8, 64(%rax)
	movq %r9, 72(%rax)
	movq %r10, 80(%rax)
	movq %r11, 88(%rax)
	movq %r12, 96(%rax)
	movq %r13, 104(%rax)
	movq %r14, 112(%rax)
	movq %r15, 120(%rax)
	popq 0(%rax)
	popq CTX_FLAGS(%rax)
	cld
.endm

.macro LEAVE_NATIVE
	addq $16, %rsp
	ldmxcsr (%rsp)
	addq $8, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret
.endm

.macro EACH_VECTOR op:req
	\op 0
	\op 1
	\op 2
	\op 3
	\op 4
	\op 5
	\op 6
	\op 7
	\op 8
	\op 9
	\op 10
	\op 11
	\op 12
	\op 13
	\op 14
	\op 15
.endm

.macro LOAD_X n
	movdqa CTX_YMM+32*\n(%rdi), %xmm\n
.endm
.macro STORE_X n
	movdqa %xmm\n, CTX_YMM+32*\n(%rax)
.endm
.macro LOAD_Y n
	vmovdqa CTX_YMM+32*\n(%rdi), %ymm\n
.endm
.macro STORE_Y n
	vmovdqa %ymm\n, CTX_YMM+32*\n(%rax)
.endm

.macro FUNCTION name:req
	.globl \name
	.type \name, @function
	.balign 16
\name:
.endm

	.text

FUNCTION native_run_gpr
	ENTER_NATIVE
	LOAD_GPRS
	call *(%rsp)
	STORE_GPRS
	LEAVE_NATIVE
	.size native_run_gpr, . - native_run_gpr

FUNCTION native_run_sse
	ENTER_NATIVE
	EACH_VECTOR LOAD_X
	ldmxcsr CTX_MXCSR(%rdi)
	LOAD_GPRS
	call *(%rsp)
	STORE_GPRS
	EACH_VECTOR STORE_X
	stmxcsr CTX_MXCSR(%rax)
	LEAVE_NATIVE
	.size native_run_sse, . - native_run_sse

FUNCTION native_run_avx
	ENTER_NATIVE
	EACH_VECTOR LOAD_Y
	ldmxcsr CTX_MXCSR(%rdi)
	LOAD_GPRS
	call *(%rsp)
	STORE_GPRS
	EACH_VECTOR STORE_Y
	stmxcsr CTX_MXCSR(%rax)
	vzeroupper
	LEAVE_NATIVE
	.size native_run_avx, . - native_run_avx

/* FXRSTOR loads XMM and MXCSR too, so those of the context come after it. */
FUNCTION native_run_x87
	ENTER_NATIVE
	fxrstor64 CTX_FX(%rdi)
	EACH_VECTOR LOAD_X
	ldmxcsr CTX_MXCSR(%rdi)
	LOAD_GPRS
	call *(%rsp)
	STORE_GPRS
	EACH_VECTOR STORE_X
	stmxcsr CTX_MXCSR(%rax)
	fxsave64 CTX_FX(%rax)
	fninit
	LEAVE_NATIVE
	.size native_run_x87, . - native_run_x87

	.section .note.GNU-stack, "", @progbits
