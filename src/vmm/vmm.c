/* SPDX-License-Identifier: MIT */
/*
 * One VM's process, see vmm.h.
 *
 * Order: open everything and build the machine with the user's rights; lock down; make the vCPU
 * threads, each of which narrows itself to its kind; narrow the main thread; run.
 */
#include "vmm/vmm.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "machine/machine.h"
#include "vmm/control.h"
#include "vmm/exit.h"
#include "vmm/metrics.h"
#include "vmm/sandbox.h"
#include "vmm/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct vmm {
	const struct vm_config *config;
	int log_fd;
	struct metrics metrics;
	struct sandbox sandbox;
	struct machine *machine;
	struct signals signals;
	struct control *control; /* NULL: no manager */
};

static int open_log(struct vmm *v, struct err *e)
{
	const char *path = v->config->log;

	if (!path)
		return 0;
	v->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (v->log_fd < 0)
		return err_set(e, -errno, "cannot open the log %s: %s", path, strerror(errno));
	log_setup(v->log_fd, LOG_INFO);
	return 0;
}

static void test_forbidden(const struct vmm *v, const char *kind)
{
	if (v->config->forbidden && !strcmp(v->config->forbidden, kind))
		sandbox_test_forbidden();
}

static void vcpu_thread(void *ctx)
{
	const struct vmm *v = ctx;
	struct err e = { 0 };

	if (sandbox_enter(&v->sandbox, SANDBOX_VCPU, &e)) {
		log_line(LOG_ERROR, "sandbox", "%s", e.msg);
		_exit(HOLM_EXIT_INTERNAL);
	}
	test_forbidden(v, "vcpu");
}

static int set_up(struct vmm *v, struct err *e)
{
	int ret = open_log(v, e);

	if (!ret)
		ret = metrics_open(&v->metrics, v->config->metrics, v->config->control_fd >= 0, e);
	if (!ret)
		ret = machine_create(&v->machine, v->config, e);
	if (!ret)
		ret = signals_open(&v->signals, v->machine, &v->metrics, e);
	if (!ret && v->config->control_fd >= 0)
		ret = control_open(&v->control, v->config, v->machine, &v->metrics, e);
	return ret;
}

static void settled(void *ctx)
{
	const struct vmm *v = ctx;

	if (v->control)
		control_settled(v->control);
}

static void saved(void *ctx, const struct err *e)
{
	const struct vmm *v = ctx;

	if (v->control)
		control_saved(v->control, e);
}

static int lock_down(struct vmm *v, struct err *e)
{
	struct machine_hooks hooks = {
		.vcpu_thread = vcpu_thread,
		.settled = settled,
		.saved = saved,
		.ctx = v,
	};
	int ret;

	v->sandbox = (struct sandbox) {
		.mode = v->config->sandbox,
		.exec_ok = machine_needs_exec(v->machine),
		.resolver = v->config->net == VM_NET_USER,
	};
	ret = sandbox_lock(&v->sandbox, e);
	if (!ret)
		ret = machine_start(v->machine, &hooks, e);
	if (!ret)
		ret = sandbox_enter(&v->sandbox, SANDBOX_LOOP, e);
	return ret;
}

static int run(struct vmm *v)
{
	struct loop *l = machine_loop(v->machine);
	const char *end;
	int code;

	test_forbidden(v, "loop");
	code = machine_run(v->machine);
	/* The loop can fail too, then the machine itself has not ended. */
	end = machine_end_name(code == HOLM_EXIT_INTERNAL ? MACHINE_ERROR
							  : machine_end(v->machine));
	loop_lock(l);
	metrics_write(&v->metrics, v->machine);
	exit_record(v->config->exit_fd, end, code, NULL);
	if (v->control)
		control_end(v->control, end, code);
	loop_unlock(l);
	return code;
}

int vmm_fail(const struct vm_config *c, const struct err *e)
{
	int code = (int)err_exit_code(e->code);

	fprintf(stderr, "holm: %s\n", e->msg);
	exit_record(c->exit_fd, machine_end_name(MACHINE_ERROR), code, e->msg);
	return code;
}

/* seccomp: loop: epoll_ctl rt_sigtimedwait fcntl fsync ioctl unlink */
int vmm_run(const struct vm_config *c)
{
	struct vmm v = { .config = c, .log_fd = -1, .metrics = { -1, -1 } };
	struct err e = { 0 };
	int ret, code;

	signals_block();
	prctl(PR_SET_NAME, c->name);
	ret = set_up(&v, &e);
	if (!ret && !c->dry_run)
		ret = lock_down(&v, &e);
	if (ret) {
		machine_restore_terminal();
		code = vmm_fail(c, &e);
	} else if (c->dry_run) {
		code = HOLM_EXIT_OK;
	} else {
		code = run(&v);
	}
	control_close(v.control);
	signals_close(&v.signals);
	machine_destroy(v.machine);
	metrics_close(&v.metrics);
	log_setup(-1, LOG_INFO);
	fd_close(&v.log_fd);
	return code;
}
