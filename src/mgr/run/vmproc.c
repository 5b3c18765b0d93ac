/* SPDX-License-Identifier: MIT */
/*
 * A VM's process, see vmproc.h.
 */
#include "mgr/run/vmproc.h"

#include "base/fd.h"
#include "mgr/core/record.h"
#include "mgr/run/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKETS_MAX    32 /* that are read at once: other VMs wait meanwhile */
#define UNASKED_MAX    64 /* packets a second that nobody asked for */
#define UNANSWERED_MAX 64 /* requests that a process may leave open */

struct proc *proc_find(struct local *l, const char *id)
{
	struct proc *p = l->procs;

	while (p && strcmp(p->id, id) != 0)
		p = p->next;
	return p;
}

void proc_fail_waiting(struct proc *p)
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

void proc_free(struct proc *p)
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

struct proc *proc_new(struct local *l, const char *id, struct err *e)
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

void proc_read_end(struct local *l, const char *id, struct run_end *end)
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
	proc_read_end(l, id, &end);
	proc_fail_waiting(p);
	proc_free(p);
	if (saved)
		l->runner.client.saved(l->runner.client.ctx, id, NULL);
	else
		l->runner.client.ended(l->runner.client.ctx, id, &end);
}

void proc_on_pid(void *arg, int fd UNUSED, uint32_t events UNUSED)
{
	struct proc *p = arg;
	int status = 0;

	/* -1: somebody else has reaped it; it is gone all the same. */
	if (p->child && !waitpid(p->pid, &status, WNOHANG))
		return;
	proc_ended(p, status);
}

int proc_watch(struct proc *p, pid_t pid, struct err *e)
{
	p->pid = pid;
	p->pidfd = pidfd_open(pid, 0);
	if (p->pidfd < 0)
		return err_set(e, -errno, "cannot watch process %d: %s", (int)pid, strerror(errno));
	return loop_fd_add(p->owner->cfg.loop, p->pidfd, EPOLLIN, proc_on_pid, p, &p->pid_watch, e);
}

bool proc_is_vmm(pid_t pid)
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

int proc_send(struct proc *p, const struct parcel *x, runner_reply_fn fn, void *ctx, struct err *e)
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
	if (!p->paused && proc_send(p, &(struct parcel) { .request = &q }, NULL, NULL, &e))
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
	if (strcmp(ev->vm, p->id) != 0 || (p->pid && p->pid != pid) || !proc_is_vmm(pid)) {
		log_guest(&p->limit, "run", "VM %s: its process is not what it says", p->id);
		return;
	}
	if (p->pidfd < 0 && proc_watch(p, pid, &e)) {
		log_line(LOG_ERROR, "run", "VM %s: %s", p->id, e.msg);
		return;
	}
	p->greeted = true;
	if (p->loaded)
		h.paused = p->paused;
	/* The record says that it runs before it does. */
	l->runner.client.hello(l->runner.client.ctx, p->id, &h);
	if (p->loaded)
		let_go(p);
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
	proc_fail_waiting(p);
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
		if (!on_reply(p, &msg.reply) && proc_find(l, id) == p && p->sock >= 0)
			count_unasked(p);
	} else if (!loop_timer_armed(&p->rest)) {
		on_event(p, &msg.event, pid);
		/* What it led to may have ended the process's struct. */
		if (proc_find(l, id) == p && p->sock >= 0)
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
	for (unsigned n_read = 0;
	     buf && n_read < PACKETS_MAX && proc_find(l, id) == p && p->sock == fd; n_read++) {
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

int proc_connect(struct proc *p, struct err *e)
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
