/* iCalendar text to a tree (RFC 5545 section 3.1), in one pass: every line becomes a property or opens or closes a
   component, values stay as they are written. Lenient by default: what is wrong is a warning with its line, and a line
   that is no property is kept under an empty name. With strict, the first thing wrong is the answer. */
#include "calendar/ical_parser.h"

#include <lauxlib.h>
#include <string.h>

static int slot_of(int depth)
{
	return SLOT_ROOT + 4 + depth * 3; /* the three buffers stand between */
}

/* --- names and parameters --- */

static bool name_character(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Sets name, in upper case, on the table at the top of the stack, and the spelling where that is another. */
static const char *set_name(ical_parser *p, const char *s, size_t length)
{
	lua_State *L = p->L;
	const char *name;
	bool changed = false;
	size_t i;

	p->scratch.length = 0;
	for (i = 0; i < length; i++) {
		char c = s[i];
		if (c >= 'a' && c <= 'z') {
			c = (char)(c - 'a' + 'A');
			changed = true;
		}
		ical_buffer_byte(&p->scratch, c);
	}
	name = lua_pushlstring(L, p->scratch.data, length);
	lua_setfield(L, -2, "name");
	if (changed) {
		lua_pushlstring(L, s, length);
		lua_setfield(L, -2, "spelling");
	}
	return name;
}

/* One parameter value from *at, up to the character that ends it; the carets of RFC 6868 are resolved. */
static void push_parameter_value(ical_parser *p, const char *line, size_t length, size_t *at)
{
	ical_buffer *b = &p->scratch;
	size_t i = *at;
	const char *close = NULL;

	b->length = 0;
	if (i < length && line[i] == '"') {
		close = memchr(line + i + 1, '"', length - i - 1);
		if (!close)
			ical_complain(p, i + 1, "a parameter's quote is not closed");
		else
			i++;
	}
	for (; i < length; i++) {
		char c = line[i];

		if (close) {
			if (line + i == close) {
				close = NULL;
				continue;
			}
		} else if (c == ':' || c == ';' || c == ',') {
			break;
		} else if (c == '"') {
			ical_complain(p, i + 1, "a quote inside a parameter value");
		}
		if (c == '^' && i + 1 < length) {
			char d = line[i + 1];
			char plain = d == 'n' ? '\n' : d == '\'' ? '"' : d == '^' ? '^' : '\0';
			if (plain) {
				ical_buffer_byte(b, plain);
				i++;
				continue;
			}
		}
		ical_buffer_byte(b, c);
	}
	*at = i;
	lua_pushlstring(p->L, b->data, b->length);
}

/* Parameters from the semicolon at *at to the colon; their table is left on the stack. False: the line has no value. */
static bool push_parameters(ical_parser *p, const char *line, size_t length, size_t *at)
{
	lua_State *L = p->L;
	size_t i = *at;
	lua_Integer n = 0;

	lua_createtable(L, i < length && line[i] == ';' ? 1 : 0, 0);
	while (i < length && line[i] == ';') {
		size_t from = ++i, values = 0;

		while (i < length && line[i] != '=' && line[i] != ';' && line[i] != ':')
			i++;
		if (i == from) {
			ical_complain(p, i + 1, "a parameter without a name");
			if (i < length && line[i] == '=') {
				do {
					i++;
					push_parameter_value(p, line, length, &i);
					lua_pop(L, 1);
				} while (i < length && line[i] == ',');
			}
			continue;
		}
		lua_createtable(L, 1, 1);
		set_name(p, line + from, i - from);
		if (i < length && line[i] == '=') {
			do {
				i++;
				push_parameter_value(p, line, length, &i);
				lua_rawseti(L, -2, (lua_Integer)++values);
			} while (i < length && line[i] == ',');
		} else {
			ical_complain(p, from + 1, "a parameter without a value");
		}
		lua_rawseti(L, -2, ++n);
	}
	*at = i;
	return i < length && line[i] == ':';
}

/* --- components --- */

static void set_line(ical_parser *p)
{
	if (p->positions) {
		lua_pushinteger(p->L, (lua_Integer)p->started);
		lua_setfield(p->L, -2, "line");
	}
}

static void open_component(ical_parser *p, const char *name, size_t length)
{
	lua_State *L = p->L;
	ical_frame *parent = &p->frames[p->depth];

	if (p->depth >= p->max_depth) {
		ical_fail(p, "too_large", 1, "components nested deeper than %d", p->max_depth);
		return;
	}
	luaL_checkstack(L, 20, "iCalendar components");
	lua_createtable(L, 0, 4);
	parent->components++;
	p->depth++;
	p->frames[p->depth] = (ical_frame){ .line = p->started };
	p->frames[p->depth].name = set_name(p, name, length);
	set_line(p);
	lua_pushvalue(L, -1);
	lua_rawseti(L, slot_of(p->depth - 1) + 2, parent->components);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "properties");
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, -4, "components");
}

static void close_innermost(ical_parser *p)
{
	p->depth--;
	lua_settop(p->L, slot_of(p->depth) + 2);
}

static bool same_name(const char *upper, const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		char c = name[i];
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (upper[i] == '\0' || upper[i] != c)
			return false;
	}
	return upper[length] == '\0';
}

static void close_component(ical_parser *p, const char *name, size_t length)
{
	int depth = p->depth;

	while (depth > 0 && !same_name(p->frames[depth].name, name, length))
		depth--;
	if (depth == 0) {
		lua_pushlstring(p->L, name, length);
		ical_complain(p, 5, "END:%s without its BEGIN", lua_tostring(p->L, -1));
		lua_pop(p->L, 1);
		return;
	}
	while (p->depth > depth && !p->failed) {
		ical_complain(p, 1, "%s of line %d has no END", p->frames[p->depth].name,
			      (int)p->frames[p->depth].line);
		if (!p->failed)
			close_innermost(p);
	}
	if (!p->failed)
		close_innermost(p);
}

static void add_property(ical_parser *p)
{
	lua_rawseti(p->L, slot_of(p->depth) + 1, ++p->frames[p->depth].properties);
	if (++p->count > p->max_properties)
		ical_fail(p, "too_large", 1, "more than %d properties", (int)p->max_properties);
}

/* A line that is no property, kept whole. */
static void keep_line(ical_parser *p, const char *line, size_t length, const char *why)
{
	lua_State *L = p->L;

	ical_complain(p, 1, "%s", why);
	if (p->failed)
		return;
	lua_createtable(L, 0, 4);
	lua_pushliteral(L, "");
	lua_setfield(L, -2, "name");
	lua_newtable(L);
	lua_setfield(L, -2, "params");
	lua_pushlstring(L, line, length);
	lua_setfield(L, -2, "value");
	set_line(p);
	add_property(p);
}

static bool control_character(const char *s, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7F)
			return true;
	return false;
}

/* BEGIN and END; false: the line only looks like one and is a property. */
static bool read_structure(ical_parser *p, const char *line, const char *value, size_t length)
{
	while (length > 0 && (*value == ' ' || *value == '\t'))
		value++, length--;
	while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	if (length == 0 || memchr(value, '\0', length))
		return false;
	if (line[0] == 'B' || line[0] == 'b')
		open_component(p, value, length);
	else
		close_component(p, value, length);
	return true;
}

static bool structural(const char *name, size_t length)
{
	return same_name("BEGIN", name, length) || same_name("END", name, length);
}

static void read_property(ical_parser *p, const char *line, size_t length)
{
	lua_State *L = p->L;
	size_t at = 0, name;
	bool odd = false;

	while (at < length && line[at] != ':' && line[at] != ';') {
		if (!name_character(line[at])) {
			odd = true;
			if (line[at] == '"' || line[at] == '\t' || (unsigned char)line[at] < 0x20)
				break;
		}
		at++;
	}
	name = at;
	while (name > 0 && line[name - 1] == ' ')
		name--;
	if (at == length || (line[at] != ':' && line[at] != ';') || name == 0 || memchr(line, ' ', name)) {
		keep_line(p, line, length, "not a property: no name and value");
		return;
	}
	if (odd)
		ical_complain(p, 1, "a property name with characters that names do not have");
	if (p->failed)
		return;
	lua_createtable(L, 0, p->positions ? 4 : 3);
	set_name(p, line, name);
	if (!push_parameters(p, line, length, &at)) {
		if (p->failed)
			return;
		lua_pop(L, 2);
		keep_line(p, line, length, "not a property: parameters without a value");
		return;
	}
	if (p->failed)
		return;
	lua_setfield(L, -2, "params");
	at++;
	if (structural(line, name)) {
		/* With parameters, or a space before the colon: written again it would be what it looks like. */
		lua_pop(L, 1);
		ical_complain(p, 1, "BEGIN and END have a name and nothing else");
		if (p->failed || read_structure(p, line, line + at, length - at))
			return;
		keep_line(p, line, length, "BEGIN or END without a name");
		return;
	}
	if (p->strict && control_character(line + at, length - at))
		ical_complain(p, at + 1, "a control character in the value");
	if (p->failed)
		return;
	lua_pushlstring(L, line + at, length - at);
	lua_setfield(L, -2, "value");
	set_line(p);
	add_property(p);
}

static void read_line(ical_parser *p, const char *line, size_t length)
{
	const char *colon;

	/* Only the first line of a text can begin with white space; after any other it would be a fold. */
	if (length > 0 && (line[0] == ' ' || line[0] == '\t')) {
		ical_complain(p, 1, "white space before the first line");
		while (length > 0 && (line[0] == ' ' || line[0] == '\t'))
			line++, length--;
		if (p->failed)
			return;
	}
	if (length == 0) {
		if (p->strict)
			ical_complain(p, 1, "a blank line");
		return;
	}
	colon = memchr(line, ':', length < 8 ? length : 8);
	if (colon && structural(line, (size_t)(colon - line)) &&
	    read_structure(p, line, colon + 1, length - (size_t)(colon + 1 - line)))
		return;
	read_property(p, line, length);
}

/* --- the whole text --- */

static size_t option(lua_State *L, const char *name, size_t otherwise)
{
	lua_Integer value = 0;

	if (lua_istable(L, ARG_OPTIONS)) {
		lua_getfield(L, ARG_OPTIONS, name);
		value = lua_tointeger(L, -1);
		lua_pop(L, 1);
	}
	return value > 0 ? (size_t)value : otherwise;
}

static bool flag(lua_State *L, const char *name)
{
	bool value = false;

	if (lua_istable(L, ARG_OPTIONS)) {
		lua_getfield(L, ARG_OPTIONS, name);
		value = lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	return value;
}

static int answer_failure(lua_State *L)
{
	lua_pushnil(L);
	lua_pushvalue(L, SLOT_WARNINGS);
	return 2;
}

static void read_all(ical_parser *p)
{
	const char *line;
	size_t length;

	while (!p->failed && ical_next_line(p, &line, &length)) {
		read_line(p, line, length);
		if (!p->failed)
			lua_settop(p->L, slot_of(p->depth) + 2);
	}
	p->started = p->line > 1 ? p->line - 1 : 1;
	while (!p->failed && p->depth > 0) {
		ical_complain(p, 1, "%s of line %d has no END", p->frames[p->depth].name,
			      (int)p->frames[p->depth].line);
		if (!p->failed)
			close_innermost(p);
	}
	if (!p->failed && p->frames[0].components == 0) {
		p->started = 1;
		ical_fail(p, "invalid_request", 1, "not iCalendar: nothing begins with BEGIN:");
	}
	if (!p->failed && p->strict && (p->frames[0].components != 1 || p->frames[0].properties != 0)) {
		p->started = 1;
		ical_fail(p, "invalid_request", 1, "not one iCalendar object");
	}
}

/* parse(text, {strict=, positions=, max=, depth=, properties=}) --> tree, warnings | nil, error
   The tree is the one component of the text; where there are several, or lines outside of them, it is a node with an
   empty name that holds them all. */
int ical_parse(lua_State *L)
{
	ical_parser p = { .L = L, .line = 1, .started = 1 };
	size_t length;
	const char *text = luaL_checklstring(L, ARG_TEXT, &length);
	size_t max, depth;

	lua_settop(L, ARG_OPTIONS);
	max = option(L, "max", (size_t)32 << 20);
	depth = option(L, "depth", 16);
	p.max_depth = depth > ICAL_MAX_OPEN ? ICAL_MAX_OPEN : (int)depth;
	p.max_properties = option(L, "properties", 2000000);
	p.strict = flag(L, "strict");
	p.positions = flag(L, "positions");
	lua_newtable(L);          /* SLOT_WARNINGS */
	lua_createtable(L, 0, 3); /* SLOT_ROOT */
	ical_buffer_open(&p.unfolded, L, 256);
	ical_buffer_open(&p.mended, L, 64);
	ical_buffer_open(&p.scratch, L, 64);
	lua_settop(L, slot_of(0) - 1);
	lua_pushvalue(L, SLOT_ROOT);
	lua_newtable(L);
	lua_newtable(L);

	if (length > max) {
		ical_fail(&p, "too_large", 1, "the text is larger than %d octets", (int)max);
		return answer_failure(L);
	}
	if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		ical_complain(&p, 1, "the text begins with a byte order mark");
		if (p.failed)
			return answer_failure(L);
		text += 3;
		length -= 3;
	} else if (length >= 2) {
		ical_buffer wide;

		ical_buffer_open(&wide, L, 64);
		if (ical_utf16_decode(&wide, text, length)) {
			/* The decoded text takes the place of the argument, so that it lives as long as the parse. */
			lua_pushlstring(L, wide.data, wide.length);
			lua_replace(L, ARG_TEXT);
			text = lua_tolstring(L, ARG_TEXT, &length);
			ical_complain(&p, 1, "the text is UTF-16");
			if (p.failed)
				return answer_failure(L);
		}
		lua_settop(L, slot_of(0) + 2);
	}
	p.next = text;
	p.end = text + length;
	read_all(&p);
	if (p.failed)
		return answer_failure(L);
	if (p.frames[0].components == 1 && p.frames[0].properties == 0) {
		lua_rawgeti(L, slot_of(0) + 2, 1);
	} else {
		lua_pushliteral(L, "");
		lua_setfield(L, SLOT_ROOT, "name");
		lua_pushvalue(L, slot_of(0) + 1);
		lua_setfield(L, SLOT_ROOT, "properties");
		lua_pushvalue(L, slot_of(0) + 2);
		lua_setfield(L, SLOT_ROOT, "components");
		lua_pushvalue(L, SLOT_ROOT);
	}
	lua_pushvalue(L, SLOT_WARNINGS);
	return 2;
}
