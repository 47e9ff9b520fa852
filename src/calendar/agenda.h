/* The read path's memory: per calendar what its events' times are, sorted, and what their renderings look like. The
 * files behind it: event.c reads canonical JSON, run.c sorts and searches, chunk.c expands series, rendering.c splices,
 * agenda.c holds calendars and cuts pages. */
#ifndef LUNATION_CALENDAR_AGENDA_H
#define LUNATION_CALENDAR_AGENDA_H

#include "calendar/rrule.h"
#include "calendar/text.h"

#include <lua.h>

#define AGENDA_TYPE "lunation.agenda"
#define AGENDA_NO_ORIGINAL INT64_MIN

/* --- events --- */

struct rendering;

struct override {
	int64_t original; /* local time of the occurrence it stands for */
	int64_t start, end;
	bool hidden; /* cancelled */
	struct rendering *renderings;
};

struct event {
	int64_t key, revision, seq;
	char *id;
	bool all_day, floating, series;
	bool dense;           /* too many occurrences to keep */
	bool early;           /* an occurrence may start before the first */
	bool dead;            /* taken out, but still in runs */
	struct tz_zone *zone; /* of its local times, the calendar's for floating ones; NULL is UTC */
	int64_t start, end;   /* instants: of a single event, of a series' first */
	int64_t local_start;  /* as written */
	int64_t extent_end;   /* a series: no occurrence ends behind it */
	int64_t span;         /* seconds that an occurrence can last */
	struct civil_duration duration;
	struct recur_set *set;
	size_t noverrides;
	struct override *overrides; /* by `original` */
	struct rendering *renderings;
	size_t bytes;
	struct event *next; /* in the calendar's hash */
};

/* Reads canonical JSON; `zone` is the calendar's. NULL with a message if it has no usable start; an event with a
 * message if it has, but its recurrence cannot be read. */
struct event *event_read(struct tz_cache *cache, struct tz_zone *zone, const char *text, size_t len,
			 char message[RRULE_MESSAGE]);
void event_free(struct event *event);
/* The end of an occurrence that starts at a local time, and its start as an instant. */
void event_occurrence(const struct event *event, int64_t local, int64_t *start, int64_t *end);

/* --- runs: what is shown, in order --- */

struct entry {
	int64_t start, end;
	int64_t original; /* local; AGENDA_NO_ORIGINAL for a single event or a master */
	struct event *event;
	struct override *override; /* where one stands in */
};

struct run {
	struct entry *at;
	size_t count, room;
	bool unsorted;
	int64_t *ends; /* over blocks of entries the latest end, then over blocks of blocks */
	size_t levels, level_at[12];
};

bool run_add(struct run *run, const struct entry *entry);
/* Takes out the entries of dead events. */
void run_sweep(struct run *run);
/* Puts all in order after additions and sweeps. */
bool run_settle(struct run *run);
void run_free(struct run *run);
size_t run_bytes(const struct run *run);
/* start, then id, then original. */
int entry_order(const struct entry *a, const struct entry *b);
/* The first index whose entry is not before `start`; the first behind (start, id, original) in order. */
size_t run_from(const struct run *run, int64_t start);
size_t run_behind(const struct run *run, int64_t start, const char *id, int64_t original);
/* The first index from `i` on whose entry ends behind `from`, below `limit`; `limit` if there is none. */
size_t run_overlapping(const struct run *run, size_t i, size_t limit, int64_t from);

/* --- chunks: the occurrences of all series of a calendar that start in a stretch of time --- */

enum agenda_level { LEVEL_MONTH, LEVEL_DECADE, LEVELS };

enum { CHUNK_BUCKETS = 64 };

struct chunk {
	struct calendar *calendar;
	enum agenda_level level;
	int64_t number;
	int64_t from, to;
	struct run run;
	size_t bytes;                /* counted in the agenda's */
	struct chunk *next;          /* in the calendar's bucket */
	struct chunk *newer, *older; /* in the order of use */
};

struct calendar {
	int64_t key, account;
	char zone_name[TZ_NAME_MAX]; /* as it was given; "" where none is known */
	struct tz_zone *zone;
	int64_t seq; /* how far it is loaded */
	size_t nevents, nbuckets;
	struct event **buckets; /* by key */
	struct event *dead;     /* taken out since the runs were last settled */
	struct run singles;     /* single events and overrides */
	struct run masters;     /* series, by the start of their first occurrence */
	size_t ndense, nearly, nforeign;
	struct {
		int64_t longest;     /* span of its series; -1: there is none */
		int64_t first, last; /* all occurrences of the level's series start and end within */
		struct chunk *chunks[CHUNK_BUCKETS];
	} levels[LEVELS];
	bool unsettled; /* something was put or removed */
	struct calendar *next;
	uint64_t used;
};

struct agenda {
	struct tz_cache *zones;
	struct calendar *calendars;
	struct chunk *newest, *oldest;
	size_t bytes, budget;
	uint64_t clock;
	struct {
		struct rendering *newest, *oldest;
		size_t bytes, budget;
	} renderings;
};

enum agenda_level event_level(const struct event *event);
int64_t chunk_number(enum agenda_level level, int64_t instant);
int64_t chunk_begin(enum agenda_level level, int64_t number);
/* The chunk of a number, expanded if it is not kept. NULL without memory. */
struct chunk *chunk_get(struct agenda *agenda, struct calendar *calendar, enum agenda_level level, int64_t number);
/* Adds a new series to the chunks there are; they must be settled afterwards. */
bool chunks_add(struct calendar *calendar, struct event *event);
bool chunks_settle(struct agenda *agenda, struct calendar *calendar);
void chunks_free(struct agenda *agenda, struct calendar *calendar);
void chunk_free(struct agenda *agenda, struct chunk *chunk);
/* Whether a series has an occurrence in [from, to), by itself or by an override. */
bool event_occurs(const struct event *event, int64_t from, int64_t to);

/* --- calendars --- */

struct calendar *agenda_calendar(struct agenda *agenda, int64_t key);
/* Finds a calendar or makes it known; another account or zone empties it. NULL without memory. */
struct calendar *calendar_open(struct agenda *agenda, int64_t key, int64_t account, const char *zone);
void calendar_free(struct agenda *agenda, struct calendar *calendar);
/* Where an event stands in its bucket. */
struct event **calendar_event(struct calendar *calendar, int64_t key);
bool calendar_put(struct agenda *agenda, struct calendar *calendar, struct event *event, const char *id);
/* Out of sight at once; its entries go when the calendar is settled. */
void calendar_remove(struct calendar *calendar, int64_t key);
/* Puts runs and chunks in order after what was put and removed. */
bool calendar_settle(struct agenda *agenda, struct calendar *calendar);
/* Gives memory back where there is more than the budget. */
void agenda_trim(struct agenda *agenda);

/* --- pages --- */

/* The place of an entry in the order of a page. */
struct position {
	int64_t start, account, calendar, original;
	const char *id;
};

struct page_request {
	struct calendar **calendars;
	size_t ncalendars;
	int64_t from, to;
	bool masters;
	size_t limit;   /* entries of the page */
	size_t examine; /* entries that may be looked at for it */
	int64_t kind;   /* of the renderings; negative: none are looked for */
	const struct position *after;
};

struct shown {
	struct calendar *calendar;
	struct entry entry;
	struct rendering *rendering; /* NULL: has to be made */
};

/* What a request finds: at most one entry more than its limit, which says that there are more. */
struct page {
	struct shown *at;
	size_t count, room;
	bool cut; /* `examine` ended it: the page goes on behind `last` */
	struct shown last;
};

bool page_collect(struct agenda *agenda, const struct page_request *request, struct page *page);
struct rendering **entry_home(const struct entry *entry);

/* --- renderings --- */

/* A text with slots; which rendering of its event it is says `kind`. */
struct rendering {
	struct rendering **home; /* the list of its event or override */
	struct rendering *next;
	struct rendering *newer, *older;
	int64_t kind;
	bool omitted;
	size_t nslots, len;
	struct slot {
		uint32_t at;
		char codec;
	} * slots;
	char *text;
};

struct rendering *rendering_find(struct agenda *agenda, struct rendering *list, int64_t kind);
/* `text` NULL: the event is left out. False without memory or if a slot is none. */
bool rendering_add(struct agenda *agenda, struct rendering **home, int64_t kind, const char *text, size_t len);
void renderings_free(struct agenda *agenda, struct rendering **home);
void renderings_trim(struct agenda *agenda);

struct splice {
	struct text *to;
	bool failed;
};

void splice_text(struct splice *out, const char *text, size_t len);
void splice_rendering(struct splice *out, const struct rendering *r, const struct entry *entry);

/* --- what agenda_foreign.c has for Lua --- */

/* lacks(calendar, from, to) --> what rules of other calendars lack of a window, or nothing */
int agenda_lacks(lua_State *L);
/* give(calendar, want, times, begin, covered); without times the series is shown where it starts */
int agenda_give(lua_State *L);

#endif
