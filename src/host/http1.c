/* Strict HTTP/1.1 request heads and chunked bodies (RFC 9112). What two readers could understand differently is
 * refused. */
#include "host/http1.h"

#include <string.h>

enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8, DIGIT = 16 };

/* What each byte may be. Values take obs-text (0x80 up); targets are visible ASCII without '#'. */
static const uint8_t kinds[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = TOKEN | VALUE | TARGET,
	['"'] = VALUE | TARGET,
	['#'] = TOKEN | VALUE,
	['$'] = TOKEN | VALUE | TARGET,
	['%'] = TOKEN | VALUE | TARGET | HOST,
	['&'] = TOKEN | VALUE | TARGET,
	['\''] = TOKEN | VALUE | TARGET,
	['('] = VALUE | TARGET,
	[')'] = VALUE | TARGET,
	['*'] = TOKEN | VALUE | TARGET,
	['+'] = TOKEN | VALUE | TARGET,
	[','] = VALUE | TARGET,
	['-'] = TOKEN | VALUE | TARGET | HOST,
	['.'] = TOKEN | VALUE | TARGET | HOST,
	['/'] = VALUE | TARGET,
	['0' ... '9'] = TOKEN | VALUE | TARGET | HOST | DIGIT,
	[':'] = VALUE | TARGET | HOST,
	[';' ... '@'] = VALUE | TARGET,
	['A' ... 'Z'] = TOKEN | VALUE | TARGET | HOST,
	['['] = VALUE | TARGET | HOST,
	['\\'] = VALUE | TARGET,
	[']'] = VALUE | TARGET | HOST,
	['^'] = TOKEN | VALUE | TARGET,
	['_'] = TOKEN | VALUE | TARGET | HOST,
	['`'] = TOKEN | VALUE | TARGET,
	['a' ... 'z'] = TOKEN | VALUE | TARGET | HOST,
	['{'] = VALUE | TARGET,
	['|'] = TOKEN | VALUE | TARGET,
	['}'] = VALUE | TARGET,
	['~'] = TOKEN | VALUE | TARGET | HOST,
	[128 ... 255] = VALUE,
};

static bool is(unsigned char c, unsigned kind)
{
	return (kinds[c] & kind) != 0;
}

bool http_is_token(unsigned char c)
{
	return is(c, TOKEN);
}

bool http_is_value(unsigned char c)
{
	return is(c, VALUE);
}

bool http_is_target(unsigned char c)
{
	return is(c, TARGET);
}

static unsigned char lower_of(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool http_name_is(const char *a, size_t len, const char *lower)
{
	for (size_t i = 0; i < len; i++)
		if (lower[i] == '\0' || lower_of((unsigned char)a[i]) != (unsigned char)lower[i])
			return false;
	return lower[len] == '\0';
}

bool http_list_has(const char *list, size_t len, const char *lower)
{
	size_t i = 0;
	while (i < len) {
		while (i < len && (list[i] == ' ' || list[i] == '\t' || list[i] == ','))
			i++;
		size_t start = i;
		while (i < len && list[i] != ',')
			i++;
		size_t end = i;
		while (end > start && (list[end - 1] == ' ' || list[end - 1] == '\t'))
			end--;
		if (end > start && http_name_is(list + start, end - start, lower))
			return true;
	}
	return false;
}

int http1_scan(const char *buf, size_t len, size_t *scanned, size_t *size)
{
	size_t line = *scanned;
	while (line < len) {
		const char *lf = memchr(buf + line, '\n', len - line);
		if (!lf)
			return HTTP1_MORE;
		size_t at = (size_t)(lf - buf);
		if (at == line || buf[at - 1] != '\r')
			return 400;
		if (at - line == 1) {
			*size = at + 1;
			return HTTP1_OK;
		}
		*scanned = line = at + 1;
	}
	return HTTP1_MORE;
}

static int refuse(struct http_head *head, int status, const char *reason)
{
	head->reason = reason;
	return status;
}

static struct http_span span(size_t from, size_t to)
{
	return (struct http_span){ (uint32_t)from, (uint32_t)(to - from) };
}

static bool span_is(const char *buf, struct http_span s, const char *lower)
{
	return http_name_is(buf + s.at, s.len, lower);
}

/* request-line = method SP request-target SP HTTP-version CRLF; returns where the next line starts through *next. */
static int parse_request_line(const char *buf, size_t size, struct http_head *head, size_t *next)
{
	size_t i = 0;
	while (is((unsigned char)buf[i], TOKEN))
		i++;
	if (i == 0 || buf[i] != ' ')
		return refuse(head, 400, "malformed method");
	if (i > 32)
		return refuse(head, 501, "unknown method");
	head->method = span(0, i);
	size_t start = ++i;
	while (is((unsigned char)buf[i], TARGET))
		i++;
	if (i == start || buf[i] != ' ')
		return refuse(head, 400, "malformed request target");
	head->target = span(start, i);
	const char *v = buf + i + 1;
	if (size - i < sizeof " HTTP/1.1\r\n" - 1 || memcmp(v, "HTTP/", 5) != 0)
		return refuse(head, 400, "malformed HTTP version");
	if (!is((unsigned char)v[5], DIGIT) || v[6] != '.' || !is((unsigned char)v[7], DIGIT) || v[8] != '\r' ||
	    v[9] != '\n')
		return refuse(head, 400, "malformed HTTP version");
	if (v[5] != '1' || v[7] > '1')
		return refuse(head, 505, "HTTP version not supported");
	head->minor = (uint8_t)(v[7] - '0');
	*next = i + 1 + 10;
	return HTTP1_OK;
}

static int take_length(const char *v, size_t len, struct http_head *head)
{
	if (head->has_length)
		return refuse(head, 400, "repeated Content-Length");
	if (len == 0 || len > 18)
		return refuse(head, 400, "malformed Content-Length");
	uint64_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (!is((unsigned char)v[i], DIGIT))
			return refuse(head, 400, "malformed Content-Length");
		n = n * 10 + (uint64_t)(v[i] - '0');
	}
	head->content_length = n;
	head->has_length = true;
	return HTTP1_OK;
}

static int take_host(const char *buf, struct http_span value, struct http_head *head)
{
	if (head->host.at)
		return refuse(head, 400, "repeated Host");
	if (value.len == 0)
		return refuse(head, 400, "empty Host");
	for (size_t i = 0; i < value.len; i++)
		if (!is((unsigned char)buf[value.at + i], HOST))
			return refuse(head, 400, "malformed Host");
	head->host = value;
	return HTTP1_OK;
}

/* The few fields that decide how the message is framed; everything else is kept as it came. */
static int take_field(const char *buf, const struct http_field *f, struct http_head *head)
{
	const char *name = buf + f->name.at, *v = buf + f->value.at;
	size_t len = f->value.len;
	switch (f->name.len) {
	case 4:
		if (http_name_is(name, 4, "host"))
			return take_host(buf, f->value, head);
		break;
	case 6:
		if (!http_name_is(name, 6, "expect"))
			break;
		if (!http_name_is(v, len, "100-continue"))
			return refuse(head, 417, "unknown expectation");
		head->expect_continue = head->minor > 0;
		break;
	case 10:
		if (!http_name_is(name, 10, "connection"))
			break;
		if (http_list_has(v, len, "close"))
			head->keep_alive = false;
		else if (head->minor == 0 && http_list_has(v, len, "keep-alive"))
			head->keep_alive = true;
		break;
	case 14:
		if (http_name_is(name, 14, "content-length"))
			return take_length(v, len, head);
		break;
	case 17:
		if (!http_name_is(name, 17, "transfer-encoding"))
			break;
		if (head->chunked)
			return refuse(head, 400, "repeated Transfer-Encoding");
		if (head->minor == 0)
			return refuse(head, 400, "Transfer-Encoding in HTTP/1.0");
		if (!http_name_is(v, len, "chunked"))
			return refuse(head, 501, "unknown Transfer-Encoding");
		head->chunked = true;
		break;
	}
	return HTTP1_OK;
}

/* absolute-form (RFC 9112 section 3.2.2) is taken when it names the host that Host names, and becomes origin-form. */
static int normalize_target(const char *buf, struct http_head *head)
{
	const char *t = buf + head->target.at;
	size_t len = head->target.len, skip = 0;
	if (span_is(buf, head->method, "connect"))
		return refuse(head, 501, "CONNECT is not implemented");
	if (t[0] == '/')
		return HTTP1_OK;
	if (len == 1 && t[0] == '*')
		return span_is(buf, head->method, "options") ? HTTP1_OK : refuse(head, 400, "malformed request target");
	if (len > 7 && http_name_is(t, 7, "http://"))
		skip = 7;
	else if (len > 8 && http_name_is(t, 8, "https://"))
		skip = 8;
	if (!skip)
		return refuse(head, 400, "malformed request target");
	size_t end = skip;
	while (end < len && t[end] != '/' && t[end] != '?')
		end++;
	if (end - skip != head->host.len || memcmp(t + skip, buf + head->host.at, end - skip) != 0)
		return refuse(head, 400, "request target and Host differ");
	if (end == len || t[end] != '/')
		return refuse(head, 400, "malformed request target");
	head->target.at += (uint32_t)end;
	head->target.len -= (uint32_t)end;
	return HTTP1_OK;
}

int http1_request_line(const char *buf, size_t size, struct http_head *head)
{
	size_t next;
	return parse_request_line(buf, size, head, &next);
}

int http1_parse(const char *buf, size_t size, unsigned max_fields, struct http_head *head)
{
	size_t i = 0;
	memset(head, 0, offsetof(struct http_head, fields));
	head->size = size;
	int rc = parse_request_line(buf, size, head, &i);
	if (rc)
		return rc;
	head->keep_alive = head->minor > 0;
	if (max_fields > HTTP_MAX_FIELDS)
		max_fields = HTTP_MAX_FIELDS;
	while (buf[i] != '\r') {
		if (head->nfields == max_fields)
			return refuse(head, 431, "too many header fields");
		struct http_field *f = &head->fields[head->nfields];
		size_t start = i;
		while (is((unsigned char)buf[i], TOKEN))
			i++;
		if (i == start && (buf[i] == ' ' || buf[i] == '\t'))
			return refuse(head, 400, "folded header field");
		if (i == start || buf[i] != ':')
			return refuse(head, 400, "malformed header name");
		f->name = span(start, i++);
		while (buf[i] == ' ' || buf[i] == '\t')
			i++;
		start = i;
		while (is((unsigned char)buf[i], VALUE))
			i++;
		if (buf[i] != '\r' || buf[i + 1] != '\n')
			return refuse(head, 400, "bad character in header value");
		size_t end = i;
		while (end > start && (buf[end - 1] == ' ' || buf[end - 1] == '\t'))
			end--;
		f->value = span(start, end);
		head->nfields++; /* only whole fields are counted: a refused head is looked at too */
		rc = take_field(buf, f, head);
		if (rc)
			return rc;
		i += 2;
	}
	if (i + 2 != size)
		return refuse(head, 400, "bare CR");
	if (head->has_length && head->chunked)
		return refuse(head, 400, "both Content-Length and Transfer-Encoding");
	if (!head->host.at && head->minor > 0)
		return refuse(head, 400, "missing Host");
	return normalize_target(buf, head);
}

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_VALUE, TRAILER_LF, END_LF, DONE };
enum { MAX_OVERHEAD = 8192, MAX_SIZE_DIGITS = 15 };

static int hex_of(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower_of(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of framing; returns HTTP1_OK to go on, HTTP1_CHUNK_END or 400. */
static int chunk_byte(struct http1_chunks *c, unsigned char b)
{
	int digit;
	switch (c->state) {
	case SIZE:
		digit = hex_of(b);
		if (digit >= 0) {
			if (++c->digits > MAX_SIZE_DIGITS)
				return 400;
			c->left = c->left * 16 + (uint64_t)digit;
			return HTTP1_OK;
		}
		if (c->digits == 0 || (b != '\r' && b != ';'))
			return 400;
		c->state = b == '\r' ? SIZE_LF : EXTENSION;
		return HTTP1_OK;
	case EXTENSION:
		if (b == '\r')
			c->state = SIZE_LF;
		else if (!is(b, VALUE) || ++c->overhead > MAX_OVERHEAD)
			return 400;
		return HTTP1_OK;
	case SIZE_LF:
		if (b != '\n')
			return 400;
		c->digits = 0;
		c->line = 0;
		c->state = c->left ? DATA : TRAILER;
		return HTTP1_OK;
	case DATA_CR:
		c->state = DATA_LF;
		return b == '\r' ? HTTP1_OK : 400;
	case DATA_LF:
		c->state = SIZE;
		return b == '\n' ? HTTP1_OK : 400;
	case TRAILER: /* a name, or the CR of the empty line that ends it all */
		if (b == '\r' && !c->line) {
			c->state = END_LF;
			return HTTP1_OK;
		}
		if (b == ':' && c->line) {
			c->state = TRAILER_VALUE;
			return HTTP1_OK;
		}
		c->line = 1;
		return is(b, TOKEN) && ++c->overhead <= MAX_OVERHEAD ? HTTP1_OK : 400;
	case TRAILER_VALUE:
		if (b == '\r')
			c->state = TRAILER_LF;
		else if (!is(b, VALUE) || ++c->overhead > MAX_OVERHEAD)
			return 400;
		return HTTP1_OK;
	case TRAILER_LF:
		c->state = TRAILER;
		c->line = 0;
		return b == '\n' ? HTTP1_OK : 400;
	case END_LF:
		c->state = DONE;
		return b == '\n' ? HTTP1_CHUNK_END : 400;
	default:
		return 400;
	}
}

int http1_chunk(struct http1_chunks *c, const char *buf, size_t len, size_t *used, const char **data, size_t *data_len)
{
	size_t i = 0;
	while (i < len) {
		if (c->state == DATA) {
			size_t n = len - i < c->left ? len - i : (size_t)c->left;
			*data = buf + i;
			*data_len = n;
			*used = i + n;
			c->left -= n;
			if (c->left == 0)
				c->state = DATA_CR;
			return HTTP1_CHUNK_DATA;
		}
		int rc = chunk_byte(c, (unsigned char)buf[i++]);
		if (rc != HTTP1_OK) {
			*used = i;
			return rc;
		}
	}
	*used = i;
	return HTTP1_MORE;
}
