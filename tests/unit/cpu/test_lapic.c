/* SPDX-License-Identifier: MIT */
/* The local APIC: who gets a message, priorities, EOI, the timer's modes, and the MSRs' rules. */
#include "base/bytes.h"
#include "cpu/lapic.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define N 4

struct cpu {
	struct lapic l;
	unsigned wakes, eois;
	uint8_t last_eoi;
	uint64_t tsc, ns, arm_tsc, arm_ns;
};

struct rig {
	struct lapic_set *set;
	struct cpu c[N];
};

static void wake(void *ctx)
{
	((struct cpu *)ctx)->wakes++;
}

static uint64_t tsc(void *ctx)
{
	return ((struct cpu *)ctx)->tsc;
}

static uint64_t now(void *ctx)
{
	return ((struct cpu *)ctx)->ns;
}

static void arm(void *ctx, uint64_t t, uint64_t ns)
{
	((struct cpu *)ctx)->arm_tsc = t;
	((struct cpu *)ctx)->arm_ns = ns;
}

static void eoi(void *ctx, uint8_t vec)
{
	((struct cpu *)ctx)->eois++;
	((struct cpu *)ctx)->last_eoi = vec;
}

static const struct lapic_owner_ops ops = {
	.wake = wake, .tsc = tsc, .now_ns = now, .timer_arm = arm, .eoi = eoi
};

static void setup(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	assert_int_equal(lapic_set_create(&r->set, N, NULL), 0);
	for (unsigned i = 0; i < N; i++) {
		r->c[i].ns = 1000;
		lapic_init(&r->c[i].l, r->set, i, &ops, &r->c[i]);
		lapic_mmio_write(&r->c[i].l, 0xf0, 0x1ff);
	}
}

/* Which CPUs have @vec pending, as a mask; takes it. */
static unsigned who(struct rig *r, uint8_t vec)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < N; i++) {
		if (lapic_pending(&r->c[i].l) != vec)
			continue;
		mask |= 1u << i;
		assert_int_equal(lapic_accept(&r->c[i].l), vec);
		lapic_eoi(&r->c[i].l);
	}
	return mask;
}

static void destinations(void **state UNUSED)
{
	struct rig r;

	setup(&r);
	assert_int_equal(lapic_mmio_read(&r.c[2].l, 0x20), 2u << 24);
	assert_int_equal(lapic_mmio_read(&r.c[2].l, 0x30), 0x50014);
	lapic_msi(r.set, 0xfee02000, 0x41);
	assert_int_equal(who(&r, 0x41), 4);
	lapic_msi(r.set, 0xfeeff000, 0x42);
	assert_int_equal(who(&r, 0x42), 15);
	for (unsigned i = 0; i < N; i++) /* flat */
		lapic_mmio_write(&r.c[i].l, 0xd0, 1u << (24 + i));
	lapic_msi(r.set, 0xfee0a004, 0x43);
	assert_int_equal(who(&r, 0x43), 10);
	lapic_msi(r.set, 0xfee0f00c, 0x143); /* lowest priority: one of them */
	assert_int_equal(__builtin_popcount(who(&r, 0x43)), 1);
	for (unsigned i = 0; i < N; i++) { /* clusters of two */
		lapic_mmio_write(&r.c[i].l, 0xe0, 0);
		lapic_mmio_write(&r.c[i].l, 0xd0, (i / 2) << 28 | 1u << (24 + i % 2));
	}
	lapic_msi(r.set, 0xfee13004, 0x44);
	assert_int_equal(who(&r, 0x44), 12);
	lapic_msi(r.set, 0xfeef1004, 0x45);
	assert_int_equal(who(&r, 0x45), 5);
	/* Software-disabled: no fixed ones, but NMI. */
	lapic_mmio_write(&r.c[1].l, 0xf0, 0xff);
	lapic_msi(r.set, 0xfeeff000, 0x46);
	assert_int_equal(who(&r, 0x46), 13);
	lapic_msi(r.set, 0xfee01000, 0x400);
	assert_int_equal(lapic_take_events(&r.c[1].l), LAPIC_EV_NMI);
	assert_int_equal(lapic_take_events(&r.c[1].l), 0);
	lapic_msi(r.set, 0xfee01000, 0x05); /* vectors below 16 do not exist */
	assert_false(lapic_has_work(&r.c[1].l));
	lapic_set_destroy(r.set);
}

static void ipis(void **state UNUSED)
{
	struct rig r;
	uint64_t v;

	setup(&r);
	lapic_mmio_write(&r.c[0].l, 0x310, 1u << 24);
	lapic_mmio_write(&r.c[0].l, 0x300, 0x4051);
	assert_int_equal(who(&r, 0x51), 2);
	lapic_mmio_write(&r.c[0].l, 0x300, 0x44052); /* self */
	assert_int_equal(who(&r, 0x52), 1);
	lapic_mmio_write(&r.c[1].l, 0x300, 0x84053); /* all */
	assert_int_equal(who(&r, 0x53), 15);
	lapic_mmio_write(&r.c[1].l, 0x300, 0xc4054); /* all but self */
	assert_int_equal(who(&r, 0x54), 13);
	/* INIT, de-assert, SIPI; a new INIT voids the SIPI. */
	lapic_mmio_write(&r.c[0].l, 0x310, 3u << 24);
	lapic_mmio_write(&r.c[0].l, 0x300, 0xc500);
	lapic_mmio_write(&r.c[0].l, 0x300, 0x8500);
	assert_int_equal(lapic_take_events(&r.c[3].l), LAPIC_EV_INIT);
	lapic_mmio_write(&r.c[0].l, 0x300, 0x8500);
	assert_int_equal(lapic_take_events(&r.c[3].l), 0);
	lapic_mmio_write(&r.c[0].l, 0x300, 0x4609);
	assert_int_equal(r.c[3].l.sipi_vector, 9);
	lapic_mmio_write(&r.c[0].l, 0x300, 0xc500);
	assert_int_equal(lapic_take_events(&r.c[3].l), LAPIC_EV_INIT);
	/* Illegal vector: ESR after a write to it. */
	lapic_mmio_write(&r.c[0].l, 0x300, 0x4003);
	assert_int_equal(lapic_mmio_read(&r.c[0].l, 0x280), 0);
	lapic_mmio_write(&r.c[0].l, 0x280, 0);
	assert_int_equal(lapic_mmio_read(&r.c[0].l, 0x280), 0x20);
	/* x2APIC: ids in full, logical ids, self IPI, reserved bits. */
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(lapic_msr_write(&r.c[i].l, 0x1b, 0xfee00c00), 0);
	assert_int_equal(lapic_msr_read(&r.c[2].l, 0x802, &v), 0);
	assert_int_equal(v, 2);
	assert_int_equal(lapic_msr_read(&r.c[2].l, 0x80d, &v), 0);
	assert_int_equal(v, 4);
	assert_int_equal(lapic_msr_write(&r.c[0].l, 0x830, 2ull << 32 | 0x61), 0);
	assert_int_equal(who(&r, 0x61), 4);
	assert_int_equal(lapic_msr_write(&r.c[0].l, 0x830, 0xaull << 32 | 0x862), 0);
	assert_int_equal(who(&r, 0x62), 10);
	assert_int_equal(lapic_msr_write(&r.c[0].l, 0x830, 0xffffffffull << 32 | 0x63), 0);
	assert_int_equal(who(&r, 0x63), 15);
	assert_int_equal(lapic_msr_write(&r.c[3].l, 0x83f, 0x64), 0);
	assert_int_equal(who(&r, 0x64), 8);
	assert_int_equal(lapic_msr_write(&r.c[3].l, 0x83f, 0x164), -EINVAL);
	assert_int_equal(lapic_msr_read(&r.c[3].l, 0x83f, &v), -EINVAL);
	assert_int_equal(lapic_msr_write(&r.c[3].l, 0x80b, 1), -EINVAL);
	assert_int_equal(lapic_msr_write(&r.c[3].l, 0x802, 1), -EINVAL);
	assert_int_equal(lapic_msr_write(&r.c[3].l, 0x80f, 0x11ff), -EINVAL);
	assert_int_equal(lapic_msr_read(&r.c[3].l, 0x831, &v), -EINVAL);
	assert_int_equal(lapic_msr_read(&r.c[3].l, 0x80e, &v), -EINVAL);
	lapic_set_destroy(r.set);
}

static void priorities(void **state UNUSED)
{
	struct rig r;
	struct lapic *l = &r.c[0].l;

	setup(&r);
	lapic_msi(r.set, 0xfee00000, 0x31);
	lapic_msi(r.set, 0xfee00000, 0x58);
	assert_int_equal(lapic_accept(l), 0x58);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(lapic_mmio_read(l, 0xa0), 0x50);
	lapic_msi(r.set, 0xfee00000, 0x5f); /* same class */
	assert_int_equal(lapic_pending(l), -1);
	lapic_msi(r.set, 0xfee00000, 0x60);
	assert_int_equal(lapic_accept(l), 0x60);
	lapic_eoi(l);
	lapic_eoi(l);
	assert_int_equal(r.c[0].eois, 0);
	assert_int_equal(lapic_accept(l), 0x5f);
	lapic_eoi(l);
	lapic_set_cr8(l, 3);
	assert_int_equal(lapic_pending(l), -1);
	lapic_set_cr8(l, 2);
	assert_int_equal(lapic_cr8(l), 2);
	assert_int_equal(lapic_accept(l), 0x31);
	lapic_eoi(l);
	lapic_msi(r.set, 0xfee00000, 0xc070); /* level */
	assert_int_equal(lapic_mmio_read(l, 0x1b0), 1u << 16);
	assert_int_equal(lapic_accept(l), 0x70);
	lapic_mmio_write(l, 0xb0, 0);
	assert_int_equal(r.c[0].eois, 1);
	assert_int_equal(r.c[0].last_eoi, 0x70);
	lapic_set_destroy(r.set);
}

static void timer(void **state UNUSED)
{
	struct rig r;
	struct cpu *c = &r.c[0];
	struct lapic *l = &c->l;
	uint64_t v;

	setup(&r);
	lapic_mmio_write(l, 0x3e0, 0xb); /* divide by 1 */
	lapic_mmio_write(l, 0x320, 0x40);
	lapic_mmio_write(l, 0x380, 5000);
	assert_int_equal(c->arm_ns, 6000);
	c->ns = 4000;
	assert_int_equal(lapic_mmio_read(l, 0x390), 2000);
	lapic_timer_check(l);
	assert_int_equal(lapic_pending(l), -1);
	c->ns = 6001;
	lapic_timer_check(l);
	assert_int_equal(who(&r, 0x40), 1);
	assert_int_equal(lapic_mmio_read(l, 0x390), 0);
	assert_int_equal(c->arm_ns, UINT64_MAX);
	lapic_timer_check(l);
	assert_int_equal(lapic_pending(l), -1);
	/* Periodic, divided by 16; masked fires nothing. */
	lapic_mmio_write(l, 0x3e0, 3);
	lapic_mmio_write(l, 0x320, 0x20041);
	lapic_mmio_write(l, 0x380, 10000);
	assert_int_equal(c->arm_ns, 6001 + 160000);
	c->ns = 6001 + 160000 * 3 + 16;
	lapic_timer_check(l);
	assert_int_equal(who(&r, 0x41), 1);
	assert_int_equal(c->arm_ns, 6001 + 160000 * 4);
	assert_int_equal(lapic_mmio_read(l, 0x390), 9999);
	lapic_mmio_write(l, 0x320, 0x30041);
	c->ns += 200000;
	lapic_timer_check(l);
	assert_int_equal(lapic_pending(l), -1);
	/* TSC deadline. */
	assert_int_equal(lapic_msr_write(l, 0x6e0, 99), 0); /* ignored in this mode */
	assert_int_equal(lapic_msr_read(l, 0x6e0, &v), 0);
	assert_int_equal(v, 0);
	lapic_mmio_write(l, 0x320, 0x40042);
	assert_int_equal(c->arm_ns, UINT64_MAX);
	c->tsc = 500;
	assert_int_equal(lapic_msr_write(l, 0x6e0, 900), 0);
	assert_int_equal(c->arm_tsc, 900);
	c->tsc = 900;
	lapic_timer_check(l);
	assert_int_equal(who(&r, 0x42), 1);
	assert_int_equal(lapic_msr_read(l, 0x6e0, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(lapic_msr_write(l, 0x6e0, 1), 0); /* past: at once */
	assert_int_equal(who(&r, 0x42), 1);
	lapic_set_destroy(r.set);
}

static void base_msr(void **state UNUSED)
{
	struct rig r;
	struct lapic *l = &r.c[0].l;
	uint64_t v;

	setup(&r);
	assert_int_equal(lapic_msr_read(l, 0x1b, &v), 0);
	assert_int_equal(v, 0xfee00900);
	assert_int_equal(lapic_msr_read(l, 0x802, &v), -EINVAL); /* not in xAPIC mode */
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00500), -EINVAL);
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00901), -EINVAL);
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00d00), 0);
	assert_int_equal(lapic_mmio_read(l, 0x30), 0); /* the page is gone */
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00900), -EINVAL);
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00100), 0);
	assert_true(lapic_takes_extint(l));
	lapic_msi(r.set, 0xfee00000, 0x44);
	assert_false(lapic_has_work(l));
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00d00), -EINVAL);
	assert_int_equal(lapic_msr_write(l, 0x1b, 0xfee00900), 0);
	assert_false(lapic_takes_extint(l)); /* LINT0 is masked now */
	lapic_mmio_write(l, 0xf0, 0x1ff);
	lapic_mmio_write(l, 0x350, 0x700);
	assert_true(lapic_takes_extint(l));
	lapic_mmio_write(l, 0xf0, 0xff); /* software-disabled: masked */
	assert_int_equal(lapic_mmio_read(l, 0x350), 0x10700);
	lapic_set_destroy(r.set);
}

static void save_load(void **state UNUSED)
{
	struct rig r;
	struct lapic *l = &r.c[1].l;
	uint8_t page[1024], bad[1024];

	setup(&r);
	lapic_msi(r.set, 0xfee01000, 0xc071);
	lapic_msi(r.set, 0xfee01000, 0x81);
	lapic_accept(l);
	lapic_mmio_write(l, 0x3e0, 0xb);
	lapic_mmio_write(l, 0x320, 0x45);
	lapic_mmio_write(l, 0x380, 5000);
	r.c[1].ns += 2000;
	lapic_save_regs(l, page);
	lapic_reset(l, false);
	r.c[1].ns += 70000;
	memcpy(bad, page, sizeof(bad));
	bad[0x200] = 1; /* vector 0 in IRR */
	assert_int_equal(lapic_load_regs(l, bad, 0xfee00800, 0), -EINVAL);
	assert_int_equal(lapic_load_regs(l, page, 0xfee00400, 0), -EINVAL);
	assert_int_equal(lapic_pending(l), -1);
	r.c[1].wakes = 0;
	assert_int_equal(lapic_load_regs(l, page, 0xfee00800, 0), 0);
	assert_true(r.c[1].wakes > 0);
	assert_int_equal(lapic_pending(l), -1); /* 0x81 is in service */
	lapic_eoi(l);
	assert_int_equal(lapic_accept(l), 0x71);
	lapic_eoi(l);
	assert_int_equal(r.c[1].last_eoi, 0x71);
	assert_int_equal(lapic_mmio_read(l, 0x390), 3000);
	lapic_set_destroy(r.set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(destinations), cmocka_unit_test(ipis),
		cmocka_unit_test(priorities),	cmocka_unit_test(timer),
		cmocka_unit_test(base_msr),	cmocka_unit_test(save_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
