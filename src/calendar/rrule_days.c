/* Which days of a year the BY parts of a rule allow. */
#include "calendar/rrule_days.h"

#include "calendar/rrule.h"

#include <string.h>

enum { ALL_MONTHS = 0x1ffe };

/* Day of the year on which each month begins, common and leap years. */
static const int16_t month_start[2][13] = {
	{ 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 },
	{ 0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366 },
};

struct year {
	int length, leap, weekday; /* of January 1st */
	bool before_leap, after_leap;
};

static void put_bits(uint64_t *mask, int at, uint64_t bits)
{
	int word = at >> 6, shift = at & 63;

	mask[word] |= bits << shift;
	if (shift && word + 1 < RRULE_WORDS)
		mask[word + 1] |= bits >> (64 - shift);
}

uint64_t rrule_days_slice(const uint64_t *mask, int at, int n)
{
	int word = at >> 6, shift = at & 63;
	uint64_t bits = mask[word] >> shift;

	if (shift && word + 1 < RRULE_WORDS)
		bits |= mask[word + 1] << (64 - shift);
	return bits & ((UINT64_C(1) << n) - 1);
}

static uint64_t low_bits(int n)
{
	return (UINT64_C(1) << n) - 1;
}

static void all_days(uint64_t *mask, int length)
{
	for (int i = 0; i < 5; i++)
		mask[i] = UINT64_MAX;
	mask[5] = low_bits(length - 320);
}

static void keep(uint64_t *mask, const uint64_t *other)
{
	for (int i = 0; i < RRULE_WORDS; i++)
		mask[i] &= other[i];
}

/* Weekdays repeat every seven bits, and a word of 64 begins one weekday later than the one before it. */
static void put_weekdays(uint64_t *mask, uint32_t days, int first)
{
	for (int i = 0; i < RRULE_WORDS; i++) {
		int turn = (first + i) % 7;
		uint64_t turned = ((days >> turn) | (days << (7 - turn))) & 127;

		mask[i] |= turned * UINT64_C(0x8102040810204081);
	}
}

/* The bits that the nth weekdays have in a stretch of `length` days that begins with weekday `first`, from day `at` of
 * the year on. */
static void put_nth(uint64_t *mask, const struct rrule *r, int at, int length, int first)
{
	for (int w = 0; w < 7; w++) {
		uint64_t nth = r->nth[w], back = r->nth_back[w];
		int low, high;

		if (!nth && !back)
			continue;
		low = (w - first + 7) % 7;
		high = length - 1 - (length - 1 - low) % 7;
		for (; nth; nth &= nth - 1) {
			int day = low + 7 * (__builtin_ctzll(nth) - 1);

			if (day < length)
				put_bits(mask, at + day, 1);
		}
		for (; back; back &= back - 1) {
			int day = high - 7 * (__builtin_ctzll(back) - 1);

			if (day >= 0)
				put_bits(mask, at + day, 1);
		}
	}
}

static void keep_weekdays(uint64_t *mask, const struct rrule *r, const struct year *y)
{
	uint64_t days[RRULE_WORDS] = { 0 };
	uint32_t plain = r->weekdays;
	bool counted =
	    r->has_nth && r->freq >= RRULE_MONTHLY && !(r->freq == RRULE_YEARLY && (r->weeks || r->weeks_back));

	if (r->has_nth && !counted) /* the number means nothing there */
		for (int w = 0; w < 7; w++)
			plain |= (r->nth[w] || r->nth_back[w]) ? 1u << w : 0;
	if (plain)
		put_weekdays(days, plain, y->weekday);
	if (counted && r->freq == RRULE_YEARLY && r->months == 0) {
		put_nth(days, r, 0, y->length, y->weekday);
	} else if (counted) {
		for (uint32_t months = r->months ? r->months : ALL_MONTHS; months; months &= months - 1) {
			int m = __builtin_ctz(months) - 1, at = month_start[y->leap][m];

			put_nth(days, r, at, month_start[y->leap][m + 1] - at, (y->weekday + at) % 7);
		}
	}
	keep(mask, days);
}

static void keep_months(uint64_t *mask, const struct rrule *r, const struct year *y)
{
	uint64_t days[RRULE_WORDS] = { 0 };
	bool by_day = r->monthdays || r->monthdays_back;

	for (uint32_t months = r->months ? r->months : ALL_MONTHS; months; months &= months - 1) {
		int m = __builtin_ctz(months) - 1, at = month_start[y->leap][m];
		int length = month_start[y->leap][m + 1] - at;
		uint64_t bits = low_bits(length);

		if (by_day) {
			uint64_t wanted = r->monthdays >> 1;

			for (uint32_t back = r->monthdays_back; back; back &= back - 1) {
				int day = length - __builtin_ctz(back);

				if (day >= 0)
					wanted |= UINT64_C(1) << day;
			}
			bits &= wanted;
		}
		put_bits(days, at, bits);
	}
	keep(mask, days);
}

static void keep_yeardays(uint64_t *mask, const struct rrule *r, const struct year *y)
{
	uint64_t days[RRULE_WORDS];

	for (int i = 0; i < RRULE_WORDS; i++)
		days[i] = r->yeardays[i] >> 1 | (i + 1 < RRULE_WORDS ? r->yeardays[i + 1] << 63 : 0);
	for (int i = 0; i < RRULE_WORDS; i++)
		for (uint64_t back = r->yeardays_back[i]; back; back &= back - 1) {
			int day = y->length - (i * 64 + __builtin_ctzll(back));

			if (day >= 0)
				put_bits(days, day, 1);
		}
	keep(mask, days);
}

/* The first day of week 1 (that with January 4th), counted from January 1st of its year. */
static int first_week(int weekday, int wkst)
{
	return 3 - (weekday + 3 - wkst + 7) % 7;
}

static void put_weeks(uint64_t *mask, const struct rrule *r, int first, int next, int length)
{
	int count = (next - first) / 7;
	uint64_t weeks = r->weeks;

	for (uint64_t back = r->weeks_back; back; back &= back - 1)
		if (__builtin_ctzll(back) <= count)
			weeks |= UINT64_C(1) << (count + 1 - __builtin_ctzll(back));
	for (; weeks; weeks &= weeks - 1) {
		int week = __builtin_ctzll(weeks);

		for (int i = 0; i < 7 && week <= count; i++) {
			int day = first + (week - 1) * 7 + i;

			if (day >= 0 && day < length)
				put_bits(mask, day, 1);
		}
	}
}

static void keep_weeks(uint64_t *mask, const struct rrule *r, const struct year *y)
{
	uint64_t days[RRULE_WORDS] = { 0 };
	int before = y->before_leap ? 366 : 365;
	int last = first_week((y->weekday + 14 - before % 7) % 7, r->wkst) - before;
	int first = first_week(y->weekday, r->wkst);
	int next = first_week((y->weekday + y->length) % 7, r->wkst) + y->length;

	put_weeks(days, r, last, first, y->length);
	put_weeks(days, r, first, next, y->length);
	/* Of the week-year behind, only its first week can lie in this year; from its end it is its 52nd or 53rd. */
	if (next < y->length) {
		int after = (y->weekday + y->length) % 7;
		int after_length = y->after_leap ? 366 : 365;

		put_weeks(days, r, next, y->length + after_length + first_week((after + after_length) % 7, r->wkst),
			  y->length);
	}
	keep(mask, days);
}

static void make(uint64_t *mask, const struct rrule *r, const struct year *y, uint32_t only)
{
	all_days(mask, y->length);
	if (r->months || r->monthdays || r->monthdays_back)
		keep_months(mask, r, y);
	if (r->has_yeardays)
		keep_yeardays(mask, r, y);
	if (r->weeks || r->weeks_back)
		keep_weeks(mask, r, y);
	if (r->weekdays || r->has_nth)
		keep_weekdays(mask, r, y);
	if (only != 127) {
		uint64_t days[RRULE_WORDS] = { 0 };

		put_weekdays(days, only, y->weekday);
		keep(mask, days);
	}
}

const uint64_t *rrule_days_of(struct rrule_days *d, const struct rrule *rule, int year, int64_t january)
{
	bool leap = civil_leap(year), before = civil_leap(year - 1), after = civil_leap(year + 1);
	int weekday = (int)((january + 4 + INT64_C(7) * 146097) % 7);
	int class = weekday + (leap ? 7 : before ? 14 : after ? 21 : 0);

	if (!(d->made >> class & 1)) {
		struct year y = { leap ? 366 : 365, leap, weekday, before, after };
		uint64_t any = 0;

		make(d->masks[class], rule, &y, d->only);
		for (int i = 0; i < RRULE_WORDS; i++)
			any |= d->masks[class][i];
		d->made |= 1u << class;
		d->some |= any ? 1u << class : 0;
	}
	return d->some >> class & 1 ? d->masks[class] : NULL;
}
