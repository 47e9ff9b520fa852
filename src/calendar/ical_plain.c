/* The fast reader: lines that end with CRLF or LF, whose name, parameters and colon stand on their first physical line
   and are as RFC 5545 has them. Whatever is not is left to the careful reader of ical_lines.c and ical_doc.c. No Lua.
 */
#include "calendar/ical_parser.h"
#include "calendar/ical_scan.h"

#include <string.h>

/* What a line may be looked at from its beginning without asking for the end of the text. */
#define AHEAD (ICAL_SCAN * 3)

typedef enum { LINE_CARE, LINE_LF, LINE_CRLF } line_end;

/* Finds the end of the physical line at *s; *s then stands on its line end. Lines that are not UTF-8 need care. */
static inline line_end find_end(const char **s, const char *end)
{
	const char *at = *s;
	unsigned carried = 0; /* octets of a character that began in the piece before */

	while (end - at >= ICAL_SCAN + 1) {
		uint64_t mask = scan_uncommon(at) >> carried << carried;

		carried = 0;
		while (mask) {
			unsigned bit = scan_first(mask);
			const char *c = at + bit;
			size_t n;

			if (*c == '\r' || *c == '\n') {
				*s = c;
				if (*c == '\n')
					return LINE_LF;
				return c[1] == '\n' ? LINE_CRLF : LINE_CARE;
			}
			n = ical_utf8_sequence(c, (size_t)(end - c));
			if (n == 0)
				return LINE_CARE;
			bit += (unsigned)n;
			if (bit >= ICAL_SCAN) {
				carried = bit - ICAL_SCAN;
				break;
			}
			mask = mask >> bit << bit;
		}
		at += ICAL_SCAN;
	}
	return LINE_CARE;
}

/* Octets from the semicolon to the colon when every parameter has a name and a value and nothing is quoted; else 0. */
static inline size_t plain_parameters(const char *s)
{
	uint64_t colon = scan_equal(s, ':'), before, semicolons, marks;

	if (!colon)
		return 0;
	before = (colon & (~colon + 1)) - 1;
	if ((scan_equal(s, '"') | scan_equal(s, '^')) & before)
		return 0;
	semicolons = scan_equal(s, ';') & before;
	marks = semicolons | (scan_equal(s, '=') & before);
	for (; semicolons; semicolons &= semicolons - 1) {
		uint64_t bit = semicolons & (~semicolons + 1);
		uint64_t after = marks & ~(bit | (bit - 1));
		uint64_t mark = after & (~after + 1);

		/* An equals sign, and not at once. */
		if (!after || (mark & semicolons) || mark == bit << 1)
			return 0;
	}
	return scan_first(colon);
}

static inline bool folded(const char *s)
{
	return *s == ' ' || *s == '\t';
}

/* BEGIN and END as they are always written; false: it is not one, or needs care. */
static bool plain_structure(ical_parser *p, const char *s, const char *stop, line_end ending)
{
	bool begin = memcmp(s, "BEGIN:", 6) == 0;
	ical_line name = { s + (begin ? 6 : 4), 0, false };
	size_t i;

	if (!begin && memcmp(s, "END:", 4) != 0)
		return false;
	name.length = (size_t)(stop - name.s);
	if (stop <= name.s || name.length > ICAL_SCAN)
		return false;
	for (i = 0; i < name.length; i++)
		if (name.s[i] != '-' && !(name.s[i] >= 'A' && name.s[i] <= 'Z'))
			return false;
	if (begin)
		ical_open_component(p, &name, ending == LINE_CRLF ? ICAL_VERBATIM : 0);
	else
		ical_close_component(p, &name, ending == LINE_CRLF ? ICAL_VERBATIM : 0);
	return true;
}

/* The end of a line that is folded: *stop moves to the line end of its last physical line. Gives the physical lines in
   it, or 0 where it needs care. */
static uint32_t plain_folds(const char **stop, const char *end, line_end *ending)
{
	uint32_t lines = 1;
	const char *next = *stop + *ending;

	while (folded(next)) {
		const char *from = ++next;

		*ending = find_end(&next, end);
		if (*ending == LINE_CARE || next == from || end - next < AHEAD)
			return 0;
		*stop = next;
		next += *ending;
		lines++;
	}
	return lines;
}

/* One property at s, its physical line ended by stop; false: it needs care. */
static inline bool plain_property(ical_parser *p, const char *s, const char *stop, line_end ending)
{
	uint32_t lower, other = scan_name(s, &lower), name, lines = 1;
	unsigned flags = 0;
	size_t value;
	const char *next;
	ical_node *node;

	if (!other)
		return false;
	name = scan_first(other);
	if (s[name] == ':') {
		/* QUOTED-PRINTABLE fits in a name of sixteen octets. */
		if (name == 0 || (name > 15 && stop[-1] == '='))
			return false;
		value = name + 1;
	} else if (s[name] == ';' && name > 0) {
		size_t length = plain_parameters(s + name);

		if (length == 0)
			return false;
		value = name + length + 1;
		flags = ICAL_PARAMETERS;
	} else {
		return false;
	}
	if (s + value > stop || p->count >= p->max_properties)
		return false;
	if (lower & ((UINT32_C(1) << name) - 1))
		flags |= ICAL_LOWER;
	next = stop + ending;
	if (folded(next)) {
		lines = plain_folds(&stop, p->end, &ending);
		if (lines == 0)
			return false;
		flags |= ICAL_FOLDED;
		next = stop + ending;
	} else if (ending == LINE_CRLF && stop - s <= 75) {
		flags |= ICAL_VERBATIM;
	}
	/* BEGIN and END come here when they are written in another way. */
	if ((name == 5 && (*s | 0x20) == 'b') || (name == 3 && (*s | 0x20) == 'e'))
		return false;
	/* A blank line may stand before a fold, and quoted-printable break off after an equals sign. */
	if (*next == '\r' || *next == '\n' || (stop[-1] == '=' && (flags & ICAL_PARAMETERS)))
		return false;
	if ((flags & ICAL_FOLDED) && stop[-1] == '=' && name > 15)
		return false;
	node = ical_push_node(p);
	if (!node)
		return false;
	*node = (ical_node){ .start = (uint32_t)(s - p->base),
			     .length = (uint32_t)(stop - s),
			     .line = p->line,
			     .value = (uint16_t)value,
			     .name = (uint8_t)name,
			     .flags = (uint8_t)(flags | ICAL_PLAIN) };
	p->count++;
	p->frames[p->depth].properties++;
	p->line += lines;
	p->next = next;
	return true;
}

void ical_read_plain(ical_parser *p)
{
	ical_doc *doc = p->doc;

	while (!doc->failed && p->end - p->next >= AHEAD) {
		const char *s = p->next, *stop = s;
		line_end ending;

		if (folded(s))
			return; /* white space before the first line */
		ending = find_end(&stop, p->end);
		if (ending == LINE_CARE || p->end - stop < AHEAD)
			return;
		if ((*s == 'B' || *s == 'E') && (s[1] == 'E' || s[1] == 'N')) {
			const char *next = stop + ending;

			p->started = p->line;
			if (!folded(next) && *next != '\r' && *next != '\n' && plain_structure(p, s, stop, ending)) {
				p->line++;
				p->next = next;
				continue;
			}
		}
		if (!plain_property(p, s, stop, ending))
			return;
	}
}
