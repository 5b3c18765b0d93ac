/* SPDX-License-Identifier: MIT */
/*
 * Text from outside for a terminal, and values as people write and read them.
 */
#ifndef HOLM_CLI_TEXT_H
#define HOLM_CLI_TEXT_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * text_next() - one character of UTF-8.
 * @s:   at least one byte; moved behind the character
 * @end: of the text
 *
 * Return: the code point, or U+FFFD for a byte that begins none.
 */
uint32_t text_next(const char **s, const char *end);

/** text_safe() - whether a code point may reach a terminal: no control, no change of direction. */
bool text_safe(uint32_t c);

/**
 * text_clean() - a copy of @len bytes in which each unsafe character is U+FFFD.
 * @keep: ASCII control characters that stay, "\n\t"; or ""
 *
 * Return: NUL-terminated, to be freed; NULL: no memory.
 */
char *text_clean(const char *s, size_t len, const char *keep);

/** text_width() - columns of a terminal that @s takes. */
size_t text_width(const char *s);

/** text_size() - bytes as "1.5G"; text_duration() - seconds as "3d4h", "5m2s". */
const char *text_size(char *buf, size_t len, uint64_t bytes);
const char *text_duration(char *buf, size_t len, uint64_t seconds);

/** text_time() - an RFC 3339 time in UTC as seconds of the epoch; false where it is none. */
bool text_time(const char *s, int64_t *out);

/**
 * text_parse_ms() - a duration: "500ms", "30s", "5m", "2h", "1d"; a bare number is seconds.
 * @what: names the value in sentences, "--timeout"
 *
 * Return: 0, -EINVAL or -ERANGE.
 */
int text_parse_ms(uint64_t *out, const char *what, const char *value, struct err *e) MUST_CHECK;

#endif
