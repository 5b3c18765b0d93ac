/* SPDX-License-Identifier: MIT */
/*
 * The protocol between the manager and one VM's process, version 1: encode and decode only.
 *
 * Transport: AF_UNIX, SOCK_SEQPACKET; one JSON object a packet, at most CONTROL_PACKET_MAX bytes.
 *
 *   request  {"id": 7, "do": "balloon", "target": 268435456}
 *   reply    {"id": 7, "ok": {...}}
 *            {"id": 7, "error": {"code": -16, "message": "..."}}
 *   event    {"event": "hello", "version": 1, "vm": ID, "pid": N, "state": "running",
 *             "engine": "soft", "why": "...", "started_ns": N}
 *            {"event": "state", "state": "paused"}
 *            {"event": "end", "end": "poweroff", "code": 0}
 *
 * The VM's process sends hello as soon as it has accepted. Every request gets exactly one reply,
 * in the order of the requests except that pause and resume are answered when the vCPUs stand or
 * run, and save when both files are on the disk. Descriptors come with the packet (unix(7),
 * SCM_RIGHTS). The id of a request that cannot be read is 0. `end` is the last packet.
 *
 * Decoding is strict: an unknown, missing or repeated field and a value of a wrong type or range
 * are refused with a sentence that names it. What a command takes stands in one table (control.c).
 *
 * Threads: none of its own.
 */
#ifndef HOLM_PROTO_CONTROL_H
#define HOLM_PROTO_CONTROL_H

#include "base/compiler.h"
#include "base/err.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_VERSION	    1
#define CONTROL_SAVE_FDS    2
#define CONTROL_PACKET_MAX  65536u
#define CONTROL_FORWARD_MAX 63
#define CONTROL_LIMIT_MAX   (1ull << 50)
#define CONTROL_ID_MAX	    16 /* hexadecimal digits of a VM's id */
#define CONTROL_WORD_MAX    31 /* of an engine's name or an end */

enum control_do {
	CONTROL_PAUSE,
	CONTROL_RESUME,
	CONTROL_SHUTDOWN, /* press the power button */
	CONTROL_RESET,	  /* as the button on the case */
	CONTROL_QUIT,	  /* end the process now */
	CONTROL_STATS,
	CONTROL_BALLOON,   /* target: bytes that the guest shall keep */
	CONTROL_PUBLISH,   /* forward: as --publish of `holm run` */
	CONTROL_UNPUBLISH, /* forward */
	CONTROL_LIMITS,	   /* io, net or both: bytes a second, 0: none */
	CONTROL_SAVE,	   /* with two descriptors: of empty files for state and memory */
	CONTROL_DO_COUNT
};

struct control_request {
	uint64_t id; /* chosen by the sender, 1 to 2^53 */
	enum control_do what;
	uint64_t target;		       /* balloon */
	char forward[CONTROL_FORWARD_MAX + 1]; /* publish, unpublish */
	bool io_given, net_given;	       /* limits: those that are set */
	uint64_t io, net;		       /* at most CONTROL_LIMIT_MAX */
};

enum control_state { CONTROL_RUNNING, CONTROL_PAUSED, CONTROL_ENDING, CONTROL_STATE_COUNT };

struct control_reply {
	uint64_t id;
	int code;		   /* 0 or -errno */
	char message[ERR_MSG_MAX]; /* with code not 0 */
	json_t *ok;		   /* with code 0: an object, never NULL when decoded; owned */
};

enum control_kind { CONTROL_HELLO, CONTROL_STATE, CONTROL_END, CONTROL_KIND_COUNT };

/** Which members count stands behind them. */
struct control_event {
	enum control_kind kind;
	enum control_state state;	   /* hello, state */
	unsigned version;		   /* hello */
	char vm[CONTROL_ID_MAX + 1];	   /* hello; "" for a VM without one */
	int pid;			   /* hello */
	char engine[CONTROL_WORD_MAX + 1]; /* hello: "soft" */
	char why[ERR_MSG_MAX];		   /* hello: why that engine */
	uint64_t started_ns;		   /* hello: wall clock */
	char end[CONTROL_WORD_MAX + 1];	   /* end: "poweroff" */
	int code;			   /* end: exit code of the process */
};

/** What comes from the VM's process. */
struct control_message {
	bool is_event;
	struct control_event event;
	struct control_reply reply;
};

/** control_do_name() - "pause"; control_state_name() - "running". */
const char *control_do_name(enum control_do what);
const char *control_state_name(enum control_state s);

/** The encoders return JSON text without a newline, which the caller frees; NULL: no memory. */
char *control_request_encode(const struct control_request *r);
char *control_reply_encode(const struct control_reply *r);
char *control_event_encode(const struct control_event *ev);

/**
 * control_request_decode() - one packet.
 *
 * On failure @out->id is the request's id where one could be read, else 0; the rest is zero.
 * Errors: -EINVAL, -ERANGE, -E2BIG (larger than a packet), -EOPNOTSUPP (no such command).
 */
int control_request_decode(struct control_request *out, const char *text, size_t len,
			   struct err *e) MUST_CHECK;

/**
 * control_message_decode() - one packet of the VM's process; release it with
 * control_message_free(). *@out is untouched on failure.
 *
 * Errors: -EINVAL, -ERANGE, -E2BIG, -EPROTONOSUPPORT (hello of another version).
 */
int control_message_decode(struct control_message *out, const char *text, size_t len,
			   struct err *e) MUST_CHECK;
void control_message_free(struct control_message *m);

#endif
