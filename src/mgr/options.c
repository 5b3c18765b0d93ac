/* SPDX-License-Identifier: MIT */
/*
 * The command line of holmd, see options.h.
 */
#include "mgr/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_S 60

enum { OPT_RUN = 256, OPT_STATE, OPT_SOCKET, OPT_GROUP, OPT_LISTEN, OPT_CERT, OPT_KEY, OPT_CA,
       OPT_LOG, OPT_IDLE, OPT_OVERCOMMIT, OPT_USER, OPT_SYSTEM, OPT_VMM,
       OPT_VMS_UNIT };

static const struct option table[] = {
	{ "user", no_argument, NULL, OPT_USER },
	{ "system", no_argument, NULL, OPT_SYSTEM },
	{ "run-dir", required_argument, NULL, OPT_RUN },
	{ "state-dir", required_argument, NULL, OPT_STATE },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "client-ca", required_argument, NULL, OPT_CA },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "idle", required_argument, NULL, OPT_IDLE },
	{ "overcommit", required_argument, NULL, OPT_OVERCOMMIT },
	{ "vmm", required_argument, NULL, OPT_VMM },
	{ "vms-unit", required_argument, NULL, OPT_VMS_UNIT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

void options_help(void)
{
	puts("usage: holmd [OPTION]...\n"
	     "The manager of Holm's VMs on this host. VMs go on when it ends.\n\n"
	     "  --system            for the host: /run/holm, /var/lib/holm (default for root)\n"
	     "  --user              for one user, ended when idle (default for others)\n"
	     "  --run-dir DIR       sockets of VMs; gone with a reboot of the host\n"
	     "  --state-dir DIR     records, logs and volumes\n"
	     "  --socket PATH       where the API listens; RUN-DIR/holmd.sock by default\n"
	     "  --group NAME        group that may connect; holm by default with --system\n"
	     "  --listen HOST:PORT  the API on TCP with TLS 1.3 too; needs --cert and --key\n"
	     "  --cert FILE --key FILE --client-ca FILE\n"
	     "                      PEM files; with --client-ca certificates of clients count\n"
	     "  --idle SECONDS      end after so long without VMs and clients; 0: never\n"
	     "  --overcommit N      memory that all running VMs may have, in per cent of the\n"
	     "                      host's; 100 by default\n"
	     "  --vmm FILE          holm-vmm, by default the one beside holmd\n"
	     "  --vms-unit UNIT     systemd unit beside our own whose control group the VMs\n"
	     "                      go into, so that they are no part of ours\n"
	     "  --log FILE          append messages to FILE instead of standard error\n"
	     "  --help, --version");
}

static int take_path(char *out, const char *value, struct err *e)
{
	if (value[0] != '/')
		return err_set(e, -EINVAL, "'%.200s' is not an absolute path", value);
	if (strlen(value) >= OPTIONS_PATH_MAX - 64)
		return err_set(e, -EINVAL, "'%.40s...' is too long a path", value);
	snprintf(out, OPTIONS_PATH_MAX, "%s", value);
	return 0;
}

static int take_number(unsigned *out, const char *what, const char *value, unsigned min,
		       unsigned max, struct err *e)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || value[0] == '-' || n < min || n > max)
		return err_set(e, -EINVAL, "%s '%.40s' is not a number of %u to %u", what, value,
			       min, max);
	*out = (unsigned)n;
	return 0;
}

/* HOST:PORT, [ADDRESS]:PORT. The host is cut out of the argument. */
static int take_listen(struct options *o, char *value, struct err *e)
{
	char *colon = strrchr(value, ':');
	unsigned port = 0;
	int ret;

	if (!colon || colon == value)
		return err_set(e, -EINVAL, "--listen '%.80s' is not HOST:PORT", value);
	ret = take_number(&port, "port", colon + 1, 0, 65535, e);
	if (ret)
		return ret;
	*colon = '\0';
	if (value[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		value++;
	}
	o->listen_host = value;
	o->listen_port = (uint16_t)port;
	return 0;
}

static int take(struct options *o, int opt, char *value, struct err *e)
{
	switch (opt) {
	case OPT_USER:
	case OPT_SYSTEM:
		o->user = opt == OPT_USER;
		return 0;
	case OPT_RUN:
		return take_path(o->run_dir, value, e);
	case OPT_STATE:
		return take_path(o->state_dir, value, e);
	case OPT_SOCKET:
		return take_path(o->socket, value, e);
	case OPT_VMM:
		return take_path(o->vmm, value, e);
	case OPT_GROUP:
		o->group = value;
		return 0;
	case OPT_LISTEN:
		return take_listen(o, value, e);
	case OPT_CERT:
		o->cert = value;
		return 0;
	case OPT_KEY:
		o->key = value;
		return 0;
	case OPT_CA:
		o->client_ca = value;
		return 0;
	case OPT_VMS_UNIT:
		if (!value[0] || value[0] == '.' || strchr(value, '/') || strlen(value) > 255)
			return err_set(e, -EINVAL, "--vms-unit '%.80s' is no unit's name", value);
		o->vms_unit = value;
		return 0;
	case OPT_LOG:
		o->log = value;
		return 0;
	case OPT_IDLE:
		return take_number(&o->idle_s, "--idle", value, 0, 1000000, e);
	case OPT_OVERCOMMIT:
		return take_number(&o->overcommit, "--overcommit", value, 1, 10000, e);
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	default:
		return err_set(e, -EINVAL, "unknown option; see 'holmd --help'");
	}
}

static int default_dir(char *out, const char *base, const char *rest, struct err *e)
{
	if (out[0])
		return 0;
	if (snprintf(out, OPTIONS_PATH_MAX, "%s%s", base, rest) >= OPTIONS_PATH_MAX - 64)
		return err_set(e, -EINVAL, "%.40s...: too long a path", base);
	return 0;
}

static int default_dirs(struct options *o, struct err *e)
{
	const char *home = getenv("HOME"), *run = getenv("XDG_RUNTIME_DIR");
	const char *state = getenv("XDG_STATE_HOME");
	int ret;

	if (!o->user) {
		ret = default_dir(o->state_dir, "/var/lib/holm", "", e);
		return ret ? ret : default_dir(o->run_dir, "/run/holm", "", e);
	}
	if (!o->state_dir[0] && !state && !home)
		return err_set(e, -EINVAL, "HOME is not set: name a place with --state-dir DIR");
	ret = state ? default_dir(o->state_dir, state, "/holm", e)
		    : default_dir(o->state_dir, home ? home : "", "/.local/state/holm", e);
	if (ret)
		return ret;
	return run ? default_dir(o->run_dir, run, "/holm", e)
		   : default_dir(o->run_dir, o->state_dir, "/run", e);
}

static int default_vmm(struct options *o, struct err *e)
{
	ssize_t n;
	char *slash;

	if (o->vmm[0])
		return 0;
	n = readlink("/proc/self/exe", o->vmm, sizeof(o->vmm) - 16);
	if (n < 0)
		return err_set(e, -errno, "cannot find this program: %s", strerror(errno));
	o->vmm[n] = '\0';
	slash = strrchr(o->vmm, '/');
	memcpy(slash ? slash : o->vmm, "/holm-vmm", sizeof("/holm-vmm"));
	if (access(o->vmm, X_OK))
		return err_set(e, -ENOENT, "%s: %s; it belongs beside holmd", o->vmm,
			       strerror(errno));
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	int opt, ret = 0;

	*o = (struct options) { .user = geteuid() != 0, .overcommit = 100, .idle_s = UINT32_MAX };
	opterr = 0;
	while (!ret && (opt = getopt_long(argc, argv, "hV", table, NULL)) != -1) {
		ret = take(o, opt, optarg, e);
		if (opt == '?')
			ret = err_set(e, -EINVAL, "'%.80s': unknown, or its value is missing; see "
				      "'holmd --help'", argv[optind - 1]);
	}
	if (!ret && optind < argc)
		ret = err_set(e, -EINVAL, "holmd takes no argument '%.80s'", argv[optind]);
	if (ret || o->help || o->version)
		return ret;
	if (o->listen_host && (!o->cert || !o->key))
		return err_set(e, -EINVAL, "--listen needs --cert FILE and --key FILE: TCP is "
					   "served with TLS only");
	if (o->idle_s == UINT32_MAX)
		o->idle_s = o->user ? IDLE_S : 0;
	ret = default_dirs(o, e);
	if (!ret)
		ret = default_dir(o->socket, o->run_dir, "/holmd.sock", e);
	return ret ? ret : default_vmm(o, e);
}
