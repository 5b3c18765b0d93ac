/* SPDX-License-Identifier: MIT */
/*
 * The manager's console over real sockets and files: readers, replay, the one writer and who takes
 * its place, readers that do not read, and the bounded log, also over restarts.
 */
#include "base/fd.h"
#include "chr/be/backends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct rig {
	struct loop *loop;
	struct clock_fake clock;
	struct chr *chr;
	struct sockaddr_un addr;
	socklen_t addr_len;
	size_t room, n;
	char got[8192];
};

static size_t on_room(void *ctx)
{
	return ((struct rig *)ctx)->room;
}

static void on_rx(void *ctx, const uint8_t *buf, size_t len)
{
	struct rig *t = ctx;

	assert_true(len <= t->room && t->n + len < sizeof(t->got));
	memcpy(t->got + t->n, buf, len);
	t->n += len;
	t->room -= len;
}

static const struct chr_client_ops client_ops = { .room = on_room, .rx = on_rx };

static void turn(struct rig *t)
{
	for (int i = 0; i < 8; i++)
		assert_true(loop_poll(t->loop, 0) >= 0);
}

/* @log: two paths, or NULL. */
static void setup(struct rig *t, const char *const *log)
{
	struct chr_ring_config cfg = { .log_fd = { -1, -1 } };
	struct chr_backend *b;

	memset(t, 0, sizeof(*t));
	t->room = sizeof(t->got) - 1;
	clock_fake_init(&t->clock, 0, 0);
	assert_int_equal(loop_create(&t->loop, &t->clock.clock, NULL), 0);
	for (int i = 0; log && i < 2; i++)
		cfg.log_fd[i] = open(log[i], O_RDWR | O_CREAT, 0600);
	/* A name that the kernel chooses, in its abstract name space: unix(7), autobind. */
	cfg.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	t->addr.sun_family = AF_UNIX;
	assert_int_equal(bind(cfg.listen_fd, (void *)&t->addr, sizeof(t->addr.sun_family)), 0);
	t->addr_len = sizeof(t->addr);
	assert_int_equal(getsockname(cfg.listen_fd, (void *)&t->addr, &t->addr_len), 0);
	assert_int_equal(listen(cfg.listen_fd, 64), 0);
	assert_int_equal(chr_ring_open(&b, &cfg, t->loop, NULL), 0);
	assert_int_equal(chr_create(&t->chr, b, NULL), 0);
	chr_set_client(t->chr, &client_ops, t);
}

static void teardown(struct rig *t)
{
	chr_destroy(t->chr);
	loop_destroy(t->loop);
}

static int connect_only(struct rig *t)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (void *)&t->addr, t->addr_len), 0);
	turn(t);
	return fd;
}

/* The next packet as text; "" for none, "end" for the end of the connection. */
static const char *packet(struct rig *t, int fd)
{
	static char buf[CHR_RING_PACKET + 1];
	ssize_t n;

	turn(t);
	n = recv(fd, buf, sizeof(buf) - 1, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return "end";
	buf[MAX(n, (ssize_t)0)] = '\0';
	return buf;
}

static int client(struct rig *t, const char *hello, const char *answer)
{
	int fd = connect_only(t);

	assert_true(send(fd, hello, strlen(hello), 0) > 0);
	assert_true(!strncmp(packet(t, fd), answer, strlen(answer)));
	return fd;
}

static void put(struct rig *t, const char *text)
{
	chr_write(t->chr, text, strlen(text));
	turn(t);
}

static void readers_and_replay(void **state UNUSED)
{
	struct rig t;
	int early, late, fresh;

	setup(&t, NULL);
	early = client(&t, "read", "ok\n");
	put(&t, "hello ");
	put(&t, "world");
	assert_string_equal(packet(&t, early), "hello ");
	assert_string_equal(packet(&t, early), "world");
	late = client(&t, "read replay\n", "ok\n");
	fresh = client(&t, "read", "ok\n");
	assert_string_equal(packet(&t, late), "hello world");
	assert_string_equal(packet(&t, fresh), "");
	put(&t, "!");
	assert_string_equal(packet(&t, early), "!");
	assert_string_equal(packet(&t, late), "!");
	assert_string_equal(packet(&t, fresh), "!");
	/* A reader that types has not understood what it is. */
	assert_int_equal(send(late, "x", 1, 0), 1);
	assert_string_equal(packet(&t, late), "end");
	close(early);
	put(&t, "?");
	assert_string_equal(packet(&t, fresh), "?");
	assert_int_equal(t.n, 0);
	close(late);
	/* What was written last still arrives when the VM ends. */
	chr_write(t.chr, "bye", 3);
	teardown(&t);
	{
		char buf[8];

		assert_int_equal(recv(fresh, buf, sizeof(buf), 0), 3);
		assert_int_equal(recv(fresh, buf, sizeof(buf), 0), 0);
	}
	close(fresh);
}

static void replay_is_the_last_ring(void **state UNUSED)
{
	static uint8_t sent[3 * CHR_BUFFER + 777], got[CHR_BUFFER + 1];
	struct rig t;
	size_t n = 0;
	int fd;

	setup(&t, NULL);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < sizeof(sent); i += 1000) {
		chr_write(t.chr, sent + i, MIN((size_t)1000, sizeof(sent) - i));
		turn(&t);
	}
	fd = client(&t, "read replay", "ok\n");
	for (;;) {
		ssize_t k;

		turn(&t);
		k = recv(fd, got + n, sizeof(got) - n, 0);
		if (k <= 0)
			break;
		assert_true(k <= (ssize_t)CHR_RING_PACKET);
		n += (size_t)k;
	}
	assert_int_equal(n, CHR_BUFFER);
	assert_memory_equal(got, sent + sizeof(sent) - CHR_BUFFER, CHR_BUFFER);
	assert_int_equal(chr_dropped(t.chr), 0);
	close(fd);
	teardown(&t);
}

static void one_writer(void **state UNUSED)
{
	struct rig t;
	int first, second, third;

	setup(&t, NULL);
	first = client(&t, "write", "ok\n");
	assert_int_equal(send(first, "ls\n", 3, 0), 3);
	turn(&t);
	assert_string_equal(t.got, "ls\n");
	second = client(&t, "write", "error another client types");
	assert_string_equal(packet(&t, second), "end");
	close(second);
	second = client(&t, "write force", "ok\n");
	assert_non_null(strstr(packet(&t, first), "another client took this console"));
	assert_string_equal(packet(&t, first), "end");
	assert_int_equal(send(second, "pwd\n", 4, 0), 4);
	turn(&t);
	assert_string_equal(t.got, "ls\npwd\n");
	put(&t, "/\n");
	assert_string_equal(packet(&t, second), "/\n");
	/* Its going makes room for another without force. */
	close(second);
	turn(&t);
	third = client(&t, "write replay", "ok\n");
	assert_string_equal(packet(&t, third), "/\n");
	close(third);
	close(first);
	teardown(&t);
}

static void input_waits_for_room(void **state UNUSED)
{
	struct rig t;
	int fd;

	setup(&t, NULL);
	t.room = 4;
	fd = client(&t, "write", "ok\n");
	assert_int_equal(send(fd, "abcdefg", 7, 0), 7);
	assert_int_equal(send(fd, "hij", 3, 0), 3);
	/* It goes before the guest has taken all: nothing of it is lost. */
	close(fd);
	turn(&t);
	assert_string_equal(t.got, "abcd");
	t.room = 2;
	chr_room_changed(t.chr);
	turn(&t);
	assert_string_equal(t.got, "abcdef");
	t.room = 100;
	chr_room_changed(t.chr);
	turn(&t);
	assert_string_equal(t.got, "abcdefghij");
	/* Another that goes while the guest takes nothing holds nobody up. */
	t.room = 0;
	fd = client(&t, "write", "ok\n");
	chr_room_changed(t.chr);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	close(fd);
	turn(&t);
	fd = client(&t, "write", "ok\n");
	close(fd);
	teardown(&t);
}

static void what_is_refused(void **state UNUSED)
{
	static const char *const bad[] = {
		"look",
		"read force",
		"read replay replay",
		"write  force",
		"readreplay",
		"\n",
		"write force force",
		/* Longer than a first packet may be. */
		"readxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};
	char big[CHR_RING_PACKET + 1] = { 0 };
	struct rig t;
	int fd;

	setup(&t, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fd = client(&t, bad[i], "error say: read");
		assert_string_equal(packet(&t, fd), "end");
		close(fd);
	}
	fd = client(&t, "write", "ok\n");
	assert_int_equal(send(fd, big, sizeof(big), 0), sizeof(big));
	assert_string_equal(packet(&t, fd), "end");
	assert_int_equal(t.n, 0);
	close(fd);
	teardown(&t);
}

static void bounded_clients(void **state UNUSED)
{
	int readers[CHR_RING_READERS], silent[8], writer, more;
	struct rig t;

	setup(&t, NULL);
	for (unsigned i = 0; i < CHR_RING_READERS; i++)
		readers[i] = client(&t, "read", "ok\n");
	more = client(&t, "read", "error the console has as many readers");
	close(more);
	writer = client(&t, "write", "ok\n");
	/* Those that never say what they want make way for each other, and for nobody else. */
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = connect_only(&t);
	assert_string_equal(packet(&t, silent[0]), "end");
	assert_string_equal(packet(&t, silent[7]), "");
	put(&t, "x");
	for (unsigned i = 0; i < CHR_RING_READERS; i++) {
		assert_string_equal(packet(&t, readers[i]), "x");
		close(readers[i]);
	}
	assert_string_equal(packet(&t, writer), "x");
	close(writer);
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		close(silent[i]);
	teardown(&t);
}

static void slow_reader_is_cut_off(void **state UNUSED)
{
	static char text[4000];
	struct rig t;
	int slow, good;
	size_t sent = 0, n = 0;

	memset(text, 'x', sizeof(text));
	setup(&t, NULL);
	slow = client(&t, "read", "ok\n");
	good = client(&t, "read", "ok\n");
	for (int i = 0; i < 500; i++, sent += sizeof(text)) {
		chr_write(t.chr, text, sizeof(text));
		n += strlen(packet(&t, good));
	}
	for (const char *p; *(p = packet(&t, good));)
		n += strlen(p);
	/* The guest lost nothing by it, nor did the other. */
	assert_int_equal(chr_dropped(t.chr), 0);
	assert_int_equal(n, sent);
	for (n = 0;;) {
		const char *p = packet(&t, slow);

		assert_string_not_equal(p, "");
		if (!strcmp(p, "end"))
			break;
		n += strlen(p);
	}
	assert_true(n < sent / 2);
	close(slow);
	close(good);
	teardown(&t);
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void write_lines(struct rig *t, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char line[33];

		snprintf(line, sizeof(line), "%031u\n", i);
		chr_write(t->chr, line, 32);
		turn(t);
	}
}

static unsigned line_at(const char *path, off_t off)
{
	char line[33] = { 0 };
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, line, 32, off), 32);
	close(fd);
	return (unsigned)strtoul(line, NULL, 10);
}

static void log_in_turn(void **state UNUSED)
{
	const unsigned half = CHR_RING_LOG_HALF / 32;
	char dir[] = "/tmp/holm-ring.XXXXXX", a[64], b[64];
	const char *log[2] = { a, b };
	struct rig t;

	assert_non_null(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	setup(&t, log);
	write_lines(&t, 0, half + 10);
	assert_int_equal(size_of(a), CHR_RING_LOG_HALF);
	assert_int_equal(size_of(b), 320);
	teardown(&t);
	/* A restart goes on in the newer one. */
	setup(&t, log);
	write_lines(&t, half + 10, half + 20);
	assert_int_equal(size_of(a), CHR_RING_LOG_HALF);
	assert_int_equal(size_of(b), 640);
	assert_int_equal(line_at(b, 608), half + 19);
	/* And from the full one into the first again, which is emptied. */
	write_lines(&t, half + 20, 2 * half + 3);
	assert_int_equal(size_of(b), CHR_RING_LOG_HALF);
	assert_int_equal(size_of(a), 96);
	assert_int_equal(line_at(a, 64), 2 * half + 2);
	/* What was not brought there yet is when the VM ends. */
	chr_write(t.chr, "end", 3);
	teardown(&t);
	assert_int_equal(size_of(a), 99);
	unlink(a);
	unlink(b);
	rmdir(dir);
}

static void log_that_is_full(void **state UNUSED)
{
	const char *log[2] = { "/dev/null", "/dev/null" };
	struct chr_ring_config cfg = { .listen_fd = -1 };
	struct chr_backend *b;
	struct err e = { 0 };
	struct rig t;
	int fd;

	/* No file: refused by name. */
	cfg.log_fd[0] = cfg.log_fd[1] = open(log[0], O_RDWR);
	assert_int_equal(chr_ring_open(&b, &cfg, NULL, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "regular"));
	close(cfg.log_fd[0]);
	/* A file that cannot be written: the console goes on. */
	log[0] = "/proc/self/comm";
	log[1] = "/proc/self/comm";
	setup(&t, (const char *const *)log);
	fd = client(&t, "read", "ok\n");
	put(&t, "still here");
	assert_string_equal(packet(&t, fd), "still here");
	close(fd);
	teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_and_replay),
		cmocka_unit_test(replay_is_the_last_ring),
		cmocka_unit_test(one_writer),
		cmocka_unit_test(input_waits_for_room),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(bounded_clients),
		cmocka_unit_test(slow_reader_is_cut_off),
		cmocka_unit_test(log_in_turn),
		cmocka_unit_test(log_that_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
