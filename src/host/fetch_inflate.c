/* Decompression of answers (RFC 9110 section 8.4.1). Done here rather than by libcurl, which takes a stream that breaks
 * off for a whole one. */
#include "host/fetch.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

struct inflater {
	z_stream stream;
	bool deflate; /* by its name a zlib stream; some servers send it without its two bytes of header */
	bool started, ended;
};

struct inflater *inflater_new(const char *encoding)
{
	bool deflate = strcasecmp(encoding, "deflate") == 0;
	struct inflater *i;

	if (!deflate && strcasecmp(encoding, "gzip") != 0 && strcasecmp(encoding, "x-gzip") != 0)
		return NULL;
	i = calloc(1, sizeof(*i));
	if (i == NULL)
		return NULL;
	i->deflate = deflate;
	if (inflateInit2(&i->stream, deflate ? MAX_WBITS : MAX_WBITS + 16) != Z_OK) {
		free(i);
		return NULL;
	}
	return i;
}

bool inflater_feed(struct inflater *i, char *data, size_t len, bool (*take)(void *ud, const char *data, size_t len),
		   void *ud)
{
	char out[16384];
	int rc;

	i->stream.next_in = (unsigned char *)data;
	i->stream.avail_in = (uInt)len;
	if (!i->started && i->deflate && len > 0 && (data[0] & 0x0f) != Z_DEFLATED)
		inflateReset2(&i->stream, -MAX_WBITS);
	i->started = i->started || len > 0;
	do {
		if (i->ended) {
			if (i->stream.avail_in == 0)
				return true;
			/* gzip streams may follow each other (RFC 1952 section 2.2) */
			if (i->deflate || inflateReset(&i->stream) != Z_OK)
				return false;
			i->ended = false;
		}
		i->stream.next_out = (unsigned char *)out;
		i->stream.avail_out = sizeof(out);
		rc = inflate(&i->stream, Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return false;
		i->ended = rc == Z_STREAM_END;
		if (i->stream.avail_out < sizeof(out) && !take(ud, out, sizeof(out) - i->stream.avail_out))
			return false;
	} while (i->stream.avail_in > 0 || i->stream.avail_out == 0);
	return true;
}

bool inflater_complete(const struct inflater *i)
{
	return i->ended;
}

void inflater_free(struct inflater *i)
{
	if (i == NULL)
		return;
	inflateEnd(&i->stream);
	free(i);
}
