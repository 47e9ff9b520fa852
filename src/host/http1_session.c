/* HTTP/1.1 on a connection: one exchange at a time in the order they came, bodies, keep-alive, answers (RFC 9112). */
#include <stdlib.h>
#include <string.h>

#include "host/server.h"

enum {
	MAX_BLANK_LINES = 4,
	HEAD_ROOM = 4096,
};

static void begin_idle(struct conn *c)
{
	c->phase = PHASE_IDLE;
	c->idle_since = server_now();
	c->deadline = c->idle_since + c->listener->limits.idle_time;
}

/* Answers a head that cannot be understood, and reads no more requests from this connection. */
static void refuse(struct conn *c, const char *bytes, const struct http_head *head, int status, const char *reason)
{
	struct exchange *ex = exchange_new(c, 0);
	if (!ex) {
		c->failed = true;
		return;
	}
	c->ex = ex;
	c->phase = PHASE_WORK;
	c->deadline = 0;
	c->lingers = true;
	exchange_refuse(ex, bytes, head, status, reason);
}

void http1_refuse(struct conn *c, int status, const char *reason)
{
	static const struct http_head nothing;
	struct exchange *ex = c->ex;
	if (!ex) {
		refuse(c, "", &nothing, status, reason);
	} else {
		c->phase = PHASE_WORK;
		c->deadline = 0;
		c->lingers = true;
		exchange_refuse(ex, ex->head_bytes ? ex->head_bytes : "", ex->head ? ex->head : &nothing, status,
				reason);
	}
}

/* Of a head that is refused as a whole, the request line may still tell which path's error shape the client expects. */
static void refuse_long(struct conn *c, const char *data, size_t len)
{
	struct http_head head;
	const char *line = memchr(data, '\n', len);
	if (!line || (size_t)(line - data) > c->listener->limits.header) {
		http1_refuse(c, 414, "the request line is too long");
		return;
	}
	memset(&head, 0, sizeof head);
	head.size = (size_t)(line - data) + 1;
	http1_request_line(data, head.size, &head);
	refuse(c, data, &head, 431, "the request header is too large");
}

static bool keep_body_head(struct exchange *ex, const char *data, const struct http_head *head)
{
	ex->head_bytes = malloc(head->size);
	ex->head = malloc(sizeof *head);
	if (!ex->head_bytes || !ex->head)
		return false;
	memcpy(ex->head_bytes, data, head->size);
	*ex->head = *head;
	return true;
}

/* Begins an exchange with the complete head at `data`. */
static void begin(struct conn *c, const char *data, const struct http_head *head, bool more_follows)
{
	const struct limits *limits = &c->listener->limits;
	struct exchange *ex = exchange_new(c, 0);
	if (!ex) {
		c->failed = true;
		return;
	}
	c->ex = ex;
	c->requests++;
	ex->keep_alive = head->keep_alive && !c->draining && (!limits->requests || c->requests < limits->requests);
	if (!head->chunked && head->content_length == 0) {
		c->phase = PHASE_WORK;
		c->deadline = 0;
		exchange_dispatch(ex, data, head);
		return;
	}
	if (head->content_length > limits->body || !keep_body_head(ex, data, head)) {
		c->phase = PHASE_WORK;
		c->deadline = 0;
		c->lingers = true;
		exchange_refuse(ex, data, head, 413, "the request body is too large");
		return;
	}
	c->phase = PHASE_BODY;
	c->deadline = server_now() + limits->body_time;
	memset(&c->chunks, 0, sizeof c->chunks);
	if (head->expect_continue && !more_follows)
		conn_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Takes one head from the front of `data`; returns what it used, 0 when it is not complete. */
static size_t take_head(struct conn *c, const char *data, size_t len)
{
	const struct limits *limits = &c->listener->limits;
	struct http_head head;
	size_t size = 0;
	int rc = http1_scan(data, len, &c->scanned, &size);
	if (rc == HTTP1_OK && size == 2) {
		c->scanned = 0;
		if (++c->blank_lines > MAX_BLANK_LINES)
			http1_refuse(c, 400, "too many empty lines");
		return 2;
	}
	if (rc == 400) {
		http1_refuse(c, 400, "a line ends without CR LF");
		return len;
	}
	if (rc == HTTP1_MORE && len <= limits->header) {
		if (c->phase == PHASE_IDLE) {
			c->phase = PHASE_HEAD;
			c->deadline = server_now() + limits->head_time;
		}
		return 0;
	}
	if (rc == HTTP1_MORE || size > limits->header) {
		refuse_long(c, data, len);
		return len;
	}
	c->scanned = 0;
	c->blank_lines = 0;
	rc = http1_parse(data, size, limits->headers, &head);
	if (rc != HTTP1_OK) {
		refuse(c, data, &head, rc, head.reason);
		return len;
	}
	begin(c, data, &head, len > size);
	return size;
}

static void dispatch_body(struct conn *c)
{
	struct exchange *ex = c->ex;
	c->phase = PHASE_WORK;
	c->deadline = 0;
	exchange_dispatch(ex, ex->head_bytes, ex->head);
}

static bool add_body(struct conn *c, const char *data, size_t len)
{
	struct exchange *ex = c->ex;
	if (ex->body.len + len > c->listener->limits.body) {
		http1_refuse(c, 413, "the request body is too large");
		return false;
	}
	if (!bytes_append(&ex->body, data, len)) {
		c->failed = true;
		return false;
	}
	c->deadline = server_extend(c->deadline, len, c->listener->limits.body_time);
	return true;
}

static size_t take_body(struct conn *c, const char *data, size_t len)
{
	struct exchange *ex = c->ex;
	if (!ex->head->chunked) {
		uint64_t left = ex->head->content_length - ex->body.len;
		size_t n = len < left ? len : (size_t)left;
		if (add_body(c, data, n) && n == left)
			dispatch_body(c);
		return n;
	}
	size_t used = 0;
	while (used < len) {
		const char *piece = NULL;
		size_t piece_len = 0, n = 0;
		int rc = http1_chunk(&c->chunks, data + used, len - used, &n, &piece, &piece_len);
		used += n;
		if (rc == HTTP1_CHUNK_DATA) {
			if (!add_body(c, piece, piece_len))
				return len;
		} else if (rc == HTTP1_CHUNK_END) {
			dispatch_body(c);
			return used;
		} else if (rc != HTTP1_MORE) {
			http1_refuse(c, 400, "malformed chunked body");
			return len;
		}
	}
	return used;
}

size_t http1_input(struct conn *c, const char *data, size_t len)
{
	size_t used = 0;
	c->busy = true;
	while (used < len && !c->closed && !c->failed) {
		size_t n;
		if (c->close_after || c->lingers) {
			c->lingers = true; /* there is more than will be read */
			used = len;
			break;
		}
		if (c->phase == PHASE_WORK)
			break;
		n = c->phase == PHASE_BODY ? take_body(c, data + used, len - used)
					   : take_head(c, data + used, len - used);
		if (n == 0)
			break;
		used += n;
	}
	c->busy = false;
	return used;
}

static char *put(char *at, const char *data, size_t len)
{
	memcpy(at, data, len);
	return at + len;
}

static char *put_text(char *at, const char *text)
{
	return put(at, text, strlen(text));
}

static char *put_number(char *at, uint64_t n)
{
	char digits[20];
	size_t len = 0;
	do
		digits[len++] = (char)('0' + n % 10);
	while (n /= 10);
	while (len)
		*at++ = digits[--len];
	return at;
}

static char *put_head(char *at, struct exchange *ex, const struct answer *a)
{
	size_t date_len;
	const char *date = server_date(&date_len);
	at = put(at, "HTTP/1.1 ", 9);
	at = put_number(at, (uint64_t)a->status);
	*at++ = ' ';
	at = put_text(at, status_text(a->status));
	at = put(at, "\r\n", 2);
	for (unsigned i = 0; i < a->nfields; i++) {
		const struct answer_field *f = &a->fields[i];
		at = put(at, f->name, f->name_len);
		at = put(at, ": ", 2);
		at = put(at, f->value, f->value_len);
		at = put(at, "\r\n", 2);
	}
	if (!a->has_date) {
		at = put(at, "date: ", 6);
		at = put(at, date, date_len);
		at = put(at, "\r\n", 2);
	}
	at = put(at, "x-request-id: ", 14);
	at = put_text(at, ex->id);
	if (a->stream && ex->chunked) {
		at = put_text(at, "\r\ntransfer-encoding: chunked");
	} else if (!a->stream && a->status != 204 && a->status != 304) {
		at = put_text(at, "\r\ncontent-length: ");
		at = put_number(at, a->body_len);
	}
	if (!ex->keep_alive)
		at = put_text(at, "\r\nconnection: close");
	else if (ex->minor == 0)
		at = put_text(at, "\r\nconnection: keep-alive");
	return put(at, "\r\n\r\n", 4);
}

void http1_answer(struct exchange *ex, struct answer *a)
{
	struct conn *c = ex->conn;
	char local[HEAD_ROOM], *head = local;
	size_t room = 512;
	for (unsigned i = 0; i < a->nfields; i++)
		room += a->fields[i].name_len + a->fields[i].value_len + 4;
	if (room > sizeof local && !(head = malloc(room))) {
		c->failed = true;
		return;
	}
	if (c->draining)
		ex->keep_alive = false;
	if (a->stream) {
		ex->chunked = ex->minor > 0;
		ex->keep_alive = ex->keep_alive && ex->chunked;
	}
	size_t len = (size_t)(put_head(head, ex, a) - head);
	bool body = a->body_len && !ex->head_only && !a->stream;
	conn_write2(c, head, len, body ? a->body : NULL, body ? a->body_len : 0);
	if (head != local)
		free(head);
	if (a->stream && !ex->head_only)
		return;
	ex->chunked = false; /* the body has been sent whole, or is not sent at all */
	ex->sent = body ? a->body_len : 0;
	http1_end(ex, true);
}

/* A piece of a streamed body; false: the client is slow, wait for room. */
bool http1_write(struct exchange *ex, const char *data, size_t len)
{
	struct conn *c = ex->conn;
	char size[20];
	if (ex->chunked) {
		char *at = size + sizeof size;
		*--at = '\n';
		*--at = '\r';
		for (size_t n = len; n; n >>= 4)
			*--at = "0123456789abcdef"[n & 15];
		conn_write(c, at, (size_t)(size + sizeof size - at));
	}
	conn_write(c, data, len);
	if (ex->chunked)
		conn_write(c, "\r\n", 2);
	conn_flush_soon(c);
	return conn_pending(c) <= CONN_HIGH_WATER;
}

/* The answer is complete (or, where a streamed body broke off, never will be and the client must see that). */
void http1_end(struct exchange *ex, bool complete)
{
	struct conn *c = ex->conn;
	if (complete && ex->chunked)
		conn_write(c, "0\r\n\r\n", 5);
	if (!complete)
		c->failed = true;
	if (!ex->keep_alive)
		c->close_after = true;
	c->ex = NULL;
	begin_idle(c);
	exchange_finish(ex);
	conn_next(c);
}
