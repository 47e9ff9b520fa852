/* Recurrence sets: rules and dates together, less those that are excluded (RFC 5545 section 3.8.5). */
#include "calendar/rrule.h"

#include <stdlib.h>
#include <string.h>

enum { EXCLUDED_BUDGET = 1000000 };

/* The times that are known of a rule of another calendar: all in [begin, covered). */
struct foreign {
	int64_t *at;
	size_t count;
	int64_t begin, covered, known;
	unsigned given; /* how often it got its times: iterators see that by */
	char text[];
};

struct bound_rule {
	struct rrule rule;
	struct foreign *foreign; /* NULL: the engine reckons */
	bool exclude;
	int64_t until;                 /* local, the last that counts; INT64_MAX: none */
	bool until_utc;                /* then `until` is an instant */
	int64_t until_near, until_far; /* local times: up to the one all count, behind the other none */
};

struct times {
	int64_t *at;
	size_t count, room;
};

struct recur_set {
	int64_t start;
	bool date;
	struct tz_zone *zone;
	struct bound_rule *rules;
	size_t nrules;
	bool foreign;
	struct times dates;    /* RDATE, and DTSTART where no rule stands */
	struct times excluded; /* EXDATE by local time, by instant, by day */
	struct times excluded_instants;
	struct times excluded_days;
};

enum { AHEAD_FIRST = 8, AHEAD = 64 };

struct source {
	struct rrule_iter iter;
	const struct bound_rule *bound;
	int64_t head;
	bool ended;
	bool lacks;   /* of a rule of another calendar: more times must be asked for */
	size_t place; /* in its times, as they were given for the nth time; the next is behind `last` */
	unsigned given;
	int64_t last;
	size_t next, count, room;
	int64_t ahead[AHEAD];
};

struct recur_iter {
	const struct recur_set *set;
	bool plain;  /* one rule and nothing else */
	bool primed; /* the sources have heads */
	size_t next_date;
	int64_t last;
	size_t nsources;
	struct source sources[];
};

static bool times_add(struct times *t, int64_t at)
{
	if (t->count == t->room) {
		size_t room = t->room ? 2 * t->room : 4;
		int64_t *grown = realloc(t->at, room * sizeof(*grown));

		if (grown == NULL)
			return false;
		t->at = grown;
		t->room = room;
	}
	t->at[t->count++] = at;
	return true;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void times_sort(struct times *t)
{
	if (t->count > 1)
		qsort(t->at, t->count, sizeof(t->at[0]), by_time);
}

/* The first index whose time is not before `at`. */
static size_t times_find(const struct times *t, int64_t at)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->at[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool times_have(const struct times *t, int64_t at)
{
	size_t i;

	if (t->count == 0)
		return false;
	i = times_find(t, at);
	return i < t->count && t->at[i] == at;
}

struct recur_set *recur_set_new(const struct civil *start, struct tz_zone *zone)
{
	struct recur_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return NULL;
	set->start = civil_seconds(start);
	set->date = start->date;
	set->zone = start->utc || start->date ? NULL : tz_retain(zone);
	return set;
}

void recur_set_free(struct recur_set *set)
{
	if (set == NULL)
		return;
	tz_release(set->zone);
	for (size_t i = 0; i < set->nrules; i++) {
		if (set->rules[i].foreign)
			free(set->rules[i].foreign->at);
		free(set->rules[i].foreign);
	}
	free(set->rules);
	free(set->dates.at);
	free(set->excluded.at);
	free(set->excluded_instants.at);
	free(set->excluded_days.at);
	free(set);
}

size_t recur_set_size(const struct recur_set *set)
{
	return sizeof(*set) + set->nrules * sizeof(*set->rules) +
	       (set->dates.room + set->excluded.room + set->excluded_instants.room + set->excluded_days.room) *
		   sizeof(int64_t);
}

/* UNTIL as a DATE with a DATE-TIME DTSTART is the whole of that day; for a DATE DTSTART only its date counts; a Z where
 * DTSTART has no zone is taken at face value. */
static void bind_until(struct bound_rule *b, const struct recur_set *set)
{
	struct civil until = b->rule.until;
	int64_t local;

	b->until = b->until_near = b->until_far = INT64_MAX;
	b->until_utc = false;
	if (!b->rule.has_until)
		return;
	local = civil_seconds(&until);
	if (set->date || until.date)
		local = civil_floor(local, CIVIL_DAY) * CIVIL_DAY + CIVIL_DAY - 1;
	else
		b->until_utc = until.utc && set->zone != NULL;
	b->until = local;
	b->until_near = b->until_utc ? local - 2 * CIVIL_DAY : local;
	b->until_far = b->until_utc ? local + 2 * CIVIL_DAY : local;
}

bool recur_set_rule(struct recur_set *set, const struct rrule *rule, const char *text, size_t len, bool exclude)
{
	struct bound_rule *grown = realloc(set->rules, (set->nrules + 1) * sizeof(*grown));
	struct foreign *foreign = NULL;

	if (grown == NULL)
		return false;
	set->rules = grown;
	if (rule->foreign) {
		foreign = calloc(1, sizeof(*foreign) + len + 1);
		if (foreign == NULL)
			return false;
		memcpy(foreign->text, text, len);
		foreign->begin = foreign->covered = set->start;
		foreign->known = INT64_MAX;
		set->foreign = true;
	}
	grown += set->nrules++;
	grown->rule = *rule;
	grown->foreign = foreign;
	grown->exclude = exclude;
	bind_until(grown, set);
	return true;
}

bool recur_set_date(struct recur_set *set, const struct civil *date, bool exclude)
{
	int64_t at = civil_seconds(date);

	if (set->date)
		return times_add(exclude ? &set->excluded : &set->dates, civil_floor(at, CIVIL_DAY) * CIVIL_DAY);
	if (date->date) {
		if (exclude)
			return times_add(&set->excluded_days, at);
		return times_add(&set->dates, at + set->start - civil_floor(set->start, CIVIL_DAY) * CIVIL_DAY);
	}
	if (date->utc && set->zone) {
		if (exclude)
			return times_add(&set->excluded_instants, at);
		at = tz_to_local(set->zone, at);
	}
	return times_add(exclude ? &set->excluded : &set->dates, at);
}

void recur_set_seal(struct recur_set *set)
{
	bool ruled = false;

	for (size_t i = 0; i < set->nrules; i++)
		ruled = ruled || !set->rules[i].exclude;
	if (!ruled)
		times_add(&set->dates, set->start);
	times_sort(&set->dates);
	times_sort(&set->excluded);
	times_sort(&set->excluded_instants);
	times_sort(&set->excluded_days);
}

int64_t recur_set_start(const struct recur_set *set)
{
	return set->start;
}

int64_t recur_set_first(const struct recur_set *set)
{
	return set->dates.count && set->dates.at[0] < set->start ? set->dates.at[0] : set->start;
}

bool recur_set_is_date(const struct recur_set *set)
{
	return set->date;
}

const struct tz_zone *recur_set_zone(const struct recur_set *set)
{
	return set->zone;
}

bool recur_set_endless(const struct recur_set *set)
{
	for (size_t i = 0; i < set->nrules; i++)
		if (!set->rules[i].exclude && !set->rules[i].rule.has_until && !set->rules[i].rule.has_count)
			return true;
	return false;
}

bool recur_set_foreign(const struct recur_set *set)
{
	return set->foreign;
}

bool recur_set_foreign_rule(const struct recur_set *set, int64_t rule)
{
	return rule >= 0 && (uint64_t)rule < set->nrules && set->rules[rule].foreign;
}

static bool covers(const struct recur_set *set, const struct bound_rule *b, int64_t from, int64_t to)
{
	int64_t begin = from < set->start ? set->start : from, end = to <= b->until_far ? to : b->until_far + 1;

	return b->foreign == NULL || begin >= end || (begin >= b->foreign->begin && end <= b->foreign->covered);
}

int recur_set_lacks(const struct recur_set *set, int64_t from, int64_t to)
{
	for (size_t i = 0; set->foreign && i < set->nrules; i++)
		if (!covers(set, &set->rules[i], from, to))
			return (int)i;
	return RECUR_NONE;
}

const char *recur_set_text(const struct recur_set *set, int rule)
{
	return set->rules[rule].foreign->text;
}

int64_t recur_set_until(const struct recur_set *set, int rule)
{
	return set->rules[rule].until_far;
}

void recur_set_widen(const struct recur_set *set, int rule, int64_t *from, int64_t *to)
{
	const struct foreign *f = set->rules[rule].foreign;

	if (f->covered <= f->begin)
		return;
	*from = f->begin < *from ? f->begin : *from;
	*to = f->covered > *to ? f->covered : *to;
}

bool recur_set_give(struct recur_set *set, int rule, const int64_t *times, size_t n, int64_t begin, int64_t covered,
		    int64_t known)
{
	struct foreign *f = set->rules[rule].foreign;
	int64_t *copy = malloc((n ? n : 1) * sizeof(*copy));

	if (copy == NULL)
		return false;
	if (n)
		memcpy(copy, times, n * sizeof(*copy));
	free(f->at);
	f->at = copy;
	f->count = n;
	f->begin = begin;
	f->covered = covered;
	f->known = known;
	f->given++;
	return true;
}

int64_t recur_set_known(const struct recur_set *set)
{
	int64_t known = INT64_MAX;

	for (size_t i = 0; i < set->nrules; i++) {
		const struct foreign *f = set->rules[i].foreign;

		if (f && f->known < known && f->known <= set->rules[i].until_far)
			known = f->known;
	}
	return known;
}

int64_t recur_set_instant(const struct recur_set *set, int64_t local)
{
	return tz_to_utc(set->zone, local);
}

/* --- iteration --- */

/* Takes what UNTIL leaves of the times, which `more` says are not the last; gives their number. In a zone's gap later
 * local times may be earlier instants, so near a UTC UNTIL each is judged for itself. */
static size_t judge_until(const struct bound_rule *b, const struct recur_set *set, int64_t *times, size_t n, bool *more)
{
	size_t kept;

	if (n == 0 || times[n - 1] <= b->until_near)
		return n;
	for (kept = 0; kept < n && times[kept] <= b->until_near;)
		kept++;
	for (size_t i = kept; i < n; i++) {
		if (times[i] > b->until_far) {
			*more = false;
			break;
		}
		if (!b->until_utc || tz_to_utc(set->zone, times[i]) <= b->until)
			times[kept++] = times[i];
	}
	return kept;
}

/* Finds the first of the times that are known behind the last one. */
static void foreign_find(struct source *s, const struct recur_set *set)
{
	const struct foreign *f = s->bound->foreign;
	const struct times times = { f->at, f->count, f->count };

	s->given = f->given;
	s->place = times_find(&times, s->last == INT64_MIN ? INT64_MIN : s->last + 1);
	s->lacks = (s->last < set->start ? set->start : s->last + 1) < f->begin;
	s->ended = s->lacks;
}

/* The next times that are known of a rule of another calendar. */
static size_t foreign_fill(struct source *s, const struct recur_set *set, int64_t *out, size_t room)
{
	const struct foreign *f = s->bound->foreign;
	size_t n;

	if (s->given != f->given)
		foreign_find(s, set);
	if (s->ended)
		return 0;
	n = f->count - s->place < room ? f->count - s->place : room;
	if (n == 0) {
		s->lacks = f->covered < INT64_MAX;
		return 0;
	}
	memcpy(out, f->at + s->place, n * sizeof(*out));
	s->place += n;
	s->last = out[n - 1];
	return n;
}

/* The next times of one rule; 0 at the end. */
static size_t source_fill(struct source *s, const struct recur_set *set, int64_t *out, size_t room)
{
	size_t n = 0;

	while (n == 0 && !s->ended) {
		bool more = true;

		n = s->bound->foreign ? foreign_fill(s, set, out, room) : rrule_iter_fill(&s->iter, out, room);
		more = n > 0;
		if (s->bound->rule.has_until)
			n = judge_until(s->bound, set, out, n, &more);
		s->ended = !more;
	}
	if (set->date && s->bound->rule.freq < RRULE_DAILY)
		for (size_t i = 0; i < n; i++)
			out[i] = civil_floor(out[i], CIVIL_DAY) * CIVIL_DAY;
	return n;
}

/* The head of a source is its next time; INT64_MAX behind the last. */
static void source_advance(struct source *s, const struct recur_set *set)
{
	if (s->next == s->count) {
		s->next = 0;
		s->count = source_fill(s, set, s->ahead, s->room);
		s->room = AHEAD;
	}
	s->head = s->count ? s->ahead[s->next++] : INT64_MAX;
}

void recur_iter_start(struct recur_iter *it, int64_t from)
{
	const struct recur_set *set = it->set;

	it->last = from == INT64_MIN ? INT64_MIN : from - 1;
	it->next_date = times_find(&set->dates, from);
	for (size_t i = 0; i < set->nrules; i++) {
		struct source *s = &it->sources[i];

		s->bound = &set->rules[i];
		s->ended = s->lacks = false;
		s->next = s->count = 0;
		s->room = AHEAD_FIRST;
		if (s->bound->foreign) {
			s->last = from == INT64_MIN ? INT64_MIN : from - 1;
			foreign_find(s, set);
			continue;
		}
		rrule_iter_init(&s->iter, &s->bound->rule, set->start, set->date, from);
		if (s->bound->until_far < s->iter.stop)
			s->iter.stop = s->bound->until_far;
	}
	it->primed = false;
	it->plain = set->nrules == 1 && !set->foreign && !set->rules[0].exclude && !set->dates.count &&
		    !set->excluded.count && !set->excluded_days.count && !set->excluded_instants.count &&
		    !(set->date && set->rules[0].rule.freq < RRULE_DAILY);
}

struct recur_iter *recur_iter_new(const struct recur_set *set, int64_t from)
{
	struct recur_iter *it = malloc(sizeof(*it) + set->nrules * sizeof(it->sources[0]));

	if (it == NULL)
		return NULL;
	it->set = set;
	it->nsources = set->nrules;
	recur_iter_start(it, from);
	return it;
}

void recur_iter_free(struct recur_iter *it)
{
	free(it);
}

int recur_iter_lacks(const struct recur_iter *it, int64_t from, int64_t to)
{
	for (size_t i = 0; it->set->foreign && i < it->nsources; i++)
		if (it->sources[i].lacks && !covers(it->set, it->sources[i].bound, from, to))
			return (int)i;
	return RECUR_NONE;
}

/* Whether a rule is not known as far as it had to be looked at: one that gives times, or one that takes them away. */
static bool lacks(const struct recur_iter *it, bool exclude)
{
	for (size_t i = 0; it->set->foreign && i < it->nsources; i++)
		if (it->sources[i].lacks && it->sources[i].bound->exclude == exclude)
			return true;
	return false;
}

static bool is_excluded(struct recur_iter *it, int64_t t)
{
	const struct recur_set *set = it->set;
	bool found = false;

	for (size_t i = 0; i < it->nsources; i++) {
		struct source *s = &it->sources[i];

		if (!s->bound->exclude)
			continue;
		while (s->head < t)
			source_advance(s, set);
		found = found || s->head == t;
	}
	return found || times_have(&set->excluded, t) ||
	       times_have(&set->excluded_days, civil_floor(t, CIVIL_DAY) * CIVIL_DAY) ||
	       (set->excluded_instants.count && times_have(&set->excluded_instants, tz_to_utc(set->zone, t)));
}

bool recur_iter_next(struct recur_iter *it, int64_t *local)
{
	const struct recur_set *set = it->set;

	for (size_t i = 0; !it->primed && i < it->nsources; i++)
		source_advance(&it->sources[i], set);
	it->primed = true;
	for (int budget = EXCLUDED_BUDGET; budget > 0; budget--) {
		bool cut = lacks(it, false), dated = it->next_date < set->dates.count;
		int64_t t = dated ? set->dates.at[it->next_date] : INT64_MAX;
		struct source *first = NULL;

		for (size_t i = 0; i < it->nsources; i++) {
			struct source *s = &it->sources[i];

			if (s->bound->exclude || s->head >= t)
				continue;
			t = s->head;
			first = s;
		}
		if (cut || (first == NULL && !dated))
			return false;
		if (first)
			source_advance(first, set);
		else
			it->next_date++;
		if (t <= it->last && it->last != INT64_MIN)
			continue;
		it->last = t;
		if (t >= CIVIL_END)
			return false;
		if (is_excluded(it, t))
			continue;
		if (lacks(it, true))
			return false;
		*local = t;
		return true;
	}
	return false;
}

size_t recur_iter_fill(struct recur_iter *it, int64_t *out, size_t room)
{
	size_t n = 0;

	if (it->plain && !it->primed)
		return source_fill(&it->sources[0], it->set, out, room);
	while (n < room && recur_iter_next(it, &out[n]))
		n++;
	return n;
}
