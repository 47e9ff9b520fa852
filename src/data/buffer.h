/* A growing run of bytes, kept in a full userdata so that an error raised by Lua frees it. */
#ifndef LUNATION_DATA_BUFFER_H
#define LUNATION_DATA_BUFFER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buffer {
	char *data;
	size_t len;
	size_t cap;
};

/* Pushes a userdata that owns an empty buffer. */
struct buffer *buffer_new(lua_State *L);

/* Makes room for `more` bytes; false when there is no memory. */
bool buffer_grow(struct buffer *b, size_t more);

/* Forgets the contents, and the memory too where it is more than `keep` bytes. */
void buffer_reset(struct buffer *b, size_t keep);

void buffer_free(struct buffer *b);

static inline bool buffer_reserve(struct buffer *b, size_t more)
{
	return b->cap - b->len >= more || buffer_grow(b, more);
}

static inline bool buffer_add(struct buffer *b, const char *s, size_t len)
{
	if (!buffer_reserve(b, len))
		return false;
	if (len > 0)
		memcpy(b->data + b->len, s, len);
	b->len += len;
	return true;
}

static inline bool buffer_byte(struct buffer *b, char c)
{
	if (!buffer_reserve(b, 1))
		return false;
	b->data[b->len++] = c;
	return true;
}

#endif
