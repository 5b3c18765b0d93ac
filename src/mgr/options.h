/* SPDX-License-Identifier: MIT */
/*
 * What holmd is told on its command line, with the places that follow from who runs it.
 */
#ifndef HOLM_MGR_OPTIONS_H
#define HOLM_MGR_OPTIONS_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/core/sched.h"
#include "mgr/ksm.h"

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_PATH_MAX      4096
#define OPTIONS_BOOT_DIRS_MAX 16

struct options {
	bool user; /* for one user, ended when idle */
	char run_dir[OPTIONS_PATH_MAX], state_dir[OPTIONS_PATH_MAX];
	char socket[OPTIONS_PATH_MAX];
	char vmm[OPTIONS_PATH_MAX]; /* holm-vmm, beside this program */
	/* Where users who are no admins may take kernels from; STATE-DIR/boot if none is named. */
	const char *boot_dirs[OPTIONS_BOOT_DIRS_MAX];
	unsigned n_boot_dirs;
	char boot_default[OPTIONS_PATH_MAX + 8];
	const char *group;	 /* of the socket */
	const char *listen_host; /* TCP with TLS; NULL: none */
	uint16_t listen_port;
	const char *cert, *key, *client_ca;
	const char *vms_unit; /* group of the VMs beside our own; NULL: none */
	const char *log;      /* NULL: stderr */
	unsigned idle_s;      /* end after so long without VMs and clients; 0: never */
	unsigned overcommit; /* memory of all running VMs, per cent of the host's */
	/* Of admission, see mgr/core/sched.h. */
	enum sched_policy sched;
	unsigned quantum_ms, ageing_ms;
	enum ksm_mode ksm; /* when the host merges equal pages */
	uint64_t net_capacity; /* bytes a second that VMs divide; 0: not divided */
	bool help, version;
};

/** options_parse() - the command line over the defaults; -EINVAL with a sentence. */
int options_parse(struct options *o, int argc, char **argv, struct err *e) MUST_CHECK;
/** options_help() - the text of --help. */
void options_help(void);

#endif
