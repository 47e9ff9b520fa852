/* How a rule is walked: the parts DTSTART leaves to it, the times that each of its days has, and whether its interval
 * can ever meet its BY parts. */
#include "calendar/rrule.h"

#include <string.h>

enum { WEEK = 7 * CIVIL_DAY, STRIDE_MAX = 1 << 30, NEVER = 10001 };

static int64_t units_of(enum rrule_freq freq)
{
	return freq == RRULE_HOURLY ? 3600 : freq == RRULE_MINUTELY ? 60 : 1;
}

static int weekday_of(int64_t day)
{
	return (int)((day + 4 + INT64_C(7) * 146097) % 7);
}

static int64_t gcd(int64_t a, int64_t b)
{
	while (b) {
		int64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static bool has(const uint64_t *bits, int n)
{
	return n <= 366 && (bits[n / 64] >> (n % 64) & 1);
}

/* Whether BYSETPOS names the element `i`, from 0, of a set of `size`. */
static bool picked(const struct rrule *r, int i, int size)
{
	return has(r->positions, i + 1) || has(r->positions_back, size - i);
}

void rrule_fill_in(struct rrule *r, const struct civil *at, bool date)
{
	int w = weekday_of(civil_days(at->year, at->month, at->day));
	bool days = r->monthdays || r->monthdays_back || r->has_yeardays || r->weekdays || r->has_nth;

	if (date)
		r->hours = r->minutes = r->seconds = 0;
	if (r->seconds >> 60 & 1) /* a leap second reads as the one before it */
		r->seconds = (r->seconds | UINT64_C(1) << 59) & ~(UINT64_C(1) << 60);
	if (r->freq >= RRULE_DAILY && r->hours == 0)
		r->hours = UINT64_C(1) << at->hour;
	if (r->freq >= RRULE_HOURLY && r->minutes == 0)
		r->minutes = UINT64_C(1) << at->minute;
	if (r->freq >= RRULE_MINUTELY && r->seconds == 0)
		r->seconds = UINT64_C(1) << at->second;
	if (days)
		return;
	if (r->freq == RRULE_WEEKLY || (r->freq == RRULE_YEARLY && (r->weeks || r->weeks_back)))
		r->weekdays = 1u << w;
	else if (r->freq >= RRULE_MONTHLY && !r->weeks && !r->weeks_back)
		r->monthdays = 1u << at->day;
	else
		return;
	if (r->freq == RRULE_YEARLY && r->months == 0 && r->monthdays)
		r->months = 1u << at->month;
}

bool rrule_time_matches(const struct rrule *r, int time)
{
	return (r->hours == 0 || r->hours >> (time / 3600) & 1) &&
	       (r->freq > RRULE_MINUTELY || r->minutes == 0 || r->minutes >> (time / 60 % 60) & 1) &&
	       (r->freq > RRULE_SECONDLY || r->seconds == 0 || r->seconds >> (time % 60) & 1);
}

static void inner_times(struct rrule_iter *it)
{
	const struct rrule *r = &it->rule;
	uint64_t minutes = r->freq >= RRULE_HOURLY ? r->minutes : 1;
	uint64_t seconds = r->freq >= RRULE_MINUTELY ? r->seconds : 1;
	int kept = 0;

	it->ninner = 0;
	for (; minutes; minutes &= minutes - 1)
		for (uint64_t s = seconds; s; s &= s - 1)
			it->inner[it->ninner++] = (int16_t)(__builtin_ctzll(minutes) * 60 + __builtin_ctzll(s));
	if (!r->has_positions || r->freq >= RRULE_DAILY)
		return;
	for (int i = 0; i < it->ninner; i++)
		if (picked(r, i, it->ninner))
			it->inner[kept++] = it->inner[i];
	it->ninner = kept;
}

/* The times of a day in a rule of days or longer. BYSETPOS in a DAILY rule picks among them. */
static void day_times(struct rrule_iter *it)
{
	const struct rrule *r = &it->rule;

	it->nouter = 0;
	for (uint64_t h = r->hours; h; h &= h - 1)
		it->outer[it->nouter++] = __builtin_ctzll(h) * 3600;
	if (r->freq == RRULE_DAILY && r->has_positions) {
		int size = it->nouter * it->ninner, kept = 0;
		int32_t times[732];

		for (int i = 0; i < size; i++)
			if (picked(r, i, size))
				times[kept++] = it->outer[i / it->ninner] + it->inner[i % it->ninner];
		memcpy(it->outer, times, (size_t)kept * sizeof(times[0]));
		it->nouter = kept;
		it->ninner = 1;
		it->inner[0] = 0;
	}
}

/* Weekdays that steps of `step` seconds from `from` can meet at a time that the rule allows. Only a factor of seven
 * makes a difference between them. */
static uint32_t weekdays_met(const struct rrule *r, int64_t from, int64_t step)
{
	int64_t by_week = gcd(step, WEEK), by_day = gcd(step, CIVIL_DAY), at;
	uint32_t met = 0;

	if (by_week == by_day) {
		for (at = from - civil_floor(from, by_day) * by_day; at < CIVIL_DAY; at += by_day)
			if (rrule_time_matches(r, (int)at))
				return 127;
		return 0;
	}
	for (at = from - civil_floor(from, by_week) * by_week; at < WEEK; at += by_week)
		if (rrule_time_matches(r, (int)(at % CIVIL_DAY)))
			met |= 1u << ((at / CIVIL_DAY + 4) % 7);
	return met;
}

/* Rules of hours, minutes and seconds. Most have the same times on every day that they have times on. */
static void plan_steps(struct rrule_iter *it)
{
	const struct rrule *r = &it->rule;
	int64_t unit = units_of(r->freq), step = (r->interval < STRIDE_MAX ? r->interval : STRIDE_MAX) * unit;
	int64_t first = civil_floor(it->start, unit) * unit, day = civil_floor(first, CIVIL_DAY);
	int time = (int)(first - day * CIVIL_DAY);

	it->way = RRULE_BY_DAY;
	it->nouter = 0;
	it->stride = 1;
	it->origin = day;
	if (step % CIVIL_DAY == 0) {
		it->stride = step / CIVIL_DAY;
		if (rrule_time_matches(r, time))
			it->outer[it->nouter++] = time;
	} else if (CIVIL_DAY % step == 0 && CIVIL_DAY / step <= 1440) {
		for (int64_t t = time % step; t < CIVIL_DAY; t += step)
			if (rrule_time_matches(r, (int)t))
				it->outer[it->nouter++] = (int32_t)t;
	} else if (60 % step == 0) {
		int n = 0;

		for (int t = 0; t < CIVIL_DAY; t += 60)
			if ((r->hours == 0 || r->hours >> (t / 3600) & 1) &&
			    (r->minutes == 0 || r->minutes >> (t / 60 % 60) & 1))
				it->outer[it->nouter++] = t;
		for (int s = time % (int)step; s < 60 && it->ninner; s += (int)step)
			if (r->seconds == 0 || r->seconds >> s & 1)
				it->inner[n++] = (int16_t)s;
		it->ninner = n;
	} else {
		it->way = RRULE_BY_STEP;
		it->nouter = 1;
		it->stride = step;
		it->at = first;
		it->days.only = weekdays_met(r, first, step);
	}
}

/* Positions behind the largest set that there can be are left out. */
static void plan_positions(struct rrule_iter *it)
{
	int days = it->rule.freq == RRULE_YEARLY ? 366 : it->rule.freq == RRULE_MONTHLY ? 31 : 7;
	int most = days * it->nouter * it->ninner;

	if (most > 366)
		most = 366;
	it->way = RRULE_BY_SET;
	it->nforward = it->nback = 0;
	for (int n = 1; n <= most; n++)
		if (has(it->rule.positions, n))
			it->forward[it->nforward++] = (int16_t)n;
	for (int n = most; n >= 1; n--)
		if (has(it->rule.positions_back, n))
			it->back[it->nback++] = (int16_t)n;
	if (it->nforward + it->nback == 0)
		it->nouter = 0;
}

/* After how many years without a result there will never be one: the calendar repeats after 400 years, or 4800 months,
 * 20871 weeks, 146097 days, and an interval meets each of them again in time. */
static int years_of_cycle(const struct rrule_iter *it)
{
	int64_t period, years;

	switch (it->rule.freq) {
	case RRULE_YEARLY:
		period = 400;
		break;
	case RRULE_MONTHLY:
		period = 4800;
		break;
	case RRULE_WEEKLY:
		period = 20871;
		break;
	default:
		period = 146097;
		break;
	}
	years = it->way == RRULE_BY_STEP ? NEVER : it->stride / gcd(it->stride, period);
	return years > NEVER / 400 ? NEVER : (int)years * 400;
}

void rrule_plan(struct rrule_iter *it, bool date)
{
	struct rrule *r = &it->rule;
	struct civil at;
	int64_t day;

	civil_from_seconds(it->start, &at);
	rrule_fill_in(r, &at, date);
	day = civil_floor(it->start, CIVIL_DAY);
	it->days.made = it->days.some = 0;
	it->days.only = 127;
	it->first_year = at.year;
	inner_times(it);
	if (r->freq < RRULE_DAILY) {
		plan_steps(it);
	} else {
		it->way = RRULE_BY_DAY;
		it->stride = r->interval < STRIDE_MAX ? r->interval : STRIDE_MAX;
		it->origin = r->freq == RRULE_YEARLY    ? at.year
			     : r->freq == RRULE_MONTHLY ? at.year * 12 + at.month - 1
			     : r->freq == RRULE_WEEKLY  ? day - (weekday_of(day) - r->wkst + 7) % 7
							: day;
		day_times(it);
		if (r->has_positions && r->freq > RRULE_DAILY)
			plan_positions(it);
	}
	if (it->way == RRULE_BY_DAY && r->freq <= RRULE_DAILY && it->stride % 7 == 0)
		it->days.only = 1u << weekday_of(it->origin);
	it->cycle = years_of_cycle(it);
	it->ended = it->nouter == 0 || it->ninner == 0 || it->days.only == 0;
}
