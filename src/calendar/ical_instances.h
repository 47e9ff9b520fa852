/* What the events of a flat calendar tree amount to in a window. Only what is written as RFC 5545 has it is reckoned
   here; a UID whose events need more care (times written in other ways, ranges of overrides, rules of other calendars)
   is named, and left to the caller. No Lua. */
#ifndef LUNATION_CALENDAR_ICAL_INSTANCES_H
#define LUNATION_CALENDAR_ICAL_INSTANCES_H

#include "calendar/ical_doc.h"
#include "calendar/tz.h"

#define ICAL_NO_ORIGINAL INT64_MIN

typedef struct {
	int64_t start, finish;
	int64_t original; /* local time that the instance has in its series; ICAL_NO_ORIGINAL for a single event */
	const char *uid;
	uint32_t uid_length;
	bool all_day;
} ical_instance;

/* The zone that a TZID means for a local time: the caller knows the VTIMEZONEs. *zone is counted by the caller and
   lives as long as the reckoning; equal zones are the same pointer, NULL is UTC. False: nothing is known of it. */
typedef bool (*ical_zone_of)(void *context, const char *id, size_t length, int64_t local, struct tz_zone **zone);

typedef struct {
	int64_t from, to;         /* instants, [from, to); INT64_MIN and INT64_MAX: no bound */
	size_t limit;             /* instances */
	bool include_start;       /* DTSTART counts where its rule does not give it */
	struct tz_zone *asked;    /* of floating times and of days, NULL: UTC */
	bool has_asked;           /* otherwise `floating` is of floating times, and days are UTC's */
	struct tz_zone *floating; /* NULL: UTC */
	ical_zone_of zone_of;
	void *context;
} ical_window;

/* Texts that had folds in them. */
struct ical_unfolded {
	struct ical_unfolded *next;
	char text[];
};

void ical_unfolded_free(struct ical_unfolded *text);

typedef struct {
	ical_instance *at; /* by start, UID, original */
	size_t count, room;
	bool truncated;
	bool *left; /* by index of a node: the VEVENT that begins there is left to the caller; NULL: none is */
	bool all_left;
	struct ical_unfolded *unfolded;
} ical_instances;

/* False: no memory. The instances point into the document; they are to be freed in either case. */
bool ical_instances_of(const ical_doc *doc, const ical_window *window, ical_instances *out);
void ical_instances_free(ical_instances *out);
/* Puts more instances in order and keeps the first `limit`. */
void ical_instances_settle(ical_instances *out, size_t limit);

#endif
