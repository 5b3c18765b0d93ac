/* SPDX-License-Identifier: MIT */
/*
 * A device environment for fuzz targets: buses, a little RAM, a loop on a fake clock; wires,
 * messages and requests go nowhere.
 */
#ifndef HOLM_TESTS_FUZZ_FUZZENV_H
#define HOLM_TESTS_FUZZ_FUZZENV_H

#include "base/bytes.h"
#include "base/log.h"
#include "dev/dev.h"

#include <stdlib.h>

#define FUZZ_RAM (2u << 20)

struct fuzzenv {
	struct dev_env env;
	struct clock_fake clock;
};

static inline void fuzzenv_init(struct fuzzenv *f)
{
	*f = (struct fuzzenv) { 0 };
	/* What a guest does wrong is not of interest here. */
	log_setup(-1, LOG_ERROR);
	clock_fake_init(&f->clock, CLOCK_NS_PER_SEC, 1795219200ull * CLOCK_NS_PER_SEC);
	if (bus_create(&f->env.ports, "ports", 0x10000, NULL) ||
	    bus_create(&f->env.mmio, "mmio", 1ull << MEM_GPA_BITS, NULL) ||
	    mem_create(&f->env.mem, NULL) || mem_add_ram(f->env.mem, FUZZ_RAM, 0xc0000000, NULL) ||
	    loop_create(&f->env.loop, &f->clock.clock, NULL))
		abort();
	f->env.clock = &f->clock.clock;
}

static inline void fuzzenv_free(struct fuzzenv *f)
{
	loop_destroy(f->env.loop);
	mem_destroy(f->env.mem);
	bus_destroy(f->env.mmio);
	bus_destroy(f->env.ports);
}

/** fuzzenv_step() - time passes and the loop runs what became due. */
static inline void fuzzenv_step(struct fuzzenv *f, uint64_t ns)
{
	clock_fake_advance(&f->clock, ns);
	if (loop_poll(f->env.loop, 0) < 0)
		abort();
}

/** The input, taken byte by byte; zeros behind its end. */
struct fuzz_input {
	const uint8_t *p;
	size_t left;
};

static inline uint64_t fuzz_take(struct fuzz_input *in, unsigned n)
{
	uint64_t v = 0;
	unsigned have = (unsigned)MIN((size_t)n, in->left);

	put_le(&v, have, have ? get_le(in->p, have) : 0);
	in->p += have;
	in->left -= have;
	return v;
}

#endif
