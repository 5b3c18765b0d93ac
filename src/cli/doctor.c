/* SPDX-License-Identifier: MIT */
/*
 * holm doctor: what this host offers to VMs, line by line, with advice where something is amiss.
 *
 * Theory of operation: a const table of checks; each fills a finding from files of /proc and
 * /sys. The engines' own findings, with KVM's measured speed, come from `holm-vmm --probe`,
 * because the command line knows no engine. A check never fails: what cannot be read is said.
 */
#include "base/bytes.h"
#include "base/fd.h"
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 65536

enum mark { MARK_OK, MARK_NOTE, MARK_BAD, MARK_COUNT };

static const char *const mark_names[] = { "ok", "note", "bad" };
static_assert(ARRAY_SIZE(mark_names) == MARK_COUNT, "a name for each");

struct finding {
	enum mark mark;
	char what[256];	  /* what was found */
	char advice[256]; /* what to do, "" where nothing is amiss */
};

static void PRINTF_LIKE(3, 4) found(struct finding *f, enum mark mark, const char *fmt, ...)
{
	va_list ap;

	f->mark = mark;
	va_start(ap, fmt);
	vsnprintf(f->what, sizeof(f->what), fmt, ap);
	va_end(ap);
}

static void advise(struct finding *f, const char *advice)
{
	snprintf(f->advice, sizeof(f->advice), "%s", advice);
}

/* The beginning of a file as text without its last newline; false where it cannot be read. */
static bool read_text(const char *path, char *buf, size_t len)
{
	FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, buf, len - 1);

	if (n < 0)
		return false;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return true;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += len)
		if ((at == text || strchr(" \t\n:", at[-1])) && strchr(" \t\n", at[len]))
			return true;
	return false;
}

static bool cpu_flag(const char *flag)
{
	MEM_AUTO char *text = malloc(TEXT_MAX);

	return text && read_text("/proc/cpuinfo", text, TEXT_MAX) && has_word(text, flag);
}

static void check_virtualization(struct finding *f)
{
	if (cpu_flag("vmx"))
		found(f, MARK_OK, "Intel VT-x");
	else if (cpu_flag("svm"))
		found(f, MARK_OK, "AMD-V");
	else {
		found(f, MARK_NOTE, "the CPU shows neither VT-x nor AMD-V");
		advise(f, cpu_flag("hypervisor")
				  ? "this host is a VM itself: ask its provider for nested "
				    "virtualization; the software engine runs without"
				  : "turn virtualization on in the firmware's set-up; the software "
				    "engine runs without");
	}
}

static void check_nested(struct finding *f)
{
	char text[16];
	bool known = read_text("/sys/module/kvm_intel/parameters/nested", text, sizeof(text)) ||
		     read_text("/sys/module/kvm_amd/parameters/nested", text, sizeof(text));

	if (!known)
		found(f, MARK_NOTE, "unknown: neither kvm_intel nor kvm_amd is loaded");
	else if (text[0] == 'Y' || text[0] == '1')
		found(f, MARK_OK, "on");
	else {
		found(f, MARK_NOTE, "off");
		advise(f, "for VMs inside VMs, load kvm_intel or kvm_amd with nested=1");
	}
}

static void check_iommu(struct finding *f)
{
	struct stat st;

	/* Each group is a sub-directory: two links mean that there is none. */
	if (!stat("/sys/kernel/iommu_groups", &st) && st.st_nlink > 2)
		found(f, MARK_OK, "%u groups", (unsigned)st.st_nlink - 2);
	else {
		found(f, MARK_NOTE, "none");
		advise(f, "only needed to give devices of the host to VMs: turn VT-d or AMD-Vi on "
			  "in the firmware and boot with intel_iommu=on");
	}
}

static void check_kvm_node(struct finding *f)
{
	if (!access("/dev/kvm", R_OK | W_OK)) {
		found(f, MARK_OK, "may be used");
		return;
	}
	found(f, MARK_NOTE, "%s", strerror(errno));
	if (errno == EACCES)
		advise(f, "add yourself to its group: sudo usermod -aG kvm $USER, then log in "
			  "again");
	else if (errno == ENOENT)
		advise(f, "load kvm_intel or kvm_amd; in a container, hand the device in");
}

static void check_thp(struct finding *f)
{
	char text[64];

	if (!read_text("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof(text)))
		found(f, MARK_NOTE, "the kernel has none for shared memory");
	else if (strstr(text, "[never]") || strstr(text, "[deny]")) {
		found(f, MARK_NOTE, "transparent ones are off for shared memory");
		advise(f, "guests run faster after: echo advise | sudo tee "
			  "/sys/kernel/mm/transparent_hugepage/shmem_enabled");
	} else
		found(f, MARK_OK, "transparent ones may back guest memory");
}

static void check_ksm(struct finding *f)
{
	char text[16];

	if (!read_text("/sys/kernel/mm/ksm/run", text, sizeof(text)))
		found(f, MARK_NOTE, "the kernel has none");
	else if (text[0] == '1')
		found(f, MARK_OK, "runs");
	else
		found(f, MARK_NOTE, "off: equal pages of VMs are not shared");
}

static void check_psi(struct finding *f)
{
	if (!access("/proc/pressure/memory", R_OK))
		found(f, MARK_OK, "there");
	else {
		found(f, MARK_NOTE, "none");
		advise(f, "boot the host with psi=1 to see when memory runs short");
	}
}

static void check_cgroups(struct finding *f)
{
	char text[256];

	if (read_text("/sys/fs/cgroup/cgroup.controllers", text, sizeof(text)))
		found(f, MARK_OK, "version 2: %s", text);
	else {
		found(f, MARK_NOTE, "no version 2 at /sys/fs/cgroup");
		advise(f, "limits of VMs need it: boot with systemd.unified_cgroup_hierarchy=1");
	}
}

static void check_userns(struct finding *f)
{
	char text[32];

	if (read_text("/proc/sys/kernel/unprivileged_userns_clone", text, sizeof(text)) &&
	    text[0] == '0') {
		found(f, MARK_NOTE, "only for root");
		advise(f, "for everyone: sudo sysctl kernel.unprivileged_userns_clone=1");
	} else if (read_text("/proc/sys/user/max_user_namespaces", text, sizeof(text)) &&
		   strcmp(text, "0") != 0)
		found(f, MARK_OK, "up to %s", text);
	else
		found(f, MARK_NOTE, "none");
}

static const struct {
	const char *name;
	void (*run)(struct finding *f);
} checks[] = {
	{ "virtualization", check_virtualization },
	{ "/dev/kvm", check_kvm_node },
	{ "nesting", check_nested },
	{ "IOMMU", check_iommu },
	{ "huge pages", check_thp },
	{ "KSM", check_ksm },
	{ "pressure (PSI)", check_psi },
	{ "control groups", check_cgroups },
	{ "user namespaces", check_userns },
};

/* The output of `holm-vmm --probe` as JSON, or NULL with a sentence. */
static json_t *probe(struct err *e)
{
	MEM_AUTO char *text = malloc(TEXT_MAX);
	char path[4096];
	int pipe_fd[2], status;
	json_error_t why;
	json_t *all;
	ssize_t n;
	pid_t pid;

	if (!text || program_path(path, sizeof(path), "holm-vmm", e))
		return NULL;
	if (pipe2(pipe_fd, O_CLOEXEC)) {
		err_set(e, -errno, "cannot make a pipe: %s", strerror(errno));
		return NULL;
	}
	pid = fork();
	if (!pid) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		execl(path, "holm-vmm", "--probe", (char *)NULL);
		_exit(127);
	}
	close(pipe_fd[1]);
	n = pid < 0 ? -1 : fd_read_full(pipe_fd[0], text, TEXT_MAX);
	close(pipe_fd[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	all = n > 0 ? json_loadb(text, (size_t)n, 0, &why) : NULL;
	if (!json_is_array(all)) {
		err_set(e, -EIO, "%s --probe gave no findings", path);
		json_decref(all);
		return NULL;
	}
	return all;
}

static void engine_finding(json_t *engine, struct finding *f)
{
	const char *why = json_string_value(json_object_get(engine, "why"));
	bool usable = json_is_true(json_object_get(engine, "usable"));
	bool emulated = json_is_true(json_object_get(engine, "emulated"));

	found(f, usable && !emulated ? MARK_OK : MARK_NOTE, "%s", why ? why : "");
	if (usable && emulated)
		advise(f, "--engine auto takes the software engine instead, which is faster here");
}

static void print_finding(const char *name, const struct finding *f, json_t *list)
{
	if (list) {
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "check", name, "mark",
						      mark_names[f->mark], "finding", f->what,
						      "advice", f->advice));
		return;
	}
	printf("%-16s %-5s %s\n", name, mark_names[f->mark], f->what);
	if (f->advice[0])
		printf("%-22s %s\n", "", f->advice);
}

/* All findings; false where no engine can run. */
static bool examine(json_t *list)
{
	struct err e = { 0 };
	json_t *engines = probe(&e), *engine;
	bool any = false;
	size_t i;

	for (size_t c = 0; c < ARRAY_SIZE(checks); c++) {
		struct finding f = { 0 };

		checks[c].run(&f);
		print_finding(checks[c].name, &f, list);
	}
	if (!engines) {
		struct finding f = { .mark = MARK_BAD };

		snprintf(f.what, sizeof(f.what), "%.255s", e.msg);
		print_finding("engines", &f, list);
		return false;
	}
	json_array_foreach(engines, i, engine)
	{
		const char *id = json_string_value(json_object_get(engine, "engine"));
		struct finding f = { 0 };
		char name[32];

		snprintf(name, sizeof(name), "engine %s", id ? id : "?");
		engine_finding(engine, &f);
		print_finding(name, &f, list);
		any |= json_is_true(json_object_get(engine, "usable"));
	}
	json_decref(engines);
	return any;
}

int cmd_doctor(const struct cmd *self, int argc, char **argv)
{
	struct opts o = { .cmd = self, .argc = argc, .argv = argv };
	const struct cmd_option *opt;
	const char *value;
	json_t *list = NULL;
	struct err e = { 0 };
	bool json = false, any;
	int ret;

	while ((ret = opts_next(&o, &opt, &value, &e)) > 0) {
		json = opt && !strcmp(value, "json");
		if (!opt || (!json && strcmp(value, "table") != 0)) {
			err_set(&e, -EINVAL, "'%.80s' is no format: use table or json", value);
			return cmd_fail(&e);
		}
	}
	if (ret)
		return cmd_fail(&e);
	if (json)
		list = json_array();
	any = examine(list);
	if (json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(list);
	}
	return any ? HOLM_EXIT_OK : HOLM_EXIT_ENGINE;
}
