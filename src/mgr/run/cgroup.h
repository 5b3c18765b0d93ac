/* SPDX-License-Identifier: MIT */
/*
 * Control groups: a group a VM, in what is mounted.
 *
 * Theory of operation: cgroups_open() reads which hierarchies are mounted and takes each
 * controller from where it is: version 2, or a version 1 hierarchy of its own (hybrid hosts have
 * both). In each hierarchy that is used there is a base group; below it projects, which nest, and
 * in these the VMs: BASE/p-PROJECT/vm-ID. The prefixes keep names apart from the kernel's files,
 * and tell ours in a search for orphans. A VM's path is given as "PROJECT/ID", a project's with a
 * slash at its end: "PROJECT/".
 *
 * The base group is NAME at the hierarchy's top; or below this process's own group where that is
 * delegated to it (a unit with Delegate=yes); or below a group beside the own one that is named by
 * the caller: a unit of its own for the VMs. Version 2 does not let a group with processes have
 * controlled subgroups, so in the second case this process moves into a leaf of its own, and in
 * the third what is in that group is moved into one. The second does not suit a service whose VMs
 * outlive it: systemd could put no process of the next one into the divided group.
 *
 * A controller that is missing, or that this process has no rights to, is no error: every
 * function does what it can with the rest. What is missing is told by cgroups_missing() once, and
 * for what was asked for by cgroup_set().
 *
 * Threads: the manager's loop. Nothing here waits.
 */
#ifndef HOLM_MGR_RUN_CGROUP_H
#define HOLM_MGR_RUN_CGROUP_H

#include "base/compiler.h"
#include "base/err.h"
#include "mgr/run/kfile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_MAX 512 /* of "PROJECT/ID" */
#define CGROUP_IO_MAX	16

enum cgroup_ctl {
	CGROUP_CPU,
	CGROUP_CPUACCT, /* version 1 only; version 2 counts with cpu */
	CGROUP_MEMORY,
	CGROUP_IO, /* "blkio" in version 1 */
	CGROUP_CPUSET,
	CGROUP_IO_WEIGHT, /* a part of io that a block scheduler must give; only in results */
	CGROUP_CTL_COUNT
};

#define CGROUP_BIT(ctl) (1u << (ctl))

enum cgroup_place {
	CGROUP_AUTO, /* below the own group where it is marked as delegated, or nothing else may */
	CGROUP_TOP,
	CGROUP_OWN,
};

struct cgroups;

struct cgroup_io {
	unsigned major, minor;
	uint64_t read_bps, write_bps; /* bytes a second; 0: no limit */
};

/** Where cgroups_open() looks and makes. */
struct cgroup_env {
	const char *root;   /* "" for the host; a folder that stands for / in tests */
	const char *name;   /* of the base group, "holm" */
	const char *beside; /* version 2: a group beside the own one, if it is there; or NULL */
	enum cgroup_place place;
};

/** What to set; a zero weight, a zero reservation and NULL leave what is there. */
struct cgroup_limits {
	unsigned cpu_weight;	  /* 1 to 10000, 100 is usual */
	uint64_t cpu_limit;	  /* thousandths of a CPU; 0: none */
	uint64_t memory_limit;	  /* bytes; 0: none */
	uint64_t memory_reserved; /* bytes kept from reclaim */
	unsigned io_weight;	  /* 1 to 10000 */
	struct cgroup_io io[CGROUP_IO_MAX];
	unsigned n_io;
	const char *cpus, *mems; /* lists like "0-3,8" */
};

/** What a group used since it was made; @have: bits of the controllers that said it. */
struct cgroup_usage {
	unsigned have;
	uint64_t cpu_ns, throttled_ns;
	uint64_t memory;
	uint64_t read_bytes, write_bytes, read_ops, write_ops;
	struct psi psi_cpu, psi_memory, psi_io; /* version 2 only */
};

/**
 * cgroups_open() - find what is there and make the base groups.
 *
 * Return: 0 also where no controller is to be had; -ENOMEM.
 */
int cgroups_open(struct cgroups **out, const struct cgroup_env *env, struct err *e) MUST_CHECK;
/** cgroups_close() - groups stay; accepts NULL. */
void cgroups_close(struct cgroups *g);

/** cgroups_remove_base() - remove the base groups where nothing is in them any more. */
void cgroups_remove_base(struct cgroups *g);

/** cgroups_version() - 1 or 2; 0: the controller is missing. */
unsigned cgroups_version(const struct cgroups *g, enum cgroup_ctl ctl);
/** cgroups_where() - path of the base group that has @ctl; "" where it is missing. */
const char *cgroups_where(const struct cgroups *g, enum cgroup_ctl ctl);
/** cgroups_missing() - "io: ..., cpuset: ..." with the reasons; "" where all are there. */
const char *cgroups_missing(const struct cgroups *g);
const char *cgroup_ctl_name(enum cgroup_ctl ctl);

/**
 * cgroup_create() - the group @path and the projects above it; one that is there is taken.
 * Return: 0; -EINVAL (no such path can be), or what mkdir(2) says. On failure none is left that
 * was not there.
 */
int cgroup_create(struct cgroups *g, const char *path, struct err *e) MUST_CHECK;

/** cgroup_attach() - put process @pid into @path in all hierarchies. -ESRCH: it is gone. */
int cgroup_attach(struct cgroups *g, const char *path, pid_t pid, struct err *e) MUST_CHECK;

/**
 * cgroup_set() - limits of a VM, or of all in a project.
 * @missing: receives bits of what was asked for and nothing can do here; NULL: not wanted
 *
 * Return: 0; -ENOENT (no such group), -EINVAL and others as the kernel judges a value, with the
 * file named; values before it are set.
 */
int cgroup_set(struct cgroups *g, const char *path, const struct cgroup_limits *l,
	       unsigned *missing, struct err *e) MUST_CHECK;

/**
 * cgroup_read() - what a group used; each controller costs several calls of the kernel.
 * @want: CGROUP_BIT() of the controllers asked for; version 2 has CPUACCT's in CPU's file
 *
 * Return: 0; -ENOENT: no such group in any hierarchy of theirs.
 */
int cgroup_read(struct cgroups *g, const char *path, unsigned want, struct cgroup_usage *out,
		struct err *e) MUST_CHECK;

/**
 * cgroup_remove() - kill what is in it, and remove it; one that is not there is no error.
 *
 * Return: 0; -EAGAIN: processes still end, call again soon; others as rmdir(2). A project that
 * has no VM any more is removed, too.
 */
int cgroup_remove(struct cgroups *g, const char *path, struct err *e) MUST_CHECK;

/** Return 0 to go on; another value ends the walk and is returned. */
typedef int (*cgroup_list_fn)(void *ctx, const char *path);
/** cgroup_list() - each VM's group of each hierarchy; the same path may come several times. */
int cgroup_list(struct cgroups *g, cgroup_list_fn fn, void *ctx, struct err *e) MUST_CHECK;

#endif
