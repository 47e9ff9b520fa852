/* Answers on HTTP/2 streams: header fields, and bodies handed to nghttp2 as the client's window opens (RFC 9113
 * section 8.1). */
#include <string.h>

#include "host/http2.h"

/* What is left of a handler's string when it could not be sent at once is kept. */
static bool own_body(struct h2_stream *s)
{
	size_t left = s->body_len - s->body_at;
	if (!bytes_append(&s->ex->out, s->body + s->body_at, left))
		return false;
	s->body = NULL;
	s->write_deadline = server_now() + s->h2->conn->listener->limits.write_time;
	return true;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
			 nghttp2_data_source *source, void *ud)
{
	struct h2_stream *s = source->ptr;
	struct bytes *out = &s->ex->out;
	size_t n;
	(void)session;
	(void)id;
	(void)ud;
	if (s->body) {
		n = s->body_len - s->body_at < room ? s->body_len - s->body_at : room;
		memcpy(buf, s->body + s->body_at, n);
		s->body_at += n;
		if (s->body_at == s->body_len)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
		return (ssize_t)n;
	}
	n = out->len - out->at < room ? out->len - out->at : room;
	if (n == 0 && !s->ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n) {
		memcpy(buf, out->data + out->at, n);
		bytes_consume(out, n);
		s->write_deadline = server_extend(s->write_deadline, n, s->h2->conn->listener->limits.write_time);
	}
	if (out->len == out->at)
		s->write_deadline = 0;
	if (s->ended && out->len == out->at)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static size_t fill_fields(const struct exchange *ex, const struct answer *a, nghttp2_nv *nv, char *numbers)
{
	size_t n = 0, id_len = strlen(ex->id), date_len;
	const char *date = server_date(&date_len);
	uint8_t plain = NGHTTP2_NV_FLAG_NO_COPY_NAME;
	char *status = numbers, *length = numbers + 4;
	status[0] = (char)('0' + a->status / 100);
	status[1] = (char)('0' + a->status / 10 % 10);
	status[2] = (char)('0' + a->status % 10);
	nv[n++] = (nghttp2_nv){ (uint8_t *)":status", (uint8_t *)status, 7, 3, plain };
	for (unsigned i = 0; i < a->nfields; i++) {
		const struct answer_field *f = &a->fields[i];
		nv[n++] = (nghttp2_nv){ (uint8_t *)f->name, (uint8_t *)f->value, f->name_len, f->value_len, 0 };
	}
	if (!a->has_date)
		nv[n++] = (nghttp2_nv){ (uint8_t *)"date", (uint8_t *)date, 4, date_len, plain };
	nv[n++] =
	    (nghttp2_nv){ (uint8_t *)"x-request-id", (uint8_t *)ex->id, 12, id_len, plain | NGHTTP2_NV_FLAG_NO_INDEX };
	if (!a->stream && a->status != 204 && a->status != 304) {
		char *end = length + 20, *at = end;
		uint64_t left = a->body_len;
		do
			*--at = (char)('0' + left % 10);
		while (left /= 10);
		nv[n++] = (nghttp2_nv){ (uint8_t *)"content-length", (uint8_t *)at, 14, (size_t)(end - at), plain };
	}
	return n;
}

void http2_answer(struct exchange *ex, struct answer *a)
{
	struct h2_stream *s = ex->h2;
	struct h2 *h = s->h2;
	struct conn *c = h->conn;
	nghttp2_nv nv[ANSWER_FIELDS + 4];
	char numbers[32];
	nghttp2_data_provider provider = { .source = { .ptr = s }, .read_callback = read_body };
	int32_t id = s->id;
	size_t n = fill_fields(ex, a, nv, numbers);
	bool body = !ex->head_only && (a->stream || a->body_len);
	if (a->stream) {
		s->body = NULL;
	} else {
		s->body = a->body;
		s->body_len = a->body_len;
		ex->sent = body ? a->body_len : 0;
	}
	if (nghttp2_submit_response(h->session, id, nv, n, body ? &provider : NULL) != 0)
		nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
	http2_send(c);
	/* The stream may have ended in that; what it could not take of the handler's string is copied. */
	s = nghttp2_session_get_stream_user_data(h->session, id);
	if (s && body && s->body && s->body_at < s->body_len) {
		s->ended = true;
		if (!own_body(s))
			c->failed = true;
	}
	if (!c->busy)
		conn_settle(c);
}

bool http2_write(struct exchange *ex, const char *data, size_t len)
{
	struct h2_stream *s = ex->h2;
	struct conn *c = s->h2->conn;
	if (!bytes_append(&ex->out, data, len)) {
		c->failed = true;
		return true;
	}
	if (!s->write_deadline)
		s->write_deadline = server_now() + c->listener->limits.write_time;
	nghttp2_session_resume_data(s->h2->session, s->id);
	http2_send(c);
	conn_flush_soon(c);
	/* Sending may have ended the stream, where its reset was queued. */
	if (!ex->h2)
		return true;
	if (ex->out.len - ex->out.at <= CONN_HIGH_WATER)
		return true;
	s->h2->waiting++;
	return false;
}

void http2_end(struct exchange *ex, bool complete)
{
	struct h2_stream *s = ex->h2;
	struct h2 *h = s->h2;
	struct conn *c = h->conn;
	s->ended = true;
	if (complete)
		nghttp2_session_resume_data(h->session, s->id);
	else
		nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
	http2_send(c);
	if (!c->busy)
		conn_settle(c);
}
