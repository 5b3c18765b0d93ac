/* SPDX-License-Identifier: MIT */
/*
 * Character back ends on real files, pseudo-terminals, pipes and sockets. Those of stdio run in a
 * child whose standard streams are the test's, and its exit code says what it saw.
 */
#include "base/fd.h"
#include "chr/be/backends.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

struct rig {
	struct loop *loop;
	struct chr *chr;
	size_t room, n;
	bool quit;
	uint8_t got[8192];
};

static size_t on_room(void *ctx)
{
	return ((struct rig *)ctx)->room;
}

static void on_rx(void *ctx, const uint8_t *buf, size_t len)
{
	struct rig *t = ctx;

	BUG_ON(len > t->room || t->n + len > sizeof(t->got));
	memcpy(t->got + t->n, buf, len);
	t->n += len;
	t->room -= len;
}

static const struct chr_client_ops client_ops = { .room = on_room, .rx = on_rx };

static void setup(struct rig *t)
{
	memset(t, 0, sizeof(*t));
	t->room = sizeof(t->got);
	BUG_ON(loop_create(&t->loop, &clock_host, NULL));
}

static void attach(struct rig *t, struct chr_backend *b)
{
	BUG_ON(chr_create(&t->chr, b, NULL));
	chr_set_client(t->chr, &client_ops, t);
}

static void teardown(struct rig *t)
{
	chr_destroy(t->chr);
	loop_destroy(t->loop);
}

static void run(struct rig *t, size_t until)
{
	for (int i = 0; i < 200 && t->n < until; i++)
		loop_poll(t->loop, 5);
}

static void read_exactly(struct rig *t, int fd, void *buf, size_t len)
{
	size_t n = 0;

	for (int i = 0; i < 2000 && n < len; i++) {
		ssize_t r = read(fd, (char *)buf + n, len - n);

		if (r > 0)
			n += (size_t)r;
		else
			loop_poll(t->loop, 1);
	}
	assert_int_equal(n, len);
}

static void temp_path(char *path, size_t len)
{
	int fd;

	snprintf(path, len, "/tmp/holm-chr-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
}

static void file_is_appended(void **state UNUSED)
{
	struct chr_backend *b;
	struct err e = { 0 };
	char path[64], buf[16];
	struct stat st;
	struct rig t;
	int fd;

	temp_path(path, sizeof(path));
	for (int i = 0; i < 2; i++) {
		setup(&t);
		assert_int_equal(chr_file_open(&b, path, t.loop, &e), 0);
		attach(&t, b);
		chr_write(t.chr, i ? "two" : "one", 3);
		teardown(&t);
	}
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "onetwo", 6);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);
	unlink(path);
	setup(&t);
	assert_int_equal(chr_file_open(&b, "/nonexistent/log", t.loop, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/nonexistent/log"));
	loop_destroy(t.loop);
}

static void pty_passes_bytes(void **state UNUSED)
{
	struct chr_backend *b;
	char *name = NULL, buf[16];
	struct rig t;
	int fd;

	setup(&t);
	assert_int_equal(chr_pty_open(&b, &name, t.loop, NULL), 0);
	attach(&t, b);
	chr_write(t.chr, "early\r\n", 7);
	fd = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
	assert_true(fd >= 0);
	read_exactly(&t, fd, buf, 7);
	assert_memory_equal(buf, "early\r\n", 7);
	assert_int_equal(write(fd, "in\n\003", 4), 4);
	run(&t, 4);
	assert_int_equal(t.n, 4);
	assert_memory_equal(t.got, "in\n\003", 4);
	/* Its user goes and comes back: no hang-up, no spinning. */
	close(fd);
	assert_int_equal(loop_poll(t.loop, 0), 0);
	/* More than a terminal holds, read by nobody: never blocks. */
	for (int i = 0; i < 40; i++)
		chr_write(t.chr, t.got, sizeof(t.got));
	assert_true(chr_dropped(t.chr) > 0);
	free(name);
	teardown(&t);
}

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void socket_serves_the_newest(void **state UNUSED)
{
	struct chr_backend *b, *c = NULL;
	struct err e = { 0 };
	char path[64], buf[16];
	struct stat st;
	struct rig t;
	int p, q;

	temp_path(path, sizeof(path));
	setup(&t);
	assert_int_equal(chr_socket_open(&b, path, t.loop, &e), 0);
	attach(&t, b);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(chr_socket_open(&c, path, t.loop, &e), -EADDRINUSE);
	assert_null(c);
	loop_poll(t.loop, 0); /* the probe came and went */
	loop_poll(t.loop, 0);
	chr_write(t.chr, "unseen", 6);
	p = dial(path);
	loop_poll(t.loop, 100);
	chr_write(t.chr, "to p", 4);
	read_exactly(&t, p, buf, 4);
	assert_memory_equal(buf, "to p", 4);
	assert_int_equal(write(p, "from p", 6), 6);
	run(&t, 6);
	assert_memory_equal(t.got, "from p", 6);
	q = dial(path);
	loop_poll(t.loop, 100);
	assert_int_equal(read(p, buf, sizeof(buf)), 0);
	chr_write(t.chr, "to q", 4);
	read_exactly(&t, q, buf, 4);
	/* A peer that goes while the guest takes no input does not keep the loop busy. */
	t.room = 0;
	chr_room_changed(t.chr);
	close(q);
	close(p);
	loop_poll(t.loop, 50);
	assert_int_equal(loop_poll(t.loop, 0), 0);
	chr_write(t.chr, "nobody", 6);
	assert_int_equal(chr_dropped(t.chr), 0);
	teardown(&t);
	assert_int_equal(stat(path, &st), -1);
}

static void socket_takes_a_stale_path_only(void **state UNUSED)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct chr_backend *b;
	struct err e = { 0 };
	char path[64];
	struct rig t;
	int fd;

	temp_path(path, sizeof(path));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	setup(&t);
	assert_int_equal(chr_socket_open(&b, path, t.loop, &e), 0);
	b->ops->close(b);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(chr_socket_open(&b, path, t.loop, &e), -EEXIST);
	assert_int_equal(unlink(path), 0);
	loop_destroy(t.loop);
}

static void on_quit(void *ctx)
{
	((struct rig *)ctx)->quit = true;
}

/* Run @body in a child with @in and @out as standard streams; its exit code. */
static int in_child(int in, int out, int (*body)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		alarm(20);
		dup2(in, 0);
		dup2(out, 1);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void open_stdio(struct rig *t)
{
	const struct chr_stdio_config cfg = { .raw = true, .quit = on_quit, .quit_ctx = t };
	struct chr_backend *b;

	setup(t);
	BUG_ON(chr_stdio_open(&b, &cfg, t->loop, NULL));
	attach(t, b);
}

/* Input "abc" then its end: all arrives, the loop then rests, output goes on. */
static int body_stream(void)
{
	static struct rig t;

	open_stdio(&t);
	t.room = 2;
	run(&t, 2);
	if (t.n != 2)
		return 1;
	t.room = 10;
	chr_room_changed(t.chr);
	run(&t, 3);
	if (t.n != 3 || memcmp(t.got, "abc", 3) != 0)
		return 2;
	for (int i = 0; i < 3; i++)
		loop_poll(t.loop, 10);
	if (loop_poll(t.loop, 0) != 0)
		return 3;
	chr_write(t.chr, "out", 3);
	chr_flush(t.chr, 1000);
	teardown(&t);
	/* Shared with others: still as they left it. */
	return fcntl(0, F_GETFL) & O_NONBLOCK || fcntl(1, F_GETFL) & O_NONBLOCK ? 4 : 0;
}

static void stdio_streams_end_quietly(void **state UNUSED)
{
	char path[64], buf[8];
	int in[2], out[2], file;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(write(in[1], "abc", 3), 3);
	close(in[1]);
	assert_int_equal(in_child(in[0], out[1], body_stream), 0);
	assert_int_equal(read(out[0], buf, sizeof(buf)), 3);

	temp_path(path, sizeof(path));
	file = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(write(file, "abc", 3), 3);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	assert_int_equal(in_child(file, out[1], body_stream), 0);
	assert_int_equal(read(out[0], buf, sizeof(buf)), 3);

	/* A file as output goes on where others left off. */
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	assert_int_equal(in_child(file, file, body_stream), 0);
	assert_int_equal(pread(file, buf, sizeof(buf), 0), 6);
	assert_memory_equal(buf, "abcout", 6);
	close(file);
	unlink(path);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

/* 200 KB into a pipe that nobody reads: must come back, and drop. */
static int body_blocked(void)
{
	static struct rig t;

	open_stdio(&t);
	for (int i = 0; i < 25; i++)
		chr_write(t.chr, t.got, sizeof(t.got));
	chr_flush(t.chr, 20);
	if (!chr_dropped(t.chr))
		return 1;
	teardown(&t);
	return 0;
}

static void stdio_output_never_blocks(void **state UNUSED)
{
	int out[2], sp[2], null = open("/dev/null", O_RDWR);

	assert_int_equal(pipe(out), 0);
	assert_int_equal(in_child(null, out[1], body_blocked), 0);
	/* A socket cannot be opened anew: the guarded way. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	assert_int_equal(in_child(null, sp[1], body_blocked), 0);
	/* The reader has gone. */
	close(out[0]);
	assert_int_equal(in_child(null, out[1], body_blocked), 0);
	close(out[1]);
	close(sp[0]);
	close(sp[1]);
	close(null);
}

/* Escapes on a raw terminal, also while the guest takes nothing. */
static int body_terminal(void)
{
	static struct rig t;

	open_stdio(&t);
	t.room = 0;
	chr_room_changed(t.chr);
	chr_write(t.chr, "R", 1);
	for (int i = 0; i < 400 && !t.quit; i++)
		loop_poll(t.loop, 5);
	if (!t.quit)
		return 1;
	t.room = 100;
	chr_room_changed(t.chr);
	run(&t, 6);
	if (t.n != 6 || memcmp(t.got,
			       "a\003\x1d"
			       "b\x1d"
			       "x",
			       6) != 0)
		return 2;
	teardown(&t);
	return 0;
}

/* Ends without a word: the handler of a signal puts the terminal back. */
static void on_term(int sig UNUSED)
{
	chr_stdio_restore();
	chr_stdio_restore();
	_exit(0);
}

static int body_signal(void)
{
	static struct rig t;

	signal(SIGTERM, on_term);
	open_stdio(&t);
	chr_write(t.chr, "R", 1);
	for (int i = 0; i < 100; i++)
		loop_poll(t.loop, 100);
	return 1;
}

static int on_terminal(int (*body)(void), const char *type, size_t len, int sig)
{
	struct termios before, now;
	struct pollfd p;
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, status = 0;
	char name[64], c = 0;
	pid_t pid;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	slave = open(name, O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		dup2(slave, 0);
		dup2(slave, 1);
		_exit(body());
	}
	p = (struct pollfd) { .fd = master, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 10000), 1); /* raw by now */
	assert_int_equal(read(master, &c, 1), 1);
	assert_int_equal(c, 'R');
	assert_int_equal(tcgetattr(slave, &now), 0);
	assert_false(now.c_lflag & (ICANON | ECHO | ISIG));
	assert_int_equal(write(master, type, len), len);
	if (sig)
		kill(pid, sig);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(tcgetattr(slave, &now), 0);
	assert_int_equal(now.c_lflag, before.c_lflag);
	assert_int_equal(now.c_iflag, before.c_iflag);
	close(slave);
	close(master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void stdio_terminal_is_raw_and_put_back(void **state UNUSED)
{
	const char typed[] = "a\003\x1d\x1d"
			     "b\x1d"
			     "x\x1d"
			     "q";

	assert_int_equal(on_terminal(body_terminal, typed, sizeof(typed) - 1, 0), 0);
	assert_int_equal(on_terminal(body_signal, "", 0, SIGTERM), 0);
}

static void null_takes_all(void **state UNUSED)
{
	struct chr_backend *b;
	struct rig t;

	setup(&t);
	assert_int_equal(chr_null_open(&b, NULL), 0);
	attach(&t, b);
	chr_write(t.chr, t.got, sizeof(t.got));
	assert_int_equal(chr_dropped(t.chr), 0);
	teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_is_appended),
		cmocka_unit_test(pty_passes_bytes),
		cmocka_unit_test(socket_serves_the_newest),
		cmocka_unit_test(socket_takes_a_stale_path_only),
		cmocka_unit_test(stdio_streams_end_quietly),
		cmocka_unit_test(stdio_output_never_blocks),
		cmocka_unit_test(stdio_terminal_is_raw_and_put_back),
		cmocka_unit_test(null_takes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
