/* SPDX-License-Identifier: MIT */
/*
 * What a VM or a project is to have: reservation, limit and shares of each resource.
 *
 * CPU is in thousandths of a CPU, memory in bytes, I/O and network in bytes a second. In JSON as
 * docs/API.md has it; sizes may be strings like "512M" in what is sent. Decoding is strict:
 * an unknown member is refused by its name.
 *
 * Threads: none of its own; all functions are pure.
 */
#ifndef HOLM_MGR_CORE_RESOURCES_H
#define HOLM_MGR_CORE_RESOURCES_H

#include "base/compiler.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define RES_SHARES_DEFAULT 100u
#define RES_SHARES_MAX	   10000u
#define RES_CPU_MAX	   (4096u * 1000u)
#define RES_AMOUNT_MAX	   (1ull << 50) /* of bytes and of bytes a second */

enum res_kind { RES_CPU, RES_MEMORY, RES_IO, RES_NET, RES_COUNT };

struct res_triple {
	uint64_t reservation; /* what it has in any case; 0: nothing */
	uint64_t limit;	      /* what it never gets more of; 0: none, else not below reservation */
	uint32_t shares;      /* its weight against others, 1 to RES_SHARES_MAX */
};

struct resources {
	struct res_triple of[RES_COUNT];
};

/** res_kind_name() - "cpu", "memory", "io", "net". */
const char *res_kind_name(enum res_kind k);

/** resources_init() - nothing reserved, no limits, equal shares. */
void resources_init(struct resources *r);

/**
 * resources_decode() - the members that a JSON object has; the others stay.
 *
 * Errors: -EINVAL (unknown member, wrong type, reservation above limit), -ERANGE; the sentence
 * names the member ("resources.cpu.limit"). *@r is unchanged on failure.
 */
int resources_decode(struct resources *r, const json_t *o, struct err *e) MUST_CHECK;

/** resources_encode() - a new reference, all members; NULL: no memory. */
json_t *resources_encode(const struct resources *r);

/**
 * json_amount() - a number, or where @size a string like "512M", of @min to @max.
 * @what: names it in the sentence
 *
 * Errors: -EINVAL, -ERANGE. *@out is unchanged on failure.
 */
int json_amount(uint64_t *out, const json_t *v, bool size, uint64_t min, uint64_t max,
		const char *what, struct err *e) MUST_CHECK;

#endif
