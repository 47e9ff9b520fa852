/* The VEVENTs of a flat calendar tree and their times, as far as they are written as RFC 5545 has them, for
   ical_instances.c. No Lua. */
#ifndef LUNATION_CALENDAR_ICAL_MOMENT_H
#define LUNATION_CALENDAR_ICAL_MOMENT_H

#include "calendar/civil.h"
#include "calendar/ical_instances.h"

typedef struct {
	int64_t local;
	bool date, zoned; /* zoned: it has a zone, UTC where `zone` is NULL */
	struct tz_zone *zone;
} ical_moment;

/* What one VEVENT says, as far as instances ask. */
typedef struct {
	uint32_t node, next; /* of its BEGIN; the next event of the UID */
	const char *uid;
	uint32_t uid_length;
	uint32_t start, end, duration, recurrence_id, rule; /* nodes of properties, 0: none */
	bool dates;                                         /* EXDATE or RDATE stand in it */
	bool careful;
	int64_t sequence;
	/* read later */
	ical_moment first;
	struct civil_duration length;
	bool has_length;
} ical_vevent;

#define ICAL_NO_EVENT UINT32_MAX

typedef struct {
	ical_vevent *at;
	uint32_t count, room;
	uint32_t *groups, slots; /* hash by UID: the first event of each, or ICAL_NO_EVENT */
	bool odd;                /* events inside of others, UIDs in other spellings: nothing is known of the groups */
	struct ical_unfolded *unfolded;
} ical_vevents;

/* False: no memory. What was read is to be freed in either case. */
bool ical_vevents_read(const ical_doc *doc, ical_vevents *list);
/* All but the unfolded texts. */
void ical_vevents_free(ical_vevents *list);

static inline bool ical_is_property(const ical_node *node)
{
	return node->name != 0 || node->value == ICAL_BARE;
}

/* Whether a name is this word, which is upper case, in any spelling. */
bool ical_named(const char *s, size_t length, const char *word);

/* The value of a property in one piece; false: it is folded, or has a place that needs care. */
bool ical_plain_value(const ical_doc *doc, const ical_node *node, const char **s, size_t *length);

/* One time of a property's value, by its VALUE and TZID parameters; false: it needs care. */
bool ical_moment_read(const ical_doc *doc, const ical_window *w, const ical_node *node, const char *s, size_t length,
		      ical_moment *out);

/* Start and length of an event; false: they need care. */
bool ical_vevent_times(const ical_doc *doc, const ical_window *w, ical_vevent *event);

/* Instants of an occurrence that begins at a local time; floating times are read in `floating`. */
void ical_vevent_bounds(const ical_window *w, const ical_vevent *event, int64_t local, struct tz_zone *floating,
			int64_t *start, int64_t *finish);

/* The local time in the zone of a series that a RECURRENCE-ID, EXDATE or RDATE names; false: it needs care. */
bool ical_moment_key(const ical_moment *moment, const ical_vevent *master, int64_t *key);

#endif
