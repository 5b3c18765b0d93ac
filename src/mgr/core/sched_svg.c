/* SPDX-License-Identifier: MIT */
/*
 * Gantt charts of simulated runs as SVG, see sched_sim.h.
 *
 * Theory of operation: one chart a run, all on the same scale of time, one row a job: a thin line
 * from its arrival to its end, a bar for each stretch in which it ran. Colours are chosen apart
 * in lightness, too, and each row is named, so nothing is told by colour alone.
 *
 * Limits: the first ROWS_MAX jobs are drawn, and the rest is said.
 */
#include "mgr/core/sched_sim.h"

#include <inttypes.h>

#define LEFT	   130 /* pixels: room for names */
#define PLOT	   820
#define RIGHT	   30
#define ROW	   22
#define BAR	   14
#define HEAD	   46 /* above the rows of a chart */
#define FOOT	   44 /* below: the axis */
#define TOP	   48 /* title and legend */
#define ROWS_MAX   60u
#define NAME_CHARS 16

static const char *const colours[] = { "#3b6ea8", "#d9822b", "#4f9d69", "#a8434f", "#7d5ba6",
				       "#8a6d3b", "#2f9aa0", "#b05a91", "#6b7280", "#9aa52f" };

/* Text without what XML gives a meaning; at most @max characters of UTF-8. */
static void text(FILE *f, const char *s, unsigned max)
{
	for (; *s; s++) {
		if (((unsigned char)*s & 0xc0) != 0x80 && !max--) {
			fputs("…", f);
			return;
		}
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			fputc(*s, f);
	}
}

/* 1, 2 or 5 times a power of ten: at most ten of them up to @end. */
static uint64_t tick_of(uint64_t end)
{
	static const unsigned steps[] = { 1, 2, 5 };

	for (uint64_t power = 1;; power *= 10)
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
			if (end / (power * steps[i]) <= 10)
				return power * steps[i];
}

static double x_of(uint64_t ms, uint64_t end)
{
	return LEFT + PLOT * ((double)ms / (double)end);
}

static void axis(FILE *f, double top, double bottom, uint64_t end)
{
	uint64_t tick = tick_of(end);
	bool seconds = end >= 20000;

	for (uint64_t t = 0; t <= end; t += tick) {
		double x = x_of(t, end);

		fprintf(f,
			"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n"
			"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
			x, top, x, bottom + 4, x, bottom + 18);
		if (seconds)
			fprintf(f, "%g</text>\n", (double)t / 1000);
		else
			fprintf(f, "%" PRIu64 "</text>\n", t);
	}
	fprintf(f,
		"<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"axis\"/>\n"
		"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" class=\"dim\">time in %s</text>\n",
		LEFT, bottom, LEFT + PLOT, bottom, LEFT + PLOT, bottom + 34, seconds ? "s" : "ms");
}

static void chart(FILE *f, const struct sim_trace *t, const struct sim_run *r, double top,
		  size_t rows, uint64_t end)
{
	double first = top + HEAD, bottom = first + (double)rows * ROW;

	fprintf(f, "<text x=\"%d\" y=\"%.1f\" class=\"title\">%s", LEFT, top + 18,
		sched_policy_name(r->settings.policy));
	if (r->settings.quantum_ms &&
	    (r->settings.policy == SCHED_RR || r->settings.policy == SCHED_FAIR))
		fprintf(f, ", quantum %" PRIu64 " ms", r->settings.quantum_ms);
	fprintf(f,
		"</text>\n<text x=\"%d\" y=\"%.1f\" class=\"dim\">mean wait %.1f ms, turnaround "
		"%.1f ms, response %.1f ms, fairness %.3f</text>\n",
		LEFT, top + 34, r->wait_ms, r->turnaround_ms, r->response_ms, r->fairness);
	axis(f, first, bottom, end);
	for (size_t i = 0; i < rows; i++) {
		double mid = first + ((double)i + 0.5) * ROW;

		fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, mid + 4);
		text(f, t->jobs[i].id, NAME_CHARS);
		fprintf(f,
			"</text>\n<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
			"class=\"wait\"/>\n",
			x_of(t->jobs[i].arrival_ms, end), mid, x_of(r->results[i].end_ms, end),
			mid);
	}
	for (size_t i = 0; i < r->n_slices; i++) {
		const struct sim_slice *s = &r->slices[i];
		double x = x_of(s->from_ms, end);

		if (s->job >= rows)
			continue;
		fprintf(f,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" fill=\"%s\">"
			"<title>",
			x, first + (double)s->job * ROW + (ROW - BAR) / 2.0,
			MAX(x_of(s->to_ms, end) - x, 0.5), BAR,
			colours[s->job % ARRAY_SIZE(colours)]);
		text(f, t->jobs[s->job].id, SIM_ID_MAX);
		fprintf(f, ": %" PRIu64 " to %" PRIu64 " ms</title></rect>\n", s->from_ms,
			s->to_ms);
	}
	for (size_t i = 0; i < rows; i++) {
		double mid = first + ((double)i + 0.5) * ROW;
		double x = x_of(t->jobs[i].arrival_ms, end);

		fprintf(f, "<path d=\"M%.1f %.1fv%d\" class=\"arrival\"/>\n", x,
			mid - BAR / 2.0 - 2, BAR + 4);
	}
}

static void legend(FILE *f, size_t jobs, size_t rows)
{
	fprintf(f,
		"<text x=\"%d\" y=\"24\" class=\"title\">Schedules</text>\n"
		"<path d=\"M%d 12v%d\" class=\"arrival\"/><text x=\"%d\" y=\"24\">arrives</text>\n"
		"<line x1=\"%d\" y1=\"20\" x2=\"%d\" y2=\"20\" class=\"wait\"/>"
		"<text x=\"%d\" y=\"24\">waits</text>\n"
		"<rect x=\"%d\" y=\"13\" width=\"24\" height=\"%d\" fill=\"%s\"/>"
		"<text x=\"%d\" y=\"24\">runs</text>\n",
		LEFT, LEFT + 130, BAR + 4, LEFT + 138, LEFT + 210, LEFT + 234, LEFT + 240,
		LEFT + 300, BAR, colours[0], LEFT + 330);
	if (rows < jobs)
		fprintf(f,
			"<text x=\"%d\" y=\"24\" class=\"dim\">the first %zu of %zu jobs</text>\n",
			LEFT + 390, rows, jobs);
}

void sim_svg(FILE *f, const struct sim_trace *t, const struct sim_run *runs, size_t n)
{
	size_t rows = MIN(t->n, (size_t)ROWS_MAX);
	size_t one = HEAD + rows * ROW + FOOT;
	uint64_t end = 1;

	for (size_t i = 0; i < n; i++)
		end = MAX(end, runs[i].end_ms);
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
		"viewBox=\"0 0 %d %zu\" font-family=\"sans-serif\" font-size=\"12\">\n"
		"<style>text{fill:#222}.dim{fill:#666}.title{font-size:15px;font-weight:bold}"
		".grid{stroke:#ddd}.axis{stroke:#444}.wait{stroke:#999;stroke-width:2;"
		"stroke-dasharray:2 2}.arrival{stroke:#222;stroke-width:2}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		LEFT + PLOT + RIGHT, TOP + n * one, LEFT + PLOT + RIGHT, TOP + n * one);
	legend(f, t->n, rows);
	for (size_t i = 0; i < n; i++)
		chart(f, t, &runs[i], (double)(TOP + i * one), rows, end);
	fputs("</svg>\n", f);
}
