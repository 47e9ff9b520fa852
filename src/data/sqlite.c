/* lunation.sqlite: a thin, synchronous module over SQLite. Nothing here waits: a busy database is an error that says
 * so. */
#include "data/sqlite.h"

#include "data/fail.h"
#include "host/task.h"
#include "modules.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OPEN_WAIT_MS = 5000, BACKUP_PAGES = 256, BACKUP_TRIES = 1000, BACKUP_PAUSE_MS = 5 };

struct connection *sqlite_connection(lua_State *L, int index)
{
	struct connection *c = luaL_checkudata(L, index, SQLITE_CONNECTION);

	if (c->db == NULL)
		luaL_error(L, "the database is closed");
	return c;
}

static void close_connection(struct connection *c)
{
	sqlite3_stmt *stmt;

	if (c->db == NULL)
		return;
	while ((stmt = sqlite3_next_stmt(c->db, NULL)) != NULL)
		sqlite3_finalize(stmt);
	sqlite3_close_v2(c->db);
	c->db = NULL;
}

static int connection_gc(lua_State *L)
{
	close_connection(luaL_checkudata(L, 1, SQLITE_CONNECTION));
	return 0;
}

static int connection_close(lua_State *L)
{
	struct connection *c = luaL_checkudata(L, 1, SQLITE_CONNECTION);

	if (c->db != NULL && c->depth > 0)
		return luaL_error(L, "the database is closed inside a transaction");
	close_connection(c);
	return 0;
}

/* A new file is for its owner only: credentials are in it. What exists keeps its mode, and is not even opened here:
 * closing any descriptor of it would drop the locks that other connections of this process hold. */
static void create_private(const char *path)
{
	int fd;

	if (*path == '\0' || strcmp(path, ":memory:") == 0 || strncmp(path, "file:", 5) == 0)
		return;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

static bool option_flag(lua_State *L, const char *name, bool otherwise)
{
	bool value = otherwise;

	if (lua_istable(L, 2)) {
		if (lua_getfield(L, 2, name) != LUA_TNIL)
			value = lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	return value;
}

static lua_Integer option_integer(lua_State *L, const char *name, lua_Integer otherwise)
{
	lua_Integer value = otherwise;

	if (lua_istable(L, 2)) {
		lua_getfield(L, 2, name);
		value = luaL_optinteger(L, -1, otherwise);
		lua_pop(L, 1);
	}
	return value;
}

static int sqlite_open(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct connection *c;
	bool readonly, wal;
	lua_Integer busy, mmap, checkpoint;
	char pragmas[256];
	int rc;

	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		luaL_checktype(L, 2, LUA_TTABLE);
	readonly = option_flag(L, "readonly", false);
	wal = option_flag(L, "wal", true) && !readonly;
	busy = option_integer(L, "busy_ms", 0);
	mmap = option_integer(L, "mmap", 0);
	checkpoint = option_integer(L, "checkpoint", 1000);
	c = lua_newuserdatauv(L, sizeof(*c), 1);
	*c = (struct connection){ 0 };
	luaL_setmetatable(L, SQLITE_CONNECTION);
	lua_newtable(L);
	lua_setiuservalue(L, -2, 1);
	if (!readonly)
		create_private(path);
	rc = sqlite3_open_v2(path, &c->db,
			     (readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
				 SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
			     NULL);
	if (rc == SQLITE_OK) {
		sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
		sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
		sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		/* Workers that start together change to WAL together; this is the one place that waits. */
		sqlite3_busy_timeout(c->db, OPEN_WAIT_MS);
		snprintf(pragmas, sizeof(pragmas),
			 "%s PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA mmap_size = %lld; PRAGMA "
			 "wal_autocheckpoint = %lld;",
			 wal ? "PRAGMA journal_mode = WAL;" : "", (long long)mmap, (long long)checkpoint);
		rc = sqlite3_exec(c->db, pragmas, NULL, NULL, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_exec(c->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
		sqlite3_busy_timeout(c->db, (int)busy);
	}
	if (rc != SQLITE_OK) {
		sqlite_fail(L, c->db, rc);
		close_connection(c);
		return 2;
	}
	return 1;
}

static int connection_exec(lua_State *L)
{
	struct connection *c = sqlite_connection(L, 1);
	int rc = sqlite3_exec(c->db, luaL_checkstring(L, 2), NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return sqlite_fail(L, c->db, rc);
	lua_pushboolean(L, 1);
	return 1;
}

static int connection_prepare(lua_State *L)
{
	sqlite_prepared(L, 2);
	return 1;
}

/* db:all(sql, …) is db:prepare(sql):all(…), and so on: the statement takes the place of the connection and the text. */
static void use_prepared(lua_State *L)
{
	sqlite_prepared(L, 2);
	lua_replace(L, 1);
	lua_remove(L, 2);
}

static int connection_all(lua_State *L)
{
	use_prepared(L);
	return sqlite_all(L);
}

static int connection_row(lua_State *L)
{
	use_prepared(L);
	return sqlite_row(L);
}

static int connection_value(lua_State *L)
{
	use_prepared(L);
	return sqlite_value_of(L);
}

static int connection_run(lua_State *L)
{
	use_prepared(L);
	return sqlite_run(L);
}

static int connection_each(lua_State *L)
{
	use_prepared(L);
	return sqlite_each(L);
}

static int connection_rowid(lua_State *L)
{
	lua_pushinteger(L, sqlite3_last_insert_rowid(sqlite_connection(L, 1)->db));
	return 1;
}

static int connection_changes(lua_State *L)
{
	lua_pushinteger(L, sqlite3_changes64(sqlite_connection(L, 1)->db));
	return 1;
}

static int connection_in_transaction(lua_State *L)
{
	lua_pushboolean(L, !sqlite3_get_autocommit(sqlite_connection(L, 1)->db));
	return 1;
}

static int step(struct connection *c, const char *outer, const char *inner, int depth)
{
	char sql[80];

	if (depth == 0)
		return sqlite3_exec(c->db, outer, NULL, NULL, NULL);
	snprintf(sql, sizeof(sql), inner, depth, depth);
	return sqlite3_exec(c->db, sql, NULL, NULL, NULL);
}

static void roll_back(struct connection *c, int depth)
{
	/* After some errors SQLite has rolled back by itself. */
	if (!sqlite3_get_autocommit(c->db))
		step(c, "ROLLBACK", "ROLLBACK TO lunation_%d; RELEASE lunation_%d", depth);
}

/* A yield inside would let other tasks write into this transaction; lua_pcall makes every yield across it an error, and
 * the task interface says why. A transaction inside a transaction is a savepoint. */
static int connection_transaction(lua_State *L)
{
	struct connection *c = sqlite_connection(L, 1);
	int depth = c->depth, rc, status, results;
	const char *before;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	if (depth == 0 && !sqlite3_get_autocommit(c->db))
		return luaL_error(L, "a transaction is already open");
	rc = step(c, "BEGIN IMMEDIATE", "SAVEPOINT lunation_%d", depth);
	if (rc != SQLITE_OK)
		return sqlite_fail(L, c->db, rc);
	c->depth++;
	before = task_forbid(L, "a transaction");
	status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
	task_allow(L, before);
	c->depth--;
	results = lua_gettop(L) - 1;
	if (status != LUA_OK) {
		roll_back(c, depth);
		return lua_error(L);
	}
	if (results >= 2 && lua_isnil(L, 2) && !lua_isnil(L, 3)) {
		roll_back(c, depth);
		return results;
	}
	rc = step(c, "COMMIT", "RELEASE lunation_%d", depth);
	if (rc != SQLITE_OK) {
		sqlite_fail(L, c->db, rc);
		roll_back(c, depth);
		return 2;
	}
	return results;
}

static int connection_checkpoint(lua_State *L)
{
	static const char *const names[] = { "passive", "full", "restart", "truncate", NULL };
	static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
				     SQLITE_CHECKPOINT_TRUNCATE };
	struct connection *c = sqlite_connection(L, 1);
	int mode = modes[luaL_checkoption(L, 2, "passive", names)], frames = 0, done = 0, rc;

	rc = sqlite3_wal_checkpoint_v2(c->db, NULL, mode, &frames, &done);
	if (rc != SQLITE_OK)
		return sqlite_fail(L, c->db, rc);
	lua_pushinteger(L, frames);
	lua_pushinteger(L, done);
	return 2;
}

/* A backup under way; the connection, the path and the function called between two steps stand at 1 to 3. */
struct backup {
	sqlite3 *target;
	sqlite3_backup *backup;
	int tries;
};

#define SQLITE_BACKUP "lunation.sqlite.backup"

static int backup_close(lua_State *L)
{
	struct backup *b = luaL_checkudata(L, 1, SQLITE_BACKUP);

	/* A source that was closed meanwhile stays a zombie until here. */
	if (b->backup != NULL)
		sqlite3_backup_finish(b->backup);
	b->backup = NULL;
	sqlite3_close_v2(b->target);
	b->target = NULL;
	return 0;
}

/* Steps until it is done. The function between two steps may wait: the state is in the userdata at 4, and each return
 * from it comes in here again. */
static int backup_continue(lua_State *L, int status, lua_KContext context)
{
	struct backup *b = lua_touserdata(L, 4);
	int rc;

	(void)status, (void)context;
	for (;;) {
		lua_settop(L, 4);
		rc = sqlite3_backup_step(b->backup, BACKUP_PAGES);
		if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED) {
			if (++b->tries > BACKUP_TRIES)
				break;
			if (lua_isnil(L, 3))
				sqlite3_sleep(BACKUP_PAUSE_MS);
		} else if (rc != SQLITE_OK) {
			break;
		}
		if (!lua_isnil(L, 3)) {
			lua_pushvalue(L, 3);
			lua_pushinteger(L, sqlite3_backup_remaining(b->backup));
			lua_pushinteger(L, sqlite3_backup_pagecount(b->backup));
			lua_callk(L, 2, 0, 0, backup_continue);
		}
	}
	if (rc == SQLITE_DONE) {
		rc = sqlite3_backup_finish(b->backup);
		b->backup = NULL;
	}
	if (rc != SQLITE_OK)
		sqlite_fail(L, b->target, rc);
	else
		lua_pushboolean(L, 1);
	lua_pushcfunction(L, backup_close);
	lua_pushvalue(L, 4);
	lua_call(L, 1, 0);
	return rc != SQLITE_OK ? 2 : 1;
}

static int connection_backup(lua_State *L)
{
	struct connection *c = sqlite_connection(L, 1);
	const char *path = luaL_checkstring(L, 2);
	struct backup *b;
	int rc;

	lua_settop(L, 3);
	if (!lua_isnil(L, 3))
		luaL_checktype(L, 3, LUA_TFUNCTION);
	b = lua_newuserdatauv(L, sizeof(*b), 0);
	*b = (struct backup){ 0 };
	luaL_setmetatable(L, SQLITE_BACKUP);
	create_private(path);
	rc = sqlite3_open_v2(path, &b->target,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
			     NULL);
	if (rc != SQLITE_OK)
		return sqlite_fail(L, b->target, rc);
	b->backup = sqlite3_backup_init(b->target, "main", c->db, "main");
	if (b->backup == NULL)
		return sqlite_fail(L, b->target, sqlite3_extended_errcode(b->target));
	return backup_continue(L, LUA_OK, 0);
}

static int sqlite_blob(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TSTRING);
	lua_newuserdatauv(L, 0, 1);
	lua_pushvalue(L, 1);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, SQLITE_BLOB_TYPE);
	return 1;
}

static const luaL_Reg methods[] = {
	{ "exec", connection_exec },
	{ "prepare", connection_prepare },
	{ "all", connection_all },
	{ "row", connection_row },
	{ "value", connection_value },
	{ "run", connection_run },
	{ "each", connection_each },
	{ "last_insert_rowid", connection_rowid },
	{ "changes", connection_changes },
	{ "in_transaction", connection_in_transaction },
	{ "transaction", connection_transaction },
	{ "checkpoint", connection_checkpoint },
	{ "backup", connection_backup },
	{ "close", connection_close },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "open", sqlite_open },
	{ "blob", sqlite_blob },
	{ NULL, NULL },
};

static void new_type(lua_State *L, const char *name, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	if (gc == NULL)
		return;
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__close");
}

int luaopen_lunation_sqlite(lua_State *L)
{
	new_type(L, SQLITE_CONNECTION, connection_gc);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	new_type(L, SQLITE_BACKUP, backup_close);
	new_type(L, SQLITE_BLOB_TYPE, NULL);
	lua_pop(L, 3);
	sqlite_statement_types(L);
	luaL_newlib(L, functions);
	lua_pushstring(L, sqlite3_libversion());
	lua_setfield(L, -2, "version");
	return 1;
}
