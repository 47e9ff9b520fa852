/* lunation.fs: the few file operations that Lua's io and os lack. They are short and local, so they do not wait. */
#include "modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(lua_State *L, const char *path)
{
	int err = errno;

	lua_pushnil(L);
	lua_pushfstring(L, "%s: %s", path, strerror(err));
	lua_pushinteger(L, err);
	return 3;
}

static int succeeded(lua_State *L)
{
	lua_pushboolean(L, 1);
	return 1;
}

/* mkdir(path, mode): with its parents; one that is there already is as good */
static int fs_mkdir(lua_State *L)
{
	size_t length;
	const char *given = luaL_checklstring(L, 1, &length);
	mode_t mode = (mode_t)luaL_optinteger(L, 2, 0755);
	char path[PATH_MAX];

	luaL_argcheck(L, length > 0 && length < sizeof(path), 1, "a path expected");
	memcpy(path, given, length + 1);
	for (char *p = path + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, mode) != 0 && errno != EEXIST)
			return failed(L, path);
		*p = '/';
	}
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return failed(L, path);
	return succeeded(L);
}

/* stat(path) --> { type="file"|"directory"|"other", size=, mtime=, mode= } */
static int fs_stat(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct stat st;

	if (stat(path, &st) != 0)
		return failed(L, path);
	lua_createtable(L, 0, 4);
	lua_pushstring(L, S_ISREG(st.st_mode) ? "file" : S_ISDIR(st.st_mode) ? "directory" : "other");
	lua_setfield(L, -2, "type");
	lua_pushinteger(L, st.st_size);
	lua_setfield(L, -2, "size");
	lua_pushnumber(L, (lua_Number)st.st_mtim.tv_sec + (lua_Number)st.st_mtim.tv_nsec / 1e9);
	lua_setfield(L, -2, "mtime");
	lua_pushinteger(L, st.st_mode & 07777);
	lua_setfield(L, -2, "mode");
	return 1;
}

/* list(path) --> array of names, sorted */
static int fs_list(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	lua_Integer count = 0;

	if (n < 0)
		return failed(L, path);
	lua_createtable(L, n, 0);
	for (int i = 0; i < n; i++) {
		if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
			lua_pushstring(L, names[i]->d_name);
			lua_rawseti(L, -2, ++count);
		}
		free(names[i]);
	}
	free(names);
	return 1;
}

/* create(path, text, mode): a new file that appears with all its text or not at all; errno 17 where one is there */
static int fs_create(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	size_t length;
	const char *text = luaL_checklstring(L, 2, &length);
	mode_t mode = (mode_t)luaL_optinteger(L, 3, 0600);
	const char *unfinished = lua_pushfstring(L, "%s.%d", path, (int)getpid());
	int fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	bool ok;

	if (fd < 0)
		return failed(L, path);
	ok = write(fd, text, length) == (ssize_t)length && fsync(fd) == 0;
	ok = close(fd) == 0 && ok && link(unfinished, path) == 0;
	if (ok)
		succeeded(L);
	else
		failed(L, path);
	unlink(unfinished);
	return ok ? 1 : 3;
}

static int fs_realpath(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char resolved[PATH_MAX];

	if (realpath(path, resolved) == NULL)
		return failed(L, path);
	lua_pushstring(L, resolved);
	return 1;
}

static int fs_getcwd(lua_State *L)
{
	char path[PATH_MAX];

	if (getcwd(path, sizeof(path)) == NULL)
		return failed(L, ".");
	lua_pushstring(L, path);
	return 1;
}

/* isatty(0|1|2) */
static int fs_isatty(lua_State *L)
{
	lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
	return 1;
}

/* mkdtemp(prefix) --> path of a new directory, mode 0700 */
static int fs_mkdtemp(lua_State *L)
{
	char path[PATH_MAX];
	const char *base = getenv("TMPDIR");

	lua_pushfstring(L, "%s/%s-XXXXXX", base != NULL ? base : "/tmp", luaL_checkstring(L, 1));
	luaL_argcheck(L, lua_rawlen(L, -1) < sizeof(path), 1, "too long");
	strcpy(path, lua_tostring(L, -1));
	if (mkdtemp(path) == NULL)
		return failed(L, path);
	lua_pushstring(L, path);
	return 1;
}

int luaopen_lunation_fs(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "mkdir", fs_mkdir },   { "stat", fs_stat },         { "list", fs_list },
		{ "create", fs_create }, { "realpath", fs_realpath }, { "getcwd", fs_getcwd },
		{ "isatty", fs_isatty }, { "mkdtemp", fs_mkdtemp },   { NULL, NULL },
	};
	luaL_newlib(L, functions);
	return 1;
}
