/* From sets of forbidden starts to slots and ranges of free time. */
#include "calendar/slots.h"

#include "calendar/civil.h"
#include "calendar/tz.h"

struct search {
	const struct slots_question *q;
	struct intervals *out;
	int64_t day, of_day; /* the local day of the last slot, and how many it has */
};

static bool full(const struct search *s)
{
	return s->q->limit > 0 && (int64_t)s->out->count >= s->q->limit;
}

/* The first instant from t on whose wall clock shows a whole number of increments since midnight. */
static int64_t clock_next(const struct slots_question *q, int64_t t)
{
	for (;;) {
		struct tz_segment s = { INT64_MIN, INT64_MAX, 0, false, "UTC" };
		int64_t local, day, next;

		if (q->zone)
			tz_segment_at(q->zone, t, &s);
		local = t + s.offset;
		day = civil_floor(local, CIVIL_DAY);
		next = day * CIVIL_DAY + (local - day * CIVIL_DAY + q->increment - 1) / q->increment * q->increment;
		if (next > (day + 1) * CIVIL_DAY)
			next = (day + 1) * CIVIL_DAY;
		if (next - s.offset < s.end)
			return next - s.offset;
		t = s.end;
	}
}

/* Whether the day of t has room for one more; else t moves to the next day's begin. */
static bool day_takes(struct search *s, int64_t *t)
{
	const struct slots_question *q = s->q;
	int64_t day = civil_floor(tz_to_local(q->zone, *t), CIVIL_DAY);

	if (day != s->day) {
		s->day = day;
		s->of_day = 0;
	}
	if (s->of_day == q->max_per_day) {
		int64_t tomorrow = tz_to_utc(q->zone, (day + 1) * CIVIL_DAY);

		*t = tomorrow > *t ? tomorrow : *t + 1;
		return false;
	}
	s->of_day++;
	return true;
}

/* The starts from `first` to `last` are free; the grid of their window begins at `grid`. */
static bool give_slots(struct search *s, int64_t grid, int64_t first, int64_t last)
{
	const struct slots_question *q = s->q;
	int64_t t = first;

	if (!q->clock && q->max_per_day == 0) {
		t = grid + (t - grid + q->increment - 1) / q->increment * q->increment;
		for (; t <= last && !full(s); t += q->increment)
			if (!intervals_add(s->out, t, t + q->duration))
				return false;
		return true;
	}
	while (!full(s)) {
		if (q->clock)
			t = clock_next(q, t);
		else
			t = grid + (t - grid + q->increment - 1) / q->increment * q->increment;
		if (t > last)
			break;
		if (q->max_per_day > 0 && !day_takes(s, &t))
			continue;
		if (!intervals_add(s->out, t, t + q->duration))
			return false;
		t++;
	}
	return true;
}

bool slots_find(const struct slots_question *q, const struct intervals *windows, const struct intervals *forbidden,
		struct intervals *out)
{
	struct search s = { q, out, INT64_MIN, 0 };
	size_t k = 0;

	for (size_t w = 0; w < windows->count && !full(&s); w++) {
		int64_t grid = windows->at[w].start, last = windows->at[w].end - q->duration;
		int64_t t = grid > q->from ? grid : q->from;

		while (t <= last && !full(&s)) {
			int64_t until = last;
			bool good;

			while (k < forbidden->count && forbidden->at[k].end <= t)
				k++;
			if (k < forbidden->count && forbidden->at[k].start <= t) {
				t = forbidden->at[k].end;
				continue;
			}
			if (k < forbidden->count && forbidden->at[k].start <= last)
				until = forbidden->at[k].start - 1;
			good = q->increment > 0 ? give_slots(&s, grid, t, until)
						: intervals_add(out, t, until + q->duration);
			if (!good)
				return false;
			t = until + 1;
		}
	}
	return true;
}
