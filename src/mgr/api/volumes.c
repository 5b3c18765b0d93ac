/* SPDX-License-Identifier: MIT */
/*
 * Handlers of /v1/volumes, docs/API.md.
 *
 * A clone goes on in steps between other work, as an operation; an upload takes the body as it
 * comes, a download gives the file as the peer takes it.
 */
#include "mgr/api/handlers.h"

#include "base/fd.h"
#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/api/volumes.h"
#include "mgr/img/stock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct pool *pool_of(struct api_ctx *ctx, const struct volume_record *v, struct err *e)
{
	struct stock_pool *p;

	return stock_pool(ctx->stock, v->pool, &p, e) ? NULL : p->pool;
}

static json_t *encode(struct api_ctx *ctx, const struct volume_record *v)
{
	MEM_AUTO char *text = volume_encode(v);
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;
	const struct vm *user = mgr_volume_user(ctx->mgr, v->name);
	struct pool *p = pool_of(ctx, v, NULL);
	char path[VM_PATH_MAX + 1];
	struct volume_usage u;

	if (p && !volume_usage(p, v->name, &u, NULL)) {
		json_object_set_new(o, "size", json_integer((json_int_t)u.apparent));
		json_object_set_new(o, "used", json_integer((json_int_t)u.allocated));
	}
	if (!stock_path(ctx->stock, v->id, path, sizeof(path), NULL))
		json_object_set_new(o, "path", json_string(path));
	json_object_set_new(o, "used_by", user ? json_string(user->name) : json_null());
	return o;
}

static struct volume_record *find(struct api_ctx *ctx, struct api_request *r, const char *name)
{
	struct volume_record *v = stock_volume(ctx->stock, name);

	if (!v)
		api_fail(r, API_NOT_FOUND, "there is no volume '%s'", name);
	return v;
}

const char *volumes_project(const struct api_ctx *ctx, const char *name)
{
	const struct volume_record *v = stock_volume(ctx->stock, name);

	return v ? v->project : "*";
}

void h_volumes_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	const char *project = r->query(r, "project");
	json_t *items = json_array();

	for (size_t i = 0; i < ctx->stock->n_volumes; i++) {
		const struct volume_record *v = &ctx->stock->volumes[i];

		if (ctx_sees(ctx, v->project) && (!project || !strcmp(project, v->project)))
			json_array_append_new(items, encode(ctx, v));
	}
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

static struct audit_entry entry(struct api_ctx *ctx, const char *what, const char *name,
				char target[TARGET_MAX])
{
	target_write(target, "volume", name);
	return mgr_entry(ctx->mgr, &ctx->by, what, target);
}

/* A clone under way. Lives until its operation ends. */
struct clone {
	struct api_ctx *ctx;
	struct volume_copy *copy;
	struct volume_record record;
	struct stock_claim claim; /* of the quota, until the record counts */
	struct mgr_op *op;
	struct loop_timer step;
	struct identity who; /* whose work it is, for the audit log */
};

static void clone_end(struct clone *c, enum op_state state, const char *why)
{
	loop_timer_disarm(&c->step);
	stock_unclaim(c->ctx->stock, &c->claim);
	volume_copy_end(c->copy);
	op_end(&c->ctx->mgr->ops, c->op, state, why ? "internal" : NULL, why);
	c->op->cancel = NULL;
	free(c);
}

static void clone_cancel(void *arg)
{
	clone_end(arg, OP_CANCELLED, NULL);
}

static void clone_done(struct clone *c)
{
	struct mgr_actor by = { .user = c->who.name, .from = "" };
	char target[TARGET_MAX];
	struct audit_entry a;
	struct err e = { 0 };

	target_write(target, "volume", c->record.name);
	a = mgr_entry(c->ctx->mgr, &by, "volume.clone", target);
	stock_unclaim(c->ctx->stock, &c->claim);
	if (stock_add_volume(c->ctx->stock, &c->record, &a, &e))
		clone_end(c, OP_FAILED, e.msg);
	else
		clone_end(c, OP_DONE, NULL);
}

static void on_step(void *arg)
{
	struct clone *c = arg;
	uint64_t done, all;
	struct err e = { 0 };
	int ret = volume_copy_step(c->copy, VOLUME_STEP, &e);

	if (ret < 0) {
		clone_end(c, OP_FAILED, e.msg);
	} else if (!ret) {
		clone_done(c);
	} else {
		volume_copy_progress(c->copy, &done, &all);
		c->op->progress = (unsigned)(all ? done * 100 / all : 0);
		/* Behind whatever else is due. */
		loop_timer_arm(&c->step, clock_monotonic_ns());
	}
}

static int clone_begin(struct api_ctx *ctx, const struct volume_record *rec, struct mgr_op **op,
		       struct err *e)
{
	const struct volume_record *from = stock_volume(ctx->stock, rec->clone_of);
	struct pool *from_pool, *to = pool_of(ctx, rec, e);
	char target[TARGET_MAX];
	struct clone *c;
	int ret;

	if (!from || !ctx_may(ctx, from->project, NEED_OWN))
		return err_set(e, -ENOENT, "there is no volume '%s'", rec->clone_of);
	from_pool = pool_of(ctx, from, e);
	if (!from_pool || !to)
		return e->code;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "no memory for a clone");
	*c = (struct clone) { .ctx = ctx, .record = *rec, .who = ctx->who };
	c->record.size = from->size;
	ret = mgr_check_disk(ctx->mgr, rec->project, from->size, e);
	if (!ret)
		ret = volume_copy_begin(&c->copy, from_pool, from->name, to, rec->name, e);
	target_write(target, "volume", rec->name);
	if (!ret) {
		c->op = op_begin(&ctx->mgr->ops, "clone", "", target, rec->project);
		if (!c->op)
			ret = err_set(e, -ENOMEM, "no memory for an operation");
	}
	if (ret) {
		volume_copy_end(c->copy);
		free(c);
		return ret;
	}
	c->claim = (struct stock_claim) { .project = c->record.project, .size = from->size };
	stock_claim(ctx->stock, &c->claim);
	c->op->cancel = clone_cancel;
	c->op->ctx = c;
	loop_timer_init(&c->step, ctx->loop, on_step, c);
	loop_timer_arm(&c->step, clock_monotonic_ns());
	*op = c->op;
	return 0;
}

static int create_empty(struct api_ctx *ctx, const struct volume_record *rec, struct err *e)
{
	struct pool *p = pool_of(ctx, rec, e);
	char target[TARGET_MAX];
	struct audit_entry a = entry(ctx, "volume.create", rec->name, target);
	int ret = p ? mgr_check_disk(ctx->mgr, rec->project, rec->size, e) : e->code;

	if (!ret)
		ret = volume_create(p, rec->name, rec->size, e);
	if (ret)
		return ret;
	ret = stock_add_volume(ctx->stock, rec, &a, e);
	if (ret)
		(void)!volume_remove(p, rec->name, false, NULL);
	return ret;
}

void h_volumes_create(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	struct volume_record rec = { .pool = STOCK_DEFAULT_POOL, .project = "default" };
	const struct project *x;
	struct mgr_op *op = NULL;
	struct err e = { 0 };
	int ret = volume_decode(&rec, r->body ? r->body : "", r->body_len, false, &e);

	vm_id_make(rec.id);
	/* By its id too, but quotas and roles go by the name that is kept. */
	x = ret ? NULL : people_project(ctx->people, rec.project);
	if (x)
		snprintf(rec.project, sizeof(rec.project), "%s", x->name);
	if (!ret && !rec.name[0])
		ret = err_set(&e, -EINVAL, "the volume has no name: give one");
	if (!ret && stock_volume(ctx->stock, rec.name))
		ret = err_set(&e, -EEXIST, "a volume named '%s' exists already", rec.name);
	if (!ret && !rec.clone_of[0] && !rec.size)
		ret = err_set(&e, -EINVAL, "the volume has no size: give one, like \"8G\"");
	if (!ret)
		ret = rec.clone_of[0] ? clone_begin(ctx, &rec, &op, &e)
				      : create_empty(ctx, &rec, &e);
	if (ret)
		api_fail_err(r, &e);
	else if (op)
		api_reply_json(r, 202, op_encode(op));
	else
		api_reply_json(r, 201, encode(ctx, &rec));
}

void h_volume_get(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct volume_record *v = find(ctx, r, arg[0]);

	if (v)
		api_reply_json(r, 200, encode(ctx, v));
}

/* {"size": N, "shrink": true}: the new size and whether data may be cut off. */
static int resize(struct api_ctx *ctx, const struct volume_record *v, json_t *body, struct err *e)
{
	struct volume_record rec = *v;
	bool shrink = json_is_true(json_object_get(body, "shrink"));
	struct pool *p = pool_of(ctx, v, e);
	char target[TARGET_MAX];
	struct audit_entry a = entry(ctx, "volume.resize", v->name, target);
	MEM_AUTO char *text = NULL;
	int ret;

	json_object_del(body, "shrink");
	text = json_dumps(body, JSON_COMPACT);
	if (!p || !text)
		return p ? err_set(e, -ENOMEM, "no memory for the change") : e->code;
	ret = volume_decode(&rec, text, strlen(text), false, e);
	if (!ret &&
	    (strcmp(rec.name, v->name) != 0 || strcmp(rec.pool, v->pool) != 0 ||
	     strcmp(rec.project, v->project) != 0 || strcmp(rec.clone_of, v->clone_of) != 0))
		ret = err_set(e, -EINVAL, "only the size of a volume can change");
	if (!ret && rec.size > v->size)
		ret = mgr_check_disk(ctx->mgr, v->project, rec.size - v->size, e);
	if (!ret)
		ret = volume_resize(p, v->name, rec.size, shrink,
				    mgr_volume_in_use(ctx->mgr, v->name), e);
	return ret ? ret : stock_change_volume(ctx->stock, &rec, &a, e);
}

void h_volume_patch(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct volume_record *v = find(ctx, r, arg[0]);
	struct err e = { 0 };
	json_t *body;
	int ret;

	if (!v)
		return;
	body = ctx_body(r);
	if (!body)
		return;
	ret = resize(ctx, v, body, &e);
	json_decref(body);
	if (ret)
		api_fail_err(r, &e);
	else
		api_reply_json(r, 200, encode(ctx, stock_volume(ctx->stock, arg[0])));
}

void h_volume_delete(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct volume_record *v = find(ctx, r, arg[0]);
	const struct vm *user;
	char target[TARGET_MAX];
	struct audit_entry a;
	struct err e = { 0 };
	struct pool *p;
	int ret;

	if (!v)
		return;
	user = mgr_volume_user(ctx->mgr, v->name);
	a = entry(ctx, "volume.rm", v->name, target);
	p = pool_of(ctx, v, &e);
	ret = p ? 0 : e.code;
	if (!ret && user)
		ret = err_set(&e, -EBUSY, "volume '%s' is a disk of VM '%s'", v->name, user->name);
	if (!ret)
		ret = volume_remove(p, v->name, false, &e);
	/* Somebody took the file away: what is left is the record. */
	if (!ret || ret == -ENOENT)
		ret = stock_remove_volume(ctx->stock, v, &a, &e);
	if (ret)
		api_fail_err(r, &e);
	else
		api_reply_empty(r, 204);
}

/* A download: the file's bytes, holes as zeroes. */
struct download {
	struct api_stream stream; /* must be first */
	int fd;
	uint64_t at, zeroes;
};

static ssize_t download_read(struct api_stream *s, void *buf, size_t len)
{
	struct download *d = CONTAINER_OF(s, struct download, stream);
	ssize_t n;

	if (!d->zeroes) {
		n = volume_read(d->fd, buf, len, d->at, &d->zeroes);
		if (n > 0)
			d->at += (uint64_t)n;
		if (n)
			return n > 0 ? n : -1;
		if (!d->zeroes)
			return -1;
	}
	n = (ssize_t)MIN(len, d->zeroes);
	memset(buf, 0, (size_t)n);
	d->zeroes -= (uint64_t)n;
	d->at += (uint64_t)n;
	return n;
}

static void download_close(struct api_stream *s)
{
	struct download *d = CONTAINER_OF(s, struct download, stream);

	fd_close(&d->fd);
	free(d);
}

static const struct api_stream_ops download_ops = { .read = download_read,
						    .close = download_close };

void h_volume_download(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	const struct volume_record *v = find(ctx, r, arg[0]);
	struct err e = { 0 };
	struct download *d;
	struct pool *p;
	struct stat st;

	if (!v)
		return;
	p = pool_of(ctx, v, &e);
	d = calloc(1, sizeof(*d));
	if (!p || !d) {
		free(d);
		api_fail(r, API_NO_RESOURCE, "%s", p ? "no memory for a download" : e.msg);
		return;
	}
	d->stream.ops = &download_ops;
	d->fd = volume_open(p, v->name, true, &e);
	if (d->fd < 0 || fstat(d->fd, &st)) {
		if (d->fd < 0)
			api_fail_err(r, &e);
		else
			api_fail(r, API_INTERNAL, "cannot tell the volume's size");
		download_close(&d->stream);
		return;
	}
	api_reply_stream(r, "application/octet-stream", &d->stream, (uint64_t)st.st_size);
}

/* An upload: the body goes into a temporary file as it comes. */
struct upload {
	struct api_stream stream; /* must be first */
	struct volume_upload *to;
	struct err why; /* it failed */
};

static ssize_t upload_write(struct api_stream *s, const void *buf, size_t len)
{
	struct upload *u = CONTAINER_OF(s, struct upload, stream);

	return volume_upload_write(u->to, buf, len, &u->why) ? -1 : (ssize_t)len;
}

static void upload_close(struct api_stream *s)
{
	struct upload *u = CONTAINER_OF(s, struct upload, stream);

	volume_upload_cancel(u->to);
	free(u);
}

static const struct api_stream_ops upload_ops = { .write = upload_write, .close = upload_close };

struct api_stream *volumes_upload(struct api_ctx *ctx, struct api_request *r,
				  const char *const arg[])
{
	const struct volume_record *v = find(ctx, r, arg[0]);
	struct err e = { 0 };
	struct upload *u;
	struct pool *p;
	int ret;

	if (!v)
		return NULL;
	p = pool_of(ctx, v, &e);
	u = calloc(1, sizeof(*u));
	ret = !p ? e.code : !u ? err_set(&e, -ENOMEM, "no memory for an upload") : 0;
	if (!ret)
		ret = volume_upload_begin(&u->to, p, v->name, mgr_volume_in_use(ctx->mgr, v->name),
					  &e);
	if (ret) {
		free(u);
		api_fail_err(r, &e);
		return NULL;
	}
	u->stream.ops = &upload_ops;
	return &u->stream;
}

void h_volume_upload(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct upload *u = r->sink ? CONTAINER_OF(r->sink, struct upload, stream) : NULL;
	const struct volume_record *v = find(ctx, r, arg[0]);
	char target[TARGET_MAX];
	struct err e = { 0 };
	int ret;

	if (!v)
		return;
	if (!u) {
		api_fail(r, API_BAD_REQUEST, "the body is missing: send the volume's bytes");
		return;
	}
	e = u->why;
	ret = e.code;
	if (!ret) {
		ret = volume_upload_finish(u->to, &e);
		u->to = NULL;
	}
	target_write(target, "volume", v->name);
	mgr_audit(ctx->mgr, &ctx->by, "volume.upload", target,
		  ret ? api_code_name(api_code_of(ret)) : "ok");
	if (ret)
		api_fail_err(r, &e);
	else
		api_reply_json(r, 200, encode(ctx, v));
}
