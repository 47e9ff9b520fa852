/* Content lines on their way out. */
#include "calendar/ical_out.h"

#include <stdint.h>
#include <string.h>

bool ical_out_reserve(ical_out *out, size_t more)
{
	size_t capacity = out->capacity;

	if (out->failed)
		return false;
	if (capacity - out->length >= more)
		return true;
	while (capacity - out->length < more) {
		if (capacity > SIZE_MAX / 2) {
			out->failed = true;
			return false;
		}
		capacity = capacity < 64 ? 128 : capacity * 2;
	}
	if (!out->grow(out, capacity))
		out->failed = true;
	return !out->failed;
}

void ical_out_raw(ical_out *out, const char *s, size_t length)
{
	if (length == 0 || !ical_out_reserve(out, length))
		return;
	memcpy(out->data + out->length, s, length);
	out->length += length;
}

static void put_folded(ical_out *out, const char *s, size_t length)
{
	while (length > 0) {
		size_t room = ICAL_FOLD_AT - out->column, n = length;

		if (n > room) {
			n = room;
			while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80)
				n--;
			if (n == 0 && out->column <= 1)
				n = room; /* not UTF-8 at all: cut anywhere rather than nowhere */
		}
		memcpy(out->data + out->length, s, n);
		out->length += n;
		out->column += n;
		s += n;
		length -= n;
		if (length > 0) {
			memcpy(out->data + out->length, "\r\n ", 3);
			out->length += 3;
			out->column = 1;
		}
	}
}

void ical_out_put(ical_out *out, const char *s, size_t length)
{
	/* A fold is three octets, and at least 71 others stand between two, or three where they are not UTF-8. */
	if (length <= ICAL_FOLD_AT - out->column) {
		ical_out_raw(out, s, length);
		out->column += length;
	} else if (ical_out_reserve(out, length + length / 8 + 16)) {
		put_folded(out, s, length);
	}
}

void ical_out_end(ical_out *out)
{
	ical_out_raw(out, "\r\n", 2);
	out->column = 0;
}

void ical_out_value(ical_out *out, const char *s, size_t length)
{
	const char *end = s + length, *newline = memchr(s, '\n', length), *cr = memchr(s, '\r', length);

	while (newline || cr) {
		const char *stop = !cr || (newline && newline < cr) ? newline : cr;

		ical_out_put(out, s, (size_t)(stop - s));
		if (*stop == '\n' || stop + 1 == end || stop[1] != '\n')
			ical_out_put(out, "\\n", 2);
		s = stop + 1;
		if (stop == newline)
			newline = memchr(s, '\n', (size_t)(end - s));
		else
			cr = memchr(s, '\r', (size_t)(end - s));
	}
	ical_out_put(out, s, (size_t)(end - s));
}

void ical_out_parameter(ical_out *out, const char *s, size_t length)
{
	bool quoted = false;
	size_t i, from = 0;

	for (i = 0; i < length; i++)
		if (s[i] == ':' || s[i] == ';' || s[i] == ',')
			quoted = true;
	if (quoted)
		ical_out_put(out, "\"", 1);
	for (i = 0; i < length; i++) {
		const char *code = s[i] == '^'    ? "^^"
				   : s[i] == '"'  ? "^'"
				   : s[i] == '\n' ? "^n"
				   : s[i] == '\r' ? ""
						  : NULL;
		if (!code)
			continue;
		ical_out_put(out, s + from, i - from);
		ical_out_put(out, code, strlen(code));
		from = i + 1;
	}
	ical_out_put(out, s + from, length - from);
	if (quoted)
		ical_out_put(out, "\"", 1);
}
