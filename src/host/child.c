/* Child processes that run: who waits for their end, and what they write. */
#include "host/child.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

enum { OUTPUT_BUFFERED = 1 << 20, CHUNK = 1 << 16 };

struct child *children;

void child_unref(struct child *c)
{
	if (--c->refs > 0)
		return;
	free(c->output[0].data);
	free(c->output[1].data);
	free(c->input_data);
	free(c);
}

/* --- the end of a child ------------------------------------------------------------------------------------------ */

static void push_status(lua_State *L, const struct child *c)
{
	lua_createtable(L, 0, 2);
	lua_pushinteger(L, c->code);
	lua_setfield(L, -2, "code");
	if (c->signal != 0) {
		lua_pushinteger(L, c->signal);
		lua_setfield(L, -2, "signal");
	}
}

static void waiter_drop(struct waiter *w)
{
	struct waiter **at = &w->child->waiters;

	while (*at != NULL && *at != w)
		at = &(*at)->next;
	if (*at == w)
		*at = w->next;
	if (w->timer != NULL)
		uv_close((uv_handle_t *)w->timer, (uv_close_cb)free);
	child_unref(w->child);
	free(w);
}

static void waiter_cancel(void *op)
{
	waiter_drop(op);
}

static void waiter_late(uv_timer_t *timer)
{
	struct waiter *w = timer->data;
	task_ticket ticket = w->ticket;
	lua_State *L = task_wake(ticket);

	waiter_drop(w);
	if (L == NULL)
		return;
	lua_pushnil(L);
	error_push(L, "timeout", "the process has not ended in time");
	task_continue(ticket, 2);
}

void child_process_closed(uv_handle_t *handle)
{
	child_unref(handle->data);
}

void child_exited(uv_process_t *process, int64_t code, int number)
{
	struct child *c = process->data;

	c->running = false;
	c->code = code;
	c->signal = number;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		children = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->refs++;
	while (c->waiters != NULL) {
		task_ticket ticket = c->waiters->ticket;
		lua_State *L = task_wake(ticket);
		waiter_drop(c->waiters);
		if (L != NULL) {
			push_status(L, c);
			task_continue(ticket, 1);
		}
	}
	child_unref(c);
	uv_close((uv_handle_t *)process, child_process_closed);
}

struct child *child_check(lua_State *L)
{
	return *(struct child **)luaL_checkudata(L, 1, CHILD_TYPE);
}

int child_wait(lua_State *L)
{
	struct child *c = child_check(L);
	lua_Number seconds = luaL_optnumber(L, 2, -1);
	struct waiter *w;

	if (!c->running) {
		push_status(L, c);
		return 1;
	}
	task_check(L);
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		abort();
	w->child = c;
	c->refs++;
	if (seconds >= 0) {
		w->timer = malloc(sizeof(*w->timer));
		if (w->timer == NULL)
			abort();
		uv_timer_init(c->process.loop, w->timer);
		w->timer->data = w;
		uv_update_time(c->process.loop);
		uv_timer_start(w->timer, waiter_late, (uint64_t)ceil(seconds * 1000), 0);
	}
	w->next = c->waiters;
	c->waiters = w;
	w->ticket = task_suspend(L, waiter_cancel, w);
	return task_wait(L);
}

/* --- its output -------------------------------------------------------------------------------------------------- */

void child_pipe_closed(uv_handle_t *handle)
{
	child_unref(handle->data);
}

static struct output *output_of(struct child *c, uv_stream_t *stream)
{
	return stream == (uv_stream_t *)&c->output[0].pipe ? &c->output[0] : &c->output[1];
}

static void output_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct output *o = output_of(handle->data, (uv_stream_t *)handle);
	size_t size = o->used + CHUNK;

	(void)hint;
	if (o->size < size) {
		char *data = realloc(o->data, size);
		if (data == NULL) {
			*buf = uv_buf_init(NULL, 0);
			return;
		}
		o->data = data;
		o->size = size;
	}
	*buf = uv_buf_init(o->data + o->used, CHUNK);
}

/* Pushes what there is: a chunk, or nil at the end. */
static int output_push(lua_State *L, struct output *o)
{
	if (o->used > 0)
		lua_pushlstring(L, o->data, o->used);
	else
		lua_pushnil(L);
	o->used = 0;
	return 1;
}

static void output_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct child *c = stream->data;
	struct output *o = output_of(c, stream);
	lua_State *L;

	(void)buf;
	if (n == 0)
		return;
	if (n > 0) {
		o->used += (size_t)n;
		if (o->used >= OUTPUT_BUFFERED) { /* the child waits until somebody reads */
			uv_read_stop(stream);
			o->paused = true;
		}
	} else {
		o->ended = true;
	}
	c->refs++;
	if (n < 0)
		uv_close((uv_handle_t *)stream, child_pipe_closed);
	if (o->awaited) {
		o->awaited = false;
		L = task_wake(o->reader);
		if (L != NULL) {
			output_push(L, o);
			task_continue(o->reader, 1);
		}
	}
	child_unref(c);
}

void child_read_start(struct output *o)
{
	uv_read_start((uv_stream_t *)&o->pipe, output_alloc, output_read);
}

static void read_cancel(void *op)
{
	((struct output *)op)->awaited = false;
}

int child_read(lua_State *L)
{
	static const char *const names[] = { "stdout", "stderr", NULL };
	struct child *c = child_check(L);
	struct output *o = &c->output[luaL_checkoption(L, 2, "stdout", names)];

	luaL_argcheck(L, o->piped, 2, "it was not started with a pipe there");
	luaL_argcheck(L, !o->awaited, 1, "another task reads it already");
	if (o->used > 0 || o->ended) {
		output_push(L, o);
		if (o->paused) {
			o->paused = false;
			child_read_start(o);
		}
		return 1;
	}
	task_check(L);
	o->awaited = true;
	o->reader = task_suspend(L, read_cancel, o);
	return task_wait(L);
}
