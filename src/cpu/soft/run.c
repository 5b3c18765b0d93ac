/* SPDX-License-Identifier: MIT */
/*
 * The loop: runs blocks, takes events between them, waits, and keeps exclusive sections.
 *
 * Theory of operation: soft_run() sets one jump point; a fault anywhere below lands there, is
 * turned into an event and delivered. Between blocks one load of v->attention says whether there
 * is anything to look up for. Interrupts are therefore taken at block ends (a few dozen
 * instructions at most), which an architecture without a promise of promptness allows.
 *
 * Single steps (TF, RF, breakpoints) use blocks of one instruction, so "after the next instruction"
 * is "after the next block". The shadow of STI and MOV SS lasts a whole block.
 *
 * Exclusive sections: in_guest of every vCPU but the caller's is false while one is held. A vCPU
 * sets in_guest, then looks at excl_pending; the holder sets excl_pending, then looks at in_guest;
 * both with sequential consistency, so one of them sees the other.
 */
#include "base/clock.h"
#include "cpu/soft/soft.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- futex ----------------------------------------------------------------------------------- */

static void futex_wait(atomic_uint *word, unsigned seen)
{
	/* seccomp: vcpu: futex */
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* --- attention and exclusive sections -------------------------------------------------------- */

void soft_attention(struct soft_vcpu *v, unsigned bits)
{
	int saved = errno;

	atomic_fetch_or(&v->attention, bits);
	atomic_fetch_add(&v->wake_seq, 1);
	if (atomic_load(&v->sleeping))
		futex_wake(&v->wake_seq);
	errno = saved;
}

void soft_guest_leave(struct soft_vcpu *v)
{
	if (v->excl_depth)
		return; /* it holds the section itself: it is the only one in guest code */
	atomic_store(&v->in_guest, false);
	if (atomic_load(&v->vm->excl_pending)) {
		atomic_fetch_add(&v->vm->excl_wait, 1);
		futex_wake(&v->vm->excl_wait);
	}
}

void soft_guest_enter(struct soft_vcpu *v)
{
	struct soft_vm *vm = v->vm;

	if (v->excl_depth)
		return;
	for (;;) {
		unsigned seen = atomic_load(&vm->excl_wait);

		atomic_store(&v->in_guest, true);
		if (LIKELY(!atomic_load(&vm->excl_pending)))
			return;
		soft_guest_leave(v);
		if (atomic_load(&vm->excl_pending))
			futex_wait(&vm->excl_wait, seen + 1);
	}
}

void soft_exclusive_begin(struct soft_vm *vm, struct soft_vcpu *v)
{
	if (v && v->excl_depth++)
		return;
	if (v) {
		v->excl_depth = 0;
		soft_guest_leave(v);
	}
	pthread_mutex_lock(&vm->excl_lock);
	if (v)
		v->excl_depth = 1;
	atomic_store(&vm->excl_pending, true);
	for (unsigned i = 0; i < vm->n; i++) {
		struct soft_vcpu *o = vm->vcpu[i];

		if (!o || o == v)
			continue;
		if (atomic_load(&o->in_guest))
			atomic_fetch_or(&o->attention, SOFT_ATT_EXCL);
		for (;;) {
			unsigned seen = atomic_load(&vm->excl_wait);

			if (!atomic_load(&o->in_guest))
				break;
			futex_wait(&vm->excl_wait, seen);
		}
	}
}

void soft_exclusive_end(struct soft_vm *vm, struct soft_vcpu *v)
{
	if (v && --v->excl_depth)
		return;
	atomic_store(&vm->excl_pending, false);
	atomic_fetch_add(&vm->excl_wait, 1);
	futex_wake(&vm->excl_wait);
	pthread_mutex_unlock(&vm->excl_lock);
	if (v)
		soft_guest_enter(v);
}

/* --- the local APIC's timer ------------------------------------------------------------------ */

static void lapic_wake(void *ctx)
{
	soft_attention(ctx, SOFT_ATT_APIC);
}

static uint64_t lapic_tsc(void *ctx)
{
	return soft_tsc(ctx);
}

static uint64_t lapic_now(void *ctx)
{
	return soft_now(((struct soft_vcpu *)ctx)->vm);
}

static void lapic_timer_arm(void *ctx, uint64_t tsc_deadline, uint64_t at_ns)
{
	struct soft_vcpu *v = ctx;
	struct itimerspec its = { 0 };

	if (tsc_deadline != UINT64_MAX) {
		uint64_t now = soft_tsc(v);
		uint64_t left = tsc_deadline > now ? tsc_deadline - now : 0;

		/* A day at most: what the guest asks for later is asked for again then. */
		left = MIN(left, (uint64_t)v->cpuid.tsc_khz * 1000 * 86400);
		at_ns = soft_now(v->vm) +
			(uint64_t)((unsigned __int128)left * 1000000 / v->cpuid.tsc_khz);
	}
	if (at_ns != UINT64_MAX) {
		at_ns = MAX(at_ns + v->vm->stood_ns, (uint64_t)1);
		its.it_value.tv_sec = (time_t)(at_ns / CLOCK_NS_PER_SEC);
		its.it_value.tv_nsec = (long)(at_ns % CLOCK_NS_PER_SEC);
	}
	/* seccomp: vcpu: timer_settime */
	if (v->timer_made)
		timer_settime(v->timer, TIMER_ABSTIME, &its, NULL);
	else
		v->timer_late = its;
}

static void lapic_eoi_out(void *ctx, uint8_t vector)
{
	struct soft_vcpu *v = ctx;

	soft_guest_leave(v);
	v->vm->io->eoi(v->vm->io->ctx, vector);
	soft_guest_enter(v);
}

const struct lapic_owner_ops soft_lapic_ops = {
	.wake = lapic_wake,
	.tsc = lapic_tsc,
	.now_ns = lapic_now,
	.timer_arm = lapic_timer_arm,
	.eoi = lapic_eoi_out,
};

/* The timer's signal comes to the vCPU's own thread. */
static void make_timer(struct soft_vcpu *v)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID,
			       .sigev_signo = SOFT_TIMER_SIGNAL,
			       .sigev_value.sival_ptr = v };

	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	/* seccomp: vcpu,loop: timer_create timer_delete gettid rt_sigreturn timer_settime */
	if (timer_create(CLOCK_MONOTONIC, &ev, &v->timer) < 0) {
		log_line(LOG_ERROR, "soft", "cannot make a timer: errno %d", errno);
		return;
	}
	v->timer_made = true;
	v->timer_tid = ev._sigev_un._tid;
	if (v->timer_late.it_value.tv_sec || v->timer_late.it_value.tv_nsec)
		timer_settime(v->timer, TIMER_ABSTIME, &v->timer_late, NULL);
}

/* --- events ---------------------------------------------------------------------------------- */

void soft_halt(struct soft_vcpu *v)
{
	v->n_halt++;
	v->mp = CPU_MP_HALTED;
}

static void take_init(struct soft_vcpu *v)
{
	lapic_reset(&v->lapic, true);
	soft_reset(v, true);
	v->mp = v->id == 0 ? CPU_MP_RUNNABLE : CPU_MP_WAIT_SIPI;
}

static void take_sipi(struct soft_vcpu *v)
{
	uint32_t page = atomic_load(&v->lapic.sipi_vector);

	if (v->mp != CPU_MP_WAIT_SIPI)
		return;
	soft_set_seg_real(v, CPU_CS, (uint16_t)(page << 8));
	v->rip = 0;
	v->mp = CPU_MP_RUNNABLE;
	soft_update_mode(v);
}

static void take_lapic_events(struct soft_vcpu *v)
{
	unsigned ev = lapic_take_events(&v->lapic);

	if (ev & LAPIC_EV_INIT)
		take_init(v);
	if (ev & LAPIC_EV_SIPI)
		take_sipi(v);
	if (ev & LAPIC_EV_NMI)
		v->nmi_pending = true;
}

static bool interruptible(const struct soft_vcpu *v)
{
	return (v->rf & X86_FLAG_IF) && !v->shadow;
}

static bool extint_ready(const struct soft_vcpu *v)
{
	return (atomic_load(&v->attention) & SOFT_ATT_INTR) && lapic_takes_extint(&v->lapic);
}

static void deliver_event(struct soft_vcpu *v, unsigned vector)
{
	v->n_irq++;
	v->delivering = SOFT_DELIVERING_INTERRUPT;
	soft_deliver(v, vector, SOFT_EVENT_INTERRUPT, false, 0);
	v->delivering = -1;
}

/* Deliver one pending interrupt where that is allowed now. */
static void take_interrupt(struct soft_vcpu *v)
{
	if (v->mp == CPU_MP_WAIT_SIPI)
		return;
	if (v->nmi_pending && !v->nmi_masked && !v->shadow) {
		v->nmi_pending = false;
		v->nmi_masked = true;
		v->mp = CPU_MP_RUNNABLE;
		deliver_event(v, X86_VEC_NMI);
		return;
	}
	if (!interruptible(v))
		return;
	if (lapic_pending(&v->lapic) >= 0) {
		v->mp = CPU_MP_RUNNABLE;
		deliver_event(v, lapic_accept(&v->lapic));
		return;
	}
	if (extint_ready(v)) {
		uint8_t vector;

		soft_guest_leave(v);
		vector = v->vm->io->irq_ack(v->vm->io->ctx);
		soft_guest_enter(v);
		v->mp = CPU_MP_RUNNABLE;
		deliver_event(v, vector);
	}
}

/* Look at everything; true: vcpu_run must return v->exit_reason. */
static bool look_up(struct soft_vcpu *v)
{
	unsigned att = atomic_load(&v->attention);

	if (att & SOFT_ATT_EXCL) {
		atomic_fetch_and(&v->attention, ~SOFT_ATT_EXCL);
		soft_guest_leave(v);
		soft_guest_enter(v);
	}
	if (att & SOFT_ATT_KICK) {
		atomic_fetch_and(&v->attention, ~SOFT_ATT_KICK);
		v->exit_reason = CPU_EXIT_KICKED;
		return true;
	}
	if (att & SOFT_ATT_TIMER) {
		atomic_fetch_and(&v->attention, ~SOFT_ATT_TIMER);
		if (v->vm->jit)
			v->vm->jit->sample(v);
		lapic_timer_check(&v->lapic);
	}
	if (att & SOFT_ATT_APIC) {
		take_lapic_events(v);
		/* Stays up while something waits in IRR that cannot be taken yet. */
		atomic_fetch_and(&v->attention, ~SOFT_ATT_APIC);
	}
	if (lapic_has_work(&v->lapic) || v->nmi_pending)
		atomic_fetch_or(&v->attention, SOFT_ATT_APIC);
	take_interrupt(v);
	return false;
}

/* Not running guest code: until there is an event, or a kick. True: return from vcpu_run. */
static bool wait_for_event(struct soft_vcpu *v)
{
	while (v->mp != CPU_MP_RUNNABLE) {
		unsigned seq = atomic_load(&v->wake_seq);

		if (look_up(v))
			return true;
		if (v->mp == CPU_MP_RUNNABLE)
			break;
		soft_guest_leave(v);
		atomic_store(&v->sleeping, true);
		if (atomic_load(&v->wake_seq) == seq)
			futex_wait(&v->wake_seq, seq);
		atomic_store(&v->sleeping, false);
		soft_guest_enter(v);
	}
	return false;
}

/* --- faults ---------------------------------------------------------------------------------- */

/* Contributory exceptions and what two of them make: SDM vol. 3A, table 6-5. */
static bool contributory(int vec)
{
	return vec == X86_VEC_DE || (vec >= X86_VEC_TS && vec <= X86_VEC_GP);
}

static bool makes_double_fault(int first, int second)
{
	if (first == X86_VEC_PF)
		return second == X86_VEC_PF || contributory(second);
	return first >= 0 && contributory(first) && contributory(second);
}

static void handle_fault(struct soft_vcpu *v)
{
	unsigned vector = v->raise_vector;
	bool has_code = v->raise_has_code;
	uint32_t code = v->raise_code;

	v->n_exc++;
	if (v->cur) {
		uint64_t ip = v->block_va + v->cur->end - v->cur->len;

		if (v->mode != SOFT_MODE_64)
			ip = v->mode == SOFT_MODE_32 ? (uint32_t)ip : (uint16_t)ip;
		v->rip = ip;
		v->cur = NULL;
	}
	if (v->delivering == X86_VEC_DF) {
		v->exit_reason = CPU_EXIT_SHUTDOWN;
		v->exit_wanted = true;
		v->delivering = -1;
		return;
	}
	if (makes_double_fault(v->delivering, (int)vector)) {
		vector = X86_VEC_DF;
		has_code = true;
		code = 0;
	}
	v->delivering = (int)vector;
	/* The error code of real mode has nowhere to go. */
	soft_deliver(v, vector, SOFT_EVENT_EXCEPTION, has_code && !soft_real(v), code);
	v->delivering = -1;
}

/* Instruction breakpoints: a fault before the instruction (SDM vol. 3B, 17.3.1.1). */
static void check_insn_breakpoints(struct soft_vcpu *v)
{
	uint64_t va = v->rip;
	uint64_t hit = 0;

	if (v->mode != SOFT_MODE_64)
		va = (uint32_t)(va + v->seg[CPU_CS].base);
	for (unsigned i = 0; i < 4; i++)
		if ((v->dr7 >> (i * 2) & 3) && !(v->dr7 >> (16 + i * 4) & 3) && v->dr[i] == va)
			hit |= 1u << i;
	if (!hit)
		return;
	v->dr6 |= hit;
	v->rf |= X86_FLAG_RF; /* shown in the frame, so that IRET passes the breakpoint */
	soft_raise(v, X86_VEC_DB);
}

static bool has_insn_breakpoints(const struct soft_vcpu *v)
{
	for (unsigned i = 0; i < 4; i++)
		if ((v->dr7 >> (i * 2) & 3) && !(v->dr7 >> (16 + i * 4) & 3))
			return true;
	return false;
}

/* What is due after an instruction: single step and data breakpoints. */
static void debug_traps(struct soft_vcpu *v)
{
	uint64_t bits = v->db_trap ? v->db_bits : 0;

	if (v->step_armed)
		bits |= 1u << 14; /* BS */
	v->db_trap = false;
	v->db_bits = 0;
	v->step_armed = false;
	if (!bits)
		return;
	v->dr6 |= bits;
	soft_raise(v, X86_VEC_DB);
}

/* --- the loop -------------------------------------------------------------------------------- */

/* false: not now, see soft_block_get() */
static bool run_block(struct soft_vcpu *v, uint32_t mode)
{
	struct soft_block *b = soft_block_get(v, mode);

	if (UNLIKELY(!b))
		return false;
	v->n_blocks++;
	v->n_insns += b->n;
	if (UNLIKELY(b->runs < v->vm->jit_hot && ++b->runs == v->vm->jit_hot && v->vm->jit &&
		     (b->mode & ~SOFT_MODE_USER) == SOFT_MODE_64)) {
		if (v->vm->jit->full(v)) {
			soft_blocks_flush(v);
			return true;
		}
		v->vm->jit->translate(v, b);
	}
	if (b->code && v->vm->jit->run(v, b)) {
		v->cur = NULL;
		return true;
	}
	v->jit_slot = NULL;
	v->block_va = v->rip;
	v->cur = b->insn;
	b->run(v, b->insn);
	v->cur = NULL;
	return true;
}

/* One instruction with everything that looks at single instructions. */
static void run_single(struct soft_vcpu *v, bool shadow)
{
	uint64_t rf = v->rf;

	if (!shadow && (v->dr7 & 0xff) && !(v->rf & X86_FLAG_RF) && has_insn_breakpoints(v))
		check_insn_breakpoints(v);
	v->step_armed = v->rf & X86_FLAG_TF;
	v->rf &= ~X86_FLAG_RF;
	if (!run_block(v, v->mode | SOFT_MODE_SINGLE)) {
		v->rf = rf;
		v->step_armed = false;
		v->shadow = shadow;
		return;
	}
	if (!v->shadow)
		debug_traps(v);
}

static bool needs_single(const struct soft_vcpu *v)
{
	return UNLIKELY(v->rf & (X86_FLAG_TF | X86_FLAG_RF)) || UNLIKELY(v->dr7 & 0xff);
}

static void run_loop(struct soft_vcpu *v)
{
	for (;;) {
		bool shadow = v->shadow;

		if (UNLIKELY(v->mp != CPU_MP_RUNNABLE)) {
			v->shadow = false;
			if (wait_for_event(v))
				return;
			continue;
		}
		if (UNLIKELY(shadow)) {
			/* Events wait for the next block's end: one instruction away, or more. */
			v->shadow = false;
			if (needs_single(v))
				run_single(v, true);
			else if (!run_block(v, v->mode))
				v->shadow = true;
			continue;
		}
		if (UNLIKELY(atomic_load_explicit(&v->attention, memory_order_acquire)) &&
		    look_up(v))
			return;
		if (v->mp != CPU_MP_RUNNABLE)
			continue;
		if (needs_single(v))
			run_single(v, false);
		else
			(void)run_block(v, v->mode);
	}
}

enum cpu_exit soft_run(struct soft_vcpu *v)
{
	if (!v->timer_made || v->timer_tid != (pid_t)syscall(SYS_gettid)) {
		if (v->timer_made)
			timer_delete(v->timer);
		v->timer_made = false;
		make_timer(v);
		/* The deadline may have passed, or was on the timer that is gone. */
		soft_attention(v, SOFT_ATT_TIMER);
	}
	soft_guest_enter(v);
	v->exit_wanted = false;
	v->delivering = -1;
	if (setjmp(v->fault))
		handle_fault(v);
	else if (v->exc_pending) {
		v->exc_pending = false;
		v->delivering = v->exc_vector;
		soft_deliver(v, v->exc_vector, SOFT_EVENT_EXCEPTION, v->exc_has_code, v->exc_code);
		v->delivering = -1;
	}
	if (!v->exit_wanted)
		run_loop(v);
	soft_guest_leave(v);
	return v->exit_reason;
}
