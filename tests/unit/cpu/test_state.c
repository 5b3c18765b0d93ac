/* SPDX-License-Identifier: MIT */
/* Architectural state: reset values, MSR list, and the snapshot form in both directions. */
#include "base/bytes.h"
#include "cpu/state.h"
#include "spec/x86.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void power_on_and_init(void **state UNUSED)
{
	struct cpu_state s;

	memset(&s, 0xa5, sizeof(s));
	cpu_state_reset(&s, false);
	assert_int_equal(s.rip, 0xfff0);
	assert_int_equal(s.cr0, 0x60000010);
	assert_int_equal(s.seg[CPU_CS].selector, 0xf000);
	assert_int_equal(s.seg[CPU_CS].base, 0xffff0000);
	assert_int_equal(s.seg[CPU_CS].attr, 0x9b);
	assert_int_equal(s.seg[CPU_DS].attr, 0x93);
	assert_int_equal(s.dr6, 0xffff0ff0);
	assert_int_equal(s.rflags, 2);
	assert_int_equal(cpu_state_msr(&s, X86_MSR_PAT, 0), 0x0007040600070406);
	cpu_state_set_msr(&s, X86_MSR_LSTAR, 0x1234);
	s.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_CD;
	s.xcr0 = 7;
	s.gpr[CPU_RAX] = 9;
	cpu_state_reset(&s, true);
	assert_int_equal(s.cr0, X86_CR0_CD | X86_CR0_ET);
	assert_int_equal(s.xcr0, 7);
	assert_int_equal(s.gpr[CPU_RAX], 0);
	assert_int_equal(cpu_state_msr(&s, X86_MSR_LSTAR, 0), 0x1234);
	assert_int_equal(cpu_state_msr(&s, X86_MSR_CSTAR, 77), 77);
}

static void round_trip(void **state UNUSED)
{
	struct cpu_state s, t;
	struct snap_writer w = { 0 };
	struct snap_reader r;

	cpu_state_reset(&s, false);
	for (unsigned i = 0; i < CPU_GPR_COUNT; i++)
		s.gpr[i] = 0x1111111111111111ull * i;
	s.seg[CPU_GS].base = 0xffff888000000000ull;
	s.seg[CPU_GS].attr = 0xc093;
	s.tr.limit = 0x2067;
	s.idtr.limit = 0xfff;
	s.mp = CPU_MP_HALTED;
	s.nmi_masked = true;
	s.xsave[600] = 0x5a;
	cpu_state_set_msr(&s, X86_MSR_STAR, 0x23001000000000ull);
	cpu_state_save(&s, &w);
	assert_int_equal(snap_writer_done(&w), 0);
	assert_int_equal(snap_reader_init(&r, w.buf, w.len, NULL), 0);
	memset(&t, 0xee, sizeof(t));
	assert_int_equal(cpu_state_load(&t, &r, NULL), 0);
	assert_memory_equal(t.gpr, s.gpr, sizeof(s.gpr));
	assert_memory_equal(t.xsave, s.xsave, sizeof(s.xsave));
	assert_memory_equal(t.lapic, s.lapic, sizeof(s.lapic));
	assert_int_equal(t.seg[CPU_GS].base, s.seg[CPU_GS].base);
	assert_int_equal(t.seg[CPU_GS].attr, 0xc093);
	assert_int_equal(t.tr.limit, 0x2067);
	assert_int_equal(t.idtr.limit, 0xfff);
	assert_int_equal(t.mp, CPU_MP_HALTED);
	assert_true(t.nmi_masked);
	assert_int_equal(t.n_msrs, s.n_msrs);
	assert_int_equal(cpu_state_msr(&t, X86_MSR_STAR, 0), 0x23001000000000ull);
	snap_writer_free(&w);
}

static void bad_snapshots(void **state UNUSED)
{
	struct cpu_state s, t, before;
	struct snap_writer w = { 0 };
	struct snap_reader r;
	struct err e;

	cpu_state_reset(&s, false);
	s.cr8 = 16;
	cpu_state_save(&s, &w);
	assert_int_equal(snap_reader_init(&r, w.buf, w.len, NULL), 0);
	memset(&t, 0x33, sizeof(t));
	memcpy(&before, &t, sizeof(t));
	assert_int_equal(cpu_state_load(&t, &r, &e), -EBADMSG);
	assert_memory_equal(&before, &t, sizeof(t));
	snap_writer_free(&w);

	memset(&w, 0, sizeof(w));
	cpu_state_reset(&s, false);
	s.mp = CPU_MP_COUNT;
	cpu_state_save(&s, &w);
	assert_int_equal(snap_reader_init(&r, w.buf, w.len, NULL), 0);
	assert_int_equal(cpu_state_load(&t, &r, &e), -EBADMSG);
	snap_writer_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_on_and_init),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(bad_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
