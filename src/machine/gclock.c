/* SPDX-License-Identifier: MIT */
/*
 * The machine's clock, see gclock.h.
 */
#include "machine/gclock.h"

static uint64_t gclock_mono(const struct clock *c)
{
	const struct gclock *g = CONTAINER_OF(c, const struct gclock, clock);
	uint64_t since = atomic_load(&g->since_ns);

	return since ? since : g->host->mono_ns(g->host) - atomic_load(&g->stood_ns);
}

static uint64_t gclock_wall(const struct clock *c)
{
	const struct gclock *g = CONTAINER_OF(c, const struct gclock, clock);

	return g->host->wall_ns(g->host);
}

static uint64_t gclock_host(const struct clock *c, uint64_t mono_ns)
{
	const struct gclock *g = CONTAINER_OF(c, const struct gclock, clock);
	uint64_t stood = atomic_load(&g->stood_ns);

	/* A deadline that is practically never must not wrap; it was ahead, `stood` may be too. */
	if (atomic_load(&g->since_ns) || mono_ns >= UINT64_MAX / 2)
		return UINT64_MAX;
	return g->host->host_ns(g->host, mono_ns + stood);
}

void gclock_init(struct gclock *g, const struct clock *host)
{
	*g = (struct gclock) {
		.clock = { gclock_mono, gclock_wall, gclock_host },
		.host = host,
	};
	if (!host->host_ns)
		g->clock.host_ns = NULL;
}

/* Where that is ahead of the host's, `stood` is less than 0: all arithmetic is modulo 2^64. */
void gclock_set(struct gclock *g, uint64_t ns)
{
	atomic_store(&g->stood_ns, g->host->mono_ns(g->host) - ns);
}

void gclock_stop(struct gclock *g)
{
	atomic_store(&g->since_ns, gclock_mono(&g->clock));
}

uint64_t gclock_go(struct gclock *g)
{
	uint64_t since = atomic_load(&g->since_ns), stood;

	if (!since)
		return 0;
	stood = g->host->mono_ns(g->host) - atomic_load(&g->stood_ns) - since;
	atomic_fetch_add(&g->stood_ns, stood);
	atomic_store(&g->since_ns, 0);
	return stood;
}
