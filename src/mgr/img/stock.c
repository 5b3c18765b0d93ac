/* SPDX-License-Identifier: MIT */
/*
 * All pools and volumes, see stock.h.
 */
#include "mgr/img/stock.h"

#include "base/fd.h"
#include "base/log.h"
#include "mgr/core/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_POOL_ID "0000000000000001"

static int grow(void **list, size_t n, size_t size, struct err *e)
{
	void *more = reallocarray(*list, n + 1, size);

	if (!more)
		return err_set(e, -ENOMEM, "no memory for one more record");
	*list = more;
	return 0;
}

static int insert_pool(struct stock *s, const struct pool_record *r, struct pool *pool,
		       const char *why, struct err *e)
{
	int ret = grow((void **)&s->pools, s->n_pools, sizeof(*s->pools), e);
	struct stock_pool *p;

	if (ret)
		return ret;
	p = &s->pools[s->n_pools++];
	*p = (struct stock_pool) { .record = *r, .pool = pool };
	snprintf(p->why, sizeof(p->why), "%s", why);
	return 0;
}

static int load_pool(void *ctx, const char *kind UNUSED, const char *id, const char *name UNUSED,
		     const char *body)
{
	struct stock *s = ctx;
	struct pool_record r;
	struct pool *pool = NULL;
	struct err e = { 0 };

	memset(&r, 0, sizeof(r));
	if (pool_decode(&r, body, strlen(body), true, &e)) {
		log_line(LOG_ERROR, "pool", "the record of pool %s: %s", id, e.msg);
		return 0;
	}
	if (pool_open(&pool, &r, &e)) {
		log_line(LOG_ERROR, "pool", "pool '%s': %s", r.name, e.msg);
		pool = NULL;
	}
	return insert_pool(s, &r, pool, e.msg, NULL);
}

static int insert_volume(struct stock *s, const struct volume_record *r, struct err *e)
{
	int ret = grow((void **)&s->volumes, s->n_volumes, sizeof(*s->volumes), e);

	if (!ret)
		s->volumes[s->n_volumes++] = *r;
	return ret;
}

static int load_volume(void *ctx, const char *kind UNUSED, const char *id, const char *name UNUSED,
		       const char *body)
{
	struct volume_record r;
	struct err e = { 0 };

	memset(&r, 0, sizeof(r));
	if (volume_decode(&r, body, strlen(body), true, &e)) {
		log_line(LOG_ERROR, "volume", "the record of volume %s: %s", id, e.msg);
		return 0;
	}
	return insert_volume(ctx, &r, NULL);
}

struct finding {
	struct stock *s;
	struct stock_pool *p;
};

static const struct volume_record *known(const struct stock *s, const char *pool, const char *name)
{
	for (size_t i = 0; i < s->n_volumes; i++)
		if (!strcmp(s->volumes[i].name, name) && !strcmp(s->volumes[i].pool, pool))
			return &s->volumes[i];
	return NULL;
}

/* A file without a record becomes a volume, where its name is free. */
static int find_one(void *ctx, const char *name)
{
	struct finding *f = ctx;
	struct volume_record r = { .project = "default" };
	struct volume_usage use;
	struct err e = { 0 };

	if (known(f->s, f->p->record.name, name) || volume_usage(f->p->pool, name, &use, &e))
		return 0;
	vm_id_make(r.id);
	snprintf(r.name, sizeof(r.name), "%s", name);
	snprintf(r.pool, sizeof(r.pool), "%s", f->p->record.name);
	r.size = use.apparent;
	if (stock_add_volume(f->s, &r, NULL, &e))
		log_line(LOG_WARN, "volume", "%s in pool '%s' is no volume: %s", name,
			 f->p->record.name, e.msg);
	else
		log_line(LOG_INFO, "volume", "found volume '%s' in pool '%s'", name,
			 f->p->record.name);
	return 0;
}

static int open_default(struct stock *s, const char *path, struct err *e)
{
	struct pool_record r = { .id = DEFAULT_POOL_ID, .name = STOCK_DEFAULT_POOL };
	struct pool *pool = NULL;
	struct err why = { 0 };
	int ret;

	if (snprintf(r.path, sizeof(r.path), "%s", path) >= (int)sizeof(r.path))
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", path);
	if (pool_open(&pool, &r, &why)) {
		log_line(LOG_ERROR, "pool", "pool 'default': %s", why.msg);
		pool = NULL;
	}
	ret = insert_pool(s, &r, pool, why.msg, e);
	if (ret)
		pool_close(pool);
	else
		s->pools[s->n_pools - 1].builtin = true;
	return ret;
}

int stock_open(struct stock *s, const char *path, struct err *e)
{
	int ret = open_default(s, path, e);

	if (!ret)
		ret = s->store->ops->each(s->store, "pool", load_pool, s, e);
	if (!ret)
		ret = s->store->ops->each(s->store, "volume", load_volume, s, e);
	for (size_t i = 0; !ret && i < s->n_pools; i++) {
		struct finding f = { s, &s->pools[i] };

		if (s->pools[i].pool)
			ret = pool_each(s->pools[i].pool, find_one, &f);
	}
	return ret;
}

void stock_close(struct stock *s)
{
	for (size_t i = 0; i < s->n_pools; i++)
		pool_close(s->pools[i].pool);
	free(s->pools);
	free(s->volumes);
	*s = (struct stock) { .store = s->store };
}

int stock_pool(struct stock *s, const char *name, struct stock_pool **out, struct err *e)
{
	for (size_t i = 0; i < s->n_pools; i++) {
		struct stock_pool *p = &s->pools[i];

		if (strcmp(p->record.name, name) != 0 && strcmp(p->record.id, name) != 0)
			continue;
		*out = p;
		return p->pool ? 0
			       : err_set(e, -EIO, "pool '%s' is not to be had: %s", p->record.name,
					 p->why);
	}
	return err_set(e, -ENOENT, "there is no pool '%s'", name);
}

struct volume_record *stock_volume(struct stock *s, const char *name)
{
	for (size_t i = 0; i < s->n_volumes; i++)
		if (!strcmp(s->volumes[i].name, name))
			return &s->volumes[i];
	for (size_t i = 0; i < s->n_volumes; i++)
		if (!strcmp(s->volumes[i].id, name))
			return &s->volumes[i];
	return NULL;
}

static int apply(struct stock *s, const char *kind, const char *id, const char *name, char *body,
		 bool removed, const struct audit_entry *audit, struct err *e)
{
	MEM_AUTO char *text = body;
	struct store_change c = { .kind = kind, .id = id, .name = name, .body = text };

	if (!text && !removed)
		return err_set(e, -ENOMEM, "no memory for the record");
	return s->store->ops->apply(s->store, &c, 1, audit, e);
}

int stock_add_pool(struct stock *s, const struct pool_record *r, const struct audit_entry *audit,
		   struct err *e)
{
	struct stock_pool *other;
	struct pool *pool;
	int ret;

	if (stock_pool(s, r->name, &other, NULL) != -ENOENT)
		return err_set(e, -EEXIST, "a pool named '%s' exists already", r->name);
	ret = pool_open(&pool, r, e);
	if (ret)
		return ret;
	ret = insert_pool(s, r, pool, "", e);
	if (!ret) {
		ret = apply(s, "pool", r->id, r->name, pool_encode(r), false, audit, e);
		if (ret)
			s->n_pools--;
	}
	if (ret)
		pool_close(pool);
	return ret;
}

int stock_remove_pool(struct stock *s, struct stock_pool *p, const struct audit_entry *audit,
		      struct err *e)
{
	int ret;

	if (p->builtin)
		return err_set(e, -EBUSY, "pool '%s' is built in", p->record.name);
	for (size_t i = 0; i < s->n_volumes; i++)
		if (!strcmp(s->volumes[i].pool, p->record.name))
			return err_set(e, -EBUSY, "pool '%s' has volumes: remove them first",
				       p->record.name);
	/* A clone has no record before its end. */
	if (p->pool && pool_busy(p->pool))
		return err_set(e, -EBUSY, "pool '%s' is being written to: wait for the operation",
			       p->record.name);
	ret = apply(s, "pool", p->record.id, NULL, NULL, true, audit, e);
	if (ret)
		return ret;
	pool_close(p->pool);
	*p = s->pools[--s->n_pools];
	return 0;
}

int stock_add_volume(struct stock *s, const struct volume_record *r,
		     const struct audit_entry *audit, struct err *e)
{
	int ret = insert_volume(s, r, e);

	if (ret)
		return ret;
	ret = apply(s, "volume", r->id, r->name, volume_encode(r), false, audit, e);
	if (ret)
		s->n_volumes--;
	return ret;
}

int stock_change_volume(struct stock *s, const struct volume_record *r,
			const struct audit_entry *audit, struct err *e)
{
	struct volume_record *v = stock_volume(s, r->id);
	int ret = apply(s, "volume", r->id, r->name, volume_encode(r), false, audit, e);

	if (!ret && v)
		*v = *r;
	return ret;
}

int stock_remove_volume(struct stock *s, struct volume_record *v, const struct audit_entry *audit,
			struct err *e)
{
	int ret = apply(s, "volume", v->id, NULL, NULL, true, audit, e);

	if (!ret)
		*v = s->volumes[--s->n_volumes];
	return ret;
}

int stock_path(struct stock *s, const char *volume, char *buf, size_t len, struct err *e)
{
	const struct volume_record *v = stock_volume(s, volume);
	struct stock_pool *p;
	int ret;

	if (!v)
		return err_set(e, -ENOENT, "there is no volume '%s'", volume);
	ret = stock_pool(s, v->pool, &p, e);
	if (ret)
		return ret;
	if (snprintf(buf, len, "%s/%s" VOLUME_SUFFIX, p->record.path, v->name) >= (int)len)
		return err_set(e, -ENAMETOOLONG, "volume '%s' has too long a path", v->name);
	return 0;
}

uint64_t stock_bytes(const struct stock *s, const char *project)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_volumes; i++)
		if (!strcmp(s->volumes[i].project, project))
			sum += s->volumes[i].size;
	for (const struct stock_claim *c = s->claims; c; c = c->next)
		if (!strcmp(c->project, project))
			sum += c->size;
	return sum;
}

void stock_claim(struct stock *s, struct stock_claim *c)
{
	c->next = s->claims;
	s->claims = c;
}

void stock_unclaim(struct stock *s, struct stock_claim *c)
{
	struct stock_claim **at = &s->claims;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
}

size_t stock_uses(const struct stock *s, const char *project)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_volumes; i++)
		n += !strcmp(s->volumes[i].project, project);
	return n;
}
