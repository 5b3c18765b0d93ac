/* SPDX-License-Identifier: MIT */
/*
 * Which engine runs the guest: the configured one, or for `auto` the first whose probe says that
 * it is usable and not merely emulated. Which and why is kept for the one log line that says so
 * when the machine stands.
 */
#include "machine/parts.h"
#include "machine/registry.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct cpu_engine_ops *find(const char *name)
{
	for (unsigned i = 0; registry_engines[i]; i++)
		if (!strcmp(registry_engines[i]->name, name))
			return registry_engines[i];
	return NULL;
}

static int choose_named(struct machine *m, const char *name, struct err *e)
{
	const struct cpu_engine_ops *ops = find(name);
	struct cpu_probe p = { 0 };

	if (!ops)
		return err_set(e, -EINVAL, "unknown engine '%.80s': use auto, kvm or soft", name);
	ops->probe(&p);
	if (!p.usable)
		return err_set(e, -ENODEV,
			       "engine %s is not to be had here: %s; --engine auto "
			       "takes one that is",
			       name, p.why);
	m->engine = ops;
	snprintf(m->engine_why, sizeof(m->engine_why), "%s, as asked for%s%s", name,
		 p.emulated ? ", though " : "", p.emulated ? p.why : "");
	return 0;
}

int engine_choose(struct machine *m, struct err *e)
{
	char why[400] = "";

	if (strcmp(m->config->engine, "auto") != 0)
		return choose_named(m, m->config->engine, e);
	for (unsigned i = 0; registry_engines[i]; i++) {
		const struct cpu_engine_ops *ops = registry_engines[i];
		struct cpu_probe p = { 0 };

		ops->probe(&p);
		if (p.usable && !p.emulated) {
			m->engine = ops;
			snprintf(m->engine_why, sizeof(m->engine_why), "%s%s%s", ops->name,
				 why[0] ? ", as " : ": ", why[0] ? why : p.why);
			return 0;
		}
		snprintf(why, sizeof(why), "%s is %s: %s", ops->name,
			 p.usable ? "only emulated" : "not to be had", p.why);
	}
	return err_set(e, -ENODEV, "no engine can run here: %s", why);
}

json_t *machine_probe(void)
{
	json_t *all = json_array();

	for (unsigned i = 0; registry_engines[i]; i++) {
		struct cpu_probe p = { 0 };

		registry_engines[i]->probe(&p);
		json_array_append_new(all, json_pack("{s:s, s:b, s:b, s:f, s:s}", "engine",
						     registry_engines[i]->name, "usable",
						     (int)p.usable, "emulated", (int)p.emulated,
						     "mips", p.mips, "why", p.why));
	}
	return all;
}
