/* What the parts of lunation.fetch share: a transfer, and pools of connections, each a curl multi handle in the loop.
 */
#ifndef LUNATION_HOST_FETCH_H
#define LUNATION_HOST_FETCH_H

#include "host/guard.h"
#include "host/task.h"

#include <curl/curl.h>
#include <uv.h>

enum { FETCH_KEY = 4096 };

struct pool;

struct fetch {
	task_ticket ticket;
	struct pool *pool;
	CURL *easy;
	CURLU *url;
	struct curl_slist *headers;
	struct guard *guard; /* NULL: every address is allowed */
	char host[GUARD_HOST];
	unsigned port;
	bool proxied;

	bool blocked; /* an address was refused by the guard */
	bool tried;   /* another was not */
	char blocked_address[64];

	bool head_complete, too_large, unreadable;
	bool decompress;
	struct inflater *inflater; /* NULL: the body comes as it is */
	size_t head;               /* bytes of header lines of this answer */
	unsigned fields;           /* and how many they are */
	size_t max;
	char *body;
	size_t len, cap;
	char error[CURL_ERROR_SIZE];
};

/* Sets the transfer up from the request's table at 1, with its guard and the key of its pool (fetch_options.c). 0, or
 * the number of values to return: nil and an error. Raises where the caller is at fault. */
int fetch_options(lua_State *L, struct fetch *f, char key[FETCH_KEY]);

/* Decompression of a gzip or deflate body (fetch_inflate.c). NULL: no memory, or no such encoding. */
struct inflater *inflater_new(const char *encoding);
/* Calls `take` with what comes out; false when the data is no such stream, or when `take` says so. */
bool inflater_feed(struct inflater *i, char *data, size_t len, bool (*take)(void *ud, const char *data, size_t len),
		   void *ud);
/* Whether the stream has come to its end. */
bool inflater_complete(const struct inflater *i);
void inflater_free(struct inflater *i);

/* fetch.parts, fetch.join and fetch.private (fetch_options.c). */
int fetch_parts(lua_State *L);
int fetch_join(lua_State *L);
int fetch_private(lua_State *L);

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
