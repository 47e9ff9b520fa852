/* Fuzzes the reader of compiled time zones and of POSIX TZ strings: what is accepted answers everywhere, its stretches
 * follow one another, and instants come back from the local times that they have. */
#include "calendar/civil.h"
#include "calendar/tz.h"

#include <stdlib.h>
#include <string.h>

/* Whether the stretches around an instant are so long that no local time is in the gap of one change and behind another. */
static bool is_apart(const struct tz_zone *zone, const struct tz_segment *s)
{
	const int64_t far = 2 * 26 * 3600;
	struct tz_segment before;

	if (s->start == INT64_MIN)
		return true;
	if (s->end != INT64_MAX && s->end - s->start < far)
		return false;
	tz_segment_at(zone, s->start - 1, &before);
	return before.start == INT64_MIN || before.end - before.start >= far;
}

static void check_instant(const struct tz_zone *zone, int64_t t)
{
	struct tz_segment s, again;
	int64_t local, back;

	tz_segment_at(zone, t, &s);
	if (t < s.start || t >= s.end || strlen(s.abbreviation) > 1024)
		abort();
	local = tz_to_local(zone, t);
	if (local != t + s.offset)
		abort();
	back = tz_to_utc(zone, local);
	/* of two instants with one local time the first is given */
	if (back > t && is_apart(zone, &s))
		abort();
	tz_segment_at(zone, back, &again);
	if (back != t && back + again.offset != local && back >= s.start && is_apart(zone, &s))
		abort();
}

static void check(const struct tz_zone *zone)
{
	static const int64_t instants[] = {
		CIVIL_BEGIN + 4 * CIVIL_DAY,
		-5364662400,
		-2147483648,
		-1,
		0,
		1,
		1741503600,
		2147483647,
		4102444800,
		7258118400,
		7289654400,
		CIVIL_END - 4 * CIVIL_DAY,
	};
	struct tz_segment s;
	int64_t t = CIVIL_BEGIN + 4 * CIVIL_DAY;

	for (size_t i = 0; i < sizeof instants / sizeof *instants; i++)
		check_instant(zone, instants[i]);
	for (int steps = 0; steps < 5000; steps++) {
		tz_segment_at(zone, t, &s);
		if (s.end >= CIVIL_END - 4 * CIVIL_DAY)
			break;
		if (s.end <= t)
			abort();
		check_instant(zone, s.end - 1);
		check_instant(zone, s.end);
		t = s.end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[TZ_NAME_MAX];
	struct tz_zone *zone;

	if (size > 0 && data[0] == '/') {
		size_t n = size < sizeof name ? size : sizeof name - 1;

		memcpy(name, data, n);
		name[n] = '\0';
		zone = tz_from_posix(name);
	} else {
		zone = tz_parse("Test/Zone", data, size);
	}
	if (zone)
		check(zone);
	tz_release(zone);
	return 0;
}
