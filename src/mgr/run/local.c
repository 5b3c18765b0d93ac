/* SPDX-License-Identifier: MIT */
/*
 * The runner of this host, see local.h.
 */
#include "mgr/run/local.h"

#include "base/fd.h"
#include "base/log.h"
#include "mgr/core/record.h"
#include "mgr/run/place.h"
#include "mgr/run/saved.h"
#include "mgr/run/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_MAX       4096 /* bytes of an exit record */
#define PACKETS_MAX    32   /* that are read at once: other VMs wait meanwhile */
#define UNASKED_MAX    64   /* packets a second that nobody asked for */
#define UNANSWERED_MAX 64   /* requests that a process may leave open */

struct request {
	uint64_t id;
	runner_reply_fn fn;
	void *ctx;
	struct request *next;
};

struct proc {
	struct local *owner;
	char id[17];
	pid_t pid;
	bool child; /* ours to reap */
	int pidfd, sock;
	struct loop_fd *pid_watch, *sock_watch;
	struct request *waiting; /* oldest first */
	unsigned n_waiting;
	bool greeted; /* it has said hello on this connection */
	bool saved;   /* its state is whole on disk: it has nothing more to say */
	bool loaded;  /* made from saved state, and has not run yet */
	bool paused;  /* of a loaded one: it is to stay so */
	/* A process taken over by its guest may say anything, as fast as it can. */
	struct loop_timer rest; /* armed: it is not listened to until then */
	uint64_t window_ns;	/* the second that @unasked counts in */
	unsigned unasked;
	struct log_limit limit;
	struct proc *next;
};

struct local {
	struct runner runner; /* must be first */
	struct runner_local_config cfg;
	char *vmm;
	struct place place;
	struct proc *procs;
	uint64_t next_id;
	char end_text[EXIT_MAX]; /* what run_end's strings of adopt() point into */
	char end_word[32];
};

static struct local *local_of(struct runner *r)
{
	return CONTAINER_OF(r, struct local, runner);
}

static struct proc *find(struct local *l, const char *id)
{
	struct proc *p = l->procs;

	while (p && strcmp(p->id, id) != 0)
		p = p->next;
	return p;
}

static void fail_waiting(struct proc *p)
{
	struct err e = { 0 };

	err_set(&e, -ENOTCONN, "the VM's process has gone");
	while (p->waiting) {
		struct request *q = p->waiting;

		p->waiting = q->next;
		p->n_waiting--;
		if (q->fn)
			q->fn(q->ctx, NULL, &e);
		free(q);
	}
}

static void proc_free(struct proc *p)
{
	struct proc **at = &p->owner->procs;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	loop_timer_disarm(&p->rest);
	loop_fd_del(p->pid_watch);
	loop_fd_del(p->sock_watch);
	fd_close(&p->pidfd);
	fd_close(&p->sock);
	free(p);
}

/* It is heard again. */
static void on_rested(void *arg)
{
	struct proc *p = arg;

	if (p->sock_watch)
		loop_fd_mod(p->sock_watch, EPOLLIN);
}

static struct proc *proc_new(struct local *l, const char *id, struct err *e)
{
	struct proc *p = calloc(1, sizeof(*p));

	if (!p) {
		err_set(e, -ENOMEM, "no memory for the VM's process");
		return NULL;
	}
	p->owner = l;
	p->pidfd = p->sock = -1;
	loop_timer_init(&p->rest, l->cfg.loop, on_rested, p);
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->next = l->procs;
	l->procs = p;
	return p;
}

/* What the process left in its exit record, over what @end has; strings last as @l's buffers. */
static void read_end(struct local *l, const char *id, struct run_end *end)
{
	FD_AUTO dir = place_run(&l->place, id);
	FD_AUTO fd = dir < 0 ? -1 : openat(dir, "exit", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, l->end_text, sizeof(l->end_text) - 1);
	const char *word, *message;
	json_t *o;

	if (n <= 0)
		return;
	o = json_loadb(l->end_text, (size_t)n, 0, NULL);
	word = json_string_value(json_object_get(o, "end"));
	message = json_string_value(json_object_get(o, "message"));
	if (word) {
		record_text(l->end_word, sizeof(l->end_word), word);
		record_text(l->end_text, sizeof(l->end_text), message ? message : "");
		end->end = l->end_word;
		end->message = message ? l->end_text : NULL;
		end->code = (int)json_integer_value(json_object_get(o, "code"));
	}
	json_decref(o);
}

/* The process has ended: say so once everything of it is let go. */
static void proc_ended(struct proc *p, int status)
{
	struct local *l = p->owner;
	struct run_end end = { .end = "killed", .code = 128 + SIGKILL };
	bool saved = p->saved;
	char id[17];

	memcpy(id, p->id, sizeof(id));
	if (WIFSIGNALED(status))
		end.code = 128 + WTERMSIG(status);
	else if (p->child && WIFEXITED(status))
		end.code = WEXITSTATUS(status);
	read_end(l, id, &end);
	fail_waiting(p);
	proc_free(p);
	if (saved)
		l->runner.client.saved(l->runner.client.ctx, id, NULL);
	else
		l->runner.client.ended(l->runner.client.ctx, id, &end);
}

static void on_pid(void *arg, int fd UNUSED, uint32_t events UNUSED)
{
	struct proc *p = arg;
	int status = 0;

	/* -1: somebody else has reaped it; it is gone all the same. */
	if (p->child && !waitpid(p->pid, &status, WNOHANG))
		return;
	proc_ended(p, status);
}

static int watch_pid(struct proc *p, pid_t pid, struct err *e)
{
	p->pid = pid;
	p->pidfd = pidfd_open(pid, 0);
	if (p->pidfd < 0)
		return err_set(e, -errno, "cannot watch process %d: %s", (int)pid, strerror(errno));
	return loop_fd_add(p->owner->cfg.loop, p->pidfd, EPOLLIN, on_pid, p, &p->pid_watch, e);
}

/* A pid that the kernel vouched for, of a process that is a holm-vmm. */
static bool is_vmm(pid_t pid)
{
	char link[64], path[4096];
	ssize_t n;
	char *slash;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	return slash && !strncmp(slash + 1, "holm-vmm", 8);
}

struct parcel {
	const struct control_request *request;
	const int *fds; /* that go with it */
	unsigned n_fds;
};

static ssize_t send_packet(int sock, const char *text, const struct parcel *x)
{
	char room[CMSG_SPACE(CONTROL_SAVE_FDS * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (x->n_fds) {
		size_t len = x->n_fds * sizeof(int);
		struct cmsghdr *c;

		h.msg_control = room;
		h.msg_controllen = CMSG_SPACE(len);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(c), x->fds, len);
	}
	return sendmsg(sock, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_request(struct proc *p, const struct parcel *x, runner_reply_fn fn, void *ctx,
			struct err *e)
{
	struct control_request q = *x->request;
	struct request *w, **last;
	MEM_AUTO char *text = NULL;

	if (!p || p->sock < 0)
		return err_set(e, -ENOTCONN, "the VM's process cannot be reached");
	if (p->n_waiting >= UNANSWERED_MAX)
		return err_set(e, -ETIMEDOUT,
			       "the VM's process does not answer: %u requests are "
			       "open",
			       p->n_waiting);
	q.id = ++p->owner->next_id;
	text = control_request_encode(&q);
	w = calloc(1, sizeof(*w));
	if (!text || !w) {
		free(w);
		return err_set(e, -ENOMEM, "no memory for a request");
	}
	if (send_packet(p->sock, text, x) < 0) {
		free(w);
		return err_set(e, -errno, "the VM's process does not listen: %s", strerror(errno));
	}
	*w = (struct request) { .id = q.id, .fn = fn, .ctx = ctx };
	for (last = &p->waiting; *last; last = &(*last)->next)
		;
	*last = w;
	p->n_waiting++;
	return 0;
}

/* A VM from saved state stands until that is gone from the disk: it fits its disks no more. */
static void let_go(struct proc *p)
{
	struct control_request q = { .what = CONTROL_RESUME };
	struct err e = { 0 };

	p->loaded = false;
	saved_drop(&p->owner->place, p->id);
	if (!p->paused && send_request(p, &(struct parcel) { .request = &q }, NULL, NULL, &e))
		log_line(LOG_WARN, "run", "VM %s: %s", p->id, e.msg);
}

static void on_hello(struct proc *p, const struct control_event *ev, pid_t pid)
{
	struct local *l = p->owner;
	struct run_hello h = { .pid = pid,
			       .paused = ev->state == CONTROL_PAUSED,
			       .engine = ev->engine,
			       .why = ev->why,
			       .started_ns = ev->started_ns };
	struct err e = { 0 };

	if (p->greeted)
		return;
	if (strcmp(ev->vm, p->id) != 0 || (p->pid && p->pid != pid) || !is_vmm(pid)) {
		log_guest(&p->limit, "run", "VM %s: its process is not what it says", p->id);
		return;
	}
	if (p->pidfd < 0 && watch_pid(p, pid, &e)) {
		log_line(LOG_ERROR, "run", "VM %s: %s", p->id, e.msg);
		return;
	}
	p->greeted = true;
	if (p->loaded) {
		h.paused = p->paused;
		let_go(p);
	}
	l->runner.client.hello(l->runner.client.ctx, p->id, &h);
}

static void on_event(struct proc *p, const struct control_event *ev, pid_t pid)
{
	struct local *l = p->owner;

	if (ev->kind == CONTROL_HELLO)
		on_hello(p, ev, pid);
	else if (ev->kind == CONTROL_STATE && ev->state != CONTROL_ENDING)
		l->runner.client.state(l->runner.client.ctx, p->id, ev->state == CONTROL_PAUSED);
}

/* False: nobody asked for it. */
static bool on_reply(struct proc *p, const struct control_reply *reply)
{
	struct request **at = &p->waiting, *q;
	struct err e = { 0 };

	while (*at && (*at)->id != reply->id)
		at = &(*at)->next;
	q = *at;
	if (!q)
		return false;
	*at = q->next;
	p->n_waiting--;
	if (reply->code)
		err_set(&e, reply->code, "%s", reply->message);
	if (q->fn)
		q->fn(q->ctx, reply->code ? NULL : reply->ok, reply->code ? &e : NULL);
	free(q);
	return true;
}

/* The pid the kernel put beside a packet, or 0. */
static pid_t sender_of(struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred cred;

			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			return cred.pid;
		}
	return 0;
}

static void drop_socket(struct proc *p)
{
	loop_fd_del(p->sock_watch);
	p->sock_watch = NULL;
	fd_close(&p->sock);
	fail_waiting(p);
	/* Without a pid there is nobody else to tell of its end. */
	if (p->pidfd < 0)
		proc_ended(p, 0);
}

/*
 * One packet that nobody asked for. What it leads to costs a write to the store, so their number
 * is bounded: beyond it the process is not listened to until the second is over, and its words
 * wait in its socket.
 */
static void count_unasked(struct proc *p)
{
	const struct clock *c = loop_clock(p->owner->cfg.loop);
	uint64_t now = c->mono_ns(c);

	if (loop_timer_armed(&p->rest))
		return;
	if (now - p->window_ns >= CLOCK_NS_PER_SEC) {
		p->window_ns = now;
		p->unasked = 0;
	}
	if (++p->unasked < UNASKED_MAX)
		return;
	log_guest(&p->limit, "run", "VM %s: its process talks too much", p->id);
	loop_fd_mod(p->sock_watch, 0);
	loop_timer_arm(&p->rest, p->window_ns + CLOCK_NS_PER_SEC);
}

static void on_packet(struct proc *p, const char *text, size_t len, pid_t pid)
{
	struct local *l = p->owner;
	struct control_message msg;
	struct err e = { 0 };
	char id[17];

	if (control_message_decode(&msg, text, len, &e)) {
		log_guest(&p->limit, "run", "VM %s: %s", p->id, e.msg);
		count_unasked(p);
		return;
	}
	memcpy(id, p->id, sizeof(id));
	if (!msg.is_event) {
		if (!on_reply(p, &msg.reply) && find(l, id) == p && p->sock >= 0)
			count_unasked(p);
	} else if (!loop_timer_armed(&p->rest)) {
		on_event(p, &msg.event, pid);
		/* What it led to may have ended the process's struct. */
		if (find(l, id) == p && p->sock >= 0)
			count_unasked(p);
	}
	control_message_free(&msg);
}

static void on_socket(void *arg, int fd, uint32_t events)
{
	struct proc *p = arg;
	struct local *l = p->owner;
	MEM_AUTO char *buf = malloc(CONTROL_PACKET_MAX);
	char id[17], control[CMSG_SPACE(sizeof(struct ucred))];

	memcpy(id, p->id, sizeof(id));
	/* What a packet leads to may end the process's struct. The loop comes back for the rest. */
	for (unsigned n_read = 0; buf && n_read < PACKETS_MAX && find(l, id) == p && p->sock == fd;
	     n_read++) {
		struct iovec iov = { buf, CONTROL_PACKET_MAX };
		struct msghdr h = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t n;

		/* A hang-up is told whether one listens or not: then read to the end. */
		if (loop_timer_armed(&p->rest) && !(events & (EPOLLHUP | EPOLLERR)))
			return;
		n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			drop_socket(p);
			return;
		}
		on_packet(p, buf, (size_t)n, sender_of(&h));
	}
}

static int connect_control(struct proc *p, struct err *e)
{
	struct local *l = p->owner;
	FD_AUTO dir = place_run(&l->place, p->id);
	int ret;

	if (dir < 0)
		return err_set(e, dir, "cannot open the folder of VM %s: %s", p->id,
			       strerror(-dir));
	ret = place_connect(dir, "control", &p->sock, e);
	if (ret)
		return ret;
	return loop_fd_add(l->cfg.loop, p->sock, EPOLLIN, on_socket, p, &p->sock_watch, e);
}

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

	if (find(l, s->id))
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
		ret = watch_pid(p, pid, e);
		if (!ret)
			ret = connect_control(p, e);
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

	return saved < 0 ? saved : make_process(l, s, saved, e);
}

static void not_saved(struct proc *p, const struct err *e)
{
	p->owner->runner.client.saved(p->owner->runner.client.ctx, p->id, e);
}

static void on_written(void *ctx, const json_t *reply UNUSED, const struct err *e)
{
	struct proc *p = ctx;
	struct err why = { 0 };

	if (!e && saved_commit(&p->owner->place, p->id, &why))
		e = &why;
	if (e) {
		saved_drop(&p->owner->place, p->id);
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

	/* -EBUSY: it was paused before. */
	if (e && e->code != -EBUSY) {
		not_saved(p, e);
		return;
	}
	ret = saved_begin(&p->owner->place, p->id, &fds[0], &fds[1], &why);
	if (!ret)
		ret = send_request(p, &x, on_written, p, &why);
	for (unsigned i = 0; i < CONTROL_SAVE_FDS; i++)
		fd_close(&fds[i]);
	if (ret)
		not_saved(p, &why);
}

static int local_save(struct runner *r, const char *id, struct err *e)
{
	struct control_request q = { .what = CONTROL_PAUSE };
	struct proc *p = find(local_of(r), id);

	return send_request(p, &(struct parcel) { .request = &q }, on_stands, p, e);
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
	if (pidfd < 0 || !is_vmm((pid_t)n))
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
	ret = loop_fd_add(p->owner->cfg.loop, p->pidfd, EPOLLIN, on_pid, p, &p->pid_watch, &e);
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
	ret = connect_control(p, e);
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
	read_end(l, id, end);
	return -ESRCH;
}

static int local_send(struct runner *r, const char *id, const struct control_request *request,
		      runner_reply_fn fn, void *ctx, struct err *e)
{
	struct parcel x = { .request = request };

	return send_request(find(local_of(r), id), &x, fn, ctx, e);
}

static void local_kill(struct runner *r, const char *id)
{
	struct proc *p = find(local_of(r), id);

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

	if (!find(l, id))
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
		fail_waiting(l->procs);
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
