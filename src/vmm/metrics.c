/* SPDX-License-Identifier: MIT */
/*
 * The metrics file, see metrics.h.
 */
#include "vmm/metrics.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int metrics_open(struct metrics *x, const char *path, bool memory, struct err *e)
{
	*x = (struct metrics) { .fd = -1, .status_fd = -1 };
	if (!path && !memory)
		return 0;
	if (path)
		x->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (path && x->fd < 0)
		return err_set(e, -errno, "cannot create the metrics file %s: %s", path,
			       strerror(errno));
	/* Missing without /proc: the figures of memory are then left out. */
	x->status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	return 0;
}

/* Add the lines "RssAnon:  1234 kB" and so on, in bytes. */
static void add_memory(json_t *o, const char *status)
{
	static const struct {
		const char *line, *name;
	} wanted[] = {
		{ "\nVmRSS:", "rss_bytes" },	      { "\nVmHWM:", "rss_peak_bytes" },
		{ "\nRssAnon:", "rss_anon_bytes" },   { "\nRssFile:", "rss_file_bytes" },
		{ "\nRssShmem:", "rss_shmem_bytes" }, { "\nThreads:", "threads" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const char *at = strstr(status, wanted[i].line);
		json_int_t n;

		if (!at)
			continue;
		n = (json_int_t)strtoull(at + strlen(wanted[i].line), NULL, 10);
		json_object_set_new(o, wanted[i].name,
				    json_integer(i + 1 < ARRAY_SIZE(wanted) ? n * 1024 : n));
	}
}

/* seccomp: loop: pread64 lseek ftruncate write fstat newfstatat */
json_t *metrics_get(const struct metrics *x, struct machine *m)
{
	json_t *o = machine_stats(m);
	char status[4096];
	ssize_t n;

	n = x->status_fd < 0 ? 0 : fd_pread_full(x->status_fd, status, sizeof(status) - 1, 0);
	if (n > 0) {
		status[n] = '\0';
		add_memory(o, status);
	}
	return o;
}

void metrics_write(const struct metrics *x, struct machine *m)
{
	MEM_AUTO char *text = NULL;
	json_t *o;
	int ret;

	if (x->fd < 0)
		return;
	o = metrics_get(x, m);
	text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	if (!text)
		ret = -ENOMEM;
	else if (ftruncate(x->fd, 0) < 0 || lseek(x->fd, 0, SEEK_SET) < 0)
		ret = -errno;
	else
		ret = fd_write_full(x->fd, text, strlen(text));
	if (ret && ret != -EINVAL)
		log_line(LOG_ERROR, "metrics", "cannot write: %s", strerror(-ret));
}

void metrics_close(struct metrics *x)
{
	fd_close(&x->status_fd);
	fd_close(&x->fd);
}
