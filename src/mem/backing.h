/* SPDX-License-Identifier: MIT */
/*
 * What stands behind RAM and ROM in this process: bytes that can be filled and given back.
 *
 * Theory of operation: there are two kinds. Shared memory is a sealed memfd, mapped once: whoever
 * gets the descriptor sees the bytes and cannot take pages away from under us. Merged memory is
 * private to the process and told to the kernel's KSM, which lets equal pages of all such memory
 * on the host be one (Linux, Documentation/admin-guide/mm/ksm.rst); a write takes the writer's
 * page out again, unseen. KSM merges nothing that is shared, which is why there are two.
 *
 * Both are reserved lazily: what is never touched costs nothing.
 *
 * Threads: any; the caller sees to it that nobody uses bytes that it frees.
 */
#ifndef HOLM_MEM_BACKING_H
#define HOLM_MEM_BACKING_H

#include "base/compiler.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum mem_backing_kind { MEM_BACKING_SHARED, MEM_BACKING_MERGED, MEM_BACKING_KIND_COUNT };

struct mem_backing {
	uint8_t *host; /* where it is mapped; NULL: nothing is */
	uint64_t size; /* bytes, a multiple of a page */
	int fd;	       /* the memfd; -1 for merged memory */
};

/**
 * mem_backing_make() - @size bytes of zeros; nothing is left behind on failure.
 * @name: of the memfd, for /proc
 *
 * Where the kernel has no KSM, merged memory is a private mapping like any other; the log says so.
 */
int mem_backing_make(struct mem_backing *out, enum mem_backing_kind kind, const char *name,
		     uint64_t size, struct err *e) MUST_CHECK;
/** mem_backing_free() - unmapped and closed; nothing where nothing was made. */
void mem_backing_free(struct mem_backing *b);

/** mem_backing_fill() - @len bytes of @buf to offset @off, fast where it is much. */
void mem_backing_fill(const struct mem_backing *b, uint64_t off, const uint8_t *buf, size_t len);

/** mem_backing_discard() - give the host's pages back; they read as 0. 0 or -errno. */
int mem_backing_discard(const struct mem_backing *b, uint64_t off, uint64_t len) MUST_CHECK;

/**
 * mem_backing_resident() - bytes that the host has pages for.
 *
 * Of merged memory: what is mapped, so a page that KSM lets several share counts in each of them.
 */
uint64_t mem_backing_resident(const struct mem_backing *b);

#endif
