/* SPDX-License-Identifier: MIT */
/*
 * The machine: made in order, unmade in reverse, run until it ends, see machine.h.
 */
#include "machine/machine.h"

#include "base/fd.h"
#include "base/log.h"
#include "cpu/cpuid.h"
#include "machine/parts.h"
#include "machine/save.h"
#include "proto/config.h"
#include "virtio/dev/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BALLOON_KEEP_MIN (16ull << 20)
#define DRAIN_MAX_NS	 (30 * CLOCK_NS_PER_SEC)

int machine_add_dev(struct machine *m, const struct dev_ops *ops, void *impl, const char *name,
		    struct err *e)
{
	struct dev *d = &m->devs[m->n_devs];

	if (m->n_devs == MACHINE_DEVS_MAX) {
		ops->destroy(impl);
		return err_set(e, -ENOSPC, "more than %d devices", MACHINE_DEVS_MAX);
	}
	*d = (struct dev) { .ops = ops, .impl = impl };
	snprintf(d->name, sizeof(d->name), "%s", name);
	m->n_devs++;
	return 0;
}

static void wake(void *arg)
{
}

void machine_request(struct machine *m, enum machine_end end, uint32_t code)
{
	if (atomic_load(&m->end) != MACHINE_RUNS)
		return;
	m->end_code = code;
	atomic_store(&m->end, end);
	vcpus_ask_pause(&m->vcpus);
	loop_call_schedule(&m->wake);
}

static void ask(struct machine *m, bool pause)
{
	m->pause_wanted = pause;
	atomic_store(&m->unsettled, true);
	if (pause)
		vcpus_ask_pause(&m->vcpus);
	loop_call_schedule(&m->wake);
}

void machine_pause(struct machine *m)
{
	ask(m, true);
}

void machine_resume(struct machine *m)
{
	ask(m, false);
}

bool machine_paused(const struct machine *m)
{
	return m->pause_wanted;
}

int machine_save(struct machine *m, int state_fd, int memory_fd, struct err *e)
{
	if (!m->stands || !m->pause_wanted || m->save_fd[0] >= 0)
		return err_set(e, -EBUSY, "the VM %s",
			       m->save_fd[0] >= 0 ? "is being saved" : "does not stand: pause it");
	m->save_fd[0] = state_fd;
	m->save_fd[1] = memory_fd;
	atomic_store(&m->unsettled, true);
	loop_call_schedule(&m->wake);
	return 0;
}

void machine_reset(struct machine *m)
{
	m->reset_asked = true;
	machine_request(m, MACHINE_RESET, 0);
}

int machine_balloon(struct machine *m, uint64_t keep, struct err *e)
{
	uint64_t ram = mem_ram_size(m->mem);
	char want[32], have[32];

	/* Asked for all of it a guest would only spend its time on giving. */
	if (keep > ram || keep < MIN(ram, BALLOON_KEEP_MIN))
		return err_set(e, -ERANGE, "the guest cannot keep %s: give 16 MiB to %s",
			       vm_size_format(want, sizeof(want), keep),
			       vm_size_format(have, sizeof(have), ram));
	virtio_balloon_set_target(m->balloon, (uint32_t)((ram - keep) >> MEM_PAGE_SHIFT));
	return 0;
}

int machine_forward(struct machine *m, const struct vm_forward *f, bool on, struct err *e)
{
	struct net_forward n = {
		.udp = f->udp,
		.host_addr = f->host_addr,
		.host_port = f->host_port,
		.guest_port = f->guest_port,
	};
	int ret;

	if (!m->net)
		return err_set(e, -ENOTSUP, "the VM has no network");
	if (on && m->n_forwards == VM_FORWARDS_MAX)
		return err_set(e, -E2BIG, "more than %d forwarded ports", VM_FORWARDS_MAX);
	ret = net_forward(m->net, &n, on, e);
	if (!ret)
		m->n_forwards += on ? 1u : -1u;
	return ret;
}

static void limit_io(struct machine *m, uint64_t per_sec)
{
	blk_limit_set(&m->io_limit, per_sec);
}

void machine_limit_io(struct machine *m, uint64_t per_sec)
{
	m->io_per_sec = per_sec;
	limit_io(m, per_sec);
}

void machine_limit_net(struct machine *m, uint64_t per_sec)
{
	if (m->net)
		net_set_limit(m->net, per_sec);
}

enum machine_end machine_end(const struct machine *m)
{
	return (enum machine_end)atomic_load(&m->end);
}

const char *machine_end_name(enum machine_end end)
{
	static const char *const names[] = {
		[MACHINE_RUNS] = "runs",   [MACHINE_POWEROFF] = "poweroff",
		[MACHINE_RESET] = "reset", [MACHINE_DEBUG_EXIT] = "debug-exit",
		[MACHINE_PANIC] = "panic", [MACHINE_SHUTDOWN] = "shutdown",
		[MACHINE_QUIT] = "quit",   [MACHINE_ERROR] = "error",
	};

	static_assert(ARRAY_SIZE(names) == MACHINE_END_COUNT, "a name for each end");
	return names[end];
}

const char *machine_engine(const struct machine *m, const char **why)
{
	if (why)
		*why = m->engine_why;
	return m->engine->name;
}

void machine_power_button(struct machine *m)
{
	acpi_pm_power_button(m->acpi_pm);
}

struct loop *machine_loop(struct machine *m)
{
	return m->loop;
}

bool machine_needs_exec(const struct machine *m)
{
	return strcmp(m->engine->name, "kvm") != 0;
}

static void vcpu_ended(void *ctx, unsigned id, enum cpu_exit why)
{
	struct machine *m = ctx;

	loop_lock(m->loop);
	if (why == CPU_EXIT_SHUTDOWN) {
		log_line(LOG_WARN, "machine", "vCPU %u shut down: a triple fault", id);
		machine_request(m, MACHINE_SHUTDOWN, 0);
	} else {
		machine_request(m, MACHINE_ERROR, 0);
	}
	loop_unlock(m->loop);
}

/* The host's memory bounds the guest's: more would end in the host killing processes. */
static int check_memory(const struct vm_config *c, struct err *e)
{
	uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	char want[32], have[32];

	if (c->memory <= host)
		return 0;
	return err_set(e, -ENOMEM, "memory of %s is more than the host's %s: ask for less",
		       vm_size_format(want, sizeof(want), c->memory),
		       vm_size_format(have, sizeof(have), host));
}

static int build_memory(struct machine *m, struct err *e)
{
	int ret = check_memory(m->config, e);

	if (!ret)
		ret = mem_create(&m->mem, e);
	if (!ret && m->saved)
		ret = mem_add_ram_saved(m->mem, m->config->memory_fd, m->config->memory_merge,
					m->config->memory, BOARD_LOW_RAM_END, e);
	else if (!ret && m->config->memory_merge)
		ret = mem_add_ram_merged(m->mem, m->config->memory, BOARD_LOW_RAM_END, e);
	else if (!ret)
		ret = mem_add_ram(m->mem, m->config->memory, BOARD_LOW_RAM_END, e);
	if (!ret)
		ret = bus_create(&m->ports, "port", 0x10000, e);
	if (!ret)
		ret = bus_create(&m->mmio, "mmio", 1ull << MEM_GPA_BITS, e);
	return ret;
}

static int build_engine(struct machine *m, struct err *e)
{
	struct cpuid_policy policy = {
		.vcpus = m->config->cpus,
		.soft = machine_needs_exec(m),
		/* A saved VM has its own, which must lie within what there is at most. */
		.portable = m->config->cpu_model == VM_CPU_PORTABLE && !m->saved,
	};
	struct cpu_vm_config cfg = {
		.vcpus = m->config->cpus,
		.cpuid = &m->cpuid,
		.io = &m->io,
		.mem = m->mem,
		.options = m->config->engine_options,
	};
	struct cpuid_table *supported = calloc(1, sizeof(*supported));
	int ret;

	if (!supported)
		return err_set(e, -ENOMEM, "no memory for the CPUID table");
	ret = m->engine->cpuid_supported(supported, e);
	if (!ret)
		ret = cpuid_apply_policy(&m->cpuid, supported, &policy, e);
	if (!ret && m->saved)
		ret = save_cpuid(m, e);
	if (!ret)
		ret = m->engine->vm_create(&m->vm, &cfg, e);
	free(supported);
	return ret;
}

static int build_devices(struct machine *m, struct err *e)
{
	int ret;

	loop_lock(m->loop);
	ret = chipset_build(m, e);
	if (!ret)
		ret = virtio_build(m, e);
	if (!ret)
		ret = extras_build(m, e);
	loop_unlock(m->loop);
	return ret;
}

static void set_limits(struct machine *m)
{
	loop_lock(m->loop);
	machine_limit_io(m, m->config->io_limit);
	machine_limit_net(m, m->config->net_limit);
	loop_unlock(m->loop);
}

static int build_cpus(struct machine *m, struct err *e)
{
	int ret = vcpus_create(&m->vcpus, m->engine, m->vm, m->config->cpus, e);

	if (ret)
		return ret;
	m->vcpus.ended = vcpu_ended;
	m->vcpus.ended_ctx = m;
	loop_lock(m->loop);
	m->restored = m->saved;
	ret = m->saved ? save_load(m, e) : bootup_load(m, e);
	loop_unlock(m->loop);
	return ret;
}

int machine_create(struct machine **out, const struct vm_config *c, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return err_set(e, -ENOMEM, "no memory for a machine");
	m->config = c;
	m->kernel.fd = m->initrd.fd = m->save_fd[0] = m->save_fd[1] = -1;
	m->n_forwards = c->n_forwards;
	m->pause_wanted = c->paused;
	atomic_init(&m->unsettled, true);
	gclock_init(&m->clock, &clock_host);
	ret = bootup_open(m, e);
	if (!ret && c->state_fd >= 0)
		ret = save_read(m, e);
	if (!ret && m->saved)
		ret = save_clock(m, e);
	if (!ret)
		ret = loop_create(&m->loop, &m->clock.clock, e);
	if (!ret) {
		loop_call_init(&m->wake, m->loop, wake, m);
		blk_limit_init(&m->io_limit, m->loop);
		ret = engine_choose(m, e);
	}
	if (!ret)
		ret = build_memory(m, e);
	if (!ret) {
		wiring_init(m);
		ret = build_engine(m, e);
	}
	if (!ret)
		ret = build_devices(m, e);
	if (!ret)
		set_limits(m);
	if (!ret)
		ret = build_cpus(m, e);
	if (ret) {
		machine_destroy(m);
		return ret;
	}
	log_line(LOG_INFO, "engine", "%s", m->engine_why);
	*out = m;
	return 0;
}

/* Every part of it may be missing: it is also create's way to unwind. */
void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	vcpus_destroy(&m->vcpus);
	if (m->loop) {
		loop_lock(m->loop);
		while (m->n_devs > 0) {
			struct dev *d = &m->devs[--m->n_devs];

			d->ops->destroy(d->impl);
		}
		loop_call_cancel(&m->wake);
		blk_limit_fini(&m->io_limit);
		loop_unlock(m->loop);
	}
	if (m->vm)
		m->engine->vm_destroy(m->vm);
	bus_destroy(m->mmio);
	bus_destroy(m->ports);
	mem_destroy(m->mem);
	loop_destroy(m->loop);
	fd_close(&m->initrd.fd);
	fd_close(&m->kernel.fd);
	fd_close(&m->save_fd[0]);
	fd_close(&m->save_fd[1]);
	free(m->saved);
	free(m);
}

int machine_start(struct machine *m, const struct machine_hooks *hooks, struct err *e)
{
	m->hooks = *hooks;
	m->vcpus.thread_hook = hooks->vcpu_thread;
	m->vcpus.hook_ctx = hooks->ctx;
	return vcpus_start(&m->vcpus, e);
}

/* seccomp: loop: fallocate madvise */
static int clear_ram(struct machine *m)
{
	unsigned n;
	const struct mem_region *r = mem_regions(m->mem, &n);
	int ret = 0;

	for (unsigned i = 0; i < n && !ret; i++)
		if (r[i].kind == MEM_RAM)
			ret = mem_discard(m->mem, r[i].gpa, r[i].size);
	return ret;
}

static void quiesce(struct machine *m, bool on)
{
	for (unsigned i = 0; i < m->n_devs; i++)
		if (m->devs[i].ops->quiesce)
			m->devs[i].ops->quiesce(m->devs[i].impl, on);
}

static bool disks_busy(struct machine *m)
{
	bool busy = false;

	loop_lock(m->loop);
	for (unsigned i = 0; i < m->config->n_disks; i++)
		busy |= blk_in_flight(m->blks[i]) != 0;
	loop_unlock(m->loop);
	return busy;
}

/* Until no disk has anything to do; all vCPUs wait at the gate, the loop is ours. */
static bool wait_for_disks(struct machine *m)
{
	uint64_t by = clock_monotonic_ns() + DRAIN_MAX_NS;

	while (disks_busy(m)) {
		if (clock_monotonic_ns() > by) {
			log_line(LOG_ERROR, "machine", "the host does not end the disks' I/O");
			return false;
		}
		if (loop_poll(m->loop, 100) < 0)
			return false;
	}
	return true;
}

/*
 * Before the guest's memory is cleared or given back, the disks are to be done with it: a write
 * that the host has begun would else store what is there by then. What waits for the limit has
 * not begun and is dropped, as by a power cut.
 */
static void drain_disks(struct machine *m)
{
	loop_lock(m->loop);
	quiesce(m, true);
	for (unsigned i = 0; i < m->config->n_disks; i++)
		blk_drop_waiting(m->blks[i]);
	loop_unlock(m->loop);
	(void)wait_for_disks(m);
}

/* As after power-on; all vCPUs wait at the gate. */
static int reset(struct machine *m)
{
	struct err e = { 0 };
	int ret;

	loop_lock(m->loop);
	quiesce(m, true);
	for (unsigned i = 0; i < m->n_devs; i++)
		if (m->devs[i].ops->reset)
			m->devs[i].ops->reset(m->devs[i].impl);
	ret = clear_ram(m);
	if (ret)
		err_set(&e, ret, "cannot clear the guest's memory: %s", strerror(-ret));
	else
		ret = bootup_load(m, &e);
	if (!m->stands)
		quiesce(m, false);
	m->reset_asked = false;
	atomic_store(&m->unsettled, true);
	m->resets++;
	if (ret)
		log_line(LOG_ERROR, "machine", "cannot reset: %s", e.msg);
	else
		atomic_store(&m->end, MACHINE_RUNS);
	loop_unlock(m->loop);
	return ret;
}

static int exit_code(const struct machine *m, enum machine_end end)
{
	static const enum holm_exit codes[] = {
		[MACHINE_POWEROFF] = HOLM_EXIT_OK,
		[MACHINE_RESET] = HOLM_EXIT_GUEST_REBOOT,
		[MACHINE_PANIC] = HOLM_EXIT_GUEST_PANIC,
		[MACHINE_SHUTDOWN] = HOLM_EXIT_GUEST_SHUTDOWN,
		[MACHINE_QUIT] = HOLM_EXIT_KILLED,
		[MACHINE_ERROR] = HOLM_EXIT_INTERNAL,
	};

	static_assert(ARRAY_SIZE(codes) == MACHINE_END_COUNT, "a code for each end");
	return end == MACHINE_DEBUG_EXIT ? (int)(m->end_code & 0xff) : (int)codes[end];
}

static void engine_stand_still(struct machine *m, bool on, uint64_t ns)
{
	/* Before the first instruction there is nothing to hide. */
	if ((!m->vcpus.first_ns && !m->restored) || !m->engine->vm_stand_still)
		return;
	if (m->engine->vm_stand_still(m->vm, on, ns))
		log_line(LOG_INFO, "machine", "the guest's clocks went on during the pause");
}

/* Locked; no vCPU runs. */
static void stand_still(struct machine *m)
{
	if (m->stands)
		return;
	quiesce(m, true);
	gclock_stop(&m->clock);
	loop_clock_changed(m->loop);
	engine_stand_still(m, true, 0);
	m->stands = true;
}

/* Locked; no vCPU runs. */
static void go_on(struct machine *m)
{
	uint64_t stood;

	if (!m->stands)
		return;
	stood = gclock_go(&m->clock);
	engine_stand_still(m, false, stood);
	m->stands = false;
	quiesce(m, false);
	loop_clock_changed(m->loop);
}

static void flushed(struct blk_req *r, int ret)
{
	r->off = ret ? 1 : 0; /* of a flush nobody else's */
}

/* What the guest takes for written must be on the disk like its memory that says so. */
static int flush_disks(struct machine *m, struct err *e)
{
	loop_lock(m->loop);
	for (unsigned i = 0; i < m->config->n_disks; i++) {
		struct blk_info info;

		m->flush[i].off = 0;
		blk_info(m->blks[i], &info);
		if (info.read_only || !info.can_flush)
			continue;
		m->flush[i] = (struct blk_req) { .op = BLK_OP_FLUSH, .done = flushed };
		blk_submit(m->blks[i], &m->flush[i]);
	}
	loop_unlock(m->loop);
	if (!wait_for_disks(m))
		return err_set(e, -ETIMEDOUT, "the host does not end the disks' I/O");
	for (unsigned i = 0; i < m->config->n_disks; i++)
		if (m->flush[i].off)
			return err_set(e, -EIO, "the host cannot bring disk %s to its medium",
				       m->config->disks[i].path);
	return 0;
}

/* Time that passed since it stands is nobody's: it must not show in what is saved. */
static void forget_standing(struct machine *m)
{
	engine_stand_still(m, false, gclock_go(&m->clock));
	gclock_stop(&m->clock);
	engine_stand_still(m, true, 0);
	loop_clock_changed(m->loop);
}

static void hold_disks(struct machine *m, bool on)
{
	loop_lock(m->loop);
	for (unsigned i = 0; i < m->config->n_disks; i++)
		blk_hold(m->blks[i], on);
	limit_io(m, on ? m->io_per_sec : 0);
	loop_unlock(m->loop);
}

/*
 * What the guest has asked of its disks is done before it is saved, above any limit: requests that
 * wait are in no queue any more.
 */
static void save(struct machine *m)
{
	struct err e = { 0 };
	int ret = 0;

	hold_disks(m, false);
	if (!wait_for_disks(m))
		ret = err_set(&e, -ETIMEDOUT, "the host does not end the disks' I/O");
	else
		ret = flush_disks(m, &e);
	hold_disks(m, true);
	loop_lock(m->loop);
	forget_standing(m);
	if (!ret)
		ret = save_write(m, m->save_fd[0], m->save_fd[1], &e);
	fd_close(&m->save_fd[0]);
	fd_close(&m->save_fd[1]);
	if (m->hooks.saved)
		m->hooks.saved(m->hooks.ctx, ret ? &e : NULL);
	loop_unlock(m->loop);
}

/* Bring the machine to what was asked for last. */
static void settle(struct machine *m)
{
	bool pause;

	atomic_store(&m->unsettled, false);
	/* A resume that follows a pause before this has them half stopped. */
	vcpus_ask_pause(&m->vcpus);
	vcpus_wait_paused(&m->vcpus);
	if (m->save_fd[0] >= 0)
		save(m);
	loop_lock(m->loop);
	pause = m->pause_wanted;
	if (pause)
		stand_still(m);
	else
		go_on(m);
	if (m->hooks.settled)
		m->hooks.settled(m->hooks.ctx);
	loop_unlock(m->loop);
	if (!pause)
		vcpus_resume(&m->vcpus);
}

static bool ended(struct machine *m, enum machine_end end)
{
	return end != MACHINE_RESET || (m->config->on_reboot == VM_REBOOT_EXIT && !m->reset_asked);
}

int machine_run(struct machine *m)
{
	enum machine_end end;

	for (;;) {
		while ((end = machine_end(m)) == MACHINE_RUNS) {
			if (atomic_load(&m->unsettled))
				settle(m);
			else if (loop_poll(m->loop, -1) < 0) {
				log_line(LOG_ERROR, "machine", "the event loop failed");
				return HOLM_EXIT_INTERNAL;
			}
		}
		vcpus_ask_pause(&m->vcpus);
		vcpus_wait_paused(&m->vcpus);
		drain_disks(m);
		if (ended(m, end))
			break;
		log_line(LOG_INFO, "machine", "the guest reboots");
		if (reset(m))
			return HOLM_EXIT_INTERNAL;
	}
	if (m->serial) {
		loop_lock(m->loop);
		chr_flush(m->serial, 1000);
		loop_unlock(m->loop);
	}
	return exit_code(m, end);
}
