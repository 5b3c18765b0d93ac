/* SPDX-License-Identifier: MIT */
/*
 * Load for holmd's API: N clients on keep-alive connections to its Unix socket.
 *
 * Theory of operation: one thread and one epoll for all clients. Each client sends a request,
 * reads its answer to the end, notes the time from before the first byte sent to the last byte
 * read, and sends the next. Requests are the lines of a file, "KIND METHOD PATH [BODY]"; they are
 * taken in turn by whoever is free. With SECONDS 0 each line is sent once. What comes out is
 * JSON: the times of each kind, and how much of the time this program itself was busy: where that
 * is near 1, it is the client that was measured.
 *
 * Limits: answers need a Content-Length; anything unexpected ends the program.
 *
 * usage: manager SOCKET CLIENTS SECONDS FILE
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 256
#define KINDS_MAX   16
#define HEAD_MAX    4096
#define CHUNK	    (256 << 10)

struct kind {
	char name[32];
	double *ms;
	size_t n, cap, refused; /* refused: answered with no 2xx */
};

struct request {
	unsigned kind;
	char *text;
	size_t len;
};

struct client {
	int fd;
	const struct request *now;
	double since;
	char head[HEAD_MAX + 1];
	size_t n_head;
	size_t left; /* bytes of the body to come; while the head is read: 0 */
	int in_body, status;
};

struct load {
	struct kind kind[KINDS_MAX];
	unsigned n_kinds;
	struct request *request;
	size_t n_requests, next;
	double end; /* 0: each request once */
	struct client client[CLIENTS_MAX];
	unsigned n_clients, busy;
	int epoll;
};

static void die(const char *what)
{
	fprintf(stderr, "manager: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static unsigned kind_of(struct load *l, const char *name)
{
	for (unsigned i = 0; i < l->n_kinds; i++)
		if (!strcmp(l->kind[i].name, name))
			return i;
	if (l->n_kinds == KINDS_MAX)
		die("too many kinds");
	snprintf(l->kind[l->n_kinds].name, sizeof(l->kind[0].name), "%s", name);
	return l->n_kinds++;
}

static void read_requests(struct load *l, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (!f)
		die(path);
	while ((len = getline(&line, &cap, f)) > 0) {
		char kind[32], method[16], target[1024];
		struct request *r;
		int at = 0, n;

		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (sscanf(line, "%31s %15s %1023s %n", kind, method, target, &at) < 3)
			die("a line is no request");
		l->request = realloc(l->request, (l->n_requests + 1) * sizeof(*l->request));
		if (!l->request)
			die("memory");
		r = &l->request[l->n_requests++];
		r->kind = kind_of(l, kind);
		n = asprintf(&r->text,
			     "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
			     method, target, strlen(line + at), line + at);
		if (n < 0)
			die("memory");
		r->len = (size_t)n;
	}
	free(line);
	fclose(f);
	if (!l->n_requests)
		die("no requests");
}

/* The next request of a free client; none where the time or the lines are over. */
static void send_next(struct load *l, struct client *c)
{
	double now = now_ms();

	c->now = NULL;
	if (l->end > 0.0 ? now >= l->end : l->next == l->n_requests)
		return;
	c->now = &l->request[l->next++ % l->n_requests];
	c->since = now;
	c->n_head = c->left = 0;
	c->in_body = 0;
	/* A request is far smaller than a socket's buffer, which is empty. */
	if (send(c->fd, c->now->text, c->now->len, MSG_NOSIGNAL) != (ssize_t)c->now->len)
		die("cannot send a request at once");
	l->busy++;
}

static void note(struct load *l, struct client *c)
{
	struct kind *k = &l->kind[c->now->kind];

	if (k->n == k->cap) {
		k->cap = k->cap ? 2 * k->cap : 4096;
		k->ms = realloc(k->ms, k->cap * sizeof(*k->ms));
		if (!k->ms)
			die("memory");
	}
	k->ms[k->n++] = now_ms() - c->since;
	k->refused += c->status / 100 != 2;
	l->busy--;
	send_next(l, c);
}

/* @c->head is whole, with @extra bytes of the body behind it that were read along. */
static void begin_body(struct client *c, size_t extra)
{
	const char *len = strcasestr(c->head, "\r\nContent-Length:");

	if (sscanf(c->head, "HTTP/1.1 %d", &c->status) != 1)
		die("an answer is not HTTP/1.1");
	if (!len && c->status != 204)
		die("an answer without its length");
	c->left = len ? strtoull(len + strlen("\r\nContent-Length:"), NULL, 10) : 0;
	if (extra > c->left)
		die("more bytes than an answer has");
	c->left -= extra;
	c->in_body = 1;
}

static void take(struct load *l, struct client *c, const char *buf, size_t n)
{
	char *end;
	size_t part;

	if (!c->now)
		die("an answer to nothing");
	if (c->in_body) {
		if (n > c->left)
			die("more bytes than an answer has");
		c->left -= n;
	} else {
		part = n < HEAD_MAX - c->n_head ? n : HEAD_MAX - c->n_head;
		memcpy(c->head + c->n_head, buf, part);
		c->n_head += part;
		c->head[c->n_head] = '\0';
		end = strstr(c->head, "\r\n\r\n");
		if (!end && c->n_head == HEAD_MAX)
			die("an answer's head is too large");
		if (!end)
			return;
		part = c->n_head - (size_t)(end + 4 - c->head) + (n - part);
		end[2] = '\0';
		begin_body(c, part);
	}
	if (!c->left)
		note(l, c);
}

static void readable(struct load *l, struct client *c)
{
	static char buf[CHUNK];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0)
		take(l, c, buf, (size_t)n);
	else if (!n || (errno != EAGAIN && errno != EINTR))
		die("holmd closed a connection");
}

static void connect_all(struct load *l, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(addr.sun_path))
		die("the socket's path is too long");
	memcpy(addr.sun_path, path, strlen(path) + 1);
	l->epoll = epoll_create1(0);
	if (l->epoll < 0)
		die("epoll");
	for (unsigned i = 0; i < l->n_clients; i++) {
		struct client *c = &l->client[i];
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) ||
		    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev))
			die(path);
	}
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void print_kind(struct kind *k, const char *name, const char *before)
{
	/* Nearest rank: the smallest time that the given part of all answers kept. */
	qsort(k->ms, k->n, sizeof(*k->ms), by_size);
	printf("%s\"%s\": {\"n\": %zu, \"refused\": %zu", before, name, k->n, k->refused);
	if (k->n)
		printf(", \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f",
		       k->ms[(k->n * 50 + 99) / 100 - 1], k->ms[(k->n * 99 + 99) / 100 - 1],
		       k->ms[k->n - 1]);
	printf("}");
}

static void print_all(struct load *l, double took)
{
	struct kind all = { 0 };
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	for (unsigned i = 0; i < l->n_kinds; i++)
		all.n += l->kind[i].n;
	all.ms = calloc(all.n + 1, sizeof(*all.ms));
	if (!all.ms)
		die("memory");
	all.n = 0;
	printf("{\"seconds\": %.3f, \"busy\": %.3f, \"kinds\": {", took / 1e3,
	       ((double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
		(double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3) /
		       took);
	for (unsigned i = 0; i < l->n_kinds; i++) {
		struct kind *k = &l->kind[i];

		if (k->n)
			memcpy(all.ms + all.n, k->ms, k->n * sizeof(*k->ms));
		all.n += k->n;
		all.refused += k->refused;
		print_kind(k, k->name, i ? ", " : "");
	}
	print_kind(&all, "all", "}, ");
	printf("}\n");
}

int main(int argc, char **argv)
{
	static struct load l;
	struct epoll_event ev[64];
	double start;

	if (argc != 5) {
		fprintf(stderr, "usage: manager SOCKET CLIENTS SECONDS FILE\n");
		return 2;
	}
	l.n_clients = (unsigned)strtoul(argv[2], NULL, 10);
	if (!l.n_clients || l.n_clients > CLIENTS_MAX)
		die("1 to 256 clients");
	read_requests(&l, argv[4]);
	connect_all(&l, argv[1]);
	start = now_ms();
	if (strtod(argv[3], NULL) > 0.0)
		l.end = start + strtod(argv[3], NULL) * 1e3;
	for (unsigned i = 0; i < l.n_clients; i++)
		send_next(&l, &l.client[i]);
	while (l.busy) {
		int n = epoll_wait(l.epoll, ev, 64, 60000);

		if (!n)
			errno = ETIMEDOUT;
		if (n <= 0 && errno != EINTR)
			die("waiting for answers");
		for (int i = 0; i < n; i++)
			readable(&l, ev[i].data.ptr);
	}
	print_all(&l, now_ms() - start);
	return 0;
}
