/* SPDX-License-Identifier: MIT */
/*
 * The terminal's guard, see guard.h.
 */
#include "cli/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Ends as the VMM did. */
static _Noreturn void end_like(const char *what, int status)
{
	sigset_t none;

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	fprintf(stderr, "holm: error: %s was killed: %s%s\n", what, strsignal(WTERMSIG(status)),
		WTERMSIG(status) == SIGSYS ? " by its sandbox; this is a bug of Holm's" : "");
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise(WTERMSIG(status));
	exit(128 + WTERMSIG(status));
}

/*
 * Signals that someone sent to us alone go on to the VMM; those of the terminal reach it by
 * themselves, as it is in the same process group.
 */
static _Noreturn void guard(const char *what, pid_t vmm, const sigset_t *all,
			    const struct termios *before)
{
	for (;;) {
		siginfo_t info;
		int sig = sigwaitinfo(all, &info), status;

		if (sig == SIGCHLD && waitpid(vmm, &status, WNOHANG) == vmm) {
			tcsetattr(STDIN_FILENO, TCSADRAIN, before);
			end_like(what, status);
		}
		if (sig > 0 && sig != SIGCHLD && info.si_code <= 0)
			kill(vmm, sig);
	}
}

int guard_terminal(const char *what, struct err *e)
{
	struct termios before;
	sigset_t all, old;
	pid_t self = getpid(), vmm;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return 0;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	vmm = fork();
	if (vmm < 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		return err_set(e, -errno, "cannot make a process: %s", strerror(errno));
	}
	if (vmm)
		guard(what, vmm, &all, &before);
	/* Who kills the process that the user sees means the VM. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (getppid() != self)
		raise(SIGKILL);
	return 0;
}
