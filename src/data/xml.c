/* lunation.xml: XML with namespaces to a tree of Lua tables, by expat, for bodies that strangers send.
 * A document type declaration is refused, so there are no entities of the document's own to expand. */
#include "data/buffer.h"
#include "data/fail.h"
#include "modules.h"

#include <expat.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#define PARSER_TYPE "lunation.xml.parser"
#define NODE_TYPE "lunation.xml.node"

enum { DEPTH = 64, DEPTH_MAX = 200, SIZE = 64 << 20, SEPARATOR = '\n' };

/* Lua may raise out of an expat callback for want of memory: the parser is then freed by its userdata. */
struct parser {
	XML_Parser expat;
	lua_State *L;
	int base; /* stack index of the root; the open elements follow, outermost first */
	int depth;
	int depth_limit;
	const char *refused; /* why we stopped, where expat has nothing to say */
	struct level {
		struct buffer text;
		size_t run; /* where what was read since the last child begins */
	} levels[];         /* the open elements, and one for each depth that has been reached */
};

static int parser_gc(lua_State *L)
{
	struct parser *p = luaL_checkudata(L, 1, PARSER_TYPE);

	if (p->expat)
		XML_ParserFree(p->expat);
	p->expat = NULL;
	for (int i = 0; i < p->depth_limit; i++)
		buffer_free(&p->levels[i].text);
	return 0;
}

static void stop(struct parser *p, const char *why)
{
	p->refused = why;
	XML_StopParser(p->expat, XML_FALSE);
}

/* "namespace\nname", as expat joins them, to two fields. */
static void set_name(lua_State *L, const char *joined)
{
	const char *name = strchr(joined, SEPARATOR);

	if (name)
		lua_pushlstring(L, joined, (size_t)(name - joined));
	else
		lua_pushliteral(L, "");
	lua_setfield(L, -2, "ns");
	lua_pushstring(L, name ? name + 1 : joined);
	lua_setfield(L, -2, "name");
}

static bool blank(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r' && s[i] != '\n')
			return false;
	return true;
}

/* Ends a run of text. Between child elements blanks are layout. */
static void end_run(struct level *l)
{
	if (l->text.len > l->run && blank(l->text.data + l->run, l->text.len - l->run))
		l->text.len = l->run;
	l->run = l->text.len;
}

/* Gives its text to the element on top, which ends: a leaf has one always, others where there is more than layout. */
static void set_text(struct parser *p, struct level *l)
{
	lua_State *L = p->L;
	bool leaf = lua_rawlen(L, -1) == 0;

	if (!leaf)
		end_run(l);
	if (leaf || l->text.len > 0) {
		lua_pushlstring(L, l->text.data ? l->text.data : "", l->text.len);
		lua_setfield(L, -2, "text");
	}
	l->text.len = l->run = 0;
}

static void XMLCALL on_start(void *ud, const XML_Char *name, const XML_Char **attrs)
{
	struct parser *p = ud;
	lua_State *L = p->L;

	if (p->depth == p->depth_limit) {
		stop(p, "elements are nested too deep");
		return;
	}
	if (p->depth > 0)
		end_run(&p->levels[p->depth - 1]);
	p->depth++;
	lua_createtable(L, 0, 3);
	luaL_setmetatable(L, NODE_TYPE);
	set_name(L, name);
	if (!attrs[0])
		return;
	lua_newtable(L);
	for (; attrs[0]; attrs += 2) {
		const char *local = strchr(attrs[0], SEPARATOR);

		lua_pushstring(L, attrs[1]);
		lua_setfield(L, -2, local ? local + 1 : attrs[0]);
	}
	lua_setfield(L, -2, "attrs");
}

static void XMLCALL on_end(void *ud, const XML_Char *name)
{
	struct parser *p = ud;
	lua_State *L = p->L;

	(void)name;
	if (p->refused) /* expat still ends an empty element after it was stopped */
		return;
	set_text(p, &p->levels[--p->depth]);
	if (p->depth > 0)
		lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static void XMLCALL on_text(void *ud, const XML_Char *s, int len)
{
	struct parser *p = ud;

	if (!buffer_add(&p->levels[p->depth - 1].text, s, (size_t)len))
		stop(p, "out of memory");
}

static void XMLCALL on_doctype(void *ud, const XML_Char *name, const XML_Char *system, const XML_Char *public,
			       int subset)
{
	(void)name, (void)system, (void)public, (void)subset;
	stop(ud, "a document type declaration is not taken");
}

static int xml_fail(lua_State *L, const struct parser *p)
{
	enum XML_Error code = XML_GetErrorCode(p->expat);
	lua_Integer line = (lua_Integer)XML_GetCurrentLineNumber(p->expat);
	lua_Integer column = (lua_Integer)XML_GetCurrentColumnNumber(p->expat) + 1;

	data_fail(L, "invalid_xml", "line %I, column %I: %s", line, column,
		  p->refused ? p->refused : XML_ErrorString(code));
	lua_pushinteger(L, line);
	lua_setfield(L, -2, "line");
	lua_pushinteger(L, column);
	lua_setfield(L, -2, "column");
	return 2;
}

static lua_Integer option(lua_State *L, const char *name, lua_Integer otherwise)
{
	lua_Integer value = otherwise;

	if (lua_istable(L, 2)) {
		lua_getfield(L, 2, name);
		value = luaL_optinteger(L, -1, otherwise);
		lua_pop(L, 1);
	}
	return value;
}

static int xml_parse(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	lua_Integer depth = option(L, "depth", DEPTH);
	lua_Integer max = option(L, "max", SIZE);
	struct parser *p;

	luaL_argcheck(L, depth > 0 && depth <= DEPTH_MAX, 2, "depth is out of range");
	if ((lua_Unsigned)size > (lua_Unsigned)max || size > INT_MAX)
		return data_fail(L, "too_large", "the document has %I bytes, more than %I", (lua_Integer)size, max);
	p = lua_newuserdatauv(L, sizeof *p + (size_t)depth * sizeof p->levels[0], 0);
	memset(p, 0, sizeof *p + (size_t)depth * sizeof p->levels[0]);
	p->depth_limit = (int)depth;
	luaL_setmetatable(L, PARSER_TYPE);
	p->expat = XML_ParserCreateNS(NULL, SEPARATOR);
	if (!p->expat)
		return luaL_error(L, "out of memory");
	p->L = L;
	luaL_checkstack(L, (int)depth + 8, "XML is nested too deep");
	p->base = lua_gettop(L) + 1;
	XML_SetUserData(p->expat, p);
	XML_SetElementHandler(p->expat, on_start, on_end);
	XML_SetCharacterDataHandler(p->expat, on_text);
	XML_SetStartDoctypeDeclHandler(p->expat, on_doctype);
	if (XML_Parse(p->expat, text, (int)size, 1) != XML_STATUS_OK)
		return xml_fail(L, p);
	lua_settop(L, p->base);
	lua_pushcfunction(L, parser_gc);
	lua_pushvalue(L, p->base - 1);
	lua_call(L, 1, 0);
	return 1;
}

/* Whether the node on top has this namespace and name; stack indices of the strings asked for. */
static bool is_named(lua_State *L, int ns, int name)
{
	bool same;

	lua_getfield(L, -1, "name");
	lua_getfield(L, -2, "ns");
	same = lua_rawequal(L, -2, name) && lua_rawequal(L, -1, ns);
	lua_pop(L, 2);
	return same;
}

static int node_child(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 3);
	for (lua_Integer i = 1; lua_rawgeti(L, 1, i) == LUA_TTABLE; i++) {
		if (is_named(L, 2, 3))
			return 1;
		lua_pop(L, 1);
	}
	return 0;
}

static int node_children(lua_State *L)
{
	lua_Integer n = 0;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 3);
	lua_newtable(L);
	for (lua_Integer i = 1; lua_rawgeti(L, 1, i) == LUA_TTABLE; i++) {
		if (is_named(L, 2, 3))
			lua_rawseti(L, 4, ++n);
		else
			lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return 1;
}

/* Depth first, with the node on top; leaves what it found in its place. */
static bool find(lua_State *L)
{
	luaL_checkstack(L, 4, "XML is nested too deep");
	for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
		if (is_named(L, 2, 3) || find(L)) {
			lua_replace(L, -2);
			return true;
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return false;
}

static int node_find(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 3);
	lua_pushvalue(L, 1);
	return find(L) ? 1 : 0;
}

/* XML 1.0 section 2.2 has no control characters: they are left out. */
static int xml_escape(lua_State *L)
{
	size_t size;
	const char *s = luaL_checklstring(L, 1, &size);
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (size_t i = 0; i < size; i++) {
		switch (s[i]) {
		case '&':
			luaL_addstring(&b, "&amp;");
			break;
		case '<':
			luaL_addstring(&b, "&lt;");
			break;
		case '>':
			luaL_addstring(&b, "&gt;");
			break;
		case '"':
			luaL_addstring(&b, "&quot;");
			break;
		case '\'':
			luaL_addstring(&b, "&#39;");
			break;
		default:
			if ((unsigned char)s[i] >= 0x20 || (s[i] && strchr("\t\n\r", s[i])))
				luaL_addchar(&b, s[i]);
		}
	}
	luaL_pushresult(&b);
	return 1;
}

static const luaL_Reg methods[] = {
	{ "child", node_child },
	{ "children", node_children },
	{ "find", node_find },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "escape", xml_escape },
	{ "parse", xml_parse },
	{ NULL, NULL },
};

int luaopen_lunation_xml(lua_State *L)
{
	luaL_newmetatable(L, PARSER_TYPE);
	lua_pushcfunction(L, parser_gc);
	lua_setfield(L, -2, "__gc");
	luaL_newmetatable(L, NODE_TYPE);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 2);
	luaL_newlib(L, functions);
	return 1;
}
