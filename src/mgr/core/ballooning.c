/* SPDX-License-Identifier: MIT */
/*
 * What guests shall keep, see ballooning.h.
 */
#include "mgr/core/ballooning.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

#define MIB 0x100000ull

/* Of 1000 parts of the host's memory, and hundredths of a per cent of time. */
#define SHORT_AVAILABLE 150u
#define WELL_AVAILABLE	200u
#define SHORT_PRESSURE	500u
#define WELL_PRESSURE	250u

bool ballooning_short(bool was, const struct ballooning_host *h)
{
	uint64_t bound = h->total / 1000 * (was ? WELL_AVAILABLE : SHORT_AVAILABLE);
	unsigned pressure = was ? WELL_PRESSURE : SHORT_PRESSURE;

	return h->available < bound || (h->pressure_known && h->pressure > pressure);
}

static bool takes_part(const struct ballooning_vm *vm)
{
	return vm->policy != ALLOC_FIXED && vm->guest_total;
}

/* The most that it may have. */
static uint64_t cap(const struct ballooning_vm *vm)
{
	return vm->memory.limit ? MIN(vm->size, vm->memory.limit) : vm->size;
}

static uint64_t need(const struct ballooning_vm *vm)
{
	uint64_t used = MIN(vm->guest_used, vm->size);

	/* Its total did not shrink with the balloon: that is in what it calls used. */
	if (vm->guest_total > vm->size - MIN(vm->size, vm->held))
		used -= MIN(used, vm->held);
	return MIN(MAX(used + used / 4, BALLOONING_NEED_MIN), vm->size);
}

static struct alloc_member member(const struct ballooning_vm *vm)
{
	struct alloc_member m = {
		.name = vm->name,
		.parent = ALLOC_ROOT,
		.policy = ALLOC_FIXED,
		.demand = vm->size,
		.shares = vm->memory.shares,
		.priority = vm->priority,
	};

	if (takes_part(vm)) {
		m.policy = vm->policy;
		m.demand = need(vm);
		m.limit = cap(vm);
		m.reservation = MIN(vm->memory.reservation, m.limit);
	}
	return m;
}

static void settle(struct ballooning_vm *vm, uint64_t keep)
{
	uint64_t now = vm->size - MIN(vm->size, vm->asked), top = cap(vm);
	uint64_t off;

	keep = MAX(align_down(MIN(keep, top), MIB), MIN(BALLOONING_KEEP_MIN, vm->size));
	off = keep > now ? keep - now : now - keep;
	vm->keep = keep;
	/* The whole, and a limit, are reached to the byte: they do not waver. */
	vm->tell = off && (off >= vm->size / 20 || now > top || keep == align_down(top, MIB));
}

int ballooning_decide(struct ballooning_vm *vm, size_t n, uint64_t capacity, bool is_short,
		      struct err *e)
{
	struct alloc_member *m = NULL;
	uint64_t missing;
	int ret = 0;

	if (is_short && n) {
		m = calloc(n, sizeof(*m));
		if (!m)
			return err_set(e, -ENOMEM, "no memory to divide the host's");
		for (size_t i = 0; i < n; i++)
			m[i] = member(&vm[i]);
		ret = alloc_run(m, n, capacity, 1000, &missing, e);
	}
	for (size_t i = 0; i < n && !ret; i++) {
		vm[i].keep = vm[i].size;
		/* One whose policy has become fixed gets back what it gave. */
		vm[i].tell = vm[i].policy == ALLOC_FIXED && vm[i].asked;
		if (takes_part(&vm[i]))
			settle(&vm[i], m ? m[i].part : vm[i].size);
	}
	free(m);
	return ret;
}
