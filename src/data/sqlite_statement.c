/* Statements of lunation.sqlite: binding values, stepping, rows as tables, iterators. */
#include "data/fail.h"
#include "data/sqlite.h"

#include <lauxlib.h>
#include <string.h>

/* A userdata; its user values are the connection, the text, and the names of the columns. A statement at work is taken
 * out of `spare`, so that the same text may be run again while an iterator is still on it: it then gets a second
 * sqlite3_stmt. */
struct statement {
	struct connection *connection;
	sqlite3_stmt *spare;
	int names_made; /* how often SQLite had prepared it when the names were read; -1: never read */
};

enum { USER_CONNECTION = 1, USER_TEXT, USER_NAMES };

/* An iterator's hold on a statement; its user value is the statement. */
struct cursor {
	struct statement *statement;
	sqlite3_stmt *stmt;
};

static const char *error_code(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "busy";
	case SQLITE_CONSTRAINT:
		return "constraint";
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return "io";
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return "readonly";
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return "corrupt";
	case SQLITE_TOOBIG:
		return "too_large";
	case SQLITE_INTERRUPT:
		return "cancelled";
	default:
		return "internal";
	}
}

static const char *constraint_name(int rc)
{
	switch (rc) {
	case SQLITE_CONSTRAINT_UNIQUE:
		return "unique";
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return "primary_key";
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return "foreign_key";
	case SQLITE_CONSTRAINT_NOTNULL:
		return "not_null";
	case SQLITE_CONSTRAINT_CHECK:
		return "check";
	case SQLITE_CONSTRAINT_TRIGGER:
		return "trigger";
	case SQLITE_CONSTRAINT_DATATYPE:
		return "datatype";
	default:
		return "other";
	}
}

int sqlite_fail(lua_State *L, sqlite3 *db, int rc)
{
	const char *message = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

	lua_pushnil(L);
	data_error(L, error_code(rc), "SQLite: %s", message);
	lua_pushinteger(L, rc);
	lua_setfield(L, -2, "sqlite");
	if ((rc & 0xff) == SQLITE_CONSTRAINT) {
		lua_pushstring(L, constraint_name(rc));
		lua_setfield(L, -2, "constraint");
	}
	return 2;
}

static int raise(lua_State *L, sqlite3 *db, int rc)
{
	sqlite_fail(L, db, rc);
	return lua_error(L);
}

/* Compiles the text at `index`. An error in it is the programmer's and raised; *rc tells the rest, such as a busy
 * database. */
static sqlite3_stmt *compile(lua_State *L, sqlite3 *db, int index, int *rc)
{
	size_t len;
	const char *sql = lua_tolstring(L, index, &len), *tail = NULL;
	sqlite3_stmt *stmt = NULL;

	*rc = sqlite3_prepare_v3(db, sql, (int)len + 1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
	if (*rc == SQLITE_ERROR)
		luaL_error(L, "SQLite: %s, in %s", sqlite3_errmsg(db), sql);
	if (*rc == SQLITE_OK && stmt == NULL)
		luaL_error(L, "SQLite: no statement in %s", sql);
	if (*rc == SQLITE_OK && tail[strspn(tail, " \t\r\n;")] != '\0') {
		sqlite3_finalize(stmt);
		luaL_error(L, "SQLite: more than one statement in %s", sql);
	}
	return stmt;
}

void sqlite_prepared(lua_State *L, int index)
{
	enum { CACHE = 512 };
	struct connection *c = sqlite_connection(L, 1);
	struct statement *st;
	int rc;

	luaL_checktype(L, index, LUA_TSTRING);
	lua_getiuservalue(L, 1, 1);
	lua_pushvalue(L, index);
	if (lua_rawget(L, -2) == LUA_TUSERDATA) {
		lua_remove(L, -2);
		return;
	}
	lua_pop(L, 1);
	st = lua_newuserdatauv(L, sizeof(*st), 3);
	*st = (struct statement){ .connection = c, .names_made = -1 };
	luaL_setmetatable(L, SQLITE_STATEMENT);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, USER_CONNECTION);
	lua_pushvalue(L, index);
	lua_setiuservalue(L, -2, USER_TEXT);
	/* A busy database is no reason to fail here: it is compiled when it is run. */
	st->spare = compile(L, c->db, index, &rc);
	if (c->cached++ == CACHE) {
		/* Texts that are made up as they go would fill it: begin anew. */
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setiuservalue(L, 1, 1);
		lua_replace(L, -3);
		c->cached = 1;
	}
	lua_pushvalue(L, index);
	lua_pushvalue(L, -2);
	lua_rawset(L, -4);
	lua_remove(L, -2);
}

static struct statement *check_statement(lua_State *L)
{
	struct statement *st = luaL_checkudata(L, 1, SQLITE_STATEMENT);

	if (st->connection->db == NULL)
		luaL_error(L, "the database is closed");
	return st;
}

/* Takes a sqlite3_stmt to work with; NULL and *rc where it cannot be compiled now. */
static sqlite3_stmt *take(lua_State *L, struct statement *st, int *rc)
{
	sqlite3_stmt *stmt = st->spare;

	*rc = SQLITE_OK;
	st->spare = NULL;
	if (stmt != NULL)
		return stmt;
	lua_getiuservalue(L, 1, USER_TEXT);
	stmt = compile(L, st->connection->db, -1, rc);
	lua_pop(L, 1);
	return stmt;
}

static void give_back(struct statement *st, sqlite3_stmt *stmt)
{
	if (st->connection->db == NULL)
		return; /* closed meanwhile, which finalized it */
	sqlite3_reset(stmt);
	if (st->spare == NULL)
		st->spare = stmt;
	else
		sqlite3_finalize(stmt);
}

/* Binds the value at `at`; how = SQLITE_STATIC where it stays on the stack while the statement works. */
static int bind_value(lua_State *L, sqlite3_stmt *stmt, int i, int at, sqlite3_destructor_type how)
{
	size_t len;
	const char *s;
	int rc;

	switch (lua_type(L, at)) {
	case LUA_TNIL:
	case LUA_TNONE:
		return sqlite3_bind_null(stmt, i);
	case LUA_TBOOLEAN:
		return sqlite3_bind_int(stmt, i, lua_toboolean(L, at));
	case LUA_TNUMBER:
		if (lua_isinteger(L, at))
			return sqlite3_bind_int64(stmt, i, lua_tointeger(L, at));
		return sqlite3_bind_double(stmt, i, lua_tonumber(L, at));
	case LUA_TSTRING:
		s = lua_tolstring(L, at, &len);
		return sqlite3_bind_text64(stmt, i, s, len, how, SQLITE_UTF8);
	case LUA_TLIGHTUSERDATA:
		if (lua_touserdata(L, at) == NULL) /* json.null */
			return sqlite3_bind_null(stmt, i);
		return SQLITE_MISMATCH;
	case LUA_TUSERDATA:
		if (luaL_testudata(L, at, SQLITE_BLOB_TYPE) == NULL)
			return SQLITE_MISMATCH;
		lua_getiuservalue(L, at, 1); /* the blob keeps it alive */
		s = lua_tolstring(L, -1, &len);
		rc = sqlite3_bind_blob64(stmt, i, s, len, how);
		lua_pop(L, 1);
		return rc;
	default:
		return SQLITE_MISMATCH;
	}
}

/* The arguments from 2 on, or the one table of them, to the parameters. An argument that does not fit is the
 * programmer's error. */
static int bind_arguments(lua_State *L, struct statement *st, sqlite3_stmt *stmt, sqlite3_destructor_type how)
{
	int wanted = sqlite3_bind_parameter_count(stmt), given = lua_gettop(L) - 1, rc = SQLITE_OK, i;
	bool named = given == 1 && lua_istable(L, 2);

	if (!named && given != wanted) {
		give_back(st, stmt);
		return luaL_error(L, "SQLite: the statement takes %d values, %d were given", wanted, given);
	}
	if (named)
		luaL_checkstack(L, wanted + 4,
				"too many parameters"); /* the values stay there while the statement works */
	for (i = 1; i <= wanted && rc == SQLITE_OK; i++) {
		const char *name = named ? sqlite3_bind_parameter_name(stmt, i) : NULL;

		if (!named) {
			rc = bind_value(L, stmt, i, i + 1, how);
			continue;
		}
		if (name != NULL && name[0] != '?')
			lua_getfield(L, 2, name + 1);
		else
			lua_geti(L, 2, i);
		rc = bind_value(L, stmt, i, lua_gettop(L), how);
	}
	if (rc == SQLITE_MISMATCH) {
		give_back(st, stmt);
		return luaL_error(L, "SQLite: value %d is of a type that cannot be stored", i - 1);
	}
	return rc;
}

static void push_column(lua_State *L, sqlite3_stmt *stmt, int i)
{
	const char *bytes;

	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_INTEGER:
		lua_pushinteger(L, sqlite3_column_int64(stmt, i));
		break;
	case SQLITE_FLOAT:
		lua_pushnumber(L, sqlite3_column_double(stmt, i));
		break;
	case SQLITE_TEXT:
		bytes = (const char *)sqlite3_column_text(stmt, i);
		lua_pushlstring(L, bytes, (size_t)sqlite3_column_bytes(stmt, i));
		break;
	case SQLITE_BLOB:
		bytes = sqlite3_column_blob(stmt, i);
		lua_pushlstring(L, bytes != NULL ? bytes : "", (size_t)sqlite3_column_bytes(stmt, i));
		break;
	default:
		lua_pushnil(L);
	}
}

/* Pushes the names of the columns, one slot each: they are read again when a change of the schema made SQLite compile
 * anew. */
static int push_names(lua_State *L, struct statement *st, sqlite3_stmt *stmt, int statement_at)
{
	int n = sqlite3_column_count(stmt), made = sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_REPREPARE, 0);

	luaL_checkstack(L, n + 8, "too many columns");
	if (st->names_made != made) {
		lua_createtable(L, n, 0);
		for (int i = 0; i < n; i++) {
			lua_pushstring(L, sqlite3_column_name(stmt, i));
			lua_rawseti(L, -2, i + 1);
		}
		lua_setiuservalue(L, statement_at, USER_NAMES);
		st->names_made = made;
	}
	lua_getiuservalue(L, statement_at, USER_NAMES);
	for (int i = 0; i < n; i++)
		lua_rawgeti(L, -1 - i, i + 1);
	lua_remove(L, -1 - n);
	return n;
}

/* Pushes the row as a table; the names are the n slots from `names` on. */
static void push_row(lua_State *L, sqlite3_stmt *stmt, int names, int n)
{
	lua_createtable(L, 0, n);
	for (int i = 0; i < n; i++) {
		if (sqlite3_column_type(stmt, i) == SQLITE_NULL)
			continue;
		lua_pushvalue(L, names + i);
		push_column(L, stmt, i);
		lua_rawset(L, -3);
	}
}

/* Takes, binds and steps once: *stmt is to be given back unless the result is negative, which is what the caller
 * returns. */
static int start(lua_State *L, struct statement **st, sqlite3_stmt **stmt, sqlite3_destructor_type how)
{
	int rc;

	*st = check_statement(L);
	*stmt = take(L, *st, &rc);
	if (*stmt == NULL)
		return rc;
	rc = bind_arguments(L, *st, *stmt, how);
	return rc == SQLITE_OK ? sqlite3_step(*stmt) : rc;
}

/* Ends a statement that failed: the message is taken before the reset. */
static int fail(lua_State *L, struct statement *st, sqlite3_stmt *stmt, int rc)
{
	sqlite_fail(L, st->connection->db, rc);
	if (stmt != NULL)
		give_back(st, stmt);
	return 2;
}

int sqlite_all(lua_State *L)
{
	struct statement *st;
	sqlite3_stmt *stmt;
	int rc = start(L, &st, &stmt, SQLITE_STATIC), list, n = 0;
	lua_Integer count = 0;

	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		lua_newtable(L);
	list = lua_gettop(L);
	if (rc == SQLITE_ROW)
		n = push_names(L, st, stmt, 1);
	while (rc == SQLITE_ROW) {
		push_row(L, stmt, list + 1, n);
		lua_rawseti(L, list, ++count);
		rc = sqlite3_step(stmt);
	}
	if (rc != SQLITE_DONE)
		return fail(L, st, stmt, rc);
	give_back(st, stmt);
	lua_settop(L, list);
	return 1;
}

int sqlite_row(lua_State *L)
{
	struct statement *st;
	sqlite3_stmt *stmt;
	int rc = start(L, &st, &stmt, SQLITE_STATIC), names = lua_gettop(L) + 1;

	if (rc == SQLITE_ROW) {
		int n = push_names(L, st, stmt, 1);

		push_row(L, stmt, names, n);
	} else if (rc == SQLITE_DONE) {
		lua_pushnil(L);
	} else {
		return fail(L, st, stmt, rc);
	}
	give_back(st, stmt);
	return 1;
}

int sqlite_value_of(lua_State *L)
{
	struct statement *st;
	sqlite3_stmt *stmt;
	int rc = start(L, &st, &stmt, SQLITE_STATIC);

	if (rc == SQLITE_ROW)
		push_column(L, stmt, 0);
	else if (rc == SQLITE_DONE)
		lua_pushnil(L);
	else
		return fail(L, st, stmt, rc);
	give_back(st, stmt);
	return 1;
}

int sqlite_run(lua_State *L)
{
	struct statement *st = check_statement(L);
	sqlite3 *db = st->connection->db;
	sqlite3_int64 before = sqlite3_total_changes64(db);
	sqlite3_stmt *stmt;
	int rc = start(L, &st, &stmt, SQLITE_STATIC);

	while (rc == SQLITE_ROW)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_DONE)
		return fail(L, st, stmt, rc);
	give_back(st, stmt);
	lua_pushinteger(L, sqlite3_total_changes64(db) == before ? 0 : sqlite3_changes64(db));
	return 1;
}

static int cursor_close(lua_State *L)
{
	struct cursor *cursor = luaL_checkudata(L, 1, SQLITE_CURSOR);

	if (cursor->stmt != NULL)
		give_back(cursor->statement, cursor->stmt);
	cursor->stmt = NULL;
	return 0;
}

static int cursor_next(lua_State *L)
{
	struct cursor *cursor = luaL_checkudata(L, 1, SQLITE_CURSOR);
	struct statement *st = cursor->statement;
	int rc, n;

	if (cursor->stmt == NULL)
		return 0;
	if (st->connection->db == NULL)
		return luaL_error(L, "the database was closed while it was read");
	rc = sqlite3_step(cursor->stmt);
	if (rc == SQLITE_ROW) {
		lua_settop(L, 1);
		lua_getiuservalue(L, 1, 1);
		n = push_names(L, st, cursor->stmt, 2);
		push_row(L, cursor->stmt, 3, n);
		return 1;
	}
	if (rc != SQLITE_DONE)
		raise(L, st->connection->db, rc);
	return cursor_close(L);
}

int sqlite_each(lua_State *L)
{
	struct statement *st = check_statement(L);
	struct cursor *cursor;
	int rc;
	sqlite3_stmt *stmt = take(L, st, &rc);

	if (stmt == NULL)
		return raise(L, st->connection->db, rc);
	rc = bind_arguments(L, st, stmt, SQLITE_TRANSIENT);
	if (rc != SQLITE_OK) {
		fail(L, st, stmt, rc);
		return lua_error(L);
	}
	lua_pushcfunction(L, cursor_next);
	cursor = lua_newuserdatauv(L, sizeof(*cursor), 1);
	*cursor = (struct cursor){ .statement = st, .stmt = stmt };
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, SQLITE_CURSOR);
	lua_pushnil(L);
	lua_pushvalue(L, -2);
	return 4;
}

static int statement_gc(lua_State *L)
{
	struct statement *st = luaL_checkudata(L, 1, SQLITE_STATEMENT);

	if (st->connection->db != NULL)
		sqlite3_finalize(st->spare);
	st->spare = NULL;
	return 0;
}

static int statement_tostring(lua_State *L)
{
	luaL_checkudata(L, 1, SQLITE_STATEMENT);
	lua_getiuservalue(L, 1, USER_TEXT);
	return 1;
}

static const luaL_Reg methods[] = {
	{ "all", sqlite_all }, { "row", sqlite_row },   { "value", sqlite_value_of },
	{ "run", sqlite_run }, { "each", sqlite_each }, { NULL, NULL },
};

void sqlite_statement_types(lua_State *L)
{
	luaL_newmetatable(L, SQLITE_STATEMENT);
	lua_pushcfunction(L, statement_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushcfunction(L, statement_tostring);
	lua_setfield(L, -2, "__tostring");
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	luaL_newmetatable(L, SQLITE_CURSOR);
	lua_pushcfunction(L, cursor_close);
	lua_setfield(L, -2, "__gc");
	lua_pushcfunction(L, cursor_close);
	lua_setfield(L, -2, "__close");
	lua_pop(L, 2);
}
