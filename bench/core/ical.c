/* bench-core: calendar texts of 10 MB read into the C tree and written from it, against libical, in one run.
     ical                 the rows; fails where a ratio is below its floor
     ical fixture NAME    the text of a row on standard output, for the programs that cannot make it */
#include "calendar/ical_doc.h"

#include <libical/ical.h>

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 10000000, ROUNDS = 4, EACH = 8 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- the texts --- */

static struct {
	char *at;
	size_t length, room;
} out;

static uint32_t seed = 7;

static unsigned below(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % n;
}

static void put(const char *s, size_t length)
{
	if (out.length + length > out.room) {
		out.room = out.room ? out.room * 2 : SIZE + SIZE / 4;
		out.at = realloc(out.at, out.room);
		if (!out.at)
			abort();
	}
	memcpy(out.at + out.length, s, length);
	out.length += length;
}

/* A content line, folded at 75 octets between characters. */
static void line(const char *format, ...)
{
	char text[4096];
	size_t length, column = 0, i;
	va_list args;

	va_start(args, format);
	length = (size_t)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (i = 0; i < length;) {
		size_t n = 1;

		while (i + n < length && ((unsigned char)text[i + n] & 0xC0) == 0x80)
			n++;
		if (column + n > 75) {
			put("\r\n ", 3);
			column = 1;
		}
		put(text + i, n);
		column += n;
		i += n;
	}
	put("\r\n", 2);
}

static const char *words(unsigned count)
{
	static const char *const word[] = { "review",  "of",      "the",  "budget\\,", "planning", "Müller",
					    "and",     "call\\;", "with", "team",      "für",      "next",
					    "quarter", "notes",   "\\n",  "café" };
	static char text[4096];
	size_t n = 0;

	while (count-- > 0)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", word[below(16)]);
	return text;
}

static void begin_event(unsigned i)
{
	unsigned month = 1 + below(12), day = 1 + below(28), hour = 7 + below(11);

	line("BEGIN:VEVENT");
	line("UID:%08x-%u@calendar.example", below(1u << 24), i);
	line("DTSTAMP:20250101T%02u%02u00Z", below(24), below(60));
	line("DTSTART;TZID=Europe/Berlin:2025%02u%02uT%02u0000", month, day, hour);
	line("DTEND;TZID=Europe/Berlin:2025%02u%02uT%02u4500", month, day, hour);
}

/* What most calendars are: 20,000 events of 500 octets. */
static void plain_event(unsigned i)
{
	begin_event(i);
	line("SUMMARY:%s", words(2 + below(4)));
	if (i % 5 == 0)
		line("RRULE:FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20261231T000000Z");
	if (i % 20 == 0)
		line("EXDATE;TZID=Europe/Berlin:20250310T090000,20250317T090000");
	line("LOCATION:%s", words(2));
	line("DESCRIPTION:%s", words(14 + below(12)));
	line("CREATED:20241101T100000Z");
	line("LAST-MODIFIED:20241201T100000Z");
	line("SEQUENCE:%u", below(4));
	line("STATUS:CONFIRMED");
	line("TRANSP:OPAQUE");
	if (i % 4 == 0) {
		line("BEGIN:VALARM");
		line("ACTION:DISPLAY");
		line("TRIGGER:-PT15M");
		line("DESCRIPTION:Reminder");
		line("END:VALARM");
	}
	line("END:VEVENT");
}

/* Meetings with many people, and long texts. */
static void heavy_event(unsigned i)
{
	unsigned people = 8 + below(16);

	begin_event(i);
	line("SUMMARY;LANGUAGE=en:%s", words(4));
	line("ORGANIZER;CN=\"Doe, Jane %u\";SENT-BY=\"mailto:desk@office.example\":mailto:jane%u@office.example", i, i);
	while (people-- > 0)
		line("ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=%s;RSVP=TRUE;CN=\"Person %u, "
		     "%s\";X-NUM-GUESTS=0:"
		     "mailto:person%u@office.example",
		     below(2) ? "ACCEPTED" : "NEEDS-ACTION", below(5000), "Team", below(5000));
	line("DESCRIPTION;ALTREP=\"https://office.example/notes/%u\":%s", i, words(150));
	line("END:VEVENT");
}

static void fixture(const char *name)
{
	void (*event)(unsigned) = strcmp(name, "people") == 0 ? heavy_event : plain_event;
	unsigned i;

	out.length = 0;
	seed = 7;
	line("BEGIN:VCALENDAR");
	line("VERSION:2.0");
	line("PRODID:-//lunation//bench//EN");
	for (i = 0; event == plain_event ? i < 20000 : out.length < SIZE; i++)
		event(i);
	line("END:VCALENDAR");
	put("", 1);
	out.length--;
}

/* Without carriage returns every line must be written anew. */
static void strip_returns(void)
{
	size_t i, n = 0;

	for (i = 0; i < out.length; i++)
		if (out.at[i] != '\r')
			out.at[n++] = out.at[i];
	out.at[n] = '\0';
	out.length = n;
}

/* --- both sides --- */

typedef struct {
	double parse, write;
	size_t components, properties, memory, written;
} result;

static void keep_best(result *best, double began, double parsed, double done)
{
	if (parsed - began < best->parse)
		best->parse = parsed - began;
	if (done - parsed < best->write)
		best->write = done - parsed;
	best->components = best->properties = 0;
}

static void ours(result *best)
{
	ical_limits limits = { .max = 0 };
	double began = now(), parsed, done;
	ical_doc doc;
	char *text;
	uint32_t i;

	if (!ical_doc_parse(&doc, out.at, out.length, &limits))
		exit(2);
	parsed = now();
	text = ical_doc_write(&doc, &best->written);
	done = now();
	if (!text)
		exit(2);
	free(text);
	keep_best(best, began, parsed, done);
	best->memory = doc.peak;
	for (i = 0; i < doc.count; i++) {
		const ical_node *node = ical_doc_node(&doc, i);

		best->properties += node->name != 0 || node->value == ICAL_BARE;
		best->components += node->name == 0 && node->value == ICAL_BEGIN;
	}
	ical_doc_close(&doc);
}

static void count(icalcomponent *node, result *r)
{
	icalcomponent *child;
	icalproperty *p;

	r->components++;
	for (p = icalcomponent_get_first_property(node, ICAL_ANY_PROPERTY); p;
	     p = icalcomponent_get_next_property(node, ICAL_ANY_PROPERTY))
		r->properties++;
	for (child = icalcomponent_get_first_component(node, ICAL_ANY_COMPONENT); child;
	     child = icalcomponent_get_next_component(node, ICAL_ANY_COMPONENT))
		count(child, r);
}

static void theirs(result *best)
{
	size_t before = mallinfo2().uordblks;
	double began = now(), parsed, done;
	icalcomponent *calendar = icalparser_parse_string(out.at);
	char *text;

	parsed = now();
	if (!calendar)
		exit(2);
	best->memory = mallinfo2().uordblks - before;
	done = now();
	text = icalcomponent_as_ical_string_r(calendar);
	if (!text)
		exit(2);
	keep_best(best, began, parsed, parsed + now() - done);
	best->written = strlen(text);
	free(text);
	count(calendar, best);
	icalcomponent_free(calendar);
}

static int failed;

/* floor 0: reported, and not held */
static void row(const char *work, double mine, double peer, double floor)
{
	double ratio = peer / mine;
	int ok = ratio >= floor;

	failed |= !ok;
	printf("%s %-44s %9.2f ms %9.1f ms %7.0f x", ok ? "  ok" : "FAIL", work, mine * 1e3, peer * 1e3, ratio);
	if (floor > 0)
		printf("  (floor %.0f)", floor);
	printf("\n");
}

static void compare(const char *what, double parse_floor, double write_floor)
{
	result mine = { .parse = 1e9, .write = 1e9 }, peer = mine;
	char work[64];
	int i;

	/* By turns, so that what else the machine does meets both. */
	for (i = 0; i < ROUNDS * EACH; i++) {
		ours(&mine);
		if (i % EACH == 0)
			theirs(&peer);
	}
	printf("     %s: %.1f MB, %zu components, %zu properties; memory %.1f MB, libical %.1f MB\n", what,
	       (double)out.length / 1e6, mine.components, mine.properties, (double)mine.memory / 1e6,
	       (double)peer.memory / 1e6);
	if (mine.components != peer.components || mine.properties != peer.properties)
		printf("     libical makes %zu components and %zu properties of it: one property for each date of an "
		       "EXDATE\n",
		       peer.components, peer.properties);
	snprintf(work, sizeof work, "parse, %s", what);
	row(work, mine.parse, peer.parse, parse_floor);
	snprintf(work, sizeof work, "write, %s", what);
	row(work, mine.write, peer.write, write_floor);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "fixture") == 0) {
		fixture(argv[2]);
		return fwrite(out.at, 1, out.length, stdout) == out.length ? 0 : 1;
	}
	printf("     %-44s %12s %12s\n", "", "lunation", "libical");
	fixture("plain");
	compare("20,000 events", 35, 12);
	strip_returns();
	compare("20,000 events, no CR: each line anew", 0, 12);
	fixture("people");
	compare("attendees, parameters, folds", 0, 0);
	free(out.at);
	return failed;
}
