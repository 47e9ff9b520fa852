/* Bytes as text: hexadecimal, Base64 and Base64url (RFC 4648), read strictly. */
#include "data/crypto.h"

#include <lauxlib.h>
#include <stdbool.h>

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int crypto_hex(lua_State *L)
{
	static const char digits[] = "0123456789abcdef";
	size_t size;
	const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &size);
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, size * 2);

	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[s[i] >> 4];
		out[2 * i + 1] = digits[s[i] & 15];
	}
	luaL_pushresultsize(&b, size * 2);
	return 1;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int crypto_unhex(lua_State *L)
{
	size_t size;
	const char *s = luaL_checklstring(L, 1, &size);
	luaL_Buffer b;
	char *out;

	if (size % 2)
		return lua_pushnil(L), 1;
	out = luaL_buffinitsize(L, &b, size / 2);
	for (size_t i = 0; i < size; i += 2) {
		int high = hex_digit(s[i]), low = hex_digit(s[i + 1]);

		if (high < 0 || low < 0)
			return lua_pushnil(L), 1;
		out[i / 2] = (char)(high << 4 | low);
	}
	luaL_pushresultsize(&b, size / 2);
	return 1;
}

static int encode(lua_State *L, const char *alphabet, bool pad)
{
	size_t size, at = 0, i = 0;
	const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &size);
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, (size + 2) / 3 * 4);

	for (; i + 2 < size; i += 3) {
		unsigned v = (unsigned)s[i] << 16 | (unsigned)s[i + 1] << 8 | s[i + 2];

		out[at++] = alphabet[v >> 18];
		out[at++] = alphabet[v >> 12 & 63];
		out[at++] = alphabet[v >> 6 & 63];
		out[at++] = alphabet[v & 63];
	}
	if (i < size) {
		unsigned v = (unsigned)s[i] << 16 | (i + 1 < size ? (unsigned)s[i + 1] << 8 : 0);

		out[at++] = alphabet[v >> 18];
		out[at++] = alphabet[v >> 12 & 63];
		if (i + 1 < size)
			out[at++] = alphabet[v >> 6 & 63];
		else if (pad)
			out[at++] = '=';
		if (pad)
			out[at++] = '=';
	}
	luaL_pushresultsize(&b, at);
	return 1;
}

int crypto_base64(lua_State *L)
{
	return encode(L, plain, true);
}

int crypto_base64url(lua_State *L)
{
	return encode(L, url, false);
}

static int value_of(char c, const char *alphabet)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == alphabet[62])
		return 62;
	return c == alphabet[63] ? 63 : -1;
}

/* Padding may be left out; bits beyond the last byte must be zero, so that a text has one reading. */
static int decode(lua_State *L, const char *alphabet)
{
	size_t size, at = 0;
	const char *s = luaL_checklstring(L, 1, &size);
	luaL_Buffer b;
	char *out;
	unsigned v = 0;

	if (size > 0 && size % 4 == 0 && s[size - 1] == '=')
		size -= s[size - 2] == '=' ? 2 : 1;
	if (size % 4 == 1)
		return lua_pushnil(L), 1;
	out = luaL_buffinitsize(L, &b, size / 4 * 3 + 3);
	for (size_t i = 0; i < size; i++) {
		int digit = value_of(s[i], alphabet);

		if (digit < 0)
			return lua_pushnil(L), 1;
		v = v << 6 | (unsigned)digit;
		if (i % 4 != 0)
			out[at++] = (char)(v >> (6 - 2 * (i % 4)) & 0xff);
	}
	if (size % 4 && (v & (size % 4 == 2 ? 15 : 3)))
		return lua_pushnil(L), 1;
	luaL_pushresultsize(&b, at);
	return 1;
}

int crypto_unbase64(lua_State *L)
{
	return decode(L, plain);
}

int crypto_unbase64url(lua_State *L)
{
	return decode(L, url);
}
