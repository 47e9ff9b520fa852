/* The instances of a calendar in a window with libical, by hand: parsed once, then each master's iterator walks up to
 * the window, exceptions and
 * overrides are looked up in sorted arrays. Prints count, a sum that tells wrong from right, and the
 * time in seconds. */
#include <libical/ical.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct replaced {
	const char *uid;
	time_t at;
};

static struct replaced *replaced;
static size_t nreplaced;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_place(const void *a, const void *b)
{
	const struct replaced *x = a, *y = b;
	int order = strcmp(x->uid, y->uid);

	return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* The instant of a date-time property, by the zone that its TZID names. */
static time_t instant(icalproperty *p, struct icaltimetype t, icaltimezone **zone)
{
	static icaltimezone *last; /* looking zones up would take it longer than all else */
	static char name[64];
	icalparameter *tzid = icalproperty_get_first_parameter(p, ICAL_TZID_PARAMETER);

	if (tzid && strcmp(name, icalparameter_get_tzid(tzid)) != 0) {
		snprintf(name, sizeof name, "%s", icalparameter_get_tzid(tzid));
		last = icaltimezone_get_builtin_timezone(name);
	}
	*zone = tzid ? last : icaltimezone_get_utc_timezone();
	return icaltime_as_timet_with_zone(t, *zone);
}

static void note(icalcomponent *event, icalproperty *p, struct icaltimetype t)
{
	icaltimezone *zone;

	replaced = realloc(replaced, (nreplaced + 1) * sizeof *replaced);
	if (!replaced)
		abort();
	replaced[nreplaced].uid = icalcomponent_get_uid(event);
	replaced[nreplaced++].at = instant(p, t, &zone);
}

static void collect(icalcomponent *calendar)
{
	/* reading a time moves the calendar's own iterator */
	icalcompiter each = icalcomponent_begin_component(calendar, ICAL_VEVENT_COMPONENT);

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

static void count(time_t start, time_t length, time_t from, time_t to, long *n, long long *sum)
{
	if (start < to && start + length > from) {
		(*n)++;
		*sum += start;
	}
}

static void instances(icalcomponent *calendar, time_t from, time_t to, long *n, long long *sum)
{
	/* reading a time moves the calendar's own iterator */
	icalcompiter each = icalcomponent_begin_component(calendar, ICAL_VEVENT_COMPONENT);

	for (icalcomponent *e; (e = icalcompiter_deref(&each)); icalcompiter_next(&each)) {
		icalproperty *p = icalcomponent_get_first_property(e, ICAL_DTSTART_PROPERTY);
		icalproperty *end = icalcomponent_get_first_property(e, ICAL_DTEND_PROPERTY);
		icalproperty *rule = icalcomponent_get_first_property(e, ICAL_RRULE_PROPERTY);
		struct icaltimetype first = icalproperty_get_dtstart(p), t;
		struct icalrecurrencetype recurrence;
		struct replaced key = { icalcomponent_get_uid(e), 0 };
		icaltimezone *zone;
		time_t start = instant(p, first, &zone),
		       length = instant(end, icalproperty_get_dtend(end), &zone) - start;
		icalrecur_iterator *it;

		if (!rule) {
			count(start, length, from, to, n, sum);
			continue;
		}
		recurrence = icalproperty_get_rrule(rule);
		it = icalrecur_iterator_new(recurrence, first);
		for (t = icalrecur_iterator_next(it); !icaltime_is_null_time(t); t = icalrecur_iterator_next(it)) {
			key.at = icaltime_as_timet_with_zone(t, zone);
			if (key.at >= to)
				break;
			if (key.at + length > from && !bsearch(&key, replaced, nreplaced, sizeof key, by_place))
				count(key.at, length, from, to, n, sum);
		}
		icalrecur_iterator_free(it);
	}
}

int main(int argc, char **argv)
{
	FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
	icalcomponent *calendar;
	double begin;
	long n = 0, size;
	long long sum = 0;
	char *text;

	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0)
		return 2;
	rewind(file);
	text = calloc(1, (size_t)size + 1);
	if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
		return 2;
	calendar = icalparser_parse_string(text);
	if (!calendar)
		return 2;
	collect(calendar);
	begin = now();
	instances(calendar, (time_t)atoll(argv[2]), (time_t)atoll(argv[3]), &n, &sum);
	printf("%ld %lld %.6f\n", n, sum, now() - begin);
	fclose(file);
	return 0;
}
