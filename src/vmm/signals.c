/* SPDX-License-Identifier: MIT */
/*
 * Signals, see signals.h.
 */
#include "vmm/signals.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void waited_for(sigset_t *set)
{
	static const int list[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 };

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		sigaddset(set, list[i]);
}

/* The default action was restored by SA_RESETHAND and runs when this returns. */
static void on_fatal(int sig)
{
	machine_restore_terminal();
	raise(sig);
}

void signals_block(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction sa = { .sa_handler = on_fatal, .sa_flags = SA_RESETHAND | SA_NODEFER };
	sigset_t set;

	waited_for(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		struct sigaction old;

		/* A sanitizer's own handler stays. */
		if (!sigaction(fatal[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(fatal[i], &sa, NULL);
	}
	/* A reader of the console that goes away is no reason to die. */
	signal(SIGPIPE, SIG_IGN);
	atexit(machine_restore_terminal);
}

static void grace_over(void *arg)
{
	struct signals *s = arg;

	log_line(LOG_WARN, "signals", "the guest did not power off in time");
	machine_request(s->machine, MACHINE_QUIT, 0);
}

/* seccomp: loop: read epoll_wait timerfd_settime */
static void on_signal(void *arg, int fd, uint32_t events)
{
	struct signals *s = arg;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1) {
		metrics_write(s->metrics, s->machine);
	} else if (info.ssi_signo == SIGTERM && !s->asked && !machine_paused(s->machine)) {
		const struct clock *c = loop_clock(machine_loop(s->machine));

		s->asked = true;
		machine_power_button(s->machine);
		loop_timer_arm(&s->grace, c->mono_ns(c) + SIGNALS_GRACE_NS);
	} else {
		machine_request(s->machine, MACHINE_QUIT, 0);
	}
}

int signals_open(struct signals *s, struct machine *m, const struct metrics *x, struct err *e)
{
	struct loop *l = machine_loop(m);
	sigset_t set;
	int ret;

	*s = (struct signals) { .machine = m, .metrics = x, .fd = -1 };
	waited_for(&set);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return err_set(e, -errno, "cannot watch signals: %s", strerror(errno));
	loop_lock(l);
	loop_timer_init(&s->grace, l, grace_over, s);
	ret = loop_fd_add(l, s->fd, EPOLLIN, on_signal, s, &s->watch, e);
	loop_unlock(l);
	if (ret)
		fd_close(&s->fd);
	return ret;
}

void signals_close(struct signals *s)
{
	if (!s->machine)
		return;
	loop_lock(machine_loop(s->machine));
	loop_timer_disarm(&s->grace);
	loop_fd_del(s->watch);
	loop_unlock(machine_loop(s->machine));
	fd_close(&s->fd);
	s->machine = NULL;
}
