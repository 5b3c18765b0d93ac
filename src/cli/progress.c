/* SPDX-License-Identifier: MIT */
/*
 * How far long work is, see progress.h.
 */
#include "cli/progress.h"

#include "base/fd.h"
#include "cli/text.h"

#include <string.h>
#include <unistd.h>

#define BAR 30

void progress_init(struct progress *p, const char *what, const char *name)
{
	MEM_AUTO char *clean = text_clean(name, strlen(name), "");

	*p = (struct progress) { .terminal = isatty(STDERR_FILENO), .last = -1 };
	snprintf(p->what, sizeof(p->what), "%s %.40s", what, clean ? clean : "");
}

void progress_update(struct progress *p, uint64_t done, uint64_t total)
{
	int percent = total ? (int)((double)MIN(done, total) * 100 / (double)total) : 0;
	int step = p->terminal ? percent : percent / 10;

	if (!total || step == p->last)
		return;
	p->last = step;
	p->printed = true;
	if (!p->terminal) {
		fprintf(stderr, "%s: %d %%\n", p->what, step * 10);
		return;
	}
	fprintf(stderr, "\r\033[K%s [", p->what);
	for (int i = 0; i < BAR; i++)
		fputc(i < percent * BAR / 100 ? '#' : '.', stderr);
	fprintf(stderr, "] %d %%", percent);
}

void progress_end(struct progress *p)
{
	if (p->terminal && p->printed)
		fputs("\r\033[K", stderr);
	p->printed = false;
}
