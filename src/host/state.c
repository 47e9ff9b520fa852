/* Lua states: the allocator that counts, the libraries, the search path, and the end of a state. */
#include "host/state.h"

#include "host/loop.h"
#include "modules.h"

#include <lauxlib.h>
#include <libgen.h>
#include <limits.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Shrinking and freeing never fail; growth past the limit fails only while Lua runs, where it becomes an error of
 * that task. osize is a type tag where ptr is NULL. */
static void *counting_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	engine *e = ud;
	size_t old = ptr != NULL ? osize : 0;
	void *block;

	if (nsize == 0) {
		e->used -= old;
		slab_free(&e->slab, ptr, old);
		return NULL;
	}
	if (e->limit != 0 && e->running != NULL && nsize > old && e->used + (nsize - old) > e->limit)
		return NULL;
	block = slab_resize(&e->slab, ptr, old, nsize);
	if (block != NULL) {
		e->used += nsize - old;
		if (e->used > e->peak)
			e->peak = e->used;
	}
	return block;
}

static int panic(lua_State *L)
{
	const char *text = lua_tostring(L, -1);

	fprintf(stderr, "lunation: error outside of any task: %s\n", text != NULL ? text : "(no message)");
	abort();
}

const char *host_executable(void)
{
	static char exe[PATH_MAX - 32];
	ssize_t n;

	if (exe[0] != '\0')
		return exe;
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = '\0';
	return exe;
}

const char *host_root(void)
{
	static char root[PATH_MAX];
	char exe[PATH_MAX - 32], probe[PATH_MAX];
	const char *prefix;

	if (root[0] != '\0')
		return root;
	strcpy(exe, host_executable());
	prefix = dirname(dirname(exe));
	snprintf(probe, sizeof(probe), "%s/lua/lunation", prefix);
	snprintf(root, sizeof(root), "%s%s", prefix, access(probe, F_OK) == 0 ? "" : "/share/lunation");
	return root;
}

static void search_path(lua_State *L)
{
	const char *root = host_root();

	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path");
	lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua;%s", root, root, lua_tostring(L, -1));
	lua_setfield(L, -3, "path");
	lua_pop(L, 2);
}

/* exit([code]): the loop ends after this turn; what called never returns. Open files and <close> variables are seen to
 * by the orderly end of the process. */
static int host_exit(lua_State *L)
{
	engine *e = engine_of(L);
	int status = EXIT_SUCCESS;

	if (lua_isboolean(L, 1))
		status = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
	else
		status = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
	if (e->loop == NULL || loop_kept(e->loop))
		return luaL_error(L, "a script of `lunation serve` does not end the process");
	loop_stop(e->loop, status);
	if (e->running == NULL || !lua_isyieldable(L))
		return luaL_error(L, "exit");
	task_suspend(L, NULL, NULL);
	return task_wait(L);
}

static int host_memory(lua_State *L)
{
	engine *e = engine_of(L);

	lua_pushinteger(L, (lua_Integer)e->used);
	lua_pushinteger(L, (lua_Integer)e->peak);
	return 2;
}

int luaopen_lunation_host(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "exit", host_exit },
		{ "memory", host_memory },
		{ NULL, NULL },
	};
	luaL_newlib(L, functions);
	lua_pushstring(L, host_root());
	lua_setfield(L, -2, "root");
	lua_pushstring(L, host_executable());
	lua_setfield(L, -2, "executable");
	lua_pushliteral(L, LUNATION_VERSION);
	lua_setfield(L, -2, "version");
	return 1;
}

static int error_tostring(lua_State *L)
{
	lua_getfield(L, 1, "message");
	if (lua_isnil(L, -1))
		lua_getfield(L, 1, "code");
	luaL_tolstring(L, -1, NULL);
	return 1;
}

void error_push(lua_State *L, const char *code, const char *format, ...)
{
	va_list args;

	lua_createtable(L, 0, 4);
	lua_pushstring(L, code);
	lua_setfield(L, -2, "code");
	va_start(args, format);
	lua_pushvfstring(L, format, args);
	va_end(args);
	lua_setfield(L, -2, "message");
	if (luaL_newmetatable(L, "lunation.error")) {
		lua_pushcfunction(L, error_tostring);
		lua_setfield(L, -2, "__tostring");
	}
	lua_setmetatable(L, -2);
}

engine *engine_of(lua_State *L)
{
	return *(engine **)lua_getextraspace(L);
}

uv_loop_t *engine_loop(engine *e)
{
	return e->loop;
}

lua_State *engine_state(engine *e)
{
	return e->L;
}

engine *engine_new(uv_loop_t *loop, size_t memory_limit)
{
	engine *e = calloc(1, sizeof(*e));

	if (e == NULL || (e->L = lua_newstate(counting_alloc, e)) == NULL)
		abort();
	e->loop = loop;
	/* threads copy the main one's extra space when they are made */
	*(engine **)lua_getextraspace(e->L) = e;
	lua_atpanic(e->L, panic);
	luaL_openlibs(e->L);
	lua_modules(e->L);
	search_path(e->L);
	tasks_coroutines(e->L);
	lua_getglobal(e->L, "os");
	lua_pushcfunction(e->L, host_exit);
	lua_setfield(e->L, -2, "exit");
	lua_pop(e->L, 1);
	tasks_open(e);
	e->limit = memory_limit;
	return e;
}

void engine_retain(engine *e)
{
	e->holders++;
}

static void engine_free(engine *e)
{
	void (*closed)(void *ud) = e->closed;
	void *ud = e->closed_ud;

	e->closed = NULL;
	e->retired = true;
	e->holders++; /* so that nothing below frees it twice */
	timers_stop(e);
	tasks_close(e);
	lua_close(e->L);
	slab_close(&e->slab);
	free(e);
	if (closed != NULL)
		closed(ud);
}

void engine_release(engine *e)
{
	e->holders--;
	engine_ended(e);
}

void engine_ended(engine *e)
{
	if (e->retired && e->tasks == 0 && e->holders == 0)
		engine_free(e);
}

void engine_retire(engine *e, void (*closed)(void *ud), void *ud)
{
	e->closed = closed;
	e->closed_ud = ud;
	e->retired = true;
	timers_stop(e);
	engine_ended(e);
}

void engine_close(engine *e)
{
	engine_free(e);
}
