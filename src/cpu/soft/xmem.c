/* SPDX-License-Identifier: MIT */
/*
 * Executable memory, see xmem.h.
 */
#include "cpu/soft/xmem.h"

#include "base/bytes.h"
#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int xmem_create(struct xmem *x, size_t size, void *at, struct err *e)
{
	FD_AUTO fd = memfd_create("holm-code", MFD_CLOEXEC);
	void *rw, *rx;
	int ret;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		ret = -errno;
		return err_set(e, ret, "no memory for native code: %s", strerror(-ret));
	}
	rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (rw == MAP_FAILED) {
		ret = -errno;
		return err_set(e, ret, "cannot map native code: %s", strerror(-ret));
	}
	rx = mmap(at, size, PROT_READ | PROT_EXEC, MAP_SHARED | (at ? MAP_FIXED : 0), fd, 0);
	if (rx == MAP_FAILED) {
		ret = -errno;
		munmap(rw, size);
		return err_set(
			e, ret,
			"this host allows no executable memory (%s), which engine soft needs",
			strerror(-ret));
	}
	*x = (struct xmem) { .rw = rw, .rx = rx, .size = size };
	return 0;
}

void xmem_destroy(struct xmem *x)
{
	if (!x->rw)
		return;
	munmap(x->rw, x->size);
	munmap(x->rx, x->size);
	*x = (struct xmem) { 0 };
}

const void *xmem_add(struct xmem *x, const void *code, size_t len)
{
	size_t at = align_up(x->used, 16);

	if (!range_ok(at, len, x->size))
		return NULL;
	memcpy(x->rw + at, code, len);
	x->used = at + len;
	return x->rx + at;
}
