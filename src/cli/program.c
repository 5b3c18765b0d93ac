/* SPDX-License-Identifier: MIT */
/*
 * Where Holm's other programs are, see command.h.
 */
#include "cli/command.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int program_path(char *buf, size_t len, const char *name, struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", buf, len);
	size_t name_len = strlen(name);
	char *slash;

	if (n < 0 || (size_t)n >= len)
		return err_set(e, -ENOENT, "cannot find this program: /proc/self/exe: %s",
			       n < 0 ? strerror(errno) : "too long");
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	if (!slash || (size_t)(slash - buf) + name_len + 2 > len)
		return err_set(e, -ENOENT, "cannot find %s beside %s", name, buf);
	memcpy(slash + 1, name, name_len + 1);
	if (access(buf, X_OK))
		return err_set(e, -ENOENT, "%s: %s; it belongs beside holm", buf, strerror(errno));
	return 0;
}
