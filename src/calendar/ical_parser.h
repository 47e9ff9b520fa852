/* The state of one parse, shared by the reader of lines and the builder of the tree. */
#ifndef LUNATION_CALENDAR_ICAL_PARSER_H
#define LUNATION_CALENDAR_ICAL_PARSER_H

#include "calendar/ical.h"

#define ICAL_MAX_OPEN 64

/* Stack slots: the arguments, then what the parser keeps, then three slots for each open component. */
enum { ARG_TEXT = 1, ARG_OPTIONS, SLOT_WARNINGS, SLOT_ROOT };

typedef struct {
	lua_Integer properties, components;
	size_t line;
	const char *name; /* of the open component, upper case; anchored by its node */
} ical_frame;

typedef struct {
	lua_State *L;
	const char *next, *end;
	size_t line;    /* of the physical line at next */
	size_t started; /* line on which the logical line began */
	size_t count;   /* properties so far */
	size_t max_properties;
	int max_depth, depth, warnings;
	bool strict, positions, failed;
	ical_buffer unfolded, mended, scratch;
	ical_frame frames[ICAL_MAX_OPEN + 1];
} ical_parser;

/* What cannot be overlooked in any mode. The error takes the place of the warnings. */
void ical_fail(ical_parser *p, const char *code, size_t column, const char *format, ...);

/* What strict refuses and lenient notes. */
void ical_complain(ical_parser *p, size_t column, const char *format, ...);

/* The next logical line, unfolded and in UTF-8. It points into the text or into one of the parser's buffers. */
bool ical_next_line(ical_parser *p, const char **s, size_t *length);

#endif
