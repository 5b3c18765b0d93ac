/* SPDX-License-Identifier: MIT */
/*
 * The record of a VM's end, see exit.h.
 */
#include "vmm/exit.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * RFC 3339 in UTC with milliseconds. gmtime_r(3) may open the host's time zone, which the sandbox
 * forbids. The calendar counts from March, so that a leap day is the last of its year.
 */
static void format_time(char *buf, size_t size, uint64_t wall_ns)
{
	unsigned ms = (unsigned)(wall_ns / CLOCK_NS_PER_MS % 1000);
	uint64_t secs = wall_ns / CLOCK_NS_PER_SEC;
	unsigned s = (unsigned)(secs % 86400);
	/* Days since 0000-03-01; 146097 days are 400 years. */
	uint64_t days = secs / 86400 + 719468;
	unsigned era = (unsigned)(days / 146097), doe = (unsigned)(days % 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153, day = doy - (153 * mp + 2) / 5 + 1;
	unsigned month = mp < 10 ? mp + 3 : mp - 9;
	unsigned year = era * 400 + yoe + (month <= 2);

	snprintf(buf, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day, s / 3600,
		 s / 60 % 60, s % 60, ms);
}

/* seccomp: loop: write fsync */
void exit_record(int fd, const char *end, int code, const char *message)
{
	MEM_AUTO char *text = NULL;
	char at[40], newline = '\n';
	json_t *o;
	int ret;

	if (fd < 0)
		return;
	format_time(at, sizeof(at), clock_host.wall_ns(&clock_host));
	o = json_pack("{s:s, s:i, s:s, s:s*}", "end", end, "code", code, "at", at, "message",
		      message);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	ret = text ? fd_write_full(fd, text, strlen(text)) : -ENOMEM;
	if (!ret)
		ret = fd_write_full(fd, &newline, 1);
	/* A pipe has nothing to bring to a disk. */
	if (!ret && fsync(fd) < 0 && errno != EINVAL)
		ret = -errno;
	if (ret)
		log_line(LOG_ERROR, "vmm", "cannot record the end: %s", strerror(-ret));
}
