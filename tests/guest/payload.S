/* SPDX-License-Identifier: MIT */
/*
 * Payloads that need no kernel: a multiboot 1 ELF for each MODE, loaded at 1 MiB.
 *
 * Entry state: Multiboot Specification 0.6.96, section 3.2 (EAX = 0x2badb002, EBX = the
 * information structure, flat 32-bit segments, paging off). EXIT checks the magic number, so a
 * loader that enters wrongly is seen.
 *
 * exit: writes 42 to the debug-exit port (status 85)       triple: an exception without an IDT
 * halt: waits for ever with interrupts off                  poweroff: ACPI S5
 * kbd: resets by the keyboard controller                    cf9: resets by the reset register
 * hello: a line on COM1, then as exit                       echo: COM1 in to COM1 out until 'q'
 * clock: for each byte on COM1 its TSC >> 16 as 8 hexadecimal digits
 * spin: computes for ever                                   storm: writes to every port for ever
 * count: a number more on COM1 nine times a second, sleeping between; the power button ends it
 */
#define MAGIC 0x1badb002
#define FLAGS 2 /* bit 1: memory information wanted, section 3.1.2 */

	.code32
	.section .text
	.globl _start
	.align 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)
_start:
	cli
	movl	$stack, %esp
#if defined(MODE_exit)
	cmpl	$0x2badb002, %eax
	jne	fail
	jmp	done
#elif defined(MODE_triple)
	lidt	empty
	int3
#elif defined(MODE_halt)
1:	hlt
	jmp	1b
#elif defined(MODE_spin)
1:	incl	%eax
	jmp	1b
#elif defined(MODE_poweroff)
	movw	$0x604, %dx	/* PM1a control: SLP_EN, ACPI 6.5, 4.8.3.2.1 */
	movw	$(S5_TYPE << 10 | 1 << 13), %ax
	outw	%ax, %dx
	jmp	fail
#elif defined(MODE_kbd)
	movb	$0xfe, %al
	outb	%al, $0x64
1:	hlt
	jmp	1b
#elif defined(MODE_cf9)
	movw	$0xcf9, %dx
	movb	$2, %al
	outb	%al, %dx
	movb	$6, %al
	outb	%al, %dx
1:	hlt
	jmp	1b
#elif defined(MODE_hello)
	movl	$text, %esi
2:	lodsb
	testb	%al, %al
	jz	done
	call	put
	jmp	2b
#elif defined(MODE_echo)
3:	movw	$0x3fd, %dx	/* line status: data ready is bit 0 */
	inb	%dx, %al
	testb	$1, %al
	jz	3b
	movw	$0x3f8, %dx
	inb	%dx, %al
	movb	%al, %bl
	call	put
	cmpb	$'q', %bl
	jne	3b
	jmp	done
#elif defined(MODE_clock)
5:	movw	$0x3fd, %dx
	inb	%dx, %al
	testb	$1, %al
	jz	5b
	movw	$0x3f8, %dx
	inb	%dx, %al
	rdtsc
	shrd	$16, %edx, %eax
	movl	%eax, %edi
	movl	$8, %ecx
6:	roll	$4, %edi
	movl	%edi, %eax
	andl	$15, %eax
	movb	digits(%eax), %al
	call	put
	loop	6b
	movb	$10, %al
	call	put
	jmp	5b
digits:	.ascii	"0123456789abcdef"
#elif defined(MODE_storm)
	/* All ports but those that end or stop the machine; values from a small generator. */
	movl	$0x12345678, %ebx
4:	imull	$1103515245, %ebx
	addl	$12345, %ebx
	movl	%ebx, %edx
	shrl	$8, %edx
	movzwl	%dx, %edx
	cmpw	$0xf4, %dx
	je	4b
	cmpw	$0xcf9, %dx
	je	4b
	cmpw	$0x64, %dx
	je	4b
	cmpw	$0x92, %dx
	je	4b
	movw	%dx, %cx
	andw	$0xfff0, %cx
	cmpw	$0x600, %cx
	je	4b
	cmpw	$0x510, %cx	/* fw_cfg's DMA would write over this program */
	je	4b
	movl	%ebx, %eax
	outl	%eax, %dx
	inl	%dx, %eax
	incl	count
	cmpl	$200000, count
	jne	4b
	jmp	done
#elif defined(MODE_count)
	movl	$tick, %eax	/* gate 0x20, an interrupt gate: SDM vol. 3, 6.11 */
	movw	%ax, idt + 0x20 * 8
	movw	%cs, idt + 0x20 * 8 + 2
	movw	$0x8e00, idt + 0x20 * 8 + 4
	shrl	$16, %eax
	movw	%ax, idt + 0x20 * 8 + 6
	lidt	idtr
	movb	$0x11, %al	/* the PIC: ICW1 to ICW4, then all but IRQ 0 masked */
	outb	%al, $0x20
	movb	$0x20, %al
	outb	%al, $0x21
	movb	$4, %al
	outb	%al, $0x21
	movb	$1, %al
	outb	%al, $0x21
	movb	$0xfe, %al
	outb	%al, $0x21
	movb	$0x34, %al	/* the PIT: channel 0, mode 2, 65536 counts: 18.2 Hz */
	outb	%al, $0x43
	xorl	%eax, %eax
	outb	%al, $0x40
	outb	%al, $0x40
6:	sti
	hlt
	cli
	movw	$0x600, %dx	/* PM1a status: PWRBTN_STS is bit 8, ACPI 6.5, 4.8.3.1.1 */
	inw	%dx, %ax
	testb	$1, %ah
	jnz	off
	testl	$1, count
	jnz	6b
	movl	count, %ebx
	shrl	$1, %ebx
	movl	$8, %ecx
7:	roll	$4, %ebx
	movl	%ebx, %eax
	andb	$15, %al
	cmpb	$10, %al
	sbbb	$0x69, %al
	das
	call	put
	loop	7b
	movb	$'\n', %al
	call	put
	jmp	6b
off:	movw	$0x604, %dx
	movw	$(S5_TYPE << 10 | 1 << 13), %ax
	outw	%ax, %dx
	jmp	fail
tick:	incl	count
	pushl	%eax
	movb	$0x20, %al	/* end of interrupt */
	outb	%al, $0x20
	popl	%eax
	iret
#endif

done:
	movb	$42, %al
	outb	%al, $0xf4
fail:
	movb	$1, %al
	outb	%al, $0xf4
1:	hlt
	jmp	1b

put:	/* AL to COM1 when its holding register is empty: line status bit 5 */
	pushl	%edx
	pushl	%eax
	movw	$0x3fd, %dx
5:	inb	%dx, %al
	testb	$0x20, %al
	jz	5b
	popl	%eax
	movw	$0x3f8, %dx
	outb	%al, %dx
	popl	%edx
	ret

	.section .data
	.align 8
empty:	.word 0
	.long 0
count:	.long 0
text:	.asciz "hello from the guest\r\n"
idtr:	.word 0x21 * 8 - 1
	.long idt
	.section .bss
	.align 16
idt:	.skip 0x21 * 8
	.align 16
	.skip 4096
stack:
	.section .note.GNU-stack, "", @progbits
