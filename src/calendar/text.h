/* A text that is kept outside Lua's memory until it is used: a page of half a megabyte would make Lua collect garbage
 * after every few requests. The server sends one as the body of a response and takes it away then. */
#ifndef LUNATION_CALENDAR_TEXT_H
#define LUNATION_CALENDAR_TEXT_H

#include <lua.h>
#include <stddef.h>

#define TEXT_TYPE "lunation.text"

struct text {
	char *at; /* NULL: it has been taken */
	size_t len, room;
};

/* Pushes an empty text. `tostring` and `#` work on it. */
struct text *text_new(lua_State *L);
/* The text at an index, or NULL. */
struct text *text_at(lua_State *L, int index);
void text_clear(struct text *text);

#endif
