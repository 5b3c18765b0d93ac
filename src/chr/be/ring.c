/* SPDX-License-Identifier: MIT */
/*
 * The manager's console: a ring of the last bytes, served to several clients, and a bounded log.
 *
 * Theory of operation: what the guest writes goes into the ring, whatever the thread; pump(), on
 * the loop's thread, brings it from there into the log and to the clients, each of which has its
 * own position. So bytes that come close together go out together, and a vCPU's thread touches no
 * socket and no file. The guest waits for nobody: a client that is a whole ring behind is cut off.
 * The ring takes new bytes only as far as the old ones are in the log; meanwhile the core keeps
 * them.
 *
 * Clients connect to a listening SOCK_SEQPACKET socket. The first packet is one line of text:
 *
 *   read [replay]             see what the guest writes
 *   write [replay] [force]    see it, and type
 *
 * with `replay`, the ring's content comes first. The answer is "ok\n", then raw bytes in packets of
 * at most CHR_RING_PACKET, in both directions; or "error SENTENCE\n" and the end. There is one
 * writer; `force` takes its place, and it reads a last line that says so. Only root and the owner
 * of this process are served.
 *
 * The log is two files in turn: when the present one is full, the other is emptied and becomes the
 * present one. So there are always the last CHR_RING_LOG_HALF bytes at least, and never twice that.
 *
 * Invariants: `logged` <= `total` <= logged + CHR_BUFFER; a client's `at` is below total -
 * CHR_BUFFER only until pump() cuts it off.
 *
 * Limits: a log that cannot be written (disk full) loses those bytes; that is logged once.
 */
#include "base/fd.h"
#include "base/log.h"
#include "chr/be/backends.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELLO_MAX 64
/* Some more than are served, for those that have not said yet what they want. */
#define CLIENTS_MAX (CHR_RING_READERS + 4)

enum mode { MODE_NEW, MODE_READ, MODE_WRITE };

struct client {
	struct ring *ring;
	struct loop_fd *watch; /* NULL: the slot is free, or a writer that has hung up */
	int fd;		       /* -1: the slot is free */
	enum mode mode;
	uint64_t at;	   /* the next byte it gets */
	uint64_t accepted; /* counts up */
};

struct ring {
	struct chr_backend base;
	struct loop *loop;
	int listen_fd;
	struct loop_fd *listen_watch;
	struct loop_call pump;
	uid_t owner;
	bool rx_on, want_write;
	struct client clients[CLIENTS_MAX];
	uint64_t accepted;
	struct client *writer;	/* NULL: none */
	uint64_t total, logged; /* bytes since the start */
	int log_fd[2];
	unsigned log_now;  /* which of them */
	uint64_t log_size; /* its size */
	bool log_failed;
	size_t in_at, in_len;
	uint8_t in[CHR_RING_PACKET]; /* of the writer */
	uint8_t bytes[CHR_BUFFER];   /* byte number n is at n % CHR_BUFFER */
};

static_assert(!(CHR_BUFFER & (CHR_BUFFER - 1)), "positions wrap together");

/* --- the log -----------------------------------------------------------------------------------
 */

/* seccomp: loop: pwrite64 ftruncate */
static int log_piece(struct ring *r, const uint8_t *p, size_t len)
{
	ssize_t n;

	if (r->log_size >= CHR_RING_LOG_HALF) {
		if (ftruncate(r->log_fd[!r->log_now], 0) < 0)
			return -errno;
		r->log_now = !r->log_now;
		r->log_size = 0;
	}
	len = MIN(len, (size_t)(CHR_RING_LOG_HALF - r->log_size));
	do
		n = pwrite(r->log_fd[r->log_now], p, len, (off_t)r->log_size);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -EIO;
	r->log_size += (uint64_t)n;
	return (int)n;
}

static void log_pump(struct ring *r)
{
	while (r->logged < r->total) {
		size_t at = r->logged % CHR_BUFFER;
		size_t len = (size_t)MIN(r->total - r->logged, (uint64_t)CHR_BUFFER - at);
		int n = r->log_fd[0] < 0 ? (int)len : log_piece(r, r->bytes + at, len);

		if (n < 0) {
			if (!r->log_failed)
				log_line(LOG_WARN, "console",
					 "cannot write the log: %s; console output is missing "
					 "there",
					 strerror(-n));
			r->log_failed = true;
			r->logged = r->total;
			return;
		}
		r->log_failed = false;
		r->logged += (uint64_t)n;
	}
}

static bool newer(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	if (a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
	/* Changed in one tick of the clock: then one was filled and the other begun. */
	return b->st_size >= (off_t)CHR_RING_LOG_HALF ? true : a->st_size > b->st_size;
}

static int log_open(struct ring *r, const struct chr_ring_config *cfg, struct err *e)
{
	struct stat st[2];

	r->log_fd[0] = r->log_fd[1] = -1;
	if (cfg->log_fd[0] < 0)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		if (fstat(cfg->log_fd[i], &st[i]) < 0)
			return err_set(e, -errno, "cannot look at the console's log: %s",
				       strerror(errno));
		if (!S_ISREG(st[i].st_mode))
			return err_set(e, -EINVAL, "the console's log is no regular file");
	}
	r->log_fd[0] = cfg->log_fd[0];
	r->log_fd[1] = cfg->log_fd[1];
	r->log_now = newer(&st[1], &st[0]);
	r->log_size = (uint64_t)st[r->log_now].st_size;
	return 0;
}

/* --- clients -----------------------------------------------------------------------------------
 */

static void drop(struct client *c)
{
	struct ring *r = c->ring;

	if (r->writer == c) {
		r->writer = NULL;
		r->in_at = r->in_len = 0;
	}
	loop_fd_del(c->watch);
	c->watch = NULL;
	fd_close(&c->fd);
}

static void update(struct client *c)
{
	const struct ring *r = c->ring;
	uint32_t events = 0;

	if (!c->watch)
		return;
	if (c->mode != MODE_WRITE || (r->rx_on && r->in_at == r->in_len))
		events |= EPOLLIN;
	if (c->mode != MODE_NEW && c->at < r->total)
		events |= EPOLLOUT;
	loop_fd_mod(c->watch, events);
}

/* seccomp: loop: sendto */
static bool say(int fd, const void *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static void refuse(int fd, const char *sentence)
{
	char line[128];

	snprintf(line, sizeof(line), "error %s\n", sentence);
	say(fd, line, strlen(line));
}

/* As much as the client takes now. */
static void client_pump(struct client *c)
{
	struct ring *r = c->ring;

	if (!c->watch || c->mode == MODE_NEW)
		return;
	while (c->at < r->total) {
		size_t at = c->at % CHR_BUFFER, len;
		ssize_t n;

		if (r->total - c->at > CHR_BUFFER) {
			drop(c);
			return;
		}
		len = (size_t)MIN(r->total - c->at, (uint64_t)CHR_BUFFER - at);
		len = MIN(len, (size_t)CHR_RING_PACKET);
		n = send(c->fd, r->bytes + at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			drop(c);
			return;
		}
		c->at += (uint64_t)n;
	}
	update(c);
}

/* What the writer typed, as far as the guest takes it. */
static void input_pump(struct ring *r)
{
	while (r->writer && r->rx_on) {
		struct client *c = r->writer;
		ssize_t n;

		if (r->in_at < r->in_len) {
			size_t len = MIN(r->in_len - r->in_at, chr_input_room(&r->base));

			if (!len)
				break;
			r->in_at += len;
			chr_input(&r->base, r->in + r->in_at - len, len);
			continue;
		}
		/* seccomp: loop: recvfrom */
		n = recv(c->fd, r->in, sizeof(r->in), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0 || (size_t)n > sizeof(r->in)) {
			drop(c);
			return;
		}
		r->in_at = 0;
		r->in_len = (size_t)n;
	}
	if (r->writer)
		update(r->writer);
}

static void pump(void *arg)
{
	struct ring *r = arg;

	log_pump(r);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		client_pump(&r->clients[i]);
	input_pump(r);
	if (r->want_write)
		chr_writable(&r->base);
}

struct wish {
	enum mode mode;
	bool replay, force;
};

static bool hello_parse(char *line, struct wish *w)
{
	char *word, *rest = line;

	*w = (struct wish) { 0 };
	line[strcspn(line, "\n")] = '\0';
	word = strsep(&rest, " ");
	if (!strcmp(word, "read"))
		w->mode = MODE_READ;
	else if (!strcmp(word, "write"))
		w->mode = MODE_WRITE;
	else
		return false;
	while ((word = strsep(&rest, " "))) {
		if (!strcmp(word, "replay") && !w->replay)
			w->replay = true;
		else if (!strcmp(word, "force") && !w->force && w->mode == MODE_WRITE)
			w->force = true;
		else
			return false;
	}
	return true;
}

static unsigned count(const struct ring *r, enum mode mode)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		n += r->clients[i].fd >= 0 && r->clients[i].mode == mode;
	return n;
}

/* The sentence of a refusal, or NULL. */
static const char *admit(struct client *c, const struct wish *w)
{
	static const char taken[] = "\r\nholm: another client took this console\r\n";
	struct ring *r = c->ring;

	if (w->mode == MODE_READ && count(r, MODE_READ) == CHR_RING_READERS)
		return "the console has as many readers as it can; try again later";
	if (w->mode == MODE_WRITE && r->writer && !r->writer->watch)
		drop(r->writer);
	if (w->mode == MODE_WRITE && r->writer) {
		if (!w->force)
			return "another client types on this console; take its place with force";
		say(r->writer->fd, taken, sizeof(taken) - 1);
		drop(r->writer);
	}
	if (!say(c->fd, "ok\n", 3))
		return "no answer";
	if (w->mode == MODE_WRITE)
		r->writer = c;
	c->mode = w->mode;
	c->at = r->total;
	if (w->replay)
		c->at -= MIN(r->total, (uint64_t)CHR_BUFFER);
	return NULL;
}

static void on_hello(struct client *c)
{
	const char *no = "say: read [replay], or write [replay] [force]";
	char line[HELLO_MAX + 1];
	struct wish w;
	ssize_t n = recv(c->fd, line, HELLO_MAX, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && n <= HELLO_MAX) {
		line[n] = '\0';
		if (hello_parse(line, &w))
			no = admit(c, &w);
	}
	if (no) {
		refuse(c->fd, no);
		drop(c);
	} else {
		pump(c->ring);
	}
}

static void on_client(void *arg, int fd, uint32_t events)
{
	struct client *c = arg;
	uint8_t byte;

	if (c->mode == MODE_NEW) {
		on_hello(c);
		return;
	}
	if (c->mode == MODE_READ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		/* A reader has nothing to say: it has gone, or it does not keep to its mode. */
		if (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN)
			drop(c);
		return;
	}
	if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN)) {
		/* It typed more than the guest has taken yet, and went. */
		loop_fd_del(c->watch);
		c->watch = NULL;
		if (events & EPOLLERR)
			drop(c);
		return;
	}
	pump(c->ring);
}

static struct client *find_slot(struct ring *r)
{
	struct client *oldest = NULL;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &r->clients[i];

		if (c->fd < 0)
			return c;
		if (c->mode == MODE_NEW && (!oldest || c->accepted < oldest->accepted))
			oldest = c;
	}
	/* Full slots are 16 readers and a writer at most, so one of the others says nothing. */
	BUG_ON(!oldest);
	drop(oldest);
	return oldest;
}

/* seccomp: loop: accept4 getsockopt epoll_ctl close */
static void on_connect(void *arg, int listen_fd, uint32_t events UNUSED)
{
	struct ring *r = arg;
	FD_AUTO fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct err e = { 0 };
	struct client *c;

	if (fd < 0)
		return;
	if (!fd_peer_is(fd, r->owner)) {
		refuse(fd, "this console is another user's");
		return;
	}
	c = find_slot(r);
	*c = (struct client) { .ring = r, .fd = -1, .accepted = r->accepted++ };
	if (loop_fd_add(r->loop, fd, EPOLLIN, on_client, c, &c->watch, &e)) {
		log_line(LOG_WARN, "console", "%s", e.msg);
		return;
	}
	c->fd = fd_take(&fd);
}

/* --- the back end ------------------------------------------------------------------------------
 */

static ssize_t ring_write(struct chr_backend *b, const void *buf, size_t len)
{
	struct ring *r = CONTAINER_OF(b, struct ring, base);
	const uint8_t *p = buf;
	size_t done = 0;

	len = MIN(len, (size_t)(CHR_BUFFER - (r->total - r->logged)));
	while (done < len) {
		size_t at = r->total % CHR_BUFFER, n = MIN(len - done, CHR_BUFFER - at);

		memcpy(r->bytes + at, p + done, n);
		r->total += n;
		done += n;
	}
	if (done)
		loop_call_schedule(&r->pump);
	return (ssize_t)done;
}

static void ring_want_write(struct chr_backend *b, bool on)
{
	CONTAINER_OF(b, struct ring, base)->want_write = on;
}

static void ring_rx_enable(struct chr_backend *b, bool on)
{
	struct ring *r = CONTAINER_OF(b, struct ring, base);

	r->rx_on = on;
	if (r->writer)
		loop_call_schedule(&r->pump);
}

static void ring_close(struct chr_backend *b)
{
	struct ring *r = CONTAINER_OF(b, struct ring, base);

	loop_call_cancel(&r->pump);
	log_pump(r);
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		client_pump(&r->clients[i]);
		drop(&r->clients[i]);
	}
	loop_fd_del(r->listen_watch);
	fd_close(&r->listen_fd);
	fd_close(&r->log_fd[0]);
	fd_close(&r->log_fd[1]);
	free(r);
}

static const struct chr_backend_ops ring_ops = {
	.name = "ring",
	.write = ring_write,
	.want_write = ring_want_write,
	.rx_enable = ring_rx_enable,
	.close = ring_close,
};

static int set_nonblock(int fd, struct err *e)
{
	int ret = fd_set_nonblock(fd, 1);

	return ret ? err_set(e, ret, "the console's socket: %s", strerror(-ret)) : 0;
}

int chr_ring_open(struct chr_backend **out, const struct chr_ring_config *cfg, struct loop *loop,
		  struct err *e)
{
	struct ring *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return err_set(e, -ENOMEM, "no memory for the console");
	r->base.ops = &ring_ops;
	r->loop = loop;
	r->owner = geteuid();
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		r->clients[i] = (struct client) { .ring = r, .fd = -1 };
	loop_call_init(&r->pump, loop, pump, r);
	ret = log_open(r, cfg, e);
	if (!ret)
		ret = set_nonblock(cfg->listen_fd, e);
	if (!ret)
		ret = loop_fd_add(loop, cfg->listen_fd, EPOLLIN, on_connect, r, &r->listen_watch,
				  e);
	if (ret) {
		free(r);
		return ret;
	}
	r->listen_fd = cfg->listen_fd;
	*out = &r->base;
	return 0;
}
