/* SPDX-License-Identifier: MIT */
/*
 * Peers, see peer.h.
 */
#include "mgr/api/peer.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

/* A request's worth of tokens: a bucket then gains @rate tokens a nanosecond. */
#define ONE CLOCK_NS_PER_SEC

/* Beyond this a bucket is full whatever its rate; keeps the product in range. */
#define GAP_MAX_NS (3600 * CLOCK_NS_PER_SEC)

static void refill(const struct peers *ps, struct peer *p, uint64_t now_ns)
{
	uint64_t gap = now_ns > p->at_ns ? MIN(now_ns - p->at_ns, GAP_MAX_NS) : 0;

	p->tokens = MIN(p->tokens + gap * ps->rate, ps->burst * ONE);
	p->at_ns = now_ns;
}

struct peer *peer_find(struct peers *ps, const char *key, uint64_t now_ns)
{
	struct peer *free_at = NULL;

	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &ps->table[i];

		if (!strcmp(p->key, key))
			return p;
		if (p->connections || (free_at && !*free_at->key))
			continue;
		if (*p->key) {
			refill(ps, p, now_ns);
			if (p->tokens < ps->burst * ONE)
				continue;
		}
		free_at = p;
	}
	if (free_at) {
		*free_at = (struct peer) { .tokens = ps->burst * ONE, .at_ns = now_ns };
		snprintf(free_at->key, sizeof(free_at->key), "%s", key);
	}
	return free_at;
}

unsigned peer_take(const struct peers *ps, struct peer *p, uint64_t now_ns)
{
	refill(ps, p, now_ns);
	if (p->tokens >= ONE) {
		p->tokens -= ONE;
		return 0;
	}
	if (!ps->rate)
		return 3600;
	return (unsigned)((ONE - p->tokens) / ps->rate / CLOCK_NS_PER_SEC) + 1;
}
