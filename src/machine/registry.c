/* SPDX-License-Identifier: MIT */
/*
 * What there is to choose from, see registry.h.
 */
#include "machine/registry.h"

#include "base/log.h"
#include "blk/fmt/raw.h"
#include "chr/be/backends.h"
#include "cpu/kvm/kvm.h"
#include "cpu/soft/engine/engine.h"
#include "machine/parts.h"
#include "net/be/backends.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

const struct cpu_engine_ops *const registry_engines[] = {
	&cpu_kvm_engine,
	&cpu_soft_engine,
	NULL,
};

const struct boot_loader_ops *const registry_loaders[] = {
	&boot_bzimage,
	&boot_pvh,
	&boot_multiboot,
	NULL,
};

const struct registry_format registry_formats[] = {
	{ .name = "raw", .open = blk_raw_open, .open_fd = blk_raw_open_fd },
};

static int net_user(struct net_backend **out, const struct vm_config *c, struct loop *loop,
		    struct err *e)
{
	struct net_forward forwards[VM_FORWARDS_MAX];
	struct net_user_config cfg = {
		.hostname = c->name,
		.forwards = forwards,
		.n_forwards = c->n_forwards,
	};

	for (unsigned i = 0; i < c->n_forwards; i++)
		forwards[i] = (struct net_forward) {
			.udp = c->forwards[i].udp,
			.host_addr = c->forwards[i].host_addr,
			.host_port = c->forwards[i].host_port,
			.guest_port = c->forwards[i].guest_port,
		};
	return net_user_open(out, &cfg, loop, e);
}

static int net_tap(struct net_backend **out, const struct vm_config *c, struct loop *loop,
		   struct err *e)
{
	return net_tap_open(out, c->tap, loop, e);
}

static int net_managed(struct net_backend **out, const struct vm_config *c, struct loop *loop,
		       struct err *e)
{
	if (c->tap_fd < 0)
		return err_set(e, -EINVAL,
			       "network %s is the manager's, so only VMs of holmd can be in it: "
			       "create the VM there or use --net user",
			       c->network);
	return net_tap_open_fd(out, c->tap_fd, loop, e);
}

const registry_net_fn registry_nets[VM_NET_COUNT] = {
	[VM_NET_USER] = net_user,
	[VM_NET_TAP] = net_tap,
	[VM_NET_MANAGED] = net_managed,
};

static void escape_typed(void *ctx)
{
	machine_request(ctx, MACHINE_QUIT, 0);
}

static int chr_stdio(struct chr_backend **out, const struct vm_chr *c, const char *what,
		     struct machine *m, struct err *e)
{
	struct chr_stdio_config cfg = {
		.raw = isatty(STDIN_FILENO) && !m->config->dry_run,
		.quit = escape_typed,
		.quit_ctx = m,
	};

	return chr_stdio_open(out, &cfg, m->loop, e);
}

static int chr_file(struct chr_backend **out, const struct vm_chr *c, const char *what,
		    struct machine *m, struct err *e)
{
	return chr_file_open(out, c->path, m->loop, e);
}

static int chr_pty(struct chr_backend **out, const struct vm_chr *c, const char *what,
		   struct machine *m, struct err *e)
{
	char *name;
	int ret = chr_pty_open(out, &name, m->loop, e);

	if (!ret) {
		log_line(LOG_INFO, what, "on %s", name);
		free(name);
	}
	return ret;
}

static int chr_socket(struct chr_backend **out, const struct vm_chr *c, const char *what,
		      struct machine *m, struct err *e)
{
	return chr_socket_open(out, c->path, m->loop, e);
}

static int chr_none(struct chr_backend **out, const struct vm_chr *c, const char *what,
		    struct machine *m, struct err *e)
{
	return chr_null_open(out, e);
}

static int chr_ring(struct chr_backend **out, const struct vm_chr *c, const char *what,
		    struct machine *m, struct err *e)
{
	const struct chr_ring_config cfg = {
		.listen_fd = m->config->console_fd,
		.log_fd = { m->config->log_fd_a, m->config->log_fd_b },
	};

	return chr_ring_open(out, &cfg, m->loop, e);
}

const registry_chr_fn registry_chrs[VM_CHR_COUNT] = {
	[VM_CHR_STDIO] = chr_stdio,   [VM_CHR_FILE] = chr_file, [VM_CHR_PTY] = chr_pty,
	[VM_CHR_SOCKET] = chr_socket, [VM_CHR_NONE] = chr_none, [VM_CHR_RING] = chr_ring,
};

void machine_restore_terminal(void)
{
	chr_stdio_restore();
}
