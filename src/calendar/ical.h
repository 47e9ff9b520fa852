/* iCalendar content lines (RFC 5545 section 3.1): what the parser, the writer and the text codec share. */
#ifndef LUNATION_CALENDAR_ICAL_H
#define LUNATION_CALENDAR_ICAL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* A growing byte buffer whose memory is a userdata, so that an error raised half way leaks nothing. It takes one
   stack slot of its own, which frees other stack traffic from luaL_Buffer's discipline. */
typedef struct {
	lua_State *L;
	char *data;
	size_t length, capacity;
	int slot;
} ical_buffer;

void ical_buffer_open(ical_buffer *b, lua_State *L, size_t capacity);
void ical_buffer_reserve(ical_buffer *b, size_t more);
void ical_buffer_add(ical_buffer *b, const char *data, size_t length);
void ical_buffer_byte(ical_buffer *b, char c);

/* Bytes of the UTF-8 sequence at s (RFC 3629, no surrogates, no overlong forms); 0: not UTF-8. */
size_t ical_utf8_sequence(const char *s, size_t left);
bool ical_utf8_valid(const char *s, size_t length);

/* Bytes that are not UTF-8 are read as Windows-1252, the common superset of Latin-1. */
void ical_utf8_mend(ical_buffer *out, const char *s, size_t length);

/* Text with a byte order mark of UTF-16 to UTF-8; false when it has none. */
bool ical_utf16_decode(ical_buffer *out, const char *s, size_t length);

int ical_parse(lua_State *L);
int ical_serialize(lua_State *L);
int ical_escape(lua_State *L);
int ical_unescape(lua_State *L);
int ical_split(lua_State *L);

#endif
