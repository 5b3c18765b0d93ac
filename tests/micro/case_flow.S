/* SPDX-License-Identifier: MIT */
/*
 * Between levels and modes: SYSCALL, IRET, far calls and gates. SDM vol. 2, vol. 3A 5.8.
 */
#include "micro.inc"
	.text

.macro SET_MSR msr, value
	mov $\msr, %ecx
	mov $\value, %rax
	mov %rax, %rdx
	shr $32, %rdx
	wrmsr
.endm

CASE syscall, MICRO_NOT_EMULATED
	SET_MSR 0xc0000081, 0x0018000800000000	/* SYSRET: 18h + 16 = 28h..., SYSCALL: 8h */
	SET_MSR 0xc0000082, syscall_entry
	SET_MSR 0xc0000084, 0x401			/* clear DF, CF */
	TRY 1f
	USER at_sc
	.pushsection .user, "awx"
at_sc:	std
	stc
	syscall
sc_next: pushfq
	pop %rbx
	mov %cs, %r12d
	mov %ss, %r13d
	int $0x80
sc_end:	.popsection
syscall_entry:
	mov %rsp, %r14			/* the stack is still level 3's */
	mov resume_rsp, %rsp
	LOG %rcx
	LOG %r11
	pushfq
	andq $0x401, (%rsp)
	popq %rax
	LOG %rax
	mov %cs, %eax
	LOG %rax
	mov %ss, %eax
	LOG %rax
	mov %r14, %rsp
	sysretq
1:	and $0x401, %ebx
	LOG %rbx
	LOG %r12
	LOG %r13
	ret
/* SYSRET to 64 bits loads CS from bits 63:48 plus 16, SS from plus 8. */
WANT syscall, sc_next, 0x403, 0, SEL_CODE64, SEL_DATA, 0x80, 0, sc_end, 0x401, 0x2b, 0x23

CASE syscall_disabled, MICRO_NOT_EMULATED
	SET_MSR 0xc0000080, 0xd00			/* EFER without SCE, LMA as it stands */
	TRY 1f
at_sd:	syscall
1:	TRY 2f
at_sr:	sysretq
2:	ret
WANT syscall_disabled, 6, 0, at_sd, 6, 0, at_sr

CASE iret_same_level
	mov %rsp, %rbx
	pushq $SEL_DATA
	push %rbx
	pushq $0x803			/* OF, CF */
	pushq $SEL_CODE64
	pushq $1f
	iretq
1:	pushfq
	popq %rax
	LOG %rax
	cmp %rsp, %rbx
	sete %cl
	movzbl %cl, %ecx
	LOG %rcx
	ret
WANT iret_same_level, 0x803, 1

.macro IRET_TO cs, ip, flags, ss
	pushq $\ss
	push %rbx
	pushq $\flags
	pushq $\cs
	mov $\ip, %rax
	push %rax
.endm

CASE iret_faults, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	mov %rsp, %rbx
	TRY 1f
	IRET_TO SEL_CODE64, 0x800000000000, 2, SEL_DATA
at_ir1:	iretq				/* not canonical */
1:	TRY 2f
	IRET_TO SEL_ABSENT, at_ir1, 2, SEL_DATA
at_ir2:	iretq				/* data as code */
2:	TRY 3f
	IRET_TO 0, at_ir1, 2, SEL_DATA
at_ir3:	iretq
3:	TRY 4f
	IRET_TO SEL_USER64, at_ir1, 2, SEL_DATA
at_ir4:	iretq				/* level 3 with level 0's stack */
4:	TRY 5f
	IRET_TO SEL_USER64, at_ir1, 2, 0x53
at_ir5:	iretq				/* a stack segment that is not there */
5:	TRY 6f
	pushfq
	orq $0x4000, (%rsp)
	popfq
at_ir6:	iretq				/* NT */
6:	ret
WANT iret_faults, 13, 0, at_ir1, 13, SEL_ABSENT, at_ir2, 13, 0, at_ir3, 13, SEL_DATA, at_ir4, \
	13, 0x50, at_ir5, 13, 0, at_ir6

/* #NP and #SS of IRET: a code and a stack segment of the right type that are not present. */
CASE iret_absent, MICRO_NOT_TCG
	mov %rsp, %rbx
	btrl $15, gdt + SEL_USER32 - 3 + 4
	btrl $15, gdt + SEL_USERDATA - 3 + 4
	TRY 1f
	IRET_TO SEL_USER32, at_ia1, 2, SEL_USERDATA
at_ia1:	iretq
1:	TRY 2f
	IRET_TO SEL_USER64, at_ia1, 2, SEL_USERDATA
at_ia2:	iretq
2:	ret
WANT iret_absent, 11, 0x20, at_ia1, 12, 0x28, at_ia2

/* Level 3 in 32-bit code and back. */
CASE compatibility_mode, MICRO_NOT_EMULATED
	TRY 1f
	mov $-1, %rax
	mov %rax, %r8
	USER32 at_cm
	.pushsection .user, "awx"
	.code32
at_cm:	inc %eax			/* 40h: REX in 64-bit mode; 32-bit: 0 */
	push %cs
	pop %ebx
	mov %esp, %ecx
	lcall $SEL_USER32, $2f
2:	pop %edx			/* the far return address: 8 bytes in all */
	pop %esi
	int $0x80
cm_end:
	.code64
	.popsection
1:	mov %eax, %eax
	LOG %rax
	LOG %rbx
	mov $2b, %eax
	sub %rdx, %rax
	LOG %rax
	LOG %rsi
	LOG frame + 3 * 8
	LOG %r8
	ret
WANT compatibility_mode, 0x80, 0, cm_end, 0, SEL_USER32, 0, SEL_USER32, SEL_USER32, -1

CASE compatibility_faults, MICRO_NOT_EMULATED
	mov $SEL_USERDATA, %eax
	mov %eax, %ds
	mov %eax, %es
	.irp n, 1, 2, 3, 4
	TRY 3f
	USER32 at_cf\n
3:	mov $SEL_USERDATA, %eax
	mov %eax, %ds
	.endr
	ret
	.pushsection .user, "awx"
	.code32
at_cf1:	mov $0x7fffffff, %eax
	inc %eax
	into
into_next:
at_cf2:	mov $5, %eax
	bound %eax, bounds
at_cf3:	aam $0
at_cf4:	xor %eax, %eax
	mov %eax, %ss
	.balign 4
bounds:	.long 0, 4
	.code64
	.popsection
	.set bound_at, at_cf2 + 5
	.set null_at, at_cf4 + 2
WANT compatibility_faults, 4, 0, into_next, 5, 0, bound_at, 0, 0, at_cf3, 13, 0, null_at

/* QEMU's CPU does not check limits. */
CASE segment_limits, MICRO_NOT_TCG
	TRY 1f
	mov $SEL_LIMITED | 3, %eax
	mov %eax, %ds
	USER32 at_sl
1:	TRY 2f
	mov $SEL_LIMITED | 3, %eax
	mov %eax, %ds
	USER32 at_sl2
2:	TRY 3f
	mov $SEL_DOWN | 3, %eax
	mov %eax, %ds
	USER32 at_sl3
3:	ret
	.pushsection .user, "awx"
	.code32
at_sl:	mov 0x1000, %eax
at_sl2:	mov 0xffd, %eax			/* its end is beyond */
at_sl3:	mov 0xfff, %al			/* expand down: below it */
	.code64
	.popsection
WANT segment_limits, 13, 0, at_sl, 13, 0, at_sl2, 13, 0, at_sl3

CASE far_return
	pushq $SEL_CODE64
	pushq $1f
	lretq
1:	LOG $1
	movl $2f, PAGE(0)
	movw $SEL_CODE64, PAGE(0) + 4
	lcall *PAGE(0)
	LOG $3
	ljmp *PAGE(0) + 8
2:	LOG $2
	movl $3f, PAGE(0) + 8
	movw $SEL_CONFORM, PAGE(0) + 12
	lret				/* 32-bit operands */
3:	mov %cs, %eax
	LOG %rax			/* conforming code at the same level */
	ret
WANT far_return, 1, 2, 3, SEL_CONFORM

CASE far_faults, MICRO_NOT_EMULATED
	TRY 1f
	movl $1f, PAGE(0)
	movw $0, PAGE(0) + 4
at_ff1:	ljmp *PAGE(0)
1:	movw $SEL_DATA, PAGE(0) + 4
	TRY 2f
at_ff2:	lcall *PAGE(0)
2:	movw $SEL_USER64, PAGE(0) + 4
	TRY 3f
at_ff3:	ljmp *PAGE(0)			/* more privileged than the code */
3:	movw $SEL_TSS, PAGE(0) + 4
	TRY 4f
at_ff4:	ljmp *PAGE(0)			/* no task switches in 64-bit mode */
4:	movw $SEL_TOP + 8, PAGE(0) + 4
	TRY 5f
at_ff5:	ljmp *PAGE(0)
5:	ret
WANT far_faults, 13, 0, at_ff1, 13, SEL_DATA, at_ff2, 13, SEL_USER64 & ~3, at_ff3, 13, SEL_TSS, \
	at_ff4, 13, SEL_TOP + 8, at_ff5

/* A call gate from level 3: the stack of the TSS, the caller's SS:RSP and CS:RIP on it. */
CASE call_gate, MICRO_NOT_EMULATED
	movl $gate_target, %eax
	mov %ax, gdt + SEL_GATE0
	shr $16, %eax
	mov %ax, gdt + SEL_GATE0 + 6
	TRY 1f
	USER at_cg
	.pushsection .user, "awx"
at_cg:	mov %rsp, %rbx
	rex.w lcall *gate_pointer
cg_next: int $0x80
cg_end:
gate_pointer: .quad 0
	.word SEL_GATE0 | 3
	.popsection
gate_target:
	LOG (%rsp)
	LOG 8(%rsp)
	LOG 24(%rsp)
	sub %rbx, 16(%rsp)
	LOG 16(%rsp)
	add %rbx, 16(%rsp)
	mov %cs, %eax
	LOG %rax
	mov %ss, %eax
	LOG %rax			/* null */
	rex.w lret
1:	TRY 2f
	USER at_cg2
	.pushsection .user, "awx"
at_cg2:	rex.w lcall *gate_pointer2
gate_pointer2: .quad 0
	.word SEL_GATE_DPL0 | 3
	.popsection
2:	ret
WANT call_gate, cg_next, SEL_USER64, SEL_USERDATA, 0, SEL_CODE64, 0, 0x80, 0, cg_end, \
	13, SEL_GATE_DPL0, at_cg2

/* An exception in level 3 takes the stack of the TSS; what was pushed is what level 3 had. */
CASE level_change
	TRY 1f
	USER at_lc
	.pushsection .user, "awx"
at_lc:	stc
at_lc2:	ud2
	.popsection
1:	LOG frame + 3 * 8
	LOG frame + 4 * 8
	mov $user_stack_top, %rax
	sub frame + 5 * 8, %rax
	LOG %rax
	LOG frame + 6 * 8
	ret
WANT level_change, 6, 0, at_lc2, SEL_USER64, 0x10003, 0, SEL_USERDATA

CASE sysenter_exit, MICRO_NOT_EMULATED | MICRO_NOT_TCG
	/* AMD's CPUs have none in 64-bit mode. */
	xor %eax, %eax
	cpuid
	cmp $0x68747541, %ebx
	je 9f
	SET_MSR 0x174, SEL_CODE64
	SET_MSR 0x175, (MICRO_STACK-0x1000)
	SET_MSR 0x176, sysenter_entry
	mov %rsp, resume_rsp
	USER at_se
	.pushsection .user, "awx"
at_se:	sysenter
	.popsection
sysenter_entry:
	cmp $MICRO_STACK - 0x1000, %rsp
	jne 8f
	mov resume_rsp, %rsp
	mov %cs, %eax
	cmp $SEL_CODE64, %eax
	jne 8f
9:	LOG $1
	ret
8:	LOG $2
	mov resume_rsp, %rsp
	ret
WANT sysenter_exit, 1

/*
 * The longest code that a block can become: each instruction reaches memory twice, by registers that
 * a translator is likely to keep in memory.
 */
.macro LONGEST
	mov $PAGE(0), %r12
	xor %r13, %r13
	mov $40, %ecx
1:	movups %xmm0, %xmm1
	.rept 45
	pushq 0x12345(%r12, %r13, 8)
	.endr
	add $45 * 8, %rsp
	dec %ecx
	jnz 1b
.endm

CASE longest_block
	movq $PAGE(0) | 7, PTE(18)
	movq $PAGE(0) | 7, PTE(19)
	invlpg PAGE(18)
	invlpg PAGE(19)
	movq $0x77, PAGE(0) + 0x345
	LONGEST
	LOG -8(%rsp)
	TRY 2f
	USER user_longest
2:	ret
	.pushsection .user, "awx"
user_longest:
	LONGEST
	mov -8(%rsp), %rax
	cmp $0x77, %rax
	jne 1f
at_longest: hlt
1:	ud2
	.popsection
WANT longest_block, 0x77, 13, 0, at_longest

/* No address is special to RET, not even one that a translator might keep for itself. */
CASE ret_to_odd_addresses, MICRO_NOT_TCG
	mov $40, %ebx
1:	lea 2f(%rip), %rax
	push %rax
	call 3f
2:	dec %ebx
	jnz 1b
	TRY 4f
	mov $1, %eax
	ror %rax			/* 8000000000000000h */
	inc %rax
	push %rax
	jmp at_odd
3:	lea 8(%rsp), %rsp		/* its CALL's address is dropped */
at_odd: ret
4:	ret
WANT ret_to_odd_addresses, 13, 0, at_odd
