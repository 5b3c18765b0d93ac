/* SPDX-License-Identifier: MIT */
/*
 * holm snapshot: saved state on this host, without a daemon.
 */
#include "cli/command.h"

#include "base/fd.h"
#include "cli/problem.h"
#include "proto/config.h"
#include "snap/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of names in a file that anybody may have made, and of bytes: two digits each. */
static json_t *hex(const uint8_t *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * len + 1);
	json_t *s;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[p[i] >> 4];
		text[2 * i + 1] = digits[p[i] & 15];
	}
	text[2 * len] = '\0';
	s = json_string(text);
	free(text);
	return s;
}

static json_t *section(const struct snap_reader *r, unsigned depth);

static json_t *value_of(const struct snap_item *it, unsigned depth)
{
	json_t *o;

	switch (it->kind) {
	case SNAP_ITEM_NUMBER:
		/* Beyond what every reader takes exactly, as text. */
		return it->number >> 53 ? json_sprintf("%#llx", (unsigned long long)it->number)
					: json_integer((json_int_t)it->number);
	case SNAP_ITEM_BYTES:
		return hex(it->bytes, it->len);
	default:
		o = section(&it->section, depth + 1);
		if (o)
			json_object_set_new(o, "version", json_integer(it->version));
		return o;
	}
}

static json_t *section(const struct snap_reader *r, unsigned depth)
{
	json_t *o = json_object();
	struct snap_item it;
	size_t at = 0;

	while (o && depth <= SNAP_DEPTH_MAX && snap_next(r, &at, &it))
		if (json_object_set_new(o, it.name, value_of(&it, depth))) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static int print_state(const char *dir, int fd, struct err *e)
{
	MEM_AUTO uint8_t *buf = NULL;
	struct snap_reader r;
	int ret = snap_file_read(fd, &buf, &r, e);
	json_t *o;

	if (ret) {
		err_prefix(e, "%s", dir);
		return ret;
	}
	o = section(&r, 0);
	if (!o)
		return err_set(e, -ENOMEM, "no memory to show %s", dir);
	if (json_dumpf(o, stdout, JSON_INDENT(2)) || puts("") < 0)
		ret = err_set(e, -EIO, "cannot write to standard output");
	json_decref(o);
	return ret;
}

static int cmd_snapshot_inspect(const struct cmd *self, int argc, char **argv)
{
	struct opts o = { .cmd = self, .argc = argc, .argv = argv };
	const struct cmd_option *opt;
	char path[VM_PATH_MAX + 8];
	const char *value, *dir = NULL;
	struct err e = { 0 };
	int ret;

	while ((ret = opts_next(&o, &opt, &value, &e)) > 0) {
		if (dir)
			ret = err_set(&e, -EINVAL, "one folder at a time, not also '%.80s'", value);
		if (ret < 0)
			break;
		dir = value;
	}
	if (!ret && !dir)
		ret = err_set(&e, -EINVAL, "no folder: name the one of a saved VM");
	if (!ret && strlen(dir) > VM_PATH_MAX)
		ret = err_set(&e, -EINVAL, "the folder's path is longer than %d bytes",
			      VM_PATH_MAX);
	if (!ret) {
		FD_AUTO fd = -1;

		snprintf(path, sizeof(path), "%s/state", dir);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			ret = err_set(&e, -errno, "cannot open the saved state %s: %s", path,
				      strerror(errno));
		else
			ret = print_state(dir, fd, &e);
	}
	return ret ? cmd_fail(&e) : HOLM_EXIT_OK;
}

static const struct cmd rows[] = {
	{ .name = "snapshot inspect",
	  .args = "DIR",
	  .summary = "Show saved state as JSON",
	  .text = "DIR holds a VM that was saved: config.json, state and memory. What is printed "
		  "is "
		  "the state: the machine, the CPU that the guest knows, each vCPU and each "
		  "device; "
		  "bytes are hexadecimal. The file is checked first: a changed bit is found.",
	  .values = "@file",
	  .run = cmd_snapshot_inspect },
};

const struct cmd_table cmd_table_snapshot = { "snapshot", "Saved state", rows, ARRAY_SIZE(rows) };
