/* SPDX-License-Identifier: MIT */
/*
 * The monitor, see monitor.h.
 */
#include "mgr/monitor.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE	 4			 /* VMs asked together: a request waits for no more */
#define ROUND_NS (800 * CLOCK_NS_PER_MS) /* in which all are asked */

static void to_history(struct history_sample *h, const struct vm *vm)
{
	const struct sample *s = &vm->sample;

	*h = (struct history_sample) { .id = vm->id, .at_ns = s->at_ns };
	h->v[HIST_RSS] = s->rss;
	h->v[HIST_BALLOON] = s->balloon;
	h->v[HIST_GUEST_USED] = s->guest_used;
	h->v[HIST_CPU_NS] = s->cpu_ns;
	h->v[HIST_STEAL_NS] = s->steal_ns;
	h->v[HIST_THROTTLED_NS] = s->throttled_ns;
	h->v[HIST_BLK_READS] = s->read_ops;
	h->v[HIST_BLK_WRITES] = s->write_ops;
	h->v[HIST_BLK_READ_BYTES] = s->read_bytes;
	h->v[HIST_BLK_WRITE_BYTES] = s->write_bytes;
	h->v[HIST_NET_RX_PACKETS] = s->rx_packets;
	h->v[HIST_NET_TX_PACKETS] = s->tx_packets;
	h->v[HIST_NET_RX_BYTES] = s->rx_bytes;
	h->v[HIST_NET_TX_BYTES] = s->tx_bytes;
}

/* The answers to the last round's questions. */
static void write_round(struct monitor *m)
{
	struct err e = { 0 };
	size_t n = 0;

	if (!m->history)
		return;
	if (m->cap_batch < m->mgr->n_vms) {
		struct history_sample *more = reallocarray(m->batch, m->mgr->n_vms, sizeof(*more));

		if (!more)
			return;
		m->batch = more;
		m->cap_batch = m->mgr->n_vms;
	}
	for (size_t i = 0; i < m->mgr->n_vms; i++) {
		struct vm *vm = m->mgr->vms[i];

		if (vm->sample.at_ns && !vm->sampled) {
			to_history(&m->batch[n++], vm);
			vm->sampled = true;
		}
	}
	if (n && history_add(m->history, m->batch, n, &e))
		log_line(LOG_WARN, "monitor", "%s", e.msg);
}

/* The runner answers for the last time before a process's end is told, so @ctx is there. */
static void on_answer(void *ctx, const json_t *reply, const struct err *e)
{
	struct vm *vm = ctx;

	vm->asked = false;
	if (e || !vm->life.run.pid)
		return;
	mgr_measure(vm->mgr, vm, &vm->sample, reply);
	vm->sampled = false;
}

static void ask(struct monitor *m, struct vm *vm)
{
	struct control_request q = { .what = CONTROL_STATS };

	/* One that does not answer is not asked again: nothing piles up. */
	if (!vm->asked)
		vm->asked =
			!m->mgr->runner->ops->send(m->mgr->runner, vm->id, &q, on_answer, vm, NULL);
}

/*
 * A few of them; the rest of the round comes in steps. Where VMs come or go meanwhile, one may be
 * asked a round later.
 */
static void on_step(void *arg)
{
	struct monitor *m = arg;
	unsigned asked = 0;

	for (; m->next < m->mgr->n_vms && asked < AT_ONCE; m->next++)
		if (m->mgr->vms[m->next]->life.run.pid) {
			ask(m, m->mgr->vms[m->next]);
			asked++;
		}
	if (m->next < m->mgr->n_vms)
		loop_timer_arm(&m->step, m->mgr->clock->mono_ns(m->mgr->clock) + m->step_ns);
}

static void on_second(void *arg)
{
	struct monitor *m = arg;
	size_t running = 0;

	write_round(m);
	if (m->second)
		m->second(m->ctx);
	mgr_limits_round(m->mgr);
	for (size_t i = 0; i < m->mgr->n_vms; i++)
		running += m->mgr->vms[i]->life.run.pid != 0;
	if (!running)
		return;
	loop_timer_arm(&m->timer, m->mgr->clock->mono_ns(m->mgr->clock) + CLOCK_NS_PER_SEC);
	/* A round that is late is ended before the next one begins. */
	if (loop_timer_armed(&m->step))
		return;
	m->next = 0;
	m->step_ns = ROUND_NS / (running / AT_ONCE + 1);
	on_step(m);
}

void monitor_start(struct monitor *m)
{
	loop_timer_init(&m->timer, m->mgr->loop, on_second, m);
	loop_timer_init(&m->step, m->mgr->loop, on_step, m);
	monitor_wake(m);
}

void monitor_stop(struct monitor *m)
{
	if (!m->mgr)
		return;
	loop_timer_disarm(&m->timer);
	loop_timer_disarm(&m->step);
	free(m->batch);
	m->batch = NULL;
}

void monitor_wake(struct monitor *m)
{
	if (m->mgr && !loop_timer_armed(&m->timer))
		loop_timer_arm(&m->timer,
			       m->mgr->clock->mono_ns(m->mgr->clock) + CLOCK_NS_PER_SEC / 10);
}
