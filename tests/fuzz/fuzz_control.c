/* SPDX-License-Identifier: MIT */
/*
 * Packets of the protocol between the manager and a VM's process, in both directions: nothing
 * crashes or leaks, and what is accepted comes back the same when it is written and read again.
 */
#include "base/compiler.h"
#include "base/fd.h"
#include "proto/control.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *message_encode(const struct control_message *m)
{
	return m->is_event ? control_event_encode(&m->event) : control_reply_encode(&m->reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request r;
	struct control_message m;
	struct err e = { 0 };

	if (!control_request_decode(&r, (const char *)data, size, &e)) {
		MEM_AUTO char *one = control_request_encode(&r), *two = NULL;

		BUG_ON(!one || control_request_decode(&r, one, strlen(one), NULL));
		two = control_request_encode(&r);
		BUG_ON(!two || strcmp(one, two) != 0);
	} else {
		BUG_ON(!e.msg[0]);
	}
	if (!control_message_decode(&m, (const char *)data, size, NULL)) {
		MEM_AUTO char *one = message_encode(&m), *two = NULL;

		control_message_free(&m);
		BUG_ON(!one || control_message_decode(&m, one, strlen(one), NULL));
		two = message_encode(&m);
		BUG_ON(!two || strcmp(one, two) != 0);
		control_message_free(&m);
	}
	return 0;
}
