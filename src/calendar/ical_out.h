/* Content lines on their way out: CRLF, folded at 75 octets between characters (RFC 5545 section 3.1). No Lua. */
#ifndef LUNATION_CALENDAR_ICAL_OUT_H
#define LUNATION_CALENDAR_ICAL_OUT_H

#include <stdbool.h>
#include <stddef.h>

#define ICAL_FOLD_AT 75

typedef struct ical_out ical_out;

struct ical_out {
	char *data;
	size_t length, capacity;
	size_t column; /* octets on the current physical line */
	bool failed;   /* no memory; nothing is written any more */
	bool (*grow)(ical_out *out, size_t capacity);
	void *owner; /* of grow */
	int slot;
};

/* Room for more octets; false: there is no memory. */
bool ical_out_reserve(ical_out *out, size_t more);

/* Octets as they are, folds or line ends included. */
void ical_out_raw(ical_out *out, const char *s, size_t length);

/* Characters of the current content line; a fold never stands inside a UTF-8 sequence. */
void ical_out_put(ical_out *out, const char *s, size_t length);

/* A value; a line end that was left in it becomes the escape for one. */
void ical_out_value(ical_out *out, const char *s, size_t length);

/* A parameter's value: quoted where it needs to be, with the carets of RFC 6868. */
void ical_out_parameter(ical_out *out, const char *s, size_t length);

void ical_out_end(ical_out *out);

#endif
