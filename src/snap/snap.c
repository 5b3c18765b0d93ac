/* SPDX-License-Identifier: MIT */
/*
 * Versioned named fields, see snap.h.
 */
#include "snap/snap.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

#define REC_NUMBER  'u'
#define REC_BYTES   'b'
#define REC_SECTION '{'

void snap_writer_init(struct snap_writer *w)
{
	*w = (struct snap_writer) { 0 };
}

void snap_writer_free(struct snap_writer *w)
{
	free(w->buf);
	*w = (struct snap_writer) { 0 };
}

static uint8_t *grow(struct snap_writer *w, size_t n)
{
	uint8_t *p;

	if (w->error)
		return NULL;
	if (w->len + n > w->cap) {
		size_t cap = MAX(w->cap * 2, w->len + n + 256);

		p = realloc(w->buf, cap);
		if (!p) {
			w->error = -ENOMEM;
			return NULL;
		}
		w->buf = p;
		w->cap = cap;
	}
	p = w->buf + w->len;
	w->len += n;
	return p;
}

static void put_record(struct snap_writer *w, char kind, const char *name, const void *value,
		       size_t len)
{
	size_t name_len = strlen(name);
	uint8_t *p;

	BUG_ON(name_len == 0 || name_len > SNAP_NAME_MAX || len > UINT32_MAX);
	p = grow(w, 2 + name_len + 4 + len);
	if (!p)
		return;
	p[0] = (uint8_t)kind;
	p[1] = (uint8_t)name_len;
	memcpy(p + 2, name, name_len);
	put_le32(p + 2 + name_len, (uint32_t)len);
	if (len)
		memcpy(p + 6 + name_len, value, len);
}

void snap_put_u64(struct snap_writer *w, const char *name, uint64_t v)
{
	uint8_t raw[8];

	put_le64(raw, v);
	put_record(w, REC_NUMBER, name, raw, sizeof(raw));
}

void snap_put_bytes(struct snap_writer *w, const char *name, const void *p, size_t len)
{
	put_record(w, REC_BYTES, name, p, len);
}

void snap_begin(struct snap_writer *w, const char *name, uint32_t version)
{
	uint8_t raw[4];

	BUG_ON(w->depth == SNAP_DEPTH_MAX);
	put_le32(raw, version);
	put_record(w, REC_SECTION, name, raw, sizeof(raw));
	w->open[w->depth++] = w->len - 8;
}

void snap_end(struct snap_writer *w)
{
	size_t at;

	BUG_ON(w->depth == 0);
	at = w->open[--w->depth];
	if (!w->error)
		put_le32(w->buf + at, (uint32_t)(w->len - at - 4));
}

void snap_save_fields(struct snap_writer *w, const void *obj, const struct snap_field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = (const uint8_t *)obj + f[i].offset;

		if (f[i].kind == SNAP_BYTES)
			snap_put_bytes(w, f[i].name, p, f[i].size);
		else
			snap_put_u64(w, f[i].name, get_le(p, (unsigned)f[i].size));
	}
}

int snap_writer_done(const struct snap_writer *w)
{
	BUG_ON(!w->error && w->depth);
	return w->error;
}

struct record {
	char kind;
	const char *name;
	size_t name_len;
	const uint8_t *value;
	size_t len;
};

/* Parse the record at *@at and move it on; false at the end or where it does not parse. */
static bool next_record(const struct snap_reader *r, size_t *at, struct record *rec)
{
	const uint8_t *p = r->buf + *at;
	size_t left = r->len - *at;
	size_t name_len, len;

	if (left < 2)
		return false;
	name_len = p[1];
	if (name_len == 0 || name_len > SNAP_NAME_MAX || left < 6 + name_len)
		return false;
	len = get_le32(p + 2 + name_len);
	if (len > left - 6 - name_len)
		return false;
	*rec = (struct record) { .kind = (char)p[0],
				 .name = (const char *)p + 2,
				 .name_len = name_len,
				 .value = p + 6 + name_len,
				 .len = len };
	*at += 6 + name_len + len;
	return true;
}

int snap_reader_init(struct snap_reader *r, const void *buf, size_t len, struct err *e)
{
	struct snap_reader tmp = { .buf = buf, .len = len };
	struct record rec;
	size_t at = 0;

	while (next_record(&tmp, &at, &rec))
		;
	if (at != len)
		return err_set(e, -EBADMSG, "saved state is damaged at byte %zu", at);
	*r = tmp;
	return 0;
}

static int find(const struct snap_reader *r, const char *name, char kind, struct record *out,
		struct err *e)
{
	size_t want = strlen(name);
	struct record rec;
	size_t at = 0;

	while (next_record(r, &at, &rec)) {
		if (rec.name_len != want || memcmp(rec.name, name, want) != 0)
			continue;
		if (rec.kind != kind)
			return err_set(e, -EBADMSG, "saved field '%s' has the wrong kind", name);
		*out = rec;
		return 0;
	}
	return err_set(e, -ENOENT, "saved field '%s' is missing", name);
}

int snap_get_u64(const struct snap_reader *r, const char *name, uint64_t *v, struct err *e)
{
	struct record rec;
	int ret = find(r, name, REC_NUMBER, &rec, e);

	if (ret)
		return ret;
	if (rec.len != 8)
		return err_set(e, -EBADMSG, "saved field '%s' is no 64-bit number", name);
	*v = get_le64(rec.value);
	return 0;
}

int snap_find_bytes(const struct snap_reader *r, const char *name, const uint8_t **p, size_t *len,
		    struct err *e)
{
	struct record rec;
	int ret = find(r, name, REC_BYTES, &rec, e);

	if (ret)
		return ret;
	*p = rec.value;
	*len = rec.len;
	return 0;
}

int snap_get_bytes(const struct snap_reader *r, const char *name, void *p, size_t len,
		   struct err *e)
{
	const uint8_t *value;
	size_t have;
	int ret = snap_find_bytes(r, name, &value, &have, e);

	if (ret)
		return ret;
	if (have != len)
		return err_set(e, -EBADMSG, "saved field '%s' has %zu bytes instead of %zu", name,
			       have, len);
	memcpy(p, value, len);
	return 0;
}

int snap_enter(const struct snap_reader *r, const char *name, uint32_t max_version,
	       struct snap_reader *sub, uint32_t *version, struct err *e)
{
	struct record rec;
	uint32_t v;
	int ret = find(r, name, REC_SECTION, &rec, e);

	if (ret)
		return ret;
	if (rec.len < 4)
		return err_set(e, -EBADMSG, "saved section '%s' has no version", name);
	v = get_le32(rec.value);
	if (v == 0 || v > max_version)
		return err_set(e, -ENOTSUP,
			       "saved section '%s' has version %u, this Holm reads up to %u", name,
			       v, max_version);
	ret = snap_reader_init(sub, rec.value + 4, rec.len - 4, e);
	if (ret)
		return ret;
	*version = v;
	return 0;
}

bool snap_next(const struct snap_reader *r, size_t *at, struct snap_item *out)
{
	struct record rec;

	if (!next_record(r, at, &rec))
		return false;
	*out = (struct snap_item) { .kind = SNAP_ITEM_BYTES, .bytes = rec.value, .len = rec.len };
	for (size_t i = 0; i < rec.name_len; i++)
		out->name[i] = (char)(rec.name[i] > ' ' && rec.name[i] < 0x7f ? rec.name[i] : '?');
	if (rec.kind == REC_NUMBER && rec.len == 8) {
		out->kind = SNAP_ITEM_NUMBER;
		out->number = get_le64(rec.value);
	} else if (rec.kind == REC_SECTION && rec.len >= 4) {
		out->kind = SNAP_ITEM_SECTION;
		out->version = get_le32(rec.value);
		return !snap_reader_init(&out->section, rec.value + 4, rec.len - 4, NULL);
	}
	return true;
}

/* Look one field up; @obj NULL only checks. */
static int load_field(const struct snap_reader *r, void *obj, const struct snap_field *f,
		      struct err *e)
{
	uint64_t v = 0;
	const uint8_t *p = NULL;
	size_t len;
	int ret;

	if (f->kind == SNAP_BYTES) {
		ret = snap_find_bytes(r, f->name, &p, &len, e);
		if (!ret && len != f->size)
			ret = err_set(e, -EBADMSG, "saved field '%s' has %zu bytes instead of %zu",
				      f->name, len, f->size);
	} else {
		ret = snap_get_u64(r, f->name, &v, e);
		if (!ret && (v & ~size_mask((unsigned)f->size)))
			ret = err_set(e, -EBADMSG, "saved field '%s' is out of range", f->name);
		if (!ret && f->kind == SNAP_BOOL && v > 1)
			ret = err_set(e, -EBADMSG, "saved field '%s' is no boolean", f->name);
	}
	if (ret == -ENOENT && f->optional)
		return 0;
	if (ret || !obj)
		return ret;
	if (f->kind == SNAP_BYTES)
		memcpy((uint8_t *)obj + f->offset, p, f->size);
	else
		put_le((uint8_t *)obj + f->offset, (unsigned)f->size, v);
	return 0;
}

int snap_load_fields(const struct snap_reader *r, void *obj, const struct snap_field *f, size_t n,
		     struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int ret = load_field(r, NULL, &f[i], e);

		if (ret)
			return ret;
	}
	for (size_t i = 0; i < n; i++) {
		int ret = load_field(r, obj, &f[i], e);

		BUG_ON(ret);
	}
	return 0;
}
