/* SPDX-License-Identifier: MIT */
/*
 * The sandbox, see sandbox.h.
 *
 * The filters are classic BPF over struct seccomp_data (linux/seccomp.h; Documentation/
 * userspace-api/seccomp_filter.rst), written out directly: a list of comparisons, each followed
 * by its "allow", so that no jump can be too long. They look at the call's number only, except
 * for mmap and mprotect; the kernel keeps the number-only verdicts in a bitmap, so they cost
 * next to nothing.
 *
 * Limits: system calls made by io_uring on behalf of the process are not seen by seccomp;
 * Landlock sees those that open files.
 */
#include "vmm/sandbox.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct sandbox_rule {
	long nr;
	unsigned kinds;
	const char *name;
} rules[] = {
#include "vmm/seccomp_rules.inc"
};

/* What the C library itself needs on any thread: its allocator, locks, logging, ends, aborts. */
/* seccomp: loop,vcpu,worker: futex brk mmap munmap mremap mprotect madvise write exit_group */
/* seccomp: loop,vcpu,worker: rt_sigreturn rt_sigprocmask rt_sigaction exit gettid getpid tgkill */
/* seccomp: loop,vcpu,worker: clock_gettime gettimeofday restart_syscall sched_yield getrandom */
/* seccomp: loop,vcpu,worker: clock_nanosleep nanosleep membarrier rseq close sigaltstack */
/* Making the vCPUs' threads, and their own filters. */
/* seccomp: start: clone3 clone set_robust_list prctl seccomp */
/* seccomp: start: sched_getaffinity prlimit64 */

#define PROG_MAX (16 + 2 * ARRAY_SIZE(rules))

struct prog {
	struct sock_filter insn[PROG_MAX];
	unsigned short n;
};

static void emit(struct prog *p, struct sock_filter insn)
{
	BUG_ON(p->n >= PROG_MAX);
	p->insn[p->n++] = insn;
}

static void emit_load(struct prog *p, uint32_t off)
{
	emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off));
}

static void emit_ret(struct prog *p, uint32_t action)
{
	emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static bool is_mapping(long nr)
{
	return nr == SYS_mmap || nr == SYS_mprotect;
}

static void prog_make(struct prog *p, const struct sandbox *s, unsigned kinds)
{
	uint32_t deny = s->mode == VM_SANDBOX_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;

	p->n = 0;
	emit_load(p, offsetof(struct seccomp_data, arch));
	emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	emit_ret(p, SECCOMP_RET_KILL_PROCESS);
	emit_load(p, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		uint32_t action = SECCOMP_RET_ALLOW;

		if (!(rules[i].kinds & kinds) || (is_mapping(rules[i].nr) && !s->exec_ok))
			continue;
		/* Paths: Landlock allows one file; without it the call fails, but never kills. */
		if (rules[i].nr == SYS_openat) {
			if (!s->resolver)
				continue;
			if (!s->landlocked)
				action = SECCOMP_RET_ERRNO | EACCES;
		}
		emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						     (uint32_t)rules[i].nr, 0, 1));
		emit_ret(p, action);
	}
	if (!s->exec_ok) {
		/* mmap and mprotect: both have the protection as their third argument. */
		emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0));
		emit(p,
		     (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3));
		emit_load(p, offsetof(struct seccomp_data, args[2]));
		emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
		emit_ret(p, SECCOMP_RET_ALLOW);
	}
	emit_ret(p, deny);
}

static int install(const struct sandbox *s, unsigned kinds, unsigned flags, struct err *e)
{
	struct prog p;
	struct sock_fprog fp = { .filter = p.insn };
	long ret;

	prog_make(&p, s, kinds);
	fp.len = p.n;
	ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fp);
	if (ret < 0)
		return err_set(e, -errno, "cannot set the filter of system calls: %s",
			       strerror(errno));
	if (ret > 0)
		return err_set(e, -EPERM, "cannot set the filter of system calls on thread %ld",
			       ret);
	return 0;
}

static void landlock_allow_read(int ruleset, const char *path)
{
	struct landlock_path_beneath_attr attr = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};

	/* A host without the file has no name servers to offer either. */
	if (attr.parent_fd < 0)
		return;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0))
		log_line(LOG_WARN, "sandbox", "%s stays closed: %s", path, strerror(errno));
	close(attr.parent_fd);
}

/*
 * A ruleset that handles every right on files this kernel knows and grants none
 * (Documentation/userspace-api/landlock.rst). Kernels without it are no error: seccomp stands.
 */
static bool landlock_enter(bool resolver)
{
	/* The rights on files that each ABI version knows: 13 in the first, then one more each. */
	static const uint64_t fs_rights[] = { 0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = { 0 };
	bool ok = true;
	long fd;

	if (abi < 1) {
		log_line(LOG_DEBUG, "sandbox", "no Landlock in this kernel");
		return false;
	}
	attr.handled_access_fs = fs_rights[MIN((size_t)abi, ARRAY_SIZE(fs_rights) - 1)];
	fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (fd < 0) {
		log_line(LOG_WARN, "sandbox", "no Landlock: %s", strerror(errno));
		return false;
	}
	if (resolver)
		landlock_allow_read((int)fd, "/etc/resolv.conf");
	if (syscall(SYS_landlock_restrict_self, fd, 0)) {
		log_line(LOG_WARN, "sandbox", "no Landlock: %s", strerror(errno));
		ok = false;
	}
	close((int)fd);
	return ok;
}

static void close_between(unsigned first, unsigned last)
{
	/* Fails only on kernels before 5.9, which have nothing better to offer here. */
	if (first <= last && syscall(SYS_close_range, first, last, 0u))
		log_line(LOG_WARN, "sandbox", "inherited descriptors stay open: %s",
			 strerror(errno));
}

int sandbox_close_stray(const int *keep, unsigned n, struct err *e)
{
	unsigned from = 3;
	int ret = 0;

	for (;;) {
		int next = -1;

		/* The lowest that is still to come. */
		for (unsigned i = 0; i < n; i++)
			if (keep[i] >= (int)from && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next < 0)
			break;
		close_between(from, (unsigned)next - 1);
		if (fcntl(next, F_SETFD, FD_CLOEXEC) < 0)
			ret = err_set(e, -errno, "descriptor %d of the configuration: %s", next,
				      strerror(errno));
		from = (unsigned)next + 1;
	}
	close_between(from, ~0u);
	return ret;
}

int sandbox_lock(struct sandbox *s, struct err *e)
{
	if (s->mode == VM_SANDBOX_OFF) {
		log_line(LOG_WARN, "sandbox", "off, as asked for");
		return 0;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set(e, -errno, "cannot give up new privileges: %s", strerror(errno));
	s->landlocked = landlock_enter(s->resolver);
	return install(s, SANDBOX_ALL, SECCOMP_FILTER_FLAG_TSYNC, e);
}

int sandbox_enter(const struct sandbox *s, enum sandbox_kind kind, struct err *e)
{
	return s->mode == VM_SANDBOX_OFF ? 0 : install(s, kind, 0, e);
}

void sandbox_test_forbidden(void)
{
	/* personality(0xffffffff) only reads: harmless where it is let through. */
	syscall(SYS_personality, 0xffffffffu);
}
