/* A cursor over JSON text that the store has written: members are visited in place, nothing is copied. What is not
 * looked at is stepped over; text that is no JSON ends the walk. */
#ifndef LUNATION_CALENDAR_JSCAN_H
#define LUNATION_CALENDAR_JSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jscan {
	const char *at, *end;
	bool failed;
};

/* A string as it stands between its quotes, escapes and all. */
struct jtext {
	const char *at;
	size_t len;
};

void jscan_init(struct jscan *s, const char *text, size_t len);
/* '{', '[', '"', 't', 'f', 'n', '0' (a number), or 0. */
char jscan_kind(struct jscan *s);
bool jscan_skip(struct jscan *s);

/* while (jscan_member(s, &first, &name)) { the value is next and must be read or skipped }, with `first` true before.
 */
bool jscan_member(struct jscan *s, bool *first, struct jtext *name);
bool jscan_element(struct jscan *s, bool *first);

bool jscan_string(struct jscan *s, struct jtext *text);
bool jscan_integer(struct jscan *s, int64_t *value);
bool jscan_true(struct jscan *s); /* reads any value; whether it was true */

bool jtext_is(const struct jtext *text, const char *word);
/* Copies a string whose only escapes are of printable characters; false if it does not fit or has others. */
bool jtext_copy(const struct jtext *text, char *out, size_t size);

#endif
