/* HTTP/1.1 message heads and chunked bodies (RFC 9112): bytes in, offsets out, no I/O. */
#ifndef LUNATION_HTTP1_H
#define LUNATION_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_MAX_FIELDS = 128 };

/* A piece of the head: where it starts and how long it is. */
struct http_span {
	uint32_t at, len;
};

struct http_field {
	struct http_span name, value;
};

struct http_head {
	struct http_span method, target, host;
	uint64_t content_length;
	size_t size; /* of the whole head, with the empty line that ends it */
	unsigned nfields;
	uint8_t minor; /* HTTP/1.minor */
	bool has_length, chunked, keep_alive, expect_continue;
	const char *reason; /* why it was refused, for the log and the client */
	struct http_field fields[HTTP_MAX_FIELDS];
};

enum { HTTP1_MORE = -1, HTTP1_OK = 0 };

/* Looks for the end of a head in what has arrived so far. *scanned remembers the work done between calls (0 at first).
 * Returns HTTP1_OK when the head is complete (its size in *size), HTTP1_MORE, or 400 as soon as a line ends wrongly. */
int http1_scan(const char *buf, size_t len, size_t *scanned, size_t *size);

/* Parses one complete head of `size` bytes. Returns HTTP1_OK or the status that refuses it. */
int http1_parse(const char *buf, size_t size, unsigned max_fields, struct http_head *head);

/* Parses the request line alone, for what is told about a head that is refused as a whole. */
int http1_request_line(const char *buf, size_t size, struct http_head *head);

/* A chunked body being decoded; all zero at first. */
struct http1_chunks {
	uint64_t left;     /* bytes of the current chunk still to come */
	uint32_t overhead; /* bytes spent on extensions and trailers, bounded */
	uint8_t state, digits, line;
};

enum { HTTP1_CHUNK_DATA = 1, HTTP1_CHUNK_END = 2 };

/* Takes one step through `buf`: skips framing and reports the next run of body bytes.
 * Returns HTTP1_CHUNK_DATA (data, data_len set), HTTP1_CHUNK_END, HTTP1_MORE, or 400; *used says what was consumed. */
int http1_chunk(struct http1_chunks *c, const char *buf, size_t len, size_t *used, const char **data, size_t *data_len);

/* True if the byte may stand in a header name (RFC 9110 section 5.6.2), in a value (5.5). */
bool http_is_token(unsigned char c);
bool http_is_value(unsigned char c);
bool http_is_target(unsigned char c);
bool http_name_is(const char *a, size_t len, const char *lower);
/* True if the comma-separated list holds this token (lower case). */
bool http_list_has(const char *list, size_t len, const char *lower);

#endif
