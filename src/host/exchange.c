/* One request and its answer, whichever HTTP version carries them: a task runs the handler, its result is sent. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "host/server.h"

static struct exchange *spare;
static const char anchors = 0; /* registry key: exchange -> its request object, while the exchange lasts */

struct exchange *exchange_of(struct exchange_ticket t)
{
	return t.ex->generation == t.generation ? t.ex : NULL;
}

struct exchange *exchange_new(struct conn *c, int32_t stream)
{
	struct exchange *ex = spare;
	uint64_t generation = 0;
	if (ex) {
		spare = ex->next;
		generation = ex->generation;
	} else {
		ex = malloc(sizeof *ex);
		if (!ex)
			return NULL;
	}
	memset(ex, 0, offsetof(struct exchange, id));
	ex->generation = generation;
	ex->id[0] = '\0';
	ex->conn = c;
	ex->listener = c->listener;
	ex->stream = stream;
	ex->started = server_now();
	ex->listener->references++;
	server.nexchanges++;
	return ex;
}

/* Under pcall: (message, request id, error) to lunation.log; the error may be any value, its __tostring may raise. */
static int log_in_lua(lua_State *L)
{
	luaL_tolstring(L, 3, NULL);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "lunation.log");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "error");
	lua_pushvalue(L, 1);
	lua_createtable(L, 0, 2);
	lua_pushvalue(L, 2);
	lua_setfield(L, -2, "request_id");
	lua_pushvalue(L, 4);
	lua_setfield(L, -2, "error");
	lua_call(L, 2, 0);
	return 0;
}

/* The error stands on the top of `from`, and stays. */
static void log_error(struct exchange *ex, lua_State *from, const char *message)
{
	lua_State *L = engine_state(ex->engine);
	lua_pushvalue(from, -1);
	lua_pushcfunction(L, log_in_lua);
	lua_pushstring(L, message);
	lua_pushstring(L, ex->id);
	if (from == L)
		lua_rotate(L, -4, 3);
	else
		lua_xmove(from, L, 1);
	if (lua_pcall(L, 3, 0, 0) != LUA_OK) {
		fprintf(stderr, "lunation: %s (request %s), and the log failed: %s\n", message, ex->id,
			lua_tostring(L, -1));
		lua_pop(L, 1);
	}
}

static void log_access(lua_State *L, struct exchange *ex)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, ex->access);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors);
	lua_rawgetp(L, -1, ex);
	lua_remove(L, -2);
	lua_pushinteger(L, ex->status);
	lua_pushinteger(L, (lua_Integer)ex->sent);
	lua_pushinteger(L, (lua_Integer)(server_now() - ex->started));
	if (lua_pcall(L, 4, 0, 0) != LUA_OK) {
		fprintf(stderr, "lunation: the access log failed: %s\n", lua_tostring(L, -1));
		lua_pop(L, 1);
	}
}

/* The last of an exchange: it was answered and sent, or its client left and its task has ended. */
void exchange_finish(struct exchange *ex)
{
	struct listener *l = ex->listener;
	engine *e = ex->engine;
	if (e) {
		lua_State *L = engine_state(e);
		if (ex->access != LUA_NOREF)
			log_access(L, ex);
		lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors);
		lua_pushnil(L);
		lua_rawsetp(L, -2, ex);
		lua_pop(L, 1);
	}
	ex->generation++;
	ex->engine = NULL;
	ex->conn = NULL;
	if (ex->head_bytes) {
		free(ex->head_bytes);
		free(ex->head);
		ex->head_bytes = NULL;
		ex->head = NULL;
	}
	if (ex->body.data)
		bytes_free(&ex->body);
	if (ex->out.data)
		bytes_free(&ex->out);
	ex->next = spare;
	spare = ex;
	server.nexchanges--;
	server.served++;
	listener_release(l);
	if (e)
		engine_release(e);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Unique within the process and not guessable from outside; 16 hex digits. */
static void make_id(char *id)
{
	static uint64_t seed;
	static const char digits[] = "0123456789abcdef";
	while (!seed)
		if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
			seed = (uint64_t)uv_hrtime();
	uint64_t n = mix(seed += 0x9e3779b97f4a7c15u);
	for (int i = 0; i < 16; i++, n >>= 4)
		id[i] = digits[n & 15];
	id[16] = '\0';
}

static bool sane_id(const char *value, size_t len)
{
	if (len == 0 || len >= sizeof((struct exchange *)0)->id)
		return false;
	for (size_t i = 0; i < len; i++) {
		char b = value[i];
		bool good = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
		if (!good && b != '-' && b != '_' && b != '.')
			return false;
	}
	return true;
}

/* What the answer depends on is noted before the handler runs: its request object may be gone by then. */
static void note_fields(struct exchange *ex, const char *bytes, const struct http_head *head)
{
	for (unsigned i = 0; i < head->nfields; i++) {
		const struct http_field *f = &head->fields[i];
		const char *name = bytes + f->name.at, *value = bytes + f->value.at;
		if (f->name.len == 12 && http_name_is(name, 12, "x-request-id")) {
			if (sane_id(value, f->value.len)) {
				memcpy(ex->id, value, f->value.len);
				ex->id[f->value.len] = '\0';
			}
		} else if (f->name.len == 15 && http_name_is(name, 15, "accept-encoding")) {
			ex->accepts_gzip = gzip_accepted(value, f->value.len);
		}
	}
	if (!ex->id[0])
		make_id(ex->id);
	ex->head_only = head->method.len == 4 && memcmp(bytes + head->method.at, "HEAD", 4) == 0;
	ex->minor = head->minor;
}

static void on_done(void *ud, lua_State *L, bool ok, int nresults);
static void on_streamed(void *ud, lua_State *L, bool ok, int nresults);

/* The function and its arguments stand on the engine's state. The exchange may have ended when this returns. */
static void start(struct exchange *ex, int nargs, task_done_fn done)
{
	uint64_t generation = ex->generation;
	ex->running = true;
	ex->turn++;
	unsigned turn = ex->turn;
	task *t = task_spawn(ex->engine, nargs, done, ex);
	if (ex->generation != generation || ex->turn != turn || !ex->running)
		return;
	ex->task = task_life(t);
}

static void push_request(lua_State *L, struct exchange *ex)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors);
	lua_rawgetp(L, -1, ex);
	lua_remove(L, -2);
}

/* Makes the request object, anchors it, and leaves it on the stack. */
static void new_request(lua_State *L, struct exchange *ex, const char *bytes, const struct http_head *head)
{
	request_push(L, ex, bytes, head);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &anchors);
	lua_pushvalue(L, -2);
	lua_rawsetp(L, -2, ex);
	lua_pop(L, 1);
	if (ex->body.data)
		bytes_free(&ex->body);
}

static void take_engine(struct exchange *ex)
{
	ex->engine = ex->listener->engine;
	ex->failure = ex->listener->failure;
	ex->access = ex->listener->access;
	engine_retain(ex->engine);
	ex->deadline = ex->listener->limits.handler_time ? server_now() + ex->listener->limits.handler_time : 0;
}

void exchange_dispatch(struct exchange *ex, const char *bytes, const struct http_head *head)
{
	take_engine(ex);
	note_fields(ex, bytes, head);
	lua_State *L = engine_state(ex->engine);
	lua_rawgeti(L, LUA_REGISTRYINDEX, ex->listener->handler);
	new_request(L, ex, bytes, head);
	start(ex, 1, on_done);
}

static void send_answer(struct exchange *ex, struct answer *a)
{
	ex->status = a->status;
	if (a->close)
		ex->keep_alive = false;
	if (ex->stream)
		http2_answer(ex, a);
	else
		http1_answer(ex, a);
}

/* Where even the failure handler failed, or there is none. */
static void send_plain(struct exchange *ex, int status)
{
	struct answer a;
	char body[96];
	memset(&a, 0, offsetof(struct answer, fields));
	a.status = status;
	int n = snprintf(body, sizeof body, "{\"error\":\"%s\"}", status == 500 ? "internal" : status_text(status));
	a.body = body;
	a.body_len = (size_t)n;
	answer_add(&a, "content-type", "application/json", 16);
	send_answer(ex, &a);
}

/* Renders an error in the words of the listener's failure function: (request, error, trace). Error and trace are on L.
 */
static void fail(struct exchange *ex, lua_State *L, int status)
{
	lua_State *main = engine_state(ex->engine);
	if (ex->failing || ex->failure == LUA_NOREF) {
		bool raised = !lua_isnil(L, -1);
		lua_pop(L, 1);
		if (raised)
			log_error(ex, L, "a request failed");
		lua_pop(L, 1);
		send_plain(ex, status);
		return;
	}
	ex->failing = true;
	lua_rawgeti(main, LUA_REGISTRYINDEX, ex->failure);
	push_request(main, ex);
	if (L == main)
		lua_rotate(main, -4, 2);
	else
		lua_xmove(L, main, 2);
	start(ex, 3, on_done);
}

static const char *code_of(int status)
{
	switch (status) {
	case 408:
		return "request_timeout";
	case 413:
		return "too_large";
	case 414:
		return "uri_too_long";
	case 417:
		return "expectation_failed";
	case 431:
		return "header_too_large";
	case 501:
		return "not_implemented";
	case 503:
		return "unavailable";
	case 504:
		return "timeout";
	case 505:
		return "version_not_supported";
	default:
		return "invalid_request";
	}
}

/* The error, with its status, and no trace: it is the client's doing or the clock's. */
static void push_refusal(lua_State *L, int status, const char *reason)
{
	error_push(L, code_of(status), "%s", reason);
	lua_pushinteger(L, status);
	lua_setfield(L, -2, "status");
	lua_pushnil(L);
}

void exchange_refuse(struct exchange *ex, const char *bytes, const struct http_head *head, int status,
		     const char *reason)
{
	take_engine(ex);
	note_fields(ex, bytes, head);
	ex->keep_alive = false;
	lua_State *L = engine_state(ex->engine);
	new_request(L, ex, bytes, head);
	lua_pop(L, 1);
	push_refusal(L, status, reason);
	fail(ex, L, status);
}

struct writer {
	struct exchange_ticket ticket;
};

static void write_cancelled(void *op)
{
	struct exchange *ex = op;
	ex->writer_waits = false;
}

/* write(chunk) --> true | nil, err: sends a piece of a streamed body, and waits while the client is slow to take it. */
static int write_chunk(lua_State *L)
{
	struct writer *w = lua_touserdata(L, lua_upvalueindex(1));
	size_t len;
	const char *data = luaL_checklstring(L, 1, &len);
	struct exchange *ex = exchange_of(w->ticket);
	bool room;
	task_check(L);
	if (ex && ex->writer_waits)
		return luaL_error(L, "another task writes to this body");
	if (!ex || !ex->conn || !ex->streaming || ex->conn->failed) {
		lua_pushnil(L);
		error_push(L, "closed", "the client has gone");
		return 2;
	}
	ex->sent += len;
	room = ex->head_only || !len || (ex->stream ? http2_write(ex, data, len) : http1_write(ex, data, len));
	if (room) {
		lua_pushboolean(L, 1);
		return 1;
	}
	ex->writer_waits = true;
	ex->writer = task_suspend(L, write_cancelled, ex);
	return task_wait(L);
}

void exchange_room(struct exchange *ex)
{
	if (!ex->writer_waits)
		return;
	ex->writer_waits = false;
	lua_State *L = task_wake(ex->writer);
	if (!L)
		return;
	lua_pushboolean(L, 1);
	task_continue(ex->writer, 1);
}

static void start_stream(struct exchange *ex, lua_State *L, int index)
{
	lua_State *main = engine_state(ex->engine);
	ex->streaming = true;
	lua_pushliteral(L, "body");
	lua_rawget(L, index);
	lua_xmove(L, main, 1);
	struct writer *w = lua_newuserdatauv(main, sizeof *w, 0);
	w->ticket = (struct exchange_ticket){ ex, ex->generation };
	lua_pushcclosure(main, write_chunk, 1);
	start(ex, 1, on_streamed);
}

static void on_streamed(void *ud, lua_State *L, bool ok, int nresults)
{
	struct exchange *ex = ud;
	(void)nresults;
	ex->running = false;
	ex->streaming = false;
	if (!ex->conn) {
		exchange_finish(ex);
		return;
	}
	if (!ok)
		log_error(ex, L, "a request failed while its body was sent");
	if (ex->stream)
		http2_end(ex, ok);
	else
		http1_end(ex, ok);
}

static void on_done(void *ud, lua_State *L, bool ok, int nresults)
{
	struct exchange *ex = ud;
	struct answer a;
	ex->running = false;
	if (!ex->conn) {
		exchange_finish(ex);
		return;
	}
	if (!ok && ex->late) {
		lua_settop(L, 0);
		push_refusal(L, 504, "the request took too long");
		fail(ex, L, 504);
		return;
	}
	if (!ok) {
		const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
		luaL_traceback(L, L, text, 0);
		fail(ex, L, 500);
		return;
	}
	lua_settop(L, lua_gettop(L) - (nresults > 1 ? nresults - 1 : 0));
	int top = lua_gettop(L);
	if (nresults == 0) {
		lua_pushnil(L);
		top++;
	}
	answer_read(L, top, &a);
	if (a.error) {
		lua_pushstring(L, a.error);
		lua_pushvalue(L, -1);
		fail(ex, L, 500);
		return;
	}
	if (a.body_len >= GZIP_MIN)
		answer_compress(&a, ex->accepts_gzip);
	if (!a.stream || ex->head_only) {
		a.stream = a.stream && ex->head_only;
		send_answer(ex, &a);
		if (a.text)
			text_clear(a.text);
		return;
	}
	uint64_t generation = ex->generation;
	send_answer(ex, &a);
	if (ex->generation == generation)
		start_stream(ex, L, top);
}

void exchange_gone(struct exchange *ex)
{
	ex->conn = NULL;
	if (ex->running)
		task_cancel_life(ex->task);
	else
		exchange_finish(ex);
}

/* The handler's own deadline; true: it has passed and the task is ended, which answers 504. */
bool exchange_sweep(struct exchange *ex, uint64_t now)
{
	if (!ex->running || !ex->deadline || now < ex->deadline || ex->streaming)
		return false;
	ex->late = true;
	ex->deadline = 0;
	task_cancel_life(ex->task);
	return true;
}

void exchange_setup(lua_State *L)
{
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &anchors);
}
