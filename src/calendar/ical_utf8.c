/* Characters of calendar text: UTF-8 checked, what is not UTF-8 mended. No Lua. */
#include "calendar/ical_doc.h"

#include <string.h>

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
		while (at < length && !(s[at] & 0x80))
			at++;
		while (at < length && (s[at] & 0x80)) {
			size_t n = ical_utf8_sequence(s + at, length - at);
			if (n == 0)
				return false;
			at += n;
		}
	}
	return true;
}

/* Gives the octets of c in UTF-8, and writes them unless out is NULL. */
static size_t put_code_point(char *out, uint32_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;
	static const uint8_t lead[5] = { 0, 0, 0xC0, 0xE0, 0xF0 };

	if (!out)
		return n;
	for (i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (c & 0x3F));
		c >>= 6;
	}
	out[0] = (char)(lead[n] | c);
	return n;
}

size_t ical_utf8_mend(const char *s, size_t length, char *out)
{
	/* 0x80 to 0x9F of Windows-1252; the five places it leaves empty keep their Latin-1 meaning. */
	static const uint16_t upper[32] = {
		0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
		0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
		0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
	};
	size_t at = 0, written = 0;

	while (at < length) {
		size_t n = ical_utf8_sequence(s + at, length - at);

		if (n > 0) {
			if (out)
				memcpy(out + written, s + at, n);
			at += n;
			written += n;
		} else {
			unsigned char c = (unsigned char)s[at++];
			written += put_code_point(out ? out + written : NULL, c < 0xA0 ? upper[c - 0x80] : c);
		}
	}
	return written;
}

size_t ical_utf16_decode(const char *s, size_t length, char *out)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t at, written = 0;
	int high, low;

	if (length < 2)
		return 0;
	if (u[0] == 0xFF && u[1] == 0xFE)
		high = 1, low = 0;
	else if (u[0] == 0xFE && u[1] == 0xFF)
		high = 0, low = 1;
	else
		return 0;
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
		written += put_code_point(out ? out + written : NULL, c);
	}
	return written;
}
