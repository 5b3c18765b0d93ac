/* SPDX-License-Identifier: MIT */
/*
 * Text from outside for a terminal, see text.h.
 */
#include "cli/text.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define REPLACEMENT 0xfffd

uint32_t text_next(const char **s, const char *end)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)*s;
	unsigned more = p[0] < 0x80 ? 0 : p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : 1;
	uint32_t c = p[0];

	(*s)++;
	if (!more)
		return c;
	if (p[0] < 0xc2 || p[0] > 0xf4 || end - *s < (ptrdiff_t)more)
		return REPLACEMENT;
	c &= 0x3fu >> more;
	for (unsigned i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return REPLACEMENT;
	*s += more;
	return c;
}

bool text_safe(uint32_t c)
{
	return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && /* C0, DEL, C1 */
	       !(c >= 0x200e && c <= 0x200f) &&		/* marks of direction */
	       !(c >= 0x2028 && c <= 0x202e) &&		/* line ends, embeddings, overrides */
	       !(c >= 0x2066 && c <= 0x2069) && c != 0x61c && c != 0xfeff; /* isolates */
}

char *text_clean(const char *s, size_t len, const char *keep)
{
	const char *end = s + len;
	char *copy = len < SIZE_MAX / 4 ? malloc(len * 3 + 1) : NULL;
	char *to = copy;

	if (!copy)
		return NULL;
	while (s < end) {
		const char *from = s;
		uint32_t c = text_next(&s, end);

		if (c == REPLACEMENT ||
		    !(text_safe(c) || (c && c < 0x80 && strchr(keep, (int)c)))) {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
		} else {
			memcpy(to, from, (size_t)(s - from));
			to += s - from;
		}
	}
	*to = '\0';
	return copy;
}

static size_t wide_width(const char *s)
{
	/* The locale of the user may not be UTF-8; what we print is. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	locale_t old = utf8 ? uselocale(utf8) : NULL;
	const char *end = s + strlen(s);
	size_t width = 0;

	while (s < end) {
		int n = wcwidth((wchar_t)text_next(&s, end));

		width += n < 0 || !utf8 ? 1 : (size_t)n;
	}
	if (utf8) {
		uselocale(old);
		freelocale(utf8);
	}
	return width;
}

size_t text_width(const char *s)
{
	size_t plain = 0;

	while (s[plain] >= 0x20 && s[plain] < 0x7f)
		plain++;
	return s[plain] ? wide_width(s) : plain;
}

const char *text_size(char *buf, size_t len, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	unsigned u = 0;
	double v = (double)bytes;

	while (v >= 1024 && units[u + 1]) {
		v /= 1024;
		u++;
	}
	snprintf(buf, len, v >= 1000 ? "%.0f%c" : "%.3g%c", v, units[u]);
	return buf;
}

const char *text_duration(char *buf, size_t len, uint64_t seconds)
{
	unsigned long long s = seconds;

	if (s < 60)
		snprintf(buf, len, "%llus", s);
	else if (s < 3600)
		snprintf(buf, len, "%llum%llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, len, "%lluh%llum", s / 3600, s / 60 % 60);
	else
		snprintf(buf, len, "%llud%lluh", s / 86400, s / 3600 % 24);
	return buf;
}

bool text_time(const char *s, int64_t *out)
{
	struct tm tm = { 0 };
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end || (*end != '.' && *end != 'Z'))
		return false;
	*out = timegm(&tm);
	return true;
}

int text_parse_ms(uint64_t *out, const char *what, const char *value, struct err *e)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "ms", 1 },	  { "s", 1000 },	{ "", 1000 },
		      { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", 86400 * 1000 } };
	char *end;
	uint64_t n;

	errno = 0;
	n = *value >= '0' && *value <= '9' ? strtoull(value, &end, 10) : (end = NULL, 0);
	for (size_t i = 0; end && i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		/* Ten years; so no sum of two overflows. */
		if (errno || n > 3650ull * 86400 * 1000 / units[i].ms)
			return err_set(e, -ERANGE, "%s '%.80s' is longer than ten years", what,
				       value);
		*out = n * units[i].ms;
		return 0;
	}
	return err_set(e, -EINVAL, "%s '%.80s' is no duration: write it like 30s, 5m or 2h", what,
		       value);
}
