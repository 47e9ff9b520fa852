/* Recurrence rules (RFC 5545 section 3.3.10, SKIP of RFC 7529) and sets of them. Everything here is wall-clock time: a
 * rule knows no zone, a set has one to judge times that are given in UTC. What stands behind rrule_iter_* can be
 * replaced without touching its callers. */
#ifndef LUNATION_CALENDAR_RRULE_H
#define LUNATION_CALENDAR_RRULE_H

#include "calendar/civil.h"
#include "calendar/rrule_days.h"
#include "calendar/tz.h"

enum rrule_freq {
	RRULE_SECONDLY,
	RRULE_MINUTELY,
	RRULE_HOURLY,
	RRULE_DAILY,
	RRULE_WEEKLY,
	RRULE_MONTHLY,
	RRULE_YEARLY
};
enum rrule_skip { RRULE_OMIT, RRULE_BACKWARD, RRULE_FORWARD };

/* Lists are bit sets: bit n for n, a second set for -n. All zero: the part is absent. */
struct rrule {
	enum rrule_freq freq;
	enum rrule_skip skip;
	int64_t interval;
	int64_t count;
	bool has_count, has_until;
	struct civil until;
	int wkst; /* 0 is Sunday */
	uint64_t hours, minutes, seconds;
	uint32_t months, leap_months; /* leap_months: of another calendar, after the month of their number */
	uint32_t monthdays, monthdays_back;
	uint64_t weeks, weeks_back;
	uint64_t yeardays[7], yeardays_back[7];
	uint64_t positions[6], positions_back[6];
	uint32_t weekdays;            /* BYDAY without a number */
	uint64_t nth[7], nth_back[7]; /* BYDAY with one, by weekday */
	bool has_nth, has_yeardays, has_positions;
	bool foreign;    /* of another calendar than GREGORIAN, which the engine does not reckon by */
	char rscale[24]; /* upper case; "" without RSCALE */
};

enum { RRULE_TEXT = 8192, RRULE_MESSAGE = 160 };
/* The most that a calendar has: months of a year, days and weeks of one. */
enum { RRULE_MONTH = 13, RRULE_YEARDAY = 385, RRULE_WEEK = 55 };

/* Reads the value of RRULE, with or without that name in front. False with a message otherwise. */
bool rrule_parse(const char *text, size_t len, struct rrule *rule, char message[RRULE_MESSAGE]);
/* What RFC 5545 says must not stand together. `date`: DTSTART is a DATE. */
bool rrule_strict(const struct rrule *rule, bool date, char message[RRULE_MESSAGE]);

/* Puts in what the rule leaves to DTSTART. */
void rrule_fill_in(struct rrule *rule, const struct civil *at, bool date);

/* The occurrences of a rule with SKIP; for rrule_iter.c only. */
struct rrule_skip_iter {
	struct rrule rule; /* with what DTSTART fills in */
	int64_t start, from;
	int64_t origin; /* the period of DTSTART: a year, a month, a day, an hour, … counted from a fixed one */
	int64_t period; /* the next to open, in intervals from the origin */
	int64_t left;   /* of COUNT */
	int64_t last;   /* the last time counted */
	int64_t budget; /* steps that may still pass without a result */
	bool ended;
	/* The open period is the product of its bases (days, or the one hour, minute or second) and the times on each.
	 */
	int nbases, nhours, nminutes, nseconds, npositions;
	int64_t bases[400];
	uint8_t hours[24], minutes[60], seconds[60];
	int32_t positions[732]; /* of BYSETPOS, sorted */
	int64_t next, size;
};
void rrule_skip_init(struct rrule_skip_iter *it, const struct rrule *rule, int64_t start, bool date, int64_t from);
bool rrule_skip_next(struct rrule_skip_iter *it, int64_t *local);

/* The occurrences of one rule. The fields belong to rrule_iter.c. */
struct rrule_iter {
	enum { RRULE_BY_DAY, RRULE_BY_STEP, RRULE_BY_SET, RRULE_BY_SKIP } way;
	bool ended;
	struct rrule rule; /* with what DTSTART fills in */
	struct rrule_days days;
	int64_t start, from;
	int64_t stop;                /* nothing behind it is wanted; the caller may lower it after the start */
	int64_t left;                /* of COUNT; INT64_MAX without one */
	int64_t stride;              /* of days, weeks, months or years; of seconds when by step */
	int64_t origin;              /* the day, week's first day, month or year of DTSTART */
	int year, first_year, cycle; /* the open year; years after which a search that found nothing never will */
	int64_t january;             /* its first day */
	/* By day: the days of the open year that are left, and the times on each, outer[o] + inner[i]. */
	uint64_t mask[RRULE_WORDS];
	int word, outer_at, inner_at;
	int nouter, ninner;
	int64_t at;     /* by step: the next candidate */
	int64_t budget; /* of candidates that may pass without a result */
	int64_t period; /* by set: the next to open */
	int npicked, picked_at, nforward, nback;
	int16_t forward[366], back[366]; /* BYSETPOS: ascending, descending */
	union {
		int64_t picked[732];
		struct rrule_skip_iter skip;
	};
	int32_t outer[1440];
	int16_t inner[3600];
};

/* For rrule_iter.c only. */
void rrule_plan(struct rrule_iter *it, bool date);
bool rrule_time_matches(const struct rrule *r, int time);

/* Times before `from` are left out. */
void rrule_iter_init(struct rrule_iter *it, const struct rrule *rule, int64_t start, bool date, int64_t from);
/* Writes up to `room` local times, in order; 0 at the end: COUNT is used up, year 10000 has come, or nothing will ever
 * match. A rule with rare times may give fewer than there is room for. UNTIL is the set's to judge. */
size_t rrule_iter_fill(struct rrule_iter *it, int64_t *out, size_t room);

/* --- sets --- */

struct recur_set;
struct recur_iter;

/* A new set; `start` is DTSTART. A zone is counted by the set. NULL without memory. */
struct recur_set *recur_set_new(const struct civil *start, struct tz_zone *zone);
void recur_set_free(struct recur_set *set);
size_t recur_set_size(const struct recur_set *set); /* bytes in memory */
/* A rule of another calendar is kept by its text, and its times are asked for. */
bool recur_set_rule(struct recur_set *set, const struct rrule *rule, const char *text, size_t len, bool exclude);
bool recur_set_date(struct recur_set *set, const struct civil *date, bool exclude);
/* Call once when all is added. */
void recur_set_seal(struct recur_set *set);

int64_t recur_set_start(const struct recur_set *set);
/* No occurrence is before this local time: DTSTART, or an earlier RDATE. */
int64_t recur_set_first(const struct recur_set *set);
bool recur_set_is_date(const struct recur_set *set);
const struct tz_zone *recur_set_zone(const struct recur_set *set);
/* Whether a rule of it has neither COUNT nor UNTIL. */
bool recur_set_endless(const struct recur_set *set);

/* The set's local times from `from` on (INT64_MIN: from its start), in order, each once. */
struct recur_iter *recur_iter_new(const struct recur_set *set, int64_t from);
void recur_iter_free(struct recur_iter *it);
/* Begins anew, with the same set. */
void recur_iter_start(struct recur_iter *it, int64_t from);
bool recur_iter_next(struct recur_iter *it, int64_t *local);
/* Up to `room` of them at once; 0 at the end. */
size_t recur_iter_fill(struct recur_iter *it, int64_t *out, size_t room);
int64_t recur_set_instant(const struct recur_set *set, int64_t local);

/* --- rules of other calendars (RFC 7529) ---
 * Nobody here reckons by those. A set keeps the times that it was given of such a rule, complete in [begin, covered),
 * and says what it lacks: an iterator ends there, and goes on when it is made anew. */

enum { RECUR_NONE = -1 };

/* Whether the set has such rules; whether its nth is one. */
bool recur_set_foreign(const struct recur_set *set);
bool recur_set_foreign_rule(const struct recur_set *set, int64_t rule);
/* The first such rule whose times are not known in all of [from, to), or RECUR_NONE. */
int recur_set_lacks(const struct recur_set *set, int64_t from, int64_t to);
const char *recur_set_text(const struct recur_set *set, int rule);
/* Behind UNTIL nothing is wanted of a rule; INT64_MAX without one. */
int64_t recur_set_until(const struct recur_set *set, int rule);
/* Makes a window of all that is known of a rule, and what is asked. */
void recur_set_widen(const struct recur_set *set, int rule, int64_t *from, int64_t *to);
/* `known` INT64_MAX: that is all there is of it; else no one knows what is there from `known` on, and `covered` says
 * how far to look again. False without memory. */
bool recur_set_give(struct recur_set *set, int rule, const int64_t *times, size_t n, int64_t begin, int64_t covered,
		    int64_t known);
/* The local time from which on what the set has is not known to be all; INT64_MAX: it is. */
int64_t recur_set_known(const struct recur_set *set);
/* The rule whose lack ended an iterator and whose times are not known in all of [from, to), or RECUR_NONE. */
int recur_iter_lacks(const struct recur_iter *it, int64_t from, int64_t to);

#endif
