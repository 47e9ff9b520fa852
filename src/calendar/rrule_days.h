/* The days of a year that a rule's BY parts allow, as bits: bit n is the day n days after January 1st. A year's answer
 * depends only on its class: the weekday it begins with, and whether it, the year before or the year after is leap (a
 * week-year that reaches into it is then longer). There are 28 of them, made at need. */
#ifndef LUNATION_CALENDAR_RRULE_DAYS_H
#define LUNATION_CALENDAR_RRULE_DAYS_H

#include <stdbool.h>
#include <stdint.h>

struct rrule;

enum { RRULE_CLASSES = 28, RRULE_WORDS = 6 };

struct rrule_days {
	uint32_t made, some; /* by class: whether it was made, whether it has a day */
	uint32_t only;       /* weekdays that the interval can meet at all */
	uint64_t masks[RRULE_CLASSES][RRULE_WORDS];
};

/* All days of the year that match, interval and DTSTART apart. NULL: none. */
const uint64_t *rrule_days_of(struct rrule_days *d, const struct rrule *rule, int year, int64_t january);

/* Bits [at, at + n), n below 64. */
uint64_t rrule_days_slice(const uint64_t *mask, int at, int n);

#endif
