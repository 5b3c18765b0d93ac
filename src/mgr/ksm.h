/* SPDX-License-Identifier: MIT */
/*
 * When the host merges equal pages: while VMs run that are open to it (memory_merge).
 *
 * Theory of operation: looked at once a second. In mode auto KSM is switched on when such a VM
 * runs and less than 20 % of the host's memory is available, in mode on with the first such VM;
 * both leave it on until the last of them has ended, and then switch it off where they had
 * switched it on. A file in the run folder remembers that, written before KSM is touched: so a
 * manager that was killed, or ends while VMs go on, is followed by one that knows. KSM that
 * somebody else switched on is left alone. What is merged stays merged until it is written to.
 *
 * Threads: the manager's loop only.
 */
#ifndef HOLM_MGR_KSM_H
#define HOLM_MGR_KSM_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define KSM_PATH_MAX 4352

enum ksm_mode { KSM_AUTO, KSM_ON, KSM_OFF, KSM_MODE_COUNT };

struct ksm {
	enum ksm_mode mode;
	const char *root;	 /* of /proc and /sys; "": the host's */
	char mark[KSM_PATH_MAX]; /* the file that says that KSM is on because of us */
	bool ours;		 /* it is there */
	bool failed;		 /* could not be switched on; asked again when all VMs have ended */
};

/** ksm_mode_parse() - "auto", "on" or "off"; -EINVAL with a sentence. */
int ksm_mode_parse(enum ksm_mode *out, const char *name, struct err *e) MUST_CHECK;

/** ksm_open() - nothing is switched yet; @run_dir is there. Never fails. */
void ksm_open(struct ksm *k, enum ksm_mode mode, const char *root, const char *run_dir);

/** ksm_look() - @merging: VMs run that are open to it. Bytes of the host's memory. */
void ksm_look(struct ksm *k, bool merging, uint64_t available, uint64_t total);

#endif
