/* SPDX-License-Identifier: MIT */
/*
 * What a translator gets wrong first, as a program in the guest: code that changes, and signals at
 * any instruction.
 *
 *   torture smc | signals | faults      status 0: as it should be; else one line says what was not
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u

static void bad(const char *what, uint64_t got, uint64_t want)
{
	printf("%s: %#llx, not %#llx\n", what, (unsigned long long)got, (unsigned long long)want);
	exit(1);
}

/* --- code that changes ----------------------------------------------------------------------- */

typedef uint32_t (*code_fn)(void);

/* MOV EAX, @val; RET */
static void put_code(uint8_t *at, uint32_t val)
{
	at[0] = 0xb8;
	memcpy(at + 1, &val, 4);
	at[5] = 0xc3;
}

static void serialize(void)
{
	unsigned a, b, c, d;

	__cpuid(0, a, b, c, d);
}

static void smc_same_mapping(void)
{
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (uint32_t i = 0; i < 20000; i++) {
		/* Long enough unchanged to be translated, then anew. */
		put_code(p + (i & 7) * 64, i);
		for (unsigned k = 0; k < (i % 500 ? 1 : 200); k++)
			if (((code_fn)(p + (i & 7) * 64))() != i)
				bad("own page", ((code_fn)(p + (i & 7) * 64))(), i);
	}
}

static void smc_alias(void)
{
	int fd = memfd_create("code", 0);
	uint8_t *w, *x;

	if (fd < 0 || ftruncate(fd, PAGE))
		bad("memfd", 0, 1);
	w = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	x = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	for (uint32_t i = 0; i < 20000; i++) {
		put_code(w, i);
		serialize();
		for (unsigned k = 0; k < (i % 500 ? 1 : 200); k++)
			if (((code_fn)x)() != i)
				bad("other mapping", ((code_fn)x)(), i);
	}
	/* And by the kernel, which writes through its own mapping. */
	for (uint32_t i = 0; i < 2000; i++) {
		uint8_t code[6];

		put_code(code, ~i);
		if (pwrite(fd, code, sizeof(code), 0) != sizeof(code))
			bad("pwrite", 0, 1);
		if (((code_fn)x)() != ~i)
			bad("by the kernel", ((code_fn)x)(), ~i);
	}
}

/* A loop that increments the immediate of its own next instruction. */
static void smc_same_block(void)
{
	static const uint8_t code[] = {
		0x31, 0xc0,			    /* xor eax, eax */
		0xb9, 0xe8, 0x03, 0x00, 0x00,	    /* mov ecx, 1000 */
		0xff, 0x05, 0x01, 0x00, 0x00, 0x00, /* inc dword [rip + 1] */
		0xba, 0x00, 0x00, 0x00, 0x00,	    /* mov edx, 0 */
		0x01, 0xd0,			    /* add eax, edx */
		0xff, 0xc9,			    /* dec ecx */
		0x75, 0xef,			    /* jnz to the inc */
		0xc3,
	};
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t got;

	memcpy(p, code, sizeof(code));
	got = ((code_fn)p)();
	if (got != 1000 * 1001 / 2)
		bad("next instruction", got, 1000 * 1001 / 2);
}

static _Atomic uint32_t turn;
static uint8_t *shared;

static void *patcher(void *unused)
{
	(void)unused;
	for (uint32_t i = 1; i <= 3000; i++) {
		while (atomic_load(&turn) != i * 2 - 1)
			sched_yield();
		put_code(shared, i);
		atomic_store(&turn, i * 2);
	}
	return NULL;
}

/* One CPU changes what another runs: SDM vol. 3A, 8.1.3. */
static void smc_threads(void)
{
	pthread_t t;

	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	pthread_create(&t, NULL, patcher, NULL);
	for (uint32_t i = 1; i <= 3000; i++) {
		atomic_store(&turn, i * 2 - 1);
		while (atomic_load(&turn) != i * 2)
			sched_yield();
		serialize();
		for (unsigned k = 0; k < 50; k++)
			if (((code_fn)shared)() != i)
				bad("other thread", ((code_fn)shared)(), i);
	}
	pthread_join(t, NULL);
}

/* --- signals --------------------------------------------------------------------------------- */

#define SIGNALS 3000

static atomic_uint seen, done;
static volatile double spoiled;

static void on_signal(int sig)
{
	__m256d x = _mm256_set1_pd(sig + 0.5);
	long double y = sig;

	/* Whatever it computes must not show in what it interrupted. */
	for (int i = 0; i < 10; i++) {
		x = _mm256_mul_pd(x, x);
		y = y * 1.01L + 1;
	}
	spoiled = (double)y + x[0] + x[3];
	atomic_fetch_add(&seen, 1);
}

__attribute__((noinline)) static uint64_t work(void)
{
	__m256i v = _mm256_set_epi64x(1, 2, 3, 4);
	uint64_t a = 1, b = 2, sum;
	double d = 1;
	long double l = 1;

	for (int i = 0; i < 20000; i++) {
		a = a * 6364136223846793005ull + (uint64_t)i;
		b ^= a >> 13 | a << 51;
		if (__builtin_add_overflow(a, b, &sum))
			b++;
		v = _mm256_add_epi64(_mm256_slli_epi64(v, 1), _mm256_srli_epi64(v, 3));
		d = d * 0.999 + (double)(i & 15);
		l = l * 0.999L + (long double)(i & 7);
	}
	memcpy(&sum, &d, 8);
	return a ^ b ^ sum ^ (uint64_t)(l * 1e6L) ^ (uint64_t)_mm256_extract_epi64(v, 0) ^
	       (uint64_t)_mm256_extract_epi64(v, 3);
}

static void *worker(void *unused)
{
	uint64_t want = work();

	(void)unused;
	for (int i = 0; i < 50 || atomic_load(&seen) < SIGNALS; i++) {
		uint64_t got = work();

		if (got != want)
			bad("sum under signals", got, want);
	}
	atomic_fetch_add(&done, 1);
	return NULL;
}

static void signals(void)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 300 }, { 0, 300 } };
	pthread_t t[2];

	sigaction(SIGALRM, &a, NULL);
	sigaction(SIGUSR1, &a, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, worker, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (unsigned i = 0; atomic_load(&done) < 2; i++) {
		/* Not joined yet, so the thread is still there to be asked. */
		pthread_kill(t[i & 1], SIGUSR1);
		usleep(200);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

/* --- faults ---------------------------------------------------------------------------------- */

static sigjmp_buf back;
static greg_t at_fault[NGREG];

static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	(void)sig, (void)info;
	memcpy(at_fault, ((ucontext_t *)ctx)->uc_mcontext.gregs, sizeof(at_fault));
	siglongjmp(back, 1);
}

/* A fault in the middle of what is translated as one shows the registers as they are there. */
static void faults(void)
{
	struct sigaction a = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	uint8_t *p =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	sigaction(SIGSEGV, &a, NULL);
	mprotect(p + PAGE, PAGE, PROT_NONE);
	for (volatile uint64_t i = 0; i < 3000; i++) {
		/* The last round of the loop reaches the page that is not there. */
		uint64_t n = 1 + i % 7;

		if (!sigsetjmp(back, 1)) {
			__asm__ volatile("mov %0, %%rbx\n\t"
					 "mov %1, %%rcx\n\t"
					 "xor %%r12, %%r12\n"
					 "1:\n\t"
					 "add $3, %%r12\n\t"
					 "lea 1(%%r12), %%r13\n\t"
					 "mov -8(%%rbx), %%rdx\n\t"
					 "push %%r12\n\t"
					 "pop %%r14\n\t"
					 "mov %%r14, (%%rbx)\n\t"
					 "add $8, %%rbx\n\t"
					 "jmp 1b"
					 :
					 : "r"(p + PAGE - 8 * n), "r"(i)
					 : "rbx", "rcx", "rdx", "r12", "r13", "r14", "memory");
		}
		if (at_fault[REG_RBX] != (greg_t)(uintptr_t)(p + PAGE))
			bad("RBX at a fault", (uint64_t)at_fault[REG_RBX], (uintptr_t)(p + PAGE));
		if ((uint64_t)at_fault[REG_R12] != 3 * (n + 1) ||
		    at_fault[REG_R13] != at_fault[REG_R12] + 1 ||
		    at_fault[REG_R14] != at_fault[REG_R12])
			bad("R12 at a fault", (uint64_t)at_fault[REG_R12], 3 * (n + 1));
		if ((uint64_t)at_fault[REG_RCX] != i)
			bad("RCX at a fault", (uint64_t)at_fault[REG_RCX], i);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "smc")) {
		smc_same_mapping();
		smc_alias();
		smc_same_block();
		smc_threads();
	} else if (argc == 2 && !strcmp(argv[1], "signals")) {
		signals();
	} else if (argc == 2 && !strcmp(argv[1], "faults")) {
		faults();
	} else {
		return 2;
	}
	return 0;
}
