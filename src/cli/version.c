/* SPDX-License-Identifier: MIT */
/*
 * holm version.
 */
#include "cli/command.h"

#include <errno.h>

int cmd_version(const struct cmd *self, int argc, char **argv)
{
	struct opts o = { .cmd = self, .argc = argc, .argv = argv };
	const struct cmd_option *opt;
	const char *value;
	struct err e = { 0 };
	int ret = opts_next(&o, &opt, &value, &e);

	if (ret > 0)
		ret = err_set(&e, -EINVAL, "'holm version' takes no argument '%.80s'", value);
	if (ret)
		return cmd_fail(&e);
	printf("holm %s\n", HOLM_VERSION);
	return HOLM_EXIT_OK;
}
