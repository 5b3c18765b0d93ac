/* SPDX-License-Identifier: MIT */
/*
 * What of the host a configuration may name, through the API: an owner who is no admin, and root.
 */
#include "../apienv.h"
#include "mgr/api/policy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWNER 1000

struct world {
	struct env v;
	char top[64], boot[96];
	const char *dirs[1];
	unsigned n;
};

static const char *volume_project(const struct api_ctx *ctx UNUSED, const char *name)
{
	return !strcmp(name, "mine") ? "default" : !strcmp(name, "theirs") ? "other" : "*";
}

static void must(struct env *v, const char *method, const char *path, const char *body,
		 unsigned status)
{
	env_call(v, method, path, body);
	if (v->status != status)
		fail_msg("%s %s %s: %u '%s', expected %u", method, path, body, v->status,
			 env_text(v, "detail"), status);
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static const char *at(const struct world *w, const char *rest)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s%s", w->top, rest);
	return path;
}

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct world *w = calloc(1, sizeof(*w));
	char *real;

	snprintf(w->top, sizeof(w->top), "%s/policy.XXXXXX",
		 tmp && strlen(tmp) < 30 ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->top));
	real = realpath(w->top, NULL);
	snprintf(w->top, sizeof(w->top), "%s", real);
	free(real);
	snprintf(w->boot, sizeof(w->boot), "%s/boot", w->top);
	assert_int_equal(mkdir(w->boot, 0755), 0);
	assert_int_equal(mkdir(at(w, "/boot/sub"), 0755), 0);
	make_file(at(w, "/boot/vmlinuz"));
	make_file(at(w, "/boot/sub/initrd"));
	make_file(at(w, "/secret"));
	assert_int_equal(symlink("../secret", at(w, "/boot/link")), 0);
	assert_int_equal(symlink(".", at(w, "/boot/here")), 0);
	env_open(&w->v);
	w->dirs[0] = w->boot;
	w->v.ctx.check_config = policy_check_config;
	w->v.ctx.boot_dirs = w->dirs;
	w->v.ctx.n_boot_dirs = 1;
	w->v.ctx.volume_project = volume_project;
	must(&w->v, "POST", "/v1/projects", "{\"name\":\"other\"}", 201);
	must(&w->v, "POST", "/v1/users", "{\"name\":\"ann\",\"uid\":1000}", 201);
	must(&w->v, "POST", "/v1/projects/default/grants", "{\"user\":\"ann\",\"role\":\"owner\"}",
	     200);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const files[] = { "/boot/vmlinuz", "/boot/sub/initrd", "/secret",
					     "/boot/link", "/boot/here" };
	struct world *w = *state;

	env_close(&w->v);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(at(w, files[i]));
	rmdir(at(w, "/boot/sub"));
	rmdir(w->boot);
	rmdir(w->top);
	free(w);
	return 0;
}

/* A VM with members of a configuration; %s in @config is the world's folder. */
static void create(struct world *w, const char *config, unsigned status)
{
	char body[1024], text[768];
	size_t n = 0;

	for (const char *p = config; *p; p++)
		if (*p == '@')
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", w->top);
		else
			text[n++] = *p;
	text[n] = '\0';
	snprintf(body, sizeof(body), "{\"name\":\"vm%u\",\"config\":{%s}}", w->n++, text);
	must(&w->v, "POST", "/v1/vms", body, status);
}

#define KERNEL "\"kernel\":\"@/boot/vmlinuz\""

static const struct {
	const char *config;
	unsigned status; /* for the owner; root may all that is well-formed */
} cases[] = {
	{ KERNEL, 201 },
	{ KERNEL ",\"initrd\":\"@/boot/sub/initrd\"", 201 },
	{ "\"kernel\":\"@/secret\"", 403 },
	{ "\"kernel\":\"/etc/shadow\"", 403 },
	{ "\"kernel\":\"boot/vmlinuz\"", 403 },
	{ "\"kernel\":\"@/boot/../secret\"", 403 },
	{ "\"kernel\":\"@/boot/sub/../../secret\"", 403 },
	{ "\"kernel\":\"@/boot/./vmlinuz\"", 403 },
	{ "\"kernel\":\"@/boot//vmlinuz\"", 403 },
	{ "\"kernel\":\"@/boot/vmlinuz/\"", 403 },
	{ "\"kernel\":\"@/boot/link\"", 403 },
	{ "\"kernel\":\"@/boot/here/vmlinuz\"", 403 },
	{ "\"kernel\":\"@/boot/sub\"", 403 },
	{ "\"kernel\":\"@/boot/missing\"", 403 },
	{ "\"kernel\":\"@/bootleg\"", 403 },
	{ "\"kernel\":\"@/boot\"", 403 },
	{ KERNEL ",\"initrd\":\"/etc/passwd\"", 403 },
	{ KERNEL ",\"disks\":[\"/dev/sda\"]", 403 },
	{ KERNEL ",\"disks\":[{\"path\":\"/dev/sda\",\"readonly\":true}]", 403 },
	{ KERNEL ",\"disks\":[\"volume:mine\"]", 201 },
	{ KERNEL ",\"disks\":[\"volume:theirs\"]", 403 },
	{ KERNEL ",\"disks\":[\"volume:missing\"]", 403 },
	{ KERNEL ",\"disks\":[\"volume:mine\",\"/etc/shadow\"]", 403 },
	{ KERNEL ",\"net\":\"none\"", 201 },
	{ KERNEL ",\"net\":\"user\"", 201 },
	{ KERNEL ",\"net\":\"network:lan\"", 201 },
	{ KERNEL ",\"net\":\"tap:eth0\"", 403 },
	{ KERNEL ",\"forwards\":[\"8080:80\"]", 201 },
	{ KERNEL ",\"forwards\":[\"1024:80/udp\"]", 201 },
	{ KERNEL ",\"forwards\":[\"1023:80\"]", 403 },
	{ KERNEL ",\"forwards\":[\"8080:80\",\"127.0.0.1:22:22\"]", 403 },
	{ KERNEL ",\"devices\":[\"virtio-rng\",\"virtio-balloon\",\"pvpanic\"]", 201 },
	{ KERNEL ",\"devices\":[\"virtio-console\"]", 201 },
	{ KERNEL ",\"devices\":[\"isa-debug-exit,iobase=0xf4\"]", 403 },
	{ KERNEL ",\"devices\":[\"pvpanic,x=1\"]", 403 },
	{ KERNEL ",\"devices\":[\"pc-testdev\"]", 403 },
	{ KERNEL ",\"initrd\":null,\"net\":null", 201 },
};

/* Refused for everybody: the manager makes these. */
static const char *const managers_own[] = {
	KERNEL ",\"log\":\"/tmp/x\"",	      KERNEL ",\"metrics\":\"/tmp/x\"",
	KERNEL ",\"serial\":\"file:/tmp/x\"", KERNEL ",\"console\":\"pty\"",
	KERNEL ",\"sandbox\":\"off\"",
};

/* Between holmd and holm-vmm: nobody may set these. */
static const char *const internals[] = {
	KERNEL ",\"tap_fd\":3",	    KERNEL ",\"exit_fd\":3",
	KERNEL ",\"control_fd\":3", KERNEL ",\"id\":\"0000000000000001\"",
	KERNEL ",\"paused\":true",
};

static void test_create(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		w->v.uid = OWNER;
		create(w, cases[i].config, cases[i].status);
		w->v.uid = 0;
		create(w, cases[i].config, 201);
	}
	for (size_t i = 0; i < ARRAY_SIZE(managers_own); i++) {
		w->v.uid = i & 1 ? OWNER : 0;
		create(w, managers_own[i], 400);
	}
	for (size_t i = 0; i < ARRAY_SIZE(internals); i++) {
		w->v.uid = i & 1 ? OWNER : 0;
		create(w, internals[i], 400);
	}
}

/* What may not be made may not be changed to either, and a refusal leaves the VM as it was. */
static void test_change(void **state)
{
	struct world *w = *state;

	w->v.uid = OWNER;
	create(w, KERNEL, 201);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char body[768], before[1024];
		size_t n = 0;

		if (cases[i].status == 201)
			continue;
		snprintf(body, sizeof(body), "{\"config\":{");
		n = strlen(body);
		for (const char *p = cases[i].config; *p; p++)
			if (*p == '@')
				n += (size_t)snprintf(body + n, sizeof(body) - n, "%s", w->top);
			else
				body[n++] = *p;
		snprintf(body + n, sizeof(body) - n, "}}");
		snprintf(before, sizeof(before), "%s", mgr_find(&w->v.mgr, "vm0")->text);
		must(&w->v, "PATCH", "/v1/vms/vm0", body, 403);
		assert_string_equal(before, mgr_find(&w->v.mgr, "vm0")->text);
	}
	must(&w->v, "PATCH", "/v1/vms/vm0", "{\"priority\":1}", 200);
}

/* A boot folder that others can change proves nothing. */
static void test_folders(void **state)
{
	struct world *w = *state;
	static const mode_t bad[] = { 0777, 0775, 01777 };

	w->v.uid = OWNER;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(chmod(w->boot, bad[i]), 0);
		create(w, KERNEL, 403);
	}
	assert_int_equal(chmod(w->boot, 0755), 0);
	create(w, KERNEL, 201);
	assert_int_equal(chmod(at(w, "/boot/sub"), 0777), 0);
	create(w, KERNEL ",\"initrd\":\"@/boot/sub/initrd\"", 403);
	assert_int_equal(chmod(at(w, "/boot/sub"), 0755), 0);
	assert_int_equal(chmod(w->top, 0777), 0);
	create(w, KERNEL, 403);
	assert_int_equal(chmod(w->top, 0700), 0);
	if (geteuid())
		skip();
	assert_int_equal(chown(w->boot, OWNER, (gid_t)-1), 0);
	create(w, KERNEL, 403);
	assert_int_equal(chown(w->boot, 0, (gid_t)-1), 0);
	create(w, KERNEL, 201);
}

/* Nothing tells whether a file outside of the boot folders is there. */
static void test_no_oracle(void **state)
{
	struct world *w = *state;
	char there[256];

	w->v.uid = OWNER;
	create(w, "\"kernel\":\"@/secret\"", 403);
	snprintf(there, sizeof(there), "%s", strchr(env_text(&w->v, "detail"), ' ') + 1);
	create(w, "\"kernel\":\"@/gecret\"", 403);
	assert_string_equal(strstr(there, "' is not"),
			    strstr(env_text(&w->v, "detail"), "' is not"));
	/* A volume of another's as one that is not there. */
	create(w, KERNEL ",\"disks\":[\"volume:theirs\"]", 403);
	snprintf(there, sizeof(there), "%s", env_text(&w->v, "detail"));
	create(w, KERNEL ",\"disks\":[\"volume:nobody\"]", 403);
	assert_string_equal(strstr(there, " is in no"),
			    strstr(env_text(&w->v, "detail"), " is in no"));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_change),
		TEST(test_folders),
		TEST(test_no_oracle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
