/* A Lua response table read into something that can be sent: checked fields, a body, and gzip where it pays (RFC 9110).
 */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "host/server.h"

enum { GZIP_LEVEL = 1 }; /* 256 KB of events take 2 ms of the loop; higher levels save little */

static const struct {
	int status;
	const char *text;
} texts[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 207, "Multi-Status" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

const char *status_text(int status)
{
	if (status == 200)
		return "OK";
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Unknown";
}

void answer_add(struct answer *a, const char *name, const char *value, size_t value_len)
{
	if (a->nfields == ANSWER_FIELDS) {
		a->error = "too many response headers";
		return;
	}
	a->fields[a->nfields++] = (struct answer_field){ name, value, strlen(name), value_len };
}

/* What the server itself decides is not taken from the handler: framing and the connection. */
static bool is_ours(struct answer *a, const char *name, size_t len, const char *value, size_t value_len)
{
	switch (len) {
	case 10:
		if (!http_name_is(name, len, "connection"))
			return http_name_is(name, len, "keep-alive");
		a->close = a->close || http_list_has(value, value_len, "close");
		return true;
	case 14:
		return http_name_is(name, len, "content-length");
	case 17:
		return http_name_is(name, len, "transfer-encoding");
	case 7:
		return http_name_is(name, len, "upgrade");
	case 12:
		if (http_name_is(name, len, "content-type")) {
			a->has_type = true;
			a->type = value;
			a->type_len = value_len;
		}
		return false;
	case 16:
		if (http_name_is(name, len, "content-encoding"))
			a->has_encoding = true;
		return http_name_is(name, len, "proxy-connection");
	case 4:
		if (http_name_is(name, len, "vary"))
			a->has_vary = a->has_vary || http_list_has(value, value_len, "accept-encoding");
		else if (http_name_is(name, len, "etag"))
			a->has_etag = true;
		else if (http_name_is(name, len, "date"))
			a->has_date = true;
		return false;
	}
	return false;
}

static void add_checked(struct answer *a, const char *name, size_t len, const char *value, size_t value_len)
{
	bool good = len > 0;
	for (size_t i = 0; i < len && good; i++)
		good = http_is_token((unsigned char)name[i]);
	if (!good) {
		a->error = "a response header's name has a character that is not allowed";
		return;
	}
	for (size_t i = 0; i < value_len; i++) {
		if (!http_is_value((unsigned char)value[i])) {
			a->error = "a response header's value has a line break or control character";
			return;
		}
	}
	if (is_ours(a, name, len, value, value_len))
		return;
	if (a->nfields == ANSWER_FIELDS) {
		a->error = "too many response headers";
		return;
	}
	a->fields[a->nfields++] = (struct answer_field){ name, value, len, value_len };
}

/* The value at the top of the stack. A string stays alive in its table; a number is written beside it. */
static void take_value(lua_State *L, struct answer *a, const char *name, size_t len)
{
	if (lua_type(L, -1) == LUA_TSTRING) {
		size_t value_len;
		const char *value = lua_tolstring(L, -1, &value_len);
		add_checked(a, name, len, value, value_len);
		return;
	}
	size_t room = sizeof a->scratch - a->scratch_used;
	if (!lua_isinteger(L, -1) || room < 24) {
		a->error = "a response header's value is neither text nor an integer";
		return;
	}
	char *at = a->scratch + a->scratch_used;
	int n = snprintf(at, room, "%lld", (long long)lua_tointeger(L, -1));
	a->scratch_used += (size_t)n;
	add_checked(a, name, len, at, (size_t)n);
}

static void read_headers(lua_State *L, int index, struct answer *a)
{
	lua_pushnil(L);
	while (lua_next(L, index)) {
		if (lua_type(L, -2) != LUA_TSTRING) {
			a->error = "a response header's name is not text";
			lua_pop(L, 1);
			continue;
		}
		size_t len;
		const char *name = lua_tolstring(L, -2, &len);
		if (lua_type(L, -1) == LUA_TTABLE) {
			for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
				take_value(L, a, name, len);
				lua_pop(L, 1);
			}
			lua_pop(L, 1);
		} else {
			take_value(L, a, name, len);
		}
		lua_pop(L, 1);
	}
}

/* Reads the table at `index` without calling into Lua. Its strings are borrowed: the table stays on the stack until
 * sent. */
void answer_read(lua_State *L, int index, struct answer *a)
{
	memset(a, 0, offsetof(struct answer, fields));
	a->status = 200;
	if (lua_type(L, index) != LUA_TTABLE) {
		a->error = "the handler returned no response table";
		return;
	}
	lua_pushliteral(L, "status");
	int type = lua_rawget(L, index);
	if (type == LUA_TNUMBER && lua_isinteger(L, -1))
		a->status = (int)lua_tointeger(L, -1);
	else if (type != LUA_TNIL)
		a->status = 0;
	if (a->status < 200 || a->status > 599)
		a->error = "a response's status is not between 200 and 599";
	lua_pushliteral(L, "body");
	type = lua_rawget(L, index);
	if (type == LUA_TSTRING)
		a->body = lua_tolstring(L, -1, &a->body_len);
	else if (type == LUA_TFUNCTION)
		a->stream = true;
	else if (type == LUA_TUSERDATA && (a->text = text_at(L, -1)) != NULL) {
		a->body = a->text->at;
		a->body_len = a->text->len;
	} else if (type != LUA_TNIL)
		a->error = "a response's body is neither text nor a function";
	lua_pushliteral(L, "headers");
	type = lua_rawget(L, index);
	if (type == LUA_TTABLE)
		read_headers(L, lua_gettop(L), a);
	else if (type != LUA_TNIL)
		a->error = "a response's headers are not a table";
	lua_pop(L, 3);
	if (a->status == 204 || a->status == 304) {
		a->body = NULL;
		a->body_len = 0;
		a->stream = false;
	}
}

/* Accept-Encoding (RFC 9110 section 12.5.3): gzip named, or *, with a weight above zero. */
bool gzip_accepted(const char *value, size_t len)
{
	size_t i = 0;
	bool any = false;
	while (i < len) {
		while (i < len && (value[i] == ' ' || value[i] == '\t' || value[i] == ','))
			i++;
		size_t start = i;
		while (i < len && value[i] != ',' && value[i] != ';' && value[i] != ' ')
			i++;
		size_t name_len = i - start;
		size_t params = i;
		while (i < len && value[i] != ',')
			i++;
		bool zero = false;
		for (size_t p = params; p + 1 < i; p++) {
			if ((value[p] != 'q' && value[p] != 'Q') || value[p + 1] != '=')
				continue;
			zero = true;
			for (size_t d = p + 2; d < i; d++)
				if (value[d] >= '1' && value[d] <= '9')
					zero = false;
		}
		if (http_name_is(value + start, name_len, "gzip") || http_name_is(value + start, name_len, "x-gzip"))
			return !zero;
		if (name_len == 1 && value[start] == '*')
			any = !zero;
	}
	return any;
}

static bool compressible(const struct answer *a)
{
	if (!a->has_type || a->has_encoding || a->body_len < GZIP_MIN || a->status != 200)
		return false;
	size_t len = 0;
	while (len < a->type_len && a->type[len] != ';' && a->type[len] != ' ')
		len++;
	return http_name_is(a->type, len, "application/json") || (len > 5 && http_name_is(a->type, 5, "text/"));
}

/* One deflate state and one output buffer for the process: a response is sent or copied before the next is compressed.
 */
void answer_compress(struct answer *a, bool accepted)
{
	static z_stream stream;
	static bool ready;
	static char *out;
	static size_t room;

	if (!compressible(a))
		return;
	if (!a->has_vary)
		answer_add(a, "vary", "accept-encoding", 15);
	if (!accepted || a->has_etag)
		return;
	if (!ready && deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return;
	if (ready && deflateReset(&stream) != Z_OK)
		return;
	ready = true;
	size_t bound = deflateBound(&stream, a->body_len);
	if (bound > room) {
		char *grown = realloc(out, bound);
		if (!grown)
			return;
		out = grown;
		room = bound;
	}
	stream.next_in = (Bytef *)a->body;
	stream.avail_in = (uInt)a->body_len;
	stream.next_out = (Bytef *)out;
	stream.avail_out = (uInt)room;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		return;
	a->body = out;
	a->body_len = stream.total_out;
	answer_add(a, "content-encoding", "gzip", 4);
}
