// bench-core: local times and instants, against libical and cctz. Each side gives and takes year to second, as the
// others do; the peers' tables are warm.
#include <cctz/civil_time.h>
#include <cctz/time_zone.h>
#include <libical/ical.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

extern "C" {
#include "calendar/civil.h"
#include "calendar/tz.h"
}

namespace {

using Clock = std::chrono::steady_clock;

bool failed = false;
uint64_t seed = 42;
volatile int64_t sink;

int64_t random_below(int64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return static_cast<int64_t>((seed >> 33) % static_cast<uint64_t>(n));
}

// The best of some rounds, in nanoseconds a conversion.
template <typename F> double best_of(int rounds, size_t n, F body)
{
	double best = 1e18;

	for (int r = 0; r < rounds; r++) {
		auto begin = Clock::now();

		sink = body(n);
		double took = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
		if (took / static_cast<double>(n) < best)
			best = took / static_cast<double>(n);
	}
	return best;
}

cctz::civil_second civil_of(const struct civil &c)
{
	return cctz::civil_second(c.year, c.month, c.day, c.hour, c.minute, c.second);
}

struct icaltimetype ical_of(const struct civil &c, icaltimezone *zone)
{
	struct icaltimetype t = icaltime_null_time();

	t.year = c.year;
	t.month = c.month;
	t.day = c.day;
	t.hour = c.hour;
	t.minute = c.minute;
	t.second = c.second;
	t.zone = zone;
	return t;
}

void row(const char *what, const char *name, double ours, double theirs_ical, double theirs_cctz)
{
	bool good = theirs_ical / ours >= 10 && theirs_cctz / ours >= 3;

	printf("%s %-18s %-20s %5.1f ns, libical %6.0f ns (%.0f x, floor 10), cctz %5.1f ns (%.1f x, floor 3)\n",
	       good ? "  ok" : "FAIL", what, name, ours, theirs_ical, theirs_ical / ours, theirs_cctz, theirs_cctz / ours);
	failed = failed || !good;
}

void bench(const char *name, bool random)
{
	enum { N = 200000, SLOW = 20000 };
	struct tz_zone *zone = tz_read("/usr/share/zoneinfo", name);
	icaltimezone *peer = icaltimezone_get_builtin_timezone(name);
	cctz::time_zone other;
	std::vector<int64_t> instants(N);
	std::vector<struct civil> locals(N);
	std::string suffix = random ? ", random" : ", in order";
	int wrong = 0;

	if (!zone || !peer || !cctz::load_time_zone(name, &other)) {
		printf("FAIL %s is not known to all\n", name);
		failed = true;
		return;
	}
	for (int i = 0; i < N; i++) {
		instants[i] = random ? random_below(INT64_C(2145916800)) : INT64_C(1262304000) + i * INT64_C(3600);
		civil_from_seconds(tz_to_local(zone, instants[i]), &locals[i]);
	}
	for (int i = 0; i < N; i += 7) {
		auto there = cctz::convert(std::chrono::system_clock::from_time_t(instants[i]), other);
		wrong += there != civil_of(locals[i]);
		// an overlap's first time is both libraries' choice, a gap's differs
		wrong += other.lookup(civil_of(locals[i])).kind == cctz::time_zone::civil_lookup::UNIQUE &&
			 tz_to_utc(zone, civil_seconds(&locals[i])) != instants[i];
	}
	if (wrong) {
		printf("FAIL %d of %s differ from cctz\n", wrong, name);
		failed = true;
	}
	double to_local = best_of(5, N, [&](size_t n) {
		int64_t sum = 0;
		for (size_t i = 0; i < n; i++) {
			struct civil c;
			civil_from_seconds(tz_to_local(zone, instants[i]), &c);
			sum += c.hour + c.day;
		}
		return sum;
	});
	double cctz_to_local = best_of(5, N, [&](size_t n) {
		int64_t sum = 0;
		for (size_t i = 0; i < n; i++) {
			auto c = cctz::convert(cctz::time_point<cctz::seconds>(cctz::seconds(instants[i])), other);
			sum += c.hour() + c.day();
		}
		return sum;
	});
	double ical_to_local = best_of(2, SLOW, [&](size_t n) {
		int64_t sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += icaltime_from_timet_with_zone(instants[i], 0, peer).hour;
		return sum;
	});
	row(("to local" + suffix).c_str(), name, to_local, ical_to_local, cctz_to_local);

	double to_utc = best_of(5, N, [&](size_t n) {
		int64_t sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += tz_to_utc(zone, civil_seconds(&locals[i]));
		return sum;
	});
	std::vector<cctz::civil_second> civils(N);
	std::vector<struct icaltimetype> icals(SLOW);
	for (int i = 0; i < N; i++)
		civils[i] = civil_of(locals[i]);
	for (int i = 0; i < SLOW; i++)
		icals[i] = ical_of(locals[i], peer);
	double cctz_to_utc = best_of(5, N, [&](size_t n) {
		int64_t sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += cctz::convert(civils[i], other).time_since_epoch().count();
		return sum;
	});
	double ical_to_utc = best_of(2, SLOW, [&](size_t n) {
		int64_t sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += icaltime_as_timet_with_zone(icals[i], peer);
		return sum;
	});
	row(("to UTC" + suffix).c_str(), name, to_utc, ical_to_utc, cctz_to_utc);
	tz_release(zone);
}

} // namespace

int main()
{
	for (const char *name : { "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata" })
		for (bool random : { true, false })
			bench(name, random);
	return failed;
}
