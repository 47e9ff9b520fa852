/*
 * `lunation serve`: binds every listener once a worker, forks the workers before any loop or thread exists, and puts a
 * new one in the place of one that died. A replacement inherits the socket, so connections that wait in its queue are
 * not lost. TERM and INT are passed on as TERM, HUP as HUP.
 */
#include "host/supervisor.h"

#include "host/ratelimit.h"
#include "host/server.h"
#include "host/state.h"
#include "host/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 256, LISTENERS_MAX = 64, BACKLOG = 4096 };
enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 30000, STEADY_MS = 60000, KILL_AFTER_MS = 5000 };

struct slot {
	pid_t pid;  /* 0: not running */
	int report; /* our end of its pipe, -1 */
	struct inherited sockets[LISTENERS_MAX];
	bool was_ready;
	int64_t started, restart_at; /* ms */
	int64_t backoff;
	int64_t heard; /* ms, its last report */
};

struct supervisor {
	int argc;
	char **argv;
	char *urls[LISTENERS_MAX];
	size_t listener_count;
	struct slot *slots;
	size_t worker_count;
	int64_t drain_ms;
	int64_t stuck_ms; /* silence after which a worker is replaced; 0: never */
	bool log_json;
	unsigned char secret[WORKER_SECRET];
	int signals; /* signalfd */
	bool ready, stopping;
	size_t reloading; /* workers that have not answered a HUP */
	int64_t kill_at;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The messages here are our own words and numbers: nothing in them needs escaping. */
static void note(const struct supervisor *s, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note(const struct supervisor *s, const char *level, const char *format, ...)
{
	char stamp[32], text[512];
	struct timespec t;
	struct tm utc;
	va_list args;

	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr,
		s->log_json ? "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":\"%s\"}\n" : "%s.%03ldZ %-5s %s\n",
		stamp, t.tv_nsec / 1000000, level, text);
}

/* One datagram to systemd, where it asked for it (sd_notify(3)). */
static void notify(const char *state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') || (length = strlen(path)) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, length);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

/* --- the plan: what the command line and the configuration say ---------------------------------------------------- */

static bool read_plan(struct supervisor *s, lua_State *L)
{
	lua_getfield(L, -1, "workers");
	s->worker_count = (size_t)lua_tointeger(L, -1);
	lua_getfield(L, -2, "drain_time");
	s->drain_ms = (int64_t)(lua_tonumber(L, -1) * 1000);
	lua_getfield(L, -3, "stuck_time");
	s->stuck_ms = (int64_t)(lua_tonumber(L, -1) * 1000);
	lua_getfield(L, -4, "log_json");
	s->log_json = lua_toboolean(L, -1);
	lua_pop(L, 4);
	lua_getfield(L, -1, "listeners");
	s->listener_count = lua_rawlen(L, -1);
	if (s->worker_count < 1 || s->worker_count > WORKERS_MAX || s->listener_count > LISTENERS_MAX) {
		fprintf(stderr, "lunation serve: at most %d workers and %d listeners\n", WORKERS_MAX, LISTENERS_MAX);
		return false;
	}
	for (size_t i = 0; i < s->listener_count; i++) {
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		s->urls[i] = strdup(lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return true;
}

/* Runs the command (lua/lunation/cli/serve.lua) in a state of its own that has no loop; it leaves a plan, or a status.
 */
static bool make_plan(struct supervisor *s, int *status)
{
	engine *e = engine_new(NULL, 0);
	lua_State *L = e->L;
	bool planned = false;

	*status = EXIT_FAILURE;
	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.cli");
	if (lua_pcall(L, 1, 1, 0) != LUA_OK)
		goto failed;
	lua_getfield(L, -1, "main");
	lua_createtable(L, s->argc, 0);
	for (int i = 0; i < s->argc; i++) {
		lua_pushstring(L, s->argv[i]);
		lua_rawseti(L, -2, i);
	}
	if (lua_pcall(L, 1, 1, 0) != LUA_OK)
		goto failed;
	*status = (int)lua_tointeger(L, -1);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.cli.serve");
	if (lua_pcall(L, 1, 1, 0) != LUA_OK)
		goto failed;
	lua_getfield(L, -1, "plan");
	if (*status == EXIT_SUCCESS && lua_istable(L, -1)) {
		planned = read_plan(s, L);
		*status = planned ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	goto out;
failed:
	fprintf(stderr, "lunation: %s\n", luaL_tolstring(L, -1, NULL));
out:
	engine_close(e);
	return planned;
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

/* A socket for every worker. That nobody else has the address is seen first, without SO_REUSEPORT, for with it a second
 * lunation of the same user would quietly take half of the connections. */
static bool bind_listener(struct supervisor *s, size_t index)
{
	const char *url = s->urls[index], *error;
	bool shared = s->worker_count > 1;
	char real[LISTEN_URL_MAX];
	int fd = listener_bind(url, false, &error);

	if (fd < 0)
		goto failed;
	if (shared) { /* a port that the kernel chose is every worker's */
		listener_real_url(url, fd, real, sizeof(real));
		close(fd);
	}
	for (size_t w = 0; w < s->worker_count; w++) {
		if (shared)
			fd = listener_bind(real, true, &error);
		if (fd < 0)
			goto failed;
		if (listen(fd, BACKLOG) != 0) {
			error = strerror(errno);
			goto failed;
		}
		s->slots[w].sockets[index] = (struct inherited){ url, fd };
	}
	return true;
failed:
	fprintf(stderr, "lunation serve: %s: %s\n", url, error);
	return false;
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static void run_worker(struct supervisor *s, size_t index, int report, pid_t supervisor)
{
	struct slot *mine = &s->slots[index];
	struct worker_options options = {
		.argc = s->argc,
		.argv = s->argv,
		.sockets = mine->sockets,
		.socket_count = s->listener_count,
		.secret = s->secret,
		.slot = (int)index + 1,
		.report = report,
	};
	sigset_t none;

	/* a supervisor that was killed takes its workers along, in order */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != supervisor) /* it was, before that was said */
		exit(EXIT_FAILURE);
	close(s->signals);
	for (size_t w = 0; w < s->worker_count; w++) {
		if (s->slots[w].report >= 0)
			close(s->slots[w].report);
		for (size_t l = 0; w != index && l < s->listener_count; l++)
			close(s->slots[w].sockets[l].fd);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	exit(worker_main(&options));
}

static void start_worker(struct supervisor *s, size_t index)
{
	struct slot *slot = &s->slots[index];
	int ends[2] = { -1, -1 };
	pid_t pid, supervisor = getpid();

	slot->restart_at = 0;
	slot->started = slot->heard = now_ms();
	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		note(s, "error", "worker %zu cannot be started: %s", index + 1, strerror(errno));
		slot->restart_at = slot->started + BACKOFF_MAX_MS;
		if (ends[0] >= 0) {
			close(ends[0]);
			close(ends[1]);
		}
		return;
	}
	if (pid == 0) {
		close(ends[0]);
		run_worker(s, index, ends[1], supervisor);
	}
	close(ends[1]);
	slot->pid = pid;
	slot->report = ends[0];
}

static void signal_workers(const struct supervisor *s, int number)
{
	for (size_t w = 0; w < s->worker_count; w++) {
		if (s->slots[w].pid > 0)
			kill(s->slots[w].pid, number);
	}
}

static void begin_stop(struct supervisor *s)
{
	if (s->stopping) { /* asked again: at once */
		signal_workers(s, SIGKILL);
		return;
	}
	s->stopping = true;
	s->kill_at = now_ms() + s->drain_ms + KILL_AFTER_MS;
	notify("STOPPING=1");
	/* The workers take what waits in their queues and close them; while a copy stayed open here, new connections
	 * would come into a queue that nobody reads. */
	for (size_t w = 0; w < s->worker_count; w++) {
		for (size_t l = 0; l < s->listener_count; l++)
			close(s->slots[w].sockets[l].fd);
	}
	signal_workers(s, SIGTERM);
}

static void worker_ended(struct supervisor *s, pid_t pid, int status, int *result)
{
	struct slot *slot = NULL;
	size_t index;

	for (index = 0; index < s->worker_count; index++) {
		if (s->slots[index].pid == pid) {
			slot = &s->slots[index];
			break;
		}
	}
	if (slot == NULL)
		return;
	slot->pid = 0;
	close(slot->report);
	slot->report = -1;
	if (s->stopping)
		return;
	/* What does not start once does not start a second time; one that was killed from outside might have. */
	if (!s->ready && !slot->was_ready && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
		*result = EXIT_FAILURE;
		begin_stop(s);
		return;
	}
	if (now_ms() - slot->started > STEADY_MS || slot->backoff == 0)
		slot->backoff = BACKOFF_FIRST_MS;
	else
		slot->backoff = slot->backoff * 2 < BACKOFF_MAX_MS ? slot->backoff * 2 : BACKOFF_MAX_MS;
	slot->restart_at = now_ms() + slot->backoff;
	if (WIFSIGNALED(status))
		note(s, "error", "worker %zu was ended by signal %d; a new one starts in %lld ms", index + 1,
		     WTERMSIG(status), (long long)slot->backoff);
	else
		note(s, "error", "worker %zu ended with status %d; a new one starts in %lld ms", index + 1,
		     WEXITSTATUS(status), (long long)slot->backoff);
}

static void worker_reports(struct supervisor *s, size_t index)
{
	struct slot *slot = &s->slots[index];
	char what[16];
	ssize_t n = read(slot->report, what, sizeof(what));

	slot->heard = now_ms();
	for (ssize_t i = 0; i < n; i++) {
		if (what[i] == 'H')
			continue;
		if (what[i] == 'R')
			slot->was_ready = true;
		if (s->reloading > 0 && --s->reloading == 0)
			notify("READY=1");
	}
	if (s->ready)
		return;
	for (size_t w = 0; w < s->worker_count; w++) {
		if (!s->slots[w].was_ready)
			return;
	}
	s->ready = true;
	notify("READY=1");
}

static void take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			begin_stop(s);
		} else if (info.ssi_signo == SIGHUP && !s->stopping) {
			s->reloading = s->worker_count;
			notify("RELOADING=1");
			signal_workers(s, SIGHUP);
		}
	}
}

/* A worker whose loop does not turn, in a script that never waits, holds its connections for ever: it is replaced. */
static bool is_stuck(const struct supervisor *s, const struct slot *slot)
{
	return s->stuck_ms > 0 && slot->pid > 0 && slot->was_ready && now_ms() - slot->heard > s->stuck_ms;
}

static void kill_stuck(struct supervisor *s)
{
	for (size_t w = 0; w < s->worker_count; w++) {
		if (!is_stuck(s, &s->slots[w]))
			continue;
		note(s, "error", "worker %zu has not moved for %lld s and is ended", w + 1,
		     (long long)s->stuck_ms / 1000);
		s->slots[w].heard = now_ms();
		kill(s->slots[w].pid, SIGKILL);
	}
}

/* Milliseconds until something is due by the clock, -1: nothing is. */
static int next_due(const struct supervisor *s)
{
	int64_t due = s->stopping ? s->kill_at : INT64_MAX, left;

	for (size_t w = 0; w < s->worker_count; w++) {
		const struct slot *slot = &s->slots[w];
		if (slot->restart_at != 0 && slot->restart_at < due)
			due = slot->restart_at;
		if (s->stuck_ms > 0 && slot->pid > 0 && slot->heard + s->stuck_ms + 1 < due)
			due = slot->heard + s->stuck_ms + 1;
	}
	if (due == INT64_MAX)
		return -1;
	left = due - now_ms();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static int supervise(struct supervisor *s)
{
	struct pollfd polled[WORKERS_MAX + 1];
	int result = EXIT_SUCCESS;

	for (size_t w = 0; w < s->worker_count; w++)
		start_worker(s, w);
	for (;;) {
		size_t alive = 0;
		int status;
		pid_t pid;

		polled[0] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
		for (size_t w = 0; w < s->worker_count; w++)
			polled[w + 1] = (struct pollfd){ .fd = s->slots[w].report, .events = POLLIN };
		poll(polled, s->worker_count + 1, next_due(s));
		take_signals(s);
		for (size_t w = 0; w < s->worker_count; w++) {
			if (polled[w + 1].revents & POLLIN)
				worker_reports(s, w);
		}
		kill_stuck(s);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			worker_ended(s, pid, status, &result);
		for (size_t w = 0; w < s->worker_count; w++) {
			struct slot *slot = &s->slots[w];
			if (!s->stopping && slot->restart_at != 0 && now_ms() >= slot->restart_at)
				start_worker(s, w);
			alive += slot->pid > 0;
		}
		if (s->stopping && alive == 0)
			return result;
		if (s->stopping && now_ms() >= s->kill_at) {
			note(s, "warn", "workers that did not end in time are killed");
			signal_workers(s, SIGKILL);
			s->kill_at = now_ms() + KILL_AFTER_MS;
		}
	}
}

int supervisor_main(int argc, char **argv)
{
	static struct supervisor s;
	sigset_t wanted;
	int status;

	s.argc = argc;
	s.argv = argv;
	if (!make_plan(&s, &status))
		return status;
	s.slots = calloc(s.worker_count, sizeof(*s.slots));
	ratelimit_share();
	if (s.slots == NULL || getrandom(s.secret, sizeof(s.secret), 0) != (ssize_t)sizeof(s.secret))
		return EXIT_FAILURE;
	for (size_t w = 0; w < s.worker_count; w++)
		s.slots[w].report = -1;
	for (size_t l = 0; l < s.listener_count; l++) {
		if (!bind_listener(&s, l))
			return EXIT_FAILURE;
	}
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGCHLD);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	s.signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.signals < 0)
		return EXIT_FAILURE;
	return supervise(&s);
}
