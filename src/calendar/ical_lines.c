/* Logical lines of an iCalendar text (RFC 5545 section 3.1): line ends of every kind, folds, quoted-printable of
   vCalendar 1.0, bytes that are not UTF-8; and what is reported of them. */
#include "calendar/ical_parser.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

#define MAX_WARNINGS 100

static void push_problem(ical_parser *p, const char *code, size_t column, const char *format, va_list args)
{
	lua_State *L = p->L;

	lua_createtable(L, 0, 4);
	lua_pushstring(L, code);
	lua_setfield(L, -2, "code");
	lua_pushvfstring(L, format, args);
	lua_setfield(L, -2, "message");
	lua_pushinteger(L, (lua_Integer)p->started);
	lua_setfield(L, -2, "line");
	lua_pushinteger(L, (lua_Integer)column);
	lua_setfield(L, -2, "column");
}

void ical_fail(ical_parser *p, const char *code, size_t column, const char *format, ...)
{
	va_list args;

	if (p->failed)
		return;
	va_start(args, format);
	push_problem(p, code, column, format, args);
	va_end(args);
	lua_replace(p->L, SLOT_WARNINGS);
	p->failed = true;
}

void ical_complain(ical_parser *p, size_t column, const char *format, ...)
{
	va_list args;

	if (p->failed || (!p->strict && p->warnings >= MAX_WARNINGS))
		return;
	va_start(args, format);
	push_problem(p, "invalid_request", column, format, args);
	va_end(args);
	if (p->strict) {
		lua_replace(p->L, SLOT_WARNINGS);
		p->failed = true;
	} else {
		lua_rawseti(p->L, SLOT_WARNINGS, ++p->warnings);
	}
}

static bool next_physical(ical_parser *p, const char **s, size_t *length)
{
	const char *at = p->next, *stop, *cr;
	size_t left = (size_t)(p->end - at);

	if (left == 0)
		return false;
	stop = memchr(at, '\n', left);
	if (!stop)
		stop = p->end;
	cr = memchr(at, '\r', (size_t)(stop - at));
	*s = at;
	*length = (size_t)((cr ? cr : stop) - at);
	p->line++;
	/* A carriage return alone ends a line too, so that none can hide inside a value. */
	if (cr && (cr + 1 < stop || stop == p->end)) {
		p->next = cr + 1;
		if (p->strict)
			ical_complain(p, *length + 1, "a carriage return without a line feed");
		return true;
	}
	if (p->strict && !cr)
		ical_complain(p, *length + 1, "the line does not end with CRLF");
	p->next = stop < p->end ? stop + 1 : stop;
	return true;
}

static bool folded(const ical_parser *p)
{
	return p->next < p->end && (*p->next == ' ' || *p->next == '\t');
}

/* Blank lines between a line and its fold are a copying error often seen; they end nothing. */
static bool folded_after_blanks(const ical_parser *p)
{
	const char *at = p->next;

	while (at < p->end && (*at == '\r' || *at == '\n'))
		at++;
	return at > p->next && at < p->end && (*at == ' ' || *at == '\t');
}

static bool contains_word(const char *s, size_t length, const char *word)
{
	size_t n = strlen(word), i, j;

	for (i = 0; i + n <= length; i++) {
		for (j = 0; j < n; j++) {
			char c = s[i + j];
			if (c >= 'a' && c <= 'z')
				c = (char)(c - 'a' + 'A');
			if (c != word[j])
				break;
		}
		if (j == n)
			return true;
	}
	return false;
}

static bool quoted_printable(const char *s, size_t length)
{
	const char *colon = memchr(s, ':', length);

	return colon && contains_word(s, (size_t)(colon - s), "QUOTED-PRINTABLE");
}

bool ical_next_line(ical_parser *p, const char **s, size_t *length)
{
	p->started = p->line;
	if (!next_physical(p, s, length))
		return false;
	if (folded(p) || folded_after_blanks(p)) {
		p->unfolded.length = 0;
		ical_buffer_add(&p->unfolded, *s, *length);
		while (!p->failed && (folded(p) || folded_after_blanks(p))) {
			const char *more;
			size_t n;

			while (!folded(p)) {
				ical_complain(p, 1, "a blank line before a folded line");
				next_physical(p, &more, &n);
			}
			next_physical(p, &more, &n);
			ical_buffer_add(&p->unfolded, more + 1, n - 1);
		}
		*s = p->unfolded.data;
		*length = p->unfolded.length;
	}
	/* vCalendar 1.0 breaks quoted-printable values by an equals sign at the end of a line. */
	if (*length > 0 && (*s)[*length - 1] == '=' && quoted_printable(*s, *length)) {
		if (*s != p->unfolded.data) {
			p->unfolded.length = 0;
			ical_buffer_add(&p->unfolded, *s, *length);
		}
		while (p->unfolded.length > 0 && p->unfolded.data[p->unfolded.length - 1] == '=') {
			const char *more;
			size_t n;

			p->unfolded.length--;
			if (!next_physical(p, &more, &n))
				break;
			ical_buffer_add(&p->unfolded, more, n);
		}
		*s = p->unfolded.data;
		*length = p->unfolded.length;
	}
	if (!ical_utf8_valid(*s, *length)) {
		ical_complain(p, 1, "the line is not UTF-8; read as Windows-1252");
		p->mended.length = 0;
		ical_utf8_mend(&p->mended, *s, *length);
		*s = p->mended.data;
		*length = p->mended.length;
	}
	return !p->failed;
}
