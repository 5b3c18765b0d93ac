/* SPDX-License-Identifier: MIT */
/*
 * The runner of this host, see local.h: what the manager asks of it. Processes and what they say
 * are in vmproc.c.
 */
#include "mgr/run/local.h"

#include "base/fd.h"
#include "base/log.h"
#include "mgr/run/place.h"
#include "mgr/run/saved.h"
#include "mgr/run/spawn.h"
#include "mgr/run/vmproc.h"

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

/* @saved: folder of a saved state, or -1. */
static int make_process(struct local *l, const struct run_spec *s, int saved, struct err *e)
{
	struct spawn_env env = {
		.place = &l->place, .vmm = l->vmm, .own_uids = l->cfg.own_uids, .saved = saved
	};
	struct run_spec spec = *s;
	struct proc *p;
	pid_t pid = 0;
	int ret;

	if (proc_find(l, s->id))
		return err_set(e, -EEXIST, "VM '%s' has a process already", s->name);
	p = proc_new(l, s->id, e);
	if (!p)
		return -ENOMEM;
	if (saved >= 0) {
		p->loaded = spec.paused = true;
		p->paused = s->paused;
	}
	ret = spawn_vmm(&env, &spec, &pid, e);
	if (!ret) {
		p->child = true;
		if (l->cfg.made)
			l->cfg.made(l->cfg.ctx, s->id, pid);
		ret = proc_watch(p, pid, e);
		if (!ret)
			ret = proc_connect(p, e);
		/* It has ended already: what it left says why, as soon as its end is seen. */
		if (ret == -ECONNREFUSED && p->pid_watch)
			ret = 0;
		if (ret) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	if (ret)
		proc_free(p);
	return ret;
}

static int local_spawn(struct runner *r, const struct run_spec *s, struct err *e)
{
	return make_process(local_of(r), s, -1, e);
}

static int local_load(struct runner *r, const struct run_spec *s, struct err *e)
{
	struct local *l = local_of(r);
	FD_AUTO saved = saved_open(&l->place, s->id, e);

	int ret = saved < 0 ? saved : saved_check(saved, s->config, e);

	return ret ? ret : make_process(l, s, saved, e);
}

/* It goes on where it was. */
static void not_saved(struct proc *p, const struct err *e)
{
	struct control_request q = { .what = CONTROL_RESUME };

	saved_abort(&p->owner->place, p->id);
	if (p->ran)
		(void)!proc_send(p, &(struct parcel) { .request = &q }, NULL, NULL, NULL);
	p->owner->runner.client.saved(p->owner->runner.client.ctx, p->id, e);
}

static void on_written(void *ctx, const json_t *reply UNUSED, const struct err *e)
{
	struct proc *p = ctx;
	struct err why = { 0 };

	if (!e && saved_commit(&p->owner->place, p->id, &why))
		e = &why;
	if (e) {
		not_saved(p, e);
		return;
	}
	/* Its end is the manager's word that it is saved. */
	p->saved = true;
	if (p->pidfd >= 0)
		pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

static void on_stands(void *ctx, const json_t *reply UNUSED, const struct err *e)
{
	struct control_request q = { .what = CONTROL_SAVE };
	struct proc *p = ctx;
	struct err why = { 0 };
	int fds[CONTROL_SAVE_FDS] = { -1, -1 };
	struct parcel x = { &q, fds, CONTROL_SAVE_FDS };
	int ret;

	p->ran = false;
	/* -EBUSY: it was paused before. */
	if (e && e->code != -EBUSY) {
		not_saved(p, e);
		return;
	}
	p->ran = !e;
	ret = saved_begin(&p->owner->place, p->id, &fds[0], &fds[1], &why);
	if (!ret)
		ret = proc_send(p, &x, on_written, p, &why);
	for (unsigned i = 0; i < CONTROL_SAVE_FDS; i++)
		fd_close(&fds[i]);
	if (ret)
		not_saved(p, &why);
}

static int local_save(struct runner *r, const char *id, struct err *e)
{
	struct control_request q = { .what = CONTROL_PAUSE };
	struct proc *p = proc_find(local_of(r), id);

	return proc_send(p, &(struct parcel) { .request = &q }, on_stands, p, e);
}

static void local_drop(struct runner *r, const char *id)
{
	saved_drop(&local_of(r)->place, id);
}

static bool local_is_saved(struct runner *r, const char *id)
{
	return saved_is_there(&local_of(r)->place, id);
}

/* The process that a VM's folder names, where it is a holm-vmm: a descriptor, or -ESRCH. */
static int noted_process(struct local *l, const char *id, pid_t *pid)
{
	FD_AUTO dir = place_run(&l->place, id);
	FD_AUTO fd = dir < 0 ? -1 : openat(dir, "pid", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FD_AUTO pidfd = -1;
	char text[16] = "";
	long n;

	if (fd < 0 || fd_read_full(fd, text, sizeof(text) - 1) <= 0)
		return -ESRCH;
	n = strtol(text, NULL, 10);
	if (n <= 1 || n > INT_MAX)
		return -ESRCH;
	pidfd = pidfd_open((pid_t)n, 0);
	/* Asked when it can be no other's any more. */
	if (pidfd < 0 || !proc_is_vmm((pid_t)n))
		return -ESRCH;
	*pid = (pid_t)n;
	return fd_take(&pidfd);
}

/* Its end is seen and it can be killed from now on, whether it ever says a word or not. */
static int watch_noted(struct proc *p)
{
	struct err e = { 0 };
	pid_t pid;
	int ret;

	p->pidfd = noted_process(p->owner, p->id, &pid);
	if (p->pidfd < 0) {
		p->pidfd = -1;
		return -ESRCH;
	}
	p->pid = pid;
	ret = loop_fd_add(p->owner->cfg.loop, p->pidfd, EPOLLIN, proc_on_pid, p, &p->pid_watch, &e);
	if (ret)
		log_line(LOG_ERROR, "run", "VM %s: %s", p->id, e.msg);
	return ret;
}

static int local_adopt(struct runner *r, const char *id, struct run_end *end, struct err *e)
{
	struct local *l = local_of(r);
	struct proc *p = proc_new(l, id, e);
	int ret;

	if (!p)
		return -ENOMEM;
	ret = proc_connect(p, e);
	if (!ret) {
		/* None noted: made and not yet there; hello tells. */
		(void)!watch_noted(p);
		return 0;
	}
	/* So many of us have knocked that there is no more room: it lives and does not listen. */
	if (ret == -EAGAIN && !watch_noted(p)) {
		log_line(LOG_WARN, "run", "VM %s: its process does not listen, it is ended", id);
		pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
		return 0;
	}
	proc_free(p);
	if (ret != -ECONNREFUSED && ret != -ENOENT && ret != -EAGAIN)
		return ret;
	*end = (struct run_end) { .end = "killed", .code = 128 + SIGKILL };
	proc_read_end(l, id, end);
	return -ESRCH;
}

static int local_send(struct runner *r, const char *id, const struct control_request *request,
		      runner_reply_fn fn, void *ctx, struct err *e)
{
	struct parcel x = { .request = request };

	return proc_send(proc_find(local_of(r), id), &x, fn, ctx, e);
}

static void local_kill(struct runner *r, const char *id)
{
	struct proc *p = proc_find(local_of(r), id);

	if (p && p->pidfd >= 0)
		pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

/* A process that nobody watches: named by its folder, checked to be what it should be. */
static void kill_stray(struct local *l, const char *id)
{
	FD_AUTO dir = place_run(&l->place, id);
	FD_AUTO sock = -1, pidfd = -1;
	pid_t pid;
	int ret = dir < 0 ? dir : place_connect(dir, "control", &sock, NULL);

	/* Only where something holds the control socket open; its file names the process. */
	if (ret && ret != -EAGAIN)
		return;
	pidfd = noted_process(l, id, &pid);
	if (pidfd >= 0)
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
}

static void local_clean(struct runner *r, const char *id)
{
	struct local *l = local_of(r);

	if (!proc_find(l, id))
		kill_stray(l, id);
	place_remove_run(&l->place, id);
}

static void local_purge(struct runner *r, const char *id)
{
	local_clean(r, id);
	saved_drop(&local_of(r)->place, id);
	place_remove_state(&local_of(r)->place, id);
}

struct sweep {
	struct local *l;
	bool (*known)(void *ctx, const char *id);
	void *ctx;
	unsigned n;
};

static void sweep_one(void *ctx, const char *id)
{
	struct sweep *s = ctx;

	if (s->known(s->ctx, id))
		return;
	local_purge(&s->l->runner, id);
	s->n++;
}

static unsigned local_sweep(struct runner *r, bool (*known)(void *ctx, const char *id), void *ctx)
{
	struct sweep s = { local_of(r), known, ctx, 0 };

	place_each(&s.l->place, sweep_one, &s);
	return s.n;
}

static const struct runner_ops local_ops = {
	.spawn = local_spawn,
	.adopt = local_adopt,
	.send = local_send,
	.save = local_save,
	.load = local_load,
	.drop = local_drop,
	.is_saved = local_is_saved,
	.kill = local_kill,
	.clean = local_clean,
	.purge = local_purge,
	.sweep = local_sweep,
};

int runner_local_create(struct runner **out, const struct runner_local_config *cfg, struct err *e)
{
	struct local *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return err_set(e, -ENOMEM, "no memory for the runner");
	l->runner.ops = &local_ops;
	l->cfg = *cfg;
	l->vmm = strdup(cfg->vmm);
	ret = l->vmm ? place_open(&l->place, cfg->run_dir, cfg->state_dir, e)
		     : err_set(e, -ENOMEM, "no memory for the runner");
	if (ret) {
		free(l->vmm);
		free(l);
		return ret;
	}
	*out = &l->runner;
	return 0;
}

void runner_local_destroy(struct runner *r)
{
	struct local *l;

	if (!r)
		return;
	l = local_of(r);
	while (l->procs) {
		proc_fail_waiting(l->procs);
		proc_free(l->procs);
	}
	place_close(&l->place);
	free(l->vmm);
	free(l);
}

int runner_local_console(struct runner *r, const char *id, int *fd, struct err *e)
{
	FD_AUTO dir = place_run(&local_of(r)->place, id);

	if (dir < 0)
		return err_set(e, -ENOTCONN, "the VM has no process, so no console");
	return place_connect(dir, "console", fd, e);
}

int runner_local_logs(struct runner *r, const char *id, int fd[2], struct err *e)
{
	FD_AUTO dir = place_state(&local_of(r)->place, id);
	struct stat a = { 0 }, b = { 0 };

	if (dir < 0)
		return err_set(e, -ENOENT, "the VM has never run, so there is no log");
	fd[0] = openat(dir, "console.a", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	fd[1] = openat(dir, "console.b", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd[0] >= 0 && fd[1] >= 0 && !fstat(fd[0], &a) && !fstat(fd[1], &b) &&
	    (a.st_mtim.tv_sec > b.st_mtim.tv_sec ||
	     (a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec > b.st_mtim.tv_nsec))) {
		int swap = fd[0];

		fd[0] = fd[1];
		fd[1] = swap;
	}
	return 0;
}
