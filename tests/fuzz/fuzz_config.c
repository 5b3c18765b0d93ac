/* SPDX-License-Identifier: MIT */
/*
 * Configurations as JSON and as option strings: nothing crashes, and what is accepted comes back
 * the same when it is written and read again.
 */
#include "base/compiler.h"
#include "base/fd.h"
#include "proto/config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct vm_config *c)
{
	MEM_AUTO char *one = vm_config_encode(c, true), *two = NULL;
	struct vm_config again;

	BUG_ON(!one);
	BUG_ON(vm_config_init(&again, NULL));
	BUG_ON(vm_config_decode(&again, one, strlen(one), "again", true, NULL));
	two = vm_config_encode(&again, true);
	BUG_ON(!two || strcmp(one, two) != 0);
	vm_config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fields[] = { "name",	"engine",  "cpus",    "memory",
					      "append", "disks",   "net",     "forwards",
					      "serial", "console", "devices", "on_reboot" };
	struct vm_config c;
	MEM_AUTO char *text = calloc(1, size + 1);

	BUG_ON(vm_config_init(&c, NULL) || !text);
	if (size)
		memcpy(text, data, size);
	if (!vm_config_decode(&c, (const char *)data, size, "input", true, NULL))
		check_round_trip(&c);
	vm_config_free(&c);
	BUG_ON(vm_config_init(&c, NULL));
	if (size &&
	    !vm_config_set(&c, fields[data[0] % ARRAY_SIZE(fields)], text + (*text != 0), NULL))
		check_round_trip(&c);
	vm_config_free(&c);
	return 0;
}
