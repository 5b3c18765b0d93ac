/* SPDX-License-Identifier: MIT */
/*
 * What /metrics says of VMs: the numbers of the last look, once each, and only of those that the
 * caller may see.
 */
#include "../apienv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The last answer as text: it is no JSON. */
struct got {
	struct api_request r;
	char *text;
	char type[64];
};

static const char *no_query(const struct api_request *r UNUSED, const char *name UNUSED)
{
	return NULL;
}

static void keep(struct api_request *r, const struct api_reply *a)
{
	struct got *g = CONTAINER_OF(r, struct got, r);

	assert_int_equal(a->status, 200);
	g->text = strndup(a->body, a->len);
	snprintf(g->type, sizeof(g->type), "%s", a->content_type);
}

static char *scrape(struct env *v, int uid)
{
	struct got g = { .r = { .method = "GET",
				.path = "/metrics",
				.query = no_query,
				.peer = { .uid = uid, .from = "unix" },
				.done = keep } };

	v->ctx.api.ops->call(v->ctx.api.ctx, &g.r);
	assert_non_null(g.text);
	assert_string_equal(g.type, "text/plain; version=0.0.4; charset=utf-8");
	return g.text;
}

/* How many lines begin so. */
static unsigned lines(const char *text, const char *start)
{
	unsigned n = 0;

	for (const char *p = text; *p; p += strcspn(p, "\n") + 1)
		n += !strncmp(p, start, strlen(start));
	return n;
}

static void has(const char *text, const char *line)
{
	if (lines(text, line) != 1)
		fail_msg("%u times '%s' in\n%s", lines(text, line), line, text);
}

static void must(struct env *v, const char *method, const char *path, const char *body,
		 unsigned status)
{
	env_call(v, method, path, body);
	assert_int_equal(v->status, status);
}

static struct vm *run(struct env *v, const char *name, const char *project)
{
	char body[256];
	struct vm *vm;

	snprintf(body, sizeof(body),
		 "{\"name\":\"%s\",\"project\":\"%s\",\"config\":{\"kernel\":\"/k\"},"
		 "\"start\":true}",
		 name, project);
	must(v, "POST", "/v1/vms", body, 201);
	vm = mgr_find(&v->mgr, name);
	fake_says_hello(&v->runner, vm->id, false);
	return vm;
}

static void look(struct vm *vm)
{
	vm->sample = (struct sample) {
		.at_ns = 1,
		.cpu_ns = 1500000000,
		.steal_ns = 250000000,
		.rss = 4096,
		.balloon = 8192,
		.guest_used = 77,
		.read_ops = 3,
		.write_ops = 4,
		.read_bytes = 512,
		.write_ns = 2000000000,
		.rx_packets = 5,
		.tx_bytes = 6,
		.exits = { { "mmio", 8 }, { "halts", 9 } },
		.n_exits = 2,
	};
}

static int set_up(void **state)
{
	struct env *v = calloc(1, sizeof(*v));

	env_open(v);
	must(v, "POST", "/v1/projects", "{\"name\":\"other\"}", 201);
	must(v, "POST", "/v1/users", "{\"name\":\"ann\",\"uid\":1000}", 201);
	must(v, "POST", "/v1/projects/other/grants", "{\"user\":\"ann\",\"role\":\"viewer\"}", 200);
	*state = v;
	return 0;
}

static int tear_down(void **state)
{
	env_close(*state);
	free(*state);
	return 0;
}

static void test_numbers(void **state)
{
	static const char *const want[] = {
		"holm_vm_cpu_seconds_total{%s} 1.5\n",
		"holm_vm_steal_seconds_total{%s} 0.25\n",
		"holm_vm_resident_bytes{%s} 4096\n",
		"holm_vm_balloon_bytes{%s} 8192\n",
		"holm_vm_guest_used_bytes{%s} 77\n",
		"holm_vm_block_operations_total{%s,op=\"read\"} 3\n",
		"holm_vm_block_operations_total{%s,op=\"write\"} 4\n",
		"holm_vm_block_bytes_total{%s,op=\"read\"} 512\n",
		"holm_vm_block_bytes_total{%s,op=\"write\"} 0\n",
		"holm_vm_block_seconds_total{%s,op=\"write\"} 2\n",
		"holm_vm_network_packets_total{%s,direction=\"receive\"} 5\n",
		"holm_vm_network_bytes_total{%s,direction=\"transmit\"} 6\n",
		"holm_vm_exits_total{%s,kind=\"mmio\"} 8\n",
		"holm_vm_exits_total{%s,kind=\"halts\"} 9\n",
		"holm_vm_state{%s,state=\"running\"} 1\n",
		"holm_vm_info{%s,engine=\"soft\"} 1\n",
	};
	struct env *v = *state;
	struct vm *vm = run(v, "web", "default");
	char labels[128], line[256], *text;

	look(vm);
	clock_fake_advance(&v->clock, 5 * CLOCK_NS_PER_SEC);
	text = scrape(v, 0);
	snprintf(labels, sizeof(labels), "vm=\"web\",project=\"default\",id=\"%s\"", vm->id);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		const char *at = strstr(want[i], "%s");

		snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - want[i]), want[i], labels,
			 at + 2);
		has(text, line);
	}
	has(text, "holm_vms{state=\"running\"} 1\n");
	has(text, "holm_vms{state=\"stopped\"} 0\n");
	has(text, "holm_host_cpu_capacity_cores 4\n");
	has(text, "holm_host_memory_capacity_bytes 8589934592\n");
	has(text, "holm_host_memory_admitted_bytes 536870912\n");
	has(text, "holm_uptime_seconds 5\n");
	has(text, "holm_api_requests_total 5\n");
	free(text);
}

/* No series stands there twice, whatever is there. */
static void test_unique(void **state)
{
	struct env *v = *state;
	char *text;

	look(run(v, "one", "default"));
	look(run(v, "two", "other"));
	must(v, "POST", "/v1/vms", "{\"name\":\"idle\",\"config\":{\"kernel\":\"/k\"}}", 201);
	text = scrape(v, 0);
	for (const char *p = text; *p; p += strcspn(p, "\n") + 1) {
		char line[256];
		size_t len = strcspn(p, "\n");

		assert_true(len < sizeof(line));
		snprintf(line, sizeof(line), "%.*s", (int)len, p);
		/* Up to the value; of a comment, its kind and name. */
		*strrchr(line, ' ') = '\0';
		if (*line == '#')
			line[strcspn(line + 7, " ") + 7] = '\0';
		if (*line != '#' || strlen(line) > 7)
			has(text, line);
	}
	free(text);
}

static void test_only_what_one_sees(void **state)
{
	struct env *v = *state;
	char *text;

	look(run(v, "mine", "other"));
	look(run(v, "theirs", "default"));
	text = scrape(v, 1000);
	assert_non_null(strstr(text, "vm=\"mine\""));
	assert_null(strstr(text, "theirs"));
	assert_null(strstr(text, "project=\"default\""));
	has(text, "holm_vms{state=\"running\"} 1\n");
	free(text);
	must(v, "DELETE", "/v1/vms/theirs", NULL, 409);
	fake_ends(&v->runner, mgr_find(&v->mgr, "theirs")->id, "poweroff", 0);
	must(v, "DELETE", "/v1/vms/theirs", NULL, 200);
	text = scrape(v, 0);
	assert_null(strstr(text, "theirs"));
	has(text, "holm_vms{state=\"deleted\"} 1\n");
	free(text);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_numbers),
		TEST(test_unique),
		TEST(test_only_what_one_sees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
