/* SPDX-License-Identifier: MIT */
/*
 * holmd, wired: see daemon.h.
 *
 * Order: folders, store, directory of users, runner, manager; VMs are found again; then the API
 * listens, so nobody sees a half-known host. At the end the reverse, and VMs go on.
 */
#include "mgr/daemon.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "mgr/api/ctx.h"
#include "mgr/api/http.h"
#include "mgr/api/policy.h"
#include "mgr/api/volumes.h"
#include "mgr/balance.h"
#include "mgr/boot.h"
#include "mgr/core/manager.h"
#include "mgr/hostside.h"
#include "mgr/monitor.h"
#include "mgr/notify.h"
#include "mgr/run/local.h"
#include "mgr/run/own_uid.h"
#include "mgr/store/digest.h"
#include "mgr/store/sqlite.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define STOP_GRACE_MS	 2000
#define FILES_MAX	 65536
#define HISTORY_FILE_MAX (256ull << 20)

struct daemon {
	const struct options *o;
	struct loop *loop;
	struct store *store;
	struct people *people;
	struct runner *runner;
	struct mgr mgr;
	bool mgr_there;
	struct hostside host;
	struct history *history;
	struct monitor monitor;
	struct balance balance;
	struct api_ctx ctx;
	struct http *http;
	int signals;
	struct loop_fd *signal_watch;
	struct loop_timer idle;
	bool stopping;
};

static int make_folder(const char *path, mode_t mode, struct err *e)
{
	char part[OPTIONS_PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, 0755) && errno != EEXIST)
			return err_set(e, -errno, "cannot make folder %s: %s", part,
				       strerror(errno));
	}
	if (mkdir(path, mode) && errno != EEXIST)
		return err_set(e, -errno, "cannot make folder %s: %s", path, strerror(errno));
	return 0;
}

/* Two descriptors a VM and one a client: the usual 1024 would end near 500 VMs. */
static void raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return;
	l.rlim_cur = MAX(l.rlim_cur, MIN(l.rlim_max, (rlim_t)FILES_MAX));
	if (setrlimit(RLIMIT_NOFILE, &l))
		log_line(LOG_WARN, "holmd", "no more than the usual descriptors: %s",
			 strerror(errno));
}

static void on_stopped(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->loop);
}

static void stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	notify_service("STOPPING=1");
	if (d->http)
		http_stop(d->http, STOP_GRACE_MS, on_stopped, d);
	else
		loop_stop(d->loop);
}

static void on_signal(void *arg, int fd, uint32_t events UNUSED)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGHUP)
		stop(arg);
}

static int open_signals(struct daemon *d, struct err *e)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Where a parent ignores it children cannot be waited for. */
	signal(SIGCHLD, SIG_DFL);
	d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signals < 0)
		return err_set(e, -errno, "cannot watch signals: %s", strerror(errno));
	loop_lock(d->loop);
	ret = loop_fd_add(d->loop, d->signals, EPOLLIN, on_signal, d, &d->signal_watch, e);
	loop_unlock(d->loop);
	return ret;
}

/* Nothing runs and nobody is connected. */
static bool is_idle(const struct daemon *d)
{
	for (size_t i = 0; i < d->mgr.n_vms; i++)
		if (vm_state_has_process(d->mgr.vms[i]->life.state) ||
		    loop_timer_armed(&d->mgr.vms[i]->backoff))
			return false;
	return !http_connections(d->http);
}

static void arm_idle(struct daemon *d)
{
	loop_timer_arm(&d->idle, clock_monotonic_ns() + d->o->idle_s * CLOCK_NS_PER_SEC);
}

static void on_idle(void *arg)
{
	struct daemon *d = arg;

	if (is_idle(d) && d->ctx.requests == d->ctx.requests_seen) {
		log_line(LOG_INFO, "holmd", "nothing to do for %u s: ends", d->o->idle_s);
		stop(d);
		return;
	}
	d->ctx.requests_seen = d->ctx.requests;
	arm_idle(d);
}

static int open_people(struct daemon *d, struct err *e)
{
	const struct passwd *pw = getpwuid(geteuid());
	struct people_env env = {
		.sha256 = digest_sha256,
		.own_uid = geteuid(),
		.own_name = pw ? pw->pw_name : NULL,
	};
	int ret = people_create(&d->people, &env, e);

	return ret ? ret : people_load(d->people, d->store, e);
}

static struct sched_size capacity(const struct daemon *d)
{
	uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES);

	return (struct sched_size) {
		.cpu = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000,
		.memory = pages * (uint64_t)sysconf(_SC_PAGESIZE) / 100 * d->o->overcommit,
	};
}

/* Not precious: without it there is no history, and all else goes on. */
static void open_history(struct daemon *d)
{
	char path[OPTIONS_PATH_MAX + 16];
	struct err e = { 0 };

	snprintf(path, sizeof(path), "%s/history.db", d->o->state_dir);
	if (history_open(&d->history, path, &clock_host, HISTORY_FILE_MAX, &e)) {
		d->history = NULL;
		log_line(LOG_WARN, "history", "%s", e.msg);
	}
}

static int open_manager(struct daemon *d, struct err *e)
{
	struct runner_local_config cfg = {
		.loop = d->loop,
		.run_dir = d->o->run_dir,
		.state_dir = d->o->state_dir,
		.vmm = d->o->vmm,
		.own_uids = !d->o->user && own_uid_can(),
		.made = hostside_made,
		.ctx = &d->host,
	};
	struct sched_size room = capacity(d);
	int ret = runner_local_create(&d->runner, &cfg, e);

	if (ret)
		return ret;
	d->mgr = (struct mgr) {
		.loop = d->loop,
		.store = d->store,
		.runner = d->runner,
		.people = d->people,
		.net_capacity = d->o->net_capacity,
		.host = &hostside_ops,
		.host_ctx = &d->host,
		.booted = boot_is_first(d->o->run_dir),
	};
	mgr_init(&d->mgr, &room);
	d->mgr.sched.policy = d->o->sched;
	d->mgr.sched.quantum_ms = d->o->quantum_ms;
	d->mgr.sched.ageing_ms = d->o->ageing_ms;
	d->mgr_there = true;
	d->host = (struct hostside) {
		.loop = d->loop,
		.store = d->store,
		.mgr = &d->mgr,
		.monitor = &d->monitor,
		.net_lock = -1,
		.balance = &d->balance,
		.groups = { .beside = d->o->vms_unit },
	};
	ret = hostside_open(&d->host, d->o->run_dir, d->o->state_dir, e);
	if (ret)
		return ret;
	open_history(d);
	balance_open(&d->balance, &d->mgr, d->o->ksm, "", d->o->run_dir);
	d->monitor = (struct monitor) {
		.mgr = &d->mgr,
		.history = d->history,
		.second = balance_second,
		.ctx = &d->balance,
	};
	monitor_start(&d->monitor);
	ret = mgr_recover(&d->mgr, e);
	if (ret)
		return ret;
	boot_note(d->o->run_dir);
	groups_sweep(&d->host.groups);
	return 0;
}

static gid_t socket_group(const struct options *o)
{
	const struct group *g = getgrnam(o->group ? o->group : "holm");

	return g && !o->user ? g->gr_gid : (gid_t)-1;
}

static int open_api(struct daemon *d, struct err *e)
{
	gid_t gid = socket_group(d->o);
	struct http_config cfg = {
		.socket_path = d->o->socket,
		.socket_mode = gid == (gid_t)-1 ? 0600 : 0660,
		.socket_gid = gid,
		.listen_fd = http_inherited_fd(),
		.tcp_host = d->o->listen_host,
		.tcp_port = d->o->listen_port,
		.cert_path = d->o->cert,
		.key_path = d->o->key,
		.client_ca_path = d->o->client_ca,
	};

	if (cfg.listen_fd >= 0)
		cfg.socket_path = NULL;
	d->ctx = (struct api_ctx) {
		.mgr = &d->mgr,
		.people = d->people,
		.runner = d->runner,
		.store = d->store,
		.loop = d->loop,
		.net = d->host.net,
		.stock = &d->host.stock,
		.volume_project = volumes_project,
		.upload = volumes_upload,
		.history = d->history,
		.check_config = policy_check_config,
		.boot_dirs = d->o->boot_dirs,
		.n_boot_dirs = d->o->n_boot_dirs,
	};
	snprintf(d->ctx.net_why, sizeof(d->ctx.net_why), "%s", d->host.net_why);
	ctx_init(&d->ctx);
	return http_create(&d->http, &cfg, &d->ctx.api, d->loop, e);
}

static int open_folders(const struct daemon *d, struct err *e)
{
	/* Others must reach the socket, and nothing else that is in there. */
	int ret = make_folder(d->o->run_dir, d->o->user ? 0700 : 0755, e);

	return ret ? ret : make_folder(d->o->state_dir, 0700, e);
}

static int set_up(struct daemon *d, struct err *e)
{
	char path[OPTIONS_PATH_MAX + 16];
	int ret = open_folders(d, e);

	snprintf(path, sizeof(path), "%s/holm.db", d->o->state_dir);
	if (!ret)
		ret = loop_create(&d->loop, &clock_host, e);
	if (!ret)
		ret = open_signals(d, e);
	if (!ret)
		ret = store_sqlite_open(&d->store, path, e);
	if (!ret)
		ret = open_people(d, e);
	if (ret)
		return ret;
	loop_lock(d->loop);
	ret = open_manager(d, e);
	if (!ret)
		ret = open_api(d, e);
	if (!ret && d->o->idle_s) {
		loop_timer_init(&d->idle, d->loop, on_idle, d);
		arm_idle(d);
	}
	loop_unlock(d->loop);
	return ret;
}

static void tear_down(struct daemon *d)
{
	if (!d->loop)
		return;
	loop_lock(d->loop);
	http_destroy(d->http);
	runner_local_destroy(d->runner);
	monitor_stop(&d->monitor);
	balance_close(&d->balance);
	if (d->mgr_there)
		mgr_fini(&d->mgr);
	hostside_close(&d->host);
	history_close(d->history);
	people_destroy(d->people);
	if (d->store)
		d->store->ops->close(d->store);
	if (d->idle.loop)
		loop_timer_disarm(&d->idle);
	loop_fd_del(d->signal_watch);
	loop_unlock(d->loop);
	fd_close(&d->signals);
	loop_destroy(d->loop);
}

int daemon_run(const struct options *o, struct err *e)
{
	struct daemon d = { .o = o, .signals = -1, .host.net_lock = -1 };
	int ret;

	raise_files();
	ret = set_up(&d, e);

	if (!ret) {
		log_line(LOG_INFO, "holmd", "ready: %zu VMs, %s", d.mgr.n_vms, o->socket);
		notify_service("READY=1");
		ret = loop_run(d.loop);
		if (ret)
			err_set(e, ret, "the event loop failed: %s", strerror(-ret));
	}
	tear_down(&d);
	return ret;
}
