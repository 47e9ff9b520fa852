/* The event loop of a process: opened, run until nothing is left or it is told to stop, closed. */
#ifndef LUNATION_HOST_LOOP_H
#define LUNATION_HOST_LOOP_H

#include <stdbool.h>
#include <uv.h>

void loop_open(uv_loop_t *loop);

/* Runs until no handle is active or loop_stop was called. True: it ran dry. False: it was stopped. */
bool loop_run(uv_loop_t *loop);

/* Ends loop_run after the current turn; the status is for the process's exit. The first call wins. */
void loop_stop(uv_loop_t *loop, int status);
bool loop_stopped(const uv_loop_t *loop, int *status);

/* The loop of a worker: scripts do not end it, os.exit is an error there. */
void loop_keep(uv_loop_t *loop);
bool loop_kept(const uv_loop_t *loop);

/* Closes what handles are left and frees the loop's own resources. */
void loop_close(uv_loop_t *loop);

#endif
