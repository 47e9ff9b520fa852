/* JSON text from Lua values (RFC 8259). */
#include "data/buffer.h"
#include "data/fail.h"
#include "data/json.h"
#include "data/scan.h"

#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct encoder {
	lua_State *L;
	struct buffer *b;
	const void *array, *object, *raw; /* the metatables, by address */
	int depth, depth_max;
	bool sorted, pretty, replace;
	const char *code;
	char reason[96];
	char path[160]; /* where the bad value stands, built from its end */
	size_t path_at;
};

struct key {
	const char *s;
	size_t len;
};

static bool encode_value(struct encoder *e);

static bool fail(struct encoder *e, const char *code, const char *reason)
{
	e->code = code;
	snprintf(e->reason, sizeof(e->reason), "%s", reason);
	return false;
}

static bool no_memory(struct encoder *e)
{
	return fail(e, "too_large", "out of memory");
}

/* Puts a step in front of the path; one that does not fit is left out. */
static bool path_step(struct encoder *e, const char *step)
{
	size_t len = strlen(step);

	if (len <= e->path_at) {
		e->path_at -= len;
		memcpy(e->path + e->path_at, step, len);
	}
	return false;
}

static bool path_index(struct encoder *e, lua_Integer i)
{
	char step[32];

	snprintf(step, sizeof(step), "[%lld]", (long long)i);
	return path_step(e, step);
}

static bool path_key(struct encoder *e, const char *key)
{
	char step[48];

	snprintf(step, sizeof(step), ".%s", key);
	return path_step(e, step);
}

static bool add(struct encoder *e, const char *s, size_t len)
{
	return buffer_add(e->b, s, len) || no_memory(e);
}

static bool add_byte(struct encoder *e, char c)
{
	return buffer_byte(e->b, c) || no_memory(e);
}

static bool newline(struct encoder *e)
{
	size_t indent = (size_t)e->depth * 2;

	if (!buffer_reserve(e->b, indent + 1))
		return no_memory(e);
	e->b->data[e->b->len++] = '\n';
	memset(e->b->data + e->b->len, ' ', indent);
	e->b->len += indent;
	return true;
}

static char *put_escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = "btn\0fr"; /* of the codes 8 to 13, 11 has none */

	*out++ = '\\';
	if (c == '"' || c == '\\') {
		*out++ = (char)c;
	} else if (c >= 8 && c <= 13 && c != 11) {
		*out++ = letters[c - 8];
	} else {
		memcpy(out, "u00", 3);
		out[3] = hex[c >> 4];
		out[4] = hex[c & 15];
		out += 5;
	}
	return out;
}

static bool encode_string(struct encoder *e, const char *s, size_t len)
{
	const char *end = s + len;
	char *out;

	/* Room for the text, both quotes and the overshoot of an eight byte store; every escape asks for its own. */
	if (!buffer_reserve(e->b, len + 10))
		return no_memory(e);
	out = e->b->data + e->b->len;
	*out++ = '"';
	for (;;) {
		size_t n;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		while (end - s >= 8) {
			uint64_t w, mask;

			memcpy(&w, s, 8);
			memcpy(out, &w, 8);
			mask = scan_special(w);
			if (mask != 0) {
				n = (size_t)__builtin_ctzll(mask) >> 3;
				s += n;
				out += n;
				goto special;
			}
			s += 8;
			out += 8;
		}
#endif
		while (s < end && (unsigned char)*s >= 0x20 && (unsigned char)*s < 0x80 && *s != '"' && *s != '\\')
			*out++ = *s++;
		if (s == end)
			break;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	special:
#endif
		if ((unsigned char)*s >= 0x80) {
			n = scan_utf8(s, end);
			if (n > 0) {
				memcpy(out, s, n);
				out += n;
				s += n;
				continue;
			}
			if (!e->replace)
				return fail(e, "invalid_json", "text is not valid UTF-8");
		}
		e->b->len = (size_t)(out - e->b->data);
		if (!buffer_reserve(e->b, (size_t)(end - s) + 16))
			return no_memory(e);
		out = e->b->data + e->b->len;
		if ((unsigned char)*s >= 0x80) {
			memcpy(out, "\xef\xbf\xbd", 3);
			out += 3;
		} else {
			out = put_escape(out, (unsigned char)*s);
		}
		s++;
	}
	*out++ = '"';
	e->b->len = (size_t)(out - e->b->data);
	return true;
}

static size_t format_integer(char *out, lua_Integer value)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
				    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";
	char digits[20];
	char *p = digits + sizeof(digits);
	lua_Unsigned u = (lua_Unsigned)value;
	size_t len;

	if (value < 0)
		u = 0 - u;
	while (u >= 100) {
		p -= 2;
		memcpy(p, pairs + u % 100 * 2, 2);
		u /= 100;
	}
	if (u >= 10) {
		p -= 2;
		memcpy(p, pairs + u * 2, 2);
	} else {
		*--p = (char)('0' + u);
	}
	len = (size_t)(digits + sizeof(digits) - p);
	if (value < 0)
		*out++ = '-';
	memcpy(out, p, len);
	return len + (value < 0);
}

static bool encode_number(struct encoder *e)
{
	char text[40];
	size_t len;

	if (lua_isinteger(e->L, -1)) {
		len = format_integer(text, lua_tointeger(e->L, -1));
	} else {
		double d = lua_tonumber(e->L, -1);

		if (!isfinite(d))
			return fail(e, "invalid_json", "a number is not finite");
		/* An integral float keeps its ".0", so that it comes back as a float. */
		if (d == floor(d) && fabs(d) < 1e15 && !(d == 0 && signbit(d))) {
			len = format_integer(text, (lua_Integer)d);
			memcpy(text + len, ".0", 2);
			len += 2;
		} else {
			len = (size_t)snprintf(text, sizeof(text), "%.15g", d);
			if (strtod(text, NULL) != d)
				len = (size_t)snprintf(text, sizeof(text), "%.16g", d);
			if (strtod(text, NULL) != d)
				len = (size_t)snprintf(text, sizeof(text), "%.17g", d);
			if (strspn(text, "-0123456789") == len) {
				memcpy(text + len, ".0", 2);
				len += 2;
			}
		}
	}
	return add(e, text, len);
}

/* The separator before an element or a member. */
static bool separate(struct encoder *e, bool *first)
{
	if (!*first && !add_byte(e, ','))
		return false;
	*first = false;
	return !e->pretty || newline(e);
}

/* An array whose keys do not come in order: they live in the table's hash part. Counts them first, so that a key that
 * is not an index is still found. */
static bool encode_scattered(struct encoder *e, lua_Integer n)
{
	lua_State *L = e->L;
	bool first = true;

	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_pop(L, 1);
		if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > n)
			return fail(e, "invalid_json", "an array has keys that are not its indices");
	}
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, -1, i);
		if (!separate(e, &first))
			return false;
		if (!encode_value(e))
			return path_index(e, i);
		lua_pop(L, 1);
	}
	return true;
}

static bool encode_array(struct encoder *e)
{
	lua_State *L = e->L;
	lua_Integer n = (lua_Integer)lua_rawlen(L, -1), at = 0;
	size_t start = e->b->len;
	bool first = true;

	if (!add_byte(e, '['))
		return false;
	e->depth++;
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_Integer i = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;

		if (i < 1 || i > n)
			return fail(e, "invalid_json", "an array has keys that are not its indices");
		if (i <= at) {
			lua_pop(L, 2);
			e->b->len = start + 1;
			if (!encode_scattered(e, n))
				return false;
			at = n;
			break;
		}
		for (; at < i - 1; at++) /* a hole */
			if (!separate(e, &first) || !add(e, "null", 4))
				return false;
		at = i;
		if (!separate(e, &first))
			return false;
		if (!encode_value(e))
			return path_index(e, i);
		lua_pop(L, 1);
	}
	e->depth--;
	if (e->pretty && at > 0 && !newline(e))
		return false;
	return add_byte(e, ']');
}

/* The value is on the stack's top, and popped. */
static bool encode_member(struct encoder *e, const char *key, size_t len, bool *first)
{
	if (!separate(e, first) || !encode_string(e, key, len) || !add(e, ": ", e->pretty ? 2 : 1) || !encode_value(e))
		return path_key(e, key);
	lua_pop(e->L, 1);
	return true;
}

static int compare_keys(const void *x, const void *y)
{
	const struct key *a = x, *b = y;
	size_t n = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->s, b->s, n);

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static bool encode_sorted(struct encoder *e, bool *first)
{
	lua_State *L = e->L;
	struct key *keys;
	size_t n = 0;

	lua_pushnil(L);
	for (; lua_next(L, -2); n++) {
		if (lua_type(L, -2) != LUA_TSTRING)
			return fail(e, "invalid_json", "sorted keys must all be strings");
		lua_pop(L, 1);
	}
	if (n == 0)
		return true;
	luaL_checkstack(L, 3, "JSON nested too deep");
	/* The keys stay in the table while it is encoded, so their bytes may be pointed at. */
	keys = lua_newuserdatauv(L, n * sizeof(*keys), 0);
	n = 0;
	lua_pushnil(L);
	while (lua_next(L, -3)) {
		lua_pop(L, 1);
		keys[n].s = lua_tolstring(L, -1, &keys[n].len);
		n++;
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < n; i++) {
		lua_pushlstring(L, keys[i].s, keys[i].len);
		lua_rawget(L, -3);
		if (!encode_member(e, keys[i].s, keys[i].len, first))
			return false;
	}
	lua_pop(L, 1);
	return true;
}

static bool encode_object(struct encoder *e, bool forced)
{
	lua_State *L = e->L;
	bool first = true;

	if (!add_byte(e, '{'))
		return false;
	e->depth++;
	if (e->sorted) {
		if (!encode_sorted(e, &first))
			return false;
	} else {
		lua_pushnil(L);
		while (lua_next(L, -2)) {
			if (lua_type(L, -2) == LUA_TSTRING) {
				size_t len;
				const char *key = lua_tolstring(L, -2, &len);

				if (!encode_member(e, key, len, &first))
					return false;
			} else if (forced && lua_isinteger(L, -2)) {
				char key[24];
				size_t len = format_integer(key, lua_tointeger(L, -2));

				key[len] = '\0';
				if (!encode_member(e, key, len, &first))
					return false;
			} else {
				return fail(e, "invalid_json", "an object has a key that is not a string");
			}
		}
	}
	e->depth--;
	if (e->pretty && !first && !newline(e))
		return false;
	return add_byte(e, '}');
}

static bool encode_table(struct encoder *e)
{
	lua_State *L = e->L;
	const void *meta = NULL;

	if (lua_getmetatable(L, -1)) {
		meta = lua_topointer(L, -1);
		lua_pop(L, 1);
	}
	if (meta != NULL && meta == e->raw) {
		size_t len = 0;
		const char *s;
		bool ok;

		lua_rawgeti(L, -1, 1);
		s = lua_tolstring(L, -1, &len);
		ok = s == NULL ? fail(e, "invalid_json", "a raw value has no text") : add(e, s, len);
		lua_pop(L, 1);
		return ok;
	}
	if (e->depth >= e->depth_max)
		return fail(e, "too_large", "nested too deep, or in a circle");
	luaL_checkstack(L, 6, "JSON nested too deep");
	if (meta != NULL && meta == e->object)
		return encode_object(e, true);
	if ((meta != NULL && meta == e->array) || lua_rawlen(L, -1) > 0)
		return encode_array(e);
	return encode_object(e, false);
}

static bool encode_value(struct encoder *e)
{
	size_t len;
	const char *s;

	switch (lua_type(e->L, -1)) {
	case LUA_TSTRING:
		s = lua_tolstring(e->L, -1, &len);
		return encode_string(e, s, len);
	case LUA_TNUMBER:
		return encode_number(e);
	case LUA_TBOOLEAN:
		return lua_toboolean(e->L, -1) ? add(e, "true", 4) : add(e, "false", 5);
	case LUA_TNIL:
		return add(e, "null", 4);
	case LUA_TTABLE:
		return encode_table(e);
	case LUA_TLIGHTUSERDATA:
		if (lua_touserdata(e->L, -1) == NULL)
			return add(e, "null", 4);
		break;
	default:
		break;
	}
	snprintf(e->reason, sizeof(e->reason), "a %s cannot be written", luaL_typename(e->L, -1));
	e->code = "invalid_json";
	return false;
}

static void read_options(struct encoder *e)
{
	lua_State *L = e->L;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_getfield(L, 2, "sorted");
	e->sorted = lua_toboolean(L, -1);
	lua_getfield(L, 2, "pretty");
	e->pretty = lua_toboolean(L, -1);
	lua_getfield(L, 2, "utf8");
	e->replace = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "replace") == 0;
	lua_getfield(L, 2, "depth");
	if (!lua_isnil(L, -1))
		e->depth_max = (int)luaL_checkinteger(L, -1);
	luaL_argcheck(L, e->depth_max >= 0 && e->depth_max <= JSON_DEPTH_MAX, 2, "depth is out of range");
	lua_pop(L, 4);
}

int json_encode(lua_State *L)
{
	struct encoder e = { .L = L, .depth_max = JSON_DEPTH };

	luaL_checkany(L, 1);
	lua_settop(L, 2);
	e.array = lua_topointer(L, lua_upvalueindex(JSON_ARRAY));
	e.object = lua_topointer(L, lua_upvalueindex(JSON_OBJECT));
	e.raw = lua_topointer(L, lua_upvalueindex(JSON_RAW));
	e.b = lua_touserdata(L, lua_upvalueindex(JSON_BUFFER));
	e.b->len = 0;
	e.path_at = sizeof(e.path) - 1;
	e.path[e.path_at] = '\0';
	if (!lua_isnil(L, 2))
		read_options(&e);
	lua_pushvalue(L, 1);
	if (!encode_value(&e)) {
		const char *at = e.path + e.path_at;

		buffer_reset(e.b, JSON_KEEP);
		if (*at == '\0')
			return data_fail(L, e.code, "JSON: %s", e.reason);
		return data_fail(L, e.code, "JSON: %s, at %s", e.reason, *at == '.' ? at + 1 : at);
	}
	lua_pushlstring(L, e.b->data, e.b->len);
	buffer_reset(e.b, JSON_KEEP);
	return 1;
}
