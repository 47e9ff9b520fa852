/* Counters of requests that every worker shares (see ratelimit.c). */
#ifndef LUNATION_HOST_RATELIMIT_H
#define LUNATION_HOST_RATELIMIT_H

/* Makes the table; what forks afterwards shares it. A process that never forked makes its own at the first use. */
void ratelimit_share(void);

#endif
