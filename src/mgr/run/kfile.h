/* SPDX-License-Identifier: MIT */
/*
 * Small files of /proc, /sys and control groups: read whole, written with one write(2).
 */
#ifndef HOLM_MGR_RUN_KFILE_H
#define HOLM_MGR_RUN_KFILE_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * kfile_read() - the file @path below @dir (AT_FDCWD: as it is) into @buf, with a NUL.
 *
 * What does not fit is cut. Return: bytes, or -errno (-ENOENT ...); @buf is then "".
 */
int kfile_read(int dir, const char *path, char *buf, size_t len) MUST_CHECK;

/** kfile_read_u64() - a file that holds one decimal number; -EINVAL where it does not. */
int kfile_read_u64(int dir, const char *path, uint64_t *out) MUST_CHECK;

/** kfile_write() - 0 or -errno, as the kernel judges the value. */
int kfile_write(int dir, const char *path, const char *text) MUST_CHECK;

/**
 * kfile_word() - the number behind the word @key in lines "key number" or pairs "key=number".
 * False where @key is not there as a whole word, or no number follows.
 */
bool kfile_word(const char *text, const char *key, uint64_t *out);

/** Pressure: shares of time in which some or all tasks stood still for want of a resource. */
struct psi_line {
	unsigned avg10, avg60, avg300; /* hundredths of a per cent */
	uint64_t total_us;
};
struct psi {
	bool there; /* false: this kernel does not say */
	struct psi_line some, full;
};

/** psi_read() - a pressure file; where it cannot be read or understood @out->there is false. */
void psi_read(int dir, const char *path, struct psi *out);

#endif
