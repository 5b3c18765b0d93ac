/* SPDX-License-Identifier: MIT */
/*
 * ioport PORT VALUE - write one byte to an I/O port, inside the guest.
 *
 * Debian's cloud kernel has no /dev/port, so the small guest brings this: a static program
 * without a C library, a few hundred bytes. Linux x86-64 system calls iopl (172) and exit (60),
 * arch/x86/entry/syscalls/syscall_64.tbl; stack at entry: System V ABI, AMD64 supplement 3.4.1.
 */
void start(long *stack);

static long call1(long number, long arg)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(arg) : "rcx", "r11", "memory");
	return result;
}

static unsigned parse(const char *s)
{
	unsigned base = 10, value = 0;
	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (; *s; s++) {
		unsigned digit = (unsigned)(*s >= 'a' ? *s - 'a' + 10 : *s - '0');
		value = value * base + digit;
	}
	return value;
}

__attribute__((used)) void start(long *stack)
{
	char **argv = (char **)(stack + 1);
	if (stack[0] != 3 || call1(172, 3))
		call1(60, 1);
	unsigned port = parse(argv[1]);
	unsigned value = parse(argv[2]);
	__asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
	call1(60, 0);
	__builtin_unreachable();
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n call start\n");
