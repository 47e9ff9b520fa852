/* Sets of intervals. A list that is in order costs one pass; any other is sorted by radix, in pieces that stay in the
 * cache: where the span fits, an interval is one word, the start above the length, and half as much is moved. */
#include "calendar/intervals.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 48, DIGIT_MAX = 11, PASSES = 3, BUCKETS = 256, PIECE = 1 << 18 };

bool intervals_reserve(struct intervals *list, size_t more)
{
	size_t room = list->room ? list->room : 16;
	struct interval *at;

	if (list->room - list->count >= more)
		return true;
	while (room - list->count < more)
		room *= 2;
	at = realloc(list->at, room * sizeof *at);
	if (!at)
		return false;
	list->at = at;
	list->room = room;
	return true;
}

bool intervals_add(struct intervals *list, int64_t start, int64_t end)
{
	if (!intervals_reserve(list, 1))
		return false;
	list->at[list->count++] = (struct interval){ start, end };
	return true;
}

void intervals_free(struct intervals *list)
{
	free(list->at);
	*list = (struct intervals){ NULL, 0, 0 };
}

/* Joins what overlaps or touches in a sorted list, in place. */
static void join(struct intervals *list)
{
	struct interval *v = list->at;
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (v[i].end <= v[i].start)
			continue;
		if (kept > 0 && v[i].start <= v[kept - 1].end) {
			if (v[i].end > v[kept - 1].end)
				v[kept - 1].end = v[i].end;
		} else {
			v[kept++] = v[i];
		}
	}
	list->count = kept;
}

static void insertion(struct interval *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct interval x = v[i];
		size_t j = i;

		for (; j > 0 && v[j - 1].start > x.start; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
}

static unsigned bits_of(uint64_t span)
{
	return span ? 64 - (unsigned)__builtin_clzll(span) : 0;
}

/* Sorts words by their bits [low, low + bits), least significant digit first; the result stands in `v`. */
static void sort_digits(uint64_t *v, uint64_t *spare, size_t n, unsigned low, unsigned bits)
{
	uint64_t *from = v, *to = spare;
	unsigned passes = (bits + DIGIT_MAX - 1) / DIGIT_MAX;
	unsigned digit = passes ? (bits + passes - 1) / passes : 0;
	uint64_t mask = ((uint64_t)1 << digit) - 1;
	uint32_t count[PASSES][1 << DIGIT_MAX];

	for (unsigned p = 0; p < passes; p++)
		memset(count[p], 0, (mask + 1) * sizeof **count);
	for (size_t i = 0; i < n; i++)
		for (unsigned p = 0; p < passes; p++)
			count[p][v[i] >> (low + p * digit) & mask]++;
	for (unsigned p = 0; p < passes; p++) {
		unsigned shift = low + p * digit;
		uint32_t sum = 0;
		uint64_t *swap = from;

		for (uint64_t d = 0; d <= mask; d++) {
			uint32_t here = count[p][d];

			count[p][d] = sum;
			sum += here;
		}
		for (size_t i = 0; i < n; i++)
			to[count[p][from[i] >> shift & mask]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != v)
		memcpy(v, from, n * sizeof *v);
}

/* Insertion; gives up, with nothing lost, when it has moved more than `budget` words. */
static bool sort_nearly(uint64_t *v, size_t n, size_t budget)
{
	for (size_t i = 1; i < n; i++) {
		uint64_t x = v[i];
		size_t j = i;

		if (v[i - 1] <= x)
			continue;
		for (; j > 0 && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
		if (i - j > budget)
			return false;
		budget -= i - j;
	}
	return true;
}

/* Sorts words whose upper halves are below 2^bits. The highest bits tell nearly all of them apart where they are spread
 * evenly; what is left is a few neighbours to be changed. */
static void sort_words(uint64_t *v, uint64_t *spare, size_t n, unsigned bits)
{
	unsigned enough = bits_of(n) + 4;

	if (n <= FEW) {
		sort_nearly(v, n, SIZE_MAX);
		return;
	}
	if (enough < bits) {
		sort_digits(v, spare, n, 32 + bits - enough, enough);
		if (sort_nearly(v, n, n))
			return;
	}
	sort_digits(v, spare, n, 32, bits);
}

/* The interval that the next one may still join, counted from the base of all. */
struct open_interval {
	uint64_t start, end;
	size_t kept; /* closed ones before it */
};

/* Of one bucket, sorted words back to intervals, joined to what stands before. Whether an interval joins is anybody's
 * guess, so nothing jumps on it: the open one is written at every step, and the next place is one on or the same. */
static void unpack(const uint64_t *words, size_t n, int64_t base, struct interval *v, struct open_interval *open)
{
	uint64_t open_start = open->start, open_end = open->end;
	size_t kept = open->kept;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = words[i] >> 32, end = start + (words[i] & UINT32_MAX);
		uint64_t apart = (open_end - start) >> 63; /* both are below 2^33 */

		v[kept] = (struct interval){ base + (int64_t)open_start, base + (int64_t)open_end };
		kept += apart;
		open_start ^= (open_start ^ start) & (0 - apart);
		open_end = end > open_end ? end : open_end;
	}
	*open = (struct open_interval){ open_start, open_end, kept };
}

/* The union of intervals whose span fits 32 bits. Writing never overtakes reading: all words are read first. */
static bool union_packed(struct intervals *list, int64_t base, unsigned bits)
{
	struct interval *v = list->at;
	size_t n = list->count, words = 0;
	struct open_interval open = { 0, 0, 0 };
	unsigned shift = n > PIECE && bits > 8 ? bits - 8 : bits;
	size_t bound[BUCKETS + 1] = { 0 };
	size_t largest = 0, at = 0;
	uint64_t *packed, *spare;

	if (n > UINT32_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (v[i].end > v[i].start)
			bound[(uint64_t)(v[i].start - base) >> shift]++;
	for (size_t b = 0; b <= BUCKETS; b++) {
		size_t here = bound[b];

		bound[b] = words;
		words += here;
		if (here > largest)
			largest = here;
	}
	packed = malloc((words + largest + 1) * sizeof *packed);
	if (!packed)
		return false;
	spare = packed + words;
	for (size_t i = 0; i < n; i++) {
		uint64_t start = (uint64_t)(v[i].start - base);

		if (v[i].end > v[i].start)
			packed[bound[start >> shift]++] = start << 32 | (uint64_t)(v[i].end - v[i].start);
	}
	/* each bound has moved to the next one's begin */
	for (size_t b = 0; b <= BUCKETS && at < words; b++) {
		size_t size = bound[b] - at;

		sort_words(packed + at, spare, size, shift);
		if (at == 0)
			open = (struct open_interval){ packed[0] >> 32, packed[0] >> 32, 0 };
		unpack(packed + at, size, base, v, &open);
		at = bound[b];
	}
	list->count = 0;
	if (words > 0) {
		v[open.kept] = (struct interval){ base + (int64_t)open.start, base + (int64_t)open.end };
		list->count = open.kept + 1;
	}
	free(packed);
	return true;
}

/* Any span: least significant byte first, skipping bytes in which all starts agree. */
static bool sort_wide(struct interval *v, size_t n, int64_t base, unsigned bits)
{
	struct interval *spare = malloc(n * sizeof *spare), *from = v, *to = spare;

	if (!spare)
		return false;
	for (unsigned shift = 0; shift < bits; shift += 8) {
		size_t count[256] = { 0 }, sum = 0;
		struct interval *swap = from;

		for (size_t i = 0; i < n; i++)
			count[(((uint64_t)from[i].start - (uint64_t)base) >> shift) & 255]++;
		for (size_t d = 0; d < 256; d++) {
			size_t here = count[d];

			count[d] = sum;
			sum += here;
		}
		for (size_t i = 0; i < n; i++)
			to[count[(((uint64_t)from[i].start - (uint64_t)base) >> shift) & 255]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != v)
		memcpy(v, from, n * sizeof *v);
	free(spare);
	return true;
}

bool intervals_union(struct intervals *list)
{
	struct interval *v = list->at;
	size_t n = list->count;
	int64_t least = INT64_MAX, last = INT64_MIN, greatest = INT64_MIN, end = INT64_MIN;
	bool sorted = true;

	for (size_t i = 0; i < n; i++) {
		if (v[i].end <= v[i].start)
			continue;
		sorted &= v[i].start >= last;
		last = v[i].start;
		if (v[i].start < least)
			least = v[i].start;
		if (v[i].start > greatest)
			greatest = v[i].start;
		if (v[i].end > end)
			end = v[i].end;
	}
	if (!sorted) {
		unsigned bits = bits_of((uint64_t)greatest - (uint64_t)least);

		if (n > FEW && (uint64_t)end - (uint64_t)least <= UINT32_MAX)
			return union_packed(list, least, bits);
		if (n <= FEW)
			insertion(v, n);
		else if (!sort_wide(v, n, least, bits))
			return false;
	}
	join(list);
	return true;
}

bool intervals_complement(const struct intervals *set, int64_t from, int64_t to, struct intervals *out)
{
	for (size_t i = 0; i < set->count && set->at[i].start < to; i++) {
		if (set->at[i].end <= from)
			continue;
		if (set->at[i].start > from && !intervals_add(out, from, set->at[i].start))
			return false;
		from = set->at[i].end;
	}
	return from >= to || intervals_add(out, from, to);
}

bool intervals_intersect(const struct intervals *a, const struct intervals *b, struct intervals *out)
{
	size_t i = 0, j = 0;

	while (i < a->count && j < b->count) {
		int64_t start = a->at[i].start > b->at[j].start ? a->at[i].start : b->at[j].start;
		int64_t end = a->at[i].end < b->at[j].end ? a->at[i].end : b->at[j].end;

		if (start < end && !intervals_add(out, start, end))
			return false;
		if (a->at[i].end < b->at[j].end)
			i++;
		else
			j++;
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

bool intervals_deeper(struct intervals *list, size_t most, struct intervals *out)
{
	size_t n = list->count, i = 0, j = 0, depth = 0;
	int64_t *starts = malloc((2 * n + 1) * sizeof *starts), *ends = starts + n;
	int64_t since = 0;
	bool ok = true;

	if (!starts)
		return false;
	for (size_t k = 0; k < n; k++) {
		starts[k] = list->at[k].start;
		ends[k] = list->at[k].end;
	}
	qsort(starts, n, sizeof *starts, by_value);
	qsort(ends, n, sizeof *ends, by_value);
	while (ok && j < n) {
		if (i < n && starts[i] < ends[j]) {
			if (depth++ == most)
				since = starts[i];
			i++;
		} else {
			if (--depth == most && ends[j] > since)
				ok = intervals_add(out, since, ends[j]);
			j++;
		}
	}
	free(starts);
	return ok;
}
