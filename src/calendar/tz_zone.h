/* What a zone is in memory: for tzif.c, which reads it, and tz_lookup.c, which answers from it. */
#ifndef LUNATION_CALENDAR_TZ_ZONE_H
#define LUNATION_CALENDAR_TZ_ZONE_H

#include "calendar/tz.h"

enum {
	TZ_TRANSITIONS_MAX = 4096,
	TZ_TYPES_MAX = 256,
	TZ_NAMES_MAX = 1024,
	TZ_OFFSET_MAX = 26 * 3600, /* the widest offset that a TZif file may hold is below 26 hours */
	TZ_STD = TZ_TYPES_MAX,     /* the two types of the footer stand behind those of the file */
	TZ_DST,
};

struct tz_type {
	int32_t offset;
	bool dst;
	const char *name;
};

/* The changes of a zone in order: those of its file, then those of its footer for as many years as are looked up often.
 * The stretch i lies between the changes i - 1 and i. */
struct tz_zone {
	int references;
	char name[TZ_NAME_MAX];
	size_t count, room;
	int64_t *at;       /* instants, ended by INT64_MAX */
	int64_t *local;    /* the first local second that the stretch after each change answers for, ended likewise */
	int32_t *offset;   /* of each stretch: one more than changes */
	uint16_t *type_of; /* of the stretch after each change */
	uint16_t *bucket;  /* changes before each piece of time */
	uint16_t *local_bucket;
	size_t buckets;
	bool indexed;   /* local times may be looked up by `local` */
	bool by_footer; /* the footer alone answers before the first change */
	struct tz_type types[TZ_TYPES_MAX + 2];
	char names[TZ_NAMES_MAX + 1];
	struct tz_footer footer;
};

/* Makes room for so many changes. False without memory. */
bool tz_reserve(struct tz_zone *zone, size_t changes);
/* Adds the changes of the footer and the indexes; call once when all is read. False without memory. */
bool tz_index(struct tz_zone *zone);

#endif
