/* lunation.http_server: listening sockets, what comes through them, and how they are handed over and drained. */
#include "host/server.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "modules.h"

#define LISTENER_TYPE "lunation.listener"

enum { ACCEPTS_PER_WAKE = 16, SWEEP = 500, RESERVED_FILES = 64 };

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
	uint64_t now = server_now();
	(void)timer;
	for (struct conn *c = server.conns, *next; c; c = next) {
		next = c->next;
		conn_sweep(c, now);
	}
}

static void end_when_empty(void)
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

static void on_accept(uv_poll_t *handle, int status, int events);

static void watch_listeners(void)
{
	for (struct listener *l = server.listeners; l; l = l->next) {
		if (l->accepting || l->closing)
			continue;
		l->accepting = uv_poll_start(&l->poll, UV_READABLE, on_accept) == 0;
	}
}

void server_conn_gone(struct conn *c)
{
	struct listener *l = c->listener;
	server.nconns--;
	l->nconns--;
	peer_leave(c->peer);
	c->peer = NULL;
	if (!server.draining)
		watch_listeners();
	struct drain *d = l->nconns == 0 ? drains : NULL;
	while (d && d->listener != l)
		d = d->next;
	if (d)
		drained(d, !d->late);
	end_when_empty();
}

/* The connection that has been idle longest, or NULL. */
static struct conn *idlest(void)
{
	struct conn *found = NULL;
	for (struct conn *c = server.conns; c; c = c->next)
		if (!c->busy && conn_idle(c) && !conn_pending(c) && (!found || c->idle_since <= found->idle_since))
			found = c;
	return found;
}

/* Closes it, so that there is room for one more. */
static bool make_room(void)
{
	struct conn *c = idlest();
	if (c)
		conn_close(c);
	return c != NULL;
}

static void address_text(const struct sockaddr_storage *from, char *text, size_t len)
{
	if (getnameinfo((const struct sockaddr *)from, sizeof *from, text, (socklen_t)len, NULL, 0, NI_NUMERICHOST) !=
	    0)
		snprintf(text, len, "unknown");
	/* IPv4 through a socket for both is written as IPv4. */
	if (strncmp(text, "::ffff:", 7) == 0 && strchr(text, '.'))
		memmove(text, text + 7, strlen(text + 7) + 1);
}

static void turn_away(struct listener *l, int fd)
{
	static const char busy[] =
	    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
	    "retry-after: 1\r\ncontent-length: 23\r\nconnection: close\r\n\r\n{\"error\":\"unavailable\"}";
	if (!l->tls && send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = 0;
	close(fd);
}

static void welcome(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	char address[48];
	struct peer *peer;
	int on = 1;
	address_text(from, address, sizeof address);
	bool proxy = l->nproxies && cidr_has(l->proxies, l->nproxies, address);
	peer = peer_enter(address, proxy ? 0 : l->limits.connections_per_address);
	if (!peer) {
		turn_away(l, fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (!conn_new(server.loop, l, fd, address, peer)) {
		peer_leave(peer);
		close(fd);
		return;
	}
	server.nconns++;
	l->nconns++;
}

/* Out of descriptors the pending connection would wake the loop for ever: the spare one lets it be taken and closed. */
static void shed(struct listener *l)
{
	close(server.spare_fd);
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		turn_away(l, fd);
	server.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Takes what waits; false: nothing more to take. */
static bool accept_one(struct listener *l)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	memset(&from, 0, sizeof from);
	if (server.nconns >= l->limits.connections && !idlest()) {
		uv_poll_stop(&l->poll);
		l->accepting = false;
		return false;
	}
	int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		if (server.nconns >= l->limits.connections)
			make_room();
		welcome(l, fd, &from);
		return true;
	}
	if (errno == EMFILE || errno == ENFILE) {
		if (!make_room())
			shed(l);
		return true;
	}
	return errno == EINTR || errno == ECONNABORTED;
}

static void on_accept(uv_poll_t *handle, int status, int events)
{
	struct listener *l = handle->data;
	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKE && accept_one(l); i++)
		;
}

static void on_listener_closed(uv_handle_t *handle)
{
	listener_release(handle->data);
}

/* No more connections through this socket; those that wait in its queue are taken first. */
static void stop_listening(struct listener *l)
{
	if (l->closing)
		return;
	while (accept_one(l))
		;
	l->closing = true;
	struct listener **at = &server.listeners;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	uv_poll_stop(&l->poll);
	close(l->fd);
	uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	for (struct conn *c = server.conns, *next; c; c = next) {
		next = c->next;
		if (c->listener == l)
			conn_drain(c);
	}
	end_when_empty();
}

static void drop_conns(struct listener *l)
{
	for (struct conn *c = server.conns, *next; c; c = next) {
		next = c->next;
		if (c->listener == l)
			conn_close(c);
	}
}

/* "http://127.0.0.1:8080" into its parts; a host may be in brackets, "*" or empty for all addresses. */
static bool split_url(const char *url, bool *https, char *host, size_t host_room, char port[8])
{
	const char *at, *end;
	*https = strncmp(url, "https://", 8) == 0;
	if (!*https && strncmp(url, "http://", 7) != 0)
		return false;
	at = url + (*https ? 8 : 7);
	if (*at == '[') {
		at++;
		end = strchr(at, ']');
		if (!end)
			return false;
	} else {
		end = at + strcspn(at, ":/");
	}
	if ((size_t)(end - at) >= host_room)
		return false;
	memcpy(host, at, (size_t)(end - at));
	host[end - at] = '\0';
	if (*end == ']')
		end++;
	snprintf(port, 8, "%s", *https ? "443" : "80");
	if (*end == ':') {
		size_t digits = strspn(end + 1, "0123456789");
		if (digits == 0 || digits > 5)
			return false;
		memcpy(port, end + 1, digits);
		port[digits] = '\0';
		end += 1 + digits;
	}
	return *end == '\0' || strcmp(end, "/") == 0;
}

/* A bound socket, or -1 with the reason in *error. */
static int bind_url(const char *url, bool reuseport, const char **error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list = NULL;
	char host[256], port[8];
	bool https;
	int fd = -1, on = 1;
	*error = "not a listen URL: http://HOST:PORT or https://HOST:PORT";
	if (!split_url(url, &https, host, sizeof host, port))
		return -1;
	bool any = !*host || strcmp(host, "*") == 0;
	int rc = getaddrinfo(any ? NULL : host, port, &hints, &list);
	if (rc != 0) {
		*error = gai_strerror(rc);
		return -1;
	}
	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0) {
			*error = strerror(errno);
			continue;
		}
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (reuseport)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
		if (bind(fd, a->ai_addr, a->ai_addrlen) != 0) {
			*error = strerror(errno);
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

/* The URL with the port that the kernel gave. */
static void push_real_url(lua_State *L, const char *url, int fd)
{
	char host[256], port[8];
	bool https;
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	if (!split_url(url, &https, host, sizeof host, port) || getsockname(fd, (struct sockaddr *)&at, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0) {
		lua_pushstring(L, url);
		return;
	}
	bool v6 = strchr(host, ':') != NULL;
	lua_pushfstring(L, "%s://%s%s%s:%s", https ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

/* bind(url, reuseport) --> descriptor, url | nil, err */
static int server_bind(lua_State *L)
{
	const char *url = luaL_checkstring(L, 1), *error;
	int fd = bind_url(url, lua_toboolean(L, 2), &error);
	if (fd < 0) {
		lua_pushnil(L);
		error_push(L, "unavailable", "cannot listen on %s: %s", url, error);
		return 2;
	}
	lua_pushinteger(L, fd);
	push_real_url(L, url, fd);
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

static int refuse_listen(lua_State *L, const char *url, const char *reason)
{
	lua_pushnil(L);
	error_push(L, "unavailable", "cannot listen on %s: %s", url, reason);
	return 2;
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
	lua_pushvalue(L, 3);
	l->handler = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, 4);
	l->failure = lua_isnil(L, 4) ? (lua_pop(L, 1), LUA_NOREF) : luaL_ref(L, LUA_REGISTRYINDEX);
	l->access_log = !lua_isnil(L, 5);
	lua_pushvalue(L, 5);
	l->access = l->access_log ? luaL_ref(L, LUA_REGISTRYINDEX) : (lua_pop(L, 1), LUA_NOREF);
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
	read_limits(L, 2, &limits);
	struct listener fresh = { 0 };
	read_proxies(L, 2, &fresh);
	if (https) {
		const char *cert = string_field(L, 2, "cert", NULL), *key = string_field(L, 2, "key", NULL);
		const char *secret = string_field(L, 2, "ticket_secret", &secret_len);
		if (!cert || !key)
			return refuse_listen(L, url, "https needs cert and key");
		tls = tls_context(cert, key, (const unsigned char *)secret, secret ? secret_len : 0, &error);
		if (!tls)
			return refuse_listen(L, url, error);
	}
	struct listener *l = same_url(url);
	if (l) {
		if (l->engine == engine_of(L)) {
			SSL_CTX_free(tls);
			return refuse_listen(L, url, "it is listened on already");
		}
		l->limits = limits;
		l->proxies = fresh.proxies;
		l->nproxies = fresh.nproxies;
		adopt(L, l, tls);
		return 1;
	}
	lua_getfield(L, 2, "fd");
	int fd = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : -1;
	lua_getfield(L, 2, "reuseport");
	if (fd < 0)
		fd = bind_url(url, lua_toboolean(L, -1), &error);
	if (fd < 0 || listen(fd, SOMAXCONN) != 0) {
		if (!error)
			error = strerror(errno);
		SSL_CTX_free(tls);
		if (fd >= 0)
			close(fd);
		return refuse_listen(L, url, error);
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	push_real_url(L, url, fd);
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
	watch_listeners();
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
		stop_listening(l);
		if (drop)
			drop_conns(l);
		l->engine = NULL;
		engine_release(box->engine);
	}
	luaL_unref(L, LUA_REGISTRYINDEX, box->self);
	listener_release(l);
}

static int listener_close(lua_State *L)
{
	let_go(L, check(L), false);
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
	drop_conns(l); /* the last of them ends the wait */
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
	stop_listening(l);
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
