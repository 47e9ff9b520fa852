/* Scanning text eight bytes at a time, and UTF-8 (RFC 3629). */
#ifndef LUNATION_DATA_SCAN_H
#define LUNATION_DATA_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SCAN_ONES UINT64_C(0x0101010101010101)
#define SCAN_HIGH UINT64_C(0x8080808080808080)

/* The high bit of the lowest byte of `w` that is a control character, a quote, a backslash or not ASCII. Bytes above it
 * may be marked wrongly (a borrow), so only the lowest mark counts. */
static inline uint64_t scan_special(uint64_t w)
{
	uint64_t quote = w ^ (SCAN_ONES * '"');
	uint64_t slash = w ^ (SCAN_ONES * '\\');

	return (((w - SCAN_ONES * 0x20) & ~w) | ((quote - SCAN_ONES) & ~quote) | ((slash - SCAN_ONES) & ~slash) | w) &
	       SCAN_HIGH;
}

/* How many plain bytes stand before `end`, at most: where the first byte to look at is. */
static inline const char *scan_plain(const char *p, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	while (end - p >= 8) {
		uint64_t w, mask;

		memcpy(&w, p, 8);
		mask = scan_special(w);
		if (mask != 0)
			return p + (__builtin_ctzll(mask) >> 3);
		p += 8;
	}
#endif
	while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* The length of the UTF-8 sequence at `p` that begins with a byte of 0x80 or more; 0 where it is not a valid one
 * (overlong forms, surrogates and what lies beyond U+10FFFF included). */
static inline size_t scan_utf8(const char *text, const char *end)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t left = (size_t)(end - text);

	if (p[0] < 0xc2)
		return 0;
	if (p[0] < 0xe0)
		return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (p[0] < 0xf0) {
		if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (p[0] > 0xf4 || left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
		return 0;
	if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return 4;
}

#endif
