/* The machinery under lunation.fetch: pools of connections, each a curl multi handle in the loop. */
#ifndef LUNATION_HOST_FETCH_H
#define LUNATION_HOST_FETCH_H

#include <curl/curl.h>
#include <uv.h>

struct pool;

/* Called from the loop when a transfer has ended and has left its pool. */
typedef void (*fetch_done_fn)(CURL *easy, CURLcode result);

/*
 * The pool of a key on a loop, made at first need. Connections are reused inside a pool only, and the key is the
 * guard's text: a connection that one guard let through is never met by a request under another.
 */
struct pool *pool_of(uv_loop_t *loop, const char *key, fetch_done_fn done);

CURLMcode pool_add(struct pool *p, CURL *easy);
void pool_remove(struct pool *p, CURL *easy);

#endif
