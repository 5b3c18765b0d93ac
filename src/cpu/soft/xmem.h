/* SPDX-License-Identifier: MIT */
/*
 * Executable memory: the only place where Holm makes any.
 *
 * Theory of operation: one memfd, mapped twice: writable here, executable there, never both
 * through one mapping. Both mappings are made before the sandbox closes; afterwards code is only
 * appended. The memfd is closed at once.
 */
#ifndef HOLM_CPU_SOFT_XMEM_H
#define HOLM_CPU_SOFT_XMEM_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdint.h>

struct xmem {
	uint8_t *rw, *rx;
	size_t size, used;
};

/**
 * xmem_create() - @size bytes, a multiple of 4 KiB; the executable mapping replaces what is at @at,
 * NULL: anywhere. Errors: -ENOMEM, -EPERM (noexec policy).
 */
int xmem_create(struct xmem *x, size_t size, void *at, struct err *e) MUST_CHECK;
void xmem_destroy(struct xmem *x);

/**
 * xmem_add() - append @len bytes of code, 16-byte aligned.
 *
 * Return: where to call it, or NULL where the area is full. The caller serialises.
 */
const void *xmem_add(struct xmem *x, const void *code, size_t len);

#endif
