/* SPDX-License-Identifier: MIT */
/*
 * The control server, see control.h.
 *
 * Invariants: `told` is the state that the peers know; a peer's `waiting` are the ids of pauses
 * and resumes that control_settled() will answer.
 */
#include "vmm/control.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "proto/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITING_MAX 8
/* What a handler returns where control_settled() answers. */
#define LATER 1
/* Where control_saved() does. */
#define AT_ITS_END 2

struct peer {
	struct control *control;
	int fd; /* -1: the slot is free */
	struct loop_fd *watch;
	unsigned n_waiting;
	uint64_t waiting[WAITING_MAX];
};

struct control {
	const struct vm_config *config;
	struct machine *machine;
	const struct metrics *metrics;
	struct loop *loop;
	int listen_fd;
	struct loop_fd *listen_watch;
	uid_t owner;
	pid_t pid;
	uint64_t started_ns;
	enum control_state told;
	struct peer *saver; /* who waits for the end of a save; NULL: nobody */
	uint64_t save_id;
	int given[CONTROL_SAVE_FDS]; /* with the packet that is served; -1: none */
	struct peer peers[CONTROL_PEERS];
	char packet[CONTROL_PACKET_MAX + 1]; /* one byte more shows what is too long */
};

static enum control_state state(const struct control *k)
{
	enum machine_end end = machine_end(k->machine);

	if (end != MACHINE_RUNS && end != MACHINE_RESET)
		return CONTROL_ENDING;
	return machine_paused(k->machine) ? CONTROL_PAUSED : CONTROL_RUNNING;
}

/* --- packets out -------------------------------------------------------------------------------
 */

static void drop(struct peer *p)
{
	loop_fd_del(p->watch);
	p->watch = NULL;
	p->n_waiting = 0;
	if (p->control->saver == p)
		p->control->saver = NULL;
	fd_close(&p->fd);
}

/* seccomp: loop: sendto */
static void send_text(struct peer *p, const char *text)
{
	if (p->fd < 0)
		return;
	if (text && send(p->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return;
	log_line(LOG_WARN, "control", "a manager is cut off: %s",
		 text && errno == EAGAIN ? "it does not read" : strerror(text ? errno : ENOMEM));
	drop(p);
}

static void send_event(struct peer *p, const struct control_event *ev)
{
	MEM_AUTO char *text = control_event_encode(ev);

	send_text(p, text);
}

static void reply_error(struct peer *p, uint64_t id, const struct err *e)
{
	struct control_reply r = { .id = id, .code = e->code };
	MEM_AUTO char *text = NULL;

	snprintf(r.message, sizeof(r.message), "%s", e->msg);
	text = control_reply_encode(&r);
	send_text(p, text);
}

static void reply_ok(struct peer *p, uint64_t id, json_t *ok)
{
	struct control_reply r = { .id = id, .ok = ok };
	MEM_AUTO char *text = control_reply_encode(&r);

	send_text(p, text);
}

static void send_hello(struct peer *p)
{
	const struct control *k = p->control;
	struct control_event ev = {
		.kind = CONTROL_HELLO,
		.version = CONTROL_VERSION,
		.pid = (int)k->pid,
		.state = state(k),
		.started_ns = k->started_ns,
	};
	const char *why;

	snprintf(ev.engine, sizeof(ev.engine), "%s", machine_engine(k->machine, &why));
	snprintf(ev.why, sizeof(ev.why), "%s", why);
	snprintf(ev.vm, sizeof(ev.vm), "%s", k->config->id ? k->config->id : "");
	send_event(p, &ev);
}

/* --- commands; each returns 0 with *@ok perhaps set, LATER, or -errno with a sentence ------------
 */

static int do_pause(struct control *k, const struct control_request *r, json_t **ok, struct err *e)
{
	machine_pause(k->machine);
	return LATER;
}

static int do_resume(struct control *k, const struct control_request *r, json_t **ok, struct err *e)
{
	machine_resume(k->machine);
	return LATER;
}

static int do_shutdown(struct control *k, const struct control_request *r, json_t **ok,
		       struct err *e)
{
	machine_power_button(k->machine);
	return 0;
}

static int do_reset(struct control *k, const struct control_request *r, json_t **ok, struct err *e)
{
	machine_reset(k->machine);
	return 0;
}

static int do_quit(struct control *k, const struct control_request *r, json_t **ok, struct err *e)
{
	machine_request(k->machine, MACHINE_QUIT, 0);
	return 0;
}

static int do_stats(struct control *k, const struct control_request *r, json_t **ok, struct err *e)
{
	json_t *o = metrics_get(k->metrics, k->machine);

	if (!o)
		return err_set(e, -ENOMEM, "no memory for the counters");
	json_object_set_new(o, "balloon", machine_balloon_stats(k->machine));
	/* Room for the reply's own members; the largest machine of today needs two thirds of it. */
	if (json_dumpb(o, NULL, 0, JSON_COMPACT) > CONTROL_PACKET_MAX - 256) {
		json_decref(o);
		return err_set(e, -E2BIG, "the counters are more than a packet holds");
	}
	*ok = o;
	return 0;
}

static int do_balloon(struct control *k, const struct control_request *r, json_t **ok,
		      struct err *e)
{
	return machine_balloon(k->machine, r->target, e);
}

static int forward(struct control *k, const struct control_request *r, bool on, struct err *e)
{
	struct vm_forward f;
	int ret = vm_forward_parse(&f, r->forward, e);

	return ret ? ret : machine_forward(k->machine, &f, on, e);
}

static int do_publish(struct control *k, const struct control_request *r, json_t **ok,
		      struct err *e)
{
	return forward(k, r, true, e);
}

static int do_unpublish(struct control *k, const struct control_request *r, json_t **ok,
			struct err *e)
{
	return forward(k, r, false, e);
}

static int do_limits(struct control *k, const struct control_request *r, json_t **ok, struct err *e)
{
	if (r->io_given)
		machine_limit_io(k->machine, r->io);
	if (r->net_given)
		machine_limit_net(k->machine, r->net);
	return 0;
}

static int do_save(struct control *k, const struct control_request *r, json_t **ok, struct err *e)
{
	int ret;

	if (k->given[0] < 0 || k->given[1] < 0)
		return err_set(e, -EINVAL, "save needs two descriptors, of state and memory");
	ret = machine_save(k->machine, k->given[0], k->given[1], e);
	if (ret)
		return ret;
	k->given[0] = k->given[1] = -1;
	k->save_id = r->id;
	return AT_ITS_END;
}

#define RUNS   (1u << CONTROL_RUNNING)
#define PAUSED (1u << CONTROL_PAUSED)
#define ENDING (1u << CONTROL_ENDING)

static const struct command {
	unsigned states; /* in which it is allowed */
	int (*run)(struct control *k, const struct control_request *r, json_t **ok, struct err *e);
} commands[] = {
	[CONTROL_PAUSE] = { RUNS, do_pause },
	[CONTROL_RESUME] = { PAUSED, do_resume },
	/* Paused, the guest would not see the button. */
	[CONTROL_SHUTDOWN] = { RUNS, do_shutdown },
	[CONTROL_RESET] = { RUNS | PAUSED, do_reset },
	[CONTROL_QUIT] = { RUNS | PAUSED, do_quit },
	[CONTROL_STATS] = { RUNS | PAUSED | ENDING, do_stats },
	[CONTROL_BALLOON] = { RUNS | PAUSED, do_balloon },
	[CONTROL_PUBLISH] = { RUNS | PAUSED, do_publish },
	[CONTROL_UNPUBLISH] = { RUNS | PAUSED, do_unpublish },
	[CONTROL_LIMITS] = { RUNS | PAUSED, do_limits },
	[CONTROL_SAVE] = { PAUSED, do_save },
};
static_assert(ARRAY_SIZE(commands) == CONTROL_DO_COUNT, "a row for each command");

static int run_command(struct peer *p, const struct control_request *r, json_t **ok, struct err *e)
{
	struct control *k = p->control;
	const struct command *c = &commands[r->what];
	enum control_state now = state(k);
	int ret;

	if (!(c->states & 1u << now))
		return err_set(e, -EBUSY, "the VM is %s, which does not allow %s",
			       control_state_name(now), control_do_name(r->what));
	if (p->n_waiting == WAITING_MAX)
		return err_set(e, -EAGAIN, "too many requests at once");
	ret = c->run(k, r, ok, e);
	if (ret == LATER)
		p->waiting[p->n_waiting++] = r->id;
	if (ret == AT_ITS_END)
		k->saver = p;
	return ret;
}

static void serve(struct peer *p, const char *text, size_t len)
{
	struct control_request r;
	struct err e = { 0 };
	json_t *ok = NULL;
	int ret = control_request_decode(&r, text, len, &e);

	if (!ret)
		ret = run_command(p, &r, &ok, &e);
	if (ret < 0)
		reply_error(p, r.id, &e);
	else if (!ret)
		reply_ok(p, r.id, ok);
	json_decref(ok);
}

/* --- peers -------------------------------------------------------------------------------------
 */

/* A packet with what came along; more descriptors than room was made for the kernel closes. */
/* seccomp: loop: recvmsg */
static ssize_t receive(struct control *k, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(k->given))];
	} room;
	struct iovec iov = { .iov_base = k->packet, .iov_len = sizeof(k->packet) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room.bytes,
			    .msg_controllen = sizeof(room.bytes) };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(k->given, CMSG_DATA(c),
			       MIN(c->cmsg_len - CMSG_LEN(0), sizeof(k->given)));
	return n;
}

static void on_packet(void *arg, int fd, uint32_t events UNUSED)
{
	struct peer *p = arg;
	struct control *k = p->control;
	ssize_t n = receive(k, fd);

	if (n > 0)
		serve(p, k->packet, (size_t)n);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		drop(p);
	for (unsigned i = 0; i < CONTROL_SAVE_FDS; i++)
		fd_close(&k->given[i]);
}

/* seccomp: loop: accept4 getsockopt epoll_ctl close */
static void on_connect(void *arg, int listen_fd, uint32_t events UNUSED)
{
	struct control *k = arg;
	FD_AUTO fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *p = NULL;
	struct err e = { 0 };

	if (fd < 0)
		return;
	for (unsigned i = 0; i < CONTROL_PEERS && !p; i++)
		if (k->peers[i].fd < 0)
			p = &k->peers[i];
	if (!fd_peer_is(fd, k->owner))
		err_set(&e, -EACCES, "another user may not");
	else if (!p)
		err_set(&e, -EMFILE, "there are %d already", CONTROL_PEERS);
	else if (!loop_fd_add(k->loop, fd, EPOLLIN, on_packet, p, &p->watch, &e))
		p->fd = fd_take(&fd);
	if (e.code)
		log_line(LOG_WARN, "control", "a manager is not let in: %s", e.msg);
	else
		send_hello(p);
}

void control_settled(struct control *k)
{
	struct control_event ev = { .kind = CONTROL_STATE, .state = state(k) };
	bool changed = ev.state != k->told;

	k->told = ev.state;
	for (unsigned i = 0; i < CONTROL_PEERS; i++) {
		struct peer *p = &k->peers[i];
		unsigned n = p->n_waiting;

		p->n_waiting = 0;
		for (unsigned j = 0; j < n; j++)
			reply_ok(p, p->waiting[j], NULL);
		if (changed && p->fd >= 0)
			send_event(p, &ev);
	}
}

void control_saved(struct control *k, const struct err *e)
{
	struct peer *p = k->saver;

	k->saver = NULL;
	if (p && e)
		reply_error(p, k->save_id, e);
	else if (p)
		reply_ok(p, k->save_id, NULL);
}

void control_end(struct control *k, const char *end, int code)
{
	struct control_event ev = { .kind = CONTROL_END, .code = code };

	snprintf(ev.end, sizeof(ev.end), "%s", end);
	for (unsigned i = 0; i < CONTROL_PEERS; i++)
		if (k->peers[i].fd >= 0)
			send_event(&k->peers[i], &ev);
}

int control_open(struct control **out, const struct vm_config *c, struct machine *m,
		 const struct metrics *x, struct err *e)
{
	struct control *k = calloc(1, sizeof(*k));
	int ret;

	if (!k)
		return err_set(e, -ENOMEM, "no memory for the control socket");
	k->config = c;
	k->machine = m;
	k->metrics = x;
	k->loop = machine_loop(m);
	k->owner = geteuid();
	k->pid = getpid();
	k->started_ns = clock_host.wall_ns(&clock_host);
	k->given[0] = k->given[1] = -1;
	k->told = c->paused ? CONTROL_PAUSED : CONTROL_RUNNING;
	for (unsigned i = 0; i < CONTROL_PEERS; i++)
		k->peers[i] = (struct peer) { .control = k, .fd = -1 };
	ret = fd_set_nonblock(c->control_fd, 1);
	if (ret)
		err_set(e, ret, "the control socket: %s", strerror(-ret));
	loop_lock(k->loop);
	if (!ret)
		ret = loop_fd_add(k->loop, c->control_fd, EPOLLIN, on_connect, k, &k->listen_watch,
				  e);
	loop_unlock(k->loop);
	if (ret) {
		free(k);
		return ret;
	}
	k->listen_fd = c->control_fd;
	*out = k;
	return 0;
}

void control_close(struct control *k)
{
	if (!k)
		return;
	loop_lock(k->loop);
	for (unsigned i = 0; i < CONTROL_PEERS; i++)
		drop(&k->peers[i]);
	loop_fd_del(k->listen_watch);
	loop_unlock(k->loop);
	fd_close(&k->listen_fd);
	free(k);
}
