/* bench-core: recurrence rules of bench/core/rules.tsv to instants in C, parsing included, against rrule-rust and
 * libical; and what an occurrence costs as there are more of them. */
#include "calendar/rrule.h"

#include <lauxlib.h>
#include <libical/ical.h>
#include <lua.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RULES = 40, MOST = 1 << 20 };

struct row {
	char name[64], kind[16], start[32], zone[64], rule[256];
};

static struct row rows[RULES];
static int nrows, failed;
static int64_t out[MOST];
static lua_State *lua;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void read_rows(void)
{
	FILE *file = fopen("bench/core/rules.tsv", "r");
	char line[512];

	while (file && nrows < RULES && fgets(line, sizeof(line), file)) {
		struct row *r = &rows[nrows];

		if (sscanf(line, "%63[^\t]\t%15[^\t]\t%31[^\t]\t%63[^\t]\t%255[^\n]", r->name, r->kind, r->start,
			   r->zone, r->rule) == 5)
			nrows++;
	}
	if (file)
		fclose(file);
}

/* Text in, instants out: what a caller without anything prepared does, but for the zone, which is read once. */
static size_t ours(const struct row *r, int64_t *to, size_t room)
{
	struct civil start;
	struct rrule rule;
	char message[RRULE_MESSAGE];
	struct tz_zone *zone = strcmp(r->zone, "UTC") == 0 ? NULL : tz_acquire(tz_cache_of(lua), r->zone);
	struct recur_set *set;
	struct recur_iter *it;
	size_t n = 0, got;

	if (!civil_parse(r->start, strlen(r->start), &start) || !rrule_parse(r->rule, strlen(r->rule), &rule, message))
		return 0;
	set = recur_set_new(&start, zone);
	recur_set_rule(set, &rule, r->rule, strlen(r->rule), false);
	recur_set_seal(set);
	it = recur_iter_new(set, INT64_MIN);
	while (n < room && (got = recur_iter_fill(it, to + n, room - n)) > 0)
		n += got;
	tz_to_utc_run(recur_set_zone(set), to, n);
	recur_iter_free(it);
	recur_set_free(set);
	tz_release(zone);
	return n;
}

static double time_ours(const struct row *r, size_t *n)
{
	double best = 1e18, end = now() + 3e7;

	do {
		double began = now(), took;
		int times = 0;

		do
			*n = ours(r, out, MOST);
		while (++times < 1000 && now() - began < 1e6);
		took = (now() - began) / times;
		best = took < best ? took : best;
	} while (now() < end);
	return best;
}

/* libical, through its own conversion to instants. */
static size_t run_libical(const struct row *r)
{
	icaltimezone *zone = icaltimezone_get_builtin_timezone(r->zone);
	icaltimetype start = icaltime_from_string(r->start), t;
	struct icalrecurrencetype rule = icalrecurrencetype_from_string(r->rule);
	icalrecur_iterator *it;
	size_t n = 0;

	if (strcmp(r->zone, "UTC") != 0)
		icaltime_set_timezone(&start, zone);
	it = icalrecur_iterator_new(rule, start);
	while (it && n < MOST) {
		t = icalrecur_iterator_next(it);
		if (icaltime_is_null_time(t))
			break;
		out[n++] = (int64_t)icaltime_as_timet_with_zone(t, strcmp(r->zone, "UTC") ? zone : NULL);
	}
	if (it)
		icalrecur_iterator_free(it);
	return n;
}

/* In a process of its own, which ends after two seconds: some rules keep libical for ever. -1 then. */
static double time_libical(const struct row *r, size_t *n)
{
	struct {
		double ns;
		size_t n;
	} answer = { -1, 0 };
	int ends[2];
	pid_t child;

	if (pipe(ends) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		double began;

		alarm(2);
		answer.n = run_libical(r);
		began = now();
		answer.n = run_libical(r);
		answer.ns = now() - began;
		_exit(write(ends[1], &answer, sizeof(answer)) != (ssize_t)sizeof(answer));
	}
	close(ends[1]);
	if (read(ends[0], &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		answer.ns = -1;
	close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	*n = answer.n;
	return answer.ns;
}

static double time_node(const char *peer, const struct row *r, long *n)
{
	char command[700];
	double ns = -1;
	FILE *from;

	snprintf(command, sizeof(command), "timeout -s KILL 4 node bench/core/peers.mjs %s '%s' '%s' '%s' 2>/dev/null",
		 peer, r->start, r->zone, r->rule);
	from = popen(command, "r");
	*n = -1;
	if (from == NULL || fscanf(from, "%lf %ld", &ns, n) != 2)
		ns = -1;
	if (from)
		pclose(from);
	return ns;
}

static void gate(const char *what, double ratio, double floor)
{
	bool ok = ratio >= floor;

	printf("%-58s %10.0f x  floor %5.0f  %s\n", what, ratio, floor, ok ? "ok" : "BELOW");
	failed += !ok;
}

/* An absolute figure: of one machine, so that most are only told. */
static void figure(const char *what, double value, double most, const char *unit, bool binding)
{
	bool ok = value <= most;

	printf("%-58s %10.3f %-2s most  %5.3g  %s\n", what, value, unit, most, ok ? "ok" : binding ? "ABOVE" : "above");
	failed += !ok && binding;
}

struct mean {
	double logs;
	int n;
};

static void add(struct mean *m, double ratio)
{
	m->logs += log(ratio);
	m->n++;
}

static double value(const struct mean *m)
{
	return m->n ? exp(m->logs / m->n) : 0;
}

static void flat(void)
{
	static const struct row dense[] = {
		{ "every minute", "", "20260105T083000", "America/New_York", "FREQ=MINUTELY" },
		{ "every day", "", "20260105T083000", "America/New_York", "FREQ=DAILY" },
		{ "last working day", "", "19000131T083000", "America/New_York",
		  "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1" },
	};

	printf("\nns an occurrence, by how many there are (UTC offsets included)\n");
	for (size_t i = 0; i < sizeof(dense) / sizeof(dense[0]); i++) {
		printf("%-24s", dense[i].name);
		for (size_t n = 100; n <= 1000000; n *= 10) {
			double best = 1e18;
			size_t got = 0;

			for (int k = 0; k < 20; k++) {
				double began = now();

				got = ours(&dense[i], out, n);
				best = now() - began < best ? now() - began : best;
			}
			if (got == n)
				printf("  10^%d %6.2f", (int)(log10((double)n) + .5), best / (double)n);
		}
		printf("\n");
	}
}

/* What stays in memory, whatever the number of occurrences. */
static void memory(void)
{
	struct civil start = { .year = 2026, .month = 1, .day = 5 };
	struct recur_set *set = recur_set_new(&start, NULL);
	const char text[] = "FREQ=DAILY";
	char message[RRULE_MESSAGE];
	struct rrule rule;
	struct recur_iter *it;

	rrule_parse(text, strlen(text), &rule, message);
	recur_set_rule(set, &rule, text, strlen(text), false);
	recur_set_seal(set);
	it = recur_iter_new(set, INT64_MIN);
	printf("memory: a set of one rule %zu bytes, an iterator over it %zu, 8 an instant\n", recur_set_size(set),
	       malloc_usable_size(it));
	recur_iter_free(it);
	recur_set_free(set);
}

int main(void)
{
	struct mean rust = { 0, 0 }, positions = { 0, 0 }, libical = { 0, 0 }, rare = { 0, 0 };
	double slowest = 0, slowest_position = 0, densest = 0;

	lua = luaL_newstate();
	read_rows();
	printf("%-26s %9s %10s %9s %12s %8s %12s %8s\n", "rule", "times", "ns a rule", "ns each", "rrule-rust", "ratio",
	       "libical", "ratio");
	for (int i = 0; i < nrows; i++) {
		const struct row *r = &rows[i];
		size_t n, libical_n;
		long rust_n;
		double t = time_ours(r, &n), l = time_libical(r, &libical_n), p = time_node("rust", r, &rust_n);
		bool common = strcmp(r->kind, "typical") == 0;

		fflush(stdout);
		printf("%-26s %9zu %10.0f %9.2f ", r->name, n, t, n ? t / (double)n : t);
		if (p > 0)
			printf("%12.0f %8.0f ", p, p / t);
		else
			printf("%12s %8s ", "over 4 s", "");
		if (l > 0)
			printf("%12.0f %8.0f", l, l / t);
		else
			printf("%12s %8s", "over 2 s", "");
		if (p > 0 && rust_n != (long)n)
			printf("  rrule-rust counts %ld", rust_n);
		if (l > 0 && libical_n != n)
			printf("  libical counts %zu", libical_n);
		printf("\n");
		if (common || strcmp(r->kind, "position") == 0) {
			if (p > 0)
				add(common ? &rust : &positions, p / t);
			if (l > 0)
				add(&libical, l / t);
			if (common && n > 1000 && t / (double)n > densest)
				densest = t / (double)n;
		} else {
			add(&rare, (p > 0 ? p : 4e9) / t);
			if (strstr(r->rule, "BYSETPOS") && t > slowest_position)
				slowest_position = t;
			else if (!strstr(r->rule, "BYSETPOS") && t > slowest)
				slowest = t;
		}
	}
	printf("\n");
	gate("typical rules, to instants in C, against rrule-rust", value(&rust), 30);
	gate("BYSETPOS, against rrule-rust", value(&positions), 10);
	gate("typical rules, to instants in C, against libical", value(&libical), 300);
	gate("rare and impossible rules, against rrule-rust", value(&rare), 20);
	figure("dense rules, an occurrence, in C", densest, 5, "ns", false);
	figure("rare and impossible rules, each", slowest / 1e6, 0.5, "ms", true);
	figure("the same with BYSETPOS", slowest_position / 1e6, 2, "ms", true);
	memory();
	flat();
	lua_close(lua);
	return failed > 0;
}
