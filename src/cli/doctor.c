/* SPDX-License-Identifier: MIT */
/*
 * holm doctor, see commands.c. First step: what holm-vmm's probe says.
 */
#include "cli/command.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int cmd_doctor(const struct cmd *self, int argc, char **argv)
{
	char path[4096];
	struct err e = { 0 };
	int ret = vmm_path(path, sizeof(path), &e);

	if (!ret) {
		execl(path, "holm-vmm", "--probe", (char *)NULL);
		ret = err_set(&e, -errno, "cannot run %s: %s", path, strerror(errno));
	}
	return ret ? cmd_fail(&e) : HOLM_EXIT_OK;
}
