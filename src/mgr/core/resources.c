/* SPDX-License-Identifier: MIT */
/*
 * Resources as JSON, see resources.h.
 */
#include "mgr/core/resources.h"

#include "proto/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	bool size;
	uint64_t max;
} kinds[] = {
	[RES_CPU] = { "cpu", false, RES_CPU_MAX },
	[RES_MEMORY] = { "memory", true, RES_AMOUNT_MAX },
	[RES_IO] = { "io", true, RES_AMOUNT_MAX },
	[RES_NET] = { "net", true, RES_AMOUNT_MAX },
};
static_assert(ARRAY_SIZE(kinds) == RES_COUNT, "a row for each");

const char *res_kind_name(enum res_kind k)
{
	return kinds[k].name;
}

void resources_init(struct resources *r)
{
	for (unsigned k = 0; k < RES_COUNT; k++)
		r->of[k] = (struct res_triple) { .shares = RES_SHARES_DEFAULT };
}

int json_amount(uint64_t *out, const json_t *v, bool size, uint64_t min, uint64_t max,
		const char *what, struct err *e)
{
	uint64_t n = 0;
	int ret = -EINVAL;

	if (json_is_integer(v)) {
		n = (uint64_t)json_integer_value(v);
		ret = json_integer_value(v) < 0 ? -ERANGE : 0;
	} else if (size && json_is_string(v)) {
		ret = vm_size_parse(&n, what, json_string_value(v), NULL);
	}
	if (ret == -EINVAL)
		return err_set(e, ret, "'%.80s' is not %s", what,
			       size ? "a size: write bytes as a number, or like \"512M\""
				    : "a whole number");
	if (ret || n < min || n > max)
		return err_set(e, -ERANGE, "'%.80s' is out of range: %" PRIu64 " to %" PRIu64, what,
			       min, max);
	*out = n;
	return 0;
}

static int decode_triple(struct res_triple *t, enum res_kind k, const json_t *o, struct err *e)
{
	const char *key;
	char what[128];
	const json_t *v;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "'resources.%s' is not an object", kinds[k].name);
	json_object_foreach((json_t *)o, key, v)
	{
		uint64_t shares;
		int ret;

		snprintf(what, sizeof(what), "resources.%s.%.60s", kinds[k].name, key);
		if (!strcmp(key, "reservation"))
			ret = json_amount(&t->reservation, v, kinds[k].size, 0, kinds[k].max, what,
					  e);
		else if (!strcmp(key, "limit"))
			ret = json_amount(&t->limit, v, kinds[k].size, 0, kinds[k].max, what, e);
		else if (!strcmp(key, "shares")) {
			ret = json_amount(&shares, v, false, 1, RES_SHARES_MAX, what, e);
			if (!ret)
				t->shares = (uint32_t)shares;
		} else {
			ret = err_set(e, -EINVAL,
				      "unknown field '%s': use reservation, limit and shares",
				      what);
		}
		if (ret)
			return ret;
	}
	if (t->limit && t->reservation > t->limit)
		return err_set(e, -EINVAL,
			       "resources.%s: the reservation, %" PRIu64
			       ", is above the limit, %" PRIu64,
			       kinds[k].name, t->reservation, t->limit);
	return 0;
}

int resources_decode(struct resources *r, const json_t *o, struct err *e)
{
	struct resources to = *r;
	const char *key;
	const json_t *v;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "'resources' is not an object");
	json_object_foreach((json_t *)o, key, v)
	{
		unsigned k = 0;
		int ret;

		while (k < RES_COUNT && strcmp(key, kinds[k].name) != 0)
			k++;
		if (k == RES_COUNT)
			return err_set(e, -EINVAL,
				       "unknown field 'resources.%.80s': use cpu, memory, io and "
				       "net",
				       key);
		ret = decode_triple(&to.of[k], (enum res_kind)k, v, e);
		if (ret)
			return ret;
	}
	*r = to;
	return 0;
}

json_t *resources_encode(const struct resources *r)
{
	json_t *o = json_object();

	for (unsigned k = 0; o && k < RES_COUNT; k++) {
		const struct res_triple *t = &r->of[k];
		json_t *one =
			json_pack("{s:I, s:I, s:I}", "reservation", (json_int_t)t->reservation,
				  "limit", (json_int_t)t->limit, "shares", (json_int_t)t->shares);

		if (json_object_set_new(o, kinds[k].name, one)) {
			json_decref(o);
			o = NULL;
		}
	}
	return o;
}
