/* SPDX-License-Identifier: MIT */
/*
 * The programs of bench/engine: one static binary that runs each for a while and prints
 * "NAME RATE", rounds a second; natively, in Holm and in QEMU alike.
 *
 * usage: engine [SECONDS [NAME...]]; `engine exec-me` does nothing, for the exec row
 */
#define _GNU_SOURCE
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define MIB	 (1u << 20)

static volatile uint64_t sink;
static char *self;
static uint8_t *area, *area2; /* 16 MiB each */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void integer_mix(void)
{
	uint64_t a = 1, b = 2, c = 3;

	for (int i = 0; i < 10000; i++) {
		a = a * 6364136223846793005ull + c;
		b ^= a >> 13;
		c += b << 3 | b >> 61;
		if (c & 1)
			a -= b;
	}
	sink = a + b + c;
}

static void sieve(void)
{
	enum { N = 65536 };

	memset(area, 1, N);
	for (unsigned i = 2; i * i < N; i++)
		if (area[i])
			for (unsigned k = i * i; k < N; k += i)
				area[k] = 0;
	sink = area[65521];
}

static NOINLINE unsigned fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void calls(void)
{
	sink = fib(18);
}

static void interpreter(void)
{
	static const uint8_t code[] = { 0, 1, 2, 0, 3, 1, 4, 2, 0, 1, 3, 5 };
	static const void *const label[] = { &&add, &&xor, &&shift, &&sub, &&not, &&loop };
	uint64_t a = 1;
	unsigned left = 1000;
	const uint8_t *p = code;

#define NEXT goto *label[*p++]
	NEXT;
add:
	a += 7;
	NEXT;
	xor : a ^= a << 5;
	NEXT;
shift:
	a = a >> 1 | 1;
	NEXT;
sub:
	a -= 3;
	NEXT;
	not : a = ~a;
	NEXT;
loop:
	p = code;
	if (--left)
		NEXT;
	sink = a;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void quicksort(void)
{
	uint32_t *v = (uint32_t *)area, x = 12345;

	for (int i = 0; i < 2000; i++)
		v[i] = x = x * 1664525 + 1013904223;
	qsort(v, 2000, sizeof(*v), compare);
	sink = v[1000];
}

static uint32_t ror(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* SHA-256's compression (FIPS 180-4), with constants that only look like its own. */
static void sha256(void)
{
	uint32_t h[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, w[64];

	for (int block = 0; block < 64; block++) {
		uint32_t s[8];

		memcpy(w, area + block * 64, 64);
		for (int i = 16; i < 64; i++)
			w[i] = w[i - 16] + w[i - 7] +
			       (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
			       (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
		memcpy(s, h, sizeof(s));
		for (int i = 0; i < 64; i++) {
			uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
				      ((s[4] & s[5]) ^ (~s[4] & s[6])) + w[i] +
				      0x9e3779b9u * (unsigned)i;
			uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
				      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

			memmove(s + 1, s, 7 * sizeof(*s));
			s[4] += t1;
			s[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			h[i] += s[i];
	}
	sink = h[0];
}

static void chase(void)
{
	static uint32_t *next, at;
	enum { N = 16 * MIB / 64 };

	if (!next) {
		next = (uint32_t *)(void *)area2;
		for (uint32_t i = 0; i < N; i++)
			next[i * 16] = (uint32_t)((i * 40503ull + 12345) % N) * 16;
	}
	for (int i = 0; i < 10000; i++)
		at = next[at];
	sink = at;
}

static void memcpy_4k(void)
{
	for (int i = 0; i < 100; i++)
		memcpy(area + (i & 7) * 8192, area + 65536 + (i & 7) * 8192, 4096);
}

static void memcpy_16m(void)
{
	memcpy(area, area2, 16 * MIB);
}

static void memset_16m(void)
{
	memset(area, 7, 16 * MIB);
}

static void rep_movs(void)
{
	for (int i = 0; i < 100; i++) {
		void *to = area;
		const void *from = area + 65536;
		size_t n = 512;

		__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n)::"memory");
	}
}

static void nbody(void)
{
	static double p[5][3] = {
		{ 1, 2, 3 }, { 4, 5, 7 }, { -1, 3, 9 }, { 2, 2, 8 }, { 5, 1, 1 }
	};
	static double v[5][3];

	for (int step = 0; step < 100; step++) {
		for (int i = 0; i < 5; i++)
			for (int k = i + 1; k < 5; k++) {
				double d[3], r = 0.01, f;

				for (int c = 0; c < 3; c++) {
					d[c] = p[i][c] - p[k][c];
					r += d[c] * d[c];
				}
				f = 1e-4 / (r * __builtin_sqrt(r));
				for (int c = 0; c < 3; c++) {
					v[i][c] -= d[c] * f;
					v[k][c] += d[c] * f;
				}
			}
		for (int i = 0; i < 5; i++)
			for (int c = 0; c < 3; c++)
				p[i][c] += v[i][c] * 1e-3;
	}
	sink = (uint64_t)p[0][0];
}

static void saxpy_sse(void)
{
	float *x = (float *)area, *y = (float *)(area + 65536);
	__m128 a = _mm_set1_ps(1.0001f);

	for (int i = 0; i < 8192; i += 4)
		_mm_storeu_ps(y + i,
			      _mm_add_ps(_mm_mul_ps(a, _mm_loadu_ps(x + i)), _mm_loadu_ps(y + i)));
}

static __attribute__((target("avx2,fma"))) void saxpy_avx2(void)
{
	float *x = (float *)area, *y = (float *)(area + 65536);
	__m256 a = _mm256_set1_ps(1.0001f);

	for (int i = 0; i < 8192; i += 8)
		_mm256_storeu_ps(y + i, _mm256_fmadd_ps(a, _mm256_loadu_ps(x + i),
							_mm256_loadu_ps(y + i)));
	_mm256_zeroupper();
}

static __attribute__((target("avx2"))) void avx2_integer(void)
{
	__m256i s = _mm256_setzero_si256();

	for (int i = 0; i < 65536; i += 32) {
		__m256i x = _mm256_loadu_si256((__m256i *)(area + i));

		s = _mm256_add_epi32(s, _mm256_xor_si256(x, _mm256_srli_epi32(s, 3)));
	}
	sink = (uint64_t)_mm256_extract_epi64(s, 0);
	_mm256_zeroupper();
}

static void x87(void)
{
	long double a = 1.5L, b = 0.5L;

	for (int i = 0; i < 1000; i++) {
		a = a * 1.0000001L + b;
		b = b * 0.9999999L;
	}
	sink = (uint64_t)a;
}

static void get_pid(void)
{
	for (int i = 0; i < 100; i++)
		syscall(SYS_getpid);
}

static void fork_wait(void)
{
	pid_t p = fork();

	if (!p)
		_exit(0);
	waitpid(p, NULL, 0);
}

static void exec_wait(void)
{
	pid_t p = vfork();

	if (!p) {
		execl(self, self, "exec-me", (char *)NULL);
		_exit(1);
	}
	waitpid(p, NULL, 0);
}

static void page_fault(void)
{
	uint8_t *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(p, MIB, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < MIB; i += 4096)
		p[i] = 1;
	munmap(p, MIB);
}

static void map_touch(void)
{
	uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	p[0] = 1;
	munmap(p, 4096);
}

static void pipe_pingpong(void)
{
	static int to[2], from[2];
	char c = 0;

	if (!to[0]) {
		if (pipe(to) || pipe(from))
			_exit(1);
		if (!fork()) {
			close(to[1]);
			while (read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1)
				;
			_exit(0);
		}
	}
	for (int i = 0; i < 10; i++)
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
			_exit(1);
}

static const struct {
	const char *name;
	void (*run)(void);
} table[] = {
	{ "integer-mix", integer_mix },
	{ "sieve", sieve },
	{ "calls", calls },
	{ "interpreter", interpreter },
	{ "qsort", quicksort },
	{ "sha256", sha256 },
	{ "chase", chase },
	{ "memcpy-4k", memcpy_4k },
	{ "memcpy-16m", memcpy_16m },
	{ "memset-16m", memset_16m },
	{ "rep-movs", rep_movs },
	{ "n-body", nbody },
	{ "saxpy-sse", saxpy_sse },
	{ "saxpy-avx2", saxpy_avx2 },
	{ "avx2-integer", avx2_integer },
	{ "x87", x87 },
	{ "getpid", get_pid },
	{ "fork", fork_wait },
	{ "exec", exec_wait },
	{ "page-fault", page_fault },
	{ "map-touch", map_touch },
	{ "pipe", pipe_pingpong },
};

int main(int argc, char **argv)
{
	double limit = argc > 1 ? strtod(argv[1], NULL) : 0.5;

	if (argc > 1 && !strcmp(argv[1], "exec-me"))
		return 0;
	self = argv[0];
	area = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	area2 = area + 16 * MIB;
	memset(area2, 1, 16 * MIB);
	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++) {
		int wanted = argc <= 2;
		double start, took;
		uint64_t n = 0, batch = 1;

		for (int k = 2; k < argc; k++)
			wanted |= !strcmp(argv[k], table[i].name);
		if (!wanted)
			continue;
		table[i].run();
		start = now();
		do {
			for (uint64_t k = 0; k < batch; k++)
				table[i].run();
			n += batch;
			took = now() - start;
			if (took < limit / 16)
				batch *= 2;
		} while (took < limit);
		printf("%s %.6g\n", table[i].name, (double)n / took);
		fflush(stdout);
	}
	return 0;
}
