/* SPDX-License-Identifier: MIT */
/*
 * Runs one instruction natively with every register given: diff_host_run(code) loads the state in
 * diff_host, jumps to the code and comes back through diff_host_exit, to which the code jumps. A
 * signal handler that fills diff_host itself resumes at diff_host_fault.
 */
#define R(n) diff_host+8*n(%rip)
#define FLAGS diff_host+128(%rip)
#define MXCSR diff_host+136(%rip)
#define YMM diff_host+192
#define FX diff_host+704

	.bss
	.balign 16
host_rsp:
	.skip 8
code_at:
	.skip 8

	.text
	.globl diff_host_run
	.type diff_host_run, @function
diff_host_run:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	subq $8, %rsp
	stmxcsr (%rsp)
	movq %rdi, code_at(%rip)
	movq %rsp, host_rsp(%rip)
	fxrstor64 FX(%rip)
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqa YMM+32*\n(%rip), %ymm\n
	.endr
	ldmxcsr MXCSR
	pushq FLAGS
	popfq
	movq R(0), %rax
	movq R(1), %rcx
	movq R(2), %rdx
	movq R(3), %rbx
	movq R(5), %rbp
	movq R(6), %rsi
	movq R(7), %rdi
	movq R(8), %r8
	movq R(9), %r9
	movq R(10), %r10
	movq R(11), %r11
	movq R(12), %r12
	movq R(13), %r13
	movq R(14), %r14
	movq R(15), %r15
	movq R(4), %rsp
	jmp *code_at(%rip)

	.globl diff_host_exit
diff_host_exit:
	movq %rsp, R(4)
	movq host_rsp(%rip), %rsp
	pushfq
	popq FLAGS
	movq %rax, R(0)
	movq %rcx, R(1)
	movq %rdx, R(2)
	movq %rbx, R(3)
	movq %rbp, R(5)
	movq %rsi, R(6)
	movq %rdi, R(7)
	movq %r8, R(8)
	movq %r9, R(9)
	movq %r10, R(10)
	movq %r11, R(11)
	movq %r12, R(12)
	movq %r13, R(13)
	movq %r14, R(14)
	movq %r15, R(15)
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqa %ymm\n, YMM+32*\n(%rip)
	.endr
	stmxcsr MXCSR
	fxsave64 FX(%rip)
	jmp leave

	.globl diff_host_fault
diff_host_fault:
	movq host_rsp(%rip), %rsp
leave:
	fninit
	vzeroupper
	cld
	ldmxcsr (%rsp)
	addq $8, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret
	.size diff_host_run, . - diff_host_run

	.section .note.GNU-stack, "", @progbits
