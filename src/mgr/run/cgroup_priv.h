/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the control groups share: cgroup.c has the groups, cgroup_values.c what
 * is written to and read from them.
 */
#ifndef HOLM_MGR_RUN_CGROUP_PRIV_H
#define HOLM_MGR_RUN_CGROUP_PRIV_H

#include "mgr/run/cgroup.h"

#define CGROUP_REAL_CTLS CGROUP_IO_WEIGHT /* those before it are controllers */
#define CGROUP_HIER_MAX	 (CGROUP_REAL_CTLS + 1)

/** One hierarchy in use. */
struct cgroup_hier {
	unsigned version;
	unsigned ctls;	/* bits */
	char path[512]; /* of the base group, for sentences */
	int base;	/* descriptor of it */
};

struct cgroups {
	struct cgroup_hier hier[CGROUP_HIER_MAX];
	unsigned n_hier;
	struct cgroup_hier *by_ctl[CGROUP_REAL_CTLS]; /* NULL: missing */
	char missing[1024];
};

/** cgroup_dir() - "PROJECT/ID" as "p-PROJECT/vm-ID", "PROJECT/" as "p-PROJECT"; -EINVAL. */
int cgroup_dir(char *buf, size_t len, const char *path, struct err *e) MUST_CHECK;

#endif
