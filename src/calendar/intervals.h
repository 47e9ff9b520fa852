/* Sets of half-open intervals of instants, [start, end): union, complement, intersection. */
#ifndef LUNATION_CALENDAR_INTERVALS_H
#define LUNATION_CALENDAR_INTERVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interval {
	int64_t start, end;
};

/* A growing list; all zero is an empty one. A set is a list that is sorted, without empty or touching intervals. */
struct intervals {
	struct interval *at;
	size_t count, room;
};

/* Makes room for `more` intervals; false when there is no memory. */
bool intervals_reserve(struct intervals *list, size_t more);
bool intervals_add(struct intervals *list, int64_t start, int64_t end);
void intervals_free(struct intervals *list);

/* Makes a set of any list, in place; false when there is no memory for sorting, and the list is as it was. */
bool intervals_union(struct intervals *list);

/* Adds to `out` what `set` leaves of [from, to). */
bool intervals_complement(const struct intervals *set, int64_t from, int64_t to, struct intervals *out);

/* Adds to `out` what two sets share. */
bool intervals_intersect(const struct intervals *a, const struct intervals *b, struct intervals *out);

/* Adds to `out` the stretches in which more than `most` of the intervals of a list overlap; sorts the list. */
bool intervals_deeper(struct intervals *list, size_t most, struct intervals *out);

#endif
