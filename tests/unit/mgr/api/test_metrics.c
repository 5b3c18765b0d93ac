/* SPDX-License-Identifier: MIT */
/*
 * The Prometheus text: exact bytes, and promtool's opinion where it is installed.
 */
#include "mgr/api/metrics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fill(struct metrics *m)
{
	static const double bounds[] = { 0.001, 0.1, 1 };
	static const uint64_t counts[] = { 3, 0, 2, 1 };
	const struct metrics_label vm[] = { { "vm", "web" }, { "project", "a\\b\"c\nd" } };

	metrics_family(m, "holm_vms", METRICS_GAUGE, "VMs, back\\slash and\nline.");
	metrics_u64(m, NULL, 0, 18446744073709551615ull);
	metrics_family(m, "holm_vm_cpu_seconds_total", METRICS_COUNTER, "CPU time.");
	metrics_f64(m, vm, 2, 0.1);
	metrics_f64(m, vm, 1, 1.0 / 3);
	metrics_family(m, "holm_vm_pressure_ratio", METRICS_GAUGE, "Pressure.");
	metrics_f64(m, vm, 1, NAN);
	metrics_f64(m, NULL, 0, -INFINITY);
	metrics_family(m, "holm_block_seconds", METRICS_HISTOGRAM, "Latency.");
	metrics_histogram(m, vm, 1, bounds, counts, 3, 2.5);
	metrics_histogram(m, NULL, 0, bounds, counts, 3, INFINITY);
}

static void the_text_is_exact(void **state UNUSED)
{
	static const char want[] =
		"# HELP holm_vms VMs, back\\\\slash and\\nline.\n# TYPE holm_vms gauge\n"
		"holm_vms 18446744073709551615\n"
		"# HELP holm_vm_cpu_seconds_total CPU time.\n"
		"# TYPE holm_vm_cpu_seconds_total counter\n"
		"holm_vm_cpu_seconds_total{vm=\"web\",project=\"a\\\\b\\\"c\\nd\"} 0.1\n"
		"holm_vm_cpu_seconds_total{vm=\"web\"} 0.33333333333333331\n"
		"# HELP holm_vm_pressure_ratio Pressure.\n# TYPE holm_vm_pressure_ratio gauge\n"
		"holm_vm_pressure_ratio{vm=\"web\"} NaN\nholm_vm_pressure_ratio -Inf\n"
		"# HELP holm_block_seconds Latency.\n# TYPE holm_block_seconds histogram\n"
		"holm_block_seconds_bucket{vm=\"web\",le=\"0.001\"} 3\n"
		"holm_block_seconds_bucket{vm=\"web\",le=\"0.1\"} 3\n"
		"holm_block_seconds_bucket{vm=\"web\",le=\"1\"} 5\n"
		"holm_block_seconds_bucket{vm=\"web\",le=\"+Inf\"} 6\n"
		"holm_block_seconds_count{vm=\"web\"} 6\nholm_block_seconds_sum{vm=\"web\"} 2.5\n"
		"holm_block_seconds_bucket{le=\"0.001\"} 3\n"
		"holm_block_seconds_bucket{le=\"0.1\"} 3\n"
		"holm_block_seconds_bucket{le=\"1\"} 5\n"
		"holm_block_seconds_bucket{le=\"+Inf\"} 6\n"
		"holm_block_seconds_count 6\nholm_block_seconds_sum +Inf\n";
	struct metrics m = { 0 };
	const char *text;
	size_t len;

	assert_string_equal(metrics_text(&m, &len), "");
	assert_int_equal(len, 0);
	fill(&m);
	text = metrics_text(&m, &len);
	assert_string_equal(text, want);
	assert_int_equal(len, sizeof(want) - 1);
	metrics_free(&m);
	metrics_free(&m);
}

static void it_grows(void **state UNUSED)
{
	struct metrics m = { 0 };
	char value[16];
	const struct metrics_label l = { "vm", value };
	size_t len;

	metrics_family(&m, "holm_vm_state", METRICS_GAUGE, "State.");
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(value, sizeof(value), "%08u", i);
		metrics_u64(&m, &l, 1, i % 10);
	}
	assert_non_null(metrics_text(&m, &len));
	/* Two lines of head, then lines of equal length. */
	assert_int_equal(len, 28 + 27 + 10000 * 31);
	metrics_free(&m);
}

static void promtool_reads_it(void **state UNUSED)
{
	char *const argv[] = { "promtool", "check", "metrics", NULL };
	posix_spawn_file_actions_t files;
	struct metrics m = { 0 };
	const char *text;
	int pipe_fd[2], status;
	pid_t pid;
	size_t len;

	assert_int_equal(pipe(pipe_fd), 0);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, pipe_fd[0], 0);
	posix_spawn_file_actions_addclose(&files, pipe_fd[1]);
	status = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	close(pipe_fd[0]);
	if (status) {
		close(pipe_fd[1]);
		skip();
	}
	fill(&m);
	text = metrics_text(&m, &len);
	assert_int_equal(write(pipe_fd[1], text, len), len);
	close(pipe_fd[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_exact),
		cmocka_unit_test(it_grows),
		cmocka_unit_test(promtool_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
