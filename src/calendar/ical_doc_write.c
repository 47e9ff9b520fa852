/* A flat tree back to text. Lines that are written as they were read are copied together, as far as they stand side by
   side; the others are unfolded, and folded again where they must be. No Lua. */
#include "calendar/ical_doc.h"
#include "calendar/ical_out.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
	const ical_doc *doc;
	ical_out out;
	char *scratch; /* for one value: no longer than the longest line */
	size_t scratch_length;
	const char *run, *run_end; /* octets to be copied as they are */
	const ical_node *open[ICAL_MAX_OPEN];
	int depth;
} writer;

static bool grow(ical_out *out, size_t capacity)
{
	char *data = realloc(out->data, capacity);

	if (!data)
		return false;
	out->data = data;
	out->capacity = capacity;
	return true;
}

static char *scratch(writer *w, size_t length)
{
	if (length > w->scratch_length) {
		char *fresh = realloc(w->scratch, length * 2);

		if (!fresh) {
			w->out.failed = true;
			return NULL;
		}
		w->scratch = fresh;
		w->scratch_length = length * 2;
	}
	return w->scratch;
}

static void flush(writer *w)
{
	ical_out_raw(&w->out, w->run, (size_t)(w->run_end - w->run));
	w->run = w->run_end = NULL;
}

static void copy(writer *w, const char *from, const char *to)
{
	if (from != w->run_end) {
		flush(w);
		w->run = from;
	}
	w->run_end = to;
}

/* Whether a quoted value would be written as it stands: it needs its quotes and nothing else. */
static bool quoted_as_it_is(const char *s, size_t length)
{
	bool needed = false;
	size_t i;

	if (length < 3 || s[0] != '"' || s[length - 1] != '"')
		return false;
	for (i = 1; i + 1 < length; i++) {
		if (s[i] == '"' || s[i] == '^' || s[i] == '\n' || s[i] == '\r')
			return false;
		needed |= s[i] == ':' || s[i] == ';' || s[i] == ',';
	}
	return needed;
}

/* Whether the parameters from `at` on would be written as they stand. */
static bool parameters_as_they_are(const char *line, size_t length, size_t at)
{
	ical_cursor c = { .line = line, .length = length, .at = at };
	const char *s;
	size_t n, from = at;

	while (ical_next_parameter(&c, &s, &n)) {
		bool plain;

		if (s != line + from + 1 || memchr(s, '\r', n) || memchr(s, '\n', n))
			return false;
		while (ical_next_value(&c, &s, &n, &plain))
			if (plain ? memchr(s, '\r', n) || memchr(s, '\n', n) : !quoted_as_it_is(s, n))
				return false;
		from = c.at;
	}
	return from == length;
}

static void put_parameters(writer *w, const char *line, size_t length, size_t at)
{
	ical_cursor c = { .line = line, .length = length };
	const char *s;
	size_t n;

	while (at < length && line[at] == ' ')
		at++;
	if (parameters_as_they_are(line, length, at)) {
		ical_out_put(&w->out, line + at, length - at);
		return;
	}
	c.at = at;
	while (ical_next_parameter(&c, &s, &n)) {
		bool plain;
		char mark = '=';

		ical_out_put(&w->out, ";", 1);
		ical_out_put(&w->out, s, n);
		while (ical_next_value(&c, &s, &n, &plain)) {
			char *text;

			ical_out_put(&w->out, &mark, 1);
			mark = ',';
			if (plain) {
				ical_out_parameter(&w->out, s, n);
			} else {
				text = scratch(w, n);
				if (!text)
					return;
				ical_out_parameter(&w->out, text, ical_parameter_text(s, n, text));
			}
		}
	}
}

static void put_property(writer *w, const ical_node *node)
{
	const char *line = ical_doc_text(w->doc, node), *s;
	size_t name, value, length;

	if (node->name == 0) {
		ical_out_value(&w->out, line, node->length);
		ical_out_end(&w->out);
		return;
	}
	/* A line of the text itself has no line end in it. */
	if ((node->flags & (ICAL_PLAIN | ICAL_FOLDED)) == ICAL_PLAIN) {
		ical_out_put(&w->out, line, node->length);
		ical_out_end(&w->out);
		return;
	}
	ical_doc_place(w->doc, node, &name, &value);
	if (node->flags & ICAL_PLAIN) {
		ical_out_put(&w->out, line, value);
	} else {
		ical_out_put(&w->out, line, name);
		if (node->flags & ICAL_PARAMETERS)
			put_parameters(w, line, value - 1, name);
		ical_out_put(&w->out, ":", 1);
	}
	s = line + value;
	length = node->length - value;
	if (node->flags & ICAL_FOLDED) {
		char *text = scratch(w, length);

		if (!text)
			return;
		length = ical_unfold(s, length, text);
		ical_out_put(&w->out, text, length);
	} else {
		ical_out_value(&w->out, s, length);
	}
	ical_out_end(&w->out);
}

static void put_structure(writer *w, const char *mark, size_t length, const ical_node *begin)
{
	ical_out_put(&w->out, mark, length);
	ical_out_put(&w->out, ical_doc_text(w->doc, begin), begin->length);
	ical_out_end(&w->out);
}

static void put_node(writer *w, const ical_node *node)
{
	const char *s = ical_doc_text(w->doc, node);
	bool property = node->name != 0 || node->value == ICAL_BARE;

	if (!property && node->value == ICAL_SPAN)
		return;
	if (!property && node->value == ICAL_BEGIN)
		w->open[w->depth++] = node;
	else if (!property)
		w->depth--;
	if (node->flags & ICAL_VERBATIM) {
		copy(w, s - (property ? 0 : node->value == ICAL_BEGIN ? 6 : 4), s + node->length + 2);
		return;
	}
	flush(w);
	if (property)
		put_property(w, node);
	else if (node->value == ICAL_BEGIN)
		put_structure(w, "BEGIN:", 6, node);
	else
		put_structure(w, "END:", 4, w->open[w->depth]);
}

char *ical_doc_write(const ical_doc *doc, size_t *length)
{
	writer w = { .doc = doc, .out = { .grow = grow } };
	uint32_t i;

	ical_out_reserve(&w.out, doc->length + doc->length / 16 + 256);
	for (i = 0; i < doc->count; i++)
		put_node(&w, ical_doc_node(doc, i));
	flush(&w);
	free(w.scratch);
	if (w.out.failed) {
		free(w.out.data);
		return NULL;
	}
	*length = w.out.length;
	return w.out.data;
}
