/* SPDX-License-Identifier: MIT */
/*
 * holmd: the manager's command line.
 */
#include "base/log.h"
#include "mgr/daemon.h"
#include "mgr/options.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static int run(const struct options *o, struct err *e)
{
	int fd = -1;

	if (o->log) {
		fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (fd < 0)
			return err_set(e, -errno, "cannot open the log %s: %s", o->log,
				       strerror(errno));
		log_setup(fd, LOG_INFO);
	}
	return daemon_run(o, e);
}

int main(int argc, char **argv)
{
	struct options o;
	struct err e = { 0 };
	int ret;

	/* One heap: there is one thread, and what it frees goes back. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 256 << 10);
	ret = options_parse(&o, argc, argv, &e);
	if (!ret && o.help) {
		options_help();
		return HOLM_EXIT_OK;
	}
	if (!ret && o.version) {
		puts("holmd " HOLM_VERSION);
		return HOLM_EXIT_OK;
	}
	if (!ret)
		ret = run(&o, &e);
	if (!ret)
		return HOLM_EXIT_OK;
	fprintf(stderr, "holmd: %s\n", e.msg);
	return (int)err_exit_code(e.code);
}
