/* Rules with SKIP (RFC 7529): days that do not exist move, so that periods are opened one by one, each one's days
 * filtered by the BY parts, sorted, times put on them, positions picked. All other rules are rrule_iter.c's. */
#include "calendar/rrule.h"

#include <stdlib.h>
#include <string.h>

/* The whole of 8,000 years day by day fits. */
enum { BUDGET = 4000000 };

static int64_t units_of(enum rrule_freq freq)
{
	return freq == RRULE_HOURLY ? 3600 : freq == RRULE_MINUTELY ? 60 : 1;
}

static int weekday_of(int64_t day)
{
	int w = (int)((day + 4) % 7);

	return w < 0 ? w + 7 : w;
}

static bool has(const uint64_t *bits, int n)
{
	return n > 0 && (bits[n / 64] >> (n % 64) & 1);
}

static int64_t week_start(int64_t day, int wkst)
{
	return day - (weekday_of(day) - wkst + 7) % 7;
}

/* The first day of week 1: that with January 4th. */
static int64_t first_week(int64_t year, int wkst)
{
	return week_start(civil_days((int)year, 1, 4), wkst);
}

static int64_t week_year_of(int64_t day, int wkst)
{
	int year, month, mday;

	civil_from_days(day, &year, &month, &mday);
	if (day < first_week(year, wkst))
		return year - 1;
	return day >= first_week(year + 1, wkst) ? year + 1 : year;
}

static bool week_matches(const struct rrule *r, int64_t day)
{
	int64_t year = week_year_of(day, r->wkst), first = first_week(year, r->wkst);
	int week = (int)((day - first) / 7) + 1, weeks = (int)((first_week(year + 1, r->wkst) - first) / 7);

	return has(&r->weeks, week) || has(&r->weeks_back, weeks + 1 - week);
}

/* BYDAY: a plain weekday, or the nth of the month (of the year, in a YEARLY rule without BYMONTH) from either end. */
static bool weekday_matches(const struct rrule *r, int64_t day, int year, int month, int mday)
{
	int w = weekday_of(day), at = mday, length;

	if (r->weekdays >> w & 1)
		return true;
	if (!r->has_nth)
		return false;
	if (r->freq < RRULE_MONTHLY ||
	    (r->freq == RRULE_YEARLY && (r->weeks || r->weeks_back))) /* means nothing there */
		return r->nth[w] || r->nth_back[w];
	if (r->freq == RRULE_YEARLY && r->months == 0) {
		at = (int)(day - civil_days(year, 1, 1)) + 1;
		length = civil_leap(year) ? 366 : 365;
	} else {
		length = civil_month_days(year, month);
	}
	return has(&r->nth[w], (at - 1) / 7 + 1) || has(&r->nth_back[w], (length - at) / 7 + 1);
}

static bool any_weekday(const struct rrule *r)
{
	return r->weekdays || r->has_nth;
}

static bool day_matches(const struct rrule *r, int64_t day, int year, int month, int mday)
{
	if (r->months && !(r->months >> month & 1))
		return false;
	if ((r->monthdays || r->monthdays_back) && !(r->monthdays >> mday & 1) &&
	    !(r->monthdays_back >> (civil_month_days(year, month) + 1 - mday) & 1))
		return false;
	if (r->has_yeardays) {
		int at = (int)(day - civil_days(year, 1, 1)) + 1;

		if (!has(r->yeardays, at) && !has(r->yeardays_back, (civil_leap(year) ? 367 : 366) - at))
			return false;
	}
	if ((r->weeks || r->weeks_back) && !week_matches(r, day))
		return false;
	return !any_weekday(r) || weekday_matches(r, day, year, month, mday);
}

static void add_days(struct rrule_skip_iter *it, int64_t first, int64_t count)
{
	int year, month, mday;

	civil_from_days(first, &year, &month, &mday);
	it->budget -= count;
	for (int64_t day = first; day < first + count; day++) {
		if (it->nbases < 400 && day_matches(&it->rule, day, year, month, mday))
			it->bases[it->nbases++] = day * CIVIL_DAY;
		if (++mday > civil_month_days(year, month)) {
			mday = 1;
			if (++month > 12) {
				month = 1;
				year++;
			}
		}
	}
}

/* A day that SKIP puts in place of one that does not exist; the parts that come after SKIP still judge it. */
static void add_skipped(struct rrule_skip_iter *it, int64_t day)
{
	int year, month, mday;

	civil_from_days(day, &year, &month, &mday);
	if (it->nbases < 400 && (!any_weekday(&it->rule) || weekday_matches(&it->rule, day, year, month, mday)))
		it->bases[it->nbases++] = day * CIVIL_DAY;
}

static void skip_month(struct rrule_skip_iter *it, int year, int month)
{
	const struct rrule *r = &it->rule;
	int length = civil_month_days(year, month);
	int64_t first = civil_days(year, month, 1);
	bool forward = r->skip == RRULE_FORWARD;

	if (r->months && !(r->months >> month & 1))
		return;
	for (int d = length + 1; d <= 31; d++) {
		if (r->monthdays >> d & 1)
			add_skipped(it, forward ? first + length : first + length - 1);
		if (r->monthdays_back >> d & 1)
			add_skipped(it, forward ? first : first - 1);
	}
}

static void skip_year(struct rrule_skip_iter *it, int year)
{
	const struct rrule *r = &it->rule;
	int64_t first = civil_days(year, 1, 1), next = civil_days(year + 1, 1, 1);
	bool forward = r->skip == RRULE_FORWARD;

	for (int month = 1; month <= 12; month++)
		skip_month(it, year, month);
	if (!civil_leap(year) && has(r->yeardays, 366))
		add_skipped(it, forward ? next : next - 1);
	if (!civil_leap(year) && has(r->yeardays_back, 366))
		add_skipped(it, forward ? first : first - 1);
}

static int by_base(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void sort_bases(struct rrule_skip_iter *it)
{
	int n = 0;

	qsort(it->bases, (size_t)it->nbases, sizeof(it->bases[0]), by_base);
	for (int i = 0; i < it->nbases; i++)
		if (n == 0 || it->bases[n - 1] != it->bases[i])
			it->bases[n++] = it->bases[i];
	it->nbases = n;
}

static void open_year(struct rrule_skip_iter *it, int year)
{
	const struct rrule *r = &it->rule;

	for (int month = 1; month <= 12; month++)
		if (r->months == 0 || r->months >> month & 1)
			add_days(it, civil_days(year, month, 1), civil_month_days(year, month));
	if (r->skip != RRULE_OMIT)
		skip_year(it, year);
}

/* The one hour, minute or second of a period, unless a part above it forbids it: then `period` moves on to where the
 * next larger unit begins. */
static void open_time(struct rrule_skip_iter *it)
{
	const struct rrule *r = &it->rule;
	int64_t unit = units_of(r->freq), t = (it->origin + it->period * r->interval) * unit;
	int64_t day = civil_floor(t, CIVIL_DAY), target;
	int in_day = (int)(t - day * CIVIL_DAY), year, month, mday;

	civil_from_days(day, &year, &month, &mday);
	it->budget--;
	if (!day_matches(r, day, year, month, mday))
		target = (day + 1) * CIVIL_DAY;
	else if (r->hours && !(r->hours >> (in_day / 3600) & 1))
		target = t - in_day % 3600 + 3600;
	else if (r->freq <= RRULE_MINUTELY && r->minutes && !(r->minutes >> (in_day / 60 % 60) & 1))
		target = t - in_day % 60 + 60;
	else if (r->freq == RRULE_SECONDLY && r->seconds && !(r->seconds >> (in_day % 60) & 1))
		target = t + 1;
	else {
		it->bases[it->nbases++] = t;
		it->period++;
		return;
	}
	it->period = (target / unit - it->origin + r->interval - 1) / r->interval;
}

/* Opens the next period; false behind the last year. */
static bool open_period(struct rrule_skip_iter *it)
{
	const struct rrule *r = &it->rule;
	int64_t n;

	it->nbases = 0;
	if (r->interval > (INT64_C(1) << 40) || it->period > (INT64_C(1) << 40) / r->interval)
		return false;
	n = it->origin + it->period * r->interval;
	if (r->freq < RRULE_DAILY) {
		if (n > CIVIL_END / units_of(r->freq))
			return false;
		open_time(it);
		return true;
	}
	it->period++;
	switch (r->freq) {
	case RRULE_YEARLY:
		if (n > 9999)
			return false;
		open_year(it, (int)n);
		break;
	case RRULE_MONTHLY:
		if (n > 9999 * 12 + 11)
			return false;
		it->budget--;
		if (r->months && !(r->months >> (n % 12 + 1) & 1))
			return true;
		add_days(it, civil_days((int)(n / 12), (int)(n % 12) + 1, 1),
			 civil_month_days((int)(n / 12), (int)(n % 12) + 1));
		if (r->skip != RRULE_OMIT)
			skip_month(it, (int)(n / 12), (int)(n % 12) + 1);
		break;
	default:
		if (n > CIVIL_END / CIVIL_DAY)
			return false;
		add_days(it, n, r->freq == RRULE_WEEKLY ? 7 : 1);
		break;
	}
	if (r->skip != RRULE_OMIT)
		sort_bases(it);
	return true;
}

static int by_position(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

/* The places that BYSETPOS names in a set of `size`. */
static void pick_positions(struct rrule_skip_iter *it)
{
	const struct rrule *r = &it->rule;

	it->npositions = 0;
	for (int n = 1; n <= 366 && n <= it->size; n++) {
		if (has(r->positions, n))
			it->positions[it->npositions++] = n - 1;
		if (has(r->positions_back, n))
			it->positions[it->npositions++] = (int32_t)(it->size - n);
	}
	qsort(it->positions, (size_t)it->npositions, sizeof(it->positions[0]), by_position);
	it->size = it->npositions;
}

static int64_t time_at(const struct rrule_skip_iter *it, int64_t index)
{
	int64_t second = index % it->nseconds, rest = index / it->nseconds, minute = rest % it->nminutes, hour;

	rest /= it->nminutes;
	hour = rest % it->nhours;
	return it->bases[rest / it->nhours] + it->hours[hour] * 3600 + it->minutes[minute] * 60 + it->seconds[second];
}

static int list_bits(uint64_t bits, int max, uint8_t *list)
{
	int n = 0;

	for (int i = 0; i < max; i++)
		if (bits >> i & 1)
			list[n++] = (uint8_t)i;
	return n;
}

static int64_t period_of(const struct rrule_skip_iter *it, int64_t local)
{
	const struct rrule *r = &it->rule;
	int64_t day = civil_floor(local, CIVIL_DAY);
	int year, month, mday;

	civil_from_days(day, &year, &month, &mday);
	switch (r->freq) {
	case RRULE_YEARLY:
		return year;
	case RRULE_MONTHLY:
		return (int64_t)year * 12 + month - 1;
	case RRULE_WEEKLY:
		return week_start(day, r->wkst);
	case RRULE_DAILY:
		return day;
	default:
		return civil_floor(local, units_of(r->freq));
	}
}

void rrule_skip_init(struct rrule_skip_iter *it, const struct rrule *rule, int64_t start, bool date, int64_t from)
{
	struct rrule *r = &it->rule;
	struct civil at;

	it->rule = *rule;
	it->start = start;
	it->from = from;
	it->left = rule->count;
	it->last = start - 1;
	it->budget = BUDGET;
	it->ended = false;
	it->next = it->size = 0;
	it->period = 0;
	civil_from_seconds(start, &at);
	rrule_fill_in(r, &at, date);
	it->nhours = it->nminutes = it->nseconds = 1;
	it->hours[0] = it->minutes[0] = it->seconds[0] = 0;
	if (r->freq >= RRULE_DAILY)
		it->nhours = list_bits(r->hours, 24, it->hours);
	if (r->freq >= RRULE_HOURLY)
		it->nminutes = list_bits(r->minutes, 60, it->minutes);
	if (r->freq >= RRULE_MINUTELY)
		it->nseconds = list_bits(r->seconds, 60, it->seconds);
	if (r->freq == RRULE_WEEKLY && r->interval < INT64_C(1) << 40)
		r->interval *= 7; /* weeks are counted in days */
	it->origin = period_of(it, start);
	if (from > start && from < CIVIL_END && !r->has_count) {
		/* one period of grace, for what SKIP moves over an edge */
		it->period = (period_of(it, from) - it->origin) / r->interval - 1;
		if (it->period < 0)
			it->period = 0;
		it->last = from - 1;
	}
}

bool rrule_skip_next(struct rrule_skip_iter *it, int64_t *local)
{
	while (!it->ended) {
		while (it->next < it->size) {
			int64_t index = it->next++, t;

			t = time_at(it, it->rule.has_positions ? it->positions[index] : index);
			if (t <= it->last)
				continue;
			if (t >= CIVIL_END || (it->rule.has_count && it->left-- <= 0)) {
				it->ended = true;
				return false;
			}
			it->last = t;
			if (t < it->from)
				continue;
			it->budget = BUDGET;
			*local = t;
			return true;
		}
		if (it->budget <= 0 || !open_period(it)) {
			it->ended = true;
			return false;
		}
		it->next = 0;
		it->size = (int64_t)it->nbases * it->nhours * it->nminutes * it->nseconds;
		if (it->rule.has_positions && it->size > 0)
			pick_positions(it);
	}
	return false;
}
