/* The VEVENTs of a flat calendar tree, by UID: where their times and rules stand. No Lua. */
#include "calendar/ical_moment.h"

#include <stdlib.h>
#include <string.h>

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

bool ical_named(const char *s, size_t length, const char *word)
{
	size_t i;

	if (strlen(word) != length)
		return false;
	for (i = 0; i < length; i++)
		if (upper(s[i]) != word[i])
			return false;
	return true;
}

static void note(ical_vevent *e, uint32_t *field, uint32_t index, bool once)
{
	if (*field == 0)
		*field = index;
	else if (!once)
		e->careful = true;
}

/* A value without its folds; NULL: no memory. Long UIDs are folded by everybody. */
static const char *unfolded(ical_vevents *list, const char *s, size_t length, size_t *out)
{
	struct ical_unfolded *text = malloc(sizeof *text + length);

	if (!text)
		return NULL;
	text->next = list->unfolded;
	list->unfolded = text;
	*out = ical_unfold(s, length, text->text);
	return text->text;
}

/* False: no memory. */
static bool read_uid(const ical_doc *doc, ical_vevents *list, ical_vevent *e, const ical_node *node)
{
	size_t name, value, length;
	const char *s;

	if (e->uid)
		return true;
	ical_doc_place(doc, node, &name, &value);
	s = ical_doc_text(doc, node) + value;
	length = node->length - value;
	if (node->flags & ICAL_FOLDED) {
		s = unfolded(list, s, length, &length);
		if (!s)
			return false;
	}
	/* One that is written in another way may be that of other events. */
	if (length > 0 &&
	    ((unsigned char)s[0] <= ' ' || (unsigned char)s[length - 1] <= ' ' || memchr(s, '\\', length)))
		list->odd = true;
	e->uid = s;
	e->uid_length = (uint32_t)length;
	return true;
}

static void read_sequence(const ical_doc *doc, ical_vevent *e, const ical_node *node)
{
	const char *s;
	size_t length, i;

	if (e->sequence >= 0)
		return;
	e->sequence = 0;
	if (!ical_plain_value(doc, node, &s, &length) || length == 0 || length > 9) {
		e->careful = true;
		return;
	}
	for (i = 0; i < length; i++) {
		if (s[i] < '0' || s[i] > '9')
			e->careful = true;
		e->sequence = e->sequence * 10 + (s[i] - '0');
	}
	if (e->careful)
		e->sequence = 0;
}

/* False: no memory. */
static bool read_property(const ical_doc *doc, ical_vevents *list, ical_vevent *e, uint32_t index)
{
	const ical_node *node = ical_doc_node(doc, index);
	const char *name = ical_doc_text(doc, node);
	size_t length, value;

	ical_doc_place(doc, node, &length, &value);
	switch (length) {
	case 3:
		return !ical_named(name, length, "UID") || read_uid(doc, list, e, node);
	case 5:
		if (ical_named(name, length, "DTEND"))
			note(e, &e->end, index, true);
		else if (ical_named(name, length, "RRULE"))
			note(e, &e->rule, index, false);
		else if (ical_named(name, length, "RDATE"))
			e->dates = true;
		break;
	case 6:
		if (ical_named(name, length, "EXDATE"))
			e->dates = true;
		else if (ical_named(name, length, "EXRULE"))
			e->careful = true;
		break;
	case 7:
		if (ical_named(name, length, "DTSTART"))
			note(e, &e->start, index, true);
		break;
	case 8:
		if (ical_named(name, length, "DURATION"))
			note(e, &e->duration, index, true);
		else if (ical_named(name, length, "SEQUENCE"))
			read_sequence(doc, e, node);
		break;
	case 13:
		if (ical_named(name, length, "RECURRENCE-ID")) {
			note(e, &e->recurrence_id, index, true);
			/* Some write the first second of 1970 where they mean none. */
			e->careful |= node->length - value < 4 || memcmp(name + value, "1970", 4) == 0 ||
				      memcmp(name + value, "1969", 4) == 0;
		}
		break;
	default:
		break;
	}
	return true;
}

static uint32_t hash_of(const char *s, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)s[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static bool group_events(ical_vevents *list)
{
	uint32_t i, *last;

	for (list->slots = 64; list->slots < list->count * 2; list->slots *= 2)
		;
	list->groups = malloc(list->slots * sizeof *list->groups);
	last = malloc(list->slots * sizeof *last);
	if (!list->groups || !last) {
		free(last);
		return false;
	}
	memset(list->groups, 0xFF, list->slots * sizeof *list->groups);
	for (i = 0; i < list->count; i++) {
		const ical_vevent *e = &list->at[i];
		uint32_t at = hash_of(e->uid, e->uid_length) & (list->slots - 1);

		for (; list->groups[at] != ICAL_NO_EVENT; at = (at + 1) & (list->slots - 1)) {
			const ical_vevent *first = &list->at[list->groups[at]];

			if (first->uid_length == e->uid_length && memcmp(first->uid, e->uid, e->uid_length) == 0)
				break;
		}
		if (list->groups[at] == ICAL_NO_EVENT)
			list->groups[at] = i;
		else
			list->at[last[at]].next = i;
		last[at] = i;
	}
	free(last);
	return true;
}

/* Gives the index after the event; 0: no memory. */
static uint32_t read_event(const ical_doc *doc, ical_vevents *list, uint32_t index)
{
	uint32_t i, end = ical_doc_node(doc, index + 1)->start;
	int depth = 0;
	ical_vevent *e;

	if (list->count == list->room) {
		uint32_t room = list->room ? list->room * 2 : 256;
		ical_vevent *events = realloc(list->at, room * sizeof *events);

		if (!events)
			return 0;
		list->at = events;
		list->room = room;
	}
	e = &list->at[list->count++];
	*e = (ical_vevent){ .node = index, .next = ICAL_NO_EVENT, .sequence = -1 };
	for (i = index + 2; i + 1 < end; i++) {
		const ical_node *node = ical_doc_node(doc, i);

		if (ical_is_property(node)) {
			if (depth == 0 && !read_property(doc, list, e, i))
				return 0;
		} else if (node->value == ICAL_BEGIN) {
			/* Where an END is missing, the next event stands inside of this one. */
			list->odd |= ical_named(ical_doc_text(doc, node), node->length, "VEVENT");
			depth++;
		} else if (node->value == ICAL_END) {
			depth--;
		}
	}
	if (e->sequence < 0)
		e->sequence = 0;
	if (e->uid_length == 0) {
		e->uid = "";
		e->careful = true;
	}
	return end;
}

bool ical_vevents_read(const ical_doc *doc, ical_vevents *list)
{
	uint32_t i = 0;
	int depth = 0;

	*list = (ical_vevents){ .at = NULL };
	while (i < doc->count && !list->odd) {
		const ical_node *node = ical_doc_node(doc, i);

		if (!ical_is_property(node) && node->value == ICAL_BEGIN) {
			if (ical_named(ical_doc_text(doc, node), node->length, "VEVENT")) {
				list->odd = depth != 1;
				i = list->odd ? i : read_event(doc, list, i);
				if (i == 0 && !list->odd)
					return false;
				continue;
			}
			depth++;
		} else if (!ical_is_property(node) && node->value == ICAL_END) {
			depth--;
		}
		i++;
	}
	return list->odd || group_events(list);
}

void ical_vevents_free(ical_vevents *list)
{
	free(list->at);
	free(list->groups);
	*list = (ical_vevents){ .at = NULL, .unfolded = list->unfolded };
}

void ical_unfolded_free(struct ical_unfolded *text)
{
	while (text) {
		struct ical_unfolded *next = text->next;

		free(text);
		text = next;
	}
}
