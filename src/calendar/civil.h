/* Civil time: dates and wall-clock times of the proleptic Gregorian calendar as plain integers, without any zone. A
 * "local second" counts from 1970-01-01T00:00:00 of the wall clock it belongs to, as a Unix instant does for UTC. */
#ifndef LUNATION_CALENDAR_CIVIL_H
#define LUNATION_CALENDAR_CIVIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CIVIL_DAY = 86400, CIVIL_TEXT = 32 };

/* The first second of year 10000, where every set of occurrences ends. */
#define CIVIL_END INT64_C(253402300800)
/* The first second of year 0000. */
#define CIVIL_BEGIN INT64_C(-62167219200)

struct civil {
	int year, month, day;
	int hour, minute, second;
	bool date; /* a DATE: the time is midnight and means nothing */
	bool utc;  /* a Z stood behind it */
};

int civil_month_days(int year, int month);
bool civil_leap(int year);

/* Floor division, for times before 1970. */
static inline int64_t civil_floor(int64_t a, int64_t b)
{
	int64_t q = a / b;

	return a % b < 0 ? q - 1 : q;
}

/* Days are counted from a March 1st that lies 82 eras of 400 years before the year 0, so that all that is divided is
 * positive and small, and the leap day is the last of its year. The multiplications stand for divisions: see Neri and
 * Schneider, "Euclidean affine functions and their application to calendar algorithms" (2022). */
enum { CIVIL_ERAS = 82, CIVIL_YEARS = 400 * CIVIL_ERAS, CIVIL_SHIFT = 719468 + 146097 * CIVIL_ERAS };

/* Days since 1970-01-01 of a date in the years -32000 to 99999. */
static inline int64_t civil_days(int year, int month, int day)
{
	uint32_t early = month <= 2, y = (uint32_t)(year + CIVIL_YEARS) - early;
	uint32_t m = early ? (uint32_t)month + 12 : (uint32_t)month, century = y / 100;

	return (int64_t)(1461 * y / 4 - century + century / 4 + (979 * m - 2919) / 32) + day - 1 - CIVIL_SHIFT;
}

/* The date of a day in those years; days beyond them are taken as the nearest. */
static inline void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t low = -CIVIL_SHIFT, high = INT64_C(36000000);
	uint32_t n = (uint32_t)((days < low ? low : days > high ? high : days) + CIVIL_SHIFT);
	uint32_t n1 = 4 * n + 3, century = n1 / 146097, n2 = n1 % 146097 | 3;
	uint64_t p2 = UINT64_C(2939745) * n2;
	uint32_t of_century = (uint32_t)(p2 >> 32), of_year = (uint32_t)p2 / 2939745 / 4;
	uint32_t n3 = 2141 * of_year + 197913, late = of_year >= 306;

	*year = (int)(100 * century + of_century + late) - CIVIL_YEARS;
	*month = (int)((n3 >> 16) - 12 * late);
	*day = (int)((n3 & 0xffff) / 2141) + 1;
}

static inline int64_t civil_seconds(const struct civil *c)
{
	return civil_days(c->year, c->month, c->day) * CIVIL_DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

static inline void civil_from_seconds(int64_t local, struct civil *c)
{
	int64_t days = civil_floor(local, CIVIL_DAY);
	uint32_t rest = (uint32_t)(local - days * CIVIL_DAY);

	civil_from_days(days, &c->year, &c->month, &c->day);
	c->hour = (int)(rest / 3600);
	c->minute = (int)(rest / 60 % 60);
	c->second = (int)(rest % 60);
	c->date = c->utc = false;
}

/* Reads `2025-03-09T02:30:00`, without seconds, `2025-03-09`, their basic forms (RFC 5545 section 3.3.5) and a closing
 * Z. Fractions of a second are dropped; a leap second reads as 59. Returns the number of characters read, 0 if it is no
 * time. */
size_t civil_read(const char *text, size_t len, struct civil *c);
/* The whole text must be a time. */
bool civil_parse(const char *text, size_t len, struct civil *c);
/* Writes the extended form; the length is returned. `out` holds CIVIL_TEXT bytes. */
size_t civil_format(int64_t local, bool date, bool utc, char *out);

/* ISO 8601 / RFC 5545 durations: weeks and days are nominal, hours to seconds are exact. */
struct civil_duration {
	int64_t days, seconds;
};
bool civil_parse_duration(const char *text, size_t len, struct civil_duration *d);

#endif
