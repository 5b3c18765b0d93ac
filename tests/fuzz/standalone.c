/* SPDX-License-Identifier: MIT */
/*
 * The main function of a fuzz target that is built without libFuzzer.
 *
 * Theory of operation: each file named on the command line is one input, which is how a saved
 * crash is run again. With no file, inputs are drawn from a seeded generator until -n of them
 * have run or -t seconds have passed, so that a failure repeats with the same seed. Most inputs
 * are short and half of their bytes are small or all ones: such values reach the edges of
 * parsers far more often than even noise does.
 *
 * Limits: there is no coverage feedback; that is libFuzzer's work (-Dfuzz=true).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** struct run - what the command line asked for */
struct run {
	uint64_t count;	  /* inputs to draw; 0 = until the time is over */
	uint64_t seed;	  /* of the first input; input i depends on seed and i only */
	double seconds;	  /* wall time at most; 0 = no limit */
	uint64_t current; /* the input that runs now, for the message at a crash */
};

static struct run *crashed_run;

/* xorshift64*, Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016 */
static uint64_t rng_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static size_t input_draw(uint64_t seed, uint64_t index, uint8_t *buf)
{
	static const uint8_t edges[] = { 0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x7f,
					 0x80, 0xfe, 0xff, 0xff, 0x00, 0x00, 0x00, 0x03 };
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (index + 1) * 0xbf58476d1ce4e5b9ULL;
	if (!state)
		state = 1;
	size_t limit = (size_t)1 << (rng_next(&state) % 13);
	size_t size = (size_t)(rng_next(&state) % limit);
	for (size_t i = 0; i < size; i++) {
		uint64_t r = rng_next(&state) >> 24;
		buf[i] = r & 0x100 ? edges[r & 15] : (uint8_t)r;
	}
	return size;
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_crash(int sig)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "input %llu of seed %llu: signal %d\n",
			 (unsigned long long)crashed_run->current,
			 (unsigned long long)crashed_run->seed, sig);
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(2);
	signal(sig, SIG_DFL);
	raise(sig);
}

static int run_random(struct run *run)
{
	double end = now() + run->seconds;
	uint64_t i;
	for (i = 0; !run->count || i < run->count; i++) {
		uint8_t buf[INPUT_MAX];
		size_t size = input_draw(run->seed, i, buf);
		/* An exact allocation, so that a sanitizer sees a read past the input's end. */
		uint8_t *data = malloc(size ? size : 1);
		if (!data)
			return 2;
		memcpy(data, buf, size);
		run->current = i;
		LLVMFuzzerTestOneInput(data, size);
		free(data);
		if (run->seconds > 0 && now() >= end) {
			i++;
			break;
		}
	}
	printf("%llu inputs, seed %llu\n", (unsigned long long)i, (unsigned long long)run->seed);
	return 0;
}

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 2;
	}
	size_t size = 0, room = 4096;
	uint8_t *data = malloc(room);
	while (data) {
		size_t n = fread(data + size, 1, room - size, f);
		size += n;
		if (size < room)
			break;
		room *= 2;
		uint8_t *more = realloc(data, room);
		if (!more)
			free(data);
		data = more;
	}
	fclose(f);
	if (!data)
		return 2;
	uint8_t *exact = realloc(data, size ? size : 1);
	if (exact)
		data = exact;
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	struct run run = { .seed = 1 };
	int opt;
	while ((opt = getopt(argc, argv, "n:s:t:")) != -1) {
		switch (opt) {
		case 'n':
			run.count = strtoull(optarg, NULL, 0);
			break;
		case 's':
			run.seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			run.seconds = strtod(optarg, NULL);
			break;
		default:
			fprintf(stderr, "usage: %s [-n N] [-t SECONDS] [-s SEED] [FILE...]\n",
				argv[0]);
			return 2;
		}
	}
	if (optind < argc) {
		for (int i = optind; i < argc; i++) {
			int rc = run_file(argv[i]);
			if (rc)
				return rc;
		}
		return 0;
	}
	if (!run.count && run.seconds <= 0)
		run.count = 100000;
	crashed_run = &run;
	signal(SIGSEGV, on_crash);
	signal(SIGABRT, on_crash);
	signal(SIGFPE, on_crash);
	signal(SIGBUS, on_crash);
	return run_random(&run);
}
