/* SPDX-License-Identifier: MIT */
/*
 * The host's side of the differential tests: see diff.h and host.S.
 *
 * The instruction stands in an executable page, behind it a jump to diff_host_exit. Its faults
 * arrive as signals on a stack of their own; the handler copies the registers out of the signal
 * frame and resumes at diff_host_fault.
 */
#include "diff.h"

#include "base/bytes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <unistd.h>

/* Known to host.S. */
struct native_ctx diff_host;
void diff_host_run(const void *code);
extern const char diff_host_exit[], diff_host_fault[];

static volatile sig_atomic_t seen_fault;
static uint8_t signal_stack[65536];

static int vector_of(int sig, const siginfo_t *si)
{
	switch (sig) {
	case SIGFPE:
		return si->si_code == FPE_INTDIV || si->si_code == FPE_INTOVF ? 0 : 19;
	case SIGILL:
		return 6;
	case SIGTRAP:
		return 1;
	case SIGBUS:
		return 12; /* #SS, or #AC */
	default:
		return si->si_code == SEGV_MAPERR || si->si_code == SEGV_ACCERR ? 14 : 13;
	}
}

static void on_signal(int sig, siginfo_t *si, void *uc_void)
{
	static const uint8_t order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
					   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
					   REG_R12, REG_R13, REG_R14, REG_R15 };
	ucontext_t *uc = uc_void;
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t ip = (uint64_t)g[REG_RIP];

	if (ip < DIFF_CODE || ip >= DIFF_CODE + 4096) {
		static const char text[] = "diff: a fault outside the instruction\n";
		const uint8_t *at = (const uint8_t *)ip;

		/* The engine's thunk, or the test itself: not to be had as a result. */
		if (write(2, text, sizeof(text) - 1) < 0)
			_exit(2);
		for (unsigned i = 0; i < 8; i++)
			fprintf(stderr, "%02x ", at[i]);
		signal(sig, SIG_DFL);
		return;
	}
	seen_fault = vector_of(sig, si);
	for (unsigned i = 0; i < 16; i++)
		diff_host.r[i] = (uint64_t)g[order[i]];
	diff_host.flags = (uint64_t)g[REG_EFL];
	g[REG_RIP] = (greg_t)(uintptr_t)diff_host_fault;
	g[REG_EFL] &= ~0x40500; /* no TF, DF or AC in the test itself */
}

static void *map_at(uint64_t at, size_t size, int prot)
{
	void *p = mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);

	if (p != (void *)at) {
		fprintf(stderr, "diff: cannot map %#llx\n", (unsigned long long)at);
		exit(2);
	}
	return p;
}

void diff_host_setup(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t ss = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };

	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(sigs); i++)
		sigaction(sigs[i], &sa, NULL);
	map_at(DIFF_DATA, DIFF_DATA_SIZE, PROT_READ | PROT_WRITE);
	map_at(DIFF_CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

void diff_host_exec(const struct diff_case *k, struct diff_state *out)
{
	uint8_t *code = (uint8_t *)DIFF_CODE;
	uint64_t exit_at = (uintptr_t)diff_host_exit;

	memcpy((void *)DIFF_DATA, k->in.mem, DIFF_DATA_SIZE);
	memcpy(code, k->bytes, k->len);
	code[k->len] = 0xff; /* jmp *0(%rip) */
	code[k->len + 1] = 0x25;
	put_le32(code + k->len + 2, 0);
	put_le64(code + k->len + 6, exit_at);
	diff_host = k->in.c;
	diff_host.flags |= 0x202;
	seen_fault = DIFF_NO_FAULT;
	diff_host_run(code);
	out->c = diff_host;
	out->fault = seen_fault;
	memcpy(out->mem, (void *)DIFF_DATA, DIFF_DATA_SIZE);
}
