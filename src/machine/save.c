/* SPDX-License-Identifier: MIT */
/*
 * Saved state, see save.h.
 *
 * The state file (snap/file.h) has the sections
 *
 *   machine     what must be alike: vCPUs, bytes of RAM, names of the devices; the clocks
 *   cpuid       the CPU that the guest knows
 *   vcpu0 ...   architectural state, of no engine's
 *   device:...  one for each device that has any state
 *
 * RAM is a file of its own, each page at its offset (mem_save()).
 *
 * Order of loading: the clock before there are devices, which compute deadlines by it; then
 * kvmclock, devices, and the vCPUs last: devices drive their wires when they are loaded, and what
 * that does to a local APIC must not last.
 *
 * A generation id (Virtual Machine Generation ID, Microsoft 2012) is new in every machine that
 * is made from saved state, since nobody can say whether another one has been made from it.
 */
#include "machine/save.h"

#include "snap/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION	    1
#define TSC_APART   1000 /* one part in so many */
#define SECTION	    48
#define DEVICES_MAX (MACHINE_DEVS_MAX * 32)

/* --- out ---------------------------------------------------------------------------------------
 */

static bool has_state(const struct dev *d)
{
	return d->ops->save && d->ops->load;
}

/* "pic,pit,...": another set of devices is another machine. */
static void device_list(const struct machine *m, char list[DEVICES_MAX])
{
	size_t at = 0;

	list[0] = '\0';
	for (unsigned i = 0; i < m->n_devs; i++)
		at += (size_t)snprintf(list + at, DEVICES_MAX - at, "%s%s", i ? "," : "",
				       m->devs[i].name);
}

static void put_machine(struct machine *m, uint64_t kvmclock, struct snap_writer *w)
{
	char list[DEVICES_MAX];

	device_list(m, list);
	snap_begin(w, "machine", VERSION);
	snap_put_u64(w, "vcpus", m->vcpus.n);
	snap_put_u64(w, "memory", mem_ram_size(m->mem));
	snap_put_bytes(w, "devices", list, strlen(list));
	snap_put_u64(w, "resets", m->resets);
	snap_put_u64(w, "clock_ns", m->clock.clock.mono_ns(&m->clock.clock));
	snap_put_u64(w, "kvmclock_ns", kvmclock);
	snap_end(w);
}

static int put_vcpus(struct machine *m, struct snap_writer *w, struct err *e)
{
	struct cpu_state *s = malloc(sizeof(*s));
	char name[SECTION];
	int ret = s ? 0 : err_set(e, -ENOMEM, "no memory for a vCPU's state");

	for (unsigned i = 0; !ret && i < m->vcpus.n; i++) {
		ret = m->engine->vcpu_get_state(m->vcpus.cpu[i].cpu, s, e);
		if (ret)
			break;
		snprintf(name, sizeof(name), "vcpu%u", i);
		snap_begin(w, name, 1);
		cpu_state_save(s, w);
		snap_end(w);
	}
	free(s);
	return ret;
}

static void put_devices(struct machine *m, struct snap_writer *w)
{
	char name[SECTION];

	for (unsigned i = 0; i < m->n_devs; i++) {
		struct dev *d = &m->devs[i];

		if (!has_state(d))
			continue;
		snprintf(name, sizeof(name), "device:%s", d->name);
		snap_begin(w, name, 1);
		d->ops->save(d->impl, w);
		snap_end(w);
	}
}

static int put_all(struct machine *m, struct snap_writer *w, struct err *e)
{
	uint64_t kvmclock = 0;
	int ret = m->engine->vm_get_clock(m->vm, &kvmclock);

	if (ret)
		return err_set(e, ret, "the engine's clock cannot be read: %s", strerror(-ret));
	put_machine(m, kvmclock, w);
	cpuid_save(&m->cpuid, w);
	put_devices(m, w);
	ret = put_vcpus(m, w, e);
	if (!ret && snap_writer_done(w))
		ret = err_set(e, -ENOMEM, "no memory for the VM's state");
	return ret;
}

int save_write(struct machine *m, int state_fd, int memory_fd, struct err *e)
{
	struct snap_writer w;
	int ret;

	snap_writer_init(&w);
	ret = put_all(m, &w, e);
	if (!ret)
		ret = snap_file_write(state_fd, &w, e);
	snap_writer_free(&w);
	if (!ret)
		ret = mem_save(m->mem, memory_fd, e);
	if (!ret && fsync(memory_fd))
		ret = err_set(e, -errno, "cannot write the guest's memory: %s", strerror(errno));
	return ret;
}

/* --- in ----------------------------------------------------------------------------------------
 */

static int bad(struct err *e, const char *why)
{
	return err_set(e, -EBADMSG, "the saved state %s: take another one", why);
}

int save_read(struct machine *m, struct err *e)
{
	return snap_file_read(m->config->state_fd, &m->saved, &m->saved_reader, e);
}

/* A number of the section "machine". */
static int machine_number(const struct machine *m, const char *name, uint64_t *v, struct err *e)
{
	struct snap_reader sub;
	uint32_t version;
	int ret = snap_enter(&m->saved_reader, "machine", VERSION, &sub, &version, e);

	return ret ? ret : snap_get_u64(&sub, name, v, e);
}

int save_clock(struct machine *m, struct err *e)
{
	uint64_t ns = 0;
	int ret = machine_number(m, "clock_ns", &ns, e);

	/* Near its end all deadlines would wrap. */
	if (!ret && (!ns || ns > UINT64_MAX / 4))
		ret = bad(e, "has a clock that is out of range");
	if (!ret)
		gclock_set(&m->clock, ns);
	return ret;
}

int save_cpuid(struct machine *m, struct err *e)
{
	struct cpuid_table saved;
	int ret = cpuid_load(&saved, &m->saved_reader, e);
	uint32_t apart;

	if (ret)
		return ret;
	apart = MAX(saved.tsc_khz, m->cpuid.tsc_khz) - MIN(saved.tsc_khz, m->cpuid.tsc_khz);
	/* What is measured twice differs by some 20 parts in a million, more on a busy host. */
	if (apart > saved.tsc_khz / TSC_APART)
		return err_set(
			e, -ENOTSUP,
			"the saved VM's TSC runs at %u kHz, this host's at %u: restore it on "
			"such a host",
			saved.tsc_khz, m->cpuid.tsc_khz);
	ret = cpuid_check_within(&saved, &m->cpuid, e);
	if (!ret)
		m->cpuid = saved;
	return ret;
}

static int check_alike(struct machine *m, struct err *e)
{
	char list[DEVICES_MAX];
	uint64_t vcpus = 0, memory = 0;
	struct snap_reader sub;
	const uint8_t *p = NULL;
	uint32_t version;
	size_t len = 0;
	int ret = snap_enter(&m->saved_reader, "machine", VERSION, &sub, &version, e);

	if (!ret)
		ret = snap_get_u64(&sub, "vcpus", &vcpus, e);
	if (!ret)
		ret = snap_get_u64(&sub, "memory", &memory, e);
	if (!ret)
		ret = snap_get_u64(&sub, "resets", &m->resets, e);
	if (!ret)
		ret = snap_find_bytes(&sub, "devices", &p, &len, e);
	if (ret)
		return ret;
	if (vcpus != m->vcpus.n || memory != mem_ram_size(m->mem))
		return err_set(e, -EINVAL,
			       "the saved VM has %llu vCPUs and %llu MiB, this one %u and %llu: "
			       "restore it as it was",
			       (unsigned long long)vcpus, (unsigned long long)(memory >> 20),
			       m->vcpus.n, (unsigned long long)(mem_ram_size(m->mem) >> 20));
	device_list(m, list);
	if (len != strlen(list) || memcmp(p, list, len) != 0)
		return err_set(e, -EINVAL,
			       "the saved VM has other devices than this one, which has %.200s: "
			       "restore it as it was",
			       list);
	return 0;
}

static int get_devices(struct machine *m, struct err *e)
{
	char name[SECTION];
	int ret = 0;

	for (unsigned i = 0; !ret && i < m->n_devs; i++) {
		struct dev *d = &m->devs[i];
		struct snap_reader sub;
		uint32_t version;

		if (!has_state(d))
			continue;
		snprintf(name, sizeof(name), "device:%s", d->name);
		ret = snap_enter(&m->saved_reader, name, 1, &sub, &version, e);
		if (!ret)
			ret = d->ops->load(d->impl, &sub, e);
		if (ret)
			err_prefix(e, "the saved state of %s", d->name);
	}
	return ret;
}

static int get_vcpus(struct machine *m, struct err *e)
{
	struct cpu_state *s = calloc(1, sizeof(*s));
	char name[SECTION];
	int ret = s ? 0 : err_set(e, -ENOMEM, "no memory for a vCPU's state");

	for (unsigned i = 0; !ret && i < m->vcpus.n; i++) {
		struct snap_reader sub;
		uint32_t version;

		snprintf(name, sizeof(name), "vcpu%u", i);
		ret = snap_enter(&m->saved_reader, name, 1, &sub, &version, e);
		if (!ret)
			ret = cpu_state_load(s, &sub, e);
		if (!ret)
			ret = m->engine->vcpu_set_state(m->vcpus.cpu[i].cpu, s, e);
	}
	free(s);
	return ret;
}

static int set_kvmclock(struct machine *m, struct err *e)
{
	uint64_t ns = 0;
	int ret = machine_number(m, "kvmclock_ns", &ns, e);

	if (!ret && ns > UINT64_MAX / 4)
		ret = bad(e, "has a clock that is out of range");
	if (ret)
		return ret;
	ret = m->engine->vm_set_clock(m->vm, ns);
	return ret ? err_set(e, ret, "the engine's clock cannot be set: %s", strerror(-ret)) : 0;
}

int save_load(struct machine *m, struct err *e)
{
	int ret = check_alike(m, e);

	if (!ret)
		ret = mem_write(m->mem, BOARD_VMGENID, m->genid, sizeof(m->genid));
	if (!ret)
		ret = set_kvmclock(m, e);
	if (!ret)
		ret = get_devices(m, e);
	if (!ret)
		ret = get_vcpus(m, e);
	free(m->saved);
	m->saved = NULL;
	return ret;
}
