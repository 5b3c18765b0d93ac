/* SPDX-License-Identifier: MIT */
/*
 * holm volume: volumes of the manager, and their bytes up and down.
 *
 * A download goes to FILE.part first and gets its name when it is whole.
 */
#include "base/fd.h"
#include "cli/body.h"
#include "cli/noun.h"
#include "cli/operation.h"
#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TEXT },       { "POOL", "pool", COLUMN_TEXT },
	{ "SIZE", "size", COLUMN_SIZE },       { "USED", "used", COLUMN_SIZE },
	{ "USED BY", "used_by", COLUMN_TEXT }, { "PROJECT", "project", COLUMN_TEXT },
};

static const struct noun noun = { "volume", "/v1/volumes", columns, ARRAY_SIZE(columns), NULL };

static const struct cmd_option create_options[] = {
	{ .name = "size",
	  .letter = 's',
	  .arg = "SIZE",
	  .help = "How large it is, like 10G",
	  .json = "size",
	  .kind = CMD_JSON_SIZE },
	{ .name = "pool",
	  .arg = "POOL",
	  .help = "The pool that it lies in",
	  .json = "pool",
	  .values = "@pool" },
	{ .name = "project",
	  .arg = "PROJECT",
	  .help = "The project that it belongs to",
	  .json = "project",
	  .values = "@project" },
};

static const struct cmd_option ls_options[] = {
	{ .name = "project",
	  .arg = "PROJECT",
	  .help = "Only those of this project",
	  .json = "?project",
	  .values = "@project" },
};

static const struct cmd_option download_options[] = {
	{ .name = "force", .letter = 'f', .help = "Replace a file that is there already" },
};

/* A transfer under way. */
struct transfer {
	const char *path;
	int fd;
	uint64_t done, total; /* @total 0: not known */
	bool regular;	      /* a file, whose size is @total */
	struct progress progress;
};

/* The manager was told how many bytes come: a file that changes meanwhile must not matter. */
static ssize_t on_read(void *ctx, void *buf, size_t len, struct err *e)
{
	struct transfer *t = ctx;
	ssize_t n;

	if (t->regular)
		len = MIN(len, t->total - t->done);
	n = fd_read_full(t->fd, buf, len);
	if (n < 0)
		return err_set(e, (int)n, "cannot read %s: %s", t->path, strerror((int)-n));
	if (t->regular && (size_t)n < len)
		return err_set(e, -EIO, "%s became shorter while it was read", t->path);
	t->done += (uint64_t)n;
	progress_update(&t->progress, t->done, t->total);
	return n;
}

static int on_write(void *ctx, const char *data, size_t len, struct err *e)
{
	struct transfer *t = ctx;
	int ret = fd_write_full(t->fd, data, len);

	if (ret)
		return err_set(e, ret, "cannot write %s: %s", t->path, strerror(-ret));
	t->done += len;
	progress_update(&t->progress, t->done, t->total);
	return 0;
}

static void data_url(struct url *u, const char *volume)
{
	noun_url(u, &noun, volume);
	url_add(u, "data");
}

static int upload(struct session *s, struct transfer *t, struct err *e)
{
	struct client_request r = {
		.method = "PUT", .source = on_read, .ctx = t, .source_len = UINT64_MAX
	};
	json_t *answer = NULL;
	struct stat st;
	struct url u;
	int ret;

	if (fstat(t->fd, &st))
		return err_set(e, -errno, "cannot look at %s: %s", t->path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "%s is a folder", t->path);
	t->regular = S_ISREG(st.st_mode);
	if (t->regular)
		t->total = r.source_len = (uint64_t)st.st_size;
	data_url(&u, s->names[0]);
	r.url = &u;
	ret = client_call(s->client, &r, &answer, NULL, e);
	progress_end(&t->progress);
	if (!ret)
		ret = operation_wait(s, answer, "upload", s->names[0], e);
	json_decref(answer);
	return ret;
}

static int cmd_volume_upload(const struct cmd *self, int argc, char **argv)
{
	struct transfer t = { .fd = -1 };
	FD_AUTO fd = -1;
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 2, 2, &e);
	if (!ret) {
		t.path = s.names[1];
		progress_init(&t.progress, "upload", s.names[0]);
		if (!strcmp(t.path, "-"))
			fd = dup(STDIN_FILENO);
		else
			fd = open(t.path, O_RDONLY | O_CLOEXEC);
		t.fd = fd;
		if (fd < 0)
			ret = err_set(&e, -errno, "cannot open %s: %s", t.path, strerror(errno));
	}
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = upload(&s, &t, &e);
	return session_close(&s, ret, &e);
}

static int download(struct session *s, struct transfer *t, struct err *e)
{
	json_t *volume = NULL;
	struct url u;
	int ret;

	noun_url(&u, &noun, s->names[0]);
	ret = session_call(s, "GET", &u, NULL, &volume, e);
	if (ret)
		return ret;
	t->total = (uint64_t)json_integer_value(json_object_get(volume, "size"));
	json_decref(volume);
	data_url(&u, s->names[0]);
	ret = client_call(s->client,
			  &(const struct client_request) {
				  .method = "GET", .url = &u, .sink = on_write, .ctx = t },
			  NULL, NULL, e);
	progress_end(&t->progress);
	return ret;
}

static int download_file(struct session *s, struct transfer *t, bool force, struct err *e)
{
	char part[4096];
	int ret;

	if (!force && !access(t->path, F_OK))
		return err_set(e, -EEXIST, "%s is there already; --force replaces it", t->path);
	if ((size_t)snprintf(part, sizeof(part), "%s.part", t->path) >= sizeof(part))
		return err_set(e, -EINVAL, "the path %.80s... is too long", t->path);
	t->fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (t->fd < 0)
		return err_set(e, -errno, "cannot make %s: %s", part, strerror(errno));
	ret = download(s, t, e);
	if (close(t->fd) && !ret)
		ret = err_set(e, -errno, "cannot write %s: %s", part, strerror(errno));
	if (!ret && rename(part, t->path))
		ret = err_set(e, -errno, "cannot rename %s: %s", part, strerror(errno));
	if (ret)
		unlink(part);
	return ret;
}

static int cmd_volume_download(const struct cmd *self, int argc, char **argv)
{
	struct transfer t = { .fd = STDOUT_FILENO };
	const struct cmd_option *opt;
	const char *value;
	struct session s;
	struct err e = { 0 };
	bool force = false;
	int ret;

	session_init(&s, self, argc, argv);
	while ((ret = session_next(&s, &opt, &value, &e)) > 0)
		force = true;
	if (!ret)
		ret = session_want(&s, 2, 2, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret) {
		t.path = s.names[1];
		progress_init(&t.progress, "download", s.names[0]);
		ret = strcmp(t.path, "-") ? download_file(&s, &t, force, &e) : download(&s, &t, &e);
	}
	return session_close(&s, ret, &e);
}

static int cmd_volume_resize(const struct cmd *self, int argc, char **argv)
{
	static const struct cmd_option size = { .name = "size",
						.json = "size",
						.kind = CMD_JSON_SIZE };
	json_t *body = json_object();
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 2, 2, &e);
	if (!ret)
		ret = body_set(body, &size, s.names[1], &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = noun_change(&s, &noun, s.names[0], body, "resize", &e);
	json_decref(body);
	return session_close(&s, ret, &e);
}

static int cmd_volume_clone(const struct cmd *self, int argc, char **argv)
{
	json_t *body = json_object();
	const struct cmd_option *opt;
	const char *value;
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	while ((ret = session_next(&s, &opt, &value, &e)) > 0) {
		ret = body_set(body, opt, value, &e);
		if (ret)
			break;
	}
	if (!ret)
		ret = session_want(&s, 2, 2, &e);
	if (!ret)
		ret = body_put(body, "name", json_string(s.names[1]), false, &e);
	if (!ret)
		ret = body_put(body, "clone_of", json_string(s.names[0]), false, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret) {
		url_init(&u, noun.base);
		ret = operation_call(&s, "POST", &u, body, "clone", s.names[0], &e);
	}
	if (!ret)
		printf("%s\n", s.names[1]);
	json_decref(body);
	return session_close(&s, ret, &e);
}

/* What a clone may have of its own: all but the size. */
static const struct cmd_options clone_set = { create_options + 1, ARRAY_SIZE(create_options) - 1,
					      NULL };

static const struct cmd rows[] = {
	{ .name = "volume create",
	  .args = "VOLUME",
	  .summary = "Make an empty volume",
	  .sets = CMD_SETS(CMD_OPTIONS(create_options), &session_wait),
	  .noun = &noun,
	  .run = noun_create },
	{ .name = "volume ls",
	  .summary = "List volumes",
	  .sets = CMD_SETS(CMD_OPTIONS(ls_options), &session_output),
	  .noun = &noun,
	  .run = noun_ls },
	{ .name = "volume info",
	  .args = "VOLUME...",
	  .summary = "Show all about volumes",
	  .sets = CMD_SETS(&session_format),
	  .values = "@volume",
	  .noun = &noun,
	  .run = noun_info },
	{ .name = "volume resize",
	  .args = "VOLUME SIZE",
	  .summary = "Make a volume larger or smaller",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@volume",
	  .run = cmd_volume_resize },
	{ .name = "volume clone",
	  .args = "VOLUME NEWNAME",
	  .summary = "Copy a volume, sharing its blocks where the file system can",
	  .sets = CMD_SETS(&clone_set, &session_wait),
	  .values = "@volume",
	  .run = cmd_volume_clone },
	{ .name = "volume upload",
	  .args = "VOLUME FILE",
	  .summary = "Write a file's bytes to a volume",
	  .text = "FILE - is standard input. The volume must be there, as large as the file.",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@volume",
	  .run = cmd_volume_upload },
	{ .name = "volume download",
	  .args = "VOLUME FILE",
	  .summary = "Write a volume's bytes to a file",
	  .text = "FILE - is standard output.",
	  .sets = CMD_SETS(CMD_OPTIONS(download_options)),
	  .values = "@volume",
	  .run = cmd_volume_download },
	{ .name = "volume rm",
	  .args = "VOLUME...",
	  .summary = "Remove volumes for good",
	  .sets = CMD_SETS(&session_wait),
	  .values = "@volume",
	  .noun = &noun,
	  .run = noun_rm },
};

const struct cmd_table cmd_table_volume = { "volume", "Disks for VMs", rows, ARRAY_SIZE(rows) };
