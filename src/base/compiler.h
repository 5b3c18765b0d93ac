/* SPDX-License-Identifier: MIT */
/*
 * Attributes and small helpers that every file may use.
 *
 * Only what both gcc and clang give; nothing here has a run-time part.
 */
#ifndef HOLM_BASE_COMPILER_H
#define HOLM_BASE_COMPILER_H

#include <assert.h>
#include <stddef.h>

/** The result must be looked at; used on every function that can fail. */
#define MUST_CHECK __attribute__((warn_unused_result))
/** printf-like: format is parameter @f, its arguments start at @a. */
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN	  __attribute__((noreturn))
#define UNUSED		  __attribute__((unused))
#define LIKELY(x)	  __builtin_expect(!!(x), 1)
#define UNLIKELY(x)	  __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE	  inline __attribute__((always_inline))
#define NOINLINE	  __attribute__((noinline))
#define PACKED		  __attribute__((packed))
#define ALIGNED(n)	  __attribute__((aligned(n)))
/** Run @fn on the address of the variable when it leaves its scope. */
#define CLEANUP(fn)   __attribute__((cleanup(fn)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** The struct of type @type whose member @member is at @ptr. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})

/** Fatal check for Holm's own bugs; stays compiled in, never for outside input. */
#define BUG_ON(cond)                                                                               \
	do {                                                                                       \
		if (UNLIKELY(cond))                                                                \
			bug_abort(#cond, __FILE__, __LINE__);                                      \
	} while (0)

/** Print where and what, then abort(); the target of BUG_ON(). */
NORETURN void bug_abort(const char *cond, const char *file, int line);

#endif
