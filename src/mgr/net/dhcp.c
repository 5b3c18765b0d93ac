/* SPDX-License-Identifier: MIT */
/*
 * dnsmasq's life, see dhcp.h; its files are written by dhcp_text.c.
 */
#include "mgr/net/dhcp.h"

#include "base/fd.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_NS (100 * CLOCK_NS_PER_MS)
#define BACKOFF_MAX_NS (30 * CLOCK_NS_PER_SEC)
#define STEADY_NS      (60 * CLOCK_NS_PER_SEC) /* lived so long: the next death is a first one */
#define CMDLINE_MAX    4096
#define CONF_OPTION    "--conf-file="

struct dhcp {
	struct loop *loop;
	char *program, *dir, *conf; /* conf: the option with our path */
	char label[VM_NAME_MAX + 1];
	int dirfd;
	pid_t pid;
	int pidfd; /* -1 while there is none */
	struct loop_fd *watch;
	struct loop_timer retry;
	uint64_t started_ns, backoff_ns;
};

/* Whether the process @pid is a dnsmasq with the option @conf, or, @prefix, one that begins so. */
static bool is_ours(pid_t pid, const char *conf, bool prefix, char *found, size_t room)
{
	char path[64], buf[CMDLINE_MAX + 1];
	FD_AUTO fd = -1;
	const char *base;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : fd_read_full(fd, buf, CMDLINE_MAX);
	if (n <= 0)
		return false;
	buf[n] = 0;
	base = strrchr(buf, '/');
	if (strcmp(base ? base + 1 : buf, "dnsmasq") != 0)
		return false;
	for (const char *a = buf; a < buf + n; a += strlen(a) + 1)
		if (prefix ? !strncmp(a, conf, strlen(conf)) : !strcmp(a, conf)) {
			if (found)
				snprintf(found, room, "%s", a + strlen(conf));
			return true;
		}
	return false;
}

/* Whether @pid runs the very file that we would start. */
static bool same_program(pid_t pid, const char *program)
{
	struct stat a, b;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return stat(path, &a) == 0 && stat(program, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

typedef void (*found_fn)(void *ctx, pid_t pid, const char *rest);

static void each_process(const char *conf, bool prefix, found_fn fn, void *ctx)
{
	char rest[PATH_MAX];
	DIR *d = opendir("/proc");
	const struct dirent *ent;

	if (!d)
		return;
	while ((ent = readdir(d))) {
		char *end;
		long pid = strtol(ent->d_name, &end, 10);

		if (!*end && pid > 0 && is_ours((pid_t)pid, conf, prefix, rest, sizeof(rest)))
			fn(ctx, (pid_t)pid, rest);
	}
	closedir(d);
}

static void retry_later(struct dhcp *d);

static void watch_drop(struct dhcp *d)
{
	loop_fd_del(d->watch);
	d->watch = NULL;
	fd_close(&d->pidfd);
	d->pid = 0;
}

static void on_death(void *arg, int fd, uint32_t events UNUSED)
{
	struct dhcp *d = arg;
	siginfo_t si = { 0 };

	/* ECHILD of one that is adopted, whose end only init hears. */
	if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) == 0 && si.si_pid)
		log_line(LOG_WARN, "net", "dnsmasq of network %s ended with %s %d, see %s/stderr",
			 d->label, si.si_code == CLD_EXITED ? "status" : "signal", si.si_status,
			 d->dir);
	else
		log_line(LOG_WARN, "net", "dnsmasq of network %s ended", d->label);
	watch_drop(d);
	retry_later(d);
}

static int watch_add(struct dhcp *d, pid_t pid, struct err *e)
{
	int ret;

	d->pidfd = pidfd_open(pid, 0);
	if (d->pidfd < 0)
		return err_set(e, -errno, "cannot watch dnsmasq of network %s: %s", d->label,
			       strerror(errno));
	ret = loop_fd_add(d->loop, d->pidfd, EPOLLIN, on_death, d, &d->watch, e);
	if (ret) {
		fd_close(&d->pidfd);
		return ret;
	}
	d->pid = pid;
	d->started_ns = clock_monotonic_ns();
	return 0;
}

/* In the child: nothing but system calls from here on. */
static NORETURN void child(const struct dhcp *d, int null, int errors)
{
	char *const argv[] = { d->program, (char *)(uintptr_t) "--keep-in-foreground", d->conf,
			       NULL };
	char *const env[] = { (char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	sigset_t none;

	sigemptyset(&none);
	/*
	 * Its default would be to die of a SIGHUP that comes before dnsmasq has its handler; until
	 * then it has read nothing, so there is nothing to tell it.
	 */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(errors, 2) < 0)
		_exit(127);
	close_range(3, ~0u, 0);
	execve(d->program, argv, env);
	_exit(127);
}

static int spawn(struct dhcp *d, struct err *e)
{
	FD_AUTO null = open("/dev/null", O_RDWR | O_CLOEXEC);
	FD_AUTO errors = openat(d->dirfd, "stderr",
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	pid_t pid = -1;
	int ret;

	if (null >= 0 && errors >= 0)
		pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "cannot start %s for network %s: %s", d->program,
			       d->label, strerror(errno));
	if (pid == 0)
		child(d, null, errors);
	ret = watch_add(d, pid, e);
	if (ret) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ret;
}

struct adoption {
	struct dhcp *d;
	bool want; /* one may be kept */
};

static void adopt_or_end(void *ctx, pid_t pid, const char *rest UNUSED)
{
	struct adoption *a = ctx;

	if (a->want && !a->d->watch && same_program(pid, a->d->program) &&
	    !watch_add(a->d, pid, NULL)) {
		log_line(LOG_INFO, "net", "network %s keeps its dnsmasq, process %d", a->d->label,
			 (int)pid);
		return;
	}
	kill(pid, SIGKILL);
}

static void on_retry(void *arg)
{
	struct dhcp *d = arg;
	struct adoption a = { .d = d };
	struct err e;

	each_process(d->conf, false, adopt_or_end, &a);
	if (!spawn(d, &e))
		return;
	log_line(LOG_WARN, "net", "%s", e.msg);
	retry_later(d);
}

static void retry_later(struct dhcp *d)
{
	const struct clock *c = loop_clock(d->loop);

	if (clock_monotonic_ns() - d->started_ns > STEADY_NS)
		d->backoff_ns = 0;
	d->backoff_ns = d->backoff_ns ? MIN(d->backoff_ns * 2, BACKOFF_MAX_NS) : BACKOFF_MIN_NS;
	loop_timer_arm(&d->retry, c->mono_ns(c) + d->backoff_ns);
}

/* Write @text where the file has another; *@changed says so. Takes @text. */
static int put_file(struct dhcp *d, const char *file, char *text, bool *changed, struct err *e)
{
	MEM_AUTO char *own = text, *old = NULL;
	FD_AUTO fd = -1;
	size_t len;
	ssize_t n = -1;

	if (!own)
		return err_set(e, -ENOMEM, "no memory for the names of network %s", d->label);
	len = strlen(own);
	old = malloc(len + 1);
	fd = openat(d->dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && old)
		n = fd_read_full(fd, old, len + 1);
	if (n >= 0 && (size_t)n == len && !memcmp(old, own, len))
		return 0;
	*changed = true;
	return net_file_replace(d->dirfd, file, own, len, 0644, false, e);
}

static int put_tables(struct dhcp *d, const struct leases *t, bool *changed, struct err *e)
{
	int ret = put_file(d, "hosts", dhcp_hosts_text(t), changed, e);

	return ret ? ret : put_file(d, "names", dhcp_names_text(t), changed, e);
}

static void destroy(struct dhcp *d)
{
	loop_timer_disarm(&d->retry);
	watch_drop(d);
	fd_close(&d->dirfd);
	free(d->conf);
	free(d->dir);
	free(d->program);
	free(d);
}

static int create(struct dhcp **out, const struct dhcp_params *p, struct err *e)
{
	struct dhcp *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return err_set(e, -ENOMEM, "no memory for network %s", p->net->name);
	d->loop = p->loop;
	d->pidfd = -1;
	loop_timer_init(&d->retry, p->loop, on_retry, d);
	snprintf(d->label, sizeof(d->label), "%s", p->net->name);
	d->program = strdup(p->program);
	d->dir = strdup(p->dir);
	if (asprintf(&d->conf, CONF_OPTION "%s/dnsmasq.conf", p->dir) < 0)
		d->conf = NULL;
	d->dirfd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	ret = d->dirfd < 0 ? -errno : !d->program || !d->dir || !d->conf ? -ENOMEM : 0;
	if (ret) {
		destroy(d);
		return err_set(e, ret, "cannot use %s for dnsmasq: %s", p->dir, strerror(-ret));
	}
	*out = d;
	return 0;
}

int dhcp_start(struct dhcp **out, const struct dhcp_params *p, struct err *e)
{
	bool changed = false, tables = false;
	struct adoption a = { .want = true };
	struct dhcp *d = NULL;
	int ret = create(&d, p, e);

	if (ret)
		return ret;
	ret = put_file(d, "dnsmasq.conf", dhcp_config_text(p), &changed, e);
	if (!ret)
		ret = put_tables(d, p->leases, &tables, e);
	if (ret)
		goto fail;
	a.d = d;
	a.want = !changed;
	each_process(d->conf, false, adopt_or_end, &a);
	if (!d->watch)
		ret = spawn(d, e);
	else if (tables)
		kill(d->pid, SIGHUP);
	if (ret)
		goto fail;
	*out = d;
	return 0;

fail:
	destroy(d);
	return ret;
}

int dhcp_update(struct dhcp *d, const struct leases *t, struct err *e)
{
	bool changed = false;
	int ret = put_tables(d, t, &changed, e);

	/* The pidfd, not the number: that could be another's by now. */
	if (changed && d->pidfd >= 0 && pidfd_send_signal(d->pidfd, SIGHUP, NULL, 0) < 0 &&
	    errno != ESRCH)
		log_line(LOG_WARN, "net", "cannot tell dnsmasq of network %s: %s", d->label,
			 strerror(errno));
	return ret;
}

void dhcp_stop(struct dhcp *d)
{
	if (!d)
		return;
	if (d->pidfd >= 0) {
		siginfo_t si;

		/* It has nothing to lose, and a killed process ends within microseconds. */
		pidfd_send_signal(d->pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)d->pidfd, &si, WEXITED);
	}
	destroy(d);
}

void dhcp_leave(struct dhcp *d)
{
	if (d)
		destroy(d);
}

pid_t dhcp_pid(const struct dhcp *d)
{
	return d->pid;
}

struct sweep {
	bool (*keep)(void *ctx, const char *name);
	void *ctx;
	int ended;
};

static void sweep_one(void *ctx, pid_t pid, const char *rest)
{
	struct sweep *s = ctx;
	char name[NET_ID_LEN + 1];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(rest, "/"), rest);
	if (s->keep(s->ctx, name))
		return;
	log_line(LOG_INFO, "net", "ending an orphaned dnsmasq, process %d", (int)pid);
	kill(pid, SIGKILL);
	s->ended++;
}

int dhcp_sweep(const char *run_dir, bool (*keep)(void *ctx, const char *name), void *ctx)
{
	struct sweep s = { .keep = keep, .ctx = ctx };
	MEM_AUTO char *prefix = NULL;

	if (asprintf(&prefix, CONF_OPTION "%s/", run_dir) < 0) {
		prefix = NULL;
		return 0;
	}
	each_process(prefix, true, sweep_one, &s);
	return s.ended;
}
