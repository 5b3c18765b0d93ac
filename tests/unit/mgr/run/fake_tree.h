/* SPDX-License-Identifier: MIT */
/*
 * A folder that stands for / in tests: made, filled, read back and removed.
 */
#ifndef HOLM_TESTS_UNIT_MGR_RUN_FAKE_TREE_H
#define HOLM_TESTS_UNIT_MGR_RUN_FAKE_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct tree {
	char root[64];
};

static inline void tree_make(struct tree *t)
{
	snprintf(t->root, sizeof(t->root), "/tmp/holm-tree.XXXXXX");
	assert_non_null(mkdtemp(t->root));
}

/* Write @text to @path below the root, with the folders above it; NULL: a folder. */
static inline void tree_put(const struct tree *t, const char *path, const char *text)
{
	char full[1024];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", t->root, path);
	for (char *p = full + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	if (!text) {
		mkdir(full, 0755);
		return;
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* What is in @path; NULL: it is not there. A static buffer. */
static inline const char *tree_get(const struct tree *t, const char *path)
{
	static char buf[1024];
	char full[1024];
	size_t n;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", t->root, path);
	f = fopen(full, "r");
	if (!f)
		return NULL;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	fclose(f);
	return buf;
}

static inline int tree_is_dir(const struct tree *t, const char *path)
{
	char full[1024];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", t->root, path);
	return !stat(full, &st) && S_ISDIR(st.st_mode);
}

static inline int tree_unlink(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	return remove(path);
}

static inline void tree_remove(struct tree *t)
{
	assert_int_equal(nftw(t->root, tree_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
