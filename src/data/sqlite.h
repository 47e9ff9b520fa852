/* What the halves of lunation.sqlite share: connections, and statements on them. */
#ifndef LUNATION_DATA_SQLITE_H
#define LUNATION_DATA_SQLITE_H

#include <lua.h>
#include <sqlite3.h>
#include <stdbool.h>

#define SQLITE_CONNECTION "lunation.sqlite.connection"
#define SQLITE_STATEMENT "lunation.sqlite.statement"
#define SQLITE_CURSOR "lunation.sqlite.cursor"
#define SQLITE_BLOB_TYPE "lunation.sqlite.blob"

/* A userdata; its user value is the table of its prepared statements by text. */
struct connection {
	sqlite3 *db; /* NULL: closed, and every statement of it is gone */
	int cached;
	int depth; /* transactions open, one in the other */
};

/* The connection at `index`, which must be open. */
struct connection *sqlite_connection(lua_State *L, int index);

/* Pushes the statement of the text at `index` on the connection at 1. */
void sqlite_prepared(lua_State *L, int index);

/* nil and the error for a result code of `db`, which may be NULL. */
int sqlite_fail(lua_State *L, sqlite3 *db, int rc);

/* st:all and so on, with the statement at 1; also the methods of a connection of the same names once the statement has
 * taken its place. */
int sqlite_all(lua_State *L);
int sqlite_row(lua_State *L);
int sqlite_value_of(lua_State *L);
int sqlite_run(lua_State *L);
int sqlite_each(lua_State *L);

/* Makes the metatables of statements and cursors. */
void sqlite_statement_types(lua_State *L);

#endif
