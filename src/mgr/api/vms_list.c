/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/vms, docs/API.md.
 *
 * Theory of operation: the records are kept as text, so that a list is one text put together from
 * theirs. A list of 1,000 VMs has most of a megabyte: the transport sends it from where it was
 * made, and whoever asks for all VMs while one such list is on its way, and no record has changed
 * since, is sent the same bytes. Nothing is kept beyond the last of them, so that an idle manager
 * holds no list.
 */
#include "mgr/api/handlers.h"

#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"

#include <stdlib.h>
#include <string.h>

struct vm_list {
	struct api_ctx *ctx;
	unsigned refs; /* replies that send it */
	bool brief;
	uint64_t changes; /* of the manager when it was made */
	size_t len;
	char text[];
};

struct filter {
	const char *project, *name, *state;
	bool deleted; /* deleted ones too, where no state is asked for */
	bool brief;   /* of each only what tables show */
};

static const char *text_of(const struct vm *vm, const struct filter *f)
{
	return f->brief && vm->brief ? vm->brief : vm->text;
}

static bool passes(const struct api_ctx *ctx, const struct vm *vm, const struct filter *f)
{
	if (f->project && strcmp(f->project, vm->project) != 0)
		return false;
	if (f->name && strncmp(vm->name, f->name, strlen(f->name)) != 0)
		return false;
	if (f->state ? strcmp(vm_state_name(vm->life.state), f->state) != 0
		     : vm->life.state == VM_DELETED && !f->deleted)
		return false;
	return ctx_sees(ctx, vm->project);
}

static void release(void *arg)
{
	struct vm_list *l = arg;

	if (--l->refs)
		return;
	if (l->ctx->whole[l->brief] == l)
		l->ctx->whole[l->brief] = NULL;
	free(l);
}

/* What passes @f, as one text; NULL: no memory. */
static struct vm_list *make(struct api_ctx *ctx, const struct filter *f)
{
	static const char head[] = "{\"items\":[", tail[] = "]}\n";
	const struct mgr *m = ctx->mgr;
	size_t *len = calloc(m->n_vms + 1, sizeof(*len)), size = sizeof(head) + sizeof(tail);
	struct vm_list *l;
	char *at;

	for (size_t i = 0; len && i < m->n_vms; i++) {
		len[i] = passes(ctx, m->vms[i], f) ? strlen(text_of(m->vms[i], f)) : 0;
		size += len[i] + 1;
	}
	l = len ? malloc(sizeof(*l) + size) : NULL;
	if (l) {
		*l = (struct vm_list) { .ctx = ctx, .brief = f->brief, .changes = m->changes };
		at = mempcpy(l->text, head, sizeof(head) - 1);
		for (size_t i = 0; i < m->n_vms; i++) {
			if (!len[i])
				continue;
			if (at[-1] != '[')
				*at++ = ',';
			at = mempcpy(at, text_of(m->vms[i], f), len[i]);
		}
		at = mempcpy(at, tail, sizeof(tail) - 1);
		l->len = (size_t)(at - l->text);
	}
	free(len);
	return l;
}

void h_vms_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	struct filter f = { r->query(r, "project"), r->query(r, "name"), r->query(r, "state"),
			    r->query(r, "deleted") != NULL, false };
	const char *view;
	bool whole = !f.project && !f.name && !f.state && !f.deleted && ctx_sees(ctx, "*");
	struct api_reply a = { .status = 200, .release = release };
	struct vm_list *l;

	view = r->query(r, "view");
	if (view && strcmp(view, "brief") != 0 && strcmp(view, "full") != 0) {
		api_fail(r, API_BAD_REQUEST, "view '%.40s' is none: use full or brief", view);
		return;
	}
	f.brief = view && !strcmp(view, "brief");
	l = whole ? ctx->whole[f.brief] : NULL;
	if (!l || l->changes != ctx->mgr->changes)
		l = make(ctx, &f);
	if (!l) {
		api_fail(r, API_NO_RESOURCE, "no memory for the list");
		return;
	}
	if (whole)
		ctx->whole[f.brief] = l;
	l->refs++;
	a.body = l->text;
	a.len = l->len;
	a.release_ctx = l;
	r->done(r, &a);
}
