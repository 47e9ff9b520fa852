/* The occurrences of a calendar's series by stretches of time: months for what lasts at most two of them, decades for
 * the rest. Kept while memory lasts, mended when a series changes. */
#include "calendar/agenda.h"

#include <stdlib.h>

enum { MONTH_SPAN = 62 * CIVIL_DAY };

enum agenda_level event_level(const struct event *event)
{
	return event->span <= MONTH_SPAN ? LEVEL_MONTH : LEVEL_DECADE;
}

static int months_of(enum agenda_level level)
{
	return level == LEVEL_MONTH ? 1 : 120;
}

int64_t chunk_number(enum agenda_level level, int64_t instant)
{
	int year, month, day;

	if (instant < CIVIL_BEGIN)
		instant = CIVIL_BEGIN;
	if (instant >= CIVIL_END)
		instant = CIVIL_END - 1;
	civil_from_days(civil_floor(instant, CIVIL_DAY), &year, &month, &day);
	return ((int64_t)year * 12 + month - 1) / months_of(level);
}

int64_t chunk_begin(enum agenda_level level, int64_t number)
{
	int64_t month = number * months_of(level);

	return civil_days((int)(month / 12), (int)(month % 12) + 1, 1) * CIVIL_DAY;
}

/* Adds what of a series starts in a chunk. Wall-clock order is not always that of instants, hence the margin. */
static bool expand(struct chunk *chunk, struct event *event)
{
	struct recur_iter *it;
	int64_t local;
	bool good = true;

	if (recur_set_first(event->set) >= chunk->to + 2 * CIVIL_DAY || event->extent_end < chunk->from)
		return true;
	it = recur_iter_new(event->set, chunk->from - 2 * CIVIL_DAY);
	if (it == NULL)
		return false;
	while (good && recur_iter_next(it, &local) && local < chunk->to + 2 * CIVIL_DAY) {
		struct entry e = { .original = local, .event = event };

		event_occurrence(event, local, &e.start, &e.end);
		if (e.start >= chunk->from && e.start < chunk->to)
			good = run_add(&chunk->run, &e);
	}
	recur_iter_free(it);
	return good;
}

static void unlink_use(struct agenda *a, struct chunk *c)
{
	*(c->newer ? &c->newer->older : &a->newest) = c->older;
	*(c->older ? &c->older->newer : &a->oldest) = c->newer;
	c->newer = c->older = NULL;
}

static void link_use(struct agenda *a, struct chunk *c)
{
	c->older = a->newest;
	*(a->newest ? &a->newest->newer : &a->oldest) = c;
	a->newest = c;
}

static struct chunk **bucket_of(struct calendar *calendar, enum agenda_level level, int64_t number)
{
	return &calendar->levels[level].chunks[(uint64_t)number % CHUNK_BUCKETS];
}

void chunk_free(struct agenda *agenda, struct chunk *chunk)
{
	struct chunk **at = bucket_of(chunk->calendar, chunk->level, chunk->number);

	while (*at != chunk)
		at = &(*at)->next;
	*at = chunk->next;
	unlink_use(agenda, chunk);
	agenda->bytes -= chunk->bytes;
	run_free(&chunk->run);
	free(chunk);
}

static bool chunk_settle(struct agenda *agenda, struct chunk *c)
{
	if (!run_settle(&c->run))
		return false;
	agenda->bytes -= c->bytes;
	c->bytes = sizeof(*c) + run_bytes(&c->run);
	agenda->bytes += c->bytes;
	return true;
}

struct chunk *chunk_get(struct agenda *agenda, struct calendar *calendar, enum agenda_level level, int64_t number)
{
	struct chunk **bucket = bucket_of(calendar, level, number), *c;

	for (c = *bucket; c; c = c->next) {
		if (c->number != number)
			continue;
		unlink_use(agenda, c);
		link_use(agenda, c);
		return c;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->calendar = calendar;
	c->level = level;
	c->number = number;
	c->from = chunk_begin(level, number);
	c->to = chunk_begin(level, number + 1);
	c->run.unsorted = true;
	c->next = *bucket;
	*bucket = c;
	link_use(agenda, c);
	for (size_t i = 0; i < calendar->masters.count; i++) {
		struct event *e = calendar->masters.at[i].event;

		if (!e->dense && event_level(e) == level && !expand(c, e))
			goto bad;
	}
	if (chunk_settle(agenda, c))
		return c;
bad:
	chunk_free(agenda, c);
	return NULL;
}

bool chunks_add(struct calendar *calendar, struct event *event)
{
	enum agenda_level level = event_level(event);

	for (size_t i = 0; i < CHUNK_BUCKETS; i++)
		for (struct chunk *c = calendar->levels[level].chunks[i]; c; c = c->next)
			if (!expand(c, event))
				return false;
	return true;
}

bool chunks_settle(struct agenda *agenda, struct calendar *calendar)
{
	for (int level = 0; level < LEVELS; level++)
		for (size_t i = 0; i < CHUNK_BUCKETS; i++)
			for (struct chunk *c = calendar->levels[level].chunks[i]; c; c = c->next) {
				if (calendar->dead)
					run_sweep(&c->run);
				if (!chunk_settle(agenda, c))
					return false;
			}
	return true;
}

void chunks_free(struct agenda *agenda, struct calendar *calendar)
{
	for (int level = 0; level < LEVELS; level++)
		for (size_t i = 0; i < CHUNK_BUCKETS; i++)
			while (calendar->levels[level].chunks[i])
				chunk_free(agenda, calendar->levels[level].chunks[i]);
}

bool event_occurs(const struct event *event, int64_t from, int64_t to)
{
	struct recur_iter *it;
	int64_t local, start, end;
	bool found = false;

	for (size_t i = 0; i < event->noverrides && !found; i++) {
		const struct override *o = &event->overrides[i];

		found = !o->hidden && o->start < to && (o->end > from || o->start >= from);
	}
	if (found)
		return true;
	it = recur_iter_new(event->set, from - event->span - 2 * CIVIL_DAY);
	while (it && !found && recur_iter_next(it, &local) && local < to + 2 * CIVIL_DAY) {
		event_occurrence(event, local, &start, &end);
		found = start < to && (end > from || start >= from);
	}
	recur_iter_free(it);
	return found;
}
