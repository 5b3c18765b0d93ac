/* SPDX-License-Identifier: MIT */
/*
 * What the kinds of objects have in common, see noun.h.
 */
#include "cli/noun.h"

#include "base/fd.h"
#include "cli/body.h"
#include "cli/operation.h"
#include "cli/text.h"

#include <errno.h>
#include <string.h>

void noun_url(struct url *u, const struct noun *n, const char *name)
{
	url_init(u, n->base);
	url_add(u, name);
}

int noun_list(struct session *s, const struct url *u, json_t **items, struct err *e)
{
	json_t *answer = NULL;
	int ret = session_call(s, "GET", u, NULL, &answer, e);

	if (ret)
		return ret;
	*items = json_incref(json_object_get(answer, "items"));
	json_decref(answer);
	if (json_is_array(*items))
		return 0;
	json_decref(*items);
	return err_set(e, -EIO, "the manager's answer is no list");
}

/* Reads all options into a query and a body. */
static int parse(struct session *s, struct url *query, json_t *body, struct err *e)
{
	const struct cmd_option *opt;
	const char *value;
	int ret;

	while ((ret = session_next(s, &opt, &value, e)) > 0) {
		if (opt->json[0] == '?')
			url_query(query, opt->json + 1, value ? value : "true");
		else
			ret = body_set(body, opt, value, e);
		if (ret < 0)
			return ret;
	}
	return ret;
}

int noun_ls(const struct cmd *self, int argc, char **argv)
{
	const struct noun *n = self->noun;
	struct session s;
	struct err e = { 0 };
	json_t *items = NULL;
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	url_init(&u, n->base);
	ret = parse(&s, &u, NULL, &e);
	if (!ret)
		ret = session_want(&s, 0, 0, &e);
	if (!ret)
		ret = session_open(&s, &e);
	/* A filter may look at any member. */
	if (!ret && s.output.format != OUTPUT_JSON && !s.output.n_filters)
		url_query(&u, "view", n->view);
	if (!ret)
		ret = noun_list(&s, &u, &items, &e);
	if (!ret)
		ret = output_list(&s.output, stdout, items, n->columns, n->n_columns, &e);
	json_decref(items);
	return session_close(&s, ret, &e);
}

static int info_one(struct session *s, const char *name, void *ctx, struct err *e)
{
	const struct noun *n = s->opts.cmd->noun;
	json_t *object = NULL;
	bool *first = ctx;
	struct url u;
	int ret;

	noun_url(&u, n, name);
	ret = session_call(s, "GET", &u, NULL, &object, e);
	if (!ret && !*first && s->output.format == OUTPUT_TABLE)
		putchar('\n');
	if (!ret)
		ret = output_object(&s->output, stdout, object, e);
	*first = false;
	json_decref(object);
	return ret;
}

/* Parses what takes only common options, connects, and does @fn to each name. */
static int each(const struct cmd *self, int argc, char **argv, session_each_fn fn, void *ctx)
{
	struct session s;
	struct err e = { 0 };
	int ret;

	session_init(&s, self, argc, argv);
	ret = session_parse(&s, &e);
	if (!ret)
		ret = session_want(&s, 1, -1, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = session_each(&s, fn, ctx);
	return session_close(&s, ret, &e);
}

int noun_info(const struct cmd *self, int argc, char **argv)
{
	bool first = true;

	return each(self, argc, argv, info_one, &first);
}

static int rm_one(struct session *s, const char *name, void *ctx, struct err *e)
{
	struct url u;

	noun_url(&u, s->opts.cmd->noun, name);
	return operation_call(s, "DELETE", &u, NULL, "removal", name, e);
}

int noun_rm(const struct cmd *self, int argc, char **argv)
{
	return each(self, argc, argv, rm_one, NULL);
}

static int act_one(struct session *s, const char *name, void *ctx, struct err *e)
{
	const struct cmd *c = s->opts.cmd;
	json_t *body = ctx;
	struct url u;

	noun_url(&u, c->noun, name);
	url_add(&u, c->verb);
	return operation_call(s, "POST", &u, json_object_size(body) ? body : NULL, c->verb, name,
			      e);
}

int noun_act(const struct cmd *self, int argc, char **argv)
{
	json_t *body = json_object();
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	url_init(&u, "");
	ret = parse(&s, &u, body, &e);
	if (!ret)
		ret = session_want(&s, 1, -1, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = session_each(&s, act_one, body);
	json_decref(body);
	return session_close(&s, ret, &e);
}

/* A user that is made with a token sees it now and never again. */
static void print_created(const char *name, json_t *answer)
{
	const char *token = json_string_value(json_object_get(answer, "token"));
	MEM_AUTO char *clean = token ? text_clean(token, strlen(token), "") : NULL;

	printf("%s\n", clean ? clean : name);
}

int noun_create(const struct cmd *self, int argc, char **argv)
{
	const struct noun *n = self->noun;
	json_t *body = json_object(), *answer = NULL;
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	url_init(&u, n->base);
	ret = parse(&s, &u, body, &e);
	if (!ret)
		ret = session_want(&s, 1, 1, &e);
	if (!ret)
		ret = body_put(body, "name", json_string(s.names[0]), false, &e);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = session_call(&s, "POST", &u, body, &answer, &e);
	if (!ret)
		ret = operation_wait(&s, answer, "creation", s.names[0], &e);
	if (!ret)
		print_created(s.names[0], answer);
	json_decref(answer);
	json_decref(body);
	return session_close(&s, ret, &e);
}

int noun_change(struct session *s, const struct noun *n, const char *name, json_t *body,
		const char *verb, struct err *e)
{
	struct client_request r = { .method = "PATCH", .body = body };
	json_t *old = NULL, *answer = NULL, *etag;
	char match[64] = "";
	struct url u;
	int ret;

	noun_url(&u, n, name);
	ret = session_call(s, "GET", &u, NULL, &old, e);
	if (ret)
		return ret;
	etag = json_object_get(old, "etag");
	if (json_is_integer(etag))
		snprintf(match, sizeof(match), "%lld", (long long)json_integer_value(etag));
	else if (json_is_string(etag))
		snprintf(match, sizeof(match), "%s", json_string_value(etag));
	json_decref(old);
	r.url = &u;
	r.if_match = match[0] ? match : NULL;
	ret = client_call(s->client, &r, &answer, NULL, e);
	if (!ret)
		ret = operation_wait(s, answer, verb, name, e);
	json_decref(answer);
	return ret;
}

int noun_autostart(json_t **body, const char *value, struct err *e)
{
	static const struct cmd_option opt = { .name = "autostart",
					       .json = "autostart",
					       .kind = CMD_JSON_SWITCH };

	*body = json_object();
	return body_set(*body, &opt, value, e);
}

const struct cmd_option *noun_key_value(const struct cmd *c, const char *arg, const char **value,
					struct err *e)
{
	const char *eq = strchr(arg, '=');
	const struct cmd_option *opt;
	char key[64];

	if (!eq || eq == arg || (size_t)(eq - arg) >= sizeof(key)) {
		err_set(e, -EINVAL, "'%.80s' is no KEY=VALUE", arg);
		return NULL;
	}
	memcpy(key, arg, (size_t)(eq - arg));
	key[eq - arg] = '\0';
	for (char *p = key; *p; p++)
		if (*p == '_')
			*p = '-';
	opt = cmd_option_find(c, key, strlen(key));
	if (!opt || !(opt->field || opt->json)) {
		err_set(e, -EINVAL, "there is no '%s' to set; see 'holm help %s'", key, c->name);
		return NULL;
	}
	*value = eq + 1;
	return opt;
}

int noun_set(const struct cmd *self, int argc, char **argv)
{
	json_t *body = json_object();
	struct session s;
	struct err e = { 0 };
	struct url u;
	int ret;

	session_init(&s, self, argc, argv);
	url_init(&u, "");
	ret = parse(&s, &u, body, &e);
	if (!ret)
		ret = session_want(&s, 1, -1, &e);
	for (int i = 1; i < s.n_names && !ret; i++) {
		const char *value;
		const struct cmd_option *opt = noun_key_value(self, s.names[i], &value, &e);

		ret = opt ? body_set(body, opt, value, &e) : e.code;
	}
	if (!ret && !json_object_size(body))
		ret = err_set(&e, -EINVAL, "nothing to set; see 'holm help %s'", self->name);
	if (!ret)
		ret = session_open(&s, &e);
	if (!ret)
		ret = noun_change(&s, self->noun, s.names[0], body, "change", &e);
	json_decref(body);
	return session_close(&s, ret, &e);
}
