/* The search for common time. A slot is asked by its start t: with a duration d and buffers it takes
 * [t - before, t + d + after), so a busy interval forbids a stretch of starts, and the whole search is sets of starts:
 * forbidden ones joined over all calendars, allowed ones what the windows leave. */
#ifndef LUNATION_CALENDAR_SLOTS_H
#define LUNATION_CALENDAR_SLOTS_H

#include "calendar/intervals.h"

struct tz_zone;

struct slots_question {
	int64_t duration, before, after; /* seconds */
	int64_t increment;               /* 0: ranges are asked for */
	int64_t max_per_day, limit;      /* 0: any number */
	bool clock;                      /* slots count from local midnight, not from the window's begin */
	const struct tz_zone *zone;      /* NULL is UTC */
	int64_t from, to;                /* the hull of the windows; no slot starts before `from` */
};

/* Adds the starts that a busy interval forbids, unless none of them matters to the windows; the list has room. */
static inline void slots_forbid(const struct slots_question *q, int64_t start, int64_t end, struct intervals *forbidden)
{
	/* compared with what cannot overflow: `from` and `to` are years of the calendar, durations a few years */
	if (end <= start || end <= q->from - q->before || start >= q->to + q->after)
		return;
	if (start < q->from - q->before)
		start = q->from - q->before;
	if (end > q->to + q->after)
		end = q->to + q->after;
	forbidden->at[forbidden->count++] = (struct interval){ start - q->duration - q->after + 1, end + q->before };
}

/* Adds to `out` the slots in order, or the ranges: each from the first start of a run of possible starts to the end of
 * the slot at its last. Both `windows` and `forbidden` are sets. False without memory. */
bool slots_find(const struct slots_question *q, const struct intervals *windows, const struct intervals *forbidden,
		struct intervals *out);

#endif
