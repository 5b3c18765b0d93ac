/* SPDX-License-Identifier: MIT */
/*
 * Little-endian loads and stores, alignment and checked arithmetic on sizes.
 *
 * x86-64 is little-endian, so loads are plain copies; the names say what the bytes are.
 */
#ifndef HOLM_BASE_BYTES_H
#define HOLM_BASE_BYTES_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t get_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t get_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void put_le16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void put_le32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void put_le64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/** get_le() - @n bytes (1, 2, 4 or 8) at @p as an unsigned number. */
static inline uint64_t get_le(const void *p, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

/** put_le() - the low @n bytes (1 to 8) of @v to @p. */
static inline void put_le(void *p, unsigned n, uint64_t v)
{
	memcpy(p, &v, n);
}

/** size_mask() - a mask of the low @n bytes, 1 to 8. */
static inline uint64_t size_mask(unsigned n)
{
	return n >= 8 ? UINT64_MAX : (1ULL << (n * 8)) - 1;
}

/** is_pow2() - whether exactly one bit is set. */
static inline bool is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

/** align_up() - @v up to a multiple of @a, a power of two; the caller has excluded overflow. */
static inline uint64_t align_up(uint64_t v, uint64_t a)
{
	return (v + a - 1) & ~(a - 1);
}

static inline uint64_t align_down(uint64_t v, uint64_t a)
{
	return v & ~(a - 1);
}

/** range_ok() - whether [@off, @off + @len) lies within [0, @size), without overflow. */
static inline bool range_ok(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/** range_overlap() - whether [@a, @a + @alen) and [@b, @b + @blen) share a byte. */
static inline bool range_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return alen && blen && (a < b ? b - a < alen : a - b < blen);
}

/* Checked sums and products: true where the result does not fit. */
#define ADD_OVERFLOWS(a, b, out) __builtin_add_overflow((a), (b), (out))
#define MUL_OVERFLOWS(a, b, out) __builtin_mul_overflow((a), (b), (out))

#endif
