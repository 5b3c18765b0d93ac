/* SPDX-License-Identifier: MIT */
/*
 * The fields of a configuration: defaults, parsers and checks, see config.h.
 */
#include "proto/config.h"

#include "base/bytes.h"
#include "proto/fields.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1ull << 20)

static const char *const net_names[] = {
	[VM_NET_USER] = "user",
	[VM_NET_TAP] = "tap",
	[VM_NET_NONE] = "none",
	[VM_NET_MANAGED] = "network",
};
static_assert(ARRAY_SIZE(net_names) == VM_NET_COUNT, "a name for each");

static const char *const chr_names[] = {
	[VM_CHR_STDIO] = "stdio",   [VM_CHR_FILE] = "file", [VM_CHR_PTY] = "pty",
	[VM_CHR_SOCKET] = "socket", [VM_CHR_NONE] = "none", [VM_CHR_RING] = "ring",
};
static_assert(ARRAY_SIZE(chr_names) == VM_CHR_COUNT, "a name for each");

static const char *const model_names[VM_CPU_COUNT] = { "host", "portable" };
static const char *const reboot_names[] = {
	[VM_REBOOT_RESTART] = "restart",
	[VM_REBOOT_EXIT] = "exit",
};
static_assert(ARRAY_SIZE(reboot_names) == VM_REBOOT_COUNT, "a name for each");

static const char *const sandbox_names[] = {
	[VM_SANDBOX_ON] = "on",
	[VM_SANDBOX_LOG] = "log",
	[VM_SANDBOX_OFF] = "off",
};
static_assert(ARRAY_SIZE(sandbox_names) == VM_SANDBOX_COUNT, "a name for each");

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "no memory for the configuration");
}

/* Replace *@at by a copy of the first @len bytes of @value. */
static int store_n(char **at, const char *value, size_t len, struct err *e)
{
	char *copy = strndup(value, len);

	if (!copy)
		return no_memory(e);
	free(*at);
	*at = copy;
	return 0;
}

static int store(char **at, const char *value, struct err *e)
{
	return store_n(at, value, strlen(value), e);
}

static int store_path(char **at, const char *what, const char *value, struct err *e)
{
	if (!*value)
		return err_set(e, -EINVAL, "the %s's path is empty", what);
	if (strlen(value) > VM_PATH_MAX)
		return err_set(e, -EINVAL, "the %s's path is longer than %d bytes", what,
			       VM_PATH_MAX);
	return store(at, value, e);
}

/* The index of the first @len bytes of @value in @names, or -1. */
static int name_index(const char *const *names, size_t n, const char *value, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], value, len))
			return (int)i;
	return -1;
}

/* A decimal or 0x number that fills [@s, @end); false where it is none or does not fit. */
static bool number_parse(const char *s, const char *end, uint64_t *out)
{
	char *stop;

	if (s == end || !isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*out = strtoull(s, &stop, s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10);
	return !errno && stop == end;
}

static int bool_parse(const char *what, const char *value, bool *out, struct err *e)
{
	if (!strcmp(value, "true") || !strcmp(value, "false")) {
		*out = value[0] == 't';
		return 0;
	}
	return err_set(e, -EINVAL, "%s '%s' is neither true nor false", what, value);
}

int vm_name_check(const char *what, const char *value, struct err *e)
{
	size_t len = strlen(value);
	size_t good = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-");

	if (!len || len > VM_NAME_MAX || good != len || value[0] == '-' || value[0] == '.')
		return err_set(e, -EINVAL,
			       "%s '%.80s' is not 1 to %d letters, digits, '.', '_' or '-'", what,
			       value, VM_NAME_MAX);
	return 0;
}

static int store_name(char **at, const char *what, const char *value, struct err *e)
{
	int ret = vm_name_check(what, value, e);

	return ret ? ret : store(at, value, e);
}

static int set_name(struct vm_config *c, const char *value, struct err *e)
{
	return store_name(&c->name, "name", value, e);
}

static int set_engine(struct vm_config *c, const char *value, struct err *e)
{
	const char *comma = strchr(value, ',');
	size_t len = comma ? (size_t)(comma - value) : strlen(value);
	char *options = NULL;
	int ret;

	if (!len || strlen(value) > 255)
		return err_set(e, -EINVAL, "engine '%.80s' is none: use auto, kvm or soft", value);
	if (comma && comma[1]) {
		options = strdup(comma + 1);
		if (!options)
			return no_memory(e);
	}
	ret = store_n(&c->engine, value, len, e);
	if (ret) {
		free(options);
		return ret;
	}
	free(c->engine_options);
	c->engine_options = options;
	return 0;
}

static int set_cpus(struct vm_config *c, const char *value, struct err *e)
{
	uint64_t n;

	if (!number_parse(value, value + strlen(value), &n))
		return err_set(e, -EINVAL, "cpus '%.80s' is not a number", value);
	if (n < 1 || n > VM_CPUS_MAX)
		return err_set(e, -ERANGE, "cpus %s is out of range: 1 to %d", value, VM_CPUS_MAX);
	c->cpus = (unsigned)n;
	return 0;
}

int vm_size_parse(uint64_t *out, const char *what, const char *value, struct err *e)
{
	static const char units[] = "KMGT";
	const char *end = value + strlen(value);
	const char *unit = NULL;
	unsigned shift = 0;
	uint64_t n;

	if (end - value >= 3 && !strcmp(end - 2, "iB"))
		end -= 2;
	else if (end - value >= 2 && (end[-1] == 'B' || end[-1] == 'b') &&
		 !isdigit((unsigned char)end[-2]))
		end -= 1;
	if (end > value)
		unit = memchr(units, toupper((unsigned char)end[-1]), sizeof(units) - 1);
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end--;
	}
	if (!number_parse(value, end, &n))
		return err_set(e, -EINVAL, "%s '%.80s' is not a size: write it like 512M or 4G",
			       what, value);
	if (n > ((uint64_t)INT64_MAX >> shift))
		return err_set(e, -ERANGE, "%s %.80s is too large: more than 8388607T", what,
			       value);
	*out = n << shift;
	return 0;
}

static int set_memory(struct vm_config *c, const char *value, struct err *e)
{
	uint64_t n;
	int ret = vm_size_parse(&n, "memory", value, e);

	if (ret)
		return ret;
	if (n > VM_MEMORY_MAX)
		return err_set(e, -ERANGE, "memory %s is more than the largest machine, 32T",
			       value);
	if (n < VM_MEMORY_MIN)
		return err_set(e, -ERANGE,
			       "memory %s is %llu bytes, less than the smallest machine, 1M: "
			       "write the unit, like 512M",
			       value, (unsigned long long)n);
	if (n % MIB)
		return err_set(e, -ERANGE, "memory %s is not a whole number of MiB", value);
	c->memory = n;
	return 0;
}

static int set_memory_merge(struct vm_config *c, const char *value, struct err *e)
{
	return bool_parse("memory_merge", value, &c->memory_merge, e);
}

static int set_kernel(struct vm_config *c, const char *value, struct err *e)
{
	return store_path(&c->kernel, "kernel", value, e);
}

static int set_initrd(struct vm_config *c, const char *value, struct err *e)
{
	return store_path(&c->initrd, "initrd", value, e);
}

static int set_append(struct vm_config *c, const char *value, struct err *e)
{
	if (strlen(value) > VM_APPEND_MAX)
		return err_set(e, -ERANGE, "the kernel's command line is longer than %d bytes",
			       VM_APPEND_MAX);
	return store(&c->append, value, e);
}

int config_add_disk(struct vm_config *c, const char *path, size_t path_len, bool readonly,
		    const char *serial, struct err *e)
{
	struct vm_disk d = { .readonly = readonly };
	size_t serial_len = strlen(serial);

	if (c->n_disks == VM_DISKS_MAX)
		return err_set(e, -E2BIG, "more than %d disks", VM_DISKS_MAX);
	if (!path_len || path_len > VM_PATH_MAX)
		return err_set(e, -EINVAL, "a disk's path is empty or longer than %d bytes",
			       VM_PATH_MAX);
	if (serial_len > VM_SERIAL_MAX)
		return err_set(e, -EINVAL, "disk serial '%.80s' is longer than %d bytes", serial,
			       VM_SERIAL_MAX);
	memcpy(d.serial, serial, serial_len + 1);
	d.path = strndup(path, path_len);
	if (!d.path)
		return no_memory(e);
	c->disks[c->n_disks++] = d;
	return 0;
}

/*
 * PATH[,readonly][,serial=S]. Suffixes are taken from the end, so that a path may hold commas;
 * what is no known suffix belongs to the path.
 */
static int set_disk(struct vm_config *c, const char *value, struct err *e)
{
	size_t len = strlen(value);
	bool readonly = false;
	char serial[VM_PATH_MAX + 1] = "";

	if (len > VM_PATH_MAX)
		return err_set(e, -EINVAL, "a disk's path is empty or longer than %d bytes",
			       VM_PATH_MAX);
	for (;;) {
		const char *comma = memrchr(value, ',', len);
		size_t n = comma ? len - (size_t)(comma + 1 - value) : 0;

		if (comma && n == 8 && !memcmp(comma + 1, "readonly", 8)) {
			readonly = true;
		} else if (comma && n >= 7 && !memcmp(comma + 1, "serial=", 7)) {
			memcpy(serial, comma + 8, n - 7);
			serial[n - 7] = '\0';
		} else {
			break;
		}
		len = (size_t)(comma - value);
	}
	return config_add_disk(c, value, len, readonly, serial, e);
}

static int set_net(struct vm_config *c, const char *value, struct err *e)
{
	const char *colon = strchr(value, ':');
	size_t len = colon ? (size_t)(colon - value) : strlen(value);
	int kind = name_index(net_names, VM_NET_COUNT, value, len);

	if (kind < 0 || (kind == VM_NET_TAP || kind == VM_NET_MANAGED) != (colon != NULL))
		return err_set(e, -EINVAL,
			       "net '%.80s' is none: use user, tap:NAME, network:NAME or none",
			       value);
	if (kind == VM_NET_MANAGED) {
		int ret = store_name(&c->network, "network", colon + 1, e);

		if (ret)
			return ret;
	}
	if (kind == VM_NET_TAP) {
		size_t n = strlen(colon + 1);
		int ret;

		/* IFNAMSIZ is 16 with its NUL; '/' and spaces the kernel refuses. */
		if (!n || n > 15 || strpbrk(colon + 1, "/ \t\n%"))
			return err_set(e, -EINVAL,
				       "tap name '%.80s' is not 1 to 15 characters "
				       "without '/', '%%' or spaces",
				       colon + 1);
		ret = store(&c->tap, colon + 1, e);
		if (ret)
			return ret;
	}
	c->net = (enum vm_net_kind)kind;
	return 0;
}

static bool address_parse(const char *s, const char *end, uint32_t *out)
{
	uint32_t addr = 0;

	for (int i = 0; i < 4; i++) {
		const char *dot = i < 3 ? memchr(s, '.', (size_t)(end - s)) : end;
		uint64_t n;

		if (!dot || !number_parse(s, dot, &n) || n > 255 || dot - s > 3)
			return false;
		addr = addr << 8 | (uint32_t)n;
		s = dot + 1;
	}
	*out = addr;
	return true;
}

int vm_forward_parse(struct vm_forward *out, const char *value, struct err *e)
{
	struct vm_forward f = { .host_addr = 0x7f000001 };
	const char *slash = strchr(value, '/');
	const char *end = slash ? slash : value + strlen(value);
	const char *second = memrchr(value, ':', (size_t)(end - value));
	const char *first = second ? memrchr(value, ':', (size_t)(second - value)) : NULL;
	const char *host = first ? first + 1 : value;
	uint64_t hp, gp;

	if (!second || !number_parse(host, second, &hp) || !number_parse(second + 1, end, &gp) ||
	    (slash && strcmp(slash, "/udp") != 0 && strcmp(slash, "/tcp") != 0) ||
	    (first && !address_parse(value, first, &f.host_addr)))
		return err_set(e, -EINVAL,
			       "forward '%.80s' is none: write [ADDRESS:]HOSTPORT:GUESTPORT[/udp], "
			       "like 8080:80",
			       value);
	if (hp < 1 || hp > 65535 || gp < 1 || gp > 65535)
		return err_set(e, -ERANGE, "forward '%.80s': ports are 1 to 65535", value);
	f.udp = slash && slash[1] == 'u';
	f.host_port = (uint16_t)hp;
	f.guest_port = (uint16_t)gp;
	*out = f;
	return 0;
}

static int set_forward(struct vm_config *c, const char *value, struct err *e)
{
	int ret;

	if (c->n_forwards == VM_FORWARDS_MAX)
		return err_set(e, -E2BIG, "more than %d forwarded ports", VM_FORWARDS_MAX);
	ret = vm_forward_parse(&c->forwards[c->n_forwards], value, e);
	if (!ret)
		c->n_forwards++;
	return ret;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int set_mac(struct vm_config *c, const char *value, struct err *e)
{
	uint8_t mac[6], any = 0;
	bool ok = strlen(value) == 17;

	for (unsigned i = 0; ok && i < 6; i++) {
		int hi = hex_digit(value[3 * i]), lo = hex_digit(value[3 * i + 1]);

		ok = hi >= 0 && lo >= 0 && (i == 5 || value[3 * i + 2] == ':');
		mac[i] = ok ? (uint8_t)(hi << 4 | lo) : 0;
		any |= mac[i];
	}
	if (!ok)
		return err_set(e, -EINVAL, "mac '%.80s' is none: write it like 52:54:00:12:34:56",
			       value);
	/* IEEE 802, 8.2.2: bit 0 of the first byte marks a group of stations. */
	if ((mac[0] & 1) || !any)
		return err_set(e, -EINVAL,
			       "mac '%s' is no single station's: make its first byte even and not "
			       "all of it zero",
			       value);
	memcpy(c->mac, mac, sizeof(mac));
	c->mac_given = true;
	return 0;
}

static int limit_parse(const char *what, const char *value, uint64_t *out, struct err *e)
{
	uint64_t n;
	int ret = vm_size_parse(&n, what, value, e);

	if (!ret && n > VM_LIMIT_MAX)
		ret = err_set(e, -ERANGE, "%s %s is more than 1024T a second", what, value);
	if (!ret)
		*out = n;
	return ret;
}

static int set_io_limit(struct vm_config *c, const char *value, struct err *e)
{
	return limit_parse("io_limit", value, &c->io_limit, e);
}

static int set_net_limit(struct vm_config *c, const char *value, struct err *e)
{
	return limit_parse("net_limit", value, &c->net_limit, e);
}

static int set_id(struct vm_config *c, const char *value, struct err *e)
{
	if (strlen(value) != 16 || strspn(value, "0123456789abcdef") != 16)
		return err_set(e, -EINVAL, "id '%.80s' is not 16 hexadecimal digits", value);
	return store(&c->id, value, e);
}

/* The standard streams are not to be had. */
static int fd_parse(const char *what, const char *value, int *out, struct err *e)
{
	uint64_t n;

	if (!number_parse(value, value + strlen(value), &n) || n < 3 || n > 1 << 20)
		return err_set(e, -EINVAL, "%s '%.80s' is not a descriptor from 3 on", what, value);
	*out = (int)n;
	return 0;
}

static int chr_parse(struct vm_chr *out, const char *what, const char *value, struct err *e)
{
	const char *colon = strchr(value, ':');
	size_t len = colon ? (size_t)(colon - value) : strlen(value);
	int kind = name_index(chr_names, VM_CHR_RING, value, len);
	bool wants_path = kind == VM_CHR_FILE || kind == VM_CHR_SOCKET;
	int ret = 0;

	if (kind < 0 || wants_path != (colon != NULL))
		return err_set(e, -EINVAL,
			       "%s '%.80s' is none: use stdio, file:PATH, pty, socket:PATH or none",
			       what, value);
	if (wants_path) {
		ret = store_path(&out->path, what, colon + 1, e);
	} else {
		free(out->path);
		out->path = NULL;
	}
	if (!ret)
		out->kind = (enum vm_chr_kind)kind;
	return ret;
}

static int set_serial(struct vm_config *c, const char *value, struct err *e)
{
	return chr_parse(&c->serial, "serial", value, e);
}

static int set_console(struct vm_config *c, const char *value, struct err *e)
{
	return chr_parse(&c->console, "console", value, e);
}

static int set_device(struct vm_config *c, const char *value, struct err *e)
{
	if (c->n_devices == VM_DEVICES_MAX)
		return err_set(e, -E2BIG, "more than %d devices", VM_DEVICES_MAX);
	if (!*value || strlen(value) > 255)
		return err_set(e, -EINVAL, "device '%.80s' is empty or too long", value);
	c->devices[c->n_devices] = strdup(value);
	if (!c->devices[c->n_devices])
		return no_memory(e);
	c->n_devices++;
	return 0;
}

static int set_log(struct vm_config *c, const char *value, struct err *e)
{
	return store_path(&c->log, "log", value, e);
}

static int set_metrics(struct vm_config *c, const char *value, struct err *e)
{
	return store_path(&c->metrics, "metrics file", value, e);
}

static int set_cpu_model(struct vm_config *c, const char *value, struct err *e)
{
	int i = name_index(model_names, VM_CPU_COUNT, value, strlen(value));

	if (i < 0)
		return err_set(e, -EINVAL, "cpu_model '%.80s' is none: use host or portable",
			       value);
	c->cpu_model = (enum vm_cpu_model)i;
	return 0;
}

static int set_on_reboot(struct vm_config *c, const char *value, struct err *e)
{
	int i = name_index(reboot_names, VM_REBOOT_COUNT, value, strlen(value));

	if (i < 0)
		return err_set(e, -EINVAL, "on-reboot '%.80s' is none: use restart or exit", value);
	c->on_reboot = (enum vm_on_reboot)i;
	return 0;
}

static int set_sandbox(struct vm_config *c, const char *value, struct err *e)
{
	int i = name_index(sandbox_names, VM_SANDBOX_COUNT, value, strlen(value));

	if (i < 0)
		return err_set(e, -EINVAL, "sandbox '%.80s' is none: use on, log or off", value);
	c->sandbox = (enum vm_sandbox)i;
	return 0;
}

static int set_start_ns(struct vm_config *c, const char *value, struct err *e)
{
	if (!number_parse(value, value + strlen(value), &c->start_ns))
		return err_set(e, -EINVAL, "start_ns '%.80s' is not a number", value);
	return 0;
}

static int set_paused(struct vm_config *c, const char *value, struct err *e)
{
	return bool_parse("paused", value, &c->paused, e);
}

static int set_dry_run(struct vm_config *c, const char *value, struct err *e)
{
	return bool_parse("dry_run", value, &c->dry_run, e);
}

static int set_forbidden(struct vm_config *c, const char *value, struct err *e)
{
	if (strcmp(value, "loop") != 0 && strcmp(value, "vcpu") != 0)
		return err_set(e, -EINVAL, "thread kind '%.80s' is none: use loop or vcpu", value);
	return store(&c->forbidden, value, e);
}

static json_t *get_str(const char *s)
{
	return s ? json_string(s) : NULL;
}

static json_t *get_name(const struct vm_config *c)
{
	return get_str(c->name);
}

static json_t *get_engine(const struct vm_config *c)
{
	return c->engine_options ? json_sprintf("%s,%s", c->engine, c->engine_options)
				 : json_string(c->engine);
}

static json_t *get_cpus(const struct vm_config *c)
{
	return json_integer((json_int_t)c->cpus);
}

static json_t *get_memory(const struct vm_config *c)
{
	return json_integer((json_int_t)c->memory);
}

static json_t *get_memory_merge(const struct vm_config *c)
{
	return json_boolean(c->memory_merge);
}

static json_t *get_kernel(const struct vm_config *c)
{
	return get_str(c->kernel);
}

static json_t *get_initrd(const struct vm_config *c)
{
	return get_str(c->initrd);
}

static json_t *get_append(const struct vm_config *c)
{
	return get_str(c->append);
}

static json_t *get_disks(const struct vm_config *c)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < c->n_disks; i++) {
		const struct vm_disk *d = &c->disks[i];

		json_array_append_new(a, json_pack("{s:s, s:b, s:s*}", "path", d->path, "readonly",
						   (int)d->readonly, "serial",
						   d->serial[0] ? d->serial : NULL));
	}
	return a;
}

static json_t *get_net(const struct vm_config *c)
{
	if (c->net == VM_NET_TAP)
		return json_sprintf("tap:%s", c->tap);
	if (c->net == VM_NET_MANAGED)
		return json_sprintf("network:%s", c->network);
	return json_string(net_names[c->net]);
}

static json_t *get_mac(const struct vm_config *c)
{
	const uint8_t *m = c->mac;

	return c->mac_given ? json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
					   m[4], m[5])
			    : NULL;
}

static json_t *get_forwards(const struct vm_config *c)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < c->n_forwards; i++) {
		const struct vm_forward *f = &c->forwards[i];
		uint32_t h = f->host_addr;

		json_array_append_new(a, json_sprintf("%u.%u.%u.%u:%u:%u%s", h >> 24, h >> 16 & 255,
						      h >> 8 & 255, h & 255, f->host_port,
						      f->guest_port, f->udp ? "/udp" : ""));
	}
	return a;
}

static json_t *get_chr(const struct vm_chr *c)
{
	return c->path ? json_sprintf("%s:%s", chr_names[c->kind], c->path)
		       : json_string(chr_names[c->kind]);
}

static json_t *get_serial(const struct vm_config *c)
{
	return get_chr(&c->serial);
}

static json_t *get_console(const struct vm_config *c)
{
	return get_chr(&c->console);
}

static json_t *get_devices(const struct vm_config *c)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < c->n_devices; i++)
		json_array_append_new(a, json_string(c->devices[i]));
	return a;
}

static json_t *get_log(const struct vm_config *c)
{
	return get_str(c->log);
}

static json_t *get_metrics(const struct vm_config *c)
{
	return get_str(c->metrics);
}

static json_t *get_cpu_model(const struct vm_config *c)
{
	return json_string(model_names[c->cpu_model]);
}

static json_t *get_on_reboot(const struct vm_config *c)
{
	return json_string(reboot_names[c->on_reboot]);
}

static json_t *get_sandbox(const struct vm_config *c)
{
	return json_string(sandbox_names[c->sandbox]);
}

static json_t *get_io_limit(const struct vm_config *c)
{
	return json_integer((json_int_t)c->io_limit);
}

static json_t *get_net_limit(const struct vm_config *c)
{
	return json_integer((json_int_t)c->net_limit);
}

static json_t *get_start_ns(const struct vm_config *c)
{
	return json_integer((json_int_t)c->start_ns);
}

static json_t *get_id(const struct vm_config *c)
{
	return get_str(c->id);
}

/* The two functions of a field that is a descriptor. */
#define FD_FIELD(name)                                                                             \
	static int set_##name(struct vm_config *c, const char *value, struct err *e)               \
	{                                                                                          \
		return fd_parse(#name, value, &c->name, e);                                        \
	}                                                                                          \
	static json_t *get_##name(const struct vm_config *c)                                       \
	{                                                                                          \
		return c->name < 0 ? NULL : json_integer(c->name);                                 \
	}

FD_FIELD(control_fd)
FD_FIELD(console_fd)
FD_FIELD(log_fd_a)
FD_FIELD(log_fd_b)
FD_FIELD(exit_fd)
FD_FIELD(tap_fd)
FD_FIELD(kernel_fd)
FD_FIELD(initrd_fd)
FD_FIELD(state_fd)
FD_FIELD(memory_fd)

static int set_disk_fd(struct vm_config *c, const char *value, struct err *e)
{
	int ret;

	if (c->n_disk_fds == VM_DISKS_MAX)
		return err_set(e, -E2BIG, "more than %d disk_fds", VM_DISKS_MAX);
	ret = fd_parse("disk_fds", value, &c->disk_fds[c->n_disk_fds], e);
	if (!ret)
		c->n_disk_fds++;
	return ret;
}

static json_t *get_disk_fds(const struct vm_config *c)
{
	json_t *a = c->n_disk_fds ? json_array() : NULL;

	for (unsigned i = 0; i < c->n_disk_fds; i++)
		json_array_append_new(a, json_sprintf("%d", c->disk_fds[i]));
	return a;
}

static json_t *get_paused(const struct vm_config *c)
{
	return json_boolean(c->paused);
}

static json_t *get_dry_run(const struct vm_config *c)
{
	return json_boolean(c->dry_run);
}

static json_t *get_forbidden(const struct vm_config *c)
{
	return get_str(c->forbidden);
}

static const struct config_field fields[] = {
	{ "name", CONFIG_STRING, false, set_name, get_name },
	{ "engine", CONFIG_STRING, false, set_engine, get_engine },
	{ "cpus", CONFIG_NUMBER, false, set_cpus, get_cpus },
	{ "cpu_model", CONFIG_STRING, false, set_cpu_model, get_cpu_model },
	{ "memory", CONFIG_NUMBER, false, set_memory, get_memory },
	{ "memory_merge", CONFIG_BOOL, false, set_memory_merge, get_memory_merge },
	{ "kernel", CONFIG_STRING, false, set_kernel, get_kernel },
	{ "initrd", CONFIG_STRING, false, set_initrd, get_initrd },
	{ "append", CONFIG_STRING, false, set_append, get_append },
	{ "disks", CONFIG_ARRAY, false, set_disk, get_disks },
	{ "net", CONFIG_STRING, false, set_net, get_net },
	{ "mac", CONFIG_STRING, false, set_mac, get_mac },
	{ "forwards", CONFIG_ARRAY, false, set_forward, get_forwards },
	{ "serial", CONFIG_STRING, false, set_serial, get_serial },
	{ "console", CONFIG_STRING, false, set_console, get_console },
	{ "devices", CONFIG_ARRAY, false, set_device, get_devices },
	{ "log", CONFIG_STRING, false, set_log, get_log },
	{ "metrics", CONFIG_STRING, false, set_metrics, get_metrics },
	{ "on_reboot", CONFIG_STRING, false, set_on_reboot, get_on_reboot },
	{ "sandbox", CONFIG_STRING, false, set_sandbox, get_sandbox },
	{ "io_limit", CONFIG_NUMBER, false, set_io_limit, get_io_limit },
	{ "net_limit", CONFIG_NUMBER, false, set_net_limit, get_net_limit },
	{ "id", CONFIG_STRING, true, set_id, get_id },
	{ "control_fd", CONFIG_NUMBER, true, set_control_fd, get_control_fd },
	{ "console_fd", CONFIG_NUMBER, true, set_console_fd, get_console_fd },
	{ "log_fd_a", CONFIG_NUMBER, true, set_log_fd_a, get_log_fd_a },
	{ "log_fd_b", CONFIG_NUMBER, true, set_log_fd_b, get_log_fd_b },
	{ "exit_fd", CONFIG_NUMBER, true, set_exit_fd, get_exit_fd },
	{ "tap_fd", CONFIG_NUMBER, true, set_tap_fd, get_tap_fd },
	{ "kernel_fd", CONFIG_NUMBER, true, set_kernel_fd, get_kernel_fd },
	{ "initrd_fd", CONFIG_NUMBER, true, set_initrd_fd, get_initrd_fd },
	{ "state_fd", CONFIG_NUMBER, true, set_state_fd, get_state_fd },
	{ "memory_fd", CONFIG_NUMBER, true, set_memory_fd, get_memory_fd },
	{ "disk_fds", CONFIG_ARRAY, true, set_disk_fd, get_disk_fds },
	{ "paused", CONFIG_BOOL, true, set_paused, get_paused },
	{ "start_ns", CONFIG_NUMBER, true, set_start_ns, get_start_ns },
	{ "dry_run", CONFIG_BOOL, true, set_dry_run, get_dry_run },
	{ "forbidden", CONFIG_STRING, true, set_forbidden, get_forbidden },
};

const struct config_field *config_fields(size_t *n)
{
	*n = ARRAY_SIZE(fields);
	return fields;
}

const struct config_field *config_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	return NULL;
}

int vm_config_set(struct vm_config *c, const char *field, const char *value, struct err *e)
{
	const struct config_field *f = config_find(field);

	json_t *text;

	if (!f)
		return err_set(e, -EINVAL, "there is no field '%.80s' in a configuration", field);
	/* JSON can carry nothing else; better refused than lost on the way to holm-vmm. */
	text = json_string(value);
	if (!text)
		return err_set(e, -EINVAL, "the value of '%s' is not valid UTF-8", field);
	json_decref(text);
	return f->set(c, value, e);
}

int vm_config_init(struct vm_config *c, struct err *e)
{
	*c = (struct vm_config) {
		.cpus = 1,
		.memory = 512 * MIB,
		.net = VM_NET_USER,
		.serial.kind = VM_CHR_STDIO,
		.console.kind = VM_CHR_NONE,
		.control_fd = -1,
		.console_fd = -1,
		.log_fd_a = -1,
		.log_fd_b = -1,
		.exit_fd = -1,
		.tap_fd = -1,
		.kernel_fd = -1,
		.initrd_fd = -1,
		.state_fd = -1,
		.memory_fd = -1,
	};
	c->name = strdup("vm");
	c->engine = strdup("auto");
	if (!c->name || !c->engine) {
		vm_config_free(c);
		return no_memory(e);
	}
	return 0;
}

void vm_config_free(struct vm_config *c)
{
	free(c->name);
	free(c->engine);
	free(c->engine_options);
	free(c->kernel);
	free(c->initrd);
	free(c->append);
	for (unsigned i = 0; i < c->n_disks; i++)
		free(c->disks[i].path);
	free(c->tap);
	free(c->network);
	free(c->id);
	free(c->serial.path);
	free(c->console.path);
	for (unsigned i = 0; i < c->n_devices; i++)
		free(c->devices[i]);
	free(c->log);
	free(c->metrics);
	free(c->forbidden);
	*c = (struct vm_config) { 0 };
}

unsigned vm_config_fds(const struct vm_config *c, int fds[VM_CONFIG_FDS])
{
	const int all[] = { c->control_fd, c->console_fd, c->log_fd_a,	c->log_fd_b, c->exit_fd,
			    c->tap_fd,	   c->kernel_fd,  c->initrd_fd, c->state_fd, c->memory_fd };
	unsigned n = 0;

	static_assert(ARRAY_SIZE(all) + VM_DISKS_MAX == VM_CONFIG_FDS, "room for all");
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] >= 0)
			fds[n++] = all[i];
	for (unsigned i = 0; i < c->n_disk_fds; i++)
		fds[n++] = c->disk_fds[i];
	return n;
}

static int check_fds(const struct vm_config *c, struct err *e)
{
	int fds[VM_CONFIG_FDS];
	unsigned n = vm_config_fds(c, fds);

	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			if (fds[i] == fds[j])
				return err_set(e, -EINVAL, "descriptor %d is given twice", fds[i]);
	return 0;
}

int vm_config_check(const struct vm_config *c, struct err *e)
{
	int ret;

	if (!c->kernel)
		return err_set(e, -EINVAL, "no kernel to boot: name one with --kernel FILE");
	if (c->console_fd < 0 && c->serial.kind == VM_CHR_STDIO && c->console.kind == VM_CHR_STDIO)
		return err_set(e, -EINVAL,
			       "serial and console cannot both be on stdio: give one of them "
			       "another place, like --serial none");
	if (c->n_forwards && c->net != VM_NET_USER)
		return err_set(e, -EINVAL, "ports are forwarded by --net user only");
	if (c->mac_given && c->net == VM_NET_NONE)
		return err_set(e, -EINVAL, "a mac is of no use without a network");
	if ((c->log_fd_a < 0) != (c->log_fd_b < 0) || (c->log_fd_a >= 0 && c->console_fd < 0))
		return err_set(e, -EINVAL, "log_fd_a and log_fd_b go together, with console_fd");
	if (c->tap_fd >= 0 && c->net != VM_NET_MANAGED)
		return err_set(e, -EINVAL, "tap_fd goes with the net network:NAME");
	if (c->n_disk_fds && c->n_disk_fds != c->n_disks)
		return err_set(e, -EINVAL, "%u disk_fds for %u disks", c->n_disk_fds, c->n_disks);
	if ((c->state_fd < 0) != (c->memory_fd < 0))
		return err_set(e, -EINVAL, "state_fd and memory_fd go together");
	if (c->initrd_fd >= 0 && !c->initrd)
		return err_set(e, -EINVAL, "initrd_fd goes with an initrd");
	ret = check_fds(c, e);
	if (ret)
		return ret;
	for (unsigned i = 0; i < c->n_forwards; i++)
		for (unsigned j = 0; j < i; j++) {
			const struct vm_forward *a = &c->forwards[i], *b = &c->forwards[j];

			if (a->udp == b->udp && a->host_port == b->host_port &&
			    a->host_addr == b->host_addr)
				return err_set(e, -EINVAL, "host port %u is forwarded twice",
					       a->host_port);
		}
	return 0;
}

const char *vm_size_format(char *buf, size_t len, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	unsigned u = 0;
	double v = (double)bytes;

	while (v >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	snprintf(buf, len, "%.4g %s", v, units[u]);
	return buf;
}
