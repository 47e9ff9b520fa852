/* A parsed iCalendar text as a tree of Lua tables. */
#include "calendar/ical_tree.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Stack slots of the builder: its arguments, the keys of the tables it makes, strings that were seen before. */
enum { SLOT_STATE = 1, KEY_NAME, KEY_PARAMS, KEY_VALUE, KEY_SPELLING, KEY_LINE, SLOT_SEEN, SLOT_ROOT };

#define SEEN 256
#define SEEN_LENGTH 32 /* longest string that is looked for */

typedef struct {
	const char *s;
	size_t length;
} seen_string;

typedef struct {
	ical_tree_source from;
	lua_Integer counts[ICAL_MAX_OPEN + 1][2]; /* properties and components built so far, by depth */
	seen_string seen[SEEN];
} builder;

/* --- strings --- */

/* Names, zones and states come again and again: a string made once is found by its octets. */
static void push_seen(lua_State *L, builder *b, const char *s, size_t length)
{
	seen_string *entry;
	unsigned slot;

	if (length == 0 || length > SEEN_LENGTH) {
		lua_pushlstring(L, s, length);
		return;
	}
	slot = ((unsigned char)s[0] * 5u + (unsigned char)s[length / 2] * 11u + (unsigned char)s[length - 1] * 3u +
		(unsigned)length * 29u) %
	       SEEN;
	entry = &b->seen[slot];
	if (entry->length == length && memcmp(entry->s, s, length) == 0) {
		lua_rawgeti(L, SLOT_SEEN, (lua_Integer)slot + 1);
		return;
	}
	lua_pushlstring(L, s, length);
	lua_pushvalue(L, -1);
	lua_rawseti(L, SLOT_SEEN, (lua_Integer)slot + 1);
	*entry = (seen_string){ s, length };
}

static void push_upper(lua_State *L, const char *s, size_t length)
{
	luaL_Buffer buffer;
	char *out = luaL_buffinitsize(L, &buffer, length);
	size_t i;

	for (i = 0; i < length; i++)
		out[i] = s[i] >= 'a' && s[i] <= 'z' ? (char)(s[i] - 'a' + 'A') : s[i];
	luaL_pushresultsize(&buffer, length);
}

static bool has_lower(const char *s, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (s[i] >= 'a' && s[i] <= 'z')
			return true;
	return false;
}

/* Sets name, in upper case, on the table at the top of the stack, and the spelling where that is another. */
static void set_name(lua_State *L, builder *b, const char *s, size_t length, bool lower)
{
	lua_pushvalue(L, KEY_NAME);
	if (lower)
		push_upper(L, s, length);
	else
		push_seen(L, b, s, length);
	lua_rawset(L, -3);
	if (lower) {
		lua_pushvalue(L, KEY_SPELLING);
		lua_pushlstring(L, s, length);
		lua_rawset(L, -3);
	}
}

static void set_line(lua_State *L, const builder *b, const ical_node *node)
{
	if (!b->from.positions)
		return;
	lua_pushvalue(L, KEY_LINE);
	lua_pushinteger(L, (lua_Integer)node->line);
	lua_rawset(L, -3);
}

/* --- properties --- */

static void push_parameter_value(lua_State *L, builder *b, const char *s, size_t length, bool plain)
{
	luaL_Buffer buffer;

	if (plain) {
		push_seen(L, b, s, length);
		return;
	}
	luaL_pushresultsize(&buffer, ical_parameter_text(s, length, luaL_buffinitsize(L, &buffer, length)));
}

static void push_parameters(lua_State *L, builder *b, const char *line, size_t length, size_t at)
{
	ical_cursor c = { .line = line, .length = length, .at = at };
	const char *s;
	size_t n;
	lua_Integer count = 0;

	while (at < length && line[at] == ' ') /* after a name, where a wild text has some */
		at++;
	c.at = at;
	lua_createtable(L, 1, 0);
	while (ical_next_parameter(&c, &s, &n)) {
		lua_Integer values = 0;
		bool plain;

		lua_createtable(L, 1, 1);
		set_name(L, b, s, n, has_lower(s, n));
		while (ical_next_value(&c, &s, &n, &plain)) {
			push_parameter_value(L, b, s, n, plain);
			lua_rawseti(L, -2, ++values);
		}
		lua_rawseti(L, -2, ++count);
	}
}

static void push_value(lua_State *L, const ical_node *node, const char *s, size_t length)
{
	luaL_Buffer buffer;

	if (node->flags & ICAL_FOLDED)
		luaL_pushresultsize(&buffer, ical_unfold(s, length, luaL_buffinitsize(L, &buffer, length)));
	else
		lua_pushlstring(L, s, length);
}

static void push_property(lua_State *L, builder *b, const ical_node *node)
{
	const char *line = ical_doc_text(b->from.doc, node);
	size_t name, value;

	ical_doc_place(b->from.doc, node, &name, &value);
	lua_createtable(L, 0, 3 + b->from.positions);
	set_name(L, b, line, name, node->flags & ICAL_LOWER);
	lua_pushvalue(L, KEY_PARAMS);
	if (node->flags & ICAL_PARAMETERS)
		push_parameters(L, b, line, value - 1, name);
	else
		lua_createtable(L, 0, 0);
	lua_rawset(L, -3);
	lua_pushvalue(L, KEY_VALUE);
	push_value(L, node, line + value, node->length - value);
	lua_rawset(L, -3);
	set_line(L, b, node);
}

/* --- components --- */

/* Gives the table at the top of the stack its lists, and leaves them above it. */
static void push_lists(lua_State *L, size_t properties, size_t components)
{
	lua_createtable(L, (int)properties, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "properties");
	lua_createtable(L, (int)components, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -4, "components");
}

static int base_of(int depth)
{
	return SLOT_ROOT + depth * 3;
}

static void push_component(lua_State *L, builder *b, const ical_node *node, const ical_node *span, int depth)
{
	const char *name = ical_doc_text(b->from.doc, node);

	luaL_checkstack(L, 24, "iCalendar components");
	lua_createtable(L, 0, 3 + b->from.positions);
	set_name(L, b, name, node->length, node->flags & ICAL_LOWER);
	set_line(L, b, node);
	lua_pushvalue(L, -1);
	lua_rawseti(L, base_of(depth - 1) + 2, ++b->counts[depth - 1][1]);
	push_lists(L, span->line, span->length);
	b->counts[depth][0] = b->counts[depth][1] = 0;
}

/* Whether a VEVENT begins here that is not asked for. */
static bool left_out(const builder *b, uint32_t index)
{
	const ical_node *node = ical_doc_node(b->from.doc, index);
	const char *name = ical_doc_text(b->from.doc, node);
	size_t i;

	if (!b->from.few || node->name != 0 || node->value != ICAL_BEGIN || node->length != 6 ||
	    (b->from.events && b->from.events[index]))
		return false;
	for (i = 0; i < 6; i++)
		if ((name[i] & ~0x20) != "VEVENT"[i])
			return false;
	return true;
}

static void build(lua_State *L, builder *b)
{
	const ical_doc *doc = b->from.doc;
	uint32_t i;
	int depth = 0;

	for (i = 0; i < doc->count; i++) {
		const ical_node *node = ical_doc_node(doc, i);

		if (left_out(b, i)) {
			i = ical_doc_node(doc, i + 1)->start - 1;
			continue;
		}
		if (node->name != 0 || node->value == ICAL_BARE) {
			push_property(L, b, node);
			lua_rawseti(L, base_of(depth) + 1, ++b->counts[depth][0]);
		} else if (node->value == ICAL_BEGIN) {
			push_component(L, b, node, ical_doc_node(doc, ++i), ++depth);
		} else {
			depth--;
			lua_settop(L, base_of(depth) + 2);
		}
	}
}

/* --- what is reported --- */

static void push_message(lua_State *L, const ical_doc *doc, const ical_problem *problem)
{
	const char *s = (problem->aside ? doc->aside : doc->text) + problem->start;

	if (problem->text == ICAL_NO_TEXT) {
		lua_pushfstring(L, problem->format, (int)problem->number);
		return;
	}
	if (problem->text == ICAL_TEXT_UPPER)
		push_upper(L, s, problem->length);
	else
		lua_pushlstring(L, s, problem->length);
	lua_pushfstring(L, problem->format, lua_tostring(L, -1), (int)problem->number);
	lua_remove(L, -2);
}

static void push_problem(lua_State *L, const ical_doc *doc, const ical_problem *problem)
{
	lua_createtable(L, 0, 4);
	lua_pushstring(L, problem->code);
	lua_setfield(L, -2, "code");
	push_message(L, doc, problem);
	lua_setfield(L, -2, "message");
	lua_pushinteger(L, (lua_Integer)problem->line);
	lua_setfield(L, -2, "line");
	lua_pushinteger(L, (lua_Integer)problem->column);
	lua_setfield(L, -2, "column");
}

int ical_push_failure(lua_State *L, const ical_doc *doc)
{
	if (doc->no_memory)
		return luaL_error(L, "not enough memory");
	lua_pushnil(L);
	push_problem(L, doc, &doc->problems[doc->problem_count - 1]);
	return 2;
}

/* Its own frame: the slots of the builder are counted from its first. */
static int build_tree(lua_State *L)
{
	builder b = { .from = *(const ical_tree_source *)lua_touserdata(L, SLOT_STATE) };
	const ical_doc *doc = b.from.doc;
	int i;

	if (doc->failed)
		return ical_push_failure(L, doc);
	lua_pushliteral(L, "name");
	lua_pushliteral(L, "params");
	lua_pushliteral(L, "value");
	lua_pushliteral(L, "spelling");
	lua_pushliteral(L, "line");
	lua_createtable(L, SEEN, 0);
	lua_createtable(L, 0, 3);
	push_lists(L, doc->properties, doc->components);
	build(L, &b);
	if (doc->components == 1 && doc->properties == 0) {
		lua_rawgeti(L, SLOT_ROOT + 2, 1);
	} else {
		lua_pushliteral(L, "");
		lua_setfield(L, SLOT_ROOT, "name");
		lua_pushvalue(L, SLOT_ROOT);
	}
	lua_createtable(L, doc->problem_count, 0);
	for (i = 0; i < doc->problem_count; i++) {
		push_problem(L, doc, &doc->problems[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 2;
}

int ical_push_tree(lua_State *L, const ical_tree_source *from)
{
	int top = lua_gettop(L);

	lua_pushcfunction(L, build_tree);
	lua_pushlightuserdata(L, (void *)from);
	lua_call(L, 1, LUA_MULTRET);
	return lua_gettop(L) - top;
}

static int push_tree(lua_State *L)
{
	return ical_push_tree(L, lua_touserdata(L, 1));
}

/* The text's memory until Lua has it; freed by the collector when Lua has no room for it. */
static int free_text(lua_State *L)
{
	char **text = lua_touserdata(L, 1);

	free(*text);
	*text = NULL;
	return 0;
}

static int push_rewritten(lua_State *L)
{
	const ical_doc *doc = ((ical_tree_source *)lua_touserdata(L, 1))->doc;
	size_t length;
	char **text;

	if (doc->failed)
		return ical_push_failure(L, doc);
	text = lua_newuserdatauv(L, sizeof *text, 0);
	*text = NULL;
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, free_text);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	*text = ical_doc_write(doc, &length);
	if (!*text)
		return luaL_error(L, "not enough memory");
	lua_pushlstring(L, *text, length);
	free(*text);
	*text = NULL;
	lua_pushinteger(L, (lua_Integer)doc->peak);
	return 2;
}

/* --- the module's functions --- */

static size_t option(lua_State *L, const char *name)
{
	lua_Integer value;

	lua_getfield(L, 2, name);
	value = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return value > 0 ? (size_t)value : 0;
}

static bool flag(lua_State *L, const char *name)
{
	bool value;

	lua_getfield(L, 2, name);
	value = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

int ical_with_doc(lua_State *L, lua_CFunction f)
{
	size_t length;
	const char *text = luaL_checklstring(L, 1, &length);
	ical_limits limits = { .max = 0 };
	ical_doc doc;
	ical_tree_source from = { .doc = &doc };
	int status, top = lua_gettop(L), collecting = lua_gc(L, LUA_GCISRUNNING);

	if (lua_istable(L, 2)) {
		limits.max = option(L, "max");
		limits.depth = option(L, "depth");
		limits.properties = option(L, "properties");
		limits.strict = flag(L, "strict");
		from.positions = flag(L, "positions");
	}
	ical_doc_parse(&doc, text, length, &limits);
	lua_pushcfunction(L, f);
	lua_insert(L, 2);
	lua_pushlightuserdata(L, &from);
	lua_insert(L, 3);
	/* All that is made is part of the answer: looking for garbage in between would find none. */
	if (collecting)
		lua_gc(L, LUA_GCSTOP);
	status = lua_pcall(L, top, LUA_MULTRET, 0);
	if (collecting)
		lua_gc(L, LUA_GCRESTART);
	ical_doc_close(&doc);
	return status == LUA_OK ? lua_gettop(L) - 1 : lua_error(L);
}

/* parse(text, {strict=, positions=, max=, depth=, properties=}) --> tree, warnings | nil, error
   The tree is the one component of the text; where there are several, or lines outside of them, it is a node with an
   empty name that holds them all. */
int ical_parse(lua_State *L)
{
	return ical_with_doc(L, push_tree);
}

/* rewrite(text, options) --> text, octets of memory | nil, error. The same as serialize(parse(text)), without tables.
 */
int ical_rewrite(lua_State *L)
{
	return ical_with_doc(L, push_rewritten);
}
