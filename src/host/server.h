/* What the parts of the HTTP server share: a connection carries exchanges, an exchange runs one task (RFC 9110). */
#ifndef LUNATION_SERVER_H
#define LUNATION_SERVER_H

#include <lua.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "calendar/text.h"
#include "host/http1.h"
#include "host/task.h"

/* Times are in milliseconds of the loop's clock, sizes in bytes; 0 means no limit for the last group. */
struct limits {
	size_t header, body, pipeline;
	uint64_t head_time, body_time, idle_time, write_time, handler_time;
	unsigned headers, connections, streams, requests;
	unsigned connections_per_address;
};

struct bytes {
	char *data;
	size_t len, cap, at; /* `at`: how much of the front is consumed */
};

struct cidr {
	uint8_t address[16];
	unsigned bits;
};

struct peer; /* how many connections an address has */

struct listener {
	struct listener *next;
	uv_poll_t poll;
	int fd;
	char *asked, *url; /* with the port that was asked for, with the one that was given */
	bool https, any_port, closing, accepting;
	unsigned nconns;
	unsigned references; /* the Lua handle, the poll handle and every connection */
	SSL_CTX *tls;
	struct limits limits;
	const struct cidr *proxies;
	size_t nproxies;
	engine *engine; /* the one that answers new requests */
	int handler, failure, access;
};

enum phase { PHASE_TLS, PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_WORK, PHASE_LINGER };

struct conn {
	uv_poll_t poll;
	struct conn *prev, *next;
	struct listener *listener;
	struct peer *peer;
	SSL *ssl;
	struct h2 *h2;
	int fd, events; /* what the poll handle watches */
	struct bytes in, out;
	uint64_t deadline, write_deadline; /* 0: none */
	uint64_t idle_since;
	unsigned requests;
	uint8_t phase;
	bool closed, close_after, draining, failed, ended; /* ended: the peer will send no more */
	bool busy;                                         /* input is being processed further up the C stack */
	bool tls_wants_write, tls_dry, lingers;            /* tls_dry: what TLS holds is not a whole record yet */
	uint8_t blank_lines;                               /* before a request line */
	/* HTTP/1 */
	struct exchange *ex;
	size_t scanned;
	struct http1_chunks chunks;
	char address[48];
};

/* One request and its answer. Exchanges are pooled and never freed, so a ticket can always look at its generation. */
struct exchange {
	struct exchange *next;
	uint64_t generation;
	struct conn *conn; /* NULL: the client is gone */
	struct listener *listener;
	engine *engine;
	int failure, access; /* of that engine's listener */
	task_ticket task;    /* while `running` */
	int32_t stream;      /* HTTP/2; 0 on HTTP/1 */
	struct h2_stream *h2;
	bool running, streaming, head_only, keep_alive, chunked, accepts_gzip, failing, late;
	unsigned turn; /* counts its tasks: handler, failure handler, streamed body */
	uint8_t minor;
	int status;
	uint64_t started, deadline;
	uint64_t sent;
	/* a request whose body is still arriving */
	char *head_bytes;
	struct http_head *head;
	struct bytes body;
	/* a streamed or HTTP/2 body that waits for room */
	struct bytes out;
	task_ticket writer;
	bool writer_waits;
	char id[65]; /* last: the fields before it are cleared when the exchange is used again */
};

struct exchange_ticket {
	struct exchange *ex;
	uint64_t generation;
};

enum { ANSWER_FIELDS = 64, GZIP_MIN = 4096 };

struct answer_field {
	const char *name, *value;
	size_t name_len, value_len;
};

/* An answer as read from a Lua table; its strings belong to that table. */
struct answer {
	int status;
	unsigned nfields;
	bool stream, close, has_type, has_vary, has_encoding, has_etag, has_date;
	const char *body, *type;
	size_t body_len, type_len;
	struct text *text; /* the body's owner, where it is not Lua's: cleared when it is sent */
	const char *error; /* why it cannot be sent */
	size_t scratch_used;
	struct answer_field fields[ANSWER_FIELDS];
	char scratch[256];
};

/* bytes */
bool bytes_reserve(struct bytes *b, size_t more);
bool bytes_append(struct bytes *b, const void *data, size_t len);
void bytes_consume(struct bytes *b, size_t len);
void bytes_free(struct bytes *b);

/* connection.c */
struct conn *conn_new(uv_loop_t *loop, struct listener *l, int fd, const char *address, struct peer *peer);
void conn_write(struct conn *c, const void *data, size_t len);
void conn_write2(struct conn *c, const void *head, size_t head_len, const void *data, size_t len);
bool conn_flush(struct conn *c);
void conn_flush_soon(struct conn *c); /* before its task waits: what was gathered goes out, what is left is watched */
void conn_close(struct conn *c);
void conn_settle(struct conn *c); /* after work on it: flush, set what is watched, close if that was asked */
void conn_next(struct conn *c);   /* an exchange has ended outside of the reading of input */
void conn_drain(struct conn *c);
void conn_sweep(struct conn *c, uint64_t now);
bool conn_idle(const struct conn *c);
size_t conn_pending(const struct conn *c);
enum { CONN_HIGH_WATER = 256 * 1024, CONN_LOW_WATER = 64 * 1024 };

/* http1_session.c */
size_t http1_input(struct conn *c, const char *data, size_t len); /* returns what it used up */
void http1_answer(struct exchange *ex, struct answer *a);
bool http1_write(struct exchange *ex, const char *data, size_t len);
void http1_end(struct exchange *ex, bool complete);
void http1_refuse(struct conn *c, int status, const char *reason);

/* http2.c */
bool http2_start(struct conn *c);
bool http2_input(struct conn *c, const char *data, size_t len);
void http2_answer(struct exchange *ex, struct answer *a);
bool http2_write(struct exchange *ex, const char *data, size_t len);
void http2_end(struct exchange *ex, bool complete);
void http2_drain(struct conn *c);
void http2_free(struct conn *c);
void http2_send(struct conn *c);
void http2_sweep(struct conn *c, uint64_t now);
bool http2_idle(const struct conn *c);

/* exchange.c */
struct exchange *exchange_new(struct conn *c, int32_t stream);
void exchange_dispatch(struct exchange *ex, const char *bytes, const struct http_head *head);
void exchange_refuse(struct exchange *ex, const char *bytes, const struct http_head *head, int status,
		     const char *reason);
void exchange_room(struct exchange *ex); /* there is room again for a streamed body */
void exchange_gone(struct exchange *ex); /* its client has left */
void exchange_finish(struct exchange *ex);
bool exchange_sweep(struct exchange *ex, uint64_t now);
struct exchange *exchange_of(struct exchange_ticket t);
void exchange_setup(lua_State *L);

/* request.c */
void request_push(lua_State *L, struct exchange *ex, const char *bytes, const struct http_head *head);
void request_setup(lua_State *L);
int request_decode(lua_State *L);
int request_decode_form(lua_State *L);

/* answer.c */
void answer_read(lua_State *L, int index, struct answer *a);
void answer_add(struct answer *a, const char *name, const char *value, size_t value_len);
void answer_compress(struct answer *a, bool accepted);
const char *status_text(int status);
bool gzip_accepted(const char *value, size_t len);

/* tls.c */
SSL_CTX *tls_context(const char *certificate, const char *key, const unsigned char *secret, size_t secret_len,
		     const char **error);
enum { TLS_OK, TLS_AGAIN, TLS_FAILED };
int tls_handshake(struct conn *c);
ssize_t tls_read(struct conn *c, char *buf, size_t len);        /* -1 again, 0 end, -2 failed */
ssize_t tls_write(struct conn *c, const char *buf, size_t len); /* -1 again, -2 failed */
bool tls_is_h2(struct conn *c);

/* server.c */
extern struct server {
	uv_loop_t *loop;
	uv_timer_t *sweep;
	struct listener *listeners;
	struct conn *conns;
	unsigned nconns, nexchanges;
	int spare_fd;
	bool draining;
	uint64_t served;
} server;
uint64_t server_now(void);
/* A deadline after some progress: bytes buy time at a floor of 8 a millisecond, never more than `most` from now. */
uint64_t server_extend(uint64_t deadline, size_t bytes, uint64_t most);
const char *server_date(size_t *len); /* "date: …" value, made once a second */
void listener_release(struct listener *l);
void server_end_when_empty(void);
void server_watch_drain(void);
void server_conn_gone(struct conn *c);

/* listener.c */
void listeners_watch(void);
void listener_stop(struct listener *l); /* no more connections; those that are there drain */
void listener_drop_conns(struct listener *l);
int listener_bind(const char *url, bool reuseport, const char **error);
enum { LISTEN_URL_MAX = 512 };
/* The URL with the port that the kernel gave. */
void listener_real_url(const char *url, int fd, char *real, size_t room);
void listener_push_url(lua_State *L, const char *url, int fd);

/* address.c */
bool address_is_valid(const char *text);
bool cidr_parse(const char *text, struct cidr *out);
bool cidr_has(const struct cidr *list, size_t n, const char *address);
struct peer *peer_enter(const char *address, unsigned most);
void peer_leave(struct peer *peer);

#endif
