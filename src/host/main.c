/* lunation: the process. One task runs the command (lua/lunation/cli); the process ends when nothing is left to do. */
#include "host/loop.h"
#include "host/state.h"
#include "host/supervisor.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

struct command {
	uv_loop_t *loop;
	bool done;
	int status;
};

static void command_done(void *ud, lua_State *L, bool ok, int nresults)
{
	struct command *c = ud;

	c->done = true;
	if (loop_stopped(c->loop, NULL)) /* ended from outside, or by os.exit */
		return;
	if (ok) {
		c->status = nresults > 0 ? (int)lua_tointeger(L, -nresults) : EXIT_SUCCESS;
		/* timers and children of a program that failed have nothing left to do */
		if (nresults > 1 && lua_toboolean(L, -nresults + 1))
			loop_stop(c->loop, c->status);
		return;
	}
	if (lua_type(L, -1) == LUA_TSTRING)
		luaL_traceback(L, L, lua_tostring(L, -1), 0);
	fprintf(stderr, "lunation: %s\n", luaL_tolstring(L, -1, NULL));
	c->status = EXIT_FAILURE;
	loop_stop(c->loop, c->status);
}

/* --- Ctrl-C --- */

/* The loop ends a command well, but sees a signal only between two pieces of work. Where a piece takes long (a rule's
 * hundred million occurrences, a read that waits for the terminal), the process ends a moment later all the same. */
enum { GRACE_US = 300000 };

static const int enders[] = { SIGINT, SIGTERM };
static struct sigaction loops[2]; /* what the loop does with them */
static volatile sig_atomic_t ended_by;

static void grace(long microseconds)
{
	struct itimerval timer = { .it_value.tv_usec = microseconds };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void interrupted(uv_signal_t *handle, int number)
{
	grace(0);
	loop_stop(handle->loop, 128 + number);
}

static void on_ender(int number)
{
	int saved = errno;

	ended_by = number;
	grace(GRACE_US);
	loops[number == SIGTERM].sa_handler(number);
	errno = saved;
}

static void on_alarm(int number)
{
	(void)number;
	_exit(128 + ended_by);
}

static void watch_enders(uv_loop_t *loop, uv_signal_t signals[2])
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	sigfillset(&action.sa_mask);
	sigaction(SIGALRM, &action, NULL);
	action.sa_handler = on_ender;
	for (int i = 0; i < 2; i++) {
		uv_signal_init(loop, &signals[i]);
		uv_signal_start(&signals[i], interrupted, enders[i]);
		uv_unref((uv_handle_t *)&signals[i]);
		sigaction(enders[i], &action, &loops[i]);
	}
}

/* On the main state: the command's main function and the argument table. */
static bool load_command(lua_State *L, int argc, char **argv)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.cli");
	if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
		fprintf(stderr, "lunation: %s\n", lua_tostring(L, -1));
		return false;
	}
	lua_getfield(L, -1, "main");
	lua_remove(L, -2);
	lua_createtable(L, argc, 0);
	for (int i = 0; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i);
	}
	return true;
}

static int run_command(int argc, char **argv)
{
	static uv_loop_t loop; /* static: at exit the list of children still points into it */
	uv_signal_t signals[2];
	struct command command = { .loop = &loop, .status = EXIT_FAILURE };
	engine *e;

	loop_open(&loop);
	watch_enders(&loop, signals);
	e = engine_new(&loop, 0);
	if (load_command(e->L, argc, argv)) {
		task_spawn(e, 1, command_done, &command);
		if (loop_run(&loop) && !command.done)
			fprintf(stderr, "lunation: the program waits for what can no longer happen\n");
		loop_stopped(&loop, &command.status);
	}
	engine_close(e);
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&signals[i], NULL);
	loop_close(&loop);
	return command.status;
}

int main(int argc, char **argv)
{
	/* a peer that has gone is an error of write, never the end of the process */
	signal(SIGPIPE, SIG_IGN);
	argv = uv_setup_args(argc, argv);
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return supervisor_main(argc, argv);
	return run_command(argc, argv);
}
