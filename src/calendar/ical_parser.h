/* The state of one parse: what the careful reader of lines, the fast one and the builder of the tree share. */
#ifndef LUNATION_CALENDAR_ICAL_PARSER_H
#define LUNATION_CALENDAR_ICAL_PARSER_H

#include "calendar/ical_doc.h"

typedef struct {
	ical_node *begin, *span;
	uint32_t properties, components;
} ical_frame;

typedef struct {
	ical_doc *doc;
	const char *base, *next, *end;
	/* What was looked for ahead, so that no octet is looked at again for every line before it. */
	const char *past_blanks; /* where the blank lines end that were looked over last */
	const char *line_feed;   /* the first from `next` on, unless it lies before; the end of the text without one */
	uint32_t line;           /* of the physical line at next */
	uint32_t started;        /* line on which the logical line began */
	size_t count;            /* properties so far */
	size_t max_properties;
	int max_depth, depth;
	bool strict;
	ical_node *node, *block_end; /* where the next node goes */
	ical_frame frames[ICAL_MAX_OPEN + 1];
} ical_parser;

/* One logical line: in the text, or aside. */
typedef struct {
	const char *s;
	size_t length;
	bool aside;
} ical_line;

/* What strict refuses and lenient notes. */
void ical_complain(ical_parser *p, size_t column, const char *format);

/* What cannot be overlooked in any mode. */
void ical_fail(ical_parser *p, const char *code, const char *format, size_t number);

/* Memory of the document, counted; NULL and the document's no_memory when there is none. */
void *ical_doc_memory(ical_doc *doc, void *old, size_t before, size_t after);

/* Room for more nodes; false: no memory. */
bool ical_add_block(ical_parser *p);

/* Room for one node; NULL: no memory. */
static inline ical_node *ical_push_node(ical_parser *p)
{
	if (p->node == p->block_end && !ical_add_block(p))
		return NULL;
	p->doc->count++;
	return p->node++;
}

void ical_open_component(ical_parser *p, const ical_line *name, unsigned flags);
void ical_close_component(ical_parser *p, const ical_line *name, unsigned flags);

/* A logical line that stands in one piece. */
void ical_read_line(ical_parser *p, const ical_line *line);

/* The next logical line, unfolded and in UTF-8. */
bool ical_next_line(ical_parser *p, ical_line *line);

/* Lenient: reads lines as long as nothing about them needs care; p->next then stands on the first that does. */
void ical_read_plain(ical_parser *p);

#endif
