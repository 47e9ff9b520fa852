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

int64_t civil_days(int year, int month, int day);
void civil_from_days(int64_t days, int *year, int *month, int *day);
int civil_month_days(int year, int month);
bool civil_leap(int year);

int64_t civil_seconds(const struct civil *c);
void civil_from_seconds(int64_t local, struct civil *c);

/* Floor division, for times before 1970. */
int64_t civil_floor(int64_t a, int64_t b);

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
