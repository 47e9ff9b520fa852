/* Recurrence rules: the parser, and the expander against the period-by-period walk that SKIP uses, which must give the
 * same times. The input is eight bytes for the start and the window, then the rule. */
#include "calendar/rrule.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 200 };

static void compare(const struct rrule *rule, int64_t start, bool date, int64_t from)
{
	struct rrule_skip_iter *walk = malloc(sizeof(*walk));
	struct rrule_iter *it = malloc(sizeof(*it));
	int64_t slow[MOST], fast[MOST];
	size_t nslow = 0, nfast = 0, n;

	rrule_iter_init(it, rule, start, date, from);
	while (nfast < MOST && (n = rrule_iter_fill(it, fast + nfast, MOST - nfast)) > 0)
		nfast += n;
	for (size_t i = 0; i < nfast; i++)
		if (fast[i] < start || fast[i] < from || fast[i] >= CIVIL_END || (i > 0 && fast[i] <= fast[i - 1]))
			abort();
	if (rule->has_count && (int64_t)nfast > rule->count)
		abort();
	rrule_skip_init(walk, rule, start, date, from);
	walk->budget = 20000; /* the walk is slow; what it did not reach is not compared */
	while (nslow < MOST && walk->budget > 0 && rrule_skip_next(walk, &slow[nslow])) {
		if (walk->budget > 20000)
			walk->budget = 20000;
		nslow++;
	}
	if ((nslow > nfast && rule->skip == RRULE_OMIT) ||
	    memcmp(slow, fast, (nslow < nfast ? nslow : nfast) * sizeof(slow[0])) != 0)
		abort();
	free(walk);
	free(it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char message[RRULE_MESSAGE];
	struct rrule rule;
	uint32_t start, from;

	if (size < 8 || size > 2000)
		return 0;
	memcpy(&start, data, 4);
	memcpy(&from, data + 4, 4);
	if (!rrule_parse((const char *)data + 8, size - 8, &rule, message) || rule.foreign)
		return 0;
	rrule_strict(&rule, start & 1, message);
	if (rule.interval > 100000 || rule.count > 5000)
		return 0;
	compare(&rule, start & 1 ? (int64_t)(start / CIVIL_DAY) * CIVIL_DAY : start, start & 1,
		from & 1 ? INT64_MIN : (int64_t)from);
	return 0;
}
