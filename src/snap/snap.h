/* SPDX-License-Identifier: MIT */
/*
 * State as versioned named fields, in memory.
 *
 * Theory of operation: a writer builds a flat buffer of records (kind, name length, name, value
 * length, value). Sections nest and carry a version. A reader finds fields of the current
 * section by name, in any order; a field that is not there is an error only where the caller says
 * so. Never a struct image, never a pointer: an object describes its fields in one const table
 * and calls snap_save_fields()/snap_load_fields().
 *
 * Encoding, all numbers little-endian: u8 kind, u8 name length (1..63), name, u32 value length,
 * value. Kinds: 'u' a number of 1, 2, 4 or 8 bytes, 'b' bytes, '{' section (value: u32 version,
 * then its records).
 *
 * Threads: none of its own; one thread at a time for one object.
 */
#ifndef HOLM_SNAP_SNAP_H
#define HOLM_SNAP_SNAP_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SNAP_NAME_MAX  63
#define SNAP_DEPTH_MAX 8

struct snap_writer {
	uint8_t *buf;
	size_t len, cap;
	size_t open[SNAP_DEPTH_MAX]; /* offset of the length word of each open section */
	unsigned depth;
	int error; /* first failure, -ENOMEM; all later calls are no-ops */
};

struct snap_reader {
	const uint8_t *buf; /* borrowed */
	size_t len;
};

/** What one field of an object is. Arrays of numbers are FIELD_BYTES (little-endian). */
enum snap_kind { SNAP_U8, SNAP_U16, SNAP_U32, SNAP_U64, SNAP_BOOL, SNAP_BYTES, SNAP_KIND_COUNT };

struct snap_field {
	const char *name;
	enum snap_kind kind;
	size_t offset; /* in the object */
	size_t size;   /* bytes there */
	bool optional; /* absent in older versions: keep what the object has */
};

#define SNAP_FIELD(type, kind_, member)                                                            \
	{                                                                                          \
		.name = #member, .kind = (kind_), .offset = offsetof(type, member),                \
		.size = sizeof(((type *)0)->member)                                                \
	}

/** One record, whatever it is. Pointers are into the reader's buffer. */
struct snap_item {
	enum { SNAP_ITEM_NUMBER, SNAP_ITEM_BYTES, SNAP_ITEM_SECTION } kind;
	char name[SNAP_NAME_MAX + 1]; /* what is not printable in it is '?' */
	uint64_t number;
	const uint8_t *bytes;
	size_t len;
	uint32_t version; /* of a section */
	struct snap_reader section;
};

void snap_writer_init(struct snap_writer *w);
void snap_writer_free(struct snap_writer *w);

void snap_put_u64(struct snap_writer *w, const char *name, uint64_t v);
void snap_put_bytes(struct snap_writer *w, const char *name, const void *p, size_t len);
/** snap_begin() - open a section; every one needs its snap_end(). */
void snap_begin(struct snap_writer *w, const char *name, uint32_t version);
void snap_end(struct snap_writer *w);
void snap_save_fields(struct snap_writer *w, const void *obj, const struct snap_field *f, size_t n);

/** snap_writer_done() - 0 or the first error; all sections must be closed. */
int snap_writer_done(const struct snap_writer *w) MUST_CHECK;

/** snap_reader_init() - read @len bytes at @buf; -EBADMSG where the records do not parse. */
int snap_reader_init(struct snap_reader *r, const void *buf, size_t len, struct err *e) MUST_CHECK;

/** snap_get_u64() - 0, -ENOENT (no such field) or -EBADMSG (it is no number). */
int snap_get_u64(const struct snap_reader *r, const char *name, uint64_t *v,
		 struct err *e) MUST_CHECK;

/** snap_get_bytes() - exactly @len bytes into @p; -ENOENT, or -EBADMSG for another length. */
int snap_get_bytes(const struct snap_reader *r, const char *name, void *p, size_t len,
		   struct err *e) MUST_CHECK;

/** snap_find_bytes() - where the bytes are (within the reader's buffer) and how many. */
int snap_find_bytes(const struct snap_reader *r, const char *name, const uint8_t **p, size_t *len,
		    struct err *e) MUST_CHECK;

/**
 * snap_enter() - a reader for the section @name; its version must be 1 to @max_version.
 *
 * Errors: -ENOENT, -EBADMSG, -ENOTSUP (a newer version).
 */
int snap_enter(const struct snap_reader *r, const char *name, uint32_t max_version,
	       struct snap_reader *sub, uint32_t *version, struct err *e) MUST_CHECK;

/**
 * snap_next() - the record at *@at, which is 0 at first and is moved on.
 * Return: false behind the last one, or where it is damaged.
 */
bool snap_next(const struct snap_reader *r, size_t *at, struct snap_item *out);

/**
 * snap_load_fields() - fill an object from its table.
 *
 * On failure the object is untouched: all fields are looked up before the first is stored. The
 * caller checks what the values mean afterwards: a snapshot is outside input.
 */
int snap_load_fields(const struct snap_reader *r, void *obj, const struct snap_field *f, size_t n,
		     struct err *e) MUST_CHECK;

#endif
