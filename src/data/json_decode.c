/* Lua values from JSON text (RFC 8259), strict. */
#include "data/buffer.h"
#include "data/fail.h"
#include "data/json.h"
#include "data/scan.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>

/* Elements wait on the Lua stack until there are so many, then the table is made: a small one gets its exact size at
 * once. */
enum { BATCH = 32 };

struct decoder {
	lua_State *L;
	struct buffer *b; /* strings with escapes are put together here */
	const char *text, *p, *end;
	int depth;
	const char *code, *reason;
};

static bool decode_value(struct decoder *d);

static bool fail_at(struct decoder *d, const char *p, const char *reason)
{
	d->p = p;
	d->code = "invalid_json";
	d->reason = reason;
	return false;
}

static bool fail(struct decoder *d, const char *reason)
{
	return fail_at(d, d->p, d->p == d->end ? "the text ends too early" : reason);
}

static inline void skip_space(struct decoder *d)
{
	const char *p = d->p;

	while (p < d->end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	d->p = p;
}

static bool decode_word(struct decoder *d, const char *word, size_t len)
{
	if ((size_t)(d->end - d->p) < len || memcmp(d->p, word, len) != 0)
		return fail_at(d, d->p, "a value is expected");
	d->p += len;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex4(const char *p, const char *end)
{
	int value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

static char *put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		*out++ = (char)code;
		return out;
	}
	if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*out++ = (char)(0xe0 | code >> 12);
		} else {
			*out++ = (char)(0xf0 | code >> 18);
			*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (code & 0x3f));
	return out;
}

/* The escape at d->p, which is a backslash. The result is never longer than the escape. */
static char *decode_escape(struct decoder *d, char *out)
{
	const char *start = d->p++;
	int code, low;

	if (d->p == d->end) {
		fail(d, "");
		return NULL;
	}
	switch (*d->p++) {
	case '"':
		*out++ = '"';
		return out;
	case '\\':
		*out++ = '\\';
		return out;
	case '/':
		*out++ = '/';
		return out;
	case 'b':
		*out++ = '\b';
		return out;
	case 'f':
		*out++ = '\f';
		return out;
	case 'n':
		*out++ = '\n';
		return out;
	case 'r':
		*out++ = '\r';
		return out;
	case 't':
		*out++ = '\t';
		return out;
	case 'u':
		break;
	default:
		fail_at(d, start, "no such escape");
		return NULL;
	}
	code = hex4(d->p, d->end);
	if (code < 0) {
		fail_at(d, start, "\\u takes four hexadecimal digits");
		return NULL;
	}
	d->p += 4;
	if (code < 0xd800 || code > 0xdfff)
		return put_utf8(out, (unsigned)code);
	low = code < 0xdc00 && d->end - d->p >= 6 && d->p[0] == '\\' && d->p[1] == 'u' ? hex4(d->p + 2, d->end) : -1;
	if (low < 0xdc00 || low > 0xdfff) {
		fail_at(d, start, "half of a surrogate pair");
		return NULL;
	}
	d->p += 6;
	return put_utf8(out, 0x10000 + ((unsigned)(code - 0xd800) << 10) + (unsigned)(low - 0xdc00));
}

/* The rest of a string that holds an escape; `start` is its first byte, d->p the backslash. */
static bool decode_escaped(struct decoder *d, const char *start)
{
	struct buffer *b = d->b;

	b->len = 0;
	if (!buffer_add(b, start, (size_t)(d->p - start)))
		return fail_at(d, start, "out of memory");
	for (;;) {
		const char *run = d->p, *p = scan_plain(run, d->end);

		while (p < d->end && (unsigned char)*p >= 0x80) {
			size_t n = scan_utf8(p, d->end);

			if (n == 0)
				return fail_at(d, p, "not valid UTF-8");
			p = scan_plain(p + n, d->end);
		}
		if (!buffer_add(b, run, (size_t)(p - run)) || !buffer_reserve(b, 12))
			return fail_at(d, start, "out of memory");
		d->p = p;
		if (p == d->end)
			return fail(d, "");
		if (*p == '"') {
			d->p++;
			lua_pushlstring(d->L, b->data, b->len);
			return true;
		}
		if (*p == '\\') {
			char *out = decode_escape(d, b->data + b->len);

			if (out == NULL)
				return false;
			b->len = (size_t)(out - b->data);
		} else {
			return fail(d, "a control character in a string");
		}
	}
}

/* d->p is the opening quote. */
static bool decode_string(struct decoder *d)
{
	const char *start = d->p + 1, *p = scan_plain(start, d->end);

	while (p < d->end && (unsigned char)*p >= 0x80) {
		size_t n = scan_utf8(p, d->end);

		if (n == 0)
			return fail_at(d, p, "not valid UTF-8");
		p = scan_plain(p + n, d->end);
	}
	d->p = p;
	if (p == d->end)
		return fail(d, "");
	if (*p == '"') {
		lua_pushlstring(d->L, start, (size_t)(p - start));
		d->p++;
		return true;
	}
	if (*p == '\\')
		return decode_escaped(d, start);
	return fail(d, "a control character in a string");
}

/* Exact where the digits are few and the power of ten is small (both are doubles then); strtod otherwise. */
static double to_double(const char *start, lua_Unsigned mantissa, int digits, int exponent, bool negative)
{
	static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
					 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
	double value;

	if (digits > 15 || exponent < -22 || exponent > 22)
		return strtod(start, NULL);
	value = (double)mantissa;
	value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
	return negative ? -value : value;
}

static bool decode_number(struct decoder *d)
{
	const char *start = d->p, *p = start, *end = d->end;
	bool negative = *p == '-', integral = true;
	lua_Unsigned mantissa = 0;
	int digits = 0, exponent = 0;
	double value;

	p += negative;
	if (p == end || *p < '0' || *p > '9')
		return fail_at(d, p, p == end ? "the text ends too early" : "a digit is expected");
	if (*p == '0' && p + 1 < end && p[1] >= '0' && p[1] <= '9')
		return fail_at(d, p, "a number has a leading zero");
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		/* What overflows has too many digits, and is read again by strtod. */
		mantissa = mantissa * 10 + (lua_Unsigned)(*p - '0');
		digits += digits > 0 || *p != '0';
	}
	if (p < end && *p == '.') {
		integral = false;
		if (++p == end || *p < '0' || *p > '9')
			return fail_at(d, p, p == end ? "the text ends too early" : "a digit is expected");
		for (; p < end && *p >= '0' && *p <= '9'; p++) {
			mantissa = mantissa * 10 + (lua_Unsigned)(*p - '0');
			digits += digits > 0 || *p != '0';
			exponent--;
		}
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		bool minus;
		int e = 0;

		integral = false;
		if (++p < end && (*p == '+' || *p == '-'))
			p++;
		minus = p[-1] == '-';
		if (p == end || *p < '0' || *p > '9')
			return fail_at(d, p, p == end ? "the text ends too early" : "a digit is expected");
		for (; p < end && *p >= '0' && *p <= '9'; p++)
			if (e < 100000)
				e = e * 10 + (*p - '0');
		exponent += minus ? -e : e;
	}
	d->p = p;
	if (integral && digits <= 19 && !(negative && mantissa == 0)) {
		lua_Unsigned limit = (lua_Unsigned)LUA_MAXINTEGER + negative;

		if (mantissa <= limit) {
			lua_pushinteger(d->L, (lua_Integer)(negative ? 0 - mantissa : mantissa));
			return true;
		}
	}
	value = to_double(start, mantissa, digits, exponent, negative);
	if (value - value != 0)
		return fail_at(d, start, "a number is too large");
	lua_pushnumber(d->L, value);
	return true;
}

static bool deeper(struct decoder *d)
{
	if (d->depth-- == 0) {
		fail_at(d, d->p, "nested too deep");
		d->code = "too_large";
		return false;
	}
	luaL_checkstack(d->L, BATCH * 2 + 8, "JSON nested too deep");
	return true;
}

/* Moves the elements that wait above the place at `at` into the table there, which is made if it is not there yet. */
static void flush_array(struct decoder *d, int at, lua_Integer done)
{
	lua_State *L = d->L;
	int waiting = lua_gettop(L) - at;

	if (done == 0) {
		lua_createtable(L, waiting == BATCH ? BATCH * 2 : waiting, 0);
		lua_pushvalue(L, lua_upvalueindex(JSON_ARRAY));
		lua_setmetatable(L, -2);
		lua_replace(L, at);
	}
	for (int i = waiting; i > 0; i--)
		lua_rawseti(L, at, done + i);
}

static bool decode_array(struct decoder *d)
{
	lua_State *L = d->L;
	lua_Integer done = 0;
	int at, waiting = 0;

	if (!deeper(d))
		return false;
	d->p++;
	lua_pushnil(L);
	at = lua_gettop(L);
	skip_space(d);
	if (d->p < d->end && *d->p == ']') {
		d->p++;
		flush_array(d, at, 0);
		d->depth++;
		return true;
	}
	for (;;) {
		skip_space(d);
		if (!decode_value(d))
			return false;
		if (++waiting == BATCH) {
			flush_array(d, at, done);
			done += waiting;
			waiting = 0;
		}
		skip_space(d);
		if (d->p == d->end || (*d->p != ',' && *d->p != ']'))
			return fail(d, "a comma or ] is expected");
		if (*d->p++ == ']')
			break;
	}
	if (waiting > 0)
		flush_array(d, at, done);
	d->depth++;
	return true;
}

/* As flush_array, for the keys and values in turn. In their order, so that the last of a repeated name holds. */
static void flush_object(struct decoder *d, int at, bool made)
{
	lua_State *L = d->L;
	int top = lua_gettop(L);

	if (!made) {
		lua_createtable(L, 0, (top - at) / 2);
		lua_replace(L, at);
	}
	for (int i = at + 1; i < top; i += 2) {
		lua_pushvalue(L, i);
		lua_pushvalue(L, i + 1);
		lua_rawset(L, at);
	}
	lua_settop(L, at);
}

static bool decode_object(struct decoder *d)
{
	lua_State *L = d->L;
	int at, waiting = 0;
	bool made = false;

	if (!deeper(d))
		return false;
	d->p++;
	lua_pushnil(L);
	at = lua_gettop(L);
	skip_space(d);
	if (d->p < d->end && *d->p == '}') {
		d->p++;
		flush_object(d, at, false);
		d->depth++;
		return true;
	}
	for (;;) {
		skip_space(d);
		if (d->p == d->end || *d->p != '"')
			return fail(d, "a name in quotes is expected");
		if (!decode_string(d))
			return false;
		skip_space(d);
		if (d->p == d->end || *d->p != ':')
			return fail(d, "a colon is expected");
		d->p++;
		skip_space(d);
		if (!decode_value(d))
			return false;
		if (++waiting == BATCH) {
			flush_object(d, at, made);
			made = true;
			waiting = 0;
		}
		skip_space(d);
		if (d->p == d->end || (*d->p != ',' && *d->p != '}'))
			return fail(d, "a comma or } is expected");
		if (*d->p++ == '}')
			break;
	}
	if (waiting > 0)
		flush_object(d, at, made);
	d->depth++;
	return true;
}

static bool decode_value(struct decoder *d)
{
	if (d->p == d->end)
		return fail(d, "");
	switch (*d->p) {
	case '"':
		return decode_string(d);
	case '{':
		return decode_object(d);
	case '[':
		return decode_array(d);
	case 't':
		lua_pushboolean(d->L, 1);
		return decode_word(d, "true", 4);
	case 'f':
		lua_pushboolean(d->L, 0);
		return decode_word(d, "false", 5);
	case 'n':
		lua_pushlightuserdata(d->L, NULL);
		return decode_word(d, "null", 4);
	default:
		if (*d->p == '-' || (*d->p >= '0' && *d->p <= '9'))
			return decode_number(d);
		return fail(d, "a value is expected");
	}
}

/* nil and the error, with its place: lines and characters are counted from 1, the offset is in bytes from 0. */
static int report(struct decoder *d)
{
	lua_State *L = d->L;
	lua_Integer line = 1, column = 1;

	for (const char *p = d->text; p < d->p; p++) {
		if (*p == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)*p & 0xc0) != 0x80) {
			column++;
		}
	}
	lua_settop(L, 2);
	lua_pushnil(L);
	data_error(L, d->code, "JSON: %s, at line %I, column %I", d->reason, (LUAI_UACINT)line, (LUAI_UACINT)column);
	lua_pushinteger(L, line);
	lua_setfield(L, -2, "line");
	lua_pushinteger(L, column);
	lua_setfield(L, -2, "column");
	lua_pushinteger(L, (lua_Integer)(d->p - d->text));
	lua_setfield(L, -2, "offset");
	return 2;
}

int json_decode(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	struct decoder d = { .L = L, .text = text, .p = text, .end = text + len, .depth = JSON_DEPTH };
	bool ok;

	lua_settop(L, 2);
	d.b = lua_touserdata(L, lua_upvalueindex(JSON_BUFFER));
	if (!lua_isnil(L, 2)) {
		luaL_checktype(L, 2, LUA_TTABLE);
		lua_getfield(L, 2, "depth");
		if (!lua_isnil(L, -1))
			d.depth = (int)luaL_checkinteger(L, -1);
		luaL_argcheck(L, d.depth >= 0 && d.depth <= JSON_DEPTH_MAX, 2, "depth is out of range");
		lua_getfield(L, 2, "max");
		if (!lua_isnil(L, -1) && (lua_Integer)len > luaL_checkinteger(L, -1))
			return data_fail(L, "too_large", "JSON: the text has %I bytes, %I are allowed",
					 (LUAI_UACINT)len, (LUAI_UACINT)lua_tointeger(L, -1));
		lua_settop(L, 2);
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		d.p += 3;
	skip_space(&d);
	ok = decode_value(&d);
	if (ok) {
		skip_space(&d);
		if (d.p != d.end)
			ok = fail(&d, "more text after the value");
	}
	buffer_reset(d.b, JSON_KEEP);
	return ok ? 1 : report(&d);
}
