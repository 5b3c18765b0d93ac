/* SPDX-License-Identifier: MIT */
/*
 * The sandbox: in a child process, a forbidden call kills with SIGSYS and an allowed one does
 * not; no path opens; executable memory only where it is allowed.
 */
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool with_resolver;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_code),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_resolver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
