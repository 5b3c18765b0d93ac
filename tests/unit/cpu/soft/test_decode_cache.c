/* SPDX-License-Identifier: MIT */
/* Instructions decoded before: the same as decoded anew, whatever came in between. */
#include "cpu/soft/soft.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define ROUNDS	400000
#define OPCODES 24 /* few, so that the cache finds them again */

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A prefix or none, an opcode from a few, and anything behind it. */
static void make(uint8_t bytes[15], uint64_t *s, const uint8_t ops[OPCODES][2])
{
	static const uint8_t prefixes[] = { 0x48, 0x49, 0x4c, 0x66, 0x67, 0xf2, 0xf3, 0x65, 0xf0 };
	const uint8_t *op = ops[next(s) % OPCODES];
	unsigned n = 0;

	if (next(s) & 1)
		bytes[n++] = prefixes[next(s) % ARRAY_SIZE(prefixes)];
	if (op[0] == 0x0f)
		bytes[n++] = 0x0f;
	bytes[n++] = op[1];
	/* Few ModRM and SIB, many displacements and immediates. */
	bytes[n++] = (uint8_t)((next(s) & 7) * 0x21);
	while (n < 15)
		bytes[n++] = next(s) & 3 ? (uint8_t)next(s) : 0xff;
}

static void same_as_anew(void **state)
{
	struct soft_decode_cache *c = calloc(1, soft_decode_cache_size());
	struct soft_vm vm = { 0 };
	uint64_t s = 0x9e3779b97f4a7c15ull;
	uint8_t ops[OPCODES][2];
	struct err e;

	(void)state;
	assert_non_null(c);
	assert_int_equal(soft_thunks_create(&vm.thunks, &e), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t mode = next(&s) % 3;
		unsigned avail = next(&s) & 7 ? 15 : 1 + next(&s) % 15;
		struct insn in, want;
		uint8_t bytes[15];
		int ret;

		if (i % 2000 == 0)
			for (unsigned k = 0; k < OPCODES; k++) {
				ops[k][0] = next(&s) & 3 ? 0 : 0x0f;
				ops[k][1] = (uint8_t)next(&s);
			}
		make(bytes, &s, (const uint8_t(*)[2])ops);
		memset(&in, 0, sizeof(in));
		memset(&want, 0, sizeof(want));
		ret = soft_decode(&vm, bytes, avail, mode, &want, NULL);
		assert_int_equal(soft_decode_cached(c, &vm, bytes, avail, mode, &in), ret);
		assert_memory_equal(&in, &want, sizeof(in));
	}
	soft_thunks_destroy(vm.thunks);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
