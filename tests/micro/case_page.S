/* SPDX-License-Identifier: MIT */
/*
 * Paging: SDM vol. 3A, chapter 4. The scratch pages start with PTEs of present and writable only.
 */
#include "micro.inc"
	.text

CASE page_faults
	movq $0, PTE(0)
	TRY 1f
at_p1:	mov PAGE(0) + 4, %eax
1:	TRY 2f
at_p2:	movl $1, PAGE(0) + 8
2:	movq $PAGE(1) | 1, PTE(1)
	TRY 3f
at_p3:	movl $1, PAGE(1)		/* read-only, CR0.WP */
3:	mov %cr0, %rax
	btr $16, %rax
	mov %rax, %cr0
	movl $0x55, PAGE(1)		/* without CR0.WP it may */
	bts $16, %rax
	mov %rax, %cr0
	LOG PAGE(1)
	ret
WANT page_faults, 14, 0, at_p1, PAGE(0) + 4, 14, 2, at_p2, PAGE(0) + 8, 14, 3, at_p3, PAGE(1), 0x55

CASE page_faults_of_user
	TRY 1f
	USER user_p1
1:	TRY 2f
	USER user_p2
2:	TRY 3f
	USER user_p3
3:	movq $PAGE(1) | 5, PTE(1)	/* for level 3, read-only */
	TRY 4f
	USER user_p4
4:	btrq $2, MICRO_PD + 8		/* the PDE says level 0 for all of them */
	invlpg PAGE(1)
	TRY 5f
	USER user_p5
5:	ret
	.pushsection .user, "awx"
user_p1: mov PAGE(0), %eax
user_p2: movl $1, PAGE(0)
user_p3: mov $PAGE(0), %eax
	jmp *%rax
user_p4: movl $1, PAGE(1)
user_p5: mov PAGE(1), %eax
	.popsection
WANT page_faults_of_user, 14, 5, user_p1, PAGE(0), 14, 7, user_p2, PAGE(0), \
	14, 0x15, PAGE(0), PAGE(0), 14, 7, user_p4, PAGE(1), 14, 5, user_p5, PAGE(1)

CASE no_execute
	movb $0xc3, PAGE(0)
	mov $PAGE(0), %eax
	call *%rax			/* RET: it may */
	btsq $63, PTE(0)
	invlpg PAGE(0)
	TRY 1f
	call *%rax
1:	btrq $63, PTE(0)
	btsq $63, MICRO_PD + 8		/* the PDE's bit counts too */
	invlpg PAGE(0)
	TRY 2f
	jmp *%rax
2:	ret
WANT no_execute, 14, 0x11, PAGE(0), PAGE(0), 14, 0x11, PAGE(0), PAGE(0)

CASE reserved_bits, MICRO_NOT_TCG
	btsq $51, PTE(0)
	invlpg PAGE(0)
	TRY 1f
at_r1:	mov PAGE(0), %eax
1:	btsq $13, MICRO_PD + (MICRO_LARGE >> 21) * 8	/* below a 2 MiB page's address */
	invlpg MICRO_LARGE
	TRY 2f
at_r2:	movl $0, MICRO_LARGE
2:	ret
WANT reserved_bits, 14, 9, at_r1, PAGE(0), 14, 0xb, at_r2, MICRO_LARGE

CASE smep
	mov %cr4, %rax
	bts $20, %rax
	mov %rax, %cr4
	TRY 1f
	mov $user_ret, %eax
	call *%rax
1:	ret
	.pushsection .user, "awx"
user_ret: ret
	.popsection
WANT smep, 14, 0x11, user_ret, user_ret

CASE smap, MICRO_NOT_EMULATED
	mov %cr4, %rax
	bts $21, %rax
	mov %rax, %cr4
	TRY 1f
at_sm:	mov user_ret, %al
1:	TRY 2f
at_sm2:	movb $1, user_smap
2:	stac
	mov user_smap, %al		/* AC lets it */
	clac
	movzbl %al, %eax
	LOG %rax
	TRY 3f
	USER user_smap_run		/* level 3 itself may */
3:	ret
	.pushsection .user, "awx"
user_smap: .byte 7
user_smap_run: mov user_smap, %al
	int $0x80
user_smap_end:
	.popsection
WANT smap, 14, 1, at_sm, user_ret, 14, 3, at_sm2, user_smap, 7, 0x80, 0, user_smap_end

CASE accessed_dirty
	mov PAGE(2), %eax
	mov PTE(2), %rax
	and $0x60, %eax
	LOG %rax			/* A */
	movl $1, PAGE(2)
	mov PTE(2), %rax
	and $0x60, %eax
	LOG %rax			/* A, D */
	lock incl PAGE(3)
	mov PTE(3), %rax
	and $0x60, %eax
	LOG %rax
	movq $PAGE(4) | 1, PTE(4)
	TRY 1f
at_ad:	movl $1, PAGE(4)		/* a write that faults makes nothing dirty */
1:	mov PTE(4), %rax
	and $0x40, %eax
	LOG %rax
	mov MICRO_LARGE, %eax
	mov MICRO_PD + (MICRO_LARGE >> 21) * 8, %rax
	and $0x60, %eax
	LOG %rax
	movl $1, MICRO_LARGE + 0x12345
	mov MICRO_PD + (MICRO_LARGE >> 21) * 8, %rax
	and $0x60, %eax
	LOG %rax
	mov MICRO_TABLES, %rax
	and $0x20, %eax
	LOG %rax			/* of a table: A only */
	ret
WANT accessed_dirty, 0x20, 0x60, 0x60, 14, 3, at_ad, PAGE(4), 0, 0x20, 0x60, 0x20

/* The dirty bit comes anew after it was cleared and the entry invalidated. */
CASE dirty_again
	movl $1, PAGE(2)
	btrq $6, PTE(2)
	invlpg PAGE(2)
	mov PAGE(2), %eax
	mov PTE(2), %rax
	and $0x60, %eax
	LOG %rax
	movl $1, PAGE(2)
	mov PTE(2), %rax
	and $0x60, %eax
	LOG %rax
	ret
WANT dirty_again, 0x20, 0x60

/* A write that crosses into a page that is not there changes nothing and names that page. */
CASE crossing, MICRO_NOT_EMULATED
	movq $0, PAGE(0) + 0xff8
	movq $0, PTE(1)
	invlpg PAGE(1)
	TRY 1f
	mov $-1, %rax
at_x1:	mov %rax, PAGE(0) + 0xffc
1:	LOG PAGE(0) + 0xff8
	TRY 2f
at_x2:	mov PAGE(0) + 0xfff, %ax
2:	movb $0xb8, PAGE(0) + 0xffe	/* MOV EAX, imm32 whose end is missing */
	TRY 3f
	mov $PAGE(0) + 0xffe, %eax
	jmp *%rax
3:	ret
WANT crossing, 14, 2, at_x1, PAGE(1), 0, 14, 0, at_x2, PAGE(1), 14, 0x10, PAGE(0) + 0xffe, PAGE(1)

CASE invlpg
	movq $0x11, PAGE(0)
	movq $0x22, PAGE(1)
	LOG PAGE(0)
	movq $PAGE(1) | 3, PTE(0)
	invlpg PAGE(0) + 0x123
	LOG PAGE(0)
	movq $PAGE(0) | 3, PTE(0)
	mov %cr3, %rax
	mov %rax, %cr3
	LOG PAGE(0)
	ret
WANT invlpg, 0x11, 0x22, 0x11

/*
 * Code that ran often, was flushed, read as data and ran again: INVLPG takes it too, from whatever an
 * engine remembers of jumps there.
 */
CASE invlpg_of_code
	movabs $0xc300000011b8, %rax	/* mov $0x11, %eax; ret */
	mov %rax, PAGE(0)
	movabs $0xc300000022b8, %rax
	mov %rax, PAGE(1)
	call often_0
	mov %cr3, %rax
	mov %rax, %cr3
	mov PAGE(0), %rsi
	call often_0
	movq $PAGE(1) | 3, PTE(0)
	invlpg PAGE(0)
	call often_0
	movq $PAGE(0) | 3, PTE(0)
	invlpg PAGE(0)
	ret
often_0: mov $80, %ecx
1:	mov $PAGE(0), %edx
	call *%rdx
	dec %ecx
	jnz 1b
	LOG %rax
	ret
WANT invlpg_of_code, 0x11, 0x11, 0x22

CASE global_pages
	mov %cr4, %rax
	bts $7, %rax
	mov %rax, %cr4
	movq $0x11, PAGE(0)
	movq $0x22, PAGE(1)
	movq $PAGE(0) | 0x103, PTE(0)
	invlpg PAGE(0)
	LOG PAGE(0)
	movq $PAGE(1) | 0x103, PTE(0)
	btr $7, %rax
	mov %rax, %cr4			/* a change of PGE takes the global ones too */
	LOG PAGE(0)
	bts $7, %rax
	mov %rax, %cr4
	movq $PAGE(0) | 0x103, PTE(0)
	invlpg PAGE(0)
	LOG PAGE(0)
	ret
WANT global_pages, 0x11, 0x22, 0x11

/* Two address spaces by PCID over one set of tables; only INVPCID takes what it names. QEMU's
 * emulated AMD-V has no PCID: there the cases are left out by CPUID, with the same log. */
CASE pcid
	mov $1, %eax
	cpuid
	bt $17, %ecx
	jnc 9f
	mov %cr4, %rax
	bts $17, %rax
	mov %rax, %cr4
	movq $0x11, PAGE(0)
	movq $0x22, PAGE(1)
	mov $MICRO_TABLES | 1, %eax
	mov %rax, %cr3
	mov PAGE(0), %rbx
	cmp $0x11, %rbx
	jne 8f
	movq $PAGE(1) | 3, PTE(0)
	mov $MICRO_TABLES | 2, %eax
	mov %rax, %cr3			/* flushes what PCID 2 has */
	cmpq $0x22, PAGE(0)
	jne 8f
	mov $MICRO_TABLES | 1, %eax
	mov %rax, %cr3			/* bit 63 clear: flushes PCID 1 */
	cmpq $0x22, PAGE(0)
	jne 8f
	movq $PAGE(0) | 3, PTE(0)
	mov $7, %eax
	xor %ecx, %ecx
	cpuid
	bt $10, %ebx
	jnc 9f
	mov $1, %eax			/* one context */
	movq $1, PAGE(2)
	movq $0, PAGE(2) + 8
	invpcid PAGE(2), %rax
	cmpq $0x11, PAGE(0)
	jne 8f
	movq $PAGE(1) | 3, PTE(0)
	xor %eax, %eax			/* one address */
	movq $PAGE(0), PAGE(2) + 8
	invpcid PAGE(2), %rax
	cmpq $0x22, PAGE(0)
	jne 8f
	movq $PAGE(0) | 3, PTE(0)
	mov $2, %eax			/* all */
	invpcid PAGE(2), %rax
	cmpq $0x11, PAGE(0)
	jne 8f
9:	LOG $1
	ret
8:	LOG $2
	ret
WANT pcid, 1

CASE pcid_faults
	mov $1, %eax
	cpuid
	bt $17, %ecx
	jnc 9f
	mov $MICRO_TABLES | 8, %eax	/* PCD, PCIDE needs CR3's low bits clear */
	mov %rax, %cr3
	mov %cr4, %rax
	bts $17, %rax
	movq $0, hook
	movq $1f, resume
	mov %rsp, resume_rsp
	movq $pf_hook, hook
	mov %rax, %cr4
	jmp 8f
pf_hook: cmpq $13, (%rsp)
	mov resume_rsp, %rsp
	movq $0, hook
	jne 8f
1:
9:	LOG $1
	ret
8:	LOG $2
	ret
WANT pcid_faults, 1

/* Through another address of the same page. */
CASE alias
	movq $PAGE(0) | 3, PTE(1)
	invlpg PAGE(1)
	movq $0x1234, PAGE(0)
	LOG PAGE(1)
	movq $0x4321, PAGE(1)
	LOG PAGE(0)
	ret
WANT alias, 0x1234, 0x4321

/*
 * An access across the boundary of pages whose numbers differ in many bits: an engine that looks up
 * the first page and compares the last must not take the one's place for the other's.
 */
CASE across_neighbours
	movq $PAGE(0) | 3, PAGE(2) + 511 * 8
	movq $PAGE(5) | 3, PAGE(3)
	movq $PAGE(2) | 3, MICRO_PD + 255 * 8
	movq $PAGE(3) | 3, MICRO_PD + 256 * 8
	movl $0x11111111, PAGE(0) + 4092
	movl $0x22222222, PAGE(5)
	movl $0x33333333, PAGE(4) + 4092	/* what lies before the second page's memory */
	mov $40, %ecx				/* often enough to be translated */
1:	movl 0x20000000, %eax
	movq 0x1ffffffc, %rdx
	movl %eax, 0x20000000
	movq %rdx, 0x1ffffffc
	dec %ecx
	jnz 1b
	LOG %rdx
	movl $0x44444444, 0x1ffffffe
	LOG PAGE(0) + 4088
	LOG PAGE(5)
	LOG PAGE(4) + 4088
	movq $0, MICRO_PD + 255 * 8
	movq $0, MICRO_PD + 256 * 8
	invlpg 0x1ffff000
	invlpg 0x20000000
	ret
WANT across_neighbours, 0x2222222211111111, 0x4444111100000000, 0x22224444, 0x3333333300000000
