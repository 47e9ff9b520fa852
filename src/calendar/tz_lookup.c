/* Which offset holds when. Time is cut into pieces of 2^22 seconds (48 days), and a table says how many changes lie
 * before each: a look-up is one step there and at most a few on. Local times have a table of their own. */
#include "calendar/civil.h"
#include "calendar/tz_zone.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 22, LAST_YEAR = 2200 };

/* Where the tables of pieces begin: nothing before 1800 is looked up often. */
#define PIECES_BEGIN INT64_C(-5364662400)

int64_t tz_rule_local(const struct tz_rule *r, int year)
{
	int64_t day;

	if (r->kind == 'M') {
		int64_t first = civil_days(year, r->month, 1);
		int weekday = (int)(((first + 4) % 7 + 7) % 7);
		int mday = 1 + (r->day - weekday + 7) % 7 + 7 * (r->week - 1);

		if (mday > civil_month_days(year, r->month))
			mday -= 7;
		day = first + mday - 1;
	} else if (r->kind == 'J') {
		day = civil_days(year, 1, 1) + r->day - 1 + (civil_leap(year) && r->day >= 60);
	} else {
		day = civil_days(year, 1, 1) + r->day;
	}
	return day * CIVIL_DAY + r->time;
}

/* The footer's answer: the changes of three years around the instant, in order, name the stretch it lies in. */
static void from_footer(const struct tz_footer *f, int64_t t, int64_t table_end, struct tz_segment *out)
{
	struct civil c;
	bool dst = false, found = false;

	out->start = table_end;
	out->end = INT64_MAX;
	if (f->has_dst && t > CIVIL_BEGIN && t < CIVIL_END) {
		civil_from_seconds(t + f->std_offset, &c);
		for (int year = c.year - 1; year <= c.year + 1; year++) {
			int64_t on = tz_rule_local(&f->to_dst, year) - f->std_offset;
			int64_t off = tz_rule_local(&f->to_std, year) - f->dst_offset;
			bool on_first = on < off;

			for (int i = 0; i < 2; i++) {
				bool is_on = (i == 0) == on_first;
				int64_t at = is_on ? on : off;

				if (at <= t) {
					out->start = at > table_end ? at : table_end;
					dst = is_on;
					found = true;
				} else if (at < out->end) {
					out->end = at;
				}
			}
		}
		if (!found)
			out->start = table_end;
	}
	out->dst = dst;
	out->offset = dst ? f->dst_offset : f->std_offset;
	out->abbreviation = dst ? f->dst_name : f->std_name;
}

/* --- the tables --- */

bool tz_reserve(struct tz_zone *z, size_t changes)
{
	int64_t *at;
	uint16_t *type_of;

	if (changes <= z->room && z->at)
		return true;
	at = realloc(z->at, (changes + 1) * sizeof *at);
	if (!at)
		return false;
	z->at = at;
	type_of = realloc(z->type_of, (changes + 1) * sizeof *type_of);
	if (!type_of)
		return false;
	z->type_of = type_of;
	z->room = changes;
	return true;
}

/* Appends the footer's changes after the last one of the file. What the footer says holds from there on, whatever type
 * the file gives its last change (RFC 9636 section 3.3). */
static bool add_footer(struct tz_zone *z)
{
	const struct tz_footer *f = &z->footer;
	struct tz_segment s;
	struct civil last;
	int64_t t;

	z->types[TZ_STD] = (struct tz_type){ f->std_offset, false, f->std_name };
	z->types[TZ_DST] = (struct tz_type){ f->dst_offset, true, f->dst_name };
	z->by_footer = f->known && z->count == 0;
	if (!f->known)
		return true;
	if (z->count > 0) {
		t = z->at[z->count - 1];
		from_footer(f, t, t, &s);
		z->type_of[z->count - 1] = s.dst ? TZ_DST : TZ_STD;
	} else {
		t = PIECES_BEGIN;
		from_footer(f, t, INT64_MIN, &s);
		z->types[0] = z->types[s.dst ? TZ_DST : TZ_STD];
	}
	if (!f->has_dst || t >= CIVIL_END)
		return true;
	civil_from_seconds(t > CIVIL_BEGIN ? t : CIVIL_BEGIN, &last);
	if (last.year >= LAST_YEAR || !tz_reserve(z, z->count + 2 * (size_t)(LAST_YEAR - last.year + 2)))
		return last.year >= LAST_YEAR;
	while (s.end < INT64_MAX && z->count < z->room) {
		int64_t change = s.end;

		from_footer(f, change, t, &s);
		z->at[z->count] = change;
		z->type_of[z->count++] = s.dst ? TZ_DST : TZ_STD;
	}
	return true;
}

static uint16_t *pieces(const int64_t *at, size_t count, size_t buckets)
{
	uint16_t *bucket = malloc((buckets + 1) * sizeof *bucket);
	size_t i = 0;

	for (size_t b = 0; bucket && b <= buckets; b++) {
		int64_t begin = PIECES_BEGIN + ((int64_t)b << PIECE);

		while (i < count && at[i] <= begin)
			i++;
		bucket[b] = (uint16_t)i;
	}
	return bucket;
}

bool tz_index(struct tz_zone *z)
{
	int64_t last;

	if (!tz_reserve(z, z->count) || !add_footer(z))
		return false;
	z->at[z->count] = INT64_MAX;
	z->local = malloc((z->count + 1) * sizeof *z->local);
	z->offset = malloc((z->count + 1) * sizeof *z->offset);
	if (!z->local || !z->offset)
		return false;
	z->offset[0] = z->types[0].offset;
	z->indexed = true;
	for (size_t i = 0; i < z->count; i++) {
		int32_t before = z->offset[i], after = z->types[z->type_of[i]].offset;

		/* A gap belongs to what was before it, an overlap too (RFC 5545 section 3.3.5). */
		z->offset[i + 1] = after;
		if (z->at[i] <= INT64_MIN / 2 || z->at[i] >= INT64_MAX / 2)
			z->local[i] = z->at[i];
		else
			z->local[i] = z->at[i] + (before > after ? before : after);
		z->indexed &= i == 0 || z->local[i] > z->local[i - 1];
	}
	z->local[z->count] = INT64_MAX;
	last = z->count > 0 ? z->at[z->count - 1] : PIECES_BEGIN;
	if (last > PIECES_BEGIN && last < CIVIL_END)
		z->buckets = (size_t)((last - PIECES_BEGIN) >> PIECE) + 1;
	z->bucket = pieces(z->at, z->count, z->buckets);
	z->local_bucket = pieces(z->local, z->count, z->buckets);
	return z->bucket && z->local_bucket;
}

/* --- look-ups --- */

/* How many changes are not after t. */
static inline size_t changes_until(const int64_t *at, size_t count, const uint16_t *bucket, size_t buckets, int64_t t)
{
	uint64_t piece = ((uint64_t)t - (uint64_t)PIECES_BEGIN) >> PIECE;
	size_t low = 0, high = count;

	if (count == 0 || t >= at[count - 1])
		return count;
	if (piece < buckets) {
		low = bucket[piece];
		while (at[low] <= t)
			low++;
		return low;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (at[middle] <= t)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether the stretch after i changes is one that the footer's years make. */
static bool is_footers(const struct tz_zone *z, size_t i)
{
	return z->footer.known && (i == z->count || (i == 0 && z->by_footer));
}

void tz_segment_at(const struct tz_zone *z, int64_t t, struct tz_segment *out)
{
	const struct tz_type *type;
	size_t i;

	if (z == NULL) {
		*out = (struct tz_segment){ INT64_MIN, INT64_MAX, 0, false, "UTC" };
		return;
	}
	i = changes_until(z->at, z->count, z->bucket, z->buckets, t);
	if (is_footers(z, i)) {
		from_footer(&z->footer, t, i > 0 ? z->at[i - 1] : INT64_MIN, out);
		return;
	}
	type = &z->types[i == 0 ? 0 : z->type_of[i - 1]];
	*out = (struct tz_segment){ i == 0 ? INT64_MIN : z->at[i - 1], z->at[i], type->offset, type->dst, type->name };
}

int64_t tz_to_local(const struct tz_zone *zone, int64_t instant)
{
	struct tz_segment s;
	size_t i;

	if (zone == NULL)
		return instant;
	i = changes_until(zone->at, zone->count, zone->bucket, zone->buckets, instant);
	if (!zone->footer.has_dst || !is_footers(zone, i))
		return instant + zone->offset[i];
	tz_segment_at(zone, instant, &s);
	return instant + s.offset;
}

/* Walks the stretches around the local time in order: the first that holds it is the answer; one that begins after it
 * has left a gap, where the stretch before it decides. */
static int64_t walk_to_utc(const struct tz_zone *zone, int64_t local)
{
	struct tz_segment s;
	int32_t before;

	tz_segment_at(zone, local - TZ_OFFSET_MAX, &s);
	before = s.offset;
	for (;;) {
		int64_t t = local - s.offset;

		if (t < s.start)
			return local - before;
		if (t < s.end)
			return t;
		before = s.offset;
		tz_segment_at(zone, s.end, &s);
	}
}

int64_t tz_to_utc(const struct tz_zone *zone, int64_t local)
{
	size_t i;

	if (zone == NULL)
		return local;
	if (!zone->indexed)
		return walk_to_utc(zone, local);
	i = changes_until(zone->local, zone->count, zone->local_bucket, zone->buckets, local);
	/* beyond the table, and next to its end, where a change of the footer may be near */
	if (zone->footer.has_dst && (i + 1 >= zone->count || (i == 0 && zone->by_footer)))
		return walk_to_utc(zone, local);
	return local - zone->offset[i];
}

/* The stretch whose offset a local time takes, by the changes around it: local times before `end` share it. */
static int32_t walk_stretch(const struct tz_zone *zone, int64_t local, int64_t *end)
{
	struct tz_segment s, next;

	tz_segment_at(zone, local - TZ_OFFSET_MAX, &s);
	for (;;) {
		*end = INT64_MAX;
		if (s.end == INT64_MAX)
			return s.offset;
		tz_segment_at(zone, s.end, &next);
		*end = s.end + (s.offset > next.offset ? s.offset : next.offset);
		if (local < *end)
			return s.offset;
		s = next;
	}
}

void tz_to_utc_run(const struct tz_zone *zone, int64_t *times, size_t n)
{
	size_t i, k = 0;

	while (zone && k < n) {
		int64_t end, first = times[k];
		int32_t offset;

		i = changes_until(zone->local, zone->count, zone->local_bucket, zone->buckets, first);
		if (!zone->indexed || (zone->footer.has_dst && (i + 1 >= zone->count || (i == 0 && zone->by_footer)))) {
			offset = walk_stretch(zone, first, &end);
		} else {
			end = zone->local[i];
			offset = zone->offset[i];
		}
		for (; k < n && times[k] >= first && times[k] < end; k++)
			times[k] -= offset;
	}
}
