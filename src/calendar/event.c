/* What the agenda must know of an event, read from its canonical JSON (RFC 8984): when it is, how it recurs, which
 * occurrences are overridden. */
#include "calendar/agenda.h"
#include "calendar/jscan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_MAX = 16 };

struct reading {
	struct tz_cache *cache;
	struct tz_zone *calendar_zone;
	struct event *event;
	struct civil start;
	bool has_start, has_duration;
	struct jscan rules, excluded_rules, overrides; /* where they stand, read when the rest is known */
	bool has_rules, has_excluded, has_overrides;
};

static void read_time(struct jscan *s, struct civil *c, bool *given)
{
	struct jtext text;

	if (jscan_kind(s) != '"') {
		jscan_skip(s);
		return;
	}
	if (jscan_string(s, &text) && civil_parse(text.at, text.len, c))
		*given = true;
}

static void read_duration(struct jscan *s, struct civil_duration *d, bool *given)
{
	struct civil_duration read;
	struct jtext text;

	if (jscan_kind(s) != '"') {
		jscan_skip(s);
		return;
	}
	if (!jscan_string(s, &text) || !civil_parse_duration(text.at, text.len, &read) || read.days < 0 ||
	    read.seconds < 0)
		return;
	*d = read;
	*given = true;
}

/* A zone by name, the calendar's for null and for names that nobody knows. */
static struct tz_zone *read_zone(struct reading *r, struct jscan *s, bool *floating)
{
	char name[TZ_NAME_MAX], resolved[TZ_NAME_MAX];
	struct jtext text;
	struct tz_zone *zone;

	*floating = true;
	if (jscan_kind(s) != '"') {
		jscan_skip(s);
		return tz_retain(r->calendar_zone);
	}
	if (!jscan_string(s, &text) || !jtext_copy(&text, name, sizeof(name)))
		return tz_retain(r->calendar_zone);
	if (strcmp(name, "Etc/UTC") == 0 || strcmp(name, "UTC") == 0) {
		*floating = false;
		return NULL;
	}
	zone = tz_acquire(r->cache, name);
	if (zone == NULL && tz_resolve(r->cache, name, strlen(name), resolved)) {
		*floating = false;
		return strcmp(resolved, "UTC") == 0 ? NULL : tz_acquire(r->cache, resolved);
	}
	*floating = zone == NULL;
	return zone ? zone : tz_retain(r->calendar_zone);
}

/* --- rules: back into the text that rrule_parse reads, so that one place knows them --- */

struct builder {
	char text[2048];
	size_t len;
	bool full;
};

static void put(struct builder *b, const char *text, size_t len)
{
	if (b->len + len >= sizeof(b->text)) {
		b->full = true;
		return;
	}
	for (size_t i = 0; i < len; i++)
		b->text[b->len++] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
	b->text[b->len] = '\0';
}

static void put_value(struct builder *b, struct jscan *s)
{
	struct jtext text;
	int64_t n;
	char number[24];

	if (jscan_kind(s) == '"') {
		if (jscan_string(s, &text))
			put(b, text.at, text.len);
	} else if (jscan_integer(s, &n)) {
		put(b, number, (size_t)snprintf(number, sizeof(number), "%lld", (long long)n));
	}
}

static void put_weekday(struct builder *b, struct jscan *s)
{
	struct jtext name, day = { "", 0 };
	bool first = true;
	int64_t nth = 0;
	char number[24];

	while (jscan_member(s, &first, &name)) {
		if (jtext_is(&name, "day"))
			jscan_string(s, &day);
		else if (jtext_is(&name, "nthOfPeriod"))
			jscan_integer(s, &nth);
		else
			jscan_skip(s);
	}
	if (nth)
		put(b, number, (size_t)snprintf(number, sizeof(number), "%lld", (long long)nth));
	put(b, day.at, day.len);
}

static void put_list(struct builder *b, struct jscan *s)
{
	bool first = true, some = false;

	while (jscan_element(s, &first)) {
		if (some)
			put(b, ",", 1);
		some = true;
		if (jscan_kind(s) == '{')
			put_weekday(b, s);
		else
			put_value(b, s);
	}
}

static const char *const rule_parts[][2] = {
	{ "frequency", "FREQ" },        { "interval", "INTERVAL" },
	{ "rscale", "RSCALE" },         { "skip", "SKIP" },
	{ "firstDayOfWeek", "WKST" },   { "byDay", "BYDAY" },
	{ "byMonthDay", "BYMONTHDAY" }, { "byMonth", "BYMONTH" },
	{ "byYearDay", "BYYEARDAY" },   { "byWeekNo", "BYWEEKNO" },
	{ "byHour", "BYHOUR" },         { "byMinute", "BYMINUTE" },
	{ "bySecond", "BYSECOND" },     { "bySetPosition", "BYSETPOS" },
	{ "count", "COUNT" },           { "until", "UNTIL" },
};

static bool read_rule(struct recur_set *set, struct jscan *s, struct rrule *rule, bool exclude,
		      char message[RRULE_MESSAGE])
{
	struct builder b = { .len = 0 };
	bool first = true;
	struct jtext name;

	while (jscan_member(s, &first, &name)) {
		const char *part = NULL;
		char kind = jscan_kind(s);

		for (size_t i = 0; i < sizeof(rule_parts) / sizeof(rule_parts[0]); i++)
			if (jtext_is(&name, rule_parts[i][0]))
				part = rule_parts[i][1];
		if (part == NULL || kind == 'n') {
			jscan_skip(s);
			continue;
		}
		if (b.len)
			put(&b, ";", 1);
		put(&b, part, strlen(part));
		put(&b, "=", 1);
		if (kind == '[')
			put_list(&b, s);
		else
			put_value(&b, s);
	}
	if (b.full || s->failed) {
		snprintf(message, RRULE_MESSAGE, "the rule is too long");
		return false;
	}
	return rrule_parse(b.text, b.len, rule, message) && recur_set_rule(set, rule, b.text, b.len, exclude);
}

/* The most occurrences that a rule can have in a month. */
static int64_t density(const struct rrule *r, bool date)
{
	int64_t hours = __builtin_popcountll(r->hours), minutes = __builtin_popcountll(r->minutes);
	int64_t seconds = __builtin_popcountll(r->seconds), times;

	if (date && r->freq >= RRULE_DAILY)
		return 31;
	times = (hours ? hours : 1) * (minutes ? minutes : 1) * (seconds ? seconds : 1);
	switch (r->freq) {
	case RRULE_SECONDLY:
		return 31 * CIVIL_DAY / r->interval;
	case RRULE_MINUTELY:
		return 31 * 1440 / r->interval * (seconds ? seconds : 1);
	case RRULE_HOURLY:
		return 31 * 24 / r->interval * (minutes ? minutes : 1) * (seconds ? seconds : 1);
	default:
		return 31 * times;
	}
}

enum { DENSE = 1500 };

static bool read_rules(struct reading *r, struct jscan *s, bool exclude, char message[RRULE_MESSAGE])
{
	bool first = true;
	int n = 0;

	while (jscan_element(s, &first)) {
		struct rrule rule;

		if (++n > RULES_MAX) {
			snprintf(message, RRULE_MESSAGE, "more than %d rules", RULES_MAX);
			return false;
		}
		if (!read_rule(r->event->set, s, &rule, exclude, message))
			return false;
		if (!exclude && density(&rule, r->event->all_day) > DENSE)
			r->event->dense = true;
	}
	return !s->failed;
}

/* --- overrides --- */

static bool add_override(struct event *event, const struct override *o)
{
	size_t n = event->noverrides;

	if ((n & (n - 1)) == 0) {
		struct override *grown = realloc(event->overrides, (n ? 2 * n : 1) * sizeof(*grown));

		if (grown == NULL)
			return false;
		event->overrides = grown;
	}
	event->overrides[event->noverrides++] = *o;
	return true;
}

/* One member of recurrenceOverrides: taken out, added as it is, or changed. */
static bool read_override(struct reading *r, struct jscan *s, const struct civil *original)
{
	struct civil_duration duration = r->event->duration;
	struct event shape = *r->event;
	struct civil start = *original;
	bool first = true, excluded = false, changed = false, given = false, floating;
	struct override o = { .original = civil_seconds(original) };
	struct tz_zone *zone = NULL;
	struct jtext name;

	while (jscan_member(s, &first, &name)) {
		changed = true;
		if (jtext_is(&name, "excluded")) {
			excluded = jscan_true(s);
		} else if (jtext_is(&name, "start")) {
			read_time(s, &start, &given);
		} else if (jtext_is(&name, "duration")) {
			read_duration(s, &duration, &given);
		} else if (jtext_is(&name, "timeZone")) {
			tz_release(zone);
			zone = read_zone(r, s, &floating);
			shape.zone = zone;
		} else if (jtext_is(&name, "showWithoutTime")) {
			shape.all_day = jscan_true(s);
		} else if (jtext_is(&name, "status") && jscan_kind(s) == '"') {
			struct jtext status;

			o.hidden = jscan_string(s, &status) && jtext_is(&status, "cancelled");
		} else {
			jscan_skip(s);
		}
	}
	if (changed && !excluded) {
		shape.duration = duration;
		event_occurrence(&shape, civil_seconds(&start), &o.start, &o.end);
	}
	tz_release(zone);
	if (!recur_set_date(r->event->set, original, changed))
		return false;
	return !changed || excluded || add_override(r->event, &o);
}

static int by_original(const void *a, const void *b)
{
	int64_t x = ((const struct override *)a)->original, y = ((const struct override *)b)->original;

	return (x > y) - (x < y);
}

static bool read_overrides(struct reading *r, struct jscan *s)
{
	bool first = true;
	struct jtext name;

	while (jscan_member(s, &first, &name)) {
		struct civil original;

		if (!civil_parse(name.at, name.len, &original)) {
			jscan_skip(s);
			continue;
		}
		original.date = r->event->all_day;
		if (!read_override(r, s, &original))
			return false;
	}
	if (r->event->noverrides > 1)
		qsort(r->event->overrides, r->event->noverrides, sizeof(struct override), by_original);
	return !s->failed;
}

/* --- the event --- */

void event_occurrence(const struct event *event, int64_t local, int64_t *start, int64_t *end)
{
	const struct tz_zone *zone = event->all_day ? NULL : event->zone;

	*start = tz_to_utc(zone, local);
	if (event->duration.days == 0)
		*end = *start + event->duration.seconds;
	else
		*end = tz_to_utc(zone, local + event->duration.days * CIVIL_DAY) + event->duration.seconds;
	if (*end < *start)
		*end = *start;
}

static void read_members(struct reading *r, struct jscan *s)
{
	struct event *e = r->event;
	bool first = true, zoned = false;
	struct jtext name;

	while (jscan_member(s, &first, &name)) {
		if (jtext_is(&name, "start")) {
			read_time(s, &r->start, &r->has_start);
		} else if (jtext_is(&name, "duration")) {
			read_duration(s, &e->duration, &r->has_duration);
		} else if (jtext_is(&name, "timeZone") && !zoned) {
			e->zone = read_zone(r, s, &e->floating);
			zoned = true;
		} else if (jtext_is(&name, "showWithoutTime")) {
			e->all_day = jscan_true(s);
		} else if (jtext_is(&name, "recurrenceRules")) {
			r->has_rules = jscan_kind(s) == '[';
			r->rules = *s;
			jscan_skip(s);
		} else if (jtext_is(&name, "excludedRecurrenceRules")) {
			r->has_excluded = jscan_kind(s) == '[';
			r->excluded_rules = *s;
			jscan_skip(s);
		} else if (jtext_is(&name, "recurrenceOverrides")) {
			r->has_overrides = jscan_kind(s) == '{';
			r->overrides = *s;
			jscan_skip(s);
		} else {
			jscan_skip(s);
		}
	}
	if (!zoned) {
		e->zone = tz_retain(r->calendar_zone);
		e->floating = true;
	}
}

/* A set of few occurrences is counted to its end; a longer one counts as endless, which costs only a search. */
static int64_t last_start(const struct event *e)
{
	struct recur_iter *it;
	int64_t local, last = e->local_start;
	int n = 0;

	if (recur_set_endless(e->set) || recur_set_foreign(e->set))
		return CIVIL_END;
	it = recur_iter_new(e->set, INT64_MIN);
	while (it && n < 1000 && recur_iter_next(it, &local)) {
		last = local;
		n++;
	}
	recur_iter_free(it);
	return it == NULL || n == 1000 ? CIVIL_END : last;
}

static bool read_series(struct reading *r, char message[RRULE_MESSAGE])
{
	struct event *e = r->event;

	e->set = recur_set_new(&r->start, e->zone);
	if (e->set == NULL)
		return false;
	if (r->has_rules && !read_rules(r, &r->rules, false, message))
		return false;
	if (r->has_excluded && !read_rules(r, &r->excluded_rules, true, message))
		return false;
	if (r->has_overrides && !read_overrides(r, &r->overrides))
		return false;
	recur_set_seal(e->set);
	e->series = true;
	e->span = e->duration.days * CIVIL_DAY + e->duration.seconds + (e->duration.days ? CIVIL_DAY : 0);
	e->extent_end = last_start(e);
	if (e->extent_end < CIVIL_END)
		e->extent_end += e->span + 2 * CIVIL_DAY;
	for (size_t i = 0; i < e->noverrides; i++)
		if (e->overrides[i].end > e->extent_end)
			e->extent_end = e->overrides[i].end;
	e->early = recur_set_first(e->set) < e->local_start;
	for (size_t i = 0; i < e->noverrides; i++)
		e->early = e->early || e->overrides[i].start < e->start;
	e->bytes += recur_set_size(e->set) + e->noverrides * sizeof(struct override);
	return true;
}

/* A series whose rules nobody understands is shown where it starts. */
static void forget_series(struct event *e)
{
	recur_set_free(e->set);
	e->set = NULL;
	free(e->overrides);
	e->overrides = NULL;
	e->noverrides = 0;
	e->series = e->dense = false;
}

struct event *event_read(struct tz_cache *cache, struct tz_zone *zone, const char *text, size_t len,
			 char message[RRULE_MESSAGE])
{
	struct reading r = { .cache = cache, .calendar_zone = zone };
	struct jscan scan;

	snprintf(message, RRULE_MESSAGE, "not enough memory");
	r.event = calloc(1, sizeof(*r.event));
	if (r.event == NULL)
		return NULL;
	jscan_init(&scan, text, len);
	read_members(&r, &scan);
	if (scan.failed || !r.has_start) {
		snprintf(message, RRULE_MESSAGE, "the event has no start");
		goto bad;
	}
	r.start.utc = false;
	r.start.date = r.event->all_day;
	r.event->local_start = civil_seconds(&r.start);
	if (r.event->all_day) {
		r.event->local_start = civil_floor(r.event->local_start, CIVIL_DAY) * CIVIL_DAY;
		if (r.event->duration.days < 1)
			r.event->duration.days = 1;
		r.event->duration.seconds = 0;
		tz_release(r.event->zone); /* a date is midnight UTC wherever it is read */
		r.event->zone = NULL;
	}
	event_occurrence(r.event, r.event->local_start, &r.event->start, &r.event->end);
	r.event->bytes = sizeof(*r.event);
	message[0] = '\0';
	if (r.has_rules || r.has_overrides) {
		snprintf(message, RRULE_MESSAGE, "the recurrence cannot be read");
		if (read_series(&r, message))
			message[0] = '\0';
		else
			forget_series(r.event);
	}
	return r.event;
bad:
	event_free(r.event);
	return NULL;
}

void event_free(struct event *event)
{
	if (event == NULL)
		return;
	recur_set_free(event->set);
	tz_release(event->zone);
	free(event->overrides);
	free(event->id);
	free(event);
}
