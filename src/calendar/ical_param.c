/* Parameters of a content line (RFC 5545 section 3.2, RFC 6868), read where they stand. */
#include "calendar/ical_doc.h"

#include <string.h>

static void complain(const ical_cursor *c, size_t at, const char *format)
{
	if (c->complain)
		c->complain(c->context, at + 1, format);
}

bool ical_next_parameter(ical_cursor *c, const char **name, size_t *length)
{
	while (c->at < c->length && c->line[c->at] == ';') {
		size_t from = ++c->at, i = from, n;
		const char *s;
		bool plain;

		while (i < c->length && c->line[i] != '=' && c->line[i] != ';' && c->line[i] != ':')
			i++;
		c->at = i;
		if (i == from) {
			complain(c, i, "a parameter without a name");
			while (ical_next_value(c, &s, &n, &plain))
				;
			continue;
		}
		if (i == c->length || c->line[i] != '=')
			complain(c, from, "a parameter without a value");
		*name = c->line + from;
		*length = i - from;
		return true;
	}
	return false;
}

bool ical_next_value(ical_cursor *c, const char **s, size_t *length, bool *plain)
{
	const char *close = NULL;
	size_t i = c->at, from;

	/* The first value follows an equals sign, every other a comma. */
	if (i >= c->length || (c->line[i] != '=' && c->line[i] != ','))
		return false;
	from = ++i;
	*plain = true;
	if (i < c->length && c->line[i] == '"') {
		*plain = false;
		close = memchr(c->line + i + 1, '"', c->length - i - 1);
		if (close)
			i = (size_t)(close - c->line) + 1;
		else
			complain(c, i, "a parameter's quote is not closed");
	}
	for (; i < c->length; i++) {
		char b = c->line[i];

		if (b == ':' || b == ';' || b == ',')
			break;
		if (b == '"') {
			complain(c, i, "a quote inside a parameter value");
			*plain = false;
		} else if (b == '^') {
			*plain = false;
		}
	}
	c->at = i;
	*s = c->line + from;
	*length = i - from;
	return true;
}

size_t ical_parameter_text(const char *s, size_t length, char *out)
{
	const char *close = NULL;
	size_t i = 0, n = 0;

	if (length > 1 && s[0] == '"') {
		close = memchr(s + 1, '"', length - 1);
		if (close)
			i = 1;
	}
	for (; i < length; i++) {
		char c = s[i];

		if (s + i == close)
			continue;
		if (c == '^' && i + 1 < length) {
			char d = s[i + 1];
			char text = d == 'n' ? '\n' : d == '\'' ? '"' : d == '^' ? '^' : '\0';

			if (text) {
				c = text;
				i++;
			}
		}
		out[n++] = c;
	}
	return n;
}

size_t ical_unfold(const char *s, size_t length, char *out)
{
	size_t at = 0, n = 0;

	while (at < length) {
		const char *stop = memchr(s + at, '\n', length - at);
		size_t end = stop ? (size_t)(stop - s) : length, run = end - at;

		if (stop && run > 0 && s[end - 1] == '\r')
			run--;
		memcpy(out + n, s + at, run);
		n += run;
		at = stop ? end + 2 : length; /* the line feed and the white space of the fold */
	}
	return n;
}

void ical_doc_place(const ical_doc *doc, const ical_node *node, size_t *name, size_t *value)
{
	ical_cursor c = { .line = ical_doc_text(doc, node), .length = node->length };
	const char *s;
	size_t n;
	bool plain;

	*name = node->name;
	*value = node->value;
	if (!(node->flags & ICAL_LONG))
		return;
	while (c.at < c.length && c.line[c.at] != ':' && c.line[c.at] != ';')
		c.at++;
	*name = c.at;
	while (*name > 0 && c.line[*name - 1] == ' ')
		--*name;
	while (ical_next_parameter(&c, &s, &n))
		while (ical_next_value(&c, &s, &n, &plain))
			;
	*value = c.at + 1;
}
