/* SPDX-License-Identifier: MIT */
/*
 * holm create, and holm run with --detach or --job.
 *
 * Theory of operation: a VM is made by one request and started by another: so a start that fails
 * has a reason (the operation's), and the VM is there to be looked at.
 */
#include "base/clock.h"
#include "cli/body.h"
#include "cli/operation.h"
#include "cli/vm.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define NAME_TRIES 5

/* What the command line says. */
struct request {
	struct session s;
	struct vm_body body;
	bool start, job, has_name;
	char name[VM_NAME_MAX + 1];
};

static int random_name(struct request *r, struct err *e)
{
	unsigned n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return err_set(e, -EIO, "no random numbers for a name: %s", strerror(errno));
	snprintf(r->name, sizeof(r->name), "vm-%08x", n);
	return 0;
}

static int set_name(struct request *r, struct err *e)
{
	bool option = json_object_get(r->body.given, "name");
	int ret = 0;

	if (r->s.n_names && option)
		return err_set(e, -EINVAL, "the VM has two names: '%.80s' and that of --name",
			       r->s.names[0]);
	/* Through the configuration, which checks it. */
	if (r->s.n_names)
		ret = vm_config_set(&r->body.config, "name", r->s.names[0], e);
	r->has_name = r->s.n_names || option;
	if (ret)
		return ret;
	if (!r->has_name)
		return random_name(r, e);
	snprintf(r->name, sizeof(r->name), "%s", r->body.config.name);
	return 0;
}

static int parse(struct request *r, struct err *e)
{
	const struct cmd_option *opt;
	const char *value;
	int ret;

	while ((ret = session_next(&r->s, &opt, &value, e)) > 0) {
		if (!strcmp(opt->name, "start") || !strcmp(opt->name, "detach"))
			r->start = true;
		else if (!strcmp(opt->name, "job"))
			r->job = r->start = true;
		else if (!strcmp(opt->name, "print-config") || !strcmp(opt->name, "dry-run"))
			return err_set(e, -EINVAL,
				       "option '--%s' is for VMs without the manager: leave "
				       "--detach and --job out",
				       opt->name);
		else
			ret = vm_body_option(&r->body, opt, value, e);
		if (ret < 0)
			return ret;
	}
	if (!ret)
		ret = session_want(&r->s, 0, 1, e);
	if (!ret)
		ret = set_name(r, e);
	if (!ret)
		ret = vm_config_check(&r->body.config, e);
	if (!ret && r->job && !json_object_get(r->body.root, "job"))
		ret = err_set(e, -EINVAL, "a job needs its burst: add one like --burst 30s");
	return ret;
}

static int post(struct request *r, json_t *body, struct err *e)
{
	struct url u;
	int ret = -EBUSY;

	url_init(&u, vm_noun.base);
	for (int i = 0; i < NAME_TRIES && ret == -EBUSY; i++) {
		if (i)
			ret = random_name(r, e);
		if (i && ret)
			return ret;
		ret = body_put(body, "name", json_string(r->name), false, e);
		if (!ret)
			ret = operation_call(&r->s, "POST", &u, body, "creation", r->name, e);
		if (r->has_name)
			break;
	}
	return ret;
}

static int create(struct request *r, struct err *e)
{
	bool local;
	json_t *body;
	struct url u;
	int ret = session_open(&r->s, e);

	if (ret)
		return ret;
	local = !strcmp(client_host(r->s.client), "holm");
	body = vm_body_take(&r->body, local, e);
	if (!body)
		return e->code;
	ret = post(r, body, e);
	json_decref(body);
	if (ret || !r->start)
		return ret;
	noun_url(&u, &vm_noun, r->name);
	url_add(&u, "start");
	/* A job may stand in the queue for long; its end is waited for, not its start. */
	r->s.no_wait |= r->job;
	ret = operation_call(&r->s, "POST", &u, NULL, "start", r->name, e);
	if (ret)
		err_prefix(e, "the VM '%s' is made, but does not start", r->name);
	return ret;
}

/* Waits for the job's end and gives its status. */
static int job_end(struct request *r, int *status, struct err *e)
{
	json_t *vm = NULL, *code;
	int ret = vm_wait(&r->s, r->name, "ended", UINT64_MAX, &vm, e);

	if (ret)
		return ret;
	code = output_member(vm, "exit.code");
	if (json_is_integer(code))
		*status = (int)(json_integer_value(code) & 0xff);
	else
		ret = err_set(e, -EIO, "the job '%s' ended without a status", r->name);
	json_decref(vm);
	return ret;
}

static int create_command(const struct cmd *self, int argc, char **argv)
{
	struct request r = { 0 };
	struct err e = { 0 };
	int status = 0, ret;

	session_init(&r.s, self, argc, argv);
	ret = vm_body_init(&r.body, &e);
	if (!ret)
		ret = parse(&r, &e);
	if (!ret)
		ret = create(&r, &e);
	if (!ret && r.job)
		ret = job_end(&r, &status, &e);
	else if (!ret)
		printf("%s\n", r.name);
	vm_body_free(&r.body);
	ret = session_close(&r.s, ret, &e);
	return ret ? ret : status;
}

int cmd_create(const struct cmd *self, int argc, char **argv)
{
	return create_command(self, argc, argv);
}

int vm_run_managed(const struct cmd *self, int argc, char **argv)
{
	return create_command(self, argc, argv);
}
