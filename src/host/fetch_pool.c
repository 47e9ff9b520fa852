/* Pools of connections: curl's multi interface on libuv (curl_multi_socket_action, one uv_poll a socket, one uv_timer a
 * pool). */
#include "host/fetch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOLS_MAX = 48,        /* idle ones beyond are closed, the longest unused first */
	IDLE_CONNECTIONS = 64, /* kept open in one pool */
	HOST_CONNECTIONS = 16, /* to one host from one pool */
	ALL_CONNECTIONS = 256, /* from one pool */
};

struct pool {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	fetch_done_fn done;
	size_t running;   /* transfers added */
	unsigned entered; /* calls of this pool on the C stack */
	uint64_t used;
	struct pool *next;
	char key[];
};

struct watch {
	uv_poll_t poll;
	struct pool *pool;
	curl_socket_t fd;
	int events;
};

static struct pool *pools;
static uint64_t uses;

/* Takes the ended transfers out. Their owners run Lua, which may start and cancel others: each is looked for anew. */
static void finish(struct pool *p)
{
	CURLMsg *message;
	int left;

	p->entered++;
	while ((message = curl_multi_info_read(p->multi, &left)) != NULL) {
		CURL *easy = message->easy_handle;
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		pool_remove(p, easy);
		p->done(easy, result);
	}
	p->entered--;
}

static void act(struct pool *p, curl_socket_t fd, int events)
{
	int running;

	p->entered++;
	curl_multi_socket_action(p->multi, fd, events, &running);
	p->entered--;
	finish(p);
}

static void timer_fired(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* From inside curl: the timer is only set here, never acted on, even when it is due at once. */
static int set_timer(CURLM *multi, long milliseconds, void *ud)
{
	struct pool *p = ud;

	(void)multi;
	if (milliseconds < 0) {
		uv_timer_stop(&p->timer);
	} else {
		uv_update_time(p->loop);
		uv_timer_start(&p->timer, timer_fired, (uint64_t)milliseconds, 0);
	}
	return 0;
}

static void socket_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	int flags = 0;

	if (status < 0) {
		/* libuv stops at an error of the socket; curl learns of it by reading, and may still want to wait */
		uv_poll_start(poll, w->events, socket_ready);
		events = w->events;
	}
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	act(w->pool, w->fd, flags); /* may end the watch */
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ud, void *socket_data)
{
	struct pool *p = ud;
	struct watch *w = socket_data;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			curl_multi_assign(p->multi, fd, NULL);
			uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, (uv_close_cb)free);
		}
		return 0;
	}
	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		if (w == NULL)
			return -1;
		if (uv_poll_init_socket(p->loop, &w->poll, fd) != 0) {
			free(w);
			return -1;
		}
		w->poll.data = w;
		w->pool = p;
		w->fd = fd;
		curl_multi_assign(p->multi, fd, w);
	}
	w->events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&w->poll, w->events, socket_ready) == 0 ? 0 : -1;
}

static void pool_closed(uv_handle_t *timer)
{
	free(timer->data);
}

static void pool_close(struct pool *p)
{
	curl_multi_cleanup(p->multi);
	uv_close((uv_handle_t *)&p->timer, pool_closed);
}

/* Closes the idle pool that was used the longest time ago, where there are too many. */
static void pools_trim(const struct pool *needed)
{
	struct pool **oldest = NULL;
	size_t n = 0;

	for (struct pool **at = &pools; *at != NULL; at = &(*at)->next) {
		n++;
		if (*at != needed && (*at)->running == 0 && (*at)->entered == 0 &&
		    (oldest == NULL || (*at)->used < (*oldest)->used))
			oldest = at;
	}
	if (n > POOLS_MAX && oldest != NULL) {
		struct pool *p = *oldest;

		*oldest = p->next;
		pool_close(p);
	}
}

static struct pool *pool_new(uv_loop_t *loop, const char *key, fetch_done_fn done)
{
	size_t len = strlen(key) + 1;
	struct pool *p = calloc(1, sizeof(*p) + len);

	if (p == NULL)
		return NULL;
	p->multi = curl_multi_init();
	if (p->multi == NULL) {
		free(p);
		return NULL;
	}
	p->loop = loop;
	p->done = done;
	memcpy(p->key, key, len);
	uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	curl_multi_setopt(p->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HOST_CONNECTIONS);
	curl_multi_setopt(p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)ALL_CONNECTIONS);
	p->next = pools;
	pools = p;
	return p;
}

struct pool *pool_of(uv_loop_t *loop, const char *key, fetch_done_fn done)
{
	struct pool *p = pools;

	while (p != NULL && (p->loop != loop || strcmp(p->key, key) != 0))
		p = p->next;
	if (p == NULL)
		p = pool_new(loop, key, done);
	if (p != NULL) {
		p->used = ++uses;
		pools_trim(p);
	}
	return p;
}

CURLMcode pool_add(struct pool *p, CURL *easy)
{
	CURLMcode rc = curl_multi_add_handle(p->multi, easy);

	if (rc == CURLM_OK)
		p->running++;
	return rc;
}

void pool_remove(struct pool *p, CURL *easy)
{
	if (curl_multi_remove_handle(p->multi, easy) == CURLM_OK)
		p->running--;
}
