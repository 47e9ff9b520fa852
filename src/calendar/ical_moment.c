/* The times of a VEVENT that are written as RFC 5545 has them. Whatever is not needs care, and is left to the reader in
   Lua, which knows what programs write. No Lua. */
#include "calendar/ical_moment.h"

#include <string.h>

bool ical_plain_value(const ical_doc *doc, const ical_node *node, const char **s, size_t *length)
{
	size_t name, value;

	if (node->flags & ICAL_FOLDED)
		return false;
	ical_doc_place(doc, node, &name, &value);
	*s = ical_doc_text(doc, node) + value;
	*length = node->length - value;
	return true;
}

static bool two(const char *s, int *value)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*value = (s[0] - '0') * 10 + s[1] - '0';
	return true;
}

/* YYYYMMDD, YYYYMMDDThhmmss, and the latter with Z. */
static bool read_time(const char *s, size_t length, int64_t *local, bool *date, bool *utc)
{
	struct civil c = { 0 };
	int century;

	if ((length != 8 && length != 15 && length != 16) || !two(s, &century) || !two(s + 2, &c.year) ||
	    !two(s + 4, &c.month) || !two(s + 6, &c.day))
		return false;
	c.year += century * 100;
	/* The first and the last year have neighbours that cannot be reckoned with. */
	if (c.year < 2 || c.year > 9998 || c.month < 1 || c.month > 12 || c.day < 1 ||
	    c.day > civil_month_days(c.year, c.month))
		return false;
	*date = length == 8;
	*utc = length == 16;
	if (!*date && (s[8] != 'T' || !two(s + 9, &c.hour) || !two(s + 11, &c.minute) || !two(s + 13, &c.second) ||
		       c.hour > 23 || c.minute > 59 || c.second > 59 || (*utc && s[15] != 'Z')))
		return false;
	*local = civil_seconds(&c);
	return true;
}

typedef struct {
	const char *tzid;
	size_t tzid_length;
	bool date, time; /* VALUE=DATE, VALUE=DATE-TIME */
} parameters;

static bool is(const char *s, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(s, word, length) == 0;
}

static bool read_parameters(const ical_doc *doc, const ical_node *node, parameters *out)
{
	const char *line = ical_doc_text(doc, node), *name, *s;
	size_t at, value, name_length, length;
	ical_cursor c = { .line = line };
	bool plain;

	*out = (parameters){ NULL, 0, false, false };
	if (!(node->flags & ICAL_PARAMETERS))
		return true;
	ical_doc_place(doc, node, &at, &value);
	c.at = at;
	c.length = value - 1;
	if (line[at] != ';')
		return false;
	while (ical_next_parameter(&c, &name, &name_length)) {
		bool value_type = is(name, name_length, "VALUE");

		if ((!value_type && !is(name, name_length, "TZID")) || !ical_next_value(&c, &s, &length, &plain) ||
		    !plain || length == 0)
			return false;
		if (!value_type && !out->tzid) {
			out->tzid = s;
			out->tzid_length = length;
		} else if (value_type && is(s, length, "DATE")) {
			out->date = true;
		} else if (value_type && is(s, length, "DATE-TIME")) {
			out->time = true;
		} else {
			return false;
		}
		if (ical_next_value(&c, &s, &length, &plain))
			return false;
	}
	return !(out->date && out->time);
}

bool ical_moment_read(const ical_doc *doc, const ical_window *w, const ical_node *node, const char *s, size_t length,
		      ical_moment *out)
{
	parameters p;
	bool utc;

	if (!read_parameters(doc, node, &p) || !read_time(s, length, &out->local, &out->date, &utc))
		return false;
	out->zone = NULL;
	out->zoned = utc;
	if (p.date && !out->date)
		return false;
	if (out->date || utc || !p.tzid)
		return true;
	out->zoned = true;
	return w->zone_of(w->context, p.tzid, p.tzid_length, out->local, &out->zone);
}

/* Weeks, days, hours, minutes, seconds, each at most once and in this order, no sign. */
static bool read_duration(const char *s, size_t length, struct civil_duration *out)
{
	static const char units[] = "WDTHMS";
	size_t i, at = 0, digits = 0;

	if (length < 3 || s[0] != 'P')
		return false;
	for (i = 1; i < length; i++) {
		const char *unit;

		if (s[i] >= '0' && s[i] <= '9') {
			if (++digits > 6)
				return false;
			continue;
		}
		unit = s[i] ? strchr(units + at, s[i]) : NULL;
		if (!unit || (digits == 0) != (s[i] == 'T'))
			return false;
		at = (size_t)(unit - units) + 1;
		digits = 0;
	}
	return digits == 0 && s[length - 1] != 'T' && civil_parse_duration(s, length, out);
}

static int64_t instant(const ical_moment *m)
{
	return m->zoned ? tz_to_utc(m->zone, m->local) : m->local;
}

static bool read_end(const ical_doc *doc, const ical_window *w, ical_vevent *e)
{
	const ical_node *node = ical_doc_node(doc, e->end);
	const char *s;
	size_t length;
	ical_moment end;
	int64_t seconds;

	if (!ical_plain_value(doc, node, &s, &length) || !ical_moment_read(doc, w, node, s, length, &end) ||
	    end.date != e->first.date || end.zoned != e->first.zoned)
		return false;
	seconds = end.date ? end.local - e->first.local : instant(&end) - instant(&e->first);
	if (seconds < 0)
		seconds = 0;
	e->length =
	    end.date ? (struct civil_duration){ seconds / CIVIL_DAY, 0 } : (struct civil_duration){ 0, seconds };
	return true;
}

bool ical_vevent_times(const ical_doc *doc, const ical_window *w, ical_vevent *e)
{
	const ical_node *node = ical_doc_node(doc, e->start);
	const char *s;
	size_t length;

	if (!e->start || !ical_plain_value(doc, node, &s, &length) ||
	    !ical_moment_read(doc, w, node, s, length, &e->first))
		return false;
	if (e->end)
		return read_end(doc, w, e);
	e->length = (struct civil_duration){ e->first.date ? 1 : 0, 0 };
	if (!e->duration)
		return true;
	node = ical_doc_node(doc, e->duration);
	if ((node->flags & ICAL_PARAMETERS) || !ical_plain_value(doc, node, &s, &length) ||
	    !read_duration(s, length, &e->length))
		return false;
	if (e->first.date) {
		int64_t days = e->length.days + (e->length.seconds + CIVIL_DAY - 1) / CIVIL_DAY;

		e->length = (struct civil_duration){ days > 1 ? days : 1, 0 };
	}
	return true;
}

void ical_vevent_bounds(const ical_window *w, const ical_vevent *e, int64_t local, struct tz_zone *floating,
			int64_t *start, int64_t *finish)
{
	struct tz_zone *zone = e->first.zoned ? e->first.zone : floating;

	if (e->first.date)
		zone = w->has_asked ? w->asked : NULL;
	*start = *finish = tz_to_utc(zone, local);
	if (local + e->length.days * CIVIL_DAY >= CIVIL_END)
		*finish += e->length.days * CIVIL_DAY;
	else if (e->length.days != 0)
		*finish = tz_to_utc(zone, local + e->length.days * CIVIL_DAY);
	*finish += e->length.seconds;
}

bool ical_moment_key(const ical_moment *m, const ical_vevent *master, int64_t *key)
{
	const ical_moment *first = &master->first;

	if (first->date)
		*key = civil_floor(m->local, CIVIL_DAY) * CIVIL_DAY;
	else if (m->date)
		return false;
	else if (!m->zoned || !first->zoned || m->zone == first->zone)
		*key = m->local;
	else
		*key = tz_to_local(first->zone, instant(m));
	return true;
}
