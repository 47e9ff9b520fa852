/* Sorted runs of entries with the latest end over blocks of them, so that what began long before a window and reaches
 * into it is found without a scan. */
#include "calendar/agenda.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16 };

int entry_order(const struct entry *a, const struct entry *b)
{
	int order;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->event != b->event) {
		order = strcmp(a->event->id, b->event->id);
		if (order)
			return order;
	}
	return (a->original > b->original) - (a->original < b->original);
}

static int by_order(const void *a, const void *b)
{
	return entry_order(a, b);
}

bool run_add(struct run *run, const struct entry *entry)
{
	if (run->count == run->room) {
		size_t room = run->room ? run->room + run->room / 2 : 16;
		struct entry *grown = realloc(run->at, room * sizeof(*grown));

		if (grown == NULL)
			return false;
		run->at = grown;
		run->room = room;
	}
	run->at[run->count++] = *entry;
	run->unsorted = true;
	return true;
}

void run_sweep(struct run *run)
{
	size_t n = 0;

	for (size_t i = 0; i < run->count; i++)
		if (!run->at[i].event->dead)
			run->at[n++] = run->at[i];
	if (n != run->count)
		run->unsorted = true;
	run->count = n;
}

void run_free(struct run *run)
{
	free(run->at);
	free(run->ends);
	*run = (struct run){ 0 };
}

size_t run_bytes(const struct run *run)
{
	return run->room * sizeof(run->at[0]) + (run->count / (BLOCK - 1) + 12) * sizeof(run->ends[0]);
}

/* Most often a few were added to many in order: those are sorted and merged in. */
static bool sort(struct run *run)
{
	struct entry *tail, *copy;
	size_t sorted = 1, n, i, j, k;

	while (sorted < run->count && entry_order(&run->at[sorted - 1], &run->at[sorted]) <= 0)
		sorted++;
	if (sorted >= run->count)
		return true;
	n = run->count - sorted;
	tail = run->at + sorted;
	qsort(tail, n, sizeof(*tail), by_order);
	copy = malloc(n * sizeof(*copy));
	if (copy == NULL)
		return false;
	memcpy(copy, tail, n * sizeof(*copy));
	for (i = sorted, j = n, k = run->count; j > 0; k--) {
		if (i > 0 && entry_order(&run->at[i - 1], &copy[j - 1]) > 0)
			run->at[k - 1] = run->at[--i];
		else
			run->at[k - 1] = copy[--j];
	}
	free(copy);
	return true;
}

bool run_settle(struct run *run)
{
	size_t total = 0, n = run->count, at = 0;
	int64_t *ends;

	if (!run->unsorted)
		return true;
	if (!sort(run))
		return false;
	do {
		n = (n + BLOCK - 1) / BLOCK;
		total += n;
	} while (n > 1);
	ends = realloc(run->ends, (total ? total : 1) * sizeof(*ends));
	if (ends == NULL)
		return false;
	run->ends = ends;
	run->levels = 0;
	for (n = run->count; run->levels == 0 || n > 1; n = (n + BLOCK - 1) / BLOCK) {
		const int64_t *below = run->levels ? ends + run->level_at[run->levels - 1] : NULL;

		run->level_at[run->levels++] = at;
		for (size_t i = 0; i < n; i += BLOCK) {
			int64_t latest = INT64_MIN;

			for (size_t j = i; j < i + BLOCK && j < n; j++) {
				int64_t end = below ? below[j] : run->at[j].end;

				latest = end > latest ? end : latest;
			}
			ends[at++] = latest;
		}
	}
	run->unsorted = false;
	return true;
}

size_t run_from(const struct run *run, int64_t start)
{
	size_t low = 0, high = run->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (run->at[middle].start < start)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t run_behind(const struct run *run, int64_t start, const char *id, int64_t original)
{
	size_t low = 0, high = run->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct entry *e = &run->at[middle];
		int order = e->start != start ? (e->start < start ? -1 : 1) : strcmp(e->event->id, id);

		if (order < 0 || (order == 0 && e->original <= original))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Climbs while whole blocks end too early, and descends into the first that does not. */
size_t run_overlapping(const struct run *run, size_t i, size_t limit, int64_t from)
{
	size_t level = 0, block;

	for (; i < limit && i % BLOCK != 0; i++)
		if (run->at[i].end > from)
			return i;
	if (i >= limit)
		return limit;
	block = i / BLOCK;
	for (;;) {
		size_t width = BLOCK;

		for (size_t k = 0; k < level; k++)
			width *= BLOCK;
		if (block * width >= limit)
			return limit;
		if (run->ends[run->level_at[level] + block] > from) {
			if (level == 0)
				break;
			level--;
			block *= BLOCK;
			continue;
		}
		block++;
		while (level + 1 < run->levels && block % BLOCK == 0) {
			block /= BLOCK;
			level++;
		}
	}
	for (i = block * BLOCK; i < limit; i++)
		if (run->at[i].end > from)
			return i;
	return limit;
}
