/* SPDX-License-Identifier: MIT */
/*
 * Time, see clock.h.
 */
#include "base/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static uint64_t host_mono(const struct clock *c UNUSED)
{
	return read_clock(CLOCK_MONOTONIC);
}

static uint64_t host_wall(const struct clock *c UNUSED)
{
	return read_clock(CLOCK_REALTIME);
}

static uint64_t host_host(const struct clock *c UNUSED, uint64_t mono_ns)
{
	return mono_ns;
}

const struct clock clock_host = {
	.mono_ns = host_mono,
	.wall_ns = host_wall,
	.host_ns = host_host,
};

static uint64_t fake_mono(const struct clock *c)
{
	return CONTAINER_OF(c, const struct clock_fake, clock)->mono;
}

static uint64_t fake_wall(const struct clock *c)
{
	return CONTAINER_OF(c, const struct clock_fake, clock)->wall;
}

void clock_fake_init(struct clock_fake *f, uint64_t mono, uint64_t wall)
{
	*f = (struct clock_fake) {
		.clock = { .mono_ns = fake_mono, .wall_ns = fake_wall },
		.mono = mono,
		.wall = wall,
	};
}

void clock_fake_advance(struct clock_fake *f, uint64_t ns)
{
	f->mono += ns;
	f->wall += ns;
}
