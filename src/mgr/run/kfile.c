/* SPDX-License-Identifier: MIT */
/*
 * Small files of the kernel, see kfile.h.
 */
#include "mgr/run/kfile.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int kfile_read(int dir, const char *path, char *buf, size_t len)
{
	FD_AUTO fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	n = fd_read_full(fd, buf, len - 1);
	buf[MAX(n, (ssize_t)0)] = '\0';
	return (int)n;
}

int kfile_read_u64(int dir, const char *path, uint64_t *out)
{
	char buf[64], *end;
	unsigned long long v;
	int ret = kfile_read(dir, path, buf, sizeof(buf));

	if (ret < 0)
		return ret;
	errno = 0;
	v = strtoull(buf, &end, 10);
	if (end == buf || errno || buf[0] == '-' || (*end && *end != '\n'))
		return -EINVAL;
	*out = v;
	return 0;
}

int kfile_write(int dir, const char *path, const char *text)
{
	/* No O_CREAT: a file that the kernel does not have is not to be made in a fake tree. */
	FD_AUTO fd = openat(dir, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, strlen(text));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

bool kfile_word(const char *text, const char *key, uint64_t *out)
{
	size_t len = strlen(key);

	for (const char *p = text; (p = strstr(p, key)); p += len) {
		if ((p > text && !strchr(" \t\n", p[-1])) || !p[len] || !strchr(" \t=:", p[len]))
			continue;
		p += len + strspn(p + len, " \t=:");
		if (*p < '0' || *p > '9')
			return false;
		*out = strtoull(p, NULL, 10);
		return true;
	}
	return false;
}

static bool psi_line(const char *text, const char *kind, struct psi_line *out)
{
	const char *p = strstr(text, kind);
	unsigned a[3], f[3];
	unsigned long long total;

	/* Documentation/accounting/psi.rst: averages have two decimals, total is microseconds. */
	if (!p || sscanf(p + strlen(kind), " avg10=%u.%2u avg60=%u.%2u avg300=%u.%2u total=%llu",
			 &a[0], &f[0], &a[1], &f[1], &a[2], &f[2], &total) != 7)
		return false;
	*out = (struct psi_line) { a[0] * 100 + f[0], a[1] * 100 + f[1], a[2] * 100 + f[2], total };
	return true;
}

void psi_read(int dir, const char *path, struct psi *out)
{
	char buf[512];

	*out = (struct psi) { 0 };
	if (kfile_read(dir, path, buf, sizeof(buf)) <= 0)
		return;
	out->there = psi_line(buf, "some", &out->some);
	/* A group's cpu.pressure and kernels before 5.13 have no full line for CPU. */
	psi_line(buf, "full", &out->full);
}
