/* The event loop of a process. */
#include "host/loop.h"

#include <stdio.h>
#include <stdlib.h>

struct end {
	bool stopped, kept;
	int status;
};

void loop_open(uv_loop_t *loop)
{
	int err = uv_loop_init(loop);

	if (err != 0) {
		fprintf(stderr, "lunation: no event loop: %s\n", uv_strerror(err));
		exit(EXIT_FAILURE);
	}
	loop->data = calloc(1, sizeof(struct end));
	if (loop->data == NULL)
		abort();
}

bool loop_run(uv_loop_t *loop)
{
	struct end *end = loop->data;

	while (!end->stopped && uv_run(loop, UV_RUN_DEFAULT) != 0)
		;
	return !end->stopped;
}

void loop_stop(uv_loop_t *loop, int status)
{
	struct end *end = loop->data;

	if (!end->stopped) {
		end->stopped = true;
		end->status = status;
	}
	uv_stop(loop);
}

bool loop_stopped(const uv_loop_t *loop, int *status)
{
	const struct end *end = loop->data;

	if (status != NULL && end->stopped)
		*status = end->status;
	return end->stopped;
}

void loop_keep(uv_loop_t *loop)
{
	struct end *end = loop->data;

	end->kept = true;
}

bool loop_kept(const uv_loop_t *loop)
{
	const struct end *end = loop->data;

	return end->kept;
}

void loop_close(uv_loop_t *loop)
{
	/* handles close in the loop's next turns: their owners have called uv_close by now */
	for (int turns = 0; turns < 8 && uv_loop_close(loop) == UV_EBUSY; turns++)
		uv_run(loop, UV_RUN_NOWAIT);
	free(loop->data);
	loop->data = NULL;
}
