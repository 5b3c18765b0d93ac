/* SPDX-License-Identifier: MIT */
/*
 * What a manager answers to the command line: problems, events, lists and objects made of any
 * bytes. What is printed must be UTF-8 without control characters but the newlines of ours.
 */
#include "cli/output.h"
#include "cli/problem.h"
#include "cli/sse.h"
#include "cli/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_clean(const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end) {
		const char *from = s;
		uint32_t c = text_next(&s, end);

		if (c != '\n' && (!text_safe(c) || (c == 0xfffd && s - from != 3)))
			abort();
	}
}

static int on_event(void *ctx, const char *id, const char *type, const char *data, struct err *e)
{
	size_t *sum = ctx;

	*sum += strlen(id) + strlen(type) + strlen(data);
	return 0;
}

static void print(json_t *v)
{
	static const struct column columns[] = {
		{ "NAME", "name", COLUMN_TEXT },
		{ "SIZE", "a.size", COLUMN_SIZE },
		{ "SINCE", "a.since", COLUMN_SINCE },
		{ "CPU", "cpu", COLUMN_CPU },
		{ "NS", "ns", COLUMN_NS },
	};
	const struct output kinds[] = { { .filters = { "a.size=1" }, .n_filters = 1 },
					{ .width = 10 },
					{ .format = OUTPUT_CSV },
					{ .format = OUTPUT_JSON },
					{ .quiet = true } };
	json_t *items = json_pack("[O, O]", v, v);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *text = NULL;
		size_t len;
		FILE *f = open_memstream(&text, &len);
		struct err e;

		if (!f)
			abort();
		if (output_list(&kinds[i], f, items, columns, ARRAY_SIZE(columns), &e) ||
		    (kinds[i].format != OUTPUT_CSV && output_object(&kinds[i], f, v, &e)))
			e.msg[0] = '\0';
		fclose(f);
		must_be_clean(text, len);
		free(text);
	}
	json_decref(items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t cut = size ? data[0] % size : 0, sum = 0;
	struct err e = { 0 };
	struct sse s;
	json_t *v;

	/* Its sentence is cleaned once more when it is printed (cmd_fail). */
	problem_set(&e, 500, text, size);
	sse_init(&s, on_event, &sum);
	if (!sse_feed(&s, text, cut, &e) && sse_feed(&s, text + cut, size - cut, &e))
		sum = 0;
	sse_free(&s);
	v = json_loadb(text, size, JSON_DECODE_ANY, NULL);
	if (v)
		print(v);
	else
		v = json_pack("{s:o, s:{s:I, s:s}}", "name", json_stringn_nocheck(text, size), "a",
			      "size", (json_int_t)size, "since", "2026-01-01T00:00:00Z");
	if (v)
		print(v);
	json_decref(v);
	return 0;
}
