/* SPDX-License-Identifier: MIT */
/*
 * Pools and volumes on a real directory: sparse files, locks as the VMM takes them, work that is
 * killed in the middle, a disk that is full (needs root, for a tmpfs of its own).
 */
#include "mgr/img/volume.h"

#include "base/fd.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ull << 20)

struct fix {
	char dir[64];
	struct pool_record r;
	struct pool *p;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/holm-img-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->r = (struct pool_record) { .id = "0123456789abcdef", .name = "main" };
	snprintf(f->r.path, sizeof(f->r.path), "%s/a/b", f->dir);
	assert_int_equal(pool_open(&f->p, &f->r, NULL), 0);
	*state = f;
	return 0;
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *ent;
	char sub[512];

	while (d && (ent = readdir(d))) {
		if (!strcmp(ent->d_name, ".") || !strcmp(ent->d_name, ".."))
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, ent->d_name);
		if (unlink(sub) < 0)
			remove_tree(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	pool_close(f->p);
	remove_tree(f->dir);
	free(f);
	return 0;
}

static unsigned entries(const struct fix *f)
{
	DIR *d = opendir(f->r.path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void fill(struct fix *f, const char *name, uint64_t off, const char *text)
{
	FD_AUTO fd = volume_open(f->p, name, false, NULL);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)off), strlen(text));
}

static void expect(struct fix *f, const char *name, uint64_t off, const char *text)
{
	FD_AUTO fd = volume_open(f->p, name, true, NULL);
	char buf[64] = "";

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, strlen(text), (off_t)off), strlen(text));
	assert_string_equal(buf, text);
}

static int hold(struct fix *f, const char *name, short type)
{
	/* As src/blk/fmt/raw.c does. */
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
	char path[VM_PATH_MAX + 80];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.raw", f->r.path, name);
	fd = open(path, type == F_WRLCK ? O_RDWR : O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	return fd;
}

static int clone_all(struct fix *f, const char *from, const char *name, uint64_t budget,
		     unsigned *steps, struct err *e)
{
	struct volume_copy *c;
	int ret = volume_copy_begin(&c, f->p, from, f->p, name, e);

	if (ret)
		return ret;
	*steps = 0;
	do {
		ret = volume_copy_step(c, budget, e);
		++*steps;
	} while (ret == 1);
	volume_copy_end(c);
	return ret;
}

static void created_sparse_and_private(void **state)
{
	struct fix *f = *state;
	struct volume_usage u;
	struct pool_usage pu;
	struct stat st;
	struct err e;
	char path[VM_PATH_MAX + 80];

	assert_int_equal(volume_create(f->p, "web", 8192 * MIB, &e), 0);
	assert_int_equal(volume_usage(f->p, "web", &u, NULL), 0);
	assert_int_equal(u.apparent, 8192 * MIB);
	assert_int_equal(u.allocated, 0);
	snprintf(path, sizeof(path), "%s/web.raw", f->r.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(volume_create(f->p, "web", MIB, &e), -EEXIST);
	assert_int_equal(volume_create(f->p, "../web", MIB, &e), -EINVAL);
	assert_int_equal(volume_create(f->p, ".web", MIB, &e), -EINVAL);
	assert_int_equal(volume_create(f->p, "odd", 1000, &e), -EINVAL);
	assert_int_equal(volume_create(f->p, "none", 0, &e), -EINVAL);
	assert_int_equal(entries(f), 1);
	assert_int_equal(pool_usage(f->p, &pu, &e), 0);
	assert_int_equal(pu.volumes, 1);
	assert_int_equal(pu.apparent, 8192 * MIB);
}

static void clone_keeps_holes(void **state)
{
	struct fix *f = *state;
	struct volume_usage u;
	struct err e;
	unsigned steps;

	assert_int_equal(volume_create(f->p, "src", 64 * MIB, &e), 0);
	fill(f, "src", 0, "head");
	fill(f, "src", 20 * MIB + 5, "middle");
	fill(f, "src", 64 * MIB - 4, "tail");
	assert_int_equal(clone_all(f, "src", "dst", 4096, &steps, &e), 0);
	expect(f, "dst", 0, "head");
	expect(f, "dst", 20 * MIB + 5, "middle");
	expect(f, "dst", 64 * MIB - 4, "tail");
	assert_int_equal(volume_usage(f->p, "dst", &u, NULL), 0);
	assert_int_equal(u.apparent, 64 * MIB);
	assert_true(u.allocated < MIB);
	assert_int_equal(clone_all(f, "src", "dst", 4096, &steps, &e), -EEXIST);
	assert_int_equal(clone_all(f, "gone", "new", 4096, &steps, &e), -ENOENT);
	assert_int_equal(entries(f), 2);
}

static void copy_goes_in_steps_and_is_cancelled(void **state)
{
	struct fix *f = *state;
	MEM_AUTO char *big = malloc(4 * MIB + 1);
	struct volume_copy *c;
	uint64_t done, all;
	struct err e;
	int ret;

	memset(big, 'x', 4 * MIB);
	big[4 * MIB] = 0;
	assert_int_equal(volume_create(f->p, "src", 8 * MIB, &e), 0);
	fill(f, "src", MIB, big);
	assert_int_equal(volume_copy_begin(&c, f->p, "src", f->p, "dst", &e), 0);
	ret = volume_copy_step(c, MIB, &e);
	if (ret == 1) { /* 0 on a file system that shares blocks */
		volume_copy_progress(c, &done, &all);
		assert_int_equal(all, 8 * MIB);
		assert_true(done >= 2 * MIB && done < 4 * MIB);
		assert_int_equal(entries(f), 2);
		/* The source must stand still, and may be read by others. */
		assert_int_equal(volume_remove(f->p, "src", false, &e), -EBUSY);
		assert_int_equal(volume_open(f->p, "src", false, &e), -EBUSY);
		expect(f, "src", MIB, "xxx");
		volume_copy_end(c);
		assert_int_equal(entries(f), 1);
	} else {
		assert_int_equal(ret, 0);
		volume_copy_end(c);
	}
	assert_int_equal(volume_open(f->p, "nothing", true, &e), -ENOENT);
}

static void in_use_is_respected(void **state)
{
	struct fix *f = *state;
	struct volume_upload *u;
	struct err e;
	unsigned steps;
	int fd;

	assert_int_equal(volume_create(f->p, "v", 2 * MIB, &e), 0);
	fd = hold(f, "v", F_WRLCK);
	assert_int_equal(volume_remove(f->p, "v", false, &e), -EBUSY);
	assert_int_equal(volume_open(f->p, "v", false, &e), -EBUSY);
	assert_int_equal(volume_open(f->p, "v", true, &e), -EBUSY);
	assert_int_equal(volume_resize(f->p, "v", MIB, true, false, &e), -EBUSY);
	assert_int_equal(clone_all(f, "v", "w", 4096, &steps, &e), -EBUSY);
	assert_int_equal(volume_upload_begin(&u, f->p, "v", false, &e), -EBUSY);
	assert_int_equal(volume_resize(f->p, "v", 3 * MIB, false, true, &e), 0);
	close(fd);
	fd = hold(f, "v", F_RDLCK);
	assert_int_equal(volume_open(f->p, "v", false, &e), -EBUSY);
	assert_int_equal(volume_remove(f->p, "v", false, &e), -EBUSY);
	assert_int_equal(clone_all(f, "v", "w", 4096, &steps, &e), 0);
	close(fd);
	/* Known by the records only. */
	assert_int_equal(volume_remove(f->p, "v", true, &e), -EBUSY);
	assert_int_equal(volume_resize(f->p, "v", MIB, true, true, &e), -EBUSY);
	assert_int_equal(volume_upload_begin(&u, f->p, "v", true, &e), -EBUSY);
	assert_int_equal(volume_resize(f->p, "v", MIB, false, false, &e), -EINVAL);
	assert_int_equal(volume_resize(f->p, "v", MIB, true, false, &e), 0);
	assert_int_equal(volume_remove(f->p, "v", false, &e), 0);
	assert_int_equal(volume_remove(f->p, "v", false, &e), -ENOENT);
}

static void upload_replaces_whole(void **state)
{
	struct fix *f = *state;
	static uint8_t zero[65536];
	struct volume_upload *u;
	struct volume_usage use;
	struct err e;

	assert_int_equal(volume_create(f->p, "v", MIB, &e), 0);
	fill(f, "v", 0, "old");
	fill(f, "v", MIB - 3, "end");
	assert_int_equal(volume_upload_begin(&u, f->p, "v", false, &e), 0);
	assert_int_equal(volume_upload_write(u, "newer", 5, &e), 0);
	assert_int_equal(volume_open(f->p, "v", true, &e), -EBUSY);
	volume_upload_cancel(u);
	expect(f, "v", 0, "old");
	assert_int_equal(volume_upload_begin(&u, f->p, "v", false, &e), 0);
	assert_int_equal(volume_upload_write(u, "newer", 5, &e), 0);
	assert_int_equal(volume_upload_write(u, zero, sizeof(zero), &e), 0);
	assert_int_equal(volume_upload_write(u, "more", 4, &e), 0);
	assert_int_equal(volume_upload_finish(u, &e), 0);
	expect(f, "v", 0, "newer");
	expect(f, "v", 5 + sizeof(zero), "more");
	assert_int_equal(volume_usage(f->p, "v", &use, NULL), 0);
	assert_int_equal(use.apparent, MIB);
	assert_true(use.allocated < 32768);
	/* Beyond the size: refused, and what there was stays. */
	assert_int_equal(volume_upload_begin(&u, f->p, "v", false, &e), 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(volume_upload_write(u, zero, sizeof(zero), &e), 0);
	assert_int_equal(volume_upload_write(u, "x", 1, &e), -EFBIG);
	volume_upload_cancel(u);
	expect(f, "v", 0, "newer");
	assert_int_equal(entries(f), 1);
}

static void download_sees_holes(void **state)
{
	struct fix *f = *state;
	char buf[8192];
	uint64_t hole;
	struct err e;
	int fd;

	assert_int_equal(volume_create(f->p, "v", MIB, &e), 0);
	fill(f, "v", 65536, "data");
	fd = volume_open(f->p, "v", true, &e);
	assert_int_equal(volume_read(fd, buf, sizeof(buf), 0, &hole), 0);
	assert_int_equal(hole, 65536);
	assert_true(volume_read(fd, buf, sizeof(buf), 65536, &hole) >= 4);
	assert_int_equal(hole, 0);
	assert_memory_equal(buf, "data", 4);
	assert_int_equal(volume_read(fd, buf, sizeof(buf), MIB - 10, &hole), 0);
	assert_int_equal(hole, 10);
	assert_int_equal(volume_read(fd, buf, sizeof(buf), MIB, &hole), 0);
	assert_int_equal(hole, 0);
	close(fd);
}

/* A child does @work and is killed at its end, where work in progress lies about. */
static void killed_in(struct fix *f, void (*work)(struct fix *f))
{
	pid_t pid;
	int st;

	/* The pool's lock goes to the child with the pool. */
	pool_close(f->p);
	f->p = NULL;
	pid = fork();
	if (!pid) {
		if (pool_open(&f->p, &f->r, NULL) == 0)
			work(f);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
}

static void half_clone(struct fix *f)
{
	struct volume_copy *c;

	if (!volume_copy_begin(&c, f->p, "src", f->p, "dst", NULL))
		(void)!volume_copy_step(c, 1, NULL);
}

static void half_upload(struct fix *f)
{
	struct volume_upload *u;

	if (!volume_upload_begin(&u, f->p, "src", false, NULL))
		(void)!volume_upload_write(u, "new", 3, NULL);
}

static void kill_leaves_the_old_state(void **state)
{
	struct fix *f = *state;
	MEM_AUTO char *big = malloc(MIB + 1);
	struct err e;

	memset(big, 'y', MIB);
	big[MIB] = 0;
	assert_int_equal(volume_create(f->p, "src", 4 * MIB, &e), 0);
	fill(f, "src", 0, big);
	killed_in(f, half_upload);
	assert_int_equal(entries(f), 2);
	assert_int_equal(pool_open(&f->p, &f->r, &e), 0);
	assert_int_equal(entries(f), 1);
	expect(f, "src", 0, "yyy");
	killed_in(f, half_clone);
	assert_int_equal(entries(f), 2); /* the source, and a half or (shared blocks) whole clone */
	assert_int_equal(pool_open(&f->p, &f->r, &e), 0);
	expect(f, "src", 0, "yyy");
	assert_true(volume_usage(f->p, "dst", &(struct volume_usage) { 0 }, &e) == -ENOENT ||
		    entries(f) == 2);
}

static void links_are_refused(void **state)
{
	struct fix *f = *state;
	struct pool_record r = f->r;
	struct pool *other;
	char path[VM_PATH_MAX + 80];
	struct err e;

	snprintf(path, sizeof(path), "%s/evil.raw", f->r.path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(volume_open(f->p, "evil", true, &e), -ELOOP);
	assert_int_equal(volume_remove(f->p, "evil", false, &e), -ELOOP);
	assert_int_equal(volume_create(f->p, "evil", MIB, &e), -EEXIST);
	snprintf(path, sizeof(path), "%s/pipe.raw", f->r.path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(volume_usage(f->p, "pipe", &(struct volume_usage) { 0 }, &e), -ELOOP);
	/* A link on the pool's path, a path that climbs, one that is relative. */
	snprintf(path, sizeof(path), "%s/link", f->dir);
	assert_int_equal(symlink("a", path), 0);
	snprintf(r.path, sizeof(r.path), "%s/link/b", f->dir);
	assert_int_equal(pool_open(&other, &r, &e), -ENOTDIR);
	snprintf(r.path, sizeof(r.path), "%s/a/../a/b", f->dir);
	assert_int_equal(pool_open(&other, &r, &e), -EINVAL);
	snprintf(r.path, sizeof(r.path), "a/b");
	assert_int_equal(pool_open(&other, &r, &e), -EINVAL);
	/* The same directory twice. */
	assert_int_equal(pool_open(&other, &f->r, &e), -EBUSY);
}

static void records_are_strict(void **state UNUSED)
{
	static const char *const bad[] = {
		"{\"name\":\"v\",\"size\":\"8G\",\"colour\":1}",
		"{\"name\":\"v\",\"size\":\"8X\"}",
		"{\"name\":\"v\",\"size\":-512}",
		"{\"name\":\"v\",\"size\":1000}",
		"{\"name\":\"v\",\"size\":\"99999999999999999999\"}",
		"{\"name\":\"v\",\"size\":\"16777216T\"}",
		"{\"name\":\"-v\",\"size\":512}",
		"{\"name\":\"v\"}",
		"{\"name\":\"v\",\"size\":512,\"id\":\"0123456789abcdef\"}",
		"{\"name\":\"v\",\"size\":512,\"name\":\"w\"}",
		"[]",
	};
	struct volume_record r = { 0 }, again = { 0 }, none = { 0 };
	struct pool_record p = { 0 };
	MEM_AUTO char *text = NULL;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(volume_decode(&r, bad[i], strlen(bad[i]), false, &e) < 0);
		assert_memory_equal(&r, &none, sizeof(r));
	}
	assert_int_equal(volume_decode(&r, bad[0], strlen(bad[0]), false, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "'colour'"));
	text = strdup(
		"{\"id\":\"0123456789abcdef\",\"name\":\"v\",\"pool\":\"p\",\"size\":\"8G\"}");
	assert_int_equal(volume_decode(&r, text, strlen(text), true, &e), 0);
	assert_int_equal(r.size, 8192 * MIB);
	free(text);
	text = volume_encode(&r);
	assert_int_equal(volume_decode(&again, text, strlen(text), true, &e), 0);
	assert_memory_equal(&r, &again, sizeof(r));
	/* A clone that takes its source's size. */
	free(text);
	again = none;
	r.size = 0;
	snprintf(r.clone_of, sizeof(r.clone_of), "w");
	text = volume_encode(&r);
	assert_int_equal(volume_decode(&again, text, strlen(text), true, &e), 0);
	assert_int_equal(again.size, 0);
	assert_int_equal(pool_decode(&p, "{\"name\":\"p\",\"path\":\"x\"}", 23, false, &e),
			 -EINVAL);
	assert_int_equal(pool_decode(&p, "{\"name\":\"p\",\"path\":\"/x\"}", 24, false, &e), 0);
	assert_string_equal(p.path, "/x");
}

/* On a tmpfs of 1 MiB in a mount namespace of the test's own. */
static void full_disk_is_told(void **state)
{
	struct fix *f = *state;
	struct pool_record r = f->r;
	MEM_AUTO char *big = malloc(4 * MIB);
	struct volume_upload *u;
	struct volume_copy *c;
	struct pool *small;
	struct err e;
	int ret;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	snprintf(r.path, sizeof(r.path), "%s/a", f->dir);
	assert_int_equal(mount("none", r.path, "tmpfs", 0, "size=1m"), 0);
	snprintf(r.path, sizeof(r.path), "%s/a/small", f->dir);
	assert_int_equal(pool_open(&small, &r, &e), 0);
	memset(big, 'z', 4 * MIB);
	assert_int_equal(volume_create(small, "v", 4 * MIB, &e), 0);
	assert_int_equal(volume_upload_begin(&u, small, "v", false, &e), 0);
	assert_int_equal(volume_upload_write(u, big, 4 * MIB, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "No space left"));
	volume_upload_cancel(u);
	assert_int_equal(volume_upload_begin(&u, small, "v", false, &e), 0);
	assert_int_equal(volume_upload_write(u, big, MIB * 3 / 4, &e), 0);
	assert_int_equal(volume_upload_finish(u, &e), 0);
	assert_int_equal(volume_copy_begin(&c, small, "v", small, "w", &e), 0);
	while ((ret = volume_copy_step(c, 65536, &e)) == 1)
		;
	assert_int_equal(ret, -ENOSPC);
	volume_copy_end(c);
	assert_int_equal(volume_usage(small, "w", &(struct volume_usage) { 0 }, &e), -ENOENT);
	/* The room is free again. */
	assert_int_equal(volume_remove(small, "v", false, &e), 0);
	assert_int_equal(volume_create(small, "v", MIB, &e), 0);
	assert_int_equal(volume_upload_begin(&u, small, "v", false, &e), 0);
	assert_int_equal(volume_upload_write(u, big, MIB * 3 / 4, &e), 0);
	assert_int_equal(volume_upload_finish(u, &e), 0);
	pool_close(small);
	snprintf(r.path, sizeof(r.path), "%s/a", f->dir);
	umount2(r.path, MNT_DETACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(created_sparse_and_private, setup, teardown),
		cmocka_unit_test_setup_teardown(clone_keeps_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(copy_goes_in_steps_and_is_cancelled, setup,
						teardown),
		cmocka_unit_test_setup_teardown(in_use_is_respected, setup, teardown),
		cmocka_unit_test_setup_teardown(upload_replaces_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(download_sees_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(kill_leaves_the_old_state, setup, teardown),
		cmocka_unit_test_setup_teardown(links_are_refused, setup, teardown),
		cmocka_unit_test(records_are_strict),
		cmocka_unit_test_setup_teardown(full_disk_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
