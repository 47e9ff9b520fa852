/* Fuzzes the HTTP/1.1 head parser and the chunk decoder: whatever they accept has to be unambiguous and in bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/http1.h"

static void check_span(struct http_span s, size_t size)
{
	if ((size_t)s.at + s.len > size)
		abort();
}

static void check_head(const char *buf, size_t size, const struct http_head *head)
{
	unsigned hosts = 0;
	check_span(head->method, size);
	check_span(head->target, size);
	check_span(head->host, size);
	if (head->size != size || !head->method.len || !head->target.len || (head->has_length && head->chunked))
		abort();
	if (buf[head->target.at] != '/' && buf[head->target.at] != '*')
		abort();
	for (unsigned i = 0; i < head->nfields; i++) {
		const struct http_field *f = &head->fields[i];
		check_span(f->name, size);
		check_span(f->value, size);
		for (uint32_t k = 0; k < f->name.len; k++)
			if (!http_is_token((unsigned char)buf[f->name.at + k]))
				abort();
		for (uint32_t k = 0; k < f->value.len; k++)
			if (!http_is_value((unsigned char)buf[f->value.at + k]))
				abort();
		hosts += http_name_is(buf + f->name.at, f->name.len, "host");
	}
	if (hosts > 1 || (head->minor && hosts != 1))
		abort();
}

/* Decodes in pieces of the given size; the bytes that come out are summed so that two ways can be compared. */
static int decode(const char *data, size_t len, size_t piece, uint64_t *sum, size_t *end)
{
	struct http1_chunks c = { 0 };
	size_t at = 0;
	*sum = 0;
	while (at < len) {
		size_t n = len - at < piece ? len - at : piece, used = 0, from = 0;
		while (from < n) {
			const char *out = NULL;
			size_t out_len = 0;
			int rc = http1_chunk(&c, data + at + from, n - from, &used, &out, &out_len);
			from += used;
			if (rc == HTTP1_CHUNK_DATA)
				for (size_t i = 0; i < out_len; i++)
					*sum = *sum * 31 + (unsigned char)out[i];
			else if (rc != HTTP1_MORE) {
				*end = at + from;
				return rc;
			}
		}
		at += n;
	}
	*end = len;
	return HTTP1_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_head head;
	size_t scanned = 0, size = 0, steps = 0, step_size = 0;
	/* a copy of its very size, so that a read past its end is seen */
	char *copy = malloc(len ? len : 1);
	memcpy(copy, data, len);
	int rc = http1_scan(copy, len, &scanned, &size);
	/* byte by byte it must come to the same */
	int again = HTTP1_MORE;
	for (size_t n = 1; n <= len && again == HTTP1_MORE; n++)
		again = http1_scan(copy, n, &steps, &step_size);
	if (rc != again || (rc == HTTP1_OK && size != step_size))
		abort();
	if (rc == HTTP1_OK && size > 2) {
		char *exact = malloc(size);
		memcpy(exact, copy, size);
		memset(&head, 0xff, sizeof head);
		if (http1_parse(exact, size, 100, &head) == HTTP1_OK)
			check_head(exact, size, &head);
		/* what a refused head left is shown to the handler of errors */
		check_span(head.target, size);
		for (unsigned i = 0; i < head.nfields; i++) {
			check_span(head.fields[i].name, size);
			check_span(head.fields[i].value, size);
		}
		free(exact);
	}
	uint64_t whole, pieces;
	size_t whole_end, pieces_end;
	if (decode(copy, len, len + 1, &whole, &whole_end) != decode(copy, len, 1, &pieces, &pieces_end) ||
	    whole != pieces || whole_end != pieces_end)
		abort();
	free(copy);
	return 0;
}
