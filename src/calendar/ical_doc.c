/* iCalendar text to a flat tree, in one pass: every line becomes a property or opens or closes a component, values stay
   as they are written. Lenient by default: what is wrong is a warning with its line, and a line that is no property is
   kept bare. With strict, the first thing wrong is the answer. No Lua. */
#include "calendar/ical_parser.h"

#include <stdlib.h>
#include <string.h>

/* --- nodes --- */

bool ical_add_block(ical_parser *p)
{
	ical_doc *doc = p->doc;
	size_t blocks = doc->count / ICAL_BLOCK, room = ICAL_BLOCK;
	ical_node *block;

	if (blocks == doc->block_table) {
		size_t n = blocks ? blocks * 2 : 4;
		ical_node **table = ical_doc_memory(doc, doc->blocks, blocks * sizeof *table, n * sizeof *table);

		if (!table)
			return false;
		doc->blocks = table;
		doc->block_table = n;
	}
	/* The shortest line is two octets, and eight that open a component make three nodes. */
	if (blocks == 0 && room > doc->length / 2 + 8)
		room = doc->length / 2 + 8;
	block = ical_doc_memory(doc, NULL, 0, room * sizeof *block);
	if (!block)
		return false;
	doc->blocks[blocks] = block;
	p->node = block;
	p->block_end = block + room;
	return true;
}

/* --- components --- */

static bool has_lower(const char *s, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (s[i] >= 'a' && s[i] <= 'z')
			return true;
	return false;
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool same_name(const char *a, const char *b, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (upper(a[i]) != upper(b[i]))
			return false;
	return true;
}

static uint32_t offset_of(const ical_parser *p, const ical_line *line)
{
	return (uint32_t)(line->s - (line->aside ? p->doc->aside : p->base));
}

void ical_open_component(ical_parser *p, const ical_line *name, unsigned flags)
{
	ical_frame *frame;
	ical_node *node;

	if (p->depth >= p->max_depth) {
		ical_fail(p, "too_large", "components nested deeper than %d", (size_t)p->max_depth);
		return;
	}
	node = ical_push_node(p);
	if (!node)
		return;
	if (name->aside)
		flags |= ICAL_ASIDE;
	if (has_lower(name->s, name->length))
		flags |= ICAL_LOWER;
	*node = (ical_node){ .start = offset_of(p, name),
			     .length = (uint32_t)name->length,
			     .line = p->started,
			     .value = ICAL_BEGIN,
			     .flags = (uint8_t)flags };
	p->frames[p->depth++].components++;
	frame = &p->frames[p->depth];
	*frame = (ical_frame){ .begin = node, .span = ical_push_node(p) };
	if (frame->span)
		*frame->span = (ical_node){ .value = ICAL_SPAN };
}

static void close_innermost(ical_parser *p, const ical_line *name, unsigned flags)
{
	ical_frame *frame = &p->frames[p->depth--];
	ical_node *node = ical_push_node(p);

	if (!node)
		return;
	*node = (ical_node){ .line = p->started, .value = ICAL_END };
	if (name) {
		node->start = offset_of(p, name);
		node->length = (uint32_t)name->length;
		/* It is written with the name that opened the component. */
		if (!name->aside && frame->begin->length == name->length &&
		    memcmp(ical_doc_text(p->doc, frame->begin), name->s, name->length) == 0)
			node->flags = (uint8_t)flags;
	}
	frame->span->start = p->doc->count;
	frame->span->length = frame->components;
	frame->span->line = frame->properties;
}

/* The innermost component, which a line or the end of the text closes without its END. */
static void close_without_end(ical_parser *p)
{
	ical_doc *doc = p->doc;
	const ical_node *begin = p->frames[p->depth].begin;
	int before = doc->problem_count;

	ical_complain(p, 1, "%s of line %d has no END");
	if (doc->problem_count > before) {
		ical_problem *problem = &doc->problems[before];

		problem->text = ICAL_TEXT_UPPER;
		problem->start = begin->start;
		problem->length = begin->length;
		problem->aside = begin->flags & ICAL_ASIDE;
		problem->number = begin->line;
	}
	if (!doc->failed)
		close_innermost(p, NULL, 0);
}

void ical_close_component(ical_parser *p, const ical_line *name, unsigned flags)
{
	ical_doc *doc = p->doc;
	int depth = p->depth, before = doc->problem_count;

	while (depth > 0 && !(p->frames[depth].begin->length == name->length &&
			      same_name(ical_doc_text(doc, p->frames[depth].begin), name->s, name->length)))
		depth--;
	if (depth == 0) {
		ical_complain(p, 5, "END:%s without its BEGIN");
		if (doc->problem_count > before) {
			ical_problem *problem = &doc->problems[before];

			problem->text = ICAL_TEXT;
			problem->start = offset_of(p, name);
			problem->length = (uint32_t)name->length;
			problem->aside = name->aside;
		}
		return;
	}
	while (p->depth > depth && !doc->failed)
		close_without_end(p);
	if (!doc->failed)
		close_innermost(p, name, flags);
}

/* --- lines --- */

static bool name_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static void add_property(ical_parser *p, const ical_line *line, size_t name, size_t value, unsigned flags)
{
	ical_node *node = ical_push_node(p);

	if (!node)
		return;
	if (line->aside)
		flags |= ICAL_ASIDE;
	if (name > UINT8_MAX || value > UINT16_MAX) {
		flags |= ICAL_LONG;
		name = 1;
		value = 0;
	}
	*node = (ical_node){ .start = offset_of(p, line),
			     .length = (uint32_t)line->length,
			     .line = p->started,
			     .value = (uint16_t)value,
			     .name = (uint8_t)name,
			     .flags = (uint8_t)flags };
	p->frames[p->depth].properties++;
	if (++p->count > p->max_properties)
		ical_fail(p, "too_large", "more than %d properties", p->max_properties);
}

/* A line that is no property, kept whole. */
static void keep_line(ical_parser *p, const ical_line *line, const char *why)
{
	ical_complain(p, 1, why);
	if (!p->doc->failed)
		add_property(p, line, 0, ICAL_BARE, 0);
}

static bool control_character(const char *s, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7F)
			return true;
	return false;
}

/* BEGIN and END; false: the line only looks like one and is a property. */
static bool read_structure(ical_parser *p, const ical_line *line, size_t value)
{
	ical_line name = { line->s + value, line->length - value, line->aside };

	while (name.length > 0 && (*name.s == ' ' || *name.s == '\t'))
		name.s++, name.length--;
	while (name.length > 0 && (name.s[name.length - 1] == ' ' || name.s[name.length - 1] == '\t'))
		name.length--;
	if (name.length == 0 || memchr(name.s, '\0', name.length))
		return false;
	if (line->s[0] == 'B' || line->s[0] == 'b')
		ical_open_component(p, &name, 0);
	else
		ical_close_component(p, &name, 0);
	return true;
}

static bool structural(const char *name, size_t length)
{
	return (length == 5 && same_name("BEGIN", name, 5)) || (length == 3 && same_name("END", name, 3));
}

static void complain_of_parameter(void *p, size_t column, const char *format)
{
	ical_complain(p, column, format);
}

/* Goes over the parameters to the colon; false: there is none. */
static bool read_parameters(ical_parser *p, const ical_line *line, size_t *at)
{
	ical_cursor c = { line->s, line->length, *at, complain_of_parameter, p };
	const char *s;
	size_t n;
	bool plain;

	while (ical_next_parameter(&c, &s, &n))
		while (ical_next_value(&c, &s, &n, &plain))
			;
	*at = c.at;
	return c.at < c.length && c.line[c.at] == ':';
}

static void read_property(ical_parser *p, const ical_line *line)
{
	const char *s = line->s;
	size_t length = line->length, at = 0, name;
	unsigned flags = 0;
	bool odd = false;

	while (at < length && s[at] != ':' && s[at] != ';') {
		if (!name_character(s[at])) {
			odd = true;
			if (s[at] == '"' || s[at] == '\t' || (unsigned char)s[at] < 0x20)
				break;
		}
		at++;
	}
	name = at;
	while (name > 0 && s[name - 1] == ' ')
		name--;
	if (at == length || (s[at] != ':' && s[at] != ';') || name == 0 || memchr(s, ' ', name)) {
		keep_line(p, line, "not a property: no name and value");
		return;
	}
	if (odd)
		ical_complain(p, 1, "a property name with characters that names do not have");
	if (s[at] == ';')
		flags |= ICAL_PARAMETERS;
	if (has_lower(s, name))
		flags |= ICAL_LOWER;
	if (!p->doc->failed && !read_parameters(p, line, &at)) {
		keep_line(p, line, "not a property: parameters without a value");
		return;
	}
	if (p->doc->failed)
		return;
	at++;
	if (structural(s, name)) {
		/* With parameters, or a space before the colon: written again it would be what it looks like. */
		ical_complain(p, 1, "BEGIN and END have a name and nothing else");
		if (p->doc->failed || read_structure(p, line, at))
			return;
		keep_line(p, line, "BEGIN or END without a name");
		return;
	}
	if (p->strict && control_character(s + at, length - at))
		ical_complain(p, at + 1, "a control character in the value");
	if (!p->doc->failed)
		add_property(p, line, name, at, flags);
}

/* Octets of white space or of a byte order mark with which the line cannot begin. */
static size_t octets_before(const ical_parser *p, const ical_line *line)
{
	if (line->length > 0 && (line->s[0] == ' ' || line->s[0] == '\t'))
		return 1;
	return p->depth == 0 && line->length >= 3 && memcmp(line->s, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

void ical_read_line(ical_parser *p, const ical_line *given)
{
	ical_line line = *given;
	const char *colon;

	/* Only the first line of a text can begin with white space; after any other it would be a fold. A byte order
	   mark outside every component is where one text was put behind another, or behind blank lines: such a line
	   would be the first of what is written, and its mark that of the text. */
	if (octets_before(p, &line) > 0) {
		size_t n;

		ical_complain(p, 1, "white space or a byte order mark before the line");
		while ((n = octets_before(p, &line)) > 0)
			line.s += n, line.length -= n;
		if (p->doc->failed)
			return;
	}
	if (line.length == 0) {
		if (p->strict)
			ical_complain(p, 1, "a blank line");
		return;
	}
	colon = memchr(line.s, ':', line.length < 8 ? line.length : 8);
	if (colon && structural(line.s, (size_t)(colon - line.s)) &&
	    read_structure(p, &line, (size_t)(colon + 1 - line.s)))
		return;
	read_property(p, &line);
}

/* --- the whole text --- */

static void read_all(ical_parser *p)
{
	ical_doc *doc = p->doc;
	ical_line line;

	while (!doc->failed) {
		if (!p->strict)
			ical_read_plain(p);
		if (doc->failed || !ical_next_line(p, &line))
			break;
		ical_read_line(p, &line);
	}
	p->started = p->line > 1 ? p->line - 1 : 1;
	while (!doc->failed && p->depth > 0)
		close_without_end(p);
	doc->properties = p->frames[0].properties;
	doc->components = p->frames[0].components;
	p->started = 1;
	if (!doc->failed && doc->components == 0)
		ical_fail(p, "invalid_request", "not iCalendar: nothing begins with BEGIN:", 0);
	if (!doc->failed && p->strict && (doc->components != 1 || doc->properties != 0))
		ical_fail(p, "invalid_request", "not one iCalendar object", 0);
}

static bool begins(const ical_doc *doc, const char *mark, size_t length)
{
	return doc->length >= length && memcmp(doc->text, mark, length) == 0;
}

/* Byte order marks: that of UTF-8 is left out, those of UTF-16 say how the text is to be decoded. */
static void read_mark(ical_parser *p)
{
	ical_doc *doc = p->doc;

	if (begins(doc, "\xEF\xBB\xBF", 3)) {
		ical_complain(p, 1, "the text begins with a byte order mark");
		doc->text += 3;
		doc->length -= 3;
	} else if (begins(doc, "\xFF\xFE", 2) || begins(doc, "\xFE\xFF", 2)) {
		size_t length = ical_utf16_decode(doc->text, doc->length, NULL);

		ical_complain(p, 1, "the text is UTF-16");
		doc->decoded = ical_doc_memory(doc, NULL, 0, length + 1);
		if (!doc->decoded)
			return;
		ical_utf16_decode(doc->text, doc->length, doc->decoded);
		doc->text = doc->decoded;
		doc->length = length;
	}
}

bool ical_doc_parse(ical_doc *doc, const char *text, size_t length, const ical_limits *limits)
{
	size_t max = limits && limits->max ? limits->max : (size_t)32 << 20;
	size_t depth = limits && limits->depth ? limits->depth : 16;
	ical_parser p = { .doc = doc, .line = 1, .started = 1 };

	*doc = (ical_doc){ .text = text, .length = length };
	p.max_depth = depth > ICAL_MAX_OPEN ? ICAL_MAX_OPEN : (int)depth;
	p.max_properties = limits && limits->properties ? limits->properties : 2000000;
	p.strict = limits && limits->strict;
	if (max > UINT32_MAX / 4)
		max = UINT32_MAX / 4; /* offsets, and what is mended grows */
	if (length > max) {
		ical_fail(&p, "too_large", "the text is larger than %d octets", max);
		return false;
	}
	read_mark(&p);
	if (!doc->failed) {
		p.base = p.next = p.past_blanks = doc->text;
		p.end = doc->text + doc->length;
		read_all(&p);
	}
	return !doc->failed;
}

void ical_doc_close(ical_doc *doc)
{
	size_t i, blocks = (doc->count + ICAL_BLOCK - 1) / ICAL_BLOCK;

	for (i = 0; i < blocks; i++)
		free(doc->blocks[i]);
	free(doc->blocks);
	free(doc->aside);
	free(doc->decoded);
	free(doc->problems);
	*doc = (ical_doc){ .count = 0 };
}
