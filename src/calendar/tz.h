/* Time zones read from the system's tzdata: what the other C files of calendar/ use. Instants are seconds since the
 * Unix epoch; local seconds are the same count of a wall clock (civil.h). */
#ifndef LUNATION_CALENDAR_TZ_H
#define LUNATION_CALENDAR_TZ_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names of zones of somebody's own hold their changes. */
enum { TZ_NAME_MAX = 2048 };

struct tz_zone;  /* immutable once read, counted */
struct tz_cache; /* the zones that one Lua state has read */

/* A stretch of time, [start, end), in which one offset holds. */
struct tz_segment {
	int64_t start, end; /* INT64_MIN and INT64_MAX where there is no end */
	int32_t offset;     /* seconds east of Greenwich */
	bool dst;
	const char *abbreviation;
};

/* The day of a year on which a zone without table entries changes, as the footer of its file has it (RFC 9636
 * section 3.3). */
struct tz_rule {
	char kind; /* M: month, week, weekday; J: day 1..365 without leap days; D: day 0..365; 0: none */
	int month, week, day;
	int32_t time; /* seconds after that day's midnight; may be negative or beyond a day */
};

struct tz_footer {
	bool known, has_dst;
	char text[TZ_NAME_MAX]; /* the POSIX TZ string itself */
	int32_t std_offset, dst_offset;
	char std_name[16], dst_name[16];
	struct tz_rule to_dst, to_std;
};

/* The cache of this state; made at first need and owned by the state. */
struct tz_cache *tz_cache_of(lua_State *L);
/* Reads or finds a zone by its exact IANA name, or made from the POSIX TZ string behind a slash
 * (`/CET-1CEST,M3.5.0,M10.5.0/3`), as a custom zone is named (RFC 8984 section 4.7.2), single changes before it where
 * it has them (`/<+12>-12@1714852800@<+10>-10`); NULL if there is none. The caller owns a count of it. */
struct tz_zone *tz_acquire(struct tz_cache *cache, const char *name);
struct tz_zone *tz_retain(struct tz_zone *zone);
void tz_release(struct tz_zone *zone);

const char *tz_name(const struct tz_zone *zone);
const struct tz_footer *tz_footer_of(const struct tz_zone *zone);
void tz_segment_at(const struct tz_zone *zone, int64_t instant, struct tz_segment *out);
/* NULL as the zone stands for UTC in both. In a gap the offset before it holds, of two instants the first is taken
 * (RFC 5545 section 3.3.5). */
int64_t tz_to_utc(const struct tz_zone *zone, int64_t local);
int64_t tz_to_local(const struct tz_zone *zone, int64_t instant);
/* Turns local times that ascend into instants, in place: one look-up for all that share an offset. */
void tz_to_utc_run(const struct tz_zone *zone, int64_t *times, size_t n);
/* The local second at which a footer's rule fires in a year, counted in the offset before it. */
int64_t tz_rule_local(const struct tz_rule *rule, int year);

/* Finds the IANA name meant by a TZID, a Windows name or a display name; false if nothing is meant by it. */
bool tz_resolve(struct tz_cache *cache, const char *text, size_t len, char out[TZ_NAME_MAX]);
/* The Windows name of an IANA zone, or NULL. */
const char *tz_windows_name(const char *iana);

/* For tz.c, tznames.c and the programs of fuzz/ and bench/ only. */
struct tz_zone *tz_read(const char *directory, const char *name);
struct tz_zone *tz_parse(const char *name, const unsigned char *data, size_t len);
struct tz_zone *tz_from_posix(const char *name);
bool tz_name_valid(const char *name);
const char *tz_cache_directory(const struct tz_cache *cache);
/* The names that tzdata knows, read once: pairs of a name and the name it is a link to (or nothing), each ended by a
 * zero byte, an empty name ends the list. */
const char *tz_cache_names(struct tz_cache *cache);
const char *tz_windows_to_iana(const char *windows, size_t len);

#endif
