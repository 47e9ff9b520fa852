/* Byte buffers and character encodings of the iCalendar reader and writer. */
#include "calendar/ical.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

void ical_buffer_open(ical_buffer *b, lua_State *L, size_t capacity)
{
	b->L = L;
	b->data = lua_newuserdatauv(L, capacity, 0);
	b->length = 0;
	b->capacity = capacity;
	b->slot = lua_gettop(L);
}

void ical_buffer_reserve(ical_buffer *b, size_t more)
{
	size_t capacity = b->capacity;
	char *data;

	if (b->capacity - b->length >= more)
		return;
	while (capacity - b->length < more) {
		if (capacity > SIZE_MAX / 2)
			luaL_error(b->L, "iCalendar text too large");
		capacity = capacity < 32 ? 64 : capacity * 2;
	}
	data = lua_newuserdatauv(b->L, capacity, 0);
	memcpy(data, b->data, b->length);
	lua_replace(b->L, b->slot);
	b->data = data;
	b->capacity = capacity;
}

void ical_buffer_add(ical_buffer *b, const char *data, size_t length)
{
	if (length == 0)
		return;
	ical_buffer_reserve(b, length);
	memcpy(b->data + b->length, data, length);
	b->length += length;
}

void ical_buffer_byte(ical_buffer *b, char c)
{
	ical_buffer_reserve(b, 1);
	b->data[b->length++] = c;
}

size_t ical_utf8_sequence(const char *s, size_t left)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t length, i;

	if (left == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xC2 || u[0] > 0xF4)
		return 0;
	length = u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
	if (left < length)
		return 0;
	for (i = 1; i < length; i++)
		if ((u[i] & 0xC0) != 0x80)
			return 0;
	if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F) || (u[0] == 0xF0 && u[1] < 0x90) ||
	    (u[0] == 0xF4 && u[1] > 0x8F))
		return 0;
	return length;
}

bool ical_utf8_valid(const char *s, size_t length)
{
	size_t at = 0;

	while (at < length) {
		uint64_t word;

		/* Most calendar text is ASCII: eight bytes at a time while no high bit is set. */
		while (length - at >= sizeof word) {
			memcpy(&word, s + at, sizeof word);
			if (word & UINT64_C(0x8080808080808080))
				break;
			at += sizeof word;
		}
		if (at < length) {
			size_t n = ical_utf8_sequence(s + at, length - at);
			if (n == 0)
				return false;
			at += n;
		}
	}
	return true;
}

static void add_code_point(ical_buffer *out, uint32_t c)
{
	char u[4];
	size_t n;

	if (c < 0x80) {
		u[0] = (char)c;
		n = 1;
	} else if (c < 0x800) {
		u[0] = (char)(0xC0 | (c >> 6));
		u[1] = (char)(0x80 | (c & 0x3F));
		n = 2;
	} else if (c < 0x10000) {
		u[0] = (char)(0xE0 | (c >> 12));
		u[1] = (char)(0x80 | ((c >> 6) & 0x3F));
		u[2] = (char)(0x80 | (c & 0x3F));
		n = 3;
	} else {
		u[0] = (char)(0xF0 | (c >> 18));
		u[1] = (char)(0x80 | ((c >> 12) & 0x3F));
		u[2] = (char)(0x80 | ((c >> 6) & 0x3F));
		u[3] = (char)(0x80 | (c & 0x3F));
		n = 4;
	}
	ical_buffer_add(out, u, n);
}

void ical_utf8_mend(ical_buffer *out, const char *s, size_t length)
{
	/* 0x80 to 0x9F of Windows-1252; the five places it leaves empty keep their Latin-1 meaning. */
	static const uint16_t upper[32] = {
		0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
		0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
		0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
	};
	size_t at = 0;

	while (at < length) {
		size_t n = ical_utf8_sequence(s + at, length - at);

		if (n > 0) {
			ical_buffer_add(out, s + at, n);
			at += n;
		} else {
			unsigned char c = (unsigned char)s[at++];
			add_code_point(out, c < 0xA0 ? upper[c - 0x80] : c);
		}
	}
}

bool ical_utf16_decode(ical_buffer *out, const char *s, size_t length)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t at;
	int high, low;

	if (length < 2)
		return false;
	if (u[0] == 0xFF && u[1] == 0xFE)
		high = 1, low = 0;
	else if (u[0] == 0xFE && u[1] == 0xFF)
		high = 0, low = 1;
	else
		return false;
	for (at = 2; at + 1 < length; at += 2) {
		uint32_t c = (uint32_t)u[at + (size_t)high] << 8 | u[at + (size_t)low];

		if (c >= 0xD800 && c < 0xDC00 && at + 3 < length) {
			uint32_t d = (uint32_t)u[at + 2 + (size_t)high] << 8 | u[at + 2 + (size_t)low];

			if (d >= 0xDC00 && d < 0xE000) {
				c = 0x10000 + ((c - 0xD800) << 10) + (d - 0xDC00);
				at += 2;
			}
		}
		if (c >= 0xD800 && c < 0xE000)
			c = 0xFFFD;
		add_code_point(out, c);
	}
	return true;
}
