/* SPDX-License-Identifier: MIT */
/*
 * The error object, see err.h.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void msg_cut(char *msg, int want)
{
	if (want >= ERR_MSG_MAX)
		memcpy(msg + ERR_MSG_MAX - 4, "...", 4);
}

#undef err_set /* err.h puts a macro over it for the analyzer */
int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	msg_cut(e->msg, n);
	return code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_MSG_MAX];
	char head[ERR_MSG_MAX];
	va_list ap;
	int n;

	if (!e)
		return 0;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	n = snprintf(e->msg, sizeof(e->msg), "%s: %s", head, old);
	msg_cut(e->msg, n);
	return e->code;
}

enum holm_exit err_exit_code(int code)
{
	static const struct {
		int err;
		enum holm_exit code;
	} table[] = {
		{ 0, HOLM_EXIT_OK },
		{ EINVAL, HOLM_EXIT_USAGE },
		{ ERANGE, HOLM_EXIT_USAGE },
		{ E2BIG, HOLM_EXIT_USAGE },
		{ ENOENT, HOLM_EXIT_INPUT },
		{ EISDIR, HOLM_EXIT_INPUT },
		{ ENOTDIR, HOLM_EXIT_INPUT },
		{ ENOEXEC, HOLM_EXIT_INPUT },
		{ EBADMSG, HOLM_EXIT_INPUT },
		{ EFBIG, HOLM_EXIT_INPUT },
		{ EBUSY, HOLM_EXIT_BUSY },
		{ EADDRINUSE, HOLM_EXIT_BUSY },
		{ EAGAIN, HOLM_EXIT_BUSY },
		{ EEXIST, HOLM_EXIT_BUSY },
		{ ETIMEDOUT, HOLM_EXIT_BUSY },
		{ ENODEV, HOLM_EXIT_ENGINE },
		{ ENOTSUP, HOLM_EXIT_ENGINE },
		{ ENOMEM, HOLM_EXIT_RESOURCE },
		{ ENOSPC, HOLM_EXIT_RESOURCE },
		{ EMFILE, HOLM_EXIT_RESOURCE },
		{ ENFILE, HOLM_EXIT_RESOURCE },
		{ EACCES, HOLM_EXIT_RESOURCE },
		{ EPERM, HOLM_EXIT_RESOURCE },
		{ ECONNREFUSED, HOLM_EXIT_RESOURCE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].err == -code)
			return table[i].code;
	return HOLM_EXIT_INTERNAL;
}

void bug_abort(const char *cond, const char *file, int line)
{
	fprintf(stderr, "holm: bug: %s at %s:%d\n", cond, file, line);
	abort();
}
