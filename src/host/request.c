/* The request as Lua sees it: one userdata that holds a copy of the head; strings are made only of what is asked for.
 */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/server.h"
#include "modules.h"

#define REQUEST_TYPE "lunation.request"
#define HEADERS_TYPE "lunation.request.headers"

enum { EXTRAS = 1, BODY = 2, USER_VALUES = 2, PAIRS_AHEAD = 32, PAIRS_MOST = 1000 };

struct request {
	struct http_span method, path, query, target, host;
	uint32_t size;
	uint16_t nfields;
	uint8_t minor, major;
	bool https;
	const struct cidr *proxies;
	size_t nproxies;
	char id[65], address[48];
	struct http_field fields[];
	/* the head's bytes follow */
};

static const char *bytes_of(const struct request *r)
{
	return (const char *)(r->fields + r->nfields);
}

void request_push(lua_State *L, struct exchange *ex, const char *bytes, const struct http_head *head)
{
	size_t table = head->nfields * sizeof(struct http_field);
	size_t id_len = strlen(ex->id);
	struct request *r = lua_newuserdatauv(L, sizeof *r + table + head->size, USER_VALUES);
	r->method = head->method;
	r->target = head->target;
	r->host = head->host;
	r->path = r->query = head->target;
	const char *mark = head->target.len ? memchr(bytes + head->target.at, '?', head->target.len) : NULL;
	if (mark) {
		r->path.len = (uint32_t)(mark - bytes) - head->target.at;
		r->query.at = r->path.at + r->path.len + 1;
		r->query.len = head->target.len - r->path.len - 1;
	} else {
		r->query.len = 0;
	}
	r->size = (uint32_t)head->size;
	r->nfields = (uint16_t)head->nfields;
	r->major = ex->stream ? 2 : 1;
	r->minor = ex->stream ? 0 : head->minor;
	r->https = ex->listener->https;
	r->proxies = ex->listener->proxies;
	r->nproxies = ex->listener->nproxies;
	memcpy(r->id, ex->id, id_len + 1);
	memcpy(r->address, ex->conn->address, sizeof r->address);
	memcpy(r->fields, head->fields, table);
	memcpy(r->fields + r->nfields, bytes, head->size);
	luaL_setmetatable(L, REQUEST_TYPE);
	if (ex->body.len) {
		lua_pushlstring(L, ex->body.data, ex->body.len);
		lua_setiuservalue(L, -2, BODY);
	}
}

static void push_span(lua_State *L, const struct request *r, struct http_span s)
{
	lua_pushlstring(L, bytes_of(r) + s.at, s.len);
}

static bool same_name(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char x = (unsigned char)a[i], y = (unsigned char)b[i];
		if (x != y && ((x | 0x20) != (y | 0x20) || (x | 0x20) < 'a' || (x | 0x20) > 'z'))
			return false;
	}
	return true;
}

/* Repeated fields are one list (RFC 9110 section 5.3); Cookie is joined by "; " (RFC 9113 section 8.2.3). */
static int push_field(lua_State *L, const struct request *r, const char *name, size_t len)
{
	const char *bytes = bytes_of(r);
	int found = 0;
	for (unsigned i = 0; i < r->nfields; i++) {
		const struct http_field *f = &r->fields[i];
		if (f->name.len != len || !same_name(bytes + f->name.at, name, len))
			continue;
		if (found)
			lua_pushstring(L, len == 6 && same_name(name, "cookie", 6) ? "; " : ", ");
		push_span(L, r, f->value);
		if (found)
			lua_concat(L, 3);
		found = 1;
	}
	if (!found)
		lua_pushnil(L);
	return 1;
}

static const struct http_field *last_field(const struct request *r, const char *name)
{
	size_t len = strlen(name);
	for (unsigned i = r->nfields; i-- > 0;)
		if (r->fields[i].name.len == len && same_name(bytes_of(r) + r->fields[i].name.at, name, len))
			return &r->fields[i];
	return NULL;
}

/* The client's address: the peer's, or through trusted proxies the last one in X-Forwarded-For that is not theirs. */
static void push_remote(lua_State *L, const struct request *r)
{
	const struct http_field *f;
	if (!r->nproxies || !cidr_has(r->proxies, r->nproxies, r->address) || !(f = last_field(r, "x-forwarded-for"))) {
		lua_pushstring(L, r->address);
		return;
	}
	char candidate[48];
	const char *list = bytes_of(r) + f->value.at;
	size_t end = f->value.len;
	memcpy(candidate, r->address, sizeof candidate);
	while (end > 0) {
		size_t start = end;
		while (start > 0 && list[start - 1] != ',')
			start--;
		size_t from = start, to = end;
		while (from < to && (list[from] == ' ' || list[from] == '\t'))
			from++;
		while (to > from && (list[to - 1] == ' ' || list[to - 1] == '\t'))
			to--;
		if (to - from == 0 || to - from >= sizeof candidate)
			break;
		char text[sizeof candidate];
		memcpy(text, list + from, to - from);
		text[to - from] = '\0';
		if (!address_is_valid(text))
			break;
		memcpy(candidate, text, sizeof candidate);
		if (!cidr_has(r->proxies, r->nproxies, candidate))
			break;
		end = start ? start - 1 : 0;
	}
	lua_pushstring(L, candidate);
}

static void push_scheme(lua_State *L, const struct request *r)
{
	const struct http_field *f;
	bool https = r->https;
	if (r->nproxies && cidr_has(r->proxies, r->nproxies, r->address) && (f = last_field(r, "x-forwarded-proto")))
		https = f->value.len == 5 && same_name(bytes_of(r) + f->value.at, "https", 5);
	lua_pushstring(L, https ? "https" : "http");
}

static int hex_of(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoding; with `form`, '+' is a space. A '%' without two digits stays as it is. */
static void push_decoded(lua_State *L, const char *s, size_t len, bool form)
{
	bool plain = !memchr(s, '%', len) && !(form && memchr(s, '+', len));
	if (plain) {
		lua_pushlstring(L, s, len);
		return;
	}
	luaL_Buffer b;
	char *out = luaL_buffinitsize(L, &b, len);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '%' && i + 2 < len && hex_of((unsigned char)s[i + 1]) >= 0 &&
		    hex_of((unsigned char)s[i + 2]) >= 0) {
			out[n++] = (char)(hex_of((unsigned char)s[i + 1]) << 4 | hex_of((unsigned char)s[i + 2]));
			i += 2;
		} else {
			out[n++] = form && s[i] == '+' ? ' ' : s[i];
		}
	}
	luaL_pushresultsize(&b, n);
}

/* A table of the first value of each name, or with `name` an array of all of its values, in order. What comes after the
 * thousandth pair is not looked at. */
static void push_pairs(lua_State *L, const char *s, size_t len, const char *name, size_t name_len)
{
	lua_Integer n = 0;
	int pairs = len > 0;
	for (size_t i = 0; i < len && pairs < PAIRS_AHEAD; i++)
		pairs += s[i] == '&';
	lua_createtable(L, 0, name ? 0 : pairs);
	for (size_t i = 0, seen = 0; i < len && seen < PAIRS_MOST; seen++) {
		const char *amp = memchr(s + i, '&', len - i);
		size_t end = amp ? (size_t)(amp - s) : len;
		const char *eq = memchr(s + i, '=', end - i);
		size_t split = eq ? (size_t)(eq - s) : end;
		size_t value = eq ? split + 1 : end;
		if (end > i) {
			push_decoded(L, s + i, split - i, true);
			if (name) {
				size_t key_len;
				const char *key = lua_tolstring(L, -1, &key_len);
				bool same = key_len == name_len && memcmp(key, name, key_len) == 0;
				lua_pop(L, 1);
				if (same) {
					push_decoded(L, s + value, end - value, true);
					lua_rawseti(L, -2, ++n);
				}
			} else {
				lua_pushvalue(L, -1);
				if (lua_rawget(L, -3) == LUA_TNIL) {
					lua_pop(L, 1);
					push_decoded(L, s + value, end - value, true);
					lua_rawset(L, -3);
				} else {
					lua_pop(L, 2);
				}
			}
		}
		i = end + 1;
	}
}

static struct request *check(lua_State *L)
{
	return luaL_checkudata(L, 1, REQUEST_TYPE);
}

/* Keeps the value on the stack's top under the key, so that it is made once. */
static void remember(lua_State *L, const char *key)
{
	if (lua_getiuservalue(L, 1, EXTRAS) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_createtable(L, 0, 4);
		lua_pushvalue(L, -1);
		lua_setiuservalue(L, 1, EXTRAS);
	}
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, key);
	lua_pop(L, 1);
}

static void push_body(lua_State *L)
{
	if (lua_getiuservalue(L, 1, BODY) != LUA_TSTRING) {
		lua_pop(L, 1);
		lua_pushliteral(L, "");
	}
}

static void push_headers(lua_State *L)
{
	lua_newuserdatauv(L, 0, 1);
	luaL_setmetatable(L, HEADERS_TYPE);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1);
	remember(L, "headers");
}

enum field { METHOD, PATH, QUERY, TARGET, HOST_NAME, HEADERS, BODY_TEXT, ID, REMOTE, SCHEME, VERSION, ARGS, FORM };

static const struct {
	const char *name;
	enum field field;
} known[] = {
	{ "method", METHOD },   { "path", PATH },      { "query", QUERY }, { "target", TARGET }, { "host", HOST_NAME },
	{ "headers", HEADERS }, { "body", BODY_TEXT }, { "id", ID },       { "remote", REMOTE }, { "scheme", SCHEME },
	{ "version", VERSION }, { "args", ARGS },      { "form", FORM },
};

static void push_known(lua_State *L, const struct request *r, enum field field)
{
	size_t len;
	const char *text;
	switch (field) {
	case METHOD:
		push_span(L, r, r->method);
		return;
	case PATH:
		push_span(L, r, r->path);
		return;
	case QUERY:
		push_span(L, r, r->query);
		return;
	case TARGET:
		push_span(L, r, r->target);
		return;
	case HOST_NAME:
		push_span(L, r, r->host);
		return;
	case HEADERS:
		push_headers(L);
		return;
	case BODY_TEXT:
		push_body(L);
		return;
	case ID:
		lua_pushstring(L, r->id);
		return;
	case REMOTE:
		push_remote(L, r);
		return;
	case SCHEME:
		push_scheme(L, r);
		return;
	case VERSION:
		lua_pushstring(L, r->major == 2 ? "2" : r->minor ? "1.1" : "1.0");
		return;
	case ARGS:
		push_pairs(L, bytes_of(r) + r->query.at, r->query.len, NULL, 0);
		remember(L, "args");
		return;
	case FORM:
		push_body(L);
		text = lua_tolstring(L, -1, &len);
		push_pairs(L, text, len, NULL, 0);
		remember(L, "form");
		return;
	}
}

/* Fields that Lua has set come first, then what the head holds, then methods. Upvalues: names to fields, methods. */
static int request_index(lua_State *L)
{
	const struct request *r = lua_touserdata(L, 1);
	if (lua_getiuservalue(L, 1, EXTRAS) == LUA_TTABLE) {
		lua_pushvalue(L, 2);
		if (lua_rawget(L, -2) != LUA_TNIL)
			return 1;
	}
	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNUMBER) {
		push_known(L, r, (enum field)lua_tointeger(L, -1));
		return 1;
	}
	return 1;
}

static int request_newindex(lua_State *L)
{
	if (lua_getiuservalue(L, 1, EXTRAS) != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_createtable(L, 0, 4);
		lua_pushvalue(L, -1);
		lua_setiuservalue(L, 1, EXTRAS);
	}
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 3);
	lua_rawset(L, -3);
	return 0;
}

static int request_header(lua_State *L)
{
	size_t len;
	const struct request *r = check(L);
	const char *name = luaL_checklstring(L, 2, &len);
	return push_field(L, r, name, len);
}

static int request_arg(lua_State *L)
{
	check(L);
	luaL_checkstring(L, 2);
	lua_getfield(L, 1, "args");
	lua_pushvalue(L, 2);
	lua_rawget(L, -2);
	return 1;
}

static int request_args_all(lua_State *L)
{
	size_t len;
	const struct request *r = check(L);
	const char *name = luaL_checklstring(L, 2, &len);
	push_pairs(L, bytes_of(r) + r->query.at, r->query.len, name, len);
	return 1;
}

static int request_form_all(lua_State *L)
{
	size_t len, body_len;
	check(L);
	const char *name = luaL_checklstring(L, 2, &len);
	push_body(L);
	const char *body = lua_tolstring(L, -1, &body_len);
	push_pairs(L, body, body_len, name, len);
	return 1;
}

/* header_pairs() --> array of { name, value } in the order they came, names as they were written */
static int request_header_pairs(lua_State *L)
{
	const struct request *r = check(L);
	lua_createtable(L, r->nfields, 0);
	for (unsigned i = 0; i < r->nfields; i++) {
		lua_createtable(L, 2, 0);
		push_span(L, r, r->fields[i].name);
		lua_rawseti(L, -2, 1);
		push_span(L, r, r->fields[i].value);
		lua_rawseti(L, -2, 2);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static int headers_index(lua_State *L)
{
	size_t len;
	const char *name = luaL_checklstring(L, 2, &len);
	lua_getiuservalue(L, 1, 1);
	const struct request *r = lua_touserdata(L, -1);
	return push_field(L, r, name, len);
}

static int headers_next(lua_State *L)
{
	const struct request *r = lua_touserdata(L, lua_upvalueindex(1));
	lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
	if (i >= r->nfields)
		return 0;
	lua_pushinteger(L, i + 1);
	lua_replace(L, lua_upvalueindex(2));
	push_span(L, r, r->fields[i].name);
	push_span(L, r, r->fields[i].value);
	return 2;
}

static int headers_pairs(lua_State *L)
{
	lua_getiuservalue(L, 1, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, headers_next, 2);
	return 1;
}

int request_decode(lua_State *L)
{
	size_t len;
	const char *s = luaL_checklstring(L, 1, &len);
	push_decoded(L, s, len, lua_toboolean(L, 2));
	return 1;
}

int request_decode_form(lua_State *L)
{
	size_t len, name_len = 0;
	const char *s = luaL_checklstring(L, 1, &len);
	const char *name = luaL_optlstring(L, 2, NULL, &name_len);
	push_pairs(L, s, len, name, name_len);
	return 1;
}

void request_setup(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "header", request_header },
		{ "arg", request_arg },
		{ "args_all", request_args_all },
		{ "form_all", request_form_all },
		{ "header_pairs", request_header_pairs },
		{ NULL, NULL },
	};
	if (luaL_newmetatable(L, REQUEST_TYPE)) {
		lua_newtable(L);
		luaL_setfuncs(L, methods, 0);
		for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
			lua_pushinteger(L, known[i].field);
			lua_setfield(L, -2, known[i].name);
		}
		lua_pushcclosure(L, request_index, 1);
		lua_setfield(L, -2, "__index");
		lua_pushcfunction(L, request_newindex);
		lua_setfield(L, -2, "__newindex");
	}
	lua_pop(L, 1);
	if (luaL_newmetatable(L, HEADERS_TYPE)) {
		lua_pushcfunction(L, headers_index);
		lua_setfield(L, -2, "__index");
		lua_pushcfunction(L, headers_pairs);
		lua_setfield(L, -2, "__pairs");
	}
	lua_pop(L, 1);
}
