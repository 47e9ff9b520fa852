/* Renderings: texts with slots, kept in bounded memory, and the splice that fills the slots for an instance. */
#include "calendar/agenda.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_OPEN = 1, SLOT_CLOSE = 2, LEN_MAX = 1 << 30 };

static size_t bytes_of(const struct rendering *r)
{
	return sizeof(*r) + r->len + r->nslots * sizeof(r->slots[0]);
}

static void unlink_use(struct agenda *a, struct rendering *r)
{
	*(r->newer ? &r->newer->older : &a->renderings.newest) = r->older;
	*(r->older ? &r->older->newer : &a->renderings.oldest) = r->newer;
	r->newer = r->older = NULL;
}

static void link_use(struct agenda *a, struct rendering *r)
{
	r->older = a->renderings.newest;
	*(a->renderings.newest ? &a->renderings.newest->newer : &a->renderings.oldest) = r;
	a->renderings.newest = r;
}

struct rendering *rendering_find(struct agenda *agenda, struct rendering *list, int64_t kind)
{
	for (struct rendering *r = list; r; r = r->next) {
		if (r->kind != kind)
			continue;
		if (agenda->renderings.newest != r) {
			unlink_use(agenda, r);
			link_use(agenda, r);
		}
		return r;
	}
	return NULL;
}

static void rendering_free(struct agenda *agenda, struct rendering *r)
{
	struct rendering **at = r->home;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	unlink_use(agenda, r);
	agenda->renderings.bytes -= bytes_of(r);
	free(r->slots);
	free(r->text);
	free(r);
}

void renderings_free(struct agenda *agenda, struct rendering **home)
{
	while (*home)
		rendering_free(agenda, *home);
}

void renderings_trim(struct agenda *agenda)
{
	while (agenda->renderings.oldest && agenda->renderings.bytes > agenda->renderings.budget)
		rendering_free(agenda, agenda->renderings.oldest);
}

/* Takes the slots out of a text and notes where they stood. */
static bool cut_slots(struct rendering *r, const char *text, size_t len)
{
	const char *end = text + len, *p = text, *open;
	size_t n = 0;

	for (p = text; (p = memchr(p, SLOT_OPEN, (size_t)(end - p))) != NULL; p++)
		n++;
	r->text = malloc(len ? len : 1);
	r->slots = malloc((n ? n : 1) * sizeof(r->slots[0]));
	if (r->text == NULL || r->slots == NULL)
		return false;
	for (p = text; p < end; p = open + 3) {
		open = memchr(p, SLOT_OPEN, (size_t)(end - p));
		memcpy(r->text + r->len, p, (size_t)((open ? open : end) - p));
		r->len += (size_t)((open ? open : end) - p);
		if (open == NULL)
			break;
		if (end - open < 3 || open[2] != SLOT_CLOSE || strchr("seio", open[1]) == NULL)
			return false;
		r->slots[r->nslots].at = (uint32_t)r->len;
		r->slots[r->nslots++].codec = open[1];
	}
	return true;
}

bool rendering_add(struct agenda *agenda, struct rendering **home, int64_t kind, const char *text, size_t len)
{
	struct rendering *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return false;
	r->home = home;
	r->kind = kind;
	r->omitted = text == NULL;
	if (text && (len > LEN_MAX || !cut_slots(r, text, len))) {
		free(r->slots);
		free(r->text);
		free(r);
		return false;
	}
	r->next = *home;
	*home = r;
	link_use(agenda, r);
	agenda->renderings.bytes += bytes_of(r);
	return true;
}

/* --- the splice --- */

void splice_text(struct splice *out, const char *text, size_t len)
{
	struct text *to = out->to;

	if (to->room - to->len < len) {
		size_t room = 2 * to->room > to->len + len ? 2 * to->room : to->len + len + 4096;
		char *grown = realloc(to->at, room);

		if (grown == NULL) {
			out->failed = true;
			return;
		}
		to->at = grown;
		to->room = room;
	}
	memcpy(to->at + to->len, text, len);
	to->len += len;
}

/* An instant as `"2025-03-09T06:30:00.000Z"`. */
static void splice_instant(struct splice *out, int64_t instant)
{
	char text[CIVIL_TEXT + 8] = "\"";
	size_t len = 1 + civil_format(instant, false, false, text + 1);

	memcpy(text + len, ".000Z\"", 6);
	splice_text(out, text, len + 6);
}

/* The characters of an id as JSON has them. */
static void splice_escaped(struct splice *out, const char *id)
{
	static const char hex[] = "0123456789abcdef";

	for (const char *p = id; *p;) {
		size_t plain =
		    strcspn(p, "\"\\\x01\x02\x03\x04\x05\x06\a\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17"
			       "\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f");
		unsigned char c = (unsigned char)p[plain];
		char escape[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, quoted[2] = { '\\', (char)c };

		splice_text(out, p, plain);
		p += plain;
		if (c == '"' || c == '\\')
			splice_text(out, quoted, 2);
		else if (c)
			splice_text(out, escape, 6);
		p += c != 0;
	}
}

static int64_t original_instant(const struct entry *e)
{
	if (e->original == AGENDA_NO_ORIGINAL)
		return e->start;
	return e->event->all_day ? e->original : tz_to_utc(e->event->zone, e->original);
}

/* The id of an instance: that of its series, `_`, and its original start: a date, a local time, or UTC. */
static void splice_id(struct splice *out, const struct entry *e)
{
	char text[CIVIL_TEXT], suffix[CIVIL_TEXT] = "_";
	const struct event *event = e->event;
	bool utc = !event->all_day && !event->floating;
	size_t len, n = 1;

	splice_text(out, "\"", 1);
	splice_escaped(out, event->id);
	if (e->original != AGENDA_NO_ORIGINAL) {
		len = civil_format(utc ? original_instant(e) : e->original, event->all_day, utc, text);
		for (size_t i = 0; i < len; i++)
			if (text[i] != '-' && text[i] != ':')
				suffix[n++] = text[i];
		splice_text(out, suffix, n);
	}
	splice_text(out, "\"", 1);
}

void splice_rendering(struct splice *out, const struct rendering *r, const struct entry *entry)
{
	size_t at = 0;

	for (size_t i = 0; i < r->nslots; i++) {
		splice_text(out, r->text + at, r->slots[i].at - at);
		at = r->slots[i].at;
		switch (r->slots[i].codec) {
		case 's':
			splice_instant(out, entry->start);
			break;
		case 'e':
			splice_instant(out, entry->end);
			break;
		case 'o':
			splice_instant(out, original_instant(entry));
			break;
		default:
			splice_id(out, entry);
		}
	}
	splice_text(out, r->text + at, r->len - at);
}
