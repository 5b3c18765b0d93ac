/* SPDX-License-Identifier: MIT */
/*
 * Switching KSM, see ksm.h.
 */
#include "mgr/ksm.h"

#include "base/log.h"
#include "mgr/run/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int ksm_mode_parse(enum ksm_mode *out, const char *name, struct err *e)
{
	static const char *const names[] = {
		[KSM_AUTO] = "auto",
		[KSM_ON] = "on",
		[KSM_OFF] = "off",
	};

	static_assert(ARRAY_SIZE(names) == KSM_MODE_COUNT, "a name for each");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i])) {
			*out = (enum ksm_mode)i;
			return 0;
		}
	return err_set(e, -EINVAL, "--ksm '%.40s' is none: use auto, on or off", name);
}

void ksm_open(struct ksm *k, enum ksm_mode mode, const char *root, const char *run_dir)
{
	*k = (struct ksm) { .mode = mode, .root = root };
	/* Too long a path has no mark, and KSM is then left alone. */
	if (snprintf(k->mark, sizeof(k->mark), "%s/ksm-is-ours", run_dir) >= (int)sizeof(k->mark))
		k->mark[0] = '\0';
	k->ours = k->mark[0] && !access(k->mark, F_OK);
}

static int make_mark(const struct ksm *k, struct err *e)
{
	int fd = k->mark[0] ? open(k->mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return err_set(e, k->mark[0] ? -errno : -ENAMETOOLONG,
			       "cannot note that in '%.200s'", k->mark);
	close(fd);
	return 0;
}

static void switch_on(struct ksm *k)
{
	struct err e = { 0 };
	int ret = make_mark(k, &e);

	if (!ret) {
		ret = host_ksm_set(k->root, true, &e);
		if (ret)
			unlink(k->mark);
	}
	k->ours = !ret;
	k->failed = ret;
	if (ret)
		log_line(LOG_WARN, "ksm", "equal pages are not merged: %s", e.msg);
	else
		log_line(LOG_INFO, "ksm", "equal pages of VMs are merged from now on");
}

static void switch_off(struct ksm *k)
{
	struct err e = { 0 };

	if (host_ksm_set(k->root, false, &e))
		log_line(LOG_WARN, "ksm", "%s", e.msg);
	else
		log_line(LOG_INFO, "ksm", "no VM is left whose pages may be merged: off again");
	unlink(k->mark);
	k->ours = false;
}

void ksm_look(struct ksm *k, bool merging, uint64_t available, uint64_t total)
{
	struct host_ksm now;

	if (!merging || k->mode == KSM_OFF) {
		k->failed = false;
		if (k->ours)
			switch_off(k);
		return;
	}
	if (k->ours || k->failed || (k->mode == KSM_AUTO && available >= total / 5))
		return;
	host_ksm(k->root, &now);
	if (!now.running)
		switch_on(k);
}
