/* lunation.tcp: a plain TCP connection for scripts and specs; every operation waits as a task, with a time-out. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/task.h"
#include "modules.h"

#define TCP_TYPE "lunation.tcp"

enum { READ_MAX = 64 * 1024 };
enum wait { NOTHING, CONNECTING, READING, READING_ALL, WRITING };

struct tcp {
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;
	int fd;
	enum wait wait;
	task_ticket ticket;
	size_t want;
	char *data; /* what is still to be written, or has been read of "all" */
	size_t len, at;
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct tcp *t = handle->data;
	if (--t->handles == 0)
		free(t);
}

static void forget_data(struct tcp *t)
{
	free(t->data);
	t->data = NULL;
	t->len = t->at = 0;
}

static void fail(struct tcp *t, const char *code, const char *message);

static void tcp_close(struct tcp *t)
{
	if (t->fd < 0)
		return;
	if (t->wait != NOTHING)
		fail(t, "closed", "the connection was closed");
	uv_poll_stop(&t->poll);
	close(t->fd);
	t->fd = -1;
	forget_data(t);
	uv_close((uv_handle_t *)&t->poll, on_handle_closed);
	uv_close((uv_handle_t *)&t->timer, on_handle_closed);
}

static void at_rest(struct tcp *t)
{
	t->wait = NOTHING;
	uv_poll_stop(&t->poll);
	uv_timer_stop(&t->timer);
}

static void cancelled(void *op)
{
	at_rest(op);
}

static void fail(struct tcp *t, const char *code, const char *message)
{
	lua_State *L = task_wake(t->ticket);
	at_rest(t);
	forget_data(t);
	if (!L)
		return;
	lua_pushnil(L);
	error_push(L, code, "%s", message);
	task_continue(t->ticket, 2);
}

static void fail_errno(struct tcp *t, int err)
{
	const char *code = err == ECONNREFUSED ? "refused" : err == ECONNRESET || err == EPIPE ? "reset" : "network";
	fail(t, code, strerror(err));
}

static void succeed(struct tcp *t, const char *data, size_t len)
{
	lua_State *L = task_wake(t->ticket);
	at_rest(t);
	if (L && data)
		lua_pushlstring(L, data, len);
	else if (L)
		lua_pushboolean(L, 1);
	forget_data(t);
	if (L)
		task_continue(t->ticket, 1);
}

static void connected(struct tcp *t)
{
	int err = 0;
	socklen_t len = sizeof err;
	getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err)
		fail_errno(t, err);
	else
		succeed(t, NULL, 0);
}

/* Results of a read: a chunk, or "closed" at the end of the stream. */
static void readable(struct tcp *t)
{
	static char buf[READ_MAX];
	ssize_t n = recv(t->fd, buf, t->want < READ_MAX ? t->want : READ_MAX, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		fail_errno(t, errno);
	} else if (n > 0) {
		if (t->wait == READING) {
			succeed(t, buf, (size_t)n);
			return;
		}
		char *grown = realloc(t->data, t->len + (size_t)n);
		if (!grown) {
			fail(t, "too_large", "out of memory");
			return;
		}
		memcpy(grown + t->len, buf, (size_t)n);
		t->data = grown;
		t->len += (size_t)n;
	} else if (t->wait == READING_ALL) {
		succeed(t, t->data ? t->data : "", t->len);
	} else {
		fail(t, "closed", "the peer has closed the connection");
	}
}

static void writable(struct tcp *t)
{
	ssize_t n = send(t->fd, t->data + t->at, t->len - t->at, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		fail_errno(t, errno);
		return;
	}
	t->at += (size_t)n;
	if (t->at == t->len)
		succeed(t, NULL, 0);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct tcp *t = handle->data;
	(void)events;
	if (status < 0)
		fail_errno(t, -status);
	else if (t->wait == CONNECTING)
		connected(t);
	else if (t->wait == WRITING)
		writable(t);
	else if (t->wait != NOTHING)
		readable(t);
}

static void on_timeout(uv_timer_t *timer)
{
	fail(timer->data, "timeout", "the time is up");
}

static uint64_t timeout_of(lua_State *L, int arg)
{
	lua_Number seconds = luaL_optnumber(L, arg, 30);
	luaL_argcheck(L, seconds >= 0 && seconds < 1e9, arg, "seconds expected");
	return (uint64_t)ceil(seconds * 1000);
}

static int begin(lua_State *L, struct tcp *t, enum wait wait, int events, uint64_t timeout)
{
	t->wait = wait;
	uv_update_time(t->poll.loop);
	uv_timer_start(&t->timer, on_timeout, timeout, 0);
	uv_poll_start(&t->poll, events, on_poll);
	t->ticket = task_suspend(L, cancelled, t);
	return task_wait(L);
}

static struct tcp *check(lua_State *L)
{
	struct tcp *t = *(struct tcp **)luaL_checkudata(L, 1, TCP_TYPE);
	if (t && t->wait != NOTHING)
		luaL_error(L, "another task waits on this connection");
	task_check(L);
	return t && t->fd >= 0 ? t : NULL;
}

static int is_closed(lua_State *L)
{
	lua_pushnil(L);
	error_push(L, "closed", "the connection is closed");
	return 2;
}

static int connect_done(lua_State *L, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	if (lua_toboolean(L, -1) && !lua_istable(L, -1)) {
		lua_settop(L, 1);
		return 1;
	}
	lua_getfield(L, 1, "close");
	lua_pushvalue(L, 1);
	lua_call(L, 1, 0);
	return 2;
}

static bool numeric_address(const char *host, int port, struct sockaddr_storage *to, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	memset(to, 0, sizeof *to);
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*len = sizeof *v4;
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return false;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	*len = sizeof *v6;
	return true;
}

/* connect(address, port, timeout) --> connection | nil, err. The address is a number: names are not resolved. */
static int tcp_connect(lua_State *L)
{
	struct sockaddr_storage to;
	socklen_t len = 0;
	const char *host = luaL_checkstring(L, 1);
	lua_Integer port = luaL_checkinteger(L, 2);
	uint64_t timeout = timeout_of(L, 3);
	int on = 1;
	luaL_argcheck(L, port > 0 && port < 65536, 2, "port expected");
	luaL_argcheck(L, numeric_address(host, (int)port, &to, &len), 1, "numeric address expected");
	task_check(L);
	lua_settop(L, 0);
	struct tcp **box = lua_newuserdatauv(L, sizeof *box, 0);
	*box = NULL;
	luaL_setmetatable(L, TCP_TYPE);
	struct tcp *t = calloc(1, sizeof *t);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (!t || fd < 0) {
		free(t);
		lua_pushnil(L);
		error_push(L, "network", "%s", strerror(errno));
		return 2;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	t->fd = fd;
	t->handles = 2;
	*box = t;
	uv_loop_t *loop = engine_loop(engine_of(L));
	uv_poll_init(loop, &t->poll, fd);
	uv_timer_init(loop, &t->timer);
	t->poll.data = t->timer.data = t;
	if (connect(fd, (struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS) {
		int err = errno;
		tcp_close(t);
		*box = NULL;
		lua_pushnil(L);
		error_push(L, err == ECONNREFUSED ? "refused" : "network", "%s", strerror(err));
		return 2;
	}
	t->wait = CONNECTING;
	uv_update_time(loop);
	uv_timer_start(&t->timer, on_timeout, timeout, 0);
	uv_poll_start(&t->poll, UV_WRITABLE, on_poll);
	t->ticket = task_suspend(L, cancelled, t);
	return lua_yieldk(L, 0, 0, connect_done);
}

/* connection:read(max, timeout) --> chunk | nil, err (code "closed" at the end) */
static int tcp_read(lua_State *L)
{
	struct tcp *t = check(L);
	lua_Integer most = luaL_optinteger(L, 2, READ_MAX);
	uint64_t timeout = timeout_of(L, 3);
	luaL_argcheck(L, most > 0, 2, "a size above zero expected");
	if (!t)
		return is_closed(L);
	t->want = (size_t)most;
	return begin(L, t, READING, UV_READABLE, timeout);
}

/* connection:read_all(timeout) --> everything until the peer closes | nil, err */
static int tcp_read_all(lua_State *L)
{
	struct tcp *t = check(L);
	uint64_t timeout = timeout_of(L, 2);
	if (!t)
		return is_closed(L);
	t->want = READ_MAX;
	return begin(L, t, READING_ALL, UV_READABLE, timeout);
}

/* connection:write(data, timeout) --> true | nil, err */
static int tcp_write(lua_State *L)
{
	struct tcp *t = check(L);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);
	uint64_t timeout = timeout_of(L, 3);
	if (!t)
		return is_closed(L);
	t->data = malloc(len ? len : 1);
	if (!t->data)
		return luaL_error(L, "out of memory");
	memcpy(t->data, data, len);
	t->len = len;
	t->at = 0;
	return begin(L, t, WRITING, UV_WRITABLE, timeout);
}

/* connection:shutdown(): says that nothing more will be written; reading goes on */
static int tcp_shutdown(lua_State *L)
{
	struct tcp *t = *(struct tcp **)luaL_checkudata(L, 1, TCP_TYPE);
	lua_pushboolean(L, t && t->fd >= 0 && shutdown(t->fd, SHUT_WR) == 0);
	return 1;
}

static int tcp_gc(lua_State *L)
{
	struct tcp **box = luaL_checkudata(L, 1, TCP_TYPE);
	if (*box)
		tcp_close(*box);
	*box = NULL;
	return 0;
}

/* connection:reset(): closes so that the peer sees a reset instead of an end */
static int tcp_reset(lua_State *L)
{
	struct tcp *t = *(struct tcp **)luaL_checkudata(L, 1, TCP_TYPE);
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	if (t && t->fd >= 0)
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	return tcp_gc(L);
}

int luaopen_lunation_tcp(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "read", tcp_read },   { "read_all", tcp_read_all },
		{ "write", tcp_write }, { "shutdown", tcp_shutdown },
		{ "reset", tcp_reset }, { "close", tcp_gc },
		{ NULL, NULL },
	};
	static const luaL_Reg functions[] = {
		{ "connect", tcp_connect },
		{ NULL, NULL },
	};
	luaL_newmetatable(L, TCP_TYPE);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, tcp_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushcfunction(L, tcp_gc);
	lua_setfield(L, -2, "__close");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
