/* Walking over JSON text. */
#include "calendar/jscan.h"

#include <string.h>

enum { DEPTH_MAX = 128 };

void jscan_init(struct jscan *s, const char *text, size_t len)
{
	*s = (struct jscan){ text, text + len, false };
}

static void space(struct jscan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
		s->at++;
}

static bool fail(struct jscan *s)
{
	s->failed = true;
	s->at = s->end;
	return false;
}

char jscan_kind(struct jscan *s)
{
	space(s);
	if (s->at == s->end)
		return 0;
	return *s->at == '-' || (*s->at >= '0' && *s->at <= '9') ? '0' : *s->at;
}

bool jscan_string(struct jscan *s, struct jtext *text)
{
	const char *p;

	if (jscan_kind(s) != '"')
		return fail(s);
	text->at = p = s->at + 1;
	for (;;) {
		p = memchr(p, '"', (size_t)(s->end - p));
		if (p == NULL)
			return fail(s);
		{
			const char *slash = p;

			while (slash > text->at && slash[-1] == '\\')
				slash--;
			if ((p - slash) % 2 == 0)
				break;
		}
		p++;
	}
	text->len = (size_t)(p - text->at);
	s->at = p + 1;
	return true;
}

/* Counts brackets outside strings: whether they match is not this file's question. */
bool jscan_skip(struct jscan *s)
{
	struct jtext text;
	int depth = 0;

	do {
		switch (jscan_kind(s)) {
		case 0:
			return fail(s);
		case '"':
			if (!jscan_string(s, &text))
				return false;
			break;
		case '{':
		case '[':
			if (++depth > DEPTH_MAX)
				return fail(s);
			s->at++;
			break;
		case '}':
		case ']':
			depth--;
			s->at++;
			break;
		case ',':
		case ':':
			s->at++;
			break;
		default:
			while (s->at < s->end && strchr(",:]} \n\t\r", *s->at) == NULL)
				s->at++;
		}
	} while (depth > 0);
	return depth == 0 || fail(s);
}

/* Steps to the next item of a list that opens and closes so. */
static bool step(struct jscan *s, bool *first, char open, char close)
{
	char kind = jscan_kind(s);

	if (*first) {
		if (kind != open) {
			jscan_skip(s);
			return false;
		}
		*first = false;
		s->at++;
		kind = jscan_kind(s);
	} else if (kind == ',') {
		s->at++;
		return true;
	} else if (kind != close) {
		return fail(s);
	}
	if (kind == close) {
		s->at++;
		return false;
	}
	return kind != 0 || fail(s);
}

bool jscan_member(struct jscan *s, bool *first, struct jtext *name)
{
	if (!step(s, first, '{', '}') || !jscan_string(s, name))
		return false;
	if (jscan_kind(s) != ':')
		return fail(s);
	s->at++;
	return true;
}

bool jscan_element(struct jscan *s, bool *first)
{
	return step(s, first, '[', ']');
}

bool jscan_integer(struct jscan *s, int64_t *value)
{
	bool negative;
	int64_t v = 0;

	if (jscan_kind(s) != '0')
		return fail(s);
	negative = *s->at == '-';
	s->at += negative;
	for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
		if (v > INT64_MAX / 10 - 1)
			return fail(s);
		v = v * 10 + (*s->at - '0');
	}
	while (s->at < s->end && strchr(",]} \n\t\r", *s->at) == NULL)
		s->at++;
	*value = negative ? -v : v;
	return true;
}

bool jscan_true(struct jscan *s)
{
	bool value = jscan_kind(s) == 't';

	jscan_skip(s);
	return value;
}

bool jtext_is(const struct jtext *text, const char *word)
{
	return strlen(word) == text->len && memcmp(text->at, word, text->len) == 0;
}

bool jtext_copy(const struct jtext *text, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < text->len; i++) {
		char c = text->at[i];

		if (c == '\\') {
			c = text->at[++i];
			if (c != '/' && c != '"' && c != '\\')
				return false;
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}
