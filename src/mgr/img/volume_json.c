/* SPDX-License-Identifier: MIT */
/*
 * The record of a volume, see volume.h.
 */
#include "base/bytes.h"
#include "mgr/core/record.h"
#include "mgr/img/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "512M", "8G", "1024"; binary units, as everywhere in Holm. */
static bool size_parse(const char *s, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t v;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno)
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		if (MUL_OVERFLOWS(v, 1ull << 10 * (unit - units + 1), &v))
			return false;
		end++;
	}
	if (*end)
		return false;
	*out = v;
	return true;
}

static int size_read(const json_t *o, uint64_t *out, struct err *e)
{
	const json_t *v = json_object_get(o, "size");
	uint64_t size;

	if (!v)
		return 0;
	if (json_is_integer(v) && json_integer_value(v) >= 0)
		size = (uint64_t)json_integer_value(v);
	else if (!json_is_string(v) || !size_parse(json_string_value(v), &size))
		return err_set(e, -EINVAL, "volume: 'size' must be bytes, or a text like \"8G\"");
	if (!size || size % VOLUME_SECTOR || size > VOLUME_SIZE_MAX)
		return err_set(e, -ERANGE,
			       "volume: 'size' must be 512 bytes to 64 TiB in steps of 512");
	*out = size;
	return 0;
}

int volume_decode(struct volume_record *r, const char *json, size_t len, bool stored, struct err *e)
{
	static const char *const members[] = {
		"name", "pool", "project", "clone_of", "size", "id"
	};
	const char *text[] = { r->name, r->pool, r->project, r->clone_of };
	struct volume_record next = *r;
	const char *id = r->id;
	JSON_AUTO *o = NULL;
	int ret = record_parse(&o, json, len, "the volume", e);

	if (!ret)
		ret = record_known(o, members, ARRAY_SIZE(members) - !stored, "volume", e);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(text); i++) {
		ret = record_string(o, members[i], &text[i], "volume", e);
		if (!ret && (text[i][0] || !i))
			ret = vm_name_check(i ? members[i] : "volume name", text[i], e);
	}
	if (!ret)
		ret = size_read(o, &next.size, e);
	if (!ret && stored)
		ret = record_string(o, "id", &id, "volume", e);
	if (ret)
		return ret;
	if (stored && !volume_id_ok(id))
		return err_set(e, -EINVAL, "volume id '%.40s' is not %d hexadecimal digits", id,
			       POOL_ID_LEN);
	if (!next.size && !text[3][0])
		return err_set(e, -EINVAL, "volume %s needs a 'size' or a 'clone_of'", text[0]);
	snprintf(next.id, sizeof(next.id), "%s", id);
	snprintf(next.name, sizeof(next.name), "%s", text[0]);
	snprintf(next.pool, sizeof(next.pool), "%s", text[1]);
	snprintf(next.project, sizeof(next.project), "%s", text[2]);
	snprintf(next.clone_of, sizeof(next.clone_of), "%s", text[3]);
	*r = next;
	return 0;
}

char *volume_encode(const struct volume_record *r)
{
	JSON_AUTO *o = json_pack("{s:s, s:s, s:s, s:s, s:o*, s:s*}", "id", r->id, "name", r->name,
				 "pool", r->pool, "project", r->project, "size",
				 r->size ? json_integer((json_int_t)r->size) : NULL, "clone_of",
				 r->clone_of[0] ? r->clone_of : NULL);

	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}
