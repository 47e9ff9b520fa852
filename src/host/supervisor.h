/* `lunation serve`: the process that keeps the sockets and the workers. */
#ifndef LUNATION_HOST_SUPERVISOR_H
#define LUNATION_HOST_SUPERVISOR_H

int supervisor_main(int argc, char **argv);

#endif
