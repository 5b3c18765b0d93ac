/* SPDX-License-Identifier: MIT */
/*
 * The sandbox: in a child process, a forbidden call kills with SIGSYS and an allowed one does
 * not; no path opens; executable memory only where it is allowed; what the manager hands in stays.
 */
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool with_resolver;
static int socketpair_made[2];

/* Run @act locked in as @kind; returns the wait status. */
static int locked(enum vm_sandbox mode, enum sandbox_kind kind, bool exec_ok, void (*act)(void))
{
	struct rlimit none = { 0, 0 };
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct sandbox s = { .mode = mode, .exec_ok = exec_ok, .resolver = with_resolver };
		struct err e;

		setrlimit(RLIMIT_CORE, &none);
		if (sandbox_lock(&s, &e) || sandbox_enter(&s, kind, &e))
			_exit(99);
		act();
		_exit(7);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_killed(int status)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void assert_lives(int status)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void act_nothing(void)
{
}

static void act_open(void)
{
	open("/etc/passwd", O_RDONLY);
}

static void act_socket(void)
{
	socket(AF_UNIX, SOCK_STREAM, 0);
}

static void act_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void act_map_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void act_protect_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void act_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ) || munmap(p, 4096))
		_exit(8);
	free(malloc(1 << 20));
}

static void test_kills(void **state)
{
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_VCPU, false, sandbox_test_forbidden));
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_LOOP, false, sandbox_test_forbidden));
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_VCPU, true, act_exec));
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_VCPU, true, act_socket));
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_VCPU, true, act_open));
}

static void test_code(void **state)
{
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_VCPU, false, act_map_code));
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_LOOP, false, act_protect_code));
	assert_lives(locked(VM_SANDBOX_ON, SANDBOX_VCPU, true, act_map_code));
	assert_lives(locked(VM_SANDBOX_ON, SANDBOX_VCPU, true, act_protect_code));
}

static void act_open_resolver(void)
{
	int fd = open("/etc/passwd", O_RDONLY);

	_exit(fd < 0 && errno == EACCES ? 7 : 8);
}

/* With user-mode networking the loop may try to open: only the resolver's file would work. */
static void test_resolver(void **state)
{
	with_resolver = true;
	assert_lives(locked(VM_SANDBOX_ON, SANDBOX_LOOP, false, act_open_resolver));
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_VCPU, false, act_open));
	with_resolver = false;
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_LOOP, false, act_open));
}

static void test_lives(void **state)
{
	assert_lives(locked(VM_SANDBOX_ON, SANDBOX_VCPU, false, act_nothing));
	assert_lives(locked(VM_SANDBOX_ON, SANDBOX_LOOP, false, act_memory));
	assert_lives(locked(VM_SANDBOX_LOG, SANDBOX_VCPU, false, sandbox_test_forbidden));
	assert_lives(locked(VM_SANDBOX_OFF, SANDBOX_VCPU, false, act_open));
}

/* In a child, as it closes all that cmocka has open: the exit code says what was wrong. */
static int stray(void)
{
	int keep[2], lost, low, bad[1] = { 999 };
	struct err e = { 0 };

	low = dup(0);
	keep[1] = dup(0);
	lost = dup(0);
	keep[0] = dup2(0, 100);
	if (sandbox_close_stray(keep, 2, &e))
		return 1;
	if (fcntl(low, F_GETFD) >= 0 || fcntl(lost, F_GETFD) >= 0)
		return 2;
	if (fcntl(keep[0], F_GETFD) != FD_CLOEXEC || fcntl(keep[1], F_GETFD) != FD_CLOEXEC)
		return 3;
	if (fcntl(2, F_GETFD) < 0)
		return 4;
	if (sandbox_close_stray(bad, 1, &e) != -EBADF || !strstr(e.msg, "999"))
		return 5;
	return fcntl(keep[0], F_GETFD) >= 0 ? 6 : 7;
}

static void test_stray(void **state)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(stray());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_lives(status);
}

/* What a managed VM's loop does for its sockets and logs, and a vCPU's thread must not. */
static void act_control(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s[2], size;
	socklen_t len = sizeof(size);
	char c;

	if (socketpair_made[0] < 0)
		_exit(8);
	s[0] = socketpair_made[0];
	s[1] = socketpair_made[1];
	if (send(s[0], "x", 1, MSG_NOSIGNAL) != 1 || recv(s[1], &c, 1, 0) != 1 ||
	    getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, &len) ||
	    accept4(s[0], (void *)&a, &len, 0) >= 0)
		_exit(9);
}

static void test_managed(void **state)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socketpair_made), 0);
	assert_lives(locked(VM_SANDBOX_ON, SANDBOX_LOOP, false, act_control));
	close(socketpair_made[0]);
	close(socketpair_made[1]);
}

static void act_truncate(void)
{
	if (ftruncate(0, 0))
		return;
}

static void test_log_is_the_loops(void **state)
{
	assert_lives(locked(VM_SANDBOX_ON, SANDBOX_LOOP, false, act_truncate));
	assert_killed(locked(VM_SANDBOX_ON, SANDBOX_VCPU, false, act_truncate));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_code),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_resolver),
		cmocka_unit_test(test_stray),
		cmocka_unit_test(test_managed),
		cmocka_unit_test(test_log_is_the_loops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
