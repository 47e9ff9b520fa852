/* One page out of many calendars: sources in order, merged by a heap. Nothing is touched but what the page shows, and
 * what a search through blocks passes over. */
#include "calendar/agenda.h"

#include <stdlib.h>
#include <string.h>

/* A series that is too dense to keep is streamed. Its wall-clock order is not quite that of instants: where the clock
 * jumps ahead, entries wait until nothing earlier can follow. */
struct stream {
	struct recur_iter *iter;
	struct event *event;
	bool ended;
	int64_t local; /* the last drawn */
	struct entry *waiting;
	size_t first, count, room;
};

enum source_kind { SINGLES, MASTERS, CHAIN, STREAM };

struct source {
	enum source_kind kind;
	struct calendar *calendar;
	const struct run *run;
	size_t next, overlap; /* the index to go on at; below `overlap` entries start before the window */
	enum agenda_level level;
	int64_t chunk, last_chunk;
	struct stream stream;
	struct entry head;
};

struct merge {
	struct agenda *agenda;
	const struct page_request *request;
	struct source *sources, **heap;
	size_t nsources, count;
	bool failed;
};

static int calendar_order(int64_t account, int64_t key, const struct position *p)
{
	if (account != p->account)
		return account < p->account ? -1 : 1;
	return (key > p->calendar) - (key < p->calendar);
}

/* Where a run goes on behind the position of the page before. */
static size_t resume(const struct calendar *c, const struct run *run, const struct position *after)
{
	int order;

	if (after == NULL)
		return 0;
	order = calendar_order(c->account, c->key, after);
	if (order == 0)
		return run_behind(run, after->start, after->id, after->original);
	return run_from(run, order < 0 ? after->start + 1 : after->start);
}

static void open_run(struct merge *m, struct source *s, const struct run *run)
{
	s->run = run;
	s->next = resume(s->calendar, run, m->request->after);
	s->overlap = run_from(run, m->request->from);
}

/* The next entry of the open run that overlaps the window. */
static bool run_step(struct merge *m, struct source *s)
{
	const struct page_request *q = m->request;
	bool early = s->kind == MASTERS && s->calendar->nearly > 0;

	if (s->next < s->overlap)
		s->next = run_overlapping(s->run, s->next, s->overlap, q->from);
	if (s->next >= s->run->count || (!early && s->run->at[s->next].start >= q->to))
		return false;
	s->head = s->run->at[s->next++];
	return true;
}

static bool chain_step(struct merge *m, struct source *s)
{
	while (s->run == NULL || !run_step(m, s)) {
		struct chunk *chunk;

		if (s->chunk > s->last_chunk)
			return false;
		chunk = chunk_get(m->agenda, s->calendar, s->level, s->chunk++);
		if (chunk == NULL) {
			m->failed = true;
			return false;
		}
		open_run(m, s, &chunk->run);
	}
	return true;
}

/* The least and the greatest offset of a zone within a day of an instant. */
static void offsets_around(const struct tz_zone *zone, int64_t t, int32_t *least, int32_t *greatest)
{
	struct tz_segment segment;

	tz_segment_at(zone, t - CIVIL_DAY, &segment);
	*least = *greatest = segment.offset;
	while (segment.end < t + CIVIL_DAY) {
		tz_segment_at(zone, segment.end, &segment);
		*least = segment.offset < *least ? segment.offset : *least;
		*greatest = segment.offset > *greatest ? segment.offset : *greatest;
	}
}

static bool stream_open(struct merge *m, struct source *s)
{
	const struct page_request *q = m->request;
	struct stream *st = &s->stream;
	int64_t from = q->from - st->event->span;
	int32_t least, greatest;

	if (q->after && q->after->start > from)
		from = q->after->start;
	offsets_around(st->event->zone, from, &least, &greatest);
	st->iter = recur_iter_new(st->event->set, from + least);
	return st->iter != NULL;
}

/* Draws one more occurrence and puts it in its place among those that wait. */
static bool stream_draw(struct stream *st)
{
	struct entry e = { .event = st->event };
	size_t i;

	if (!recur_iter_next(st->iter, &st->local)) {
		st->ended = true;
		return true;
	}
	e.original = st->local;
	event_occurrence(st->event, st->local, &e.start, &e.end);
	if (st->first == st->count)
		st->first = st->count = 0;
	if (st->count == st->room) {
		size_t room = st->room ? 2 * st->room : 64;
		struct entry *grown = realloc(st->waiting, room * sizeof(*grown));

		if (grown == NULL)
			return false;
		st->waiting = grown;
		st->room = room;
	}
	for (i = st->count++; i > st->first && entry_order(&st->waiting[i - 1], &e) > 0; i--)
		st->waiting[i] = st->waiting[i - 1];
	st->waiting[i] = e;
	return true;
}

static bool stream_settled(const struct stream *st)
{
	int32_t least, greatest;

	if (st->ended)
		return true;
	if (st->first == st->count)
		return false;
	offsets_around(st->event->zone, st->local, &least, &greatest);
	return st->waiting[st->first].start < st->local - greatest;
}

static bool behind(const struct calendar *c, const struct entry *e, const struct position *after)
{
	int order;

	if (after == NULL || e->start != after->start)
		return after == NULL || e->start > after->start;
	order = calendar_order(c->account, c->key, after);
	if (order == 0)
		order = strcmp(e->event->id, after->id);
	return order ? order > 0 : e->original > after->original;
}

static bool stream_step(struct merge *m, struct source *s)
{
	const struct page_request *q = m->request;
	struct stream *st = &s->stream;

	if (st->iter == NULL && !stream_open(m, s)) {
		m->failed = true;
		return false;
	}
	for (;;) {
		while (!stream_settled(st))
			if (!stream_draw(st)) {
				m->failed = true;
				return false;
			}
		if (st->first == st->count)
			return false;
		s->head = st->waiting[st->first++];
		if (s->head.start >= q->to)
			return false;
		if ((s->head.start >= q->from || s->head.end > q->from) && behind(s->calendar, &s->head, q->after))
			return true;
	}
}

static bool source_step(struct merge *m, struct source *s)
{
	const struct page_request *q = m->request;

	switch (s->kind) {
	case SINGLES:
		do {
			if (!run_step(m, s))
				return false;
		} while (q->masters && s->head.override);
		return true;
	case MASTERS:
		do {
			if (!run_step(m, s))
				return false;
		} while (!event_occurs(s->head.event, q->from, q->to));
		s->head.end = s->head.event->end; /* the run has the series' */
		return true;
	case CHAIN:
		return chain_step(m, s);
	default:
		return stream_step(m, s);
	}
}

/* --- the heap --- */

static bool precedes(const struct source *a, const struct source *b)
{
	if (a->head.start != b->head.start)
		return a->head.start < b->head.start;
	if (a->calendar->account != b->calendar->account)
		return a->calendar->account < b->calendar->account;
	if (a->calendar->key != b->calendar->key)
		return a->calendar->key < b->calendar->key;
	return entry_order(&a->head, &b->head) < 0;
}

static void sink(struct merge *m, size_t i)
{
	struct source *s = m->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= m->count)
			break;
		if (child + 1 < m->count && precedes(m->heap[child + 1], m->heap[child]))
			child++;
		if (!precedes(m->heap[child], s))
			break;
		m->heap[i] = m->heap[child];
		i = child;
	}
	m->heap[i] = s;
}

static void add_source(struct merge *m, struct source s)
{
	struct source *own = &m->sources[m->nsources++];

	*own = s;
	if (s.kind == SINGLES)
		open_run(m, own, &s.calendar->singles);
	else if (s.kind == MASTERS)
		open_run(m, own, &s.calendar->masters);
	if (source_step(m, own))
		m->heap[m->count++] = own;
}

static void add_calendar(struct merge *m, struct calendar *c)
{
	const struct page_request *q = m->request;

	add_source(m, (struct source){ .kind = SINGLES, .calendar = c });
	if (q->masters) {
		add_source(m, (struct source){ .kind = MASTERS, .calendar = c });
		return;
	}
	for (int level = 0; level < LEVELS; level++) {
		struct source s = { .kind = CHAIN, .calendar = c, .level = level };
		int64_t from = q->from - c->levels[level].longest, to = q->to - 1;

		if (c->levels[level].longest < 0)
			continue;
		if (q->after && q->after->start > from)
			from = q->after->start;
		if (c->levels[level].first > from)
			from = c->levels[level].first;
		if (c->levels[level].last < to)
			to = c->levels[level].last;
		s.chunk = chunk_number(level, from);
		s.last_chunk = chunk_number(level, to);
		if (from <= to)
			add_source(m, s);
	}
	for (size_t i = 0; c->ndense && i < c->masters.count; i++)
		if (c->masters.at[i].event->dense)
			add_source(m, (struct source){
					  .kind = STREAM, .calendar = c, .stream.event = c->masters.at[i].event });
}

/* --- the page --- */

struct rendering **entry_home(const struct entry *entry)
{
	return entry->override ? &entry->override->renderings : &entry->event->renderings;
}

static bool show(struct page *page, const struct shown *shown)
{
	if (page->count == page->room) {
		size_t room = page->room ? 2 * page->room : 64;
		struct shown *grown = realloc(page->at, room * sizeof(*grown));

		if (grown == NULL)
			return false;
		page->at = grown;
		page->room = room;
	}
	page->at[page->count++] = *shown;
	return true;
}

static bool fill(struct merge *m, struct page *page)
{
	const struct page_request *q = m->request;
	size_t examined = 0;

	while (m->count > 0 && page->count <= q->limit && !m->failed) {
		struct source *s = m->heap[0];
		struct shown shown = { .calendar = s->calendar, .entry = s->head };

		if (examined++ == q->examine) {
			page->cut = true;
			break;
		}
		if (q->kind >= 0)
			shown.rendering = rendering_find(m->agenda, *entry_home(&shown.entry), q->kind);
		if (shown.rendering == NULL || !shown.rendering->omitted)
			if (!show(page, &shown))
				return false;
		page->last = shown;
		if (!source_step(m, s))
			m->heap[0] = m->heap[--m->count];
		if (m->count > 0)
			sink(m, 0);
	}
	return !m->failed;
}

bool page_collect(struct agenda *agenda, const struct page_request *request, struct page *page)
{
	struct merge m = { .agenda = agenda, .request = request };
	size_t room = 0;
	bool good = false;

	for (size_t i = 0; i < request->ncalendars; i++)
		room += 2 + LEVELS + request->calendars[i]->ndense;
	m.sources = malloc((room ? room : 1) * sizeof(*m.sources));
	m.heap = malloc((room ? room : 1) * sizeof(struct source *));
	if (m.sources == NULL || m.heap == NULL)
		goto out;
	if (request->from < request->to)
		for (size_t i = 0; i < request->ncalendars; i++)
			add_calendar(&m, request->calendars[i]);
	for (size_t i = m.count / 2; i-- > 0;)
		sink(&m, i);
	good = !m.failed && fill(&m, page);
out:
	for (size_t i = 0; i < m.nsources; i++) {
		recur_iter_free(m.sources[i].stream.iter);
		free(m.sources[i].stream.waiting);
	}
	free(m.sources);
	free(m.heap);
	return good;
}
