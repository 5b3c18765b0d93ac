/* SPDX-License-Identifier: MIT */
/*
 * Handlers of /v1/networks, docs/API.md. The records are kept here; netmgr (mgr/net) makes them
 * so on the host.
 */
#include "mgr/api/handlers.h"

#include "base/fd.h"
#include "mgr/api/ctx.h"
#include "mgr/api/reply.h"
#include "mgr/net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether this holmd has networks at all; else the request is answered. */
static bool there(struct api_ctx *ctx, struct api_request *r)
{
	if (ctx->net)
		return true;
	api_fail(r, API_NO_RESOURCE, "%s", ctx->net_why);
	return false;
}

static int info_of(struct api_ctx *ctx, const char *name, struct net_info *i, struct err *e)
{
	return netmgr_info(ctx->net, name, i, e);
}

static json_t *encode(const struct net_info *i)
{
	MEM_AUTO char *text = network_encode(i->net);
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;

	json_object_set_new(o, "state", json_string(i->active ? "active" : "inactive"));
	json_object_set_new(o, "attached", json_integer((json_int_t)i->attached));
	json_object_set_new(o, "leases", json_integer(i->leases ? (json_int_t)i->leases->n : 0));
	return o;
}

static void reply(struct api_ctx *ctx, struct api_request *r, unsigned status, const char *name)
{
	struct net_info i;
	struct err e = { 0 };

	if (info_of(ctx, name, &i, &e))
		api_fail_err(r, &e);
	else
		api_reply_json(r, status, encode(&i));
}

static int add(void *ctx, const struct net_info *i)
{
	json_array_append_new(ctx, encode(i));
	return 0;
}

void h_networks_list(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	json_t *items = json_array();

	if (ctx->net)
		netmgr_each(ctx->net, add, items);
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

/* @n NULL: the record goes. */
static int store(struct api_ctx *ctx, const char *what, const char *id, const char *name,
		 const struct network *n, struct err *e)
{
	MEM_AUTO char *body = n ? network_encode(n) : NULL;
	struct store_change c = {
		.kind = "network", .id = id, .name = n ? name : NULL, .body = body
	};
	char target[TARGET_MAX];
	struct audit_entry a;

	if (n && !body)
		return err_set(e, -ENOMEM, "no memory for the network's record");
	target_write(target, "network", name);
	a = mgr_entry(ctx->mgr, &ctx->by, what, target);
	return ctx->store->ops->apply(ctx->store, &c, 1, &a, e);
}

static void tell(struct api_ctx *ctx, const char *type, const char *id, const char *name)
{
	char target[TARGET_MAX];

	target_write(target, "network", name);
	event_tell(&ctx->mgr->events, type, id, target, "", NULL);
}

void h_networks_create(struct api_ctx *ctx, struct api_request *r, const char *const arg[] UNUSED)
{
	struct network n;
	struct err e = { 0 };
	int ret;

	if (!there(ctx, r))
		return;
	network_init(&n);
	vm_id_make(n.id);
	ret = network_decode(&n, r->body ? r->body : "", r->body_len, false, &e);
	if (!ret)
		ret = network_check(&n, &e);
	if (!ret)
		ret = netmgr_define(ctx->net, &n, true, &e);
	if (!ret) {
		ret = store(ctx, "network.create", n.id, n.name, &n, &e);
		if (ret && netmgr_remove(ctx->net, n.id, NULL))
			err_prefix(&e, "not stored, but known until holmd starts again");
	}
	if (ret) {
		api_fail_err(r, &e);
	} else {
		tell(ctx, "network.created", n.id, n.name);
		reply(ctx, r, 201, n.id);
	}
	network_free(&n);
}

void h_network_get(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	if (there(ctx, r))
		reply(ctx, r, 200, arg[0]);
}

void h_network_patch(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	struct network before, n;
	struct net_info i;
	struct err e = { 0 };
	int ret;

	if (!there(ctx, r))
		return;
	ret = info_of(ctx, arg[0], &i, &e);
	if (!ret)
		ret = network_copy(&before, i.net, &e);
	if (ret) {
		api_fail_err(r, &e);
		return;
	}
	ret = network_copy(&n, &before, &e);
	if (!ret) {
		ret = network_decode(&n, r->body ? r->body : "", r->body_len, false, &e);
		if (!ret)
			ret = network_check(&n, &e);
		if (!ret)
			ret = netmgr_update(ctx->net, &n, &e);
		if (!ret) {
			ret = store(ctx, "network.set", n.id, n.name, &n, &e);
			if (ret && netmgr_update(ctx->net, &before, NULL))
				err_prefix(&e, "not stored, but so until holmd starts again");
		}
		network_free(&n);
	}
	if (ret)
		api_fail_err(r, &e);
	else
		reply(ctx, r, 200, before.id);
	network_free(&before);
}

void h_network_delete(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	char id[NET_ID_LEN + 1], name[VM_NAME_MAX + 1];
	struct net_info i;
	struct err e = { 0 };
	int ret;

	if (!there(ctx, r))
		return;
	ret = info_of(ctx, arg[0], &i, &e);
	if (!ret) {
		snprintf(id, sizeof(id), "%s", i.net->id);
		snprintf(name, sizeof(name), "%s", i.net->name);
		if (i.active)
			ret = err_set(&e, -EEXIST, "network '%s' runs: stop it first", name);
	}
	if (!ret)
		ret = store(ctx, "network.rm", id, name, NULL, &e);
	if (!ret)
		ret = netmgr_remove(ctx->net, id, &e);
	if (ret) {
		api_fail_err(r, &e);
		return;
	}
	tell(ctx, "network.removed", id, name);
	api_reply_empty(r, 204);
}

void h_network_verb(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	bool start = !strcmp(arg[1], "start");
	char target[TARGET_MAX];
	struct err e = { 0 };
	int ret;

	if (!there(ctx, r))
		return;
	ret = start ? netmgr_start(ctx->net, arg[0], &e) : netmgr_stop(ctx->net, arg[0], &e);
	target_write(target, "network", arg[0]);
	mgr_audit(ctx->mgr, &ctx->by, start ? "network.start" : "network.stop", target,
		  ret ? api_code_name(api_code_of(ret)) : "ok");
	if (ret)
		api_fail_err(r, &e);
	else
		reply(ctx, r, 200, arg[0]);
}

static json_t *encode_lease(const struct net_lease *l)
{
	char mac[NET_MAC_TEXT], addr[INET_ADDRSTRLEN] = "";
	struct in_addr in = { htonl(l->addr) };

	if (l->addr)
		inet_ntop(AF_INET, &in, addr, sizeof(addr));
	return json_pack("{s:s, s:s, s:s, s:s, s:b}", "vm", l->vm, "name", l->name, "mac",
			 net_mac_format(mac, l->mac), "address", addr, "attached", l->attached);
}

void h_network_leases(struct api_ctx *ctx, struct api_request *r, const char *const arg[])
{
	json_t *items;
	struct net_info i;
	struct err e = { 0 };

	if (!there(ctx, r))
		return;
	if (info_of(ctx, arg[0], &i, &e)) {
		api_fail_err(r, &e);
		return;
	}
	items = json_array();
	for (size_t k = 0; i.leases && k < i.leases->n; k++) {
		const struct net_lease *l = &i.leases->v[k];
		const struct vm *vm = mgr_find_id(ctx->mgr, l->vm);

		if (vm && ctx_sees(ctx, vm->project))
			json_array_append_new(items, encode_lease(l));
	}
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}
