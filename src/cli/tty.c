/* SPDX-License-Identifier: MIT */
/*
 * The terminal in another mode for a while, see tty.h.
 */
#include "cli/tty.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int tty_set(struct tty *t, enum tty_mode mode, struct err *e)
{
	struct termios now;
	sigset_t caught;

	*t = (struct tty) { .signal_fd = -1 };
	sigemptyset(&caught);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGHUP);
	sigaddset(&caught, SIGQUIT);
	t->signal_fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
	if (t->signal_fd < 0)
		return err_set(e, -errno, "cannot catch signals: %s", strerror(errno));
	sigprocmask(SIG_BLOCK, &caught, &t->mask);
	if (mode == TTY_KEEP || tcgetattr(STDIN_FILENO, &t->before))
		return 0;
	now = t->before;
	if (mode == TTY_RAW) {
		cfmakeraw(&now);
	} else {
		now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		now.c_cc[VMIN] = 1;
		now.c_cc[VTIME] = 0;
	}
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &now)) {
		int ret = err_set(e, -errno, "cannot change the terminal's mode: %s",
				  strerror(errno));

		tty_restore(t);
		return ret;
	}
	t->changed = true;
	return 0;
}

int tty_signal(struct tty *t)
{
	struct signalfd_siginfo info;

	return read(t->signal_fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

void tty_restore(struct tty *t)
{
	if (t->changed)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
	t->changed = false;
	if (t->signal_fd >= 0)
		sigprocmask(SIG_SETMASK, &t->mask, NULL);
	fd_close(&t->signal_fd);
}
