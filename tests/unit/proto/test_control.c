/* SPDX-License-Identifier: MIT */
/*
 * The protocol with the manager: every packet there and back, and what is refused.
 */
#include "base/fd.h"
#include "proto/control.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void requests_round_trip(void **state UNUSED)
{
	for (unsigned i = 0; i < CONTROL_DO_COUNT; i++) {
		struct control_request a = { .id = 1 + i, .what = (enum control_do)i }, b;
		MEM_AUTO char *text = NULL;

		if (a.what == CONTROL_BALLOON)
			a.target = 1ull << 40;
		if (a.what == CONTROL_PUBLISH || a.what == CONTROL_UNPUBLISH)
			memcpy(a.forward, "8080:80", 8);
		if (a.what == CONTROL_LIMITS) {
			a.net_given = true;
			a.net = CONTROL_LIMIT_MAX;
		}
		text = control_request_encode(&a);
		assert_int_equal(control_request_decode(&b, text, strlen(text), NULL), 0);
		assert_int_equal(b.id, a.id);
		assert_int_equal(b.what, a.what);
		assert_int_equal(b.target, a.target);
		assert_string_equal(b.forward, a.forward);
		assert_false(b.io_given);
		assert_int_equal(b.net_given, a.net_given);
		assert_int_equal(b.net, a.net);
	}
}

struct bad {
	const char *text;
	int error;
	const char *word; /* that the sentence must hold */
	uint64_t id;	  /* of a request: what must still be known */
};

static void bad_requests(void **state UNUSED)
{
	static const struct bad cases[] = {
		{ "", -EINVAL, "JSON", 0 },
		{ "[]", -EINVAL, "object", 0 },
		{ "{", -EINVAL, "JSON", 0 },
		{ "{}", -EINVAL, "'id'", 0 },
		{ "{\"id\":0,\"do\":\"stats\"}", -ERANGE, "'id'", 0 },
		{ "{\"id\":-1,\"do\":\"stats\"}", -ERANGE, "'id'", 0 },
		{ "{\"id\":9007199254740993,\"do\":\"stats\"}", -ERANGE, "'id'", 0 },
		{ "{\"id\":\"1\",\"do\":\"stats\"}", -EINVAL, "'id'", 0 },
		{ "{\"id\":1,\"id\":2,\"do\":\"stats\"}", -EINVAL, "JSON", 0 },
		{ "{\"id\":3}", -EINVAL, "'do'", 3 },
		{ "{\"id\":3,\"do\":7}", -EINVAL, "'do'", 3 },
		{ "{\"id\":3,\"do\":\"dance\"}", -EOPNOTSUPP, "dance", 3 },
		{ "{\"id\":3,\"do\":\"stats\",\"deep\":true}", -EINVAL, "'deep'", 3 },
		{ "{\"id\":3,\"do\":\"pause\",\"target\":1}", -EINVAL, "'target'", 3 },
		{ "{\"id\":3,\"do\":\"limits\"}", -EINVAL, "'io'", 3 },
		{ "{\"id\":3,\"do\":\"limits\",\"io\":1,\"net\":-1}", -ERANGE, "'net'", 3 },
		{ "{\"id\":3,\"do\":\"limits\",\"io\":1125899906842625}", -ERANGE, "'io'", 3 },
		{ "{\"id\":3,\"do\":\"pause\",\"io\":1}", -EINVAL, "'io'", 3 },
		{ "{\"id\":3,\"do\":\"balloon\"}", -EINVAL, "'target'", 3 },
		{ "{\"id\":3,\"do\":\"balloon\",\"target\":-1}", -ERANGE, "'target'", 3 },
		{ "{\"id\":3,\"do\":\"balloon\",\"target\":1.5}", -EINVAL, "'target'", 3 },
		{ "{\"id\":3,\"do\":\"publish\"}", -EINVAL, "'forward'", 3 },
		{ "{\"id\":3,\"do\":\"publish\",\"forward\":\"0123456789012345678901234567890123"
		  "456789012345678901234567890123\"}",
		  -ERANGE, "'forward'", 3 },
	};
	MEM_AUTO char *big = calloc(1, CONTROL_PACKET_MAX + 1);
	struct control_request r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { 0 };

		if (control_request_decode(&r, cases[i].text, strlen(cases[i].text), &e) !=
			    cases[i].error ||
		    !strstr(e.msg, cases[i].word) || r.id != cases[i].id)
			fail_msg("%s: %d '%s', id %llu", cases[i].text, e.code, e.msg,
				 (unsigned long long)r.id);
	}
	assert_int_equal(control_request_decode(&r, big, CONTROL_PACKET_MAX + 1, NULL), -E2BIG);
}

static void decode(struct control_message *m, char *text)
{
	struct err e = { 0 };

	assert_non_null(text);
	if (control_message_decode(m, text, strlen(text), &e))
		fail_msg("%s: %s", text, e.msg);
	free(text);
}

static void replies_round_trip(void **state UNUSED)
{
	struct control_reply a = { .id = 5 };
	struct control_message m;

	decode(&m, control_reply_encode(&a));
	assert_false(m.is_event);
	assert_int_equal(m.reply.id, 5);
	assert_int_equal(m.reply.code, 0);
	assert_int_equal(json_object_size(m.reply.ok), 0);
	control_message_free(&m);

	a.ok = json_pack("{s:i}", "x", 7);
	decode(&m, control_reply_encode(&a));
	assert_int_equal(json_integer_value(json_object_get(m.reply.ok, "x")), 7);
	control_message_free(&m);
	json_decref(a.ok);

	a = (struct control_reply) { .id = 0, .code = -EBUSY, .message = "it is paused" };
	decode(&m, control_reply_encode(&a));
	assert_int_equal(m.reply.id, 0);
	assert_int_equal(m.reply.code, -EBUSY);
	assert_string_equal(m.reply.message, "it is paused");
	assert_null(m.reply.ok);
	control_message_free(&m);
}

static void events_round_trip(void **state UNUSED)
{
	struct control_event hello = { .kind = CONTROL_HELLO,
				       .version = CONTROL_VERSION,
				       .vm = "9f0c4f6ad3b21e77",
				       .pid = 4711,
				       .engine = "soft",
				       .why = "asked for",
				       .started_ns = 1795219200000000000ull };
	struct control_event end = { .kind = CONTROL_END, .end = "poweroff", .code = 16 };
	struct control_message m;

	for (unsigned i = 0; i < CONTROL_STATE_COUNT; i++) {
		struct control_event st = { .kind = CONTROL_STATE };

		hello.state = st.state = (enum control_state)i;
		decode(&m, control_event_encode(&hello));
		assert_true(m.is_event);
		assert_int_equal(m.event.kind, CONTROL_HELLO);
		assert_int_equal(m.event.state, i);
		assert_int_equal(m.event.pid, 4711);
		assert_string_equal(m.event.vm, hello.vm);
		assert_string_equal(m.event.engine, "soft");
		assert_string_equal(m.event.why, "asked for");
		assert_int_equal(m.event.started_ns, hello.started_ns);
		control_message_free(&m);
		decode(&m, control_event_encode(&st));
		assert_int_equal(m.event.kind, CONTROL_STATE);
		assert_int_equal(m.event.state, i);
		control_message_free(&m);
	}
	decode(&m, control_event_encode(&end));
	assert_int_equal(m.event.kind, CONTROL_END);
	assert_string_equal(m.event.end, "poweroff");
	assert_int_equal(m.event.code, 16);
	control_message_free(&m);
}

static void bad_messages(void **state UNUSED)
{
	static const struct bad cases[] = {
		{ "[7]", -EINVAL, "object", 0 },
		{ "{\"id\":1}", -EINVAL, "either", 0 },
		{ "{\"id\":1,\"ok\":{},\"error\":{}}", -EINVAL, "either", 0 },
		{ "{\"id\":1,\"ok\":[]}", -EINVAL, "'ok'", 0 },
		{ "{\"id\":1,\"ok\":{},\"more\":1}", -EINVAL, "'more'", 0 },
		{ "{\"id\":1,\"error\":\"no\"}", -EINVAL, "'error'", 0 },
		{ "{\"id\":1,\"error\":{\"code\":0,\"message\":\"\"}}", -ERANGE, "'code'", 0 },
		{ "{\"id\":1,\"error\":{\"code\":-5}}", -EINVAL, "'message'", 0 },
		{ "{\"id\":1,\"error\":{\"code\":-5,\"message\":\"\",\"x\":1}}", -EINVAL, "'x'",
		  0 },
		{ "{\"event\":\"party\"}", -EINVAL, "party", 0 },
		{ "{\"event\":\"state\",\"state\":\"odd\"}", -EINVAL, "odd", 0 },
		{ "{\"event\":\"state\",\"state\":\"paused\",\"id\":1}", -EINVAL, "'id'", 0 },
		{ "{\"event\":\"end\",\"end\":\"quit\",\"code\":256}", -ERANGE, "'code'", 0 },
		{ "{\"event\":\"hello\",\"version\":2}", -EPROTONOSUPPORT, "version 2", 0 },
		{ "{\"event\":\"hello\",\"version\":1,\"vm\":\"0123456789abcdef0\"}", -ERANGE,
		  "'vm'", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct control_message m;
		struct err e = { 0 };

		if (control_message_decode(&m, cases[i].text, strlen(cases[i].text), &e) !=
			    cases[i].error ||
		    !strstr(e.msg, cases[i].word))
			fail_msg("%s: %d '%s'", cases[i].text, e.code, e.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_round_trip), cmocka_unit_test(bad_requests),
		cmocka_unit_test(replies_round_trip),  cmocka_unit_test(events_round_trip),
		cmocka_unit_test(bad_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
