/* A worker: one loop that serves, its engine replaced in place on reload. */
#ifndef LUNATION_HOST_WORKER_H
#define LUNATION_HOST_WORKER_H

#include <stddef.h>

/* A listening socket that the supervisor keeps for this worker. */
struct inherited {
	const char *url;
	int fd;
};

struct worker_options {
	int argc;
	char **argv;
	const struct inherited *sockets;
	size_t socket_count;
	const unsigned char *secret; /* WORKER_SECRET bytes that all workers share (TLS session tickets) */
	int slot;                    /* 1, 2, … */
	int report; /* a pipe to the supervisor: 'R' is ready, 'F' a load that failed, 'H' every second */
};

enum { WORKER_SECRET = 80 };

/* Serves until TERM; the result is the process's exit status. */
int worker_main(const struct worker_options *options);

#endif
