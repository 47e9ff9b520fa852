/* HTTP/2 on a connection (RFC 9113) over nghttp2: each stream an exchange, bounded in number, headers, bodies and
 * resets. */
#include <stdlib.h>
#include <string.h>

#include "host/http2.h"

enum {
	RESET_BURST = 200, /* streams a client may reset within RESET_SPAN */
	RESET_SPAN = 10000,
	NOTICE_TIME = 400, /* between the first and the second GOAWAY of a drain */
	UNWANTED_TIME = 2000,
	BUFFERED_MAX = 16 * 1024 * 1024, /* request bodies of one connection */
	WINDOW = 1024 * 1024,
	STREAMS_KEPT = 256,
};

static struct h2_stream *spare;
static unsigned spares;

static struct h2_stream *stream_new(struct h2 *h, int32_t id)
{
	struct h2_stream *s = spare;
	struct bytes text = { 0 };
	if (s) {
		spare = s->next;
		spares--;
		text = s->text;
	} else {
		s = malloc(sizeof *s);
		if (!s)
			return NULL;
	}
	memset(s, 0, offsetof(struct h2_stream, head) + offsetof(struct http_head, fields));
	s->text = text;
	s->text.len = s->text.at = 0;
	s->ex = exchange_new(h->conn, id);
	if (!s->ex) {
		free(s->text.data);
		free(s);
		return NULL;
	}
	s->ex->h2 = s;
	s->h2 = h;
	s->id = id;
	s->deadline = server_now() + h->conn->listener->limits.head_time;
	s->next = h->streams;
	if (s->next)
		s->next->prev = s;
	h->streams = s;
	h->count++;
	h->conn->deadline = 0;
	return s;
}

static void stream_free(struct h2_stream *s)
{
	struct h2 *h = s->h2;
	if (s->queued) {
		struct h2_stream **at = &h->ready;
		while (*at != s)
			at = &(*at)->next_ready;
		*at = s->next_ready;
		if (h->ready_end == &s->next_ready)
			h->ready_end = at;
	}
	if (s->prev)
		s->prev->next = s->next;
	else
		h->streams = s->next;
	if (s->next)
		s->next->prev = s->prev;
	if (--h->count == 0) {
		h->conn->idle_since = server_now();
		h->conn->deadline = h->conn->idle_since + h->conn->listener->limits.idle_time;
	}
	if (spares < STREAMS_KEPT && s->text.cap <= 16 * 1024) {
		s->next = spare;
		spare = s;
		spares++;
		return;
	}
	free(s->text.data);
	free(s);
}

/* The stream is over, by its normal end or because somebody broke it off. */
static void stream_over(struct h2_stream *s)
{
	struct exchange *ex = s->ex;
	if (s->h2->buffered >= ex->body.len)
		s->h2->buffered -= ex->body.len;
	if (ex->writer_waits)
		s->h2->waiting--;
	ex->h2 = NULL;
	stream_free(s);
	exchange_gone(ex);
}

static void refuse(struct h2_stream *s, int status, const char *reason)
{
	if (!s->refused) {
		s->refused = status;
		s->reason = reason;
	}
}

static void queue(struct h2_stream *s)
{
	struct h2 *h = s->h2;
	if (s->queued || s->dispatched)
		return;
	s->queued = true;
	s->deadline = 0;
	s->next_ready = NULL;
	*h->ready_end = s;
	h->ready_end = &s->next_ready;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ud)
{
	struct h2 *h = ud;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct h2_stream *s = stream_new(h, frame->hd.stream_id);
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
	return 0;
}

static bool add_text(struct h2_stream *s, const uint8_t *data, size_t len, struct http_span *span)
{
	if (!bytes_append(&s->text, data, len))
		return false;
	*span = (struct http_span){ (uint32_t)(s->text.len - len), (uint32_t)len };
	return true;
}

static bool take_header(struct h2_stream *s, const uint8_t *name, size_t name_len, const uint8_t *value,
			size_t value_len)
{
	struct http_head *head = &s->head;
	if (name[0] == ':') {
		switch (name[name_len - 1]) {
		case 'd':
			return add_text(s, value, value_len, &head->method);
		case 'h':
			return add_text(s, value, value_len, &head->target);
		case 'y':
			return add_text(s, value, value_len, &head->host);
		}
		return true;
	}
	struct http_field *f = &head->fields[head->nfields++];
	if (!add_text(s, name, name_len, &f->name) || !add_text(s, value, value_len, &f->value))
		return false;
	const char *n = (const char *)name;
	if (name_len == 4 && memcmp(n, "host", 4) == 0 && !head->host.len)
		head->host = f->value;
	else if (name_len == 6 && memcmp(n, "expect", 6) == 0)
		head->expect_continue = http_name_is((const char *)value, value_len, "100-continue");
	else if (name_len == 14 && memcmp(n, "content-length", 14) == 0) {
		head->has_length = true;
		for (size_t i = 0; i < value_len && i < 18; i++)
			head->content_length = head->content_length * 10 + (uint64_t)(value[i] - '0');
	}
	return true;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags, void *ud)
{
	struct h2 *h = ud;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	const struct limits *limits = &h->conn->listener->limits;
	(void)flags;
	if (!s || frame->headers.cat != NGHTTP2_HCAT_REQUEST || s->refused)
		return 0; /* trailers say nothing to us */
	unsigned most = limits->headers < HTTP_MAX_FIELDS ? limits->headers : HTTP_MAX_FIELDS;
	if (s->text.len + name_len + value_len > limits->header)
		refuse(s, 431, "the request header is too large");
	else if (name[0] != ':' && s->head.nfields >= most)
		refuse(s, 431, "too many header fields");
	else if (!take_header(s, name, name_len, value, value_len))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return 0;
}

static void headers_complete(struct h2 *h, struct h2_stream *s)
{
	const struct limits *limits = &h->conn->listener->limits;
	const char *target = s->text.data + s->head.target.at;
	for (size_t i = 0; i < s->head.target.len; i++)
		if (!http_is_target((unsigned char)target[i]))
			refuse(s, 400, "malformed request target");
	if (s->head.content_length > limits->body)
		refuse(s, 413, "the request body is too large");
	if (s->refused || s->remote_closed) {
		queue(s);
		return;
	}
	s->deadline = server_now() + limits->body_time;
	if (s->head.expect_continue) {
		nghttp2_nv status = { (uint8_t *)":status", (uint8_t *)"100", 7, 3, NGHTTP2_NV_FLAG_NONE };
		nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, s->id, NULL, &status, 1, NULL);
	}
}

/* Streams opened only to be reset cost us more than the client (CVE-2023-44487). */
static int count_reset(struct h2 *h)
{
	uint64_t now = server_now();
	if (now - h->resets_since > RESET_SPAN) {
		h->resets_since = now;
		h->resets = 0;
	}
	if (++h->resets <= RESET_BURST)
		return 0;
	nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
	h->conn->close_after = h->conn->lingers = true;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ud)
{
	struct h2 *h = ud;
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		return count_reset(h);
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s)
		return 0;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		s->remote_closed = true;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		headers_complete(h, s);
	else if (s->remote_closed)
		queue(s);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ud)
{
	struct h2 *h = ud;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	(void)flags;
	if (!s || s->queued || s->dispatched)
		return 0;
	if (s->ex->body.len + len > h->conn->listener->limits.body)
		refuse(s, 413, "the request body is too large");
	else if (h->buffered + len > BUFFERED_MAX || !bytes_append(&s->ex->body, data, len))
		refuse(s, 503, "too much is being sent at once");
	if (s->refused) {
		queue(s);
		return 0;
	}
	h->buffered += len;
	s->deadline = server_extend(s->deadline, len, h->conn->listener->limits.body_time);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *ud)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	(void)error;
	(void)ud;
	if (s) {
		nghttp2_session_set_stream_user_data(session, id, NULL);
		stream_over(s);
	}
	return 0;
}

/* An answer that was complete before its request was: the rest is not wanted (RFC 9113 section 8.1). Clients that would
 * lose the answer over a reset at once get a moment to stop by themselves. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ud)
{
	/* Also the resets that a client makes us send, by frames that break a stream's rules (CVE-2025-8671). */
	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		uint32_t error = frame->rst_stream.error_code;
		bool theirs = error == NGHTTP2_PROTOCOL_ERROR || error == NGHTTP2_FLOW_CONTROL_ERROR ||
			      error == NGHTTP2_STREAM_CLOSED;
		return theirs ? count_reset(ud) : 0;
	}
	if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s && !s->remote_closed)
		s->deadline = server_now() + UNWANTED_TIME;
	return 0;
}

static const nghttp2_session_callbacks *callbacks(void)
{
	static nghttp2_session_callbacks *all;
	if (all || nghttp2_session_callbacks_new(&all) != 0)
		return all;
	nghttp2_session_callbacks_set_on_begin_headers_callback(all, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(all, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(all, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(all, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(all, on_sent);
	return all;
}

bool http2_start(struct conn *c)
{
	const struct limits *limits = &c->listener->limits;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 0 },
	};
	nghttp2_option *options = NULL;
	struct h2 *h = calloc(1, sizeof *h);
	if (!h || !callbacks() || nghttp2_option_new(&options) != 0)
		goto failed;
	nghttp2_option_set_no_closed_streams(options, 1);
	if (nghttp2_session_server_new2(&h->session, callbacks(), h, options) != 0)
		goto failed;
	nghttp2_option_del(options);
	h->conn = c;
	h->ready_end = &h->ready;
	c->h2 = h;
	nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings);
	nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
	c->phase = PHASE_WORK;
	http2_send(c);
	return true;
failed:
	nghttp2_option_del(options);
	free(h);
	return false;
}

/* Streamed bodies whose client has taken enough go on. One may end its stream, so the list is begun anew after each. */
static void give_room(struct h2 *h)
{
	struct h2_stream *s = h->waiting ? h->streams : NULL;
	while (s) {
		struct exchange *ex = s->ex;
		if (ex->writer_waits && ex->out.len - ex->out.at <= CONN_LOW_WATER) {
			h->waiting--;
			exchange_room(ex);
			s = h->waiting ? h->streams : NULL;
			continue;
		}
		s = s->next;
	}
}

void http2_send(struct conn *c)
{
	struct h2 *h = c->h2;
	if (!h || h->sending || h->receiving)
		return;
	h->sending = true;
	while (conn_pending(c) <= CONN_HIGH_WATER && !c->failed) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(h->session, &data);
		if (n < 0)
			c->failed = true;
		if (n <= 0)
			break;
		conn_write(c, data, (size_t)n);
	}
	h->sending = false;
	if (h->gone_away && h->count == 0)
		c->close_after = true;
	if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session))
		c->close_after = true;
	if (h->waiting && !c->failed && !c->closed) {
		bool was_busy = c->busy;
		c->busy = true; /* whoever called settles the connection */
		give_room(h);
		c->busy = was_busy;
	}
}

static void dispatch_ready(struct h2 *h)
{
	struct conn *c = h->conn;
	while (h->ready && !c->failed && !c->closed) {
		struct h2_stream *s = h->ready;
		h->ready = s->next_ready;
		if (!h->ready)
			h->ready_end = &h->ready;
		s->queued = false;
		s->dispatched = true;
		c->requests++;
		h->buffered -= s->ex->body.len;
		s->ex->keep_alive = true;
		s->head.size = s->text.len;
		if (s->refused)
			exchange_refuse(s->ex, s->text.data ? s->text.data : "", &s->head, s->refused, s->reason);
		else
			exchange_dispatch(s->ex, s->text.data, &s->head);
	}
}

bool http2_input(struct conn *c, const char *data, size_t len)
{
	struct h2 *h = c->h2;
	bool was_busy = c->busy;
	c->busy = true;
	h->receiving = true;
	ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)data, len);
	h->receiving = false;
	dispatch_ready(h);
	http2_send(c);
	c->busy = was_busy;
	return n >= 0;
}

/* First a notice that more streams would be in vain, then, when those on their way have come, the end (section 6.8). */
void http2_drain(struct conn *c)
{
	nghttp2_submit_shutdown_notice(c->h2->session);
	c->h2->drain_at = server_now() + NOTICE_TIME;
	http2_send(c);
}

static void go_away(struct h2 *h)
{
	if (h->gone_away)
		return;
	h->gone_away = true;
	nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session),
			      NGHTTP2_NO_ERROR, NULL, 0);
}

static void stream_late(struct h2_stream *s)
{
	s->deadline = 0;
	if (s->dispatched) {
		nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
		return;
	}
	refuse(s, 408, "the request did not arrive in time");
	queue(s);
}

void http2_sweep(struct conn *c, uint64_t now)
{
	struct h2 *h = c->h2;
	if ((h->drain_at && now >= h->drain_at) || (c->deadline && now >= c->deadline))
		go_away(h);
	bool again = true;
	c->busy = true;
	while (again) {
		again = false;
		for (struct h2_stream *s = h->streams; s && !again; s = s->next) {
			if (s->deadline && now >= s->deadline)
				stream_late(s);
			if (s->write_deadline && now >= s->write_deadline) {
				s->write_deadline = 0;
				nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
			}
			/* ending a task may end other streams with it */
			again = s->dispatched && exchange_sweep(s->ex, now);
		}
	}
	dispatch_ready(h);
	http2_send(c);
	c->busy = false;
}

bool http2_idle(const struct conn *c)
{
	return c->h2->count == 0;
}

void http2_free(struct conn *c)
{
	struct h2 *h = c->h2;
	if (!h)
		return;
	c->h2 = NULL;
	while (h->streams)
		stream_over(h->streams);
	nghttp2_session_del(h->session);
	free(h);
}
