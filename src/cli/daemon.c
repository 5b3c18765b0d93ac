/* SPDX-License-Identifier: MIT */
/*
 * Where the manager listens, and its start on demand, see daemon.h.
 *
 * Theory of operation: the manager of a user is started in a session of its own with its output
 * in a log file; it makes sure by itself that there is one of it only, so two commands may start
 * it at once. This process then tries to connect until the manager answers, has ended, or the
 * time is over.
 */
#include "cli/daemon.h"

#include "base/clock.h"
#include "base/fd.h"
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SYSTEM_SOCKET "/run/holm/holmd.sock"
#define START_NS      (10ull * 1000000000)
/* Another command's manager may be the one that comes up after ours has ended. */
#define GRACE_NS (1ull * 1000000000)
#define STEP_NS	 10000000

int daemon_socket(struct sockaddr_un *addr, bool *own, struct err *e)
{
	const char *given = getenv("HOLM_SOCKET"), *run = getenv("XDG_RUNTIME_DIR");
	const char *home = getenv("HOME");
	int n;

	*addr = (struct sockaddr_un) { .sun_family = AF_UNIX };
	*own = false;
	if (given && *given) {
		n = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", given);
	} else if (!access(SYSTEM_SOCKET, W_OK)) {
		n = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", SYSTEM_SOCKET);
	} else {
		*own = true;
		if (run && *run)
			n = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/holm/holmd.sock",
				     run);
		else if (home && *home)
			n = snprintf(addr->sun_path, sizeof(addr->sun_path),
				     "%s/.local/state/holm/holmd.sock", home);
		else
			return err_set(e, -ENOENT,
				       "cannot tell where the manager listens: neither "
				       "HOLM_SOCKET, XDG_RUNTIME_DIR nor HOME is set");
	}
	if ((size_t)n >= sizeof(addr->sun_path))
		return err_set(e, -EINVAL,
			       "the path of the manager's socket is longer than %zu bytes: set "
			       "HOLM_SOCKET to a shorter one",
			       sizeof(addr->sun_path) - 1);
	return 0;
}

/* 0 where someone listens, else -errno. */
static int try_connect(const struct sockaddr_un *addr)
{
	FD_AUTO fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return -errno;
	return 0;
}

/* The folders that @path lies in. */
static int make_folders(char *path, struct err *e)
{
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		int ret;

		*p = '\0';
		ret = mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
		*p = '/';
		if (ret)
			return err_set(e, ret, "cannot make a folder for %s: %s", path,
				       strerror(-ret));
	}
	return 0;
}

/* The log of the user's manager; its folders are made. */
static int log_path(char *buf, size_t len, struct err *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n = -1;

	if (state && *state)
		n = snprintf(buf, len, "%s/holm/holmd.log", state);
	else if (home && *home)
		n = snprintf(buf, len, "%s/.local/state/holm/holmd.log", home);
	if (n < 0 || (size_t)n >= len)
		return err_set(e, -ENOENT, "cannot tell where the manager's log goes: HOME is %s",
			       n < 0 ? "not set" : "too long");
	return make_folders(buf, e);
}

/* It is told where we look for it: its own choice follows other variables. */
static NORETURN void run_daemon(const char *program, const char *path, int log)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0 || chdir("/"))
		_exit(127);
	execl(program, "holmd", "--user", "--socket", path, (char *)NULL);
	_exit(127);
}

static int start_daemon(const struct sockaddr_un *addr, struct err *e)
{
	uint64_t end = clock_monotonic_ns() + START_NS;
	char program[4096], log_file[4096], path[sizeof(addr->sun_path)];
	FD_AUTO log = -1;
	bool ended = false;
	pid_t pid;
	int ret = program_path(program, sizeof(program), "holmd", e);

	if (ret)
		return err_set(e, -ECONNREFUSED,
			       "no manager listens on %.100s and there is no holmd beside holm to "
			       "start",
			       addr->sun_path);
	memcpy(path, addr->sun_path, sizeof(path));
	ret = make_folders(path, e);
	if (!ret)
		ret = log_path(log_file, sizeof(log_file), e);
	if (ret)
		return ret;
	log = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return err_set(e, -errno, "cannot open the manager's log %s: %s", log_file,
			       strerror(errno));
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "cannot make a process for the manager: %s",
			       strerror(errno));
	if (!pid)
		run_daemon(program, path, log);
	while (clock_monotonic_ns() < end) {
		nanosleep(&(struct timespec) { .tv_nsec = STEP_NS }, NULL);
		if (!try_connect(addr))
			return 0;
		if (!ended && waitpid(pid, NULL, WNOHANG) == pid) {
			ended = true;
			end = clock_monotonic_ns() + GRACE_NS;
		}
	}
	return err_set(e, -ECONNREFUSED, "the manager %s; its log is %.300s",
		       ended ? "ended while it was starting" : "did not answer within 10 seconds",
		       log_file);
}

int daemon_ready(const struct sockaddr_un *addr, bool start, struct err *e)
{
	int ret = try_connect(addr);

	if (!ret)
		return 0;
	if (ret == -EACCES || ret == -EPERM)
		return err_set(e, -EACCES,
			       "no rights on the manager's socket %s: ask to become a member of "
			       "the group holm",
			       addr->sun_path);
	if (start && (ret == -ENOENT || ret == -ECONNREFUSED))
		return start_daemon(addr, e);
	return err_set(e, -ECONNREFUSED, "no manager listens on %s: %s", addr->sun_path,
		       strerror(-ret));
}
