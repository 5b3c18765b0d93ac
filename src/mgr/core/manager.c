/* SPDX-License-Identifier: MIT */
/*
 * The manager's records and its start, see manager.h.
 */
#include "mgr/core/manager.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS (2 * CLOCK_NS_PER_SEC) /* between attempts at a store that refuses */

struct audit_entry mgr_entry(struct mgr *m, const struct mgr_actor *by, const char *what,
			     const char *on)
{
	return (struct audit_entry) {
		.at_ns = m->clock->wall_ns(m->clock),
		.who = by->user,
		.from = by->from,
		.what = what,
		.on = on,
		.result = "ok",
	};
}

void mgr_audit(struct mgr *m, const struct mgr_actor *by, const char *what, const char *on,
	       const char *result)
{
	struct audit_entry a = mgr_entry(m, by, what, on);
	struct err e = { 0 };

	a.result = result;
	if (m->store->ops->apply(m->store, NULL, 0, &a, &e))
		log_line(LOG_ERROR, "audit", "%s %s by %s: %s", what, on, by->user, e.msg);
}

/* Both are taken. */
static void keep_text(struct vm *vm, char *text, char *brief)
{
	free(vm->text);
	free(vm->brief);
	vm->text = text;
	vm->brief = brief;
}

int mgr_write(struct mgr *m, struct vm *vm, const struct audit_entry *a, struct err *e)
{
	struct store_change c = { .kind = "vm", .id = vm->id };
	json_t *o;
	char *text;
	int ret;

	vm->etag++;
	o = vm_encode(vm);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!text) {
		vm->etag--;
		return err_set(e, -ENOMEM, "no memory for the record of VM '%s'", vm->name);
	}
	c.body = text;
	/* A deleted VM's name is free for others. */
	c.name = vm->life.state == VM_DELETED ? NULL : vm->name;
	ret = m->store->ops->apply(m->store, &c, 1, a, e);
	if (ret) {
		vm->etag--;
		free(text);
		return ret;
	}
	keep_text(vm, text, vm_brief(vm));
	vm->unwritten = false;
	m->changes++;
	return 0;
}

void mgr_measure(struct mgr *m, const struct vm *vm, struct sample *s, const json_t *stats)
{
	sample_read(s, stats);
	s->at_ns = m->clock->wall_ns(m->clock);
	if (m->host)
		m->host->measure(m->host_ctx, vm, s);
}

void mgr_tell(struct mgr *m, const struct vm *vm)
{
	char target[TARGET_MAX];

	target_write(target, "vm", vm->name);
	event_tell(&m->events, "vm.state", vm->id, target, vm->project,
		   json_pack("{s:s, s:s}", "state", vm_state_name(vm->life.state), "reason",
			     vm->life.reason));
}

static void on_retry(void *arg)
{
	struct mgr *m = arg;
	bool left = false;

	for (size_t i = 0; i < m->n_vms; i++)
		if (m->vms[i]->unwritten && mgr_write(m, m->vms[i], NULL, NULL))
			left = true;
	if (left)
		loop_timer_arm(&m->retry, m->clock->mono_ns(m->clock) + RETRY_NS);
	else
		log_line(LOG_INFO, "store", "all records are written again");
}

void mgr_note(struct mgr *m, struct vm *vm)
{
	struct err e = { 0 };

	vm->unwritten = true;
	if (mgr_write(m, vm, NULL, &e)) {
		log_line(LOG_ERROR, "store", "%s; it is tried again", e.msg);
		if (!loop_timer_armed(&m->retry))
			loop_timer_arm(&m->retry, m->clock->mono_ns(m->clock) + RETRY_NS);
	}
	mgr_tell(m, vm);
}

/* Deleted VMs come behind all others, so that a name finds a living one first. */
static int order(const struct vm *a, const struct vm *b)
{
	int deleted = (a->life.state == VM_DELETED) - (b->life.state == VM_DELETED);
	int name = strcmp(a->name, b->name);

	return deleted ? deleted : name ? name : strcmp(a->id, b->id);
}

static void place(struct mgr *m, struct vm *vm, size_t n)
{
	m->changes++;
	while (n && order(m->vms[n - 1], vm) > 0) {
		m->vms[n] = m->vms[n - 1];
		n--;
	}
	m->vms[n] = vm;
}

static size_t take_out(struct mgr *m, const struct vm *vm)
{
	size_t i = 0;

	m->changes++;
	while (m->vms[i] != vm)
		i++;
	memmove(&m->vms[i], &m->vms[i + 1], (m->n_vms - i - 1) * sizeof(struct vm *));
	return m->n_vms - 1;
}

/* After a change of name or of being deleted. */
void mgr_reorder(struct mgr *m, struct vm *vm)
{
	place(m, vm, take_out(m, vm));
}

static int insert(struct mgr *m, struct vm *vm, struct err *e)
{
	if (m->n_vms == m->cap_vms) {
		size_t cap = m->cap_vms ? 2 * m->cap_vms : 64;
		struct vm **more = reallocarray(m->vms, cap, sizeof(struct vm *));

		if (!more)
			return err_set(e, -ENOMEM, "no memory for one more VM");
		m->vms = more;
		m->cap_vms = cap;
	}
	vm->mgr = m;
	mgr_timers_init(m, vm);
	place(m, vm, m->n_vms++);
	return 0;
}

void mgr_drop(struct mgr *m, struct vm *vm)
{
	loop_timer_disarm(&vm->grace);
	loop_timer_disarm(&vm->backoff);
	mgr_queue_leave(m, vm);
	op_end(&m->ops, vm->op, OP_CANCELLED, "conflict", "the VM was removed");
	m->n_vms = take_out(m, vm);
	vm_free(vm);
}

struct vm *mgr_find_id(struct mgr *m, const char *id)
{
	for (size_t i = 0; i < m->n_vms; i++)
		if (!strcmp(m->vms[i]->id, id))
			return m->vms[i];
	return NULL;
}

struct vm *mgr_find(struct mgr *m, const char *name)
{
	for (size_t i = 0; i < m->n_vms; i++)
		if (!strcmp(m->vms[i]->name, name))
			return m->vms[i];
	return mgr_find_id(m, name);
}

void mgr_init(struct mgr *m, const struct sched_size *capacity)
{
	m->clock = loop_clock(m->loop);
	m->events.clock = m->clock;
	m->ops = (struct op_list) { .events = &m->events, .clock = m->clock };
	m->runner->client = mgr_runner_client;
	m->runner->client.ctx = m;
	loop_timer_init(&m->retry, m->loop, on_retry, m);
	mgr_admit_init(m, capacity);
}

void mgr_fini(struct mgr *m)
{
	loop_timer_disarm(&m->retry);
	loop_timer_disarm(&m->slice);
	while (m->n_vms)
		mgr_drop(m, m->vms[m->n_vms - 1]);
	free(m->vms);
	m->vms = NULL;
	m->cap_vms = 0;
	op_list_free(&m->ops);
	event_log_free(&m->events);
}

struct load {
	struct mgr *m;
	struct err *e;
};

static int load_one(void *ctx, const char *kind UNUSED, const char *id, const char *name UNUSED,
		    const char *body)
{
	struct load *l = ctx;
	struct vm *vm = vm_new();
	json_t *o = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
	int ret;

	if (!vm)
		ret = err_set(l->e, -ENOMEM, "no memory for the VMs' records");
	else if (!o)
		ret = err_set(l->e, -EBADMSG, "the record of VM %s is no JSON", id);
	else
		ret = vm_decode(vm, o, VM_FROM_STORE, l->e);
	json_decref(o);
	if (!ret && (!vm->name || !vm->project || !vm->owner))
		ret = err_set(l->e, -EBADMSG, "a name, project or owner is missing");
	if (!ret) {
		keep_text(vm, strdup(body), vm_brief(vm));
		ret = vm->text && vm->brief ? insert(l->m, vm, l->e) : -ENOMEM;
	}
	if (ret) {
		vm_free(vm);
		err_prefix(l->e, "the store's record of VM %s", id);
	}
	return ret;
}

static bool known(void *ctx, const char *id)
{
	return mgr_find_id(ctx, id) != NULL;
}

int mgr_recover(struct mgr *m, struct err *e)
{
	struct load l = { m, e };
	unsigned swept;
	int ret = m->store->ops->each(m->store, "vm", load_one, &l, e);

	if (ret)
		return ret;
	swept = m->runner->ops->sweep(m->runner, known, m);
	if (swept)
		log_line(LOG_WARN, "recover", "removed what was left of %u unknown VMs", swept);
	return mgr_recover_lives(m, e);
}

static int check_name(struct mgr *m, const struct vm *self, const char *name, struct err *e)
{
	const struct vm *other;

	if (!name)
		return err_set(e, -EINVAL, "the VM has no name: give one");
	if (strlen(name) == VM_ID_LEN && strspn(name, "0123456789abcdef") == VM_ID_LEN)
		return err_set(e, -EINVAL, "name '%s' looks like an id: use another", name);
	other = mgr_find(m, name);
	if (other && other != self && other->life.state != VM_DELETED)
		return err_set(e, -EEXIST, "a VM named '%s' exists already", name);
	return 0;
}

static int set_owner(struct vm *vm, const struct mgr_actor *by)
{
	vm->owner = strdup(by->user);
	if (!vm->project)
		vm->project = strdup("default");
	return vm->owner && vm->project ? 0 : -ENOMEM;
}

/* A project may be given by its id; quotas and roles go by the name that is kept. */
static int name_project(struct mgr *m, struct vm *vm)
{
	const struct project *x = people_project(m->people, vm->project);
	char *name;

	if (!x || !strcmp(x->name, vm->project))
		return 0;
	name = strdup(x->name);
	if (!name)
		return -ENOMEM;
	free(vm->project);
	vm->project = name;
	return 0;
}

static int check_new(struct mgr *m, struct vm *vm, struct err *e)
{
	int ret = check_name(m, vm, vm->name, e);

	if (!ret && !vm->config.kernel)
		ret = err_set(e, -EINVAL, "config: no kernel to boot");
	return ret ? ret : mgr_check_quota(m, vm, e);
}

int mgr_create(struct mgr *m, const struct mgr_actor *by, const json_t *body, struct vm **out,
	       struct err *e)
{
	struct vm *vm = vm_new();
	char target[TARGET_MAX];
	struct audit_entry a;
	int ret;

	if (!vm)
		return err_set(e, -ENOMEM, "no memory for the VM");
	ret = vm_decode(vm, body, VM_FROM_CREATE, e);
	if (!ret && (set_owner(vm, by) || name_project(m, vm)))
		ret = err_set(e, -ENOMEM, "no memory for the VM");
	if (!ret)
		ret = check_new(m, vm, e);
	if (ret)
		goto fail;
	vm->created_ns = m->clock->wall_ns(m->clock);
	snprintf(vm->life.reason, sizeof(vm->life.reason), "created by %s", by->user);
	ret = insert(m, vm, e);
	if (ret)
		goto fail;
	target_write(target, "vm", vm->name);
	a = mgr_entry(m, by, "vm.create", target);
	ret = mgr_write(m, vm, &a, e);
	if (ret) {
		m->n_vms = take_out(m, vm);
		goto fail;
	}
	mgr_tell(m, vm);
	*out = vm;
	return 0;
fail:
	vm_free(vm);
	return ret;
}

static int check_change(struct mgr *m, struct vm *vm, struct vm *fresh, const json_t *body,
			struct err *e)
{
	bool renames = strcmp(vm->name, fresh->name) != 0;
	bool sets = json_object_size(body) > (json_object_get(body, "name") ? 1u : 0u);
	int ret = check_name(m, vm, fresh->name, e);

	if (ret)
		return ret;
	if (renames && !vm_step(vm->life.state, VM_DO_RENAME).allowed)
		return vm_step_refused(vm->name, vm->life.state, VM_DO_RENAME, e);
	if ((sets || !renames) && !vm_step(vm->life.state, VM_DO_SET).allowed)
		return vm_step_refused(vm->name, vm->life.state, VM_DO_SET, e);
	return mgr_check_quota(m, fresh, e);
}

/* The new values go into the store first, under the old struct's identity. */
static int write_change(struct mgr *m, const struct mgr_actor *by, struct vm *vm, struct vm *fresh,
			struct err *e)
{
	char target[TARGET_MAX];
	struct audit_entry a;
	int ret;

	target_write(target, "vm", vm->name);
	a = mgr_entry(m, by, "vm.set", target);
	ret = mgr_write(m, fresh, &a, e);
	if (ret)
		return ret;
	keep_text(vm, fresh->text, fresh->brief);
	fresh->text = fresh->brief = NULL;
	vm->etag = fresh->etag;
	vm_take(vm, fresh);
	mgr_reorder(m, vm);
	return 0;
}

static bool same_forward(const struct vm_forward *a, const struct vm_forward *b)
{
	return a->udp == b->udp && a->host_addr == b->host_addr && a->host_port == b->host_port &&
	       a->guest_port == b->guest_port;
}

/* Each of @a that is not among @b, told to the VM's process; what it refuses is logged. */
static void send_forwards(struct mgr *m, struct vm *vm, const struct vm_config *a,
			  const struct vm_config *b, enum control_do what)
{
	for (unsigned i = 0; i < a->n_forwards; i++) {
		const struct vm_forward *f = &a->forwards[i];
		struct control_request q = { .what = what };
		bool there = false;

		for (unsigned j = 0; j < b->n_forwards; j++)
			there = there || same_forward(f, &b->forwards[j]);
		if (there)
			continue;
		snprintf(q.forward, sizeof(q.forward), "%u.%u.%u.%u:%u:%u%s", f->host_addr >> 24,
			 f->host_addr >> 16 & 255, f->host_addr >> 8 & 255, f->host_addr & 255,
			 f->host_port, f->guest_port, f->udp ? "/udp" : "");
		(void)!m->runner->ops->send(m->runner, vm->id, &q, mgr_forward_answer, vm, NULL);
	}
}

/* Ports of a VM that runs are forwarded, or not any more, at once. */
static void change_forwards(struct mgr *m, struct vm *vm, const struct vm_config *before)
{
	if (!vm->life.run.pid || vm->config.net != VM_NET_USER || before->net != VM_NET_USER)
		return;
	send_forwards(m, vm, before, &vm->config, CONTROL_UNPUBLISH);
	send_forwards(m, vm, &vm->config, before, CONTROL_PUBLISH);
}

int mgr_change(struct mgr *m, const struct mgr_actor *by, struct vm *vm, const json_t *body,
	       uint64_t etag, struct err *e)
{
	char target[TARGET_MAX];
	struct vm_config before;
	struct vm *fresh;
	bool renamed;
	int ret;

	if (etag && etag != vm->etag)
		return err_set(e, -ESTALE, "VM '%s' has changed since: look at it again", vm->name);
	fresh = vm_copy(vm);
	if (!fresh)
		return err_set(e, -ENOMEM, "no memory for the change");
	ret = vm_decode(fresh, body, VM_FROM_CHANGE, e);
	if (!ret)
		ret = check_change(m, vm, fresh, body, e);
	renamed = !ret && strcmp(fresh->name, vm->name) != 0;
	before = (struct vm_config) { .net = vm->config.net, .n_forwards = vm->config.n_forwards };
	memcpy(before.forwards, vm->config.forwards, sizeof(before.forwards));
	if (!ret)
		ret = write_change(m, by, vm, fresh, e);
	if (ret) {
		vm_free(fresh);
		return ret;
	}
	change_forwards(m, vm, &before);
	mgr_limits_tell(m, vm);
	target_write(target, "vm", vm->name);
	event_tell(&m->events, "vm.changed", vm->id, target, vm->project, NULL);
	if (m->host && m->host->changed)
		m->host->changed(m->host_ctx, vm, renamed);
	return 0;
}
