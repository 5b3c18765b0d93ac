/* SPDX-License-Identifier: MIT */
/*
 * The reader of scheduler traces: the input as it is, and, so that random bytes get beyond the
 * first brace, lines that the input's bytes choose from pieces of traces.
 */
#include "base/compiler.h"
#include "mgr/core/alloc.h"
#include "mgr/core/sched_sim.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pieces[] = {
	"{",
	"}",
	"}\n",
	":",
	",",
	"\n",
	"#",
	"[",
	"\"id\":",
	"\"arrival_ms\":",
	"\"burst_ms\":",
	"\"priority\":",
	"\"shares\":",
	"\"size\":",
	"{\"cpu\":",
	"{\"memory\":",
	"0",
	"1",
	"-1",
	"9223372036854775807",
	"1e3",
	"1.5",
	"null",
	"\"a\"",
	"\"\\u0000\"",
	"\"\\u00e9\"",
	"{\"arrival_ms\":1,\"burst_ms\":2",
	"{\"arrival_ms\":3,\"burst_ms\":4}\n",
	",\"priority\":-3",
	",\"shares\":7",
	",\"size\":{\"cpu\":5}",
	",\"id\":\"b\"",
};

static void parse(const char *text, size_t len)
{
	struct sim_trace t = { 0 };
	struct err e = { 0 };

	if (sim_trace_parse(&t, "trace", text, len, &e)) {
		/* A refusal has its sentence and leaves nothing. */
		BUG_ON(!e.msg[0] || t.jobs || t.n);
		return;
	}
	/* What was taken is what the engine takes. */
	for (size_t i = 0; i < t.n; i++) {
		const struct sim_job *j = &t.jobs[i];

		BUG_ON(!j->id[0] || !j->burst_ms || j->burst_ms > SCHED_BURST_MAX_MS);
		BUG_ON(j->arrival_ms > SCHED_BURST_MAX_MS || !j->size.cpu);
		BUG_ON(j->shares < ALLOC_SHARES_MIN || j->shares > ALLOC_SHARES_MAX);
		BUG_ON(j->priority < -ALLOC_PRIORITY_MAX || j->priority > ALLOC_PRIORITY_MAX);
	}
	sim_trace_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096];
	size_t len = 0;

	parse((const char *)data, size);
	for (size_t i = 0; i < size; i++) {
		const char *piece = pieces[data[i] % ARRAY_SIZE(pieces)];
		size_t n = strlen(piece);

		if (len + n > sizeof(text))
			break;
		memcpy(text + len, piece, n);
		len += n;
	}
	parse(text, len);
	return 0;
}
