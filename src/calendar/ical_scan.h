/* Sixty-four octets at a time, as masks of one bit an octet: SSE2, NEON, or eight octets a word. ICAL_SCAN_PORTABLE
   asks for the last; fuzz/ical_doc.c holds it against the others. */
#ifndef LUNATION_CALENDAR_ICAL_SCAN_H
#define LUNATION_CALENDAR_ICAL_SCAN_H

#include <stdint.h>
#include <string.h>

#define ICAL_SCAN 64

#if defined(__SSE2__) && !defined(ICAL_SCAN_PORTABLE)

#include <emmintrin.h>

static inline uint64_t scan_bits(__m128i a, __m128i b, __m128i c, __m128i d)
{
	uint32_t low = (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
	uint32_t high = (uint32_t)_mm_movemask_epi8(c) | (uint32_t)_mm_movemask_epi8(d) << 16;

	return (uint64_t)high << 32 | low;
}

static inline __m128i scan_load(const char *s, int part)
{
	return _mm_loadu_si128((const __m128i *)(const void *)(s + part * 16));
}

/* Octets below the space, and those with the high bit. */
static inline uint64_t scan_uncommon(const char *s)
{
	__m128i space = _mm_set1_epi8(0x20);

	return scan_bits(_mm_cmplt_epi8(scan_load(s, 0), space), _mm_cmplt_epi8(scan_load(s, 1), space),
			 _mm_cmplt_epi8(scan_load(s, 2), space), _mm_cmplt_epi8(scan_load(s, 3), space));
}

static inline uint64_t scan_equal(const char *s, char c)
{
	__m128i v = _mm_set1_epi8(c);

	return scan_bits(_mm_cmpeq_epi8(scan_load(s, 0), v), _mm_cmpeq_epi8(scan_load(s, 1), v),
			 _mm_cmpeq_epi8(scan_load(s, 2), v), _mm_cmpeq_epi8(scan_load(s, 3), v));
}

static inline __m128i scan_name_part(__m128i v)
{
	__m128i letter = _mm_cmpgt_epi8(_mm_add_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8(127 - 'z')),
					_mm_set1_epi8(127 - 26));
	__m128i digit = _mm_cmpgt_epi8(_mm_add_epi8(v, _mm_set1_epi8(127 - '9')), _mm_set1_epi8(127 - 10));

	return _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
}

/* Of the first 32 octets: those that no name has, and those that are lower case, or later in the alphabet. */
static inline uint32_t scan_name(const char *s, uint32_t *lower)
{
	__m128i a = scan_load(s, 0), b = scan_load(s, 1), small = _mm_set1_epi8('a' - 1);

	*lower = (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(a, small)) |
		 (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(b, small)) << 16;
	return ~((uint32_t)_mm_movemask_epi8(scan_name_part(a)) | (uint32_t)_mm_movemask_epi8(scan_name_part(b)) << 16);
}

#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(ICAL_SCAN_PORTABLE)

#include <arm_neon.h>

static inline uint64_t scan_bits(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
	static const uint8_t weights[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
	uint8x16_t w = vld1q_u8(weights);
	uint8x16_t ab = vpaddq_u8(vandq_u8(a, w), vandq_u8(b, w)), cd = vpaddq_u8(vandq_u8(c, w), vandq_u8(d, w));
	uint8x16_t all = vpaddq_u8(ab, cd);

	return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

static inline uint8x16_t scan_load(const char *s, int part)
{
	return vld1q_u8((const uint8_t *)s + part * 16);
}

static inline uint8x16_t scan_uncommon_part(uint8x16_t v)
{
	return vcltq_s8(vreinterpretq_s8_u8(v), vdupq_n_s8(0x20));
}

static inline uint64_t scan_uncommon(const char *s)
{
	return scan_bits(scan_uncommon_part(scan_load(s, 0)), scan_uncommon_part(scan_load(s, 1)),
			 scan_uncommon_part(scan_load(s, 2)), scan_uncommon_part(scan_load(s, 3)));
}

static inline uint64_t scan_equal(const char *s, char c)
{
	uint8x16_t v = vdupq_n_u8((uint8_t)c);

	return scan_bits(vceqq_u8(scan_load(s, 0), v), vceqq_u8(scan_load(s, 1), v), vceqq_u8(scan_load(s, 2), v),
			 vceqq_u8(scan_load(s, 3), v));
}

static inline uint8x16_t scan_name_part(uint8x16_t v)
{
	uint8x16_t letter = vcltq_u8(vsubq_u8(vorrq_u8(v, vdupq_n_u8(0x20)), vdupq_n_u8('a')), vdupq_n_u8(26));
	uint8x16_t digit = vcltq_u8(vsubq_u8(v, vdupq_n_u8('0')), vdupq_n_u8(10));

	return vorrq_u8(vorrq_u8(letter, digit), vceqq_u8(v, vdupq_n_u8('-')));
}

static inline uint32_t scan_name(const char *s, uint32_t *lower)
{
	uint8x16_t a = scan_load(s, 0), b = scan_load(s, 1), none = vdupq_n_u8(0), small = vdupq_n_u8('a');

	*lower = (uint32_t)scan_bits(vcgeq_u8(a, small), vcgeq_u8(b, small), none, none);
	return ~(uint32_t)scan_bits(scan_name_part(a), scan_name_part(b), none, none);
}

#else

/* The high bit of each octet of a word, as the lowest eight bits. */
static inline uint64_t scan_gather(uint64_t high)
{
	uint64_t bits = 0;
	int i;

	for (i = 0; high && i < 8; i++)
		bits |= (high >> (i * 8 + 7) & 1) << i;
	return bits;
}

static inline uint64_t scan_word(const char *s)
{
	uint64_t word = 0;
	int i;

	for (i = 7; i >= 0; i--)
		word = word << 8 | (unsigned char)s[i];
	return word;
}

static inline uint64_t scan_uncommon(const char *s)
{
	uint64_t mask = 0;
	int i;

	for (i = 0; i < 8; i++) {
		uint64_t word = scan_word(s + i * 8), seven = UINT64_C(0x7F7F7F7F7F7F7F7F);
		/* Adding 0x60 sets the high bit of every octet from 0x20 on. */
		uint64_t common = ((word & seven) + UINT64_C(0x6060606060606060)) & ~word;

		mask |= scan_gather(~common & ~seven) << (i * 8);
	}
	return mask;
}

static inline uint64_t scan_equal(const char *s, char c)
{
	uint64_t mask = 0;
	int i;

	for (i = 0; i < ICAL_SCAN; i++)
		mask |= (uint64_t)(s[i] == c) << i;
	return mask;
}

static inline uint32_t scan_name(const char *s, uint32_t *lower)
{
	uint32_t other = 0;
	int i;

	*lower = 0;
	for (i = 0; i < 32; i++) {
		unsigned char c = (unsigned char)s[i];

		*lower |= (uint32_t)(c >= 'a') << i;
		other |= (uint32_t) !((unsigned)(c | 0x20) - 'a' < 26u || (unsigned)c - '0' < 10u || c == '-') << i;
	}
	return other;
}

#endif

static inline unsigned scan_first(uint64_t mask)
{
	return (unsigned)__builtin_ctzll(mask);
}

#endif
