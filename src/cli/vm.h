/* SPDX-License-Identifier: MIT */
/*
 * VMs of the manager's: what the commands for them share.
 */
#ifndef HOLM_CLI_VM_H
#define HOLM_CLI_VM_H

#include "cli/noun.h"
#include "proto/config.h"

extern const struct noun vm_noun;

/** A request's body from the options of a VM. */
struct vm_body {
	struct vm_config config;
	json_t *given; /* members of the configuration that were given */
	json_t *root;  /* what is not the configuration */
};

int vm_body_init(struct vm_body *b, struct err *e) MUST_CHECK;
void vm_body_free(struct vm_body *b);
/** vm_body_option() - one option of the configuration, of the request, or --config. */
int vm_body_option(struct vm_body *b, const struct cmd_option *opt, const char *value,
		   struct err *e) MUST_CHECK;
/**
 * vm_body_take() - the body: only what was given.
 * @local: the manager is on this host: paths become absolute, as its working directory is
 *         another one
 *
 * A name of the configuration is the VM's. Return: a new reference, or NULL with a sentence.
 */
json_t *vm_body_take(struct vm_body *b, bool local, struct err *e);

/** vm_run_managed() - holm run --detach and --job; contract as struct cmd's run. */
int vm_run_managed(const struct cmd *self, int argc, char **argv);

/**
 * vm_wait() - until a VM is in @state.
 * @end_ns: on the monotonic clock, UINT64_MAX: none
 * @out:    receives the VM; may be NULL
 *
 * Errors: -ETIMEDOUT, those of the request.
 */
int vm_wait(struct session *s, const char *name, const char *state, uint64_t end_ns, json_t **out,
	    struct err *e) MUST_CHECK;

int cmd_create(const struct cmd *self, int argc, char **argv);
int cmd_shutdown(const struct cmd *self, int argc, char **argv);
int cmd_rm(const struct cmd *self, int argc, char **argv);
int cmd_rename(const struct cmd *self, int argc, char **argv);
int cmd_set(const struct cmd *self, int argc, char **argv);
int cmd_autostart(const struct cmd *self, int argc, char **argv);
int cmd_wait(const struct cmd *self, int argc, char **argv);
int cmd_console(const struct cmd *self, int argc, char **argv);
int cmd_logs(const struct cmd *self, int argc, char **argv);
int cmd_stats(const struct cmd *self, int argc, char **argv);
int cmd_top(const struct cmd *self, int argc, char **argv);
int cmd_events(const struct cmd *self, int argc, char **argv);

#endif
