/* The instances of a calendar text: its VEVENTs are grouped by UID, of each group the master's rule is expanded in the
   window, and what EXDATE, RDATE and RECURRENCE-ID say of single occurrences stands in their place. No Lua. */
#include "calendar/ical_instances.h"
#include "calendar/ical_moment.h"
#include "calendar/rrule.h"

#include <stdlib.h>
#include <string.h>

/* How far wall clocks may be put forward or back around the ends of a window: Samoa left out a day. */
#define SLACK (25 * 3600)

enum { ADDED, REPLACED, EXCLUDED };

/* What stands in the place of the occurrence at a local time. */
typedef struct {
	int64_t key;
	int kind;
	int64_t sequence;
	uint32_t event; /* the override, by index; later ones are higher */
} change;

typedef struct {
	const ical_doc *doc;
	const ical_window *w;
	ical_instances *out;
	ical_vevents list;
	change *changes; /* of the series at hand, by key */
	size_t nchanges, changes_room;
	int64_t most; /* no instance that starts later is among the first `limit` */
	bool no_memory;
} reckoning;

static void *more_room(reckoning *r, void *old, size_t count, size_t size)
{
	void *fresh = realloc(old, count * size);

	if (!fresh)
		r->no_memory = true;
	return fresh;
}

/* --- instances --- */

static int by_start(const void *a, const void *b)
{
	const ical_instance *x = a, *y = b;
	size_t least = x->uid_length < y->uid_length ? x->uid_length : y->uid_length;
	int order;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	order = memcmp(x->uid, y->uid, least);
	if (order != 0)
		return order;
	if (x->uid_length != y->uid_length)
		return x->uid_length < y->uid_length ? -1 : 1;
	return (x->original > y->original) - (x->original < y->original);
}

void ical_instances_settle(ical_instances *out, size_t limit)
{
	if (out->count > 1)
		qsort(out->at, out->count, sizeof *out->at, by_start);
	if (out->count > limit) {
		out->count = limit;
		out->truncated = true;
	}
}

void ical_instances_free(ical_instances *out)
{
	free(out->at);
	free(out->left);
	ical_unfolded_free(out->unfolded);
	*out = (ical_instances){ .at = NULL };
}

static bool inside(const ical_window *w, int64_t start, int64_t finish)
{
	if (w->to != INT64_MAX && start >= w->to)
		return false;
	return w->from == INT64_MIN || finish > w->from || (start == finish && start >= w->from);
}

/* False: it lies outside of the window. */
static bool add(reckoning *r, const ical_vevent *e, const ical_vevent *named, int64_t local, int64_t original,
		struct tz_zone *floating)
{
	ical_instances *out = r->out;
	int64_t start, finish;

	ical_vevent_bounds(r->w, e, local, floating, &start, &finish);
	if (!inside(r->w, start, finish))
		return false;
	if (start > r->most) {
		out->truncated = true;
		return false;
	}
	if (out->count == out->room) {
		size_t room = out->room ? out->room * 2 : 256;
		ical_instance *at;

		/* However many there are, little more than the answer is kept, and nothing behind it looked for. */
		if (out->count > 65536 && out->count / 4 > r->w->limit && r->w->limit > 0) {
			ical_instances_settle(out, r->w->limit);
			r->most = out->at[out->count - 1].start;
		} else {
			at = more_room(r, out->at, room, sizeof *at);
			if (!at)
				return false;
			out->at = at;
			out->room = room;
		}
	}
	out->at[out->count++] =
	    (ical_instance){ start, finish, original, named->uid, named->uid_length, e->first.date };
	return true;
}

/* --- series --- */

static bool add_change(reckoning *r, int64_t key, int kind, int64_t sequence, uint32_t event)
{
	if (r->nchanges == r->changes_room) {
		size_t room = r->changes_room ? r->changes_room * 2 : 16;
		change *changes = more_room(r, r->changes, room, sizeof *changes);

		if (!changes)
			return false;
		r->changes = changes;
		r->changes_room = room;
	}
	r->changes[r->nchanges++] = (change){ key, kind, sequence, event };
	return true;
}

/* By key; what counts comes first. */
static int by_key(const void *a, const void *b)
{
	const change *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->kind != y->kind)
		return y->kind - x->kind;
	if (x->sequence != y->sequence)
		return x->sequence > y->sequence ? -1 : 1;
	return x->event > y->event ? -1 : x->event < y->event;
}

static void settle_changes(reckoning *r)
{
	size_t i, kept = 0;

	if (r->nchanges > 1)
		qsort(r->changes, r->nchanges, sizeof *r->changes, by_key);
	for (i = 0; i < r->nchanges; i++)
		if (kept == 0 || r->changes[kept - 1].key != r->changes[i].key)
			r->changes[kept++] = r->changes[i];
	r->nchanges = kept;
}

static const change *change_at(const reckoning *r, int64_t key)
{
	size_t low = 0, high = r->nchanges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->changes[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->nchanges && r->changes[low].key == key ? &r->changes[low] : NULL;
}

/* One EXDATE or RDATE; false: it needs care. */
static bool read_dates(reckoning *r, const ical_vevent *master, const ical_node *node, int kind)
{
	const char *s, *end;
	size_t length;

	if (!ical_plain_value(r->doc, node, &s, &length))
		return false;
	for (end = s + length; s < end;) {
		const char *comma = memchr(s, ',', (size_t)(end - s)), *stop = comma ? comma : end;
		ical_moment m;
		int64_t key;

		if (stop > s) {
			if (!ical_moment_read(r->doc, r->w, node, s, (size_t)(stop - s), &m) ||
			    !ical_moment_key(&m, master, &key))
				return false;
			if ((kind == EXCLUDED || key != master->first.local) &&
			    !add_change(r, key, kind, 0, ICAL_NO_EVENT))
				return false;
		}
		s = stop + 1;
	}
	return true;
}

static bool read_all_dates(reckoning *r, const ical_vevent *master)
{
	uint32_t i, end = ical_doc_node(r->doc, master->node + 1)->start;

	for (i = master->node + 2; i + 1 < end; i++) {
		const ical_node *node = ical_doc_node(r->doc, i);
		const char *name = ical_doc_text(r->doc, node);
		size_t length, value;

		if (!ical_is_property(node)) {
			if (node->value == ICAL_BEGIN)
				i = ical_doc_node(r->doc, i + 1)->start - 1;
			continue;
		}
		ical_doc_place(r->doc, node, &length, &value);
		if ((ical_named(name, length, "EXDATE") && !read_dates(r, master, node, EXCLUDED)) ||
		    (ical_named(name, length, "RDATE") && !read_dates(r, master, node, ADDED)))
			return false;
	}
	return true;
}

static bool read_override(reckoning *r, const ical_vevent *master, uint32_t index)
{
	ical_vevent *e = &r->list.at[index];
	const ical_node *node = ical_doc_node(r->doc, e->recurrence_id);
	const char *s;
	size_t length;
	ical_moment m;
	int64_t key;

	if (!ical_plain_value(r->doc, node, &s, &length) || !ical_moment_read(r->doc, r->w, node, s, length, &m) ||
	    !ical_moment_key(&m, master, &key) || !ical_vevent_times(r->doc, r->w, e))
		return false;
	/* Written in UTC it means the zone of its series, where each local time must name one instant. */
	if (e->first.zoned && !e->first.zone && master->first.zoned && master->first.zone) {
		int64_t local = tz_to_local(master->first.zone, e->first.local);

		if (e->length.days || tz_to_utc(master->first.zone, local) != e->first.local)
			return false;
	}
	return add_change(r, key, REPLACED, e->sequence, index);
}

/* The rule of a series; false: it needs care. */
static bool read_rule(reckoning *r, const ical_vevent *master, struct rrule *rule, const char **text, size_t *length)
{
	const ical_node *node = ical_doc_node(r->doc, master->rule);
	struct tz_zone *zone = master->first.zone;
	char message[RRULE_MESSAGE];
	int64_t until;
	size_t i;

	if ((node->flags & ICAL_PARAMETERS) || !ical_plain_value(r->doc, node, text, length))
		return false;
	for (i = 0; i < *length; i++) {
		char c = (*text)[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("=;,+-", c) != NULL) || c == '\0')
			return false;
		/* parts of X- names, and those of RFC 7529 */
		if (c == '-' && i > 0 && (*text)[i - 1] == 'X')
			return false;
	}
	if (!rrule_parse(*text, *length, rule, message) || rule->foreign || rule->skip != RRULE_OMIT ||
	    rule->rscale[0] || (rule->has_count && rule->count < 1) || rule->interval > 999999999)
		return false;
	if (!rule->has_until || master->first.date || !zone)
		return true;
	/* In a gap or an overlap UNTIL is not the same as a local time. */
	until = civil_seconds(&rule->until) + (rule->until.date ? CIVIL_DAY - 1 : 0);
	return rule->until.utc && !rule->until.date ? tz_to_utc(zone, tz_to_local(zone, until)) == until
						    : tz_to_local(zone, tz_to_utc(zone, until)) == until;
}

static struct recur_set *set_of(const ical_vevent *master, const struct rrule *rule, const char *text, size_t length)
{
	struct recur_set *set;
	struct civil start;

	civil_from_seconds(master->first.local, &start);
	start.date = master->first.date;
	start.utc = master->first.zoned && !master->first.zone;
	set = recur_set_new(&start, master->first.zone);
	if (set && !recur_set_rule(set, rule, text, length, false)) {
		recur_set_free(set);
		return NULL;
	}
	if (set)
		recur_set_seal(set);
	return set;
}

/* Whether the rule ended before the series begins. */
static bool ended(const ical_vevent *master, const struct rrule *rule)
{
	int64_t until = civil_seconds(&rule->until);

	if (!rule->has_until)
		return false;
	if (master->first.date)
		until = civil_floor(until, CIVIL_DAY) * CIVIL_DAY;
	else if (rule->until.date)
		until += CIVIL_DAY - 1;
	else if (rule->until.utc && master->first.zone)
		until = tz_to_local(master->first.zone, until);
	return until < master->first.local;
}

/* A local time of a series behind all that begin at an instant: clocks may be put forward or back around it. */
static int64_t local_at(const ical_vevent *master, struct tz_zone *floating, int64_t instant)
{
	struct tz_zone *zone = master->first.date ? NULL : master->first.zoned ? master->first.zone : floating;

	return tz_to_local(zone, instant) + SLACK + CIVIL_DAY;
}

/* Local times of the window in the zone of a series, wider by what clocks may be put forward or back. */
static void local_window(const reckoning *r, const ical_vevent *master, struct tz_zone *floating, int64_t *low,
			 int64_t *high)
{
	const ical_window *w = r->w;
	struct tz_zone *zone = master->first.date ? NULL : master->first.zoned ? master->first.zone : floating;
	int64_t start, finish;

	ical_vevent_bounds(w, master, master->first.local, floating, &start, &finish);
	*low = INT64_MIN;
	*high = INT64_MAX;
	if (w->from != INT64_MIN && w->from - (finish - start) > CIVIL_BEGIN + 2 * CIVIL_DAY)
		*low = tz_to_local(zone, w->from - (finish - start)) - SLACK - CIVIL_DAY;
	if (w->to != INT64_MAX && w->to < CIVIL_END - 2 * CIVIL_DAY)
		*high = local_at(master, floating, w->to);
}

static bool expand(reckoning *r, const ical_vevent *master, struct recur_set *set, bool ended_before)
{
	struct tz_zone *floating = r->w->has_asked ? r->w->asked : master->first.date ? NULL : r->w->floating;
	bool start_known = change_at(r, master->first.local) != NULL;
	int64_t low, high, times[64];
	struct recur_iter *it;
	size_t n, i, found = 0;

	local_window(r, master, floating, &low, &high);
	it = recur_iter_new(set, low);
	if (!it)
		return false;
	while ((n = recur_iter_fill(it, times, sizeof times / sizeof *times)) > 0) {
		if (r->most != INT64_MAX && local_at(master, floating, r->most) < high)
			high = local_at(master, floating, r->most);
		for (i = 0; i < n && times[i] < high && found <= r->w->limit; i++) {
			start_known |= times[i] == master->first.local;
			if (change_at(r, times[i]))
				continue;
			found += add(r, master, master, times[i], times[i], floating);
		}
		if (i < n || r->no_memory)
			break;
	}
	recur_iter_free(it);
	r->out->truncated |= found > r->w->limit;
	if (r->w->include_start && !start_known && !ended_before)
		add(r, master, master, master->first.local, master->first.local, floating);
	return true;
}

/* Occurrences that are added, or that an event of their own stands for. */
static void add_changes(reckoning *r, const ical_vevent *master)
{
	struct tz_zone *floating = r->w->has_asked ? r->w->asked : master->first.date ? NULL : r->w->floating;
	size_t i;

	for (i = 0; i < r->nchanges; i++) {
		const change *c = &r->changes[i];

		if (c->kind == ADDED)
			add(r, master, master, c->key, c->key, floating);
		else if (c->kind == REPLACED)
			add(r, &r->list.at[c->event], master, r->list.at[c->event].first.local, c->key, floating);
	}
}

/* The series of a group; false: it needs care. */
static bool read_series(reckoning *r, uint32_t first)
{
	ical_vevent *master = NULL;
	struct recur_set *set;
	struct rrule rule;
	const char *text = NULL;
	size_t length = 0;
	bool overrides = false, done;
	uint32_t i;

	for (i = first; i != ICAL_NO_EVENT; i = r->list.at[i].next) {
		ical_vevent *e = &r->list.at[i];

		if (e->careful)
			return false;
		if (e->recurrence_id)
			overrides = true;
		else if (!master || e->sequence >= master->sequence)
			master = e;
	}
	if (!master || !ical_vevent_times(r->doc, r->w, master))
		return false;
	r->nchanges = 0;
	if (master->dates && !read_all_dates(r, master))
		return false;
	for (i = first; overrides && i != ICAL_NO_EVENT; i = r->list.at[i].next)
		if (r->list.at[i].recurrence_id && !read_override(r, master, i))
			return false;
	settle_changes(r);
	if (!master->rule) {
		struct tz_zone *floating = r->w->has_asked ? r->w->asked : master->first.date ? NULL : r->w->floating;
		bool single = r->nchanges == 0;

		if (single || !change_at(r, master->first.local))
			add(r, master, master, master->first.local, single ? ICAL_NO_ORIGINAL : master->first.local,
			    floating);
		add_changes(r, master);
		return true;
	}
	if (!read_rule(r, master, &rule, &text, &length))
		return false;
	set = set_of(master, &rule, text, length);
	if (!set) {
		r->no_memory = true;
		return true;
	}
	done = expand(r, master, set, ended(master, &rule));
	recur_set_free(set);
	if (!done)
		r->no_memory = true;
	add_changes(r, master);
	return true;
}

static void leave(reckoning *r, uint32_t first)
{
	uint32_t i;

	if (!r->out->left)
		r->out->left = calloc(r->doc->count, sizeof *r->out->left);
	if (!r->out->left) {
		r->no_memory = true;
		return;
	}
	for (i = first; i != ICAL_NO_EVENT; i = r->list.at[i].next)
		r->out->left[r->list.at[i].node] = true;
}

bool ical_instances_of(const ical_doc *doc, const ical_window *window, ical_instances *out)
{
	reckoning r = { .doc = doc, .w = window, .out = out, .most = INT64_MAX };
	uint32_t slot;

	*out = (ical_instances){ .at = NULL };
	r.no_memory = !ical_vevents_read(doc, &r.list);
	out->all_left = r.list.odd;
	for (slot = 0; !r.no_memory && !out->all_left && slot < r.list.slots; slot++)
		if (r.list.groups[slot] != ICAL_NO_EVENT && !read_series(&r, r.list.groups[slot]))
			leave(&r, r.list.groups[slot]);
	if (!r.no_memory)
		ical_instances_settle(out, window->limit);
	out->unfolded = r.list.unfolded;
	ical_vevents_free(&r.list);
	free(r.changes);
	return !r.no_memory;
}
