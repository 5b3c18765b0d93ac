/* SPDX-License-Identifier: MIT */
/*
 * A VM's record, see vm.h.
 */
#include "mgr/core/vm.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char *const restart_names[] = { "no", "on-failure", "always", "unless-stopped" };
static_assert(ARRAY_SIZE(restart_names) == VM_RESTART_COUNT, "a name for each");

void vm_id_make(char id[VM_ID_LEN + 1])
{
	uint64_t v = 0;

	while (getrandom(&v, sizeof(v), 0) != sizeof(v))
		;
	snprintf(id, VM_ID_LEN + 1, "%016" PRIx64, v);
}

static void defaults(struct vm *vm)
{
	vm->life.state = VM_CREATED;
	resources_init(&vm->resources);
}

struct vm *vm_new(void)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	if (vm_config_init(&vm->config, NULL)) {
		free(vm);
		return NULL;
	}
	vm_id_make(vm->id);
	defaults(vm);
	return vm;
}

static void stored_free(struct vm *vm)
{
	free(vm->name);
	free(vm->project);
	free(vm->owner);
	free(vm->rules);
	vm_config_free(&vm->config);
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	stored_free(vm);
	free(vm->text);
	free(vm->brief);
	free(vm);
}

static int wrong_type(const char *name, const char *wanted, struct err *e)
{
	return err_set(e, -EINVAL, "'%s' is not %s", name, wanted);
}

static int take_string(char **out, const char *name, const json_t *v, struct err *e)
{
	char *s;

	if (!json_is_string(v))
		return wrong_type(name, "a string", e);
	s = strdup(json_string_value(v));
	if (!s)
		return err_set(e, -ENOMEM, "no memory for '%s'", name);
	free(*out);
	*out = s;
	return 0;
}

static int take_text(char *buf, size_t len, const char *name, const json_t *v, struct err *e)
{
	if (!json_is_string(v))
		return wrong_type(name, "a string", e);
	snprintf(buf, len, "%s", json_string_value(v));
	return 0;
}

static int take_bool(bool *out, const char *name, const json_t *v, struct err *e)
{
	if (!json_is_boolean(v))
		return wrong_type(name, "true or false", e);
	*out = json_is_true(v);
	return 0;
}

static int take_int(int64_t *out, const char *name, const json_t *v, int64_t min, int64_t max,
		    struct err *e)
{
	if (!json_is_integer(v))
		return wrong_type(name, "a whole number", e);
	if (json_integer_value(v) < min || json_integer_value(v) > max)
		return err_set(e, -ERANGE, "'%s' is not within %" PRId64 " to %" PRId64, name, min,
			       max);
	*out = json_integer_value(v);
	return 0;
}

static int take_choice(unsigned *out, const char *name, const json_t *v, const char *const *names,
		       unsigned n, struct err *e)
{
	char list[96] = "";

	if (json_is_string(v))
		for (unsigned i = 0; i < n; i++)
			if (!strcmp(json_string_value(v), names[i])) {
				*out = i;
				return 0;
			}
	for (unsigned i = 0; i < n; i++) {
		size_t at = strlen(list);

		snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", names[i]);
	}
	return err_set(e, -EINVAL, "'%s' is none of %s", name, list);
}

static int take_time(uint64_t *out, const char *name, const json_t *v, struct err *e)
{
	if (!json_is_string(v) || clock_parse(out, json_string_value(v)))
		return wrong_type(name, "a time in UTC", e);
	return 0;
}

static json_t *time_json(uint64_t ns)
{
	char text[CLOCK_TEXT_LEN];

	return json_string(clock_format(text, ns));
}

/* One pair of functions per field, and the table of them below. */

static int set_id(struct vm *vm, const json_t *v, struct err *e)
{
	if (!json_is_string(v) || json_string_length(v) != VM_ID_LEN)
		return wrong_type("id", "16 hexadecimal digits", e);
	memcpy(vm->id, json_string_value(v), VM_ID_LEN + 1);
	return 0;
}

static json_t *get_id(const struct vm *vm)
{
	return json_string(vm->id);
}

static int set_name(struct vm *vm, const json_t *v, struct err *e)
{
	int ret = json_is_string(v) ? vm_name_check("name", json_string_value(v), e)
				    : wrong_type("name", "a string", e);

	return ret ? ret : take_string(&vm->name, "name", v, e);
}

static json_t *get_name(const struct vm *vm)
{
	return json_string(vm->name);
}

static int set_project(struct vm *vm, const json_t *v, struct err *e)
{
	int ret = json_is_string(v) ? vm_name_check("project", json_string_value(v), e)
				    : wrong_type("project", "a string", e);

	return ret ? ret : take_string(&vm->project, "project", v, e);
}

static json_t *get_project(const struct vm *vm)
{
	return json_string(vm->project);
}

static int set_owner(struct vm *vm, const json_t *v, struct err *e)
{
	return take_string(&vm->owner, "owner", v, e);
}

static json_t *get_owner(const struct vm *vm)
{
	return json_string(vm->owner);
}

static int set_etag(struct vm *vm, const json_t *v, struct err *e)
{
	int64_t n = 0;
	int ret = take_int(&n, "etag", v, 0, INT64_MAX, e);

	vm->etag = (uint64_t)n;
	return ret;
}

static json_t *get_etag(const struct vm *vm)
{
	return json_integer((json_int_t)vm->etag);
}

static int set_state(struct vm *vm, const json_t *v, struct err *e)
{
	if (!json_is_string(v))
		return wrong_type("state", "a string", e);
	return vm_state_parse(&vm->life.state, json_string_value(v), e);
}

static json_t *get_state(const struct vm *vm)
{
	return json_string(vm_state_name(vm->life.state));
}

static int set_reason(struct vm *vm, const json_t *v, struct err *e)
{
	return take_text(vm->life.reason, sizeof(vm->life.reason), "reason", v, e);
}

static json_t *get_reason(const struct vm *vm)
{
	return json_string(vm->life.reason);
}

static int set_created(struct vm *vm, const json_t *v, struct err *e)
{
	return take_time(&vm->created_ns, "created", v, e);
}

static json_t *get_created(const struct vm *vm)
{
	return time_json(vm->created_ns);
}

static json_t *get_config(const struct vm *vm)
{
	MEM_AUTO char *text = vm_config_encode(&vm->config, false);
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;

	/* The VM's own name is the one that counts. */
	json_object_del(o, "name");
	return o;
}

/* The members given take the place of those there; null puts a default back. */
static char *merged_config(const struct vm *vm, const json_t *v)
{
	json_t *all = get_config(vm), *item;
	const char *key;
	char *text;

	json_object_foreach((json_t *)v, key, item)
	{
		if (json_is_null(item))
			json_object_del(all, key);
		else
			json_object_set(all, key, item);
	}
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	return text;
}

static int set_config(struct vm *vm, const json_t *v, struct err *e)
{
	MEM_AUTO char *text = NULL;
	struct vm_config fresh;
	int ret;

	if (!json_is_object(v))
		return wrong_type("config", "an object", e);
	text = merged_config(vm, v);
	if (!text)
		return err_set(e, -ENOMEM, "no memory for the configuration");
	ret = vm_config_init(&fresh, e);
	if (ret)
		return ret;
	ret = vm_config_decode(&fresh, text, strlen(text), "config", false, e);
	if (!ret)
		ret = vm_config_check(&fresh, e);
	if (ret) {
		vm_config_free(&fresh);
		return ret;
	}
	vm_config_free(&vm->config);
	vm->config = fresh;
	return 0;
}

static int set_resources(struct vm *vm, const json_t *v, struct err *e)
{
	return resources_decode(&vm->resources, v, e);
}

static json_t *get_resources(const struct vm *vm)
{
	return resources_encode(&vm->resources);
}

static int set_policy(struct vm *vm, const json_t *v, struct err *e)
{
	if (!json_is_string(v))
		return wrong_type("policy", "a string", e);
	return alloc_policy_parse(&vm->policy, json_string_value(v), e);
}

static json_t *get_policy(const struct vm *vm)
{
	return json_string(alloc_policy_name(vm->policy));
}

static int set_priority(struct vm *vm, const json_t *v, struct err *e)
{
	int64_t n = vm->priority;
	int ret = take_int(&n, "priority", v, -ALLOC_PRIORITY_MAX, ALLOC_PRIORITY_MAX, e);

	vm->priority = (int)n;
	return ret;
}

static json_t *get_priority(const struct vm *vm)
{
	return json_integer(vm->priority);
}

static int set_autostart(struct vm *vm, const json_t *v, struct err *e)
{
	return take_bool(&vm->autostart, "autostart", v, e);
}

static json_t *get_autostart(const struct vm *vm)
{
	return json_boolean(vm->autostart);
}

static int set_restart(struct vm *vm, const json_t *v, struct err *e)
{
	unsigned i = vm->restart;
	int ret = take_choice(&i, "restart", v, restart_names, VM_RESTART_COUNT, e);

	vm->restart = (enum vm_restart)i;
	return ret;
}

static json_t *get_restart(const struct vm *vm)
{
	return json_string(restart_names[vm->restart]);
}

static int set_job(struct vm *vm, const json_t *v, struct err *e)
{
	const char *key;
	json_t *item;
	int64_t n = 0;

	if (json_is_null(v)) {
		vm->burst_ms = 0;
		return 0;
	}
	if (!json_is_object(v))
		return wrong_type("job", "an object or null", e);
	json_object_foreach((json_t *)v, key, item)
	{
		int ret;

		if (strcmp(key, "burst_ms") != 0)
			return err_set(e, -EINVAL, "job: unknown field '%.80s'", key);
		ret = take_int(&n, "burst_ms", item, 1, INT64_MAX / 1000000, e);
		if (ret)
			return ret;
	}
	if (!n)
		return err_set(e, -EINVAL, "job: 'burst_ms' is missing: how long the job computes");
	vm->burst_ms = (uint64_t)n;
	return 0;
}

static json_t *get_job(const struct vm *vm)
{
	return vm->burst_ms ? json_pack("{s:I}", "burst_ms", (json_int_t)vm->burst_ms)
			    : json_null();
}

static int take_list(char out[VM_PIN_MAX], const char *name, const json_t *v, struct err *e)
{
	const char *s = json_string_value(v);

	if (!s || strlen(s) >= VM_PIN_MAX || strspn(s, "0123456789,-") != strlen(s))
		return wrong_type(name, "a list of numbers like \"0-3,8\"", e);
	snprintf(out, VM_PIN_MAX, "%s", s);
	return 0;
}

static int set_pin(struct vm *vm, const json_t *v, struct err *e)
{
	char cpus[VM_PIN_MAX] = "", nodes[VM_PIN_MAX] = "";
	const char *key;
	json_t *item;
	int ret = 0;

	if (!json_is_object(v) && !json_is_null(v))
		return wrong_type("pin", "an object or null", e);
	json_object_foreach((json_t *)v, key, item)
	{
		if (!strcmp(key, "cpus"))
			ret = take_list(cpus, "pin.cpus", item, e);
		else if (!strcmp(key, "nodes"))
			ret = take_list(nodes, "pin.nodes", item, e);
		else
			ret = err_set(e, -EINVAL, "pin: unknown field '%.80s'", key);
		if (ret)
			return ret;
	}
	memcpy(vm->pin_cpus, cpus, VM_PIN_MAX);
	memcpy(vm->pin_nodes, nodes, VM_PIN_MAX);
	return 0;
}

static json_t *get_pin(const struct vm *vm)
{
	if (!vm->pin_cpus[0] && !vm->pin_nodes[0])
		return json_null();
	return json_pack("{s:s, s:s}", "cpus", vm->pin_cpus, "nodes", vm->pin_nodes);
}

/* Whether they are rules is checked where rules are known, before a record is made. */
static int set_rules(struct vm *vm, const json_t *v, struct err *e)
{
	char *text = NULL;

	if (!json_is_array(v) && !json_is_null(v))
		return wrong_type("rules", "an array or null", e);
	if (json_array_size(v)) {
		text = json_dumps(v, JSON_COMPACT);
		if (!text)
			return err_set(e, -ENOMEM, "no memory for 'rules'");
	}
	free(vm->rules);
	vm->rules = text;
	return 0;
}

static json_t *get_rules(const struct vm *vm)
{
	return vm->rules ? json_loads(vm->rules, 0, NULL) : json_array();
}

static int set_exit(struct vm *vm, const json_t *v, struct err *e)
{
	int64_t code = 0;
	int ret = 0;

	if (json_is_null(v))
		return 0;
	ret = take_text(vm->life.exit.end, sizeof(vm->life.exit.end), "end",
			json_object_get(v, "end"), e);
	if (!ret)
		ret = take_int(&code, "code", json_object_get(v, "code"), INT32_MIN, INT32_MAX, e);
	vm->life.exit.code = (int)code;
	return ret ? ret : take_time(&vm->life.exit.at_ns, "at", json_object_get(v, "at"), e);
}

static json_t *get_exit(const struct vm *vm)
{
	if (!vm->life.exit.end[0])
		return json_null();
	return json_pack("{s:s, s:i, s:o}", "end", vm->life.exit.end, "code", vm->life.exit.code,
			 "at", time_json(vm->life.exit.at_ns));
}

static int set_run(struct vm *vm, const json_t *v, struct err *e)
{
	struct vm_run *r = &vm->life.run;
	int64_t pid = 0, restarts = 0;
	int ret;

	if (json_is_null(v))
		return 0;
	ret = take_int(&pid, "pid", json_object_get(v, "pid"), 0, INT32_MAX, e);
	if (!ret)
		ret = take_text(r->engine, sizeof(r->engine), "engine",
				json_object_get(v, "engine"), e);
	if (!ret)
		ret = take_text(r->why, sizeof(r->why), "why", json_object_get(v, "why"), e);
	if (!ret)
		ret = take_time(&r->started_ns, "started", json_object_get(v, "started"), e);
	if (!ret)
		ret = take_int(&restarts, "restarts", json_object_get(v, "restarts"), 0, INT32_MAX,
			       e);
	r->pid = (pid_t)pid;
	vm->life.restarts = (unsigned)restarts;
	return ret;
}

static json_t *get_run(const struct vm *vm)
{
	const struct vm_run *r = &vm->life.run;

	if (!r->pid)
		return json_null();
	return json_pack("{s:i, s:s, s:s, s:o, s:i}", "pid", (int)r->pid, "engine", r->engine,
			 "why", r->why, "started", time_json(r->started_ns), "restarts",
			 (int)vm->life.restarts);
}

static int set_stop_wanted(struct vm *vm, const json_t *v, struct err *e)
{
	return take_bool(&vm->life.stop_wanted, "stop_wanted", v, e);
}

static json_t *get_stop_wanted(const struct vm *vm)
{
	return json_boolean(vm->life.stop_wanted);
}

static int set_reboot_wanted(struct vm *vm, const json_t *v, struct err *e)
{
	return take_bool(&vm->life.reboot_wanted, "reboot_wanted", v, e);
}

static json_t *get_reboot_wanted(const struct vm *vm)
{
	return json_boolean(vm->life.reboot_wanted);
}

static int set_stop_by(struct vm *vm, const json_t *v, struct err *e)
{
	return json_is_null(v) ? 0 : take_time(&vm->life.stop_by_ns, "stop_by", v, e);
}

static json_t *get_stop_by(const struct vm *vm)
{
	return vm->life.stop_by_ns ? time_json(vm->life.stop_by_ns) : json_null();
}

static const struct {
	const char *name;
	enum vm_from from; /* who may set it: this one and those behind */
	bool create_only;  /* not by a change */
	int (*set)(struct vm *vm, const json_t *v, struct err *e);
	json_t *(*get)(const struct vm *vm);
} fields[] = {
	{ "id", VM_FROM_STORE, false, set_id, get_id },
	{ "name", VM_FROM_CREATE, false, set_name, get_name },
	{ "project", VM_FROM_CREATE, true, set_project, get_project },
	{ "owner", VM_FROM_STORE, false, set_owner, get_owner },
	{ "etag", VM_FROM_STORE, false, set_etag, get_etag },
	{ "state", VM_FROM_STORE, false, set_state, get_state },
	{ "reason", VM_FROM_STORE, false, set_reason, get_reason },
	{ "created", VM_FROM_STORE, false, set_created, get_created },
	{ "config", VM_FROM_CREATE, false, set_config, get_config },
	{ "resources", VM_FROM_CREATE, false, set_resources, get_resources },
	{ "policy", VM_FROM_CREATE, false, set_policy, get_policy },
	{ "priority", VM_FROM_CREATE, false, set_priority, get_priority },
	{ "autostart", VM_FROM_CREATE, false, set_autostart, get_autostart },
	{ "restart", VM_FROM_CREATE, false, set_restart, get_restart },
	{ "job", VM_FROM_CREATE, true, set_job, get_job },
	{ "pin", VM_FROM_CREATE, false, set_pin, get_pin },
	{ "rules", VM_FROM_CREATE, false, set_rules, get_rules },
	{ "run", VM_FROM_STORE, false, set_run, get_run },
	{ "exit", VM_FROM_STORE, false, set_exit, get_exit },
	{ "stop_wanted", VM_FROM_STORE, false, set_stop_wanted, get_stop_wanted },
	{ "reboot_wanted", VM_FROM_STORE, false, set_reboot_wanted, get_reboot_wanted },
	{ "stop_by", VM_FROM_STORE, false, set_stop_by, get_stop_by },
};

int vm_decode(struct vm *vm, const json_t *o, enum vm_from from, struct err *e)
{
	const char *key;
	json_t *v;

	if (!json_is_object(o))
		return err_set(e, -EINVAL, "the VM is not a JSON object");
	json_object_foreach((json_t *)o, key, v)
	{
		size_t i = 0;
		int ret;

		while (i < ARRAY_SIZE(fields) && strcmp(fields[i].name, key) != 0)
			i++;
		if (i == ARRAY_SIZE(fields))
			return err_set(e, -EINVAL, "unknown field '%.80s'", key);
		if (fields[i].from > from || (fields[i].create_only && from == VM_FROM_CHANGE))
			return err_set(e, -EINVAL, "field '%s' cannot be set", key);
		ret = fields[i].set(vm, v, e);
		if (ret)
			return ret;
	}
	return 0;
}

json_t *vm_encode(const struct vm *vm)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (json_object_set_new(o, fields[i].name, fields[i].get(vm))) {
			json_decref(o);
			return NULL;
		}
	return o;
}

char *vm_brief(const struct vm *vm)
{
	json_t *run = vm->life.run.pid ? json_pack("{s:s, s:o}", "engine", vm->life.run.engine,
						   "started", time_json(vm->life.run.started_ns))
				       : json_null();
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:{s:i, s:I}, s:o}", "id", vm->id, "name",
			      vm->name, "project", vm->project, "state",
			      vm_state_name(vm->life.state), "config", "cpus", (int)vm->config.cpus,
			      "memory", (json_int_t)vm->config.memory, "run", run);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

struct vm *vm_copy(const struct vm *vm)
{
	json_t *o = vm_encode(vm);
	struct vm *copy = o ? vm_new() : NULL;

	if (copy && vm_decode(copy, o, VM_FROM_STORE, NULL)) {
		vm_free(copy);
		copy = NULL;
	}
	json_decref(o);
	return copy;
}

void vm_take(struct vm *vm, struct vm *from)
{
	stored_free(vm);
	vm->name = from->name;
	vm->project = from->project;
	vm->owner = from->owner;
	vm->config = from->config;
	vm->resources = from->resources;
	vm->policy = from->policy;
	vm->priority = from->priority;
	vm->autostart = from->autostart;
	vm->restart = from->restart;
	vm->burst_ms = from->burst_ms;
	vm->rules = from->rules;
	memcpy(vm->pin_cpus, from->pin_cpus, VM_PIN_MAX);
	memcpy(vm->pin_nodes, from->pin_nodes, VM_PIN_MAX);
	free(from->text);
	free(from->brief);
	free(from);
}
