/* SPDX-License-Identifier: MIT */
/*
 * Making a VM's process, see spawn.h.
 *
 * The child's descriptors have fixed numbers from FIRST on. They are first moved out of the way
 * of one another, then put at their places; all others are closed on exec.
 */
#include "mgr/run/spawn.h"

#include "base/fd.h"
#include "base/hostfile.h"
#include "mgr/run/own_uid.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/close_range.h>

#define VMM_LOG_MAX (1 << 20) /* bytes after which a VM's log of holm-vmm begins anew */

/* In the order of their numbers in the child. */
enum {
	FD_CONFIG,
	FD_CONTROL,
	FD_CONSOLE,
	FD_LOG_A,
	FD_LOG_B,
	FD_EXIT,
	FD_TAP,
	FD_KERNEL,
	FD_INITRD,
	FD_STATE,
	FD_MEMORY,
	FD_DISK, /* the first of them */
	FD_COUNT = FD_DISK + VM_DISKS_MAX
};
#define FIRST 3

static const char *const fields[FD_DISK] = {
	[FD_CONTROL] = "control_fd", [FD_CONSOLE] = "console_fd", [FD_LOG_A] = "log_fd_a",
	[FD_LOG_B] = "log_fd_b",     [FD_EXIT] = "exit_fd",	  [FD_TAP] = "tap_fd",
	[FD_KERNEL] = "kernel_fd",   [FD_INITRD] = "initrd_fd",	  [FD_STATE] = "state_fd",
	[FD_MEMORY] = "memory_fd",
};

struct spawn {
	const struct run_spec *spec;
	int run, state; /* folders */
	int fd[FD_COUNT];
	int log;   /* stdout and stderr */
	int vmm;   /* the program, where its path may be out of the process's reach; -1: by path */
	uid_t uid; /* of the process; 0: the manager's */
};

static int open_file(int dir, const char *name, int flags, int *fd, struct err *e)
{
	*fd = openat(dir, name, flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_set(e, -errno, "cannot open the VM's file %s: %s", name,
			       strerror(errno));
	return 0;
}

static int open_log(struct spawn *s, struct err *e)
{
	struct stat st;
	int ret = open_file(s->state, "vmm.log", O_WRONLY | O_APPEND, &s->log, e);

	if (!ret && !fstat(s->log, &st) && st.st_size > VMM_LOG_MAX && ftruncate(s->log, 0))
		ret = err_set(e, -errno, "cannot empty vmm.log: %s", strerror(errno));
	return ret;
}

/* What the guest starts from and works on. */
static int open_guest(struct spawn *s, struct err *e)
{
	const struct vm_config *c = s->spec->config;
	int ret = c->kernel ? hostfile_boot("kernel", c->kernel, &s->fd[FD_KERNEL], e) : 0;

	if (!ret && c->initrd)
		ret = hostfile_boot("initrd", c->initrd, &s->fd[FD_INITRD], e);
	for (unsigned i = 0; i < c->n_disks && !ret; i++)
		ret = hostfile_disk(c->disks[i].path, c->disks[i].readonly, &s->fd[FD_DISK + i], e);
	return ret;
}

static int open_saved(struct spawn *s, int dir, struct err *e)
{
	static const struct {
		int fd;
		const char *name;
	} files[] = { { FD_STATE, "state" }, { FD_MEMORY, "memory" } };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd = openat(dir, files[i].name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return err_set(e, -errno, "cannot open the saved %s: %s", files[i].name,
				       strerror(errno));
		s->fd[files[i].fd] = fd;
	}
	return 0;
}

static int open_all(struct spawn *s, struct err *e)
{
	int ret = place_listen(s->run, "control", &s->fd[FD_CONTROL], e);

	if (!ret)
		ret = place_listen(s->run, "console", &s->fd[FD_CONSOLE], e);
	if (!ret)
		ret = open_file(s->run, "exit", O_RDWR | O_TRUNC, &s->fd[FD_EXIT], e);
	if (!ret)
		ret = open_file(s->state, "console.a", O_RDWR, &s->fd[FD_LOG_A], e);
	if (!ret)
		ret = open_file(s->state, "console.b", O_RDWR, &s->fd[FD_LOG_B], e);
	if (!ret)
		ret = open_log(s, e);
	if (!ret && s->spec->tap_fd >= 0) {
		s->fd[FD_TAP] = fcntl(s->spec->tap_fd, F_DUPFD_CLOEXEC, FIRST);
		if (s->fd[FD_TAP] < 0)
			ret = err_set(e, -errno, "cannot hand down the tap: %s", strerror(errno));
	}
	if (!ret)
		ret = open_guest(s, e);
	return ret;
}

static int fill_config(const struct spawn *s, struct vm_config *c, struct err *e)
{
	char number[16];
	int ret = vm_config_copy(c, s->spec->config, e);

	for (int i = FD_CONTROL; i < FD_COUNT && !ret; i++)
		if (s->fd[i] >= 0) {
			snprintf(number, sizeof(number), "%d", FIRST + i);
			ret = vm_config_set(c, i < FD_DISK ? fields[i] : "disk_fds", number, e);
		}
	if (!ret)
		ret = vm_config_set(c, "id", s->spec->id, e);
	if (!ret && s->spec->paused)
		ret = vm_config_set(c, "paused", "true", e);
	return ret;
}

/* For who looks at a saved state, and for `holm run` of it. */
static int note_config(const struct spawn *s, struct err *e)
{
	MEM_AUTO char *text = vm_config_encode(s->spec->config, false);
	FD_AUTO fd = -1;
	int ret;

	if (!text)
		return err_set(e, -ENOMEM, "no memory for the configuration");
	ret = open_file(s->run, "config.json", O_WRONLY | O_TRUNC, &fd, e);
	if (!ret && fd_write_full(fd, text, strlen(text)))
		ret = err_set(e, -EIO, "cannot write the VM's config.json");
	return ret;
}

static int write_config(struct spawn *s, struct err *e)
{
	MEM_AUTO char *text = NULL;
	struct vm_config c;
	int ret = vm_config_init(&c, e);

	if (ret)
		return ret;
	ret = fill_config(s, &c, e);
	text = ret ? NULL : vm_config_encode(&c, true);
	vm_config_free(&c);
	if (ret)
		return ret;
	if (!text)
		return err_set(e, -ENOMEM, "no memory for the configuration");
	s->fd[FD_CONFIG] = memfd_create("holm-config", MFD_CLOEXEC);
	if (s->fd[FD_CONFIG] < 0)
		return err_set(e, -errno, "cannot make a memfd: %s", strerror(errno));
	ret = fd_write_full(s->fd[FD_CONFIG], text, strlen(text));
	return ret ? err_set(e, ret, "cannot write the configuration: %s", strerror(-ret)) : 0;
}

/* Only async-signal-safe calls from here to exec. */
static _Noreturn void die(int exit_fd, const char *what)
{
	static const char start[] = "{\"end\":\"error\",\"code\":12,\"message\":\"cannot ";
	ssize_t n = write(exit_fd, start, sizeof(start) - 1);

	n += write(exit_fd, what, strlen(what));
	n += write(exit_fd, "\"}\n", 3);
	_exit(n > 0 ? HOLM_EXIT_INTERNAL : HOLM_EXIT_RESOURCE);
}

static void note_pid(const struct spawn *s)
{
	char text[16], *p = text + sizeof(text);
	pid_t pid = getpid();
	int fd = openat(s->run, "pid", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	do
		*--p = (char)('0' + pid % 10);
	while ((pid /= 10));
	if (fd < 0 || write(fd, p, (size_t)(text + sizeof(text) - p)) < 0)
		die(s->fd[FD_EXIT], "note the process's id");
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child(struct spawn *s, const struct spawn_env *env)
{
	char *argv[] = { (char *)"holm-vmm", (char *)"--config-fd", (char *)"3", NULL };
	int zero = open("/dev/null", O_RDWR | O_CLOEXEC);

	static_assert(FIRST + FD_CONFIG == 3, "the number in argv");
	setsid();
	reset_signals();
	note_pid(s);
	for (int i = 0; i < FD_COUNT; i++)
		if (s->fd[i] >= 0)
			s->fd[i] = fcntl(s->fd[i], F_DUPFD_CLOEXEC, FIRST + FD_COUNT + 3);
	s->log = fcntl(s->log, F_DUPFD_CLOEXEC, FIRST + FD_COUNT + 3);
	if (s->vmm >= 0)
		s->vmm = fcntl(s->vmm, F_DUPFD_CLOEXEC, FIRST + FD_COUNT + 3);
	if (dup2(zero, 0) < 0 || dup2(s->log, 1) < 0 || dup2(s->log, 2) < 0)
		die(s->fd[FD_EXIT], "hand down the log");
	for (int i = 0; i < FD_COUNT; i++)
		if (s->fd[i] >= 0 && dup2(s->fd[i], FIRST + i) < 0)
			die(s->fd[FD_EXIT], "hand down descriptors");
	close_range(FIRST + FD_COUNT, ~0U, CLOSE_RANGE_CLOEXEC);
	if (s->uid) {
		if (own_uid_become(s->uid))
			die(FIRST + FD_EXIT, "leave the manager's rights");
		execveat(s->vmm, "", argv, environ, AT_EMPTY_PATH);
	} else {
		execv(env->vmm, argv);
	}
	die(s->fd[FD_EXIT], "run holm-vmm");
}

int spawn_vmm(const struct spawn_env *env, const struct run_spec *spec, pid_t *pid, struct err *e)
{
	struct spawn s = { .spec = spec, .run = -1, .state = -1, .log = -1, .vmm = -1 };
	int ret;

	for (int i = 0; i < FD_COUNT; i++)
		s.fd[i] = -1;
	ret = place_make(env->place, spec->id, &s.run, &s.state, e);
	if (!ret)
		ret = open_all(&s, e);
	if (!ret && env->saved >= 0)
		ret = open_saved(&s, env->saved, e);
	if (!ret)
		ret = note_config(&s, e);
	if (!ret && env->own_uids && own_uid_fits(spec->config)) {
		s.uid = own_uid_of(spec->id);
		s.vmm = open(env->vmm, O_PATH | O_CLOEXEC);
		if (s.vmm < 0)
			ret = err_set(e, -errno, "cannot open %s: %s", env->vmm, strerror(errno));
	}
	if (!ret)
		ret = write_config(&s, e);
	if (!ret) {
		*pid = fork();
		if (!*pid)
			child(&s, env);
		if (*pid < 0)
			ret = err_set(e, -errno, "cannot make a process: %s", strerror(errno));
	}
	for (int i = 0; i < FD_COUNT; i++)
		fd_close(&s.fd[i]);
	fd_close(&s.log);
	fd_close(&s.vmm);
	fd_close(&s.run);
	fd_close(&s.state);
	return ret;
}
