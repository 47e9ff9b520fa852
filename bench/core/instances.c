/* bench-core: the instances of a calendar of 20,000 events in a month, overrides applied, against libical by hand. Both
   sides start from the calendar as it was parsed, and are reported from its text too. libical has no overrides and no
   windows: each master's iterator walks from DTSTART to the window, exceptions and overrides are looked up in a sorted
   array, and zones are remembered by name, which would cost it more than all else.
     instances            the rows; fails below the floor
     instances fixture    the calendar on standard output
     instances seconds    what it takes from what was parsed, without libical */
#include "calendar/ical_instances.h"

#include <libical/ical.h>

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS = 20000, ROUNDS = 3, EACH = 5 };

#define ZONE "Europe/Berlin"
#define FROM INT64_C(1740783600) /* 2025-03-01 there */
#define TO INT64_C(1743458400)   /* 2025-04-01 */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- the calendar --- */

static const char *const rules[] = {
	"FREQ=WEEKLY;BYDAY=MO,WE",
	"FREQ=DAILY;INTERVAL=3",
	"FREQ=MONTHLY;BYDAY=2TU",
	"FREQ=WEEKLY;INTERVAL=2;BYDAY=FR",
	"FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=12",
	"FREQ=WEEKLY;COUNT=400",
	"FREQ=MONTHLY;BYMONTHDAY=-1",
	"FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR;UNTIL=20300101T000000Z",
};

static char *text;
static size_t length;
static uint32_t seed = 7;

static int below(int n)
{
	seed = (seed * 1103515245u + 12345u) & 0x7fffffff;
	return (int)((seed >> 8) % (uint32_t)n);
}

static void event(int i, const char *day, int hour, const char *first, const char *second)
{
	length += (size_t)sprintf(text + length,
				  "BEGIN:VEVENT\r\nUID:e%d\r\nDTSTAMP:20250101T000000Z\r\nDTSTART;TZID=" ZONE
				  ":%sT%02d0000\r\n"
				  "DTEND;TZID=" ZONE ":%sT%02d4500\r\nSUMMARY:Event e%d\r\n%s%sEND:VEVENT\r\n",
				  i, day, hour, day, hour, i, first, second);
}

static void make(void)
{
	char day[16], first[128], second[64];
	int i;

	text = malloc(EVENTS * 400);
	if (!text)
		exit(2);
	length = (size_t)sprintf(text, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//EN\r\n");
	for (i = 1; i <= EVENTS; i++) {
		int year = 2018 + below(9), month = 1 + below(12), mday = 1 + below(28), hour = 7 + below(11);

		sprintf(day, "%04d%02d%02d", year, month, mday);
		if (i % 5 != 0) {
			event(i, day, hour, "", "");
			continue;
		}
		sprintf(first, "RRULE:%s\r\n", rules[i / 5 % 8]);
		sprintf(second, "EXDATE;TZID=" ZONE ":20250310T%02d0000\r\n", hour);
		event(i, day, hour, first, i % 20 == 0 ? second : "CLASS:PUBLIC\r\n");
		if (i % 40 == 0) {
			sprintf(first, "RECURRENCE-ID;TZID=" ZONE ":20250312T%02d0000\r\n", hour);
			event(i, "20250320", 18, first, "");
		}
	}
	length += (size_t)sprintf(text + length, "END:VCALENDAR\r\n");
}

/* --- both sides --- */

typedef struct {
	double from_tree, from_text;
	long count;
	long long sum;
} result;

static void keep_best(result *best, double began, double parsed, double done)
{
	if (done - parsed < best->from_tree)
		best->from_tree = done - parsed;
	if (done - began < best->from_text)
		best->from_text = done - began;
}

static bool only_zone(void *context, const char *id, size_t n, int64_t local, struct tz_zone **zone)
{
	(void)local;
	*zone = context;
	return n == strlen(ZONE) && memcmp(id, ZONE, n) == 0;
}

static void ours(result *best, struct tz_zone *zone)
{
	ical_window window = { .from = FROM, .to = TO, .limit = 1000000, .zone_of = only_zone, .context = zone };
	ical_instances found;
	ical_limits limits = { .max = 0 };
	double began = now(), parsed;
	ical_doc doc;
	size_t i;

	if (!ical_doc_parse(&doc, text, length, &limits))
		exit(2);
	parsed = now();
	if (!ical_instances_of(&doc, &window, &found) || found.all_left || found.left)
		exit(2);
	keep_best(best, began, parsed, now());
	best->count = (long)found.count;
	best->sum = 0;
	for (i = 0; i < found.count; i++)
		best->sum += found.at[i].start;
	ical_instances_free(&found);
	ical_doc_close(&doc);
}

struct replaced {
	const char *uid;
	time_t at;
};

static struct replaced *replaced;
static size_t nreplaced;

static int by_place(const void *a, const void *b)
{
	const struct replaced *x = a, *y = b;
	int order = strcmp(x->uid, y->uid);

	return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* The instant of a date-time property, by the zone that its TZID names. */
static time_t instant(icalproperty *p, struct icaltimetype t, icaltimezone **zone)
{
	static icaltimezone *last;
	static char name[64];
	icalparameter *tzid = icalproperty_get_first_parameter(p, ICAL_TZID_PARAMETER);

	if (tzid && strcmp(name, icalparameter_get_tzid(tzid)) != 0) {
		snprintf(name, sizeof name, "%s", icalparameter_get_tzid(tzid));
		last = icaltimezone_get_builtin_timezone(name);
	}
	*zone = tzid ? last : icaltimezone_get_utc_timezone();
	return icaltime_as_timet_with_zone(t, *zone);
}

static void note(icalcomponent *component, icalproperty *p, struct icaltimetype t)
{
	icaltimezone *zone;

	if (!replaced)
		replaced = malloc(2 * EVENTS * sizeof *replaced);
	if (!replaced)
		exit(2);
	replaced[nreplaced].uid = icalcomponent_get_uid(component);
	replaced[nreplaced++].at = instant(p, t, &zone);
}

static void collect(icalcomponent *calendar)
{
	/* reading a time moves the calendar's own iterator */
	icalcompiter each = icalcomponent_begin_component(calendar, ICAL_VEVENT_COMPONENT);

	nreplaced = 0;
	for (icalcomponent *e; (e = icalcompiter_deref(&each)); icalcompiter_next(&each)) {
		icalproperty *p = icalcomponent_get_first_property(e, ICAL_RECURRENCEID_PROPERTY);

		if (p)
			note(e, p, icalproperty_get_recurrenceid(p));
		p = icalcomponent_get_first_property(e, ICAL_EXDATE_PROPERTY);
		if (p)
			note(e, p, icalproperty_get_exdate(p));
	}
	qsort(replaced, nreplaced, sizeof *replaced, by_place);
}

static void count(result *r, time_t start, time_t lasts)
{
	if (start < TO && start + lasts > FROM) {
		r->count++;
		r->sum += start;
	}
}

static void walk(icalcomponent *calendar, result *r)
{
	icalcompiter each = icalcomponent_begin_component(calendar, ICAL_VEVENT_COMPONENT);

	for (icalcomponent *e; (e = icalcompiter_deref(&each)); icalcompiter_next(&each)) {
		icalproperty *p = icalcomponent_get_first_property(e, ICAL_DTSTART_PROPERTY);
		icalproperty *end = icalcomponent_get_first_property(e, ICAL_DTEND_PROPERTY);
		icalproperty *rule = icalcomponent_get_first_property(e, ICAL_RRULE_PROPERTY);
		struct icaltimetype first = icalproperty_get_dtstart(p), t;
		struct replaced key = { icalcomponent_get_uid(e), 0 };
		icaltimezone *zone;
		time_t start = instant(p, first, &zone),
		       lasts = instant(end, icalproperty_get_dtend(end), &zone) - start;
		icalrecur_iterator *it;

		if (!rule) {
			count(r, start, lasts);
			continue;
		}
		it = icalrecur_iterator_new(icalproperty_get_rrule(rule), first);
		for (t = icalrecur_iterator_next(it); !icaltime_is_null_time(t); t = icalrecur_iterator_next(it)) {
			key.at = icaltime_as_timet_with_zone(t, zone);
			if (key.at >= TO)
				break;
			if (key.at + lasts > FROM && !bsearch(&key, replaced, nreplaced, sizeof key, by_place))
				count(r, key.at, lasts);
		}
		icalrecur_iterator_free(it);
	}
}

static void theirs(result *best)
{
	double began = now(), parsed;
	icalcomponent *calendar = icalparser_parse_string(text);

	parsed = now();
	if (!calendar)
		exit(2);
	best->count = 0;
	best->sum = 0;
	collect(calendar);
	walk(calendar, best);
	keep_best(best, began, parsed, now());
	icalcomponent_free(calendar);
}

static int row(const char *work, double mine, double peer, double floor)
{
	int ok = peer / mine >= floor;

	printf("%s %-24s %8.2f ms, libical by hand %8.1f ms: %.0f x", ok ? "  ok" : "FAIL", work, mine * 1e3,
	       peer * 1e3, peer / mine);
	if (floor > 0)
		printf(" (floor %.0f)", floor);
	printf("\n");
	return !ok;
}

int main(int argc, char **argv)
{
	result mine = { .from_tree = 1e9, .from_text = 1e9 }, peer = mine;
	lua_State *L = luaL_newstate();
	struct tz_zone *zone;
	int i, failed;

	make();
	if (argc == 2 && strcmp(argv[1], "fixture") == 0)
		return fwrite(text, 1, length, stdout) == length ? 0 : 1;
	zone = L ? tz_acquire(tz_cache_of(L), ZONE) : NULL;
	if (!zone)
		return 2;
	for (i = 0; i < ROUNDS * EACH; i++) {
		ours(&mine, zone);
		if (argc == 1 && i % EACH == 0 && i / EACH < 2)
			theirs(&peer);
	}
	tz_release(zone);
	lua_close(L);
	if (argc == 2)
		return printf("%ld %lld %.6f %.6f\n", mine.count, mine.sum, mine.from_tree,
			      mine.from_text - mine.from_tree) < 0;
	printf("     %d events, %.1f MB, %ld instances of a month, %.2f us each\n", EVENTS, (double)length / 1e6,
	       mine.count, mine.from_tree * 1e6 / (double)mine.count);
	failed = row("from what was parsed", mine.from_tree, peer.from_tree, 25);
	row("from the text", mine.from_text, peer.from_text, 0);
	if (peer.count != mine.count || peer.sum != mine.sum)
		printf("     libical gives %ld instances\n", peer.count);
	free(replaced);
	free(text);
	return failed;
}
