/* SPDX-License-Identifier: MIT */
/*
 * What holmd is told on its command line, with the places that follow from who runs it.
 */
#ifndef HOLM_MGR_OPTIONS_H
#define HOLM_MGR_OPTIONS_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_PATH_MAX 4096

struct options {
	bool user; /* for one user, ended when idle */
	char run_dir[OPTIONS_PATH_MAX], state_dir[OPTIONS_PATH_MAX];
	char socket[OPTIONS_PATH_MAX];
	char vmm[OPTIONS_PATH_MAX]; /* holm-vmm, beside this program */
	const char *group;	    /* of the socket */
	const char *listen_host;    /* TCP with TLS; NULL: none */
	uint16_t listen_port;
	const char *cert, *key, *client_ca;
	const char *vms_unit; /* group of the VMs beside our own; NULL: none */
	const char *log;      /* NULL: stderr */
	unsigned idle_s;      /* end after so long without VMs and clients; 0: never */
	unsigned overcommit;  /* memory of all running VMs, per cent of the host's */
	bool help, version;
};

/** options_parse() - the command line over the defaults; -EINVAL with a sentence. */
int options_parse(struct options *o, int argc, char **argv, struct err *e) MUST_CHECK;
/** options_help() - the text of --help. */
void options_help(void);

#endif
