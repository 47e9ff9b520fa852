/* bench-core: unions of unsorted intervals against the C library's qsort and a merge, and the search for slots. */
#include "calendar/intervals.h"
#include "calendar/slots.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALENDARS = 10, BUSY = 200, DAYS = 90, DAY = 86400 };

static int failed;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t seed = 42;

static int64_t random_below(int64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)((seed >> 33) % (uint64_t)n);
}

static int by_start(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static size_t sort_and_merge(struct interval *v, size_t n)
{
	size_t kept = 0;

	qsort(v, n, sizeof *v, by_start);
	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && v[i].start <= v[kept - 1].end) {
			if (v[i].end > v[kept - 1].end)
				v[kept - 1].end = v[i].end;
		} else {
			v[kept++] = v[i];
		}
	}
	return kept;
}

/* Intervals of 15 minutes to 4 hours over as many years as leave gaps between them. */
static void fill(struct intervals *list, size_t n)
{
	int64_t span = (int64_t)n * 9000;

	if (span > INT64_C(4000000000))
		span = INT64_C(4000000000);
	list->count = 0;
	if (!intervals_reserve(list, n))
		abort();
	for (size_t i = 0; i < n; i++) {
		int64_t start = random_below(span);

		list->at[list->count++] = (struct interval){ start, start + 900 + random_below(13500) };
	}
}

static void bench_union(size_t n, int rounds, double floor)
{
	struct intervals input = { NULL, 0, 0 }, ours = { NULL, 0, 0 };
	struct interval *theirs = malloc(n * sizeof *theirs);
	double best = 1e9, peer = 1e9;
	size_t expected = 0;

	fill(&input, n);
	if (!theirs || !intervals_reserve(&ours, n))
		abort();
	for (int r = 0; r < rounds; r++) {
		double begin;

		memcpy(theirs, input.at, n * sizeof *theirs);
		begin = now();
		expected = sort_and_merge(theirs, n);
		if (now() - begin < peer)
			peer = now() - begin;
		memcpy(ours.at, input.at, n * sizeof *theirs);
		ours.count = n;
		begin = now();
		if (!intervals_union(&ours))
			abort();
		if (now() - begin < best)
			best = now() - begin;
	}
	if (ours.count != expected || memcmp(ours.at, theirs, expected * sizeof *theirs) != 0) {
		printf("FAIL the unions differ\n");
		failed = 1;
	}
	printf("%s union of %zu unsorted intervals (%zu remain): %.2f ms, qsort and merge %.2f ms, ratio %.1f (floor %.0f)\n",
	       peer / best >= floor ? "  ok" : "FAIL", n, expected, best * 1e3, peer * 1e3, peer / best, floor);
	failed |= peer / best < floor;
	intervals_free(&input);
	intervals_free(&ours);
	free(theirs);
}

/* What a search by the minute finds: the starts on the grid at which every minute of an hour is free. */
static size_t by_the_minute(const struct interval *busy, size_t n, int64_t from)
{
	static char taken[DAYS * 1440 + 60];
	size_t found = 0;

	memset(taken, 0, sizeof taken);
	for (size_t i = 0; i < n; i++)
		for (int64_t m = (busy[i].start - from) / 60; m < (busy[i].end - from) / 60 && m < DAYS * 1440; m++)
			taken[m] = 1;
	for (int m = 0; m + 60 <= DAYS * 1440; m += 15)
		found += memchr(taken + m, 1, 60) == NULL;
	return found;
}

static void bench_slots(void)
{
	int64_t from = 1740787200;
	struct slots_question q = { .duration = 3600, .increment = 900, .from = from, .to = from + DAYS * DAY };
	struct interval busy[CALENDARS * BUSY], window = { q.from, q.to };
	struct intervals windows = { &window, 1, 1 }, forbidden = { NULL, 0, 0 }, out = { NULL, 0, 0 };
	double best = 1e9;
	size_t expected;

	for (size_t i = 0; i < CALENDARS * BUSY; i++) {
		busy[i].start = from + random_below(DAYS * 96) * 900;
		busy[i].end = busy[i].start + 900 * (1 + random_below(8));
	}
	for (int r = 0; r < 2000; r++) {
		double begin = now();

		forbidden.count = out.count = 0;
		if (!intervals_reserve(&forbidden, CALENDARS * BUSY))
			abort();
		for (size_t i = 0; i < CALENDARS * BUSY; i++)
			slots_forbid(&q, busy[i].start, busy[i].end, &forbidden);
		if (!intervals_union(&forbidden) || !slots_find(&q, &windows, &forbidden, &out))
			abort();
		if (now() - begin < best)
			best = now() - begin;
	}
	expected = by_the_minute(busy, CALENDARS * BUSY, from);
	if (out.count != expected) {
		printf("FAIL %zu slots instead of %zu\n", out.count, expected);
		failed = 1;
	}
	printf("%s slots of 10 calendars with 200 busy times, 90 days, every 15 minutes (%zu slots): %.1f us (at most 50)\n",
	       best <= 50e-6 ? "  ok" : "FAIL", out.count, best * 1e6);
	failed |= best > 50e-6;
	intervals_free(&forbidden);
	intervals_free(&out);
}

int main(void)
{
	bench_union(100000, 15, 12);
	bench_union(10000000, 3, 12);
	bench_slots();
	return failed;
}
