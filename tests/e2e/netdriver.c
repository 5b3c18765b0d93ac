/* SPDX-License-Identifier: MIT */
/*
 * The manager of host networks, driven by lines on stdin; for test_networks.sh.
 *
 * Each line is a verb and its words, each answer one line: "ok ..." or "error CODE SENTENCE".
 * The loop runs between lines, so dnsmasq is watched as in holmd. A VM's process is started by
 * "attach ... -- CMD" with the tap as descriptor 3 and in a session of its own, so it outlives
 * this program as holm-vmm outlives holmd.
 */
#include "base/fd.h"
#include "base/log.h"
#include "mgr/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WORDS_MAX 32
#define LINE_MAX_ 65536

struct driver {
	struct loop *loop;
	struct netmgr *m;
	char line[LINE_MAX_];
	size_t len;
};

static void answer(int ret, const struct err *e, const char *text)
{
	if (ret)
		printf("error %d %s\n", -ret, e->msg);
	else
		printf("ok %s\n", text);
	fflush(stdout);
}

static void answer_network(int ret, const struct err *e, const struct network *n)
{
	MEM_AUTO char *json = ret ? NULL : network_encode(n);

	answer(ret, e, json ? json : "");
}

/* define JSON: as from a user; load JSON: as from the store; update JSON. */
static void do_record(struct driver *d, const char *verb, const char *json)
{
	struct network n;
	struct err e;
	int ret;

	network_init(&n);
	ret = network_decode(&n, json, strlen(json), true, &e);
	if (!ret)
		ret = !strcmp(verb, "update") ? netmgr_update(d->m, &n, &e)
					      : netmgr_define(d->m, &n, *verb == 'd', &e);
	answer_network(ret, &e, &n);
	network_free(&n);
}

static void run_vm(int tap, char **argv)
{
	signal(SIGCHLD, SIG_IGN);
	if (fork() == 0) {
		setsid();
		if (tap != 3)
			dup2(tap, 3);
		else
			fcntl(3, F_SETFD, 0);
		close_range(4, ~0u, 0);
		/* Nothing of ours stays open: the script waits for the end of our output. */
		dup2(open("/dev/null", O_RDWR), 0);
		dup2(2, 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(tap);
}

/* attach NET ID NAME MAC|- RULES|- -- CMD... */
static void do_attach(struct driver *d, char **w, int n)
{
	struct net_nic nic = { .vm = w[2], .name = w[3] };
	const struct net_lease *l = NULL;
	uint8_t mac[NET_MAC_LEN];
	struct net_rule *rules = NULL;
	char ip[NET_IP_TEXT], hw[NET_MAC_TEXT], text[64] = "";
	struct err e;
	int fd = -1, ret = 0;

	if (n < 8) {
		answer(-EINVAL, &(struct err) { .msg = "attach NET ID NAME MAC RULES -- CMD" }, "");
		return;
	}
	if (strcmp(w[4], "-") != 0) {
		ret = net_mac_parse(mac, w[4], &e);
		nic.mac = mac;
	}
	if (!ret && strcmp(w[5], "-") != 0) {
		ret = net_rules_decode(&rules, &nic.n_rules, w[5], strlen(w[5]), &e);
		nic.rules = rules;
		nic.set_rules = true;
	}
	if (!ret)
		ret = netmgr_attach(d->m, w[1], &nic, &fd, &l, &e);
	if (!ret) {
		snprintf(text, sizeof(text), "%s %s", net_ip_format(ip, l->addr),
			 net_mac_format(hw, l->mac));
		run_vm(fd, w + 7);
	}
	free(rules);
	answer(ret, &e, text);
}

static void do_rules(struct driver *d, const char *vm, const char *json)
{
	struct net_rule *rules = NULL;
	size_t n = 0;
	struct err e;
	int ret = net_rules_decode(&rules, &n, json, strlen(json), &e);

	if (!ret)
		ret = netmgr_set_rules(d->m, vm, rules, n, &e);
	free(rules);
	answer(ret, &e, "");
}

static void do_info(struct driver *d, const char *net)
{
	struct net_info i;
	char text[64] = "";
	struct err e;
	int ret = netmgr_info(d->m, net, &i, &e);

	if (!ret)
		snprintf(text, sizeof(text), "%s %zu %zu %d", i.active ? "active" : "stopped",
			 i.leases->n, i.attached, (int)i.dnsmasq);
	answer(ret, &e, text);
}

static void run_line(struct driver *d, char *line)
{
	char *w[WORDS_MAX + 1] = { 0 }, *save = NULL;
	struct err e = { .msg = "no such verb" };
	int n = 0, ret = -EINVAL;

	for (char *p = strtok_r(line, " ", &save); p && n < WORDS_MAX;
	     p = strtok_r(NULL, " ", &save))
		w[n++] = p;
	if (n >= 2 &&
	    (!strcmp(w[0], "define") || !strcmp(w[0], "load") || !strcmp(w[0], "update"))) {
		do_record(d, w[0], w[1]);
		return;
	}
	if (n >= 2 && !strcmp(w[0], "attach")) {
		do_attach(d, w, n);
		return;
	}
	if (n == 3 && !strcmp(w[0], "rules")) {
		do_rules(d, w[1], w[2]);
		return;
	}
	if (n == 2 && !strcmp(w[0], "info")) {
		do_info(d, w[1]);
		return;
	}
	if (n == 2 && !strcmp(w[0], "start"))
		ret = netmgr_start(d->m, w[1], &e);
	else if (n == 2 && !strcmp(w[0], "stop"))
		ret = netmgr_stop(d->m, w[1], &e);
	else if (n == 2 && !strcmp(w[0], "remove"))
		ret = netmgr_remove(d->m, w[1], &e);
	else if (n == 2 && !strcmp(w[0], "detach"))
		ret = netmgr_detach(d->m, w[1], &e);
	else if (n == 2 && !strcmp(w[0], "forget"))
		ret = netmgr_forget(d->m, w[1], &e);
	else if (n == 3 && !strcmp(w[0], "rename"))
		ret = netmgr_rename(d->m, w[1], w[2], &e);
	else if (n == 1 && !strcmp(w[0], "restore"))
		ret = netmgr_restore(d->m, &e);
	answer(ret, &e, "");
}

static void on_input(void *arg, int fd, uint32_t events UNUSED)
{
	struct driver *d = arg;
	ssize_t n = read(fd, d->line + d->len, sizeof(d->line) - 1 - d->len);
	char *end;

	if (n <= 0) {
		loop_stop(d->loop);
		return;
	}
	d->len += (size_t)n;
	d->line[d->len] = 0;
	while ((end = strchr(d->line, '\n'))) {
		size_t used = (size_t)(end + 1 - d->line);

		*end = 0;
		run_line(d, d->line);
		memmove(d->line, d->line + used, d->len - used + 1);
		d->len -= used;
	}
}

int main(int argc, char **argv)
{
	static struct driver d;
	struct netmgr_opts o = { 0 };
	struct loop_fd *watch = NULL;
	struct err e;
	int ret;

	if (argc < 3) {
		fprintf(stderr, "netdriver STATE-DIR RUN-DIR [RESOLV]\n");
		return 2;
	}
	log_setup(-1, LOG_DEBUG);
	ret = loop_create(&d.loop, &clock_host, &e);
	o = (struct netmgr_opts) { .loop = d.loop,
				   .state_dir = argv[1],
				   .run_dir = argv[2],
				   .resolv = argc > 3 ? argv[3] : NULL };
	if (!ret)
		ret = netmgr_open(&d.m, &o, &e);
	if (!ret)
		ret = loop_fd_add(d.loop, 0, EPOLLIN, on_input, &d, &watch, &e);
	answer(ret, &e, "ready");
	if (!ret)
		ret = loop_run(d.loop);
	loop_fd_del(watch);
	netmgr_close(d.m);
	loop_destroy(d.loop);
	return ret ? 1 : 0;
}
