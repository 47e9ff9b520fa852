/* A growing run of bytes, kept in a full userdata so that an error raised by Lua frees it. */
#include "data/buffer.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>

bool buffer_grow(struct buffer *b, size_t more)
{
	size_t cap = b->cap < 256 ? 256 : b->cap;
	char *data;

	if (more > SIZE_MAX / 4 - b->len)
		return false;
	while (cap - b->len < more)
		cap *= 2;
	data = realloc(b->data, cap);
	if (data == NULL)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

void buffer_free(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){ 0 };
}

void buffer_reset(struct buffer *b, size_t keep)
{
	b->len = 0;
	if (b->cap > keep)
		buffer_free(b);
}

static int buffer_gc(lua_State *L)
{
	buffer_free(lua_touserdata(L, 1));
	return 0;
}

struct buffer *buffer_new(lua_State *L)
{
	struct buffer *b = lua_newuserdatauv(L, sizeof(*b), 0);

	*b = (struct buffer){ 0 };
	if (luaL_newmetatable(L, "lunation.data.buffer")) {
		lua_pushcfunction(L, buffer_gc);
		lua_setfield(L, -2, "__gc");
		lua_pushcfunction(L, buffer_gc);
		lua_setfield(L, -2, "__close");
	}
	lua_setmetatable(L, -2);
	return b;
}
