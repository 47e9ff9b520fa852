/* lunation.process: child processes whose end and output a task waits for; none outlives this process's orderly end. */
#include "host/child.h"
#include "modules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ARGS_MAX = 1024 };

static int child_signal(struct child *c, int number)
{
	if (!c->running)
		return UV_ESRCH;
	if (c->group)
		return kill(-c->process.pid, number) == 0 ? 0 : uv_translate_sys_error(errno);
	return uv_process_kill(&c->process, number);
}

/* At exit, in whatever way main ends. */
static void kill_children(void)
{
	for (struct child *c = children; c != NULL; c = c->next)
		child_signal(c, SIGKILL);
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

static void input_written(uv_write_t *request, int status)
{
	struct child *c = request->handle->data;

	(void)status;
	uv_close((uv_handle_t *)&c->input, child_pipe_closed);
}

/* The stdio entry of an output: "pipe", "inherit", "ignore" or a file that is appended to. */
static const char *open_output(uv_loop_t *loop, struct child *c, int fd, const char *kind, uv_stdio_container_t *to)
{
	struct output *o = &c->output[fd - 1];

	if (strcmp(kind, "inherit") == 0) {
		to->flags = UV_INHERIT_FD;
		to->data.fd = fd;
	} else if (strcmp(kind, "ignore") == 0) {
		to->flags = UV_IGNORE;
	} else if (strcmp(kind, "pipe") == 0) {
		uv_pipe_init(loop, &o->pipe, 0);
		o->pipe.data = c;
		c->refs++;
		o->piped = true;
		to->flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
		to->data.stream = (uv_stream_t *)&o->pipe;
	} else {
		to->data.fd = open(kind, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		to->flags = UV_INHERIT_FD;
		if (to->data.fd < 0)
			return strerror(errno);
	}
	return NULL;
}

/* Pushes nothing; fills a NULL-terminated array in a userdata that stays on the stack. */
static char **string_array(lua_State *L, int index, const char *what)
{
	lua_Integer n = luaL_len(L, index);
	char **array;

	if (n > ARGS_MAX)
		luaL_error(L, "process.spawn: too many %s", what);
	array = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof(*array), 0);
	for (lua_Integer i = 1; i <= n; i++) {
		if (lua_rawgeti(L, index, i) != LUA_TSTRING)
			luaL_error(L, "process.spawn: %s are strings", what);
		array[i - 1] = (char *)lua_tostring(L, -1); /* the table keeps it */
		lua_pop(L, 1);
	}
	array[n] = NULL;
	return array;
}

static const char *string_field(lua_State *L, const char *name, const char *otherwise)
{
	const char *value = otherwise;

	if (lua_getfield(L, 1, name) != LUA_TNIL)
		value = luaL_checkstring(L, -1);
	lua_pop(L, 1); /* the argument keeps it */
	return value;
}

/* start{args=array, env=array of NAME=VALUE or nil, cwd=, stdin=, stdout=, stderr=, group=} */
static int process_start(lua_State *L)
{
	uv_loop_t *loop = engine_loop(engine_of(L));
	uv_process_options_t options = { .exit_cb = child_exited };
	uv_stdio_container_t stdio[3];
	const char *kinds[2], *failure = NULL, *input = NULL;
	size_t input_length = 0;
	struct child *c, **box;
	int err = 0;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_getfield(L, 1, "args");
	options.args = string_array(L, 2, "arguments");
	luaL_argcheck(L, options.args[0] != NULL, 1, "args: a program expected");
	options.file = options.args[0];
	if (lua_getfield(L, 1, "env") != LUA_TNIL)
		options.env = string_array(L, lua_gettop(L), "environment entries");
	options.cwd = string_field(L, "cwd", NULL);
	kinds[0] = string_field(L, "stdout", "inherit");
	kinds[1] = string_field(L, "stderr", "inherit");
	lua_getfield(L, 1, "group");
	if (lua_getfield(L, 1, "stdin") == LUA_TSTRING)
		input = lua_tolstring(L, -1, &input_length);

	box = lua_newuserdatauv(L, sizeof(*box), 0);
	*box = c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	c->refs = 1;
	luaL_setmetatable(L, CHILD_TYPE);
	c->group = lua_toboolean(L, -3);
	options.flags = c->group ? UV_PROCESS_DETACHED : 0;
	options.stdio = stdio;
	options.stdio_count = 3;
	stdio[0].flags = UV_IGNORE;
	if (input != NULL) {
		uv_pipe_init(loop, &c->input, 0);
		c->input.data = c;
		c->refs++;
		stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
		stdio[0].data.stream = (uv_stream_t *)&c->input;
	} else if (lua_toboolean(L, -2)) {
		stdio[0].flags = UV_INHERIT_FD;
		stdio[0].data.fd = 0;
	}
	for (int fd = 1; fd <= 2; fd++) {
		stdio[fd] = (uv_stdio_container_t){ .flags = UV_IGNORE };
		if (failure == NULL)
			failure = open_output(loop, c, fd, kinds[fd - 1], &stdio[fd]);
	}
	if (failure == NULL) {
		err = uv_spawn(loop, &c->process, &options);
		c->process.data = c;
		if (err != 0)
			failure = uv_strerror(err);
		c->refs++; /* until process_closed, also where the start failed */
	}
	for (int fd = 1; fd <= 2; fd++) {
		if (stdio[fd].flags == UV_INHERIT_FD && stdio[fd].data.fd > 2)
			close(stdio[fd].data.fd);
	}
	if (failure != NULL) {
		if (err != 0)
			uv_close((uv_handle_t *)&c->process, child_process_closed);
		for (int i = 0; i < 2; i++) {
			if (c->output[i].piped)
				uv_close((uv_handle_t *)&c->output[i].pipe, child_pipe_closed);
		}
		if (input != NULL)
			uv_close((uv_handle_t *)&c->input, child_pipe_closed);
		lua_pushnil(L);
		error_push(L, "spawn", "%s: %s", options.file, failure);
		return 2;
	}
	c->running = true;
	c->next = children;
	if (children != NULL)
		children->prev = c;
	children = c;
	for (int i = 0; i < 2; i++) {
		if (c->output[i].piped)
			child_read_start(&c->output[i]);
	}
	if (input != NULL) {
		uv_buf_t buf;
		c->input_data = malloc(input_length + 1);
		if (c->input_data == NULL)
			abort();
		memcpy(c->input_data, input, input_length);
		buf = uv_buf_init(c->input_data, (unsigned)input_length);
		if (uv_write(&c->input_write, (uv_stream_t *)&c->input, &buf, 1, input_written) != 0)
			uv_close((uv_handle_t *)&c->input, child_pipe_closed);
	}
	return 1;
}

/* --- signals and the rest ---------------------------------------------------------------------------------------- */

static int check_signal(lua_State *L, int arg)
{
	static const char *const names[] = {
		"TERM", "KILL", "INT", "HUP", "USR1", "USR2", "STOP", "CONT", "QUIT", NULL
	};
	static const int numbers[] = { SIGTERM, SIGKILL, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGSTOP, SIGCONT, SIGQUIT };

	if (lua_type(L, arg) == LUA_TNUMBER)
		return (int)luaL_checkinteger(L, arg);
	return numbers[luaL_checkoption(L, arg, "TERM", names)];
}

static int signal_result(lua_State *L, int err)
{
	if (err == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	error_push(L, "kill", "%s", uv_strerror(err));
	return 2;
}

static int child_kill(lua_State *L)
{
	struct child *c = child_check(L);

	return signal_result(L, child_signal(c, check_signal(L, 2)));
}

static int child_pid(lua_State *L)
{
	lua_pushinteger(L, child_check(L)->process.pid);
	return 1;
}

static int child_running(lua_State *L)
{
	lua_pushboolean(L, child_check(L)->running);
	return 1;
}

/* The handle of a child that still runs goes on without its userdata; the child is killed at exit. */
static int child_gc(lua_State *L)
{
	struct child **box = luaL_checkudata(L, 1, CHILD_TYPE);

	if (*box != NULL)
		child_unref(*box);
	*box = NULL;
	return 0;
}

static int process_kill(lua_State *L)
{
	return signal_result(L, uv_kill((int)luaL_checkinteger(L, 1), check_signal(L, 2)));
}

static int process_pid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

/* free_port(): a port of 127.0.0.1 that nobody listens on, for who must name one before its server starts. */
static int process_free_port(lua_State *L)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
		  getsockname(fd, (struct sockaddr *)&address, &size) == 0;

	if (fd >= 0)
		close(fd);
	if (!ok)
		return luaL_error(L, "no free port: %s", strerror(errno));
	lua_pushinteger(L, ntohs(address.sin_port));
	return 1;
}

static int process_environment(lua_State *L)
{
	uv_env_item_t *items;
	int count;

	if (uv_os_environ(&items, &count) != 0)
		return luaL_error(L, "no environment");
	lua_createtable(L, 0, count);
	for (int i = 0; i < count; i++) {
		lua_pushstring(L, items[i].value);
		lua_setfield(L, -2, items[i].name);
	}
	uv_os_free_environ(items, count);
	return 1;
}

int luaopen_lunation_process_core(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "wait", child_wait }, { "read", child_read },       { "kill", child_kill },
		{ "id", child_pid },    { "running", child_running }, { NULL, NULL },
	};
	static const luaL_Reg functions[] = {
		{ "start", process_start },
		{ "kill", process_kill },
		{ "pid", process_pid },
		{ "free_port", process_free_port },
		{ "environment", process_environment },
		{ NULL, NULL },
	};
	static bool armed;

	if (!armed) {
		armed = true;
		atexit(kill_children);
	}
	luaL_newmetatable(L, CHILD_TYPE);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, child_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
