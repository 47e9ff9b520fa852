/* Logical lines of an iCalendar text (RFC 5545 section 3.1) that need care: line ends of every kind, folds anywhere,
   quoted-printable of vCalendar 1.0, bytes that are not UTF-8; and what is reported of them. No Lua. */
#include "calendar/ical_parser.h"

#include <stdlib.h>
#include <string.h>

void *ical_doc_memory(ical_doc *doc, void *old, size_t before, size_t after)
{
	void *fresh = realloc(old, after);

	if (!fresh) {
		doc->failed = doc->no_memory = true;
		return NULL;
	}
	doc->memory += after;
	if (doc->memory > doc->peak)
		doc->peak = doc->memory; /* the old memory may stand beside the new while it is copied */
	doc->memory -= before;
	return fresh;
}

static ical_problem *add_problem(ical_parser *p, const char *code, const char *format)
{
	ical_doc *doc = p->doc;
	ical_problem *problem;

	if ((size_t)doc->problem_count == doc->problem_capacity) {
		size_t capacity = doc->problem_capacity ? doc->problem_capacity * 2 : 4;

		problem = ical_doc_memory(doc, doc->problems, doc->problem_capacity * sizeof *problem,
					  capacity * sizeof *problem);
		if (!problem)
			return NULL;
		doc->problems = problem;
		doc->problem_capacity = capacity;
	}
	problem = &doc->problems[doc->problem_count++];
	*problem = (ical_problem){ .code = code, .format = format, .line = p->started, .column = 1 };
	return problem;
}

void ical_fail(ical_parser *p, const char *code, const char *format, size_t number)
{
	ical_problem *problem;

	if (p->doc->failed)
		return;
	problem = add_problem(p, code, format);
	if (problem)
		problem->number = number > INT32_MAX ? INT32_MAX : (uint32_t)number;
	p->doc->failed = true;
}

void ical_complain(ical_parser *p, size_t column, const char *format)
{
	ical_problem *problem;

	if (p->doc->failed || (!p->strict && p->doc->problem_count >= ICAL_MAX_WARNINGS))
		return;
	problem = add_problem(p, "invalid_request", format);
	if (problem)
		problem->column = (uint32_t)column;
	if (p->strict)
		p->doc->failed = true;
}

static bool next_physical(ical_parser *p, const char **s, size_t *length)
{
	const char *at = p->next, *stop, *cr;

	if (at == p->end)
		return false;
	if (!p->line_feed || p->line_feed < at) {
		p->line_feed = memchr(at, '\n', (size_t)(p->end - at));
		if (!p->line_feed)
			p->line_feed = p->end;
	}
	stop = p->line_feed;
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
static bool folded_after_blanks(ical_parser *p)
{
	const char *at = p->next;

	if (at < p->past_blanks) {
		at = p->past_blanks;
	} else {
		while (at < p->end && (*at == '\r' || *at == '\n'))
			at++;
		p->past_blanks = at;
	}
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

static bool reserve_aside(ical_doc *doc, size_t more)
{
	size_t needed = doc->aside_length + more, capacity = doc->aside_capacity + doc->aside_capacity / 2;
	char *fresh;

	if (needed <= doc->aside_capacity)
		return true;
	if (capacity < needed)
		capacity = needed;
	fresh = ical_doc_memory(doc, doc->aside, doc->aside_capacity, capacity);
	if (!fresh)
		return false;
	doc->aside = fresh;
	doc->aside_capacity = capacity;
	return true;
}

static bool add_aside(ical_doc *doc, const char *s, size_t length)
{
	if (!reserve_aside(doc, length))
		return false;
	if (length > 0)
		memcpy(doc->aside + doc->aside_length, s, length);
	doc->aside_length += length;
	return true;
}

/* Puts the continuation lines of a folded line behind it. */
static bool unfold(ical_parser *p)
{
	while (!p->doc->failed && (folded(p) || folded_after_blanks(p))) {
		const char *more;
		size_t n;

		while (!folded(p)) {
			ical_complain(p, 1, "a blank line before a folded line");
			next_physical(p, &more, &n);
		}
		next_physical(p, &more, &n);
		if (!add_aside(p->doc, more + 1, n - 1))
			return false;
	}
	return true;
}

/* vCalendar 1.0 breaks quoted-printable values by an equals sign at the end of a line. */
static bool join(ical_parser *p, size_t mark)
{
	ical_doc *doc = p->doc;

	while (doc->aside_length > mark && doc->aside[doc->aside_length - 1] == '=') {
		const char *more;
		size_t n;

		doc->aside_length--;
		if (!next_physical(p, &more, &n))
			break;
		if (!add_aside(doc, more, n))
			return false;
	}
	return true;
}

/* What was put aside since `mark`; nothing may have been, of an empty line with an empty continuation. */
static ical_line line_aside(const ical_doc *doc, size_t mark)
{
	return (ical_line){ doc->aside ? doc->aside + mark : "", doc->aside_length - mark, true };
}

bool ical_next_line(ical_parser *p, ical_line *line)
{
	ical_doc *doc = p->doc;
	size_t mark = doc->aside_length;

	p->started = p->line;
	line->aside = false;
	if (!next_physical(p, &line->s, &line->length))
		return false;
	if (folded(p) || folded_after_blanks(p)) {
		if (!add_aside(doc, line->s, line->length) || !unfold(p))
			return false;
		*line = line_aside(doc, mark);
	}
	if (line->length > 0 && line->s[line->length - 1] == '=' && quoted_printable(line->s, line->length)) {
		if ((!line->aside && !add_aside(doc, line->s, line->length)) || !join(p, mark))
			return false;
		*line = line_aside(doc, mark);
	}
	if (!ical_utf8_valid(line->s, line->length)) {
		size_t length = ical_utf8_mend(line->s, line->length, NULL);

		ical_complain(p, 1, "the line is not UTF-8; read as Windows-1252");
		if (!reserve_aside(doc, length))
			return false;
		if (line->aside)
			line->s = doc->aside + mark; /* it may have moved */
		ical_utf8_mend(line->s, line->length, doc->aside + doc->aside_length);
		*line = (ical_line){ doc->aside + doc->aside_length, length, true };
		doc->aside_length += length;
	}
	return !doc->failed;
}
