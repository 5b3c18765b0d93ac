/* SPDX-License-Identifier: MIT */
/*
 * Time, see clock.h.
 */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

const char *clock_format(char buf[CLOCK_TEXT_LEN], uint64_t wall_ns)
{
	time_t sec = (time_t)(wall_ns / CLOCK_NS_PER_SEC);
	unsigned ms = (unsigned)(wall_ns % CLOCK_NS_PER_SEC / CLOCK_NS_PER_MS);
	struct tm tm;

	/* The last year of four digits bounds the text. */
	if (sec > 253402300799 || !gmtime_r(&sec, &tm)) {
		snprintf(buf, CLOCK_TEXT_LEN, "9999-12-31T23:59:59.999Z");
		return buf;
	}
	strftime(buf, CLOCK_TEXT_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + 19, CLOCK_TEXT_LEN - 19, ".%03uZ", ms);
	return buf;
}

int clock_parse(uint64_t *wall_ns, const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	unsigned ms = 0;
	time_t sec;

	if (!end)
		return -EINVAL;
	if (end[0] == '.') {
		char *stop;

		ms = (unsigned)strtoul(end + 1, &stop, 10);
		if (stop != end + 4)
			return -EINVAL;
		end = stop;
	}
	sec = timegm(&tm);
	if (strcmp(end, "Z") != 0 || sec < 0)
		return -EINVAL;
	*wall_ns = (uint64_t)sec * CLOCK_NS_PER_SEC + ms * CLOCK_NS_PER_MS;
	return 0;
}
