/* SPDX-License-Identifier: MIT */
/*
 * What stands behind RAM and ROM in this process: bytes that can be filled and given back.
 *
 * Theory of operation: there are three kinds. Shared memory is a sealed memfd, mapped once: whoever
 * gets the descriptor sees the bytes and cannot take pages away from under us. Merged memory is
 * private to the process and told to the kernel's KSM, which lets equal pages of all such memory
 * on the host be one (Linux, Documentation/admin-guide/mm/ksm.rst); a write takes the writer's
 * page out again, unseen. KSM merges nothing that is shared, which is why there are two. Saved
 * memory is a private mapping of a file that holds a guest's RAM: a page is read when it is first
 * touched and is the process's own when it is first written; the file never changes.
 *
 * All are reserved lazily: what is never touched costs nothing.
 *
 * Threads: any; the caller sees to it that nobody uses bytes that it frees.
 */
#ifndef HOLM_MEM_BACKING_H
#define HOLM_MEM_BACKING_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mem_backing_kind {
	MEM_BACKING_SHARED,
	MEM_BACKING_MERGED,
	MEM_BACKING_SAVED,
	MEM_BACKING_KIND_COUNT
};

struct mem_backing {
	uint8_t *host; /* where it is mapped; NULL: nothing is */
	uint64_t size; /* bytes, a multiple of a page */
	int fd;	       /* the memfd; -1 where it is not shared */
	int file;      /* of saved memory, for its holes; else -1 */
	int pagemap;   /* of what is not shared: which pages are our own; -1: not known */
	enum mem_backing_kind kind;
};

/**
 * mem_backing_make() - @size bytes of zeros, shared or merged; nothing is left behind on failure.
 * @name: of the memfd, for /proc
 *
 * Where the kernel has no KSM, merged memory is a private mapping like any other; the log says so.
 */
int mem_backing_make(struct mem_backing *out, enum mem_backing_kind kind, const char *name,
		     uint64_t size, struct err *e) MUST_CHECK;
/**
 * mem_backing_map() - the saved RAM in @fd (stays the caller's), which has @size bytes.
 * @merge: the host may merge equal pages that the guest wrote
 *
 * Errors: -EBADMSG (another size), those of mmap(2).
 */
int mem_backing_map(struct mem_backing *out, int fd, uint64_t size, bool merge,
		    struct err *e) MUST_CHECK;
/** mem_backing_free() - unmapped and closed; nothing where nothing was made. */
void mem_backing_free(struct mem_backing *b);

/** mem_backing_fill() - @len bytes of @buf to offset @off, fast where it is much. */
void mem_backing_fill(const struct mem_backing *b, uint64_t off, const uint8_t *buf, size_t len);

/**
 * mem_backing_discard() - give the host's pages back; they read as 0. 0 or -errno.
 *
 * Of saved memory small ranges are only zeroed: each one given back would cost the kernel a mapping
 * of its own, whose number is bounded.
 */
int mem_backing_discard(const struct mem_backing *b, uint64_t off, uint64_t len) MUST_CHECK;

/**
 * mem_backing_data() - the next range from *@from on that may hold anything but zeros.
 * @from, @to: receive its bounds, multiples of a page
 * Return: false where there is none.
 */
bool mem_backing_data(const struct mem_backing *b, uint64_t *from, uint64_t *to);

/**
 * mem_backing_resident() - bytes that the host has pages for.
 *
 * Of merged memory: what is mapped, so a page that KSM lets several share counts in each of them.
 */
uint64_t mem_backing_resident(const struct mem_backing *b);

#endif
