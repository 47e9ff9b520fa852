/* lunation.http_server: what Lua says of listeners: begun, handed over to a newer engine, drained, closed. */
#include "host/server.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "modules.h"

#define LISTENER_TYPE "lunation.listener"

enum { SWEEP = 500, DRAIN_SWEEP = 50, RESERVED_FILES = 64, BYTES_PER_MS = 8 };

struct server server = { .spare_fd = -1 };

/* A task that waits for a listener's last connection to end. */
struct drain {
	struct drain *next;
	struct listener *listener;
	uv_timer_t *timer;
	task_ticket ticket;
	bool late;
};
static struct drain *drains;

struct listener_box {
	struct listener *l;
	engine *engine;
	int self; /* keeps the handle while it listens */
};

uint64_t server_now(void)
{
	return uv_now(server.loop);
}

uint64_t server_extend(uint64_t deadline, size_t bytes, uint64_t most)
{
	uint64_t bought = deadline + bytes / BYTES_PER_MS, latest = server_now() + most;
	return bought < latest ? bought : latest;
}

const char *server_date(size_t *len)
{
	static char text[40];
	static size_t text_len;
	static time_t made;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != made) {
		struct tm tm;
		made = now.tv_sec;
		gmtime_r(&made, &tm);
		text_len = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	*len = text_len;
	return text;
}

void listener_release(struct listener *l)
{
	if (--l->references)
		return;
	SSL_CTX_free(l->tls);
	free(l->asked);
	free(l->url);
	free(l);
}

static void on_sweep(uv_timer_t *timer)
{
	uint64_t now = server_now(), pause = SWEEP;
	for (struct conn *c = server.conns, *next; c; c = next) {
		next = c->next;
		if (c->draining)
			pause = DRAIN_SWEEP;
		conn_sweep(c, now);
	}
	uv_timer_set_repeat(timer, pause);
}

/* A drain is watched more closely than deadlines are. */
void server_watch_drain(void)
{
	uv_timer_start(server.sweep, on_sweep, DRAIN_SWEEP, DRAIN_SWEEP);
}

void server_end_when_empty(void)
{
	if (server.listeners || server.conns || !server.loop)
		return;
	/* Closing takes until the loop's next turn, and a new listener may come before it: the timer is not used again.
	 */
	uv_close((uv_handle_t *)server.sweep, (uv_close_cb)free);
	server.sweep = NULL;
	if (server.spare_fd >= 0)
		close(server.spare_fd);
	server.spare_fd = -1;
	server.loop = NULL;
}

static void begin_when_empty(uv_loop_t *loop)
{
	struct rlimit files;
	if (server.loop)
		return;
	server.sweep = malloc(sizeof *server.sweep);
	if (!server.sweep)
		abort();
	server.loop = loop;
	uv_timer_init(loop, server.sweep);
	uv_timer_start(server.sweep, on_sweep, SWEEP, SWEEP);
	uv_unref((uv_handle_t *)server.sweep);
	server.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void drop_drain(struct drain *d)
{
	struct drain **at = &drains;
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	uv_close((uv_handle_t *)d->timer, (uv_close_cb)free);
	listener_release(d->listener);
	free(d);
}

static void drained(struct drain *d, bool orderly)
{
	task_ticket ticket = d->ticket;
	drop_drain(d);
	lua_State *L = task_wake(ticket);
	if (!L)
		return;
	lua_pushboolean(L, orderly);
	task_continue(ticket, 1);
}

void server_conn_gone(struct conn *c)
{
	struct listener *l = c->listener;
	server.nconns--;
	l->nconns--;
	if (l->nconns == 0 && l->closing && l->engine) {
		engine *e = l->engine;
		l->engine = NULL;
		engine_release(e);
	}
	peer_leave(c->peer);
	c->peer = NULL;
	if (!server.draining)
		listeners_watch();
	struct drain *d = l->nconns == 0 ? drains : NULL;
	while (d && d->listener != l)
		d = d->next;
	if (d)
		drained(d, !d->late);
	server_end_when_empty();
}

/* bind(url, reuseport) --> descriptor, url | nil, err */
static int server_bind(lua_State *L)
{
	const char *url = luaL_checkstring(L, 1), *error;
	int fd = listener_bind(url, lua_toboolean(L, 2), &error);
	if (fd < 0) {
		lua_pushnil(L);
		error_push(L, "unavailable", "cannot listen on %s: %s", url, error);
		return 2;
	}
	lua_pushinteger(L, fd);
	listener_push_url(L, url, fd);
	return 2;
}

static lua_Integer integer_field(lua_State *L, int index, const char *name, lua_Integer otherwise)
{
	lua_Integer n = otherwise;
	if (lua_getfield(L, index, name) != LUA_TNIL) {
		int exact;
		n = lua_tointegerx(L, -1, &exact);
		if (!exact || n < 0)
			luaL_error(L, "limit '%s': a whole number, zero or more, expected", name);
	}
	lua_pop(L, 1);
	return n;
}

static uint64_t seconds_field(lua_State *L, int index, const char *name, double otherwise)
{
	double s = otherwise;
	if (lua_getfield(L, index, name) != LUA_TNIL) {
		if (!lua_isnumber(L, -1) || !(lua_tonumber(L, -1) >= 0))
			luaL_error(L, "limit '%s': seconds, zero or more, expected", name);
		s = lua_tonumber(L, -1);
	}
	lua_pop(L, 1);
	return (uint64_t)(s * 1000);
}

static void read_limits(lua_State *L, int index, struct limits *out)
{
	lua_Integer per_process = 10000;
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY && files.rlim_max < 20000)
		per_process = (lua_Integer)files.rlim_max > 2 * RESERVED_FILES
				  ? (lua_Integer)files.rlim_max - RESERVED_FILES
				  : 64;
	lua_getfield(L, index, "limits");
	if (!lua_istable(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
	}
	int at = lua_gettop(L);
	*out = (struct limits){
		.header = (size_t)integer_field(L, at, "header", 16 * 1024),
		.headers = (unsigned)integer_field(L, at, "headers", 100),
		.body = (size_t)integer_field(L, at, "body", 1024 * 1024),
		.pipeline = (size_t)integer_field(L, at, "pipeline", 64 * 1024),
		.connections = (unsigned)integer_field(L, at, "connections", per_process),
		.connections_per_address = (unsigned)integer_field(L, at, "connections_per_address", 1024),
		.streams = (unsigned)integer_field(L, at, "streams", 100),
		.requests = (unsigned)integer_field(L, at, "requests", 0),
		.head_time = seconds_field(L, at, "head_time", 10),
		.body_time = seconds_field(L, at, "body_time", 30),
		.idle_time = seconds_field(L, at, "idle_time", 60),
		.write_time = seconds_field(L, at, "write_time", 30),
		.handler_time = seconds_field(L, at, "handler_time", 120),
	};
	lua_pop(L, 1);
}

/* Trusted proxies are looked at by request objects that may outlive a listener, so their lists are kept for good. */
static void read_proxies(lua_State *L, int index, struct listener *l)
{
	struct kept {
		struct kept *next;
		size_t n;
		struct cidr list[];
	};
	static struct kept *all;
	lua_getfield(L, index, "trusted_proxies");
	size_t n = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
	l->proxies = NULL;
	l->nproxies = 0;
	if (n) {
		struct kept *k = calloc(1, sizeof *k + n * sizeof *k->list);
		if (!k)
			luaL_error(L, "out of memory");
		k->next = all;
		all = k;
		k->n = n;
		for (size_t i = 0; i < n; i++) {
			lua_rawgeti(L, -1, (lua_Integer)i + 1);
			const char *text = lua_tostring(L, -1);
			if (!text || !cidr_parse(text, &k->list[i]))
				luaL_error(L, "trusted_proxies: '%s' is not an address or network", text ? text : "?");
			lua_pop(L, 1);
		}
		l->proxies = k->list;
		l->nproxies = n;
	}
	lua_pop(L, 1);
}

static const char *string_field(lua_State *L, int index, const char *name, size_t *len)
{
	lua_getfield(L, index, name);
	return lua_tolstring(L, -1, len); /* stays on the stack, and so alive */
}

static struct listener *same_url(const char *url)
{
	for (struct listener *l = server.listeners; l; l = l->next)
		if ((strcmp(l->asked, url) == 0 && !l->any_port) || strcmp(l->url, url) == 0)
			return l;
	return NULL;
}

/* A descriptor that was given is the server's, also where it cannot use it. */
static int refuse_listen(lua_State *L, const char *url, int fd, const char *reason)
{
	if (fd >= 0)
		close(fd);
	lua_pushnil(L);
	error_push(L, "unavailable", "cannot listen on %s: %s", url, reason);
	return 2;
}

static int keep_function(lua_State *L, int index)
{
	if (lua_isnil(L, index))
		return LUA_NOREF;
	lua_pushvalue(L, index);
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void adopt(lua_State *L, struct listener *l, SSL_CTX *tls)
{
	struct listener_box *box = lua_newuserdatauv(L, sizeof *box, 0);
	engine *before = l->engine;
	box->l = l;
	box->engine = engine_of(L);
	luaL_setmetatable(L, LISTENER_TYPE);
	l->references++;
	lua_pushvalue(L, -1);
	box->self = luaL_ref(L, LUA_REGISTRYINDEX);
	l->handler = keep_function(L, 3);
	l->failure = keep_function(L, 4);
	l->access = keep_function(L, 5);
	if (tls) {
		SSL_CTX_free(l->tls);
		l->tls = tls;
	}
	l->engine = box->engine;
	engine_retain(l->engine);
	if (before)
		engine_release(before);
}

/* listen(url, options, handler, failure|nil, access|nil) --> listener | nil, err. On a URL that an older engine of this
 * process serves, its socket is taken over: what it has begun it finishes, new requests come here. */
static int server_listen(lua_State *L)
{
	const char *url = luaL_checkstring(L, 1), *error = NULL;
	struct limits limits;
	size_t secret_len = 0;
	SSL_CTX *tls = NULL;
	bool https = strncmp(url, "https://", 8) == 0;
	luaL_checktype(L, 2, LUA_TTABLE);
	luaL_checktype(L, 3, LUA_TFUNCTION);
	lua_settop(L, 5);
	lua_getfield(L, 2, "fd");
	int fd = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : -1;
	lua_pop(L, 1);
	read_limits(L, 2, &limits);
	struct listener fresh = { 0 };
	read_proxies(L, 2, &fresh);
	if (https) {
		const char *cert = string_field(L, 2, "cert", NULL), *key = string_field(L, 2, "key", NULL);
		const char *secret = string_field(L, 2, "ticket_secret", &secret_len);
		if (!cert || !key)
			return refuse_listen(L, url, fd, "https needs cert and key");
		tls = tls_context(cert, key, (const unsigned char *)secret, secret ? secret_len : 0, &error);
		if (!tls)
			return refuse_listen(L, url, fd, error);
	}
	struct listener *l = same_url(url);
	if (l) {
		if (l->engine == engine_of(L)) {
			SSL_CTX_free(tls);
			return refuse_listen(L, url, fd, "it is listened on already");
		}
		l->limits = limits;
		l->proxies = fresh.proxies;
		l->nproxies = fresh.nproxies;
		adopt(L, l, tls);
		if (fd >= 0) /* it was given away, and another one serves */
			close(fd);
		return 1;
	}
	lua_getfield(L, 2, "reuseport");
	if (fd < 0)
		fd = listener_bind(url, lua_toboolean(L, -1), &error);
	if (fd < 0 || listen(fd, SOMAXCONN) != 0) {
		if (!error)
			error = strerror(errno);
		SSL_CTX_free(tls);
		return refuse_listen(L, url, fd, error);
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	listener_push_url(L, url, fd);
	l = calloc(1, sizeof *l);
	if (!l || !(l->asked = strdup(url)) || !(l->url = strdup(lua_tostring(L, -1))))
		return luaL_error(L, "out of memory");
	begin_when_empty(engine_loop(engine_of(L)));
	size_t asked_len = strlen(url);
	l->any_port = asked_len > 2 && strcmp(url + asked_len - 2, ":0") == 0;
	l->fd = fd;
	l->https = https;
	l->limits = limits;
	l->proxies = fresh.proxies;
	l->nproxies = fresh.nproxies;
	l->references = 1;
	uv_poll_init(server.loop, &l->poll, fd);
	l->poll.data = l;
	l->next = server.listeners;
	server.listeners = l;
	adopt(L, l, tls);
	listeners_watch();
	return 1;
}

static struct listener_box *check(lua_State *L)
{
	return luaL_checkudata(L, 1, LISTENER_TYPE);
}

/* A listener that a newer engine has taken over is no longer this handle's to close. */
static void let_go(lua_State *L, struct listener_box *box, bool drop)
{
	struct listener *l = box->l;
	if (!l)
		return;
	box->l = NULL;
	if (l->engine == box->engine) {
		listener_stop(l);
		if (drop)
			listener_drop_conns(l);
	}
	if (l->engine == box->engine) { /* unless the last connection has let it go */
		l->engine = NULL;
		engine_release(box->engine);
	}
	luaL_unref(L, LUA_REGISTRYINDEX, box->self);
	listener_release(l);
}

/* The engine answers what its connections still ask, so it stays until the last of them has gone. */
static int listener_close(lua_State *L)
{
	struct listener_box *box = check(L);
	struct listener *l = box->l;
	if (l && l->engine == box->engine)
		listener_stop(l);
	if (!l || l->engine != box->engine || l->nconns == 0)
		let_go(L, box, false);
	return 0;
}

static int listener_gc(lua_State *L)
{
	let_go(L, check(L), true);
	return 0;
}

static void drain_late(uv_timer_t *timer)
{
	struct drain *d = timer->data;
	struct listener *l = d->listener;
	d->late = true;
	l->references++;
	listener_drop_conns(l); /* the last of them ends the wait */
	listener_release(l);
}

static void drain_cancelled(void *op)
{
	drop_drain(op);
}

/* listener:drain(seconds) --> boolean: accepts no more, lets what runs finish; false: some were cut off at the deadline
 */
static int listener_drain(lua_State *L)
{
	struct listener_box *box = check(L);
	double seconds = luaL_optnumber(L, 2, 30);
	struct listener *l = box->l;
	task_check(L);
	if (!l || l->engine != box->engine) {
		lua_pushboolean(L, 1);
		return 1;
	}
	listener_stop(l);
	if (l->nconns == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	struct drain *d = calloc(1, sizeof *d);
	uv_timer_t *timer = malloc(sizeof *timer);
	if (!d || !timer)
		abort();
	uv_timer_init(engine_loop(box->engine), timer);
	timer->data = d;
	d->timer = timer;
	d->listener = l;
	l->references++;
	d->next = drains;
	drains = d;
	uv_timer_start(timer, drain_late, (uint64_t)(seconds * 1000), 0);
	d->ticket = task_suspend(L, drain_cancelled, d);
	return task_wait(L);
}

static int listener_index(lua_State *L)
{
	struct listener_box *box = check(L);
	const char *key = luaL_checkstring(L, 2);
	if (strcmp(key, "url") == 0) {
		if (box->l)
			lua_pushstring(L, box->l->url);
		else
			lua_pushnil(L);
		return 1;
	}
	if (strcmp(key, "connections") == 0) {
		lua_pushinteger(L, box->l ? box->l->nconns : 0);
		return 1;
	}
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	return 1;
}

/* stats() --> { connections=, requests= (under way), served= } */
static int server_stats(lua_State *L)
{
	lua_createtable(L, 0, 3);
	lua_pushinteger(L, server.nconns);
	lua_setfield(L, -2, "connections");
	lua_pushinteger(L, server.nexchanges);
	lua_setfield(L, -2, "requests");
	lua_pushinteger(L, (lua_Integer)server.served);
	lua_setfield(L, -2, "served");
	return 1;
}

static const luaL_Reg methods[] = {
	{ "close", listener_close },
	{ "drain", listener_drain },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "bind", server_bind },
	{ "listen", server_listen },
	{ "stats", server_stats },
	{ "decode", request_decode },
	{ "decode_form", request_decode_form },
	{ NULL, NULL },
};

int luaopen_lunation_http_server(lua_State *L)
{
	request_setup(L);
	exchange_setup(L);
	luaL_newmetatable(L, LISTENER_TYPE);
	luaL_newlib(L, methods);
	lua_pushcclosure(L, listener_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, listener_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
