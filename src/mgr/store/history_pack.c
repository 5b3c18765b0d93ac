/* SPDX-License-Identifier: MIT */
/*
 * Samples as bytes and as minutes, see history_pack.h.
 */
#include "mgr/store/history_pack.h"

#include <string.h>

static uint8_t *put(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static bool get(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t b = *(*p)++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*out = v;
			return true;
		}
	}
	return false;
}

/* Small differences of either sign as small numbers; all are modulo 2^64. */
static uint64_t zigzag(uint64_t d)
{
	return d << 1 ^ (d >> 63 ? UINT64_MAX : 0);
}

static uint64_t zagzig(uint64_t z)
{
	return z >> 1 ^ (z & 1 ? UINT64_MAX : 0);
}

size_t pack_chunk(uint8_t buf[PACK_CHUNK_MAX], uint64_t begin_ns, const struct history_point *p,
		  size_t n)
{
	uint8_t *to = put(buf, n);

	for (size_t i = 0; i < n; i++) {
		to = put(to, (p[i].at_ns - begin_ns) / CLOCK_NS_PER_MS);
		for (unsigned f = 0; f < HIST_COUNT; f++)
			to = put(to, i ? zigzag(p[i].v[f] - p[i - 1].v[f]) : p[i].v[f]);
	}
	return (size_t)(to - buf);
}

void unpack_init(struct unpack *u, uint64_t begin_ns, const void *buf, size_t len)
{
	*u = (struct unpack) { .p = buf, .begin_ns = begin_ns };
	u->end = u->p + len;
}

bool unpack_next(struct unpack *u)
{
	bool first = !u->left;
	uint64_t ms;

	if (first && (u->p == u->end || !get(&u->p, u->end, &u->left) || !u->left))
		return false;
	u->left--;
	if (!get(&u->p, u->end, &ms) || ms >= HISTORY_CHUNK_S * 1000)
		return false;
	u->at.at_ns = u->begin_ns + ms * CLOCK_NS_PER_MS;
	for (unsigned f = 0; f < HIST_COUNT; f++) {
		uint64_t v;

		if (!get(&u->p, u->end, &v))
			return false;
		u->at.v[f] = first ? v : u->at.v[f] + zagzig(v);
	}
	memcpy(u->at.max, u->at.v, sizeof(u->at.max));
	return true;
}

size_t pack_minute(uint8_t buf[PACK_MINUTE_MAX], const struct history_point *p)
{
	uint8_t *to = buf;

	for (unsigned f = 0; f < HIST_COUNT; f++)
		to = put(to, p->v[f]);
	for (unsigned f = 0; f < HIST_GAUGES; f++)
		to = put(to, p->max[f]);
	to = put(to, p->cpu_max);
	return (size_t)(to - buf);
}

bool unpack_minute(struct history_point *p, const void *buf, size_t len)
{
	const uint8_t *at = buf, *end = at + len;

	for (unsigned f = 0; f < HIST_COUNT; f++)
		if (!get(&at, end, &p->v[f]))
			return false;
	for (unsigned f = 0; f < HIST_GAUGES; f++)
		if (!get(&at, end, &p->max[f]))
			return false;
	return get(&at, end, &p->cpu_max);
}

void rollup_add(struct rollup *r, const struct history_point *p)
{
	for (unsigned f = 0; f < HIST_GAUGES; f++) {
		r->sum[f] += p->v[f];
		r->max[f] = MAX(r->max[f], p->v[f]);
	}
	/* A counter that went back is a VM that was started again. */
	if (r->n && p->at_ns > r->last.at_ns && p->v[HIST_CPU_NS] > r->last.v[HIST_CPU_NS]) {
		uint64_t cpu = p->v[HIST_CPU_NS] - r->last.v[HIST_CPU_NS];
		uint64_t time = p->at_ns - r->last.at_ns;
		__extension__ unsigned __int128 rate = (unsigned __int128)cpu * 1000 / time;

		r->cpu_max = MAX(r->cpu_max, (uint64_t)rate);
	}
	r->last = *p;
	r->n++;
}

void rollup_done(const struct rollup *r, uint64_t minute_ns, struct history_point *out)
{
	*out = r->last;
	out->at_ns = minute_ns;
	for (unsigned f = 0; f < HIST_GAUGES; f++)
		out->v[f] = (uint64_t)(r->sum[f] / r->n);
	memcpy(out->max, r->max, sizeof(out->max));
	out->cpu_max = r->cpu_max;
}
