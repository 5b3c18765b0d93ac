/* SPDX-License-Identifier: MIT */
/*
 * Processes, see process.h. Sources: clock_getcpuclockid(3); proc(5), /proc/PID/task/TID/schedstat
 * (time on a CPU, time waiting for one, slices).
 */
#include "mgr/run/process.h"

#include "base/clock.h"
#include "base/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

uint64_t process_cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * CLOCK_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t task_wait_ns(int dir, const char *tid)
{
	char path[64], text[96];
	FD_AUTO fd = -1;
	uint64_t run, wait;
	ssize_t n;

	snprintf(path, sizeof(path), "%.20s/schedstat", tid);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%" SCNu64 " %" SCNu64, &run, &wait) == 2 ? wait : 0;
}

uint64_t process_steal_ns(pid_t pid)
{
	char path[64];
	uint64_t sum = 0;
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			sum += task_wait_ns(dirfd(dir), d->d_name);
	if (dir)
		closedir(dir);
	return sum;
}
