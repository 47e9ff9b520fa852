/* An HTTP/2 connection and its streams, for http2.c that receives and http2_answer.c that sends. */
#ifndef LUNATION_HTTP2_H
#define LUNATION_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "host/server.h"

struct h2 {
	nghttp2_session *session;
	struct conn *conn;
	struct h2_stream *streams;
	struct h2_stream *ready, **ready_end; /* complete requests, dispatched when the input has been read */
	unsigned count, resets, waiting;
	uint64_t resets_since, drain_at, buffered;
	bool sending, receiving, gone_away;
};

struct h2_stream {
	struct h2_stream *prev, *next, *next_ready;
	struct h2 *h2;
	struct exchange *ex;
	int32_t id;
	int refused;
	const char *reason;
	bool queued, dispatched, remote_closed, ended;
	uint64_t deadline;       /* of the request's arrival; 0 once it is complete */
	uint64_t write_deadline; /* for a client that does not take the answer; 0: nothing waits for it */
	const char *body;        /* of the answer: the handler's string while it lasts, then ex->out */
	size_t body_len, body_at;
	struct bytes text;
	struct http_head head;
};

#endif
