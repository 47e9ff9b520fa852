/* A child process of the host: process.c starts it, child.c waits for its end and reads what it writes. */
#ifndef LUNATION_HOST_CHILD_H
#define LUNATION_HOST_CHILD_H

#include "host/task.h"

#define CHILD_TYPE "lunation.child"

struct output {
	uv_pipe_t pipe;
	bool piped, paused, ended;
	char *data;
	size_t used, size;
	task_ticket reader; /* a task in read() */
	bool awaited;
};

struct waiter {
	struct child *child;
	task_ticket ticket;
	uv_timer_t *timer;
	struct waiter *next;
};

struct child {
	uv_process_t process;
	unsigned refs; /* the userdata, the process while it runs, each open pipe */
	bool running, group;
	int64_t code;
	int signal;
	struct output output[2]; /* stdout, stderr */
	uv_pipe_t input;
	char *input_data;
	uv_write_t input_write;
	struct waiter *waiters;
	struct child *next, *prev; /* in `children` while it runs */
};

/* The children that run, to be killed at exit. */
extern struct child *children;

void child_unref(struct child *c);
void child_exited(uv_process_t *process, int64_t code, int number);
void child_pipe_closed(uv_handle_t *handle);    /* drops the reference of an open pipe */
void child_process_closed(uv_handle_t *handle); /* and that of the process */
void child_read_start(struct output *o);

/* child:wait(seconds), child:read(which) */
struct child *child_check(lua_State *L);
int child_wait(lua_State *L);
int child_read(lua_State *L);

#endif
