/* SPDX-License-Identifier: MIT */
/*
 * Leases and their file, see lease.h.
 */
#include "mgr/net/lease.h"

#include "base/fd.h"
#include "mgr/core/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)

void leases_free(struct leases *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].rules);
	free(t->v);
	*t = (struct leases) { 0 };
}

struct net_lease *leases_find(const struct leases *t, const char *vm)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->v[i].vm, vm) || !strcmp(t->v[i].name, vm))
			return &t->v[i];
	return NULL;
}

struct net_lease *leases_add(struct leases *t)
{
	struct net_lease *v = reallocarray(t->v, t->n + 1, sizeof(*v));

	if (!v)
		return NULL;
	t->v = v;
	v += t->n++;
	*v = (struct net_lease) { 0 };
	return v;
}

void leases_remove(struct leases *t, struct net_lease *l)
{
	free(l->rules);
	*l = t->v[--t->n];
}

static int lease_read(struct leases *t, const json_t *o, struct err *e)
{
	static const char *const members[] = { "vm", "name", "mac", "addr", "attached", "rules" };
	static const char what[] = "lease";
	const char *vm = "", *name = "", *mac = "", *addr = "0.0.0.0";
	MEM_AUTO char *rules = json_dumps(json_object_get(o, "rules"), JSON_COMPACT);
	struct net_lease *l = leases_add(t);
	int ret;

	if (!l)
		return err_set(e, -ENOMEM, "no memory for leases");
	ret = record_known(o, members, ARRAY_SIZE(members), what, e);
	if (!ret)
		ret = record_string(o, "vm", &vm, what, e);
	if (!ret)
		ret = record_string(o, "name", &name, what, e);
	if (!ret)
		ret = record_string(o, "mac", &mac, what, e);
	if (!ret)
		ret = record_string(o, "addr", &addr, what, e);
	if (!ret)
		ret = record_bool(o, "attached", &l->attached, what, e);
	if (!ret)
		ret = vm_name_check("lease's name", name, e);
	if (!ret)
		ret = net_mac_parse(l->mac, mac, e);
	if (!ret && rules)
		ret = net_rules_decode(&l->rules, &l->n_rules, rules, strlen(rules), e);
	if (ret)
		return ret;
	if (!net_id_ok(vm) || !net_ip_parse(addr, &l->addr))
		return err_set(e, -EINVAL, "lease of '%.40s' at '%.40s' is damaged", vm, addr);
	snprintf(l->vm, sizeof(l->vm), "%s", vm);
	snprintf(l->name, sizeof(l->name), "%s", name);
	return 0;
}

static int leases_read(struct leases *t, const char *json, size_t len, struct err *e)
{
	JSON_AUTO *o = NULL;
	const json_t *a;
	int ret = record_parse(&o, json, len, "the file", e);

	if (ret)
		return ret;
	a = json_object_get(o, "leases");
	if (!json_is_array(a))
		return err_set(e, -EINVAL, "it has no leases");
	for (size_t i = 0; !ret && i < json_array_size(a); i++)
		ret = lease_read(t, json_array_get(a, i), e);
	return ret;
}

int leases_load(struct leases *t, int dirfd, const char *file, struct err *e)
{
	FD_AUTO fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct leases fresh = { 0 };
	MEM_AUTO char *buf = NULL;
	struct stat st;
	ssize_t n;
	int ret;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot open leases %s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return err_set(e, -EINVAL, "leases %s are no file of ours", file);
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return err_set(e, -ENOMEM, "no memory for leases %s", file);
	n = fd_read_full(fd, buf, (size_t)st.st_size);
	if (n < 0)
		return err_set(e, (int)n, "cannot read leases %s: %s", file, strerror((int)-n));
	ret = leases_read(&fresh, buf, (size_t)n, e);
	if (ret) {
		leases_free(&fresh);
		err_prefix(e, "leases %s", file);
		return ret;
	}
	leases_free(t);
	*t = fresh;
	return 0;
}

static json_t *lease_write(const struct net_lease *l)
{
	char mac[NET_MAC_TEXT], ip[NET_IP_TEXT];
	MEM_AUTO char *rules = net_rules_encode(l->rules, l->n_rules);

	if (!rules)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:o}", "vm", l->vm, "name", l->name, "mac",
			 net_mac_format(mac, l->mac), "addr", net_ip_format(ip, l->addr),
			 "attached", (int)l->attached, "rules",
			 json_loads(rules, JSON_REJECT_DUPLICATES, NULL));
}

int leases_save(const struct leases *t, int dirfd, const char *file, struct err *e)
{
	JSON_AUTO *o = json_object();
	MEM_AUTO char *text = NULL;
	json_t *a = json_array();
	bool good = a != NULL;
	int ret;

	for (size_t i = 0; good && i < t->n; i++)
		good = json_array_append_new(a, lease_write(&t->v[i])) == 0;
	good = json_object_set_new(o, "leases", a) == 0 && good;
	if (good)
		text = json_dumps(o, JSON_INDENT(1));
	if (!text)
		return err_set(e, -ENOMEM, "no memory to write leases %s", file);
	ret = net_file_replace(dirfd, file, text, strlen(text), 0600, true, e);
	if (ret)
		err_prefix(e, "leases");
	return ret;
}

int net_file_replace(int dirfd, const char *file, const char *text, size_t len, unsigned mode,
		     bool sync, struct err *e)
{
	char tmp[256];
	FD_AUTO fd = -1;
	int ret;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", file) >= (int)sizeof(tmp))
		return err_set(e, -ENAMETOOLONG, "file name %.40s... is too long", file);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_set(e, -errno, "cannot make %s: %s", tmp, strerror(errno));
	ret = fd_write_full(fd, text, len);
	/* The umask must not hide what dnsmasq has to read. */
	if (!ret && fchmod(fd, mode) < 0)
		ret = -errno;
	if (!ret && sync && fsync(fd) < 0)
		ret = -errno;
	if (!ret && renameat(dirfd, tmp, dirfd, file) < 0)
		ret = -errno;
	if (ret)
		unlinkat(dirfd, tmp, 0);
	else if (sync && fsync(dirfd) < 0)
		ret = -errno;
	return ret ? err_set(e, ret, "cannot write %s: %s", file, strerror(-ret)) : 0;
}
