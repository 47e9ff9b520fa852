/* The occurrences of one rule. A year's days are bits; the days that an interval leaves out are cleared in them, and
 * what is left is written out with the times that each day has. Wall-clock time throughout. */
#include "calendar/rrule.h"

#include <string.h>

/* Years that one call may pass after it has found something, and candidates that may pass without finding any. */
enum { YEARS_AHEAD = 16, BUDGET = 4000000 };

static int year_length(int year)
{
	return civil_leap(year) ? 366 : 365;
}

static int64_t up(int64_t a, int64_t b)
{
	return -civil_floor(-a, b);
}

/* --- by day --- */

/* Clears the days that the interval leaves out. */
static void keep_stride(struct rrule_iter *it, int length)
{
	uint64_t kept[RRULE_WORDS + 1] = { 0 };
	int64_t stride = it->stride, day;

	if (it->rule.freq == RRULE_MONTHLY) {
		int64_t month = (int64_t)it->year * 12, past = month - it->origin;

		for (month += up(past, stride) * stride - past; month < it->year * 12 + 12; month += stride) {
			int m = (int)(month % 12) + 1, at = (int)(civil_days(it->year, m, 1) - it->january);

			for (int n = civil_month_days(it->year, m); n > 0; n--, at++)
				kept[at >> 6] |= UINT64_C(1) << (at & 63);
		}
	} else if (it->rule.freq == RRULE_WEEKLY) {
		int64_t behind = it->january - it->origin, unit = 7 * stride;

		for (day = civil_floor(behind, unit) * unit - behind; day < length; day += unit)
			for (int i = 0; i < 7; i++)
				if (day + i >= 0 && day + i < length)
					kept[(day + i) >> 6] |= UINT64_C(1) << ((day + i) & 63);
	} else {
		int64_t behind = it->january - it->origin;

		for (day = up(behind, stride) * stride - behind; day < length; day += stride)
			kept[day >> 6] |= UINT64_C(1) << (day & 63);
	}
	for (int i = 0; i < RRULE_WORDS; i++)
		it->mask[i] &= kept[i];
}

static bool open_year(struct rrule_iter *it, int year)
{
	const uint64_t *days;

	it->year = year;
	if (year > 9999)
		return false;
	it->january = civil_days(year, 1, 1);
	it->word = 0;
	days = rrule_days_of(&it->days, &it->rule, year, it->january);
	if (days == NULL) {
		it->word = RRULE_WORDS;
		memset(it->mask, 0, sizeof(it->mask));
		return true;
	}
	memcpy(it->mask, days, sizeof(it->mask));
	if (it->stride > 1 && it->rule.freq != RRULE_YEARLY)
		keep_stride(it, year_length(year));
	return true;
}

static int64_t next_year(const struct rrule_iter *it)
{
	return it->year + (it->rule.freq == RRULE_YEARLY ? it->stride : 1);
}

static int64_t days_left(const struct rrule_iter *it)
{
	int64_t n = 0;

	for (int i = 0; i < RRULE_WORDS; i++)
		n += __builtin_popcountll(it->mask[i]);
	return n;
}

static int64_t times_of_day(const struct rrule_iter *it)
{
	return (int64_t)it->nouter * it->ninner;
}

static int64_t times_left(const struct rrule_iter *it)
{
	return days_left(it) * times_of_day(it) - ((int64_t)it->outer_at * it->ninner + it->inner_at);
}

/* Drops what the open year has before a local time. */
static void drop_before(struct rrule_iter *it, int64_t local)
{
	int64_t day = civil_floor(local, CIVIL_DAY) - it->january, time = local - (it->january + day) * CIVIL_DAY;
	int last = it->inner[it->ninner - 1], o = 0, i = 0;

	if (day < 0)
		return;
	for (int w = 0; w < RRULE_WORDS; w++) {
		if (day >= (w + 1) * 64)
			it->mask[w] = 0;
		else if (day > w * 64)
			it->mask[w] &= UINT64_MAX << (day - w * 64);
	}
	it->outer_at = it->inner_at = 0;
	if (day >= 366 || !(it->mask[day >> 6] >> (day & 63) & 1))
		return;
	while (o < it->nouter && it->outer[o] + last < time)
		o++;
	while (o < it->nouter && it->outer[o] + it->inner[i] < time)
		i++;
	if (o == it->nouter) {
		it->mask[day >> 6] &= ~(UINT64_C(1) << (day & 63));
		return;
	}
	it->outer_at = o;
	it->inner_at = i;
}

static void begin_days(struct rrule_iter *it)
{
	int64_t first = it->first_year, from = it->from > it->start ? it->from : it->start;
	int64_t step = it->rule.freq == RRULE_YEARLY ? it->stride : 1;
	struct civil c;

	civil_from_seconds(from, &c);
	if (!it->rule.has_count)
		first += up(c.year - first, step) * step;
	it->outer_at = it->inner_at = 0;
	it->ended = first > 9999 || !open_year(it, (int)first);
	if (it->ended)
		return;
	drop_before(it, it->start);
	while (it->rule.has_count && it->year < c.year && it->left > 0) {
		it->left -= times_left(it);
		it->outer_at = it->inner_at = 0;
		if (next_year(it) > 9999 || !open_year(it, (int)next_year(it)) ||
		    (it->year - it->first_year > it->cycle && it->left == it->rule.count)) {
			it->ended = true;
			return;
		}
	}
	if (it->from > it->start) {
		int64_t before = times_left(it);

		drop_before(it, it->from);
		if (it->rule.has_count)
			it->left -= before - times_left(it);
	}
	it->first_year = it->year;
}

/* One day's times, as many as there is room for; true when the day is done. */
static bool fill_day(struct rrule_iter *it, int64_t base, int64_t *out, size_t room, size_t *n)
{
	size_t at = *n;

	for (; it->outer_at < it->nouter; it->outer_at++) {
		int64_t hour = base + it->outer[it->outer_at];

		for (; it->inner_at < it->ninner; it->inner_at++) {
			if (at == room) {
				*n = at;
				return false;
			}
			out[at++] = hour + it->inner[it->inner_at];
		}
		it->inner_at = 0;
	}
	it->outer_at = 0;
	*n = at;
	return true;
}

static size_t fill_days(struct rrule_iter *it, int64_t *out, size_t room)
{
	bool single = it->nouter == 1 && it->ninner == 1;
	int64_t time = (int64_t)it->outer[0] + it->inner[0];
	size_t n = 0;

	for (int years = 0;; years++) {
		for (; it->word < RRULE_WORDS; it->word++) {
			uint64_t bits = it->mask[it->word];
			int64_t base = (it->january + it->word * 64) * CIVIL_DAY;

			while (bits && n < room) {
				int64_t day = base + (int64_t)__builtin_ctzll(bits) * CIVIL_DAY;

				if (single)
					out[n++] = day + time;
				else if (!fill_day(it, day, out, room, &n))
					break;
				bits &= bits - 1;
			}
			it->mask[it->word] = bits;
			if (bits)
				goto out;
		}
		if (n)
			it->first_year = it->year;
		if (n == room || (n && years >= YEARS_AHEAD))
			break;
		if (next_year(it) > 9999 || it->year - it->first_year > it->cycle ||
		    (it->january + 365) * CIVIL_DAY > it->stop) {
			it->ended = true;
			break;
		}
		open_year(it, (int)next_year(it));
	}
out:
	return n;
}

/* --- by step: intervals that no day is a multiple of, nor they of a day --- */

/* Moves on to the first candidate that is not before `local`. */
static void step_to(struct rrule_iter *it, int64_t local)
{
	if (local > it->at)
		it->at += up(local - it->at, it->stride) * it->stride;
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
	return b == 0 ? a : greatest_divisor(b, a % b);
}

static bool any_day(const struct rrule *r)
{
	return r->months || r->monthdays || r->monthdays_back || r->has_yeardays || r->weeks || r->weeks_back ||
	       r->weekdays || r->has_nth;
}

/* COUNT of a rule that all days are alike to: its times repeat when steps and days meet again, and whole rounds are
 * counted at once. */
static void count_rounds(struct rrule_iter *it)
{
	int64_t part = greatest_divisor(it->stride, CIVIL_DAY), round, rounds, each = 0;

	if (any_day(&it->rule) || it->from <= it->start)
		return;
	round = it->stride / part * CIVIL_DAY;
	rounds = (it->from - it->at) / round - 1;
	if (rounds < 1)
		return;
	for (int64_t t = it->at - civil_floor(it->at, part) * part; t < CIVIL_DAY; t += part)
		each += rrule_time_matches(&it->rule, (int)t) ? it->ninner : 0;
	for (int i = 0; i < it->ninner; i++) /* the first hour or minute may have begun before DTSTART */
		if (it->at + it->inner[i] < it->start &&
		    rrule_time_matches(&it->rule, (int)(it->at - civil_floor(it->at, CIVIL_DAY) * CIVIL_DAY)))
			it->left++;
	if (each && rounds > it->left / each)
		it->left = 0;
	else
		it->left -= rounds * each;
	it->at += rounds * round;
}

static void begin_steps(struct rrule_iter *it)
{
	it->inner_at = 0;
	it->budget = BUDGET;
	it->year = -1;
	if (it->rule.has_count)
		count_rounds(it);
	else if (it->from > it->at)
		it->at += (it->from - it->at) / it->stride * it->stride;
	it->january = 0;
}

/* The first day from `day` of the open year on that is set; the year's length if there is none. */
static int next_day(const struct rrule_iter *it, int day, int length)
{
	for (int w = day >> 6; w < RRULE_WORDS; w++) {
		uint64_t bits = it->mask[w];

		if (w == day >> 6)
			bits &= UINT64_MAX << (day & 63);
		if (bits)
			return w * 64 + __builtin_ctzll(bits);
	}
	return length;
}

/* Whether the candidate counts; moves on to the next that may if not. */
static bool step_matches(struct rrule_iter *it, int *length)
{
	const struct rrule *r = &it->rule;
	int64_t rest = it->at - it->january * CIVIL_DAY, target;
	int day, time;

	if (it->year < 0 || rest >= (int64_t)*length * CIVIL_DAY) {
		struct civil c;

		civil_from_seconds(it->at, &c);
		*length = year_length(c.year);
		it->year = c.year;
		it->january = civil_days(c.year, 1, 1);
		{
			const uint64_t *days = rrule_days_of(&it->days, r, c.year, it->january);

			if (days)
				memcpy(it->mask, days, sizeof(it->mask));
			else
				memset(it->mask, 0, sizeof(it->mask));
		}
		rest = it->at - it->january * CIVIL_DAY;
	}
	day = (int)(rest / CIVIL_DAY);
	time = (int)(rest - (int64_t)day * CIVIL_DAY);
	if (!(it->mask[day >> 6] >> (day & 63) & 1)) {
		step_to(it, (it->january + next_day(it, day, *length)) * CIVIL_DAY);
		return false;
	}
	if (r->hours && !(r->hours >> (time / 3600) & 1))
		target = it->at - time % 3600 + 3600;
	else if (r->freq <= RRULE_MINUTELY && r->minutes && !(r->minutes >> (time / 60 % 60) & 1))
		target = it->at - time % 60 + 60;
	else if (r->freq == RRULE_SECONDLY && r->seconds && !(r->seconds >> (time % 60) & 1))
		target = it->at + 1;
	else
		return true;
	step_to(it, target);
	return false;
}

static size_t fill_steps(struct rrule_iter *it, int64_t *out, size_t room)
{
	int length = it->year < 0 ? 0 : year_length(it->year);
	int64_t skipped = 0;
	size_t n = 0;

	while (n < room) {
		if (it->at >= CIVIL_END || it->at > it->stop || it->budget <= 0) {
			it->ended = true;
			break;
		}
		if (it->inner_at == 0) {
			it->budget--;
			if (n > 0 && ++skipped > 4096)
				break;
			if (!step_matches(it, &length))
				continue;
		}
		for (; it->inner_at < it->ninner && n < room; it->inner_at++) {
			int64_t t = it->at + it->inner[it->inner_at];

			if (t < it->start)
				continue;
			if (t < it->from) {
				if (it->left != INT64_MAX && --it->left == 0) {
					it->ended = true;
					return n;
				}
				continue;
			}
			out[n++] = t;
			if (it->left != INT64_MAX && (int64_t)n == it->left)
				room = n;
		}
		if (it->inner_at < it->ninner)
			break;
		it->inner_at = 0;
		it->at += it->stride;
	}
	if (n)
		it->budget = BUDGET;
	return n;
}

/* --- by set: BYSETPOS over weeks, months and years --- */

static void begin_sets(struct rrule_iter *it)
{
	int64_t from = it->from;
	struct civil c;

	it->period = 0;
	it->npicked = it->picked_at = 0;
	it->year = -1; /* DTSTART's week may begin in the year before */
	if (it->rule.has_count || from <= it->start)
		return;
	civil_from_seconds(from, &c);
	if (it->rule.freq == RRULE_YEARLY)
		it->period = (c.year - it->origin) / it->stride;
	else if (it->rule.freq == RRULE_MONTHLY)
		it->period = (c.year * 12 + c.month - 1 - it->origin) / it->stride;
	else
		it->period = (civil_floor(from, CIVIL_DAY) - it->origin) / (7 * it->stride);
	it->first_year = c.year;
}

/* Writes the picked times of a period whose days are `days`, counted from the day `base`. */
static void pick(struct rrule_iter *it, const uint64_t *days, int words, int64_t base)
{
	int64_t each = times_of_day(it), size = 0;
	int f = 0, b = 0, word = 0, seen = 0;
	uint64_t bits = days[0];

	for (int i = 0; i < words; i++)
		size += __builtin_popcountll(days[i]);
	size *= each;
	it->npicked = it->picked_at = 0;
	while (b < it->nback && it->back[b] > size)
		b++;
	for (;;) {
		int64_t forward = f < it->nforward ? it->forward[f] - 1 : INT64_MAX;
		int64_t back = b < it->nback ? size - it->back[b] : INT64_MAX, index, day, base_of_day;

		index = forward < back ? forward : back;
		if (index >= size)
			return;
		f += forward == index;
		b += back == index;
		day = each == 1 ? index : index / each;
		while (day > seen || bits == 0) {
			if (bits == 0) {
				bits = days[++word];
			} else {
				bits &= bits - 1;
				seen++;
			}
		}
		base_of_day = (base + word * 64 + __builtin_ctzll(bits)) * CIVIL_DAY;
		index -= day * each;
		if (each > 1)
			base_of_day += it->outer[index / it->ninner] + it->inner[index % it->ninner];
		else
			base_of_day += it->outer[0] + it->inner[0];
		it->picked[it->npicked++] = base_of_day;
	}
}

static const uint64_t *days_of_year(struct rrule_iter *it, int year)
{
	static const uint64_t none[RRULE_WORDS];
	const uint64_t *days;

	if (year != it->year) {
		it->year = year;
		it->january = civil_days(year, 1, 1);
	}
	days = rrule_days_of(&it->days, &it->rule, year, it->january);
	return days ? days : none;
}

/* Opens the next period; false behind the last. */
static bool open_set(struct rrule_iter *it)
{
	int64_t n = it->origin + it->period * it->stride;
	uint64_t days;

	it->period++;
	if (it->rule.freq == RRULE_YEARLY) {
		const uint64_t *all;

		if (n > 9999)
			return false;
		all = days_of_year(it, (int)n);
		pick(it, all, RRULE_WORDS, it->january);
	} else if (it->rule.freq == RRULE_MONTHLY) {
		const uint64_t *all;
		int month = (int)(n % 12) + 1;
		int64_t first;

		if (n >= 120000)
			return false;
		all = days_of_year(it, (int)(n / 12));
		first = civil_days((int)(n / 12), month, 1);
		days = rrule_days_slice(all, (int)(first - it->january), civil_month_days((int)(n / 12), month));
		pick(it, &days, 1, first);
	} else {
		int64_t first = it->origin + (it->period - 1) * 7 * it->stride;
		int year, month, mday, at, length;
		const uint64_t *all;

		if (first >= CIVIL_END / CIVIL_DAY)
			return false;
		civil_from_days(first, &year, &month, &mday);
		length = year_length(year);
		all = days_of_year(it, year);
		at = (int)(first - it->january);
		days = rrule_days_slice(all, at, at + 7 <= length ? 7 : length - at);
		if (at + 7 > length)
			days |= rrule_days_slice(days_of_year(it, year + 1), 0, 7 - (length - at)) << (length - at);
		pick(it, &days, 1, first);
	}
	return true;
}

static size_t fill_sets(struct rrule_iter *it, int64_t *out, size_t room)
{
	int ahead = 0;
	size_t n = 0;

	while (n < room) {
		if (it->picked_at == it->npicked) {
			if ((n && ++ahead > YEARS_AHEAD * 12) || it->ended)
				break;
			it->ended = it->year - it->first_year > it->cycle || !open_set(it);
			continue;
		}
		for (; it->picked_at < it->npicked && n < room; it->picked_at++) {
			int64_t t = it->picked[it->picked_at];

			if (t < it->start)
				continue;
			if (t >= CIVIL_END || t > it->stop) {
				it->ended = true;
				return n;
			}
			it->first_year = it->year;
			if (t < it->from) {
				if (it->left != INT64_MAX && --it->left == 0) {
					it->ended = true;
					return n;
				}
				continue;
			}
			out[n++] = t;
			if (it->left != INT64_MAX && (int64_t)n == it->left)
				return n;
		}
	}
	return n;
}

/* --- all of them --- */

void rrule_iter_init(struct rrule_iter *it, const struct rrule *rule, int64_t start, bool date, int64_t from)
{
	it->rule = *rule;
	it->start = start;
	it->from = from;
	it->stop = CIVIL_END;
	it->left = rule->has_count ? rule->count : INT64_MAX;
	it->ended = it->left == 0 || from >= CIVIL_END || start < CIVIL_BEGIN || start >= CIVIL_END;
	if (it->ended)
		return;
	if (rule->skip != RRULE_OMIT) {
		it->way = RRULE_BY_SKIP;
		rrule_skip_init(&it->skip, rule, start, date, from);
		return;
	}
	rrule_plan(it, date);
	if (it->ended)
		return;
	if (it->way == RRULE_BY_DAY)
		begin_days(it);
	else if (it->way == RRULE_BY_STEP)
		begin_steps(it);
	else
		begin_sets(it);
	it->ended = it->ended || it->left <= 0;
}

static size_t fill_skip(struct rrule_iter *it, int64_t *out, size_t room)
{
	size_t n = 0;

	while (n < room && (n == 0 || n < 8) && !it->ended) {
		it->ended = !rrule_skip_next(&it->skip, &out[n]);
		n += it->ended ? 0 : 1;
	}
	return n;
}

size_t rrule_iter_fill(struct rrule_iter *it, int64_t *out, size_t room)
{
	size_t n = 0;

	if (it->ended)
		return 0;
	if (it->way == RRULE_BY_SKIP)
		return fill_skip(it, out, room);
	if (it->left < (int64_t)room)
		room = (size_t)it->left;
	if (it->way == RRULE_BY_DAY)
		n = fill_days(it, out, room);
	else if (it->way == RRULE_BY_STEP)
		n = fill_steps(it, out, room);
	else
		n = fill_sets(it, out, room);
	if (it->left != INT64_MAX) {
		it->left -= (int64_t)n;
		it->ended = it->ended || it->left <= 0;
	}
	return n;
}
