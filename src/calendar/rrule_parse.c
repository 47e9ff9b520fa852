/* The text of recurrence rules: reading, and what must not stand together. */
#include "calendar/rrule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct reader {
	struct rrule *rule;
	char *message;
	uint32_t seen;
};

static bool fail(struct reader *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->message, RRULE_MESSAGE, format, args);
	va_end(args);
	return false;
}

static const char *const freq_names[] = { "SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY" };
static const char *const skip_names[] = { "OMIT", "BACKWARD", "FORWARD" };
static const char *const day_names[] = { "SU", "MO", "TU", "WE", "TH", "FR", "SA" };

static int find(const char *const *names, int n, const char *s, size_t len)
{
	for (int i = 0; len && i < n; i++)
		if (((names[i][0] ^ s[0]) & 0x5f) == 0 && strlen(names[i]) == len && strncasecmp(names[i], s, len) == 0)
			return i;
	return -1;
}

/* A signed number that fills [s, s + len). */
static bool number(const char *s, size_t len, int64_t *value)
{
	bool negative = len > 0 && *s == '-';
	size_t i = len > 0 && (*s == '-' || *s == '+') ? 1 : 0;
	int64_t v = 0;

	if (i == len || len - i > 15)
		return false;
	for (; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (s[i] - '0');
	}
	*value = negative ? -v : v;
	return true;
}

static void set_bit(uint64_t *bits, int64_t n)
{
	bits[n / 64] |= UINT64_C(1) << (n % 64);
}

/* The next element of a comma-separated list, without spaces around it. False at the end. */
static bool element(const char **p, const char *end, const char **item, size_t *len)
{
	const char *comma;

	if (*p > end)
		return false;
	comma = memchr(*p, ',', (size_t)(end - *p));
	if (comma == NULL)
		comma = end;
	*item = *p;
	*p = comma + 1;
	while (*item < comma && **item == ' ')
		(*item)++;
	while (comma > *item && comma[-1] == ' ')
		comma--;
	*len = (size_t)(comma - *item);
	return true;
}

/* A list of numbers in low..high, and -high..-low where `back` takes them, as bits. */
static bool numbers(struct reader *r, const char *name, const char *p, size_t len, int low, int high, uint64_t *bits,
		    uint64_t *back)
{
	const char *end = p + len, *item;
	size_t n;
	int64_t v;

	while (element(&p, end, &item, &n)) {
		if (!number(item, n, &v))
			return fail(r, "%s: \"%.*s\" is not a number", name, (int)(n < 40 ? n : 40), item);
		if (v >= low && v <= high)
			set_bit(bits, v);
		else if (back && v <= -low && v >= -high && v != 0)
			set_bit(back, -v);
		else
			return fail(r, "%s: %.*s is out of range", name, (int)(n < 40 ? n : 40), item);
	}
	return true;
}

static bool numbers32(struct reader *r, const char *name, const char *p, size_t len, int low, int high, uint32_t *bits,
		      uint32_t *back)
{
	uint64_t wide = 0, wide_back = 0;

	if (!numbers(r, name, p, len, low, high, &wide, back ? &wide_back : NULL))
		return false;
	*bits = (uint32_t)wide;
	if (back)
		*back = (uint32_t)wide_back;
	return true;
}

/* Months; a leap month of other calendars has an L behind its number. */
static bool months(struct reader *r, const char *p, size_t len)
{
	const char *end = p + len, *item;
	size_t n;
	int64_t v;

	while (element(&p, end, &item, &n)) {
		bool leap = n > 1 && (item[n - 1] == 'L' || item[n - 1] == 'l');

		if (!number(item, n - leap, &v))
			return fail(r, "BYMONTH: \"%.*s\" is not a month", (int)(n < 40 ? n : 40), item);
		if (v < 1 || v > RRULE_MONTH)
			return fail(r, "BYMONTH: %.*s is out of range", (int)(n < 40 ? n : 40), item);
		*(leap ? &r->rule->leap_months : &r->rule->months) |= 1u << v;
	}
	return true;
}

/* The calendars of RFC 7529 that ICU knows by these names (CLDR's), in upper case. */
static const char *const calendars[] = {
	"BUDDHIST",     "CHINESE",          "COPTIC",  "DANGI",    "ETHIOPIC",      "ETHIOPIC-AMETE-ALEM",
	"GREGORIAN",    "HEBREW",           "INDIAN",  "ISLAMIC",  "ISLAMIC-CIVIL", "ISLAMIC-RGSA",
	"ISLAMIC-TBLA", "ISLAMIC-UMALQURA", "ISO8601", "JAPANESE", "PERSIAN",       "ROC",
};

static bool calendar(struct reader *r, const char *name, size_t len)
{
	int index = find(calendars, (int)(sizeof(calendars) / sizeof(calendars[0])), name, len);

	if (index < 0)
		return fail(r, "RSCALE: \"%.*s\" is no calendar that is known", (int)(len < 40 ? len : 40), name);
	strcpy(r->rule->rscale, calendars[index]);
	r->rule->foreign = strcmp(calendars[index], "GREGORIAN") != 0;
	return true;
}

/* What only the years of other calendars have. */
static bool gregorian(struct reader *r)
{
	const struct rrule *rule = r->rule;

	if (rule->leap_months || rule->months >> 13)
		return fail(r, "BYMONTH: %s",
			    rule->leap_months ? "a leap month needs the RSCALE of a calendar that has it"
					      : "13 is out of range");
	if (rule->yeardays[5] >> 47 || rule->yeardays[6] || rule->yeardays_back[5] >> 47 || rule->yeardays_back[6])
		return fail(r, "BYYEARDAY: a number is out of range");
	if (rule->weeks >> 54 || rule->weeks_back >> 54)
		return fail(r, "BYWEEKNO: a number is out of range");
	return true;
}

static bool weekdays(struct reader *r, const char *p, size_t len)
{
	const char *end = p + len, *item;
	size_t n;

	while (element(&p, end, &item, &n)) {
		int day = n >= 2 ? find(day_names, 7, item + n - 2, 2) : -1;
		int64_t nth;

		if (day < 0 || (n > 2 && !number(item, n - 2, &nth)))
			return fail(r, "BYDAY: \"%.*s\" is not a weekday", (int)(n < 40 ? n : 40), item);
		if (n == 2) {
			r->rule->weekdays |= 1u << day;
			continue;
		}
		if (nth == 0 || nth > 53 || nth < -53)
			return fail(r, "BYDAY: %.*s is out of range", (int)(n < 40 ? n : 40), item);
		set_bit(nth > 0 ? &r->rule->nth[day] : &r->rule->nth_back[day], nth > 0 ? nth : -nth);
		r->rule->has_nth = true;
	}
	return true;
}

static bool positive(struct reader *r, const char *name, const char *value, size_t len, int64_t *out)
{
	if (!number(value, len, out) || *out < 1)
		return fail(r, "%s: \"%.*s\" is not a positive number", name, (int)(len < 40 ? len : 40), value);
	return true;
}

enum part {
	FREQ,
	UNTIL,
	COUNT,
	INTERVAL,
	BYSECOND,
	BYMINUTE,
	BYHOUR,
	BYDAY,
	BYMONTHDAY,
	BYYEARDAY,
	BYWEEKNO,
	BYMONTH,
	BYSETPOS,
	WKST,
	RSCALE,
	SKIP,
	PARTS
};

static const char *const part_names[] = { "FREQ",     "UNTIL", "COUNT",      "INTERVAL",  "BYSECOND", "BYMINUTE",
					  "BYHOUR",   "BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH",
					  "BYSETPOS", "WKST",  "RSCALE",     "SKIP" };

static bool read_part(struct reader *r, int part, const char *v, size_t n)
{
	struct rrule *rule = r->rule;
	int index;

	switch (part) {
	case FREQ:
		index = find(freq_names, 7, v, n);
		rule->freq = (enum rrule_freq)index;
		return index >= 0 || fail(r, "FREQ: \"%.*s\" is not a frequency", (int)(n < 40 ? n : 40), v);
	case UNTIL:
		rule->has_until = civil_parse(v, n, &rule->until);
		return rule->has_until || fail(r, "UNTIL: \"%.*s\" is not a time", (int)(n < 40 ? n : 40), v);
	case COUNT:
		rule->has_count = number(v, n, &rule->count) && rule->count >= 0; /* 0 is a set without members */
		return rule->has_count || fail(r, "COUNT: \"%.*s\" is not a number", (int)(n < 40 ? n : 40), v);
	case INTERVAL:
		return positive(r, "INTERVAL", v, n, &rule->interval);
	case BYSECOND:
		return numbers(r, "BYSECOND", v, n, 0, 60, &rule->seconds, NULL);
	case BYMINUTE:
		return numbers(r, "BYMINUTE", v, n, 0, 59, &rule->minutes, NULL);
	case BYHOUR:
		return numbers(r, "BYHOUR", v, n, 0, 23, &rule->hours, NULL);
	case BYDAY:
		return weekdays(r, v, n);
	case BYMONTHDAY:
		return numbers32(r, "BYMONTHDAY", v, n, 1, 31, &rule->monthdays, &rule->monthdays_back);
	case BYYEARDAY:
		rule->has_yeardays = true;
		return numbers(r, "BYYEARDAY", v, n, 1, RRULE_YEARDAY, rule->yeardays, rule->yeardays_back);
	case BYWEEKNO:
		return numbers(r, "BYWEEKNO", v, n, 1, RRULE_WEEK, &rule->weeks, &rule->weeks_back);
	case BYMONTH:
		return months(r, v, n);
	case BYSETPOS:
		rule->has_positions = true;
		return numbers(r, "BYSETPOS", v, n, 1, 366, rule->positions, rule->positions_back);
	case WKST:
		rule->wkst = find(day_names, 7, v, n);
		return rule->wkst >= 0 || fail(r, "WKST: \"%.*s\" is not a weekday", (int)(n < 40 ? n : 40), v);
	case RSCALE:
		return calendar(r, v, n);
	default:
		index = find(skip_names, 3, v, n);
		rule->skip = (enum rrule_skip)index;
		return index >= 0 ||
		       fail(r, "SKIP: \"%.*s\" is not one of OMIT, BACKWARD, FORWARD", (int)(n < 40 ? n : 40), v);
	}
}

bool rrule_parse(const char *text, size_t len, struct rrule *rule, char message[RRULE_MESSAGE])
{
	struct reader r = { rule, message, 0 };
	const char *p = text, *end = text + len;

	*rule = (struct rrule){ .interval = 1, .wkst = 1 };
	if (len > 6 && strncasecmp(p, "RRULE:", 6) == 0)
		p += 6;
	if (len > RRULE_TEXT)
		return fail(&r, "the rule is longer than %d characters", RRULE_TEXT);
	while (p < end) {
		const char *stop = memchr(p, ';', (size_t)(end - p)), *equals, *value;
		size_t name_len;
		int part;

		if (stop == NULL)
			stop = end;
		while (p < stop && *p == ' ')
			p++;
		if (p == stop) { /* an empty part, as some write at the end */
			p = stop + 1;
			continue;
		}
		equals = memchr(p, '=', (size_t)(stop - p));
		if (equals == NULL)
			return fail(&r, "\"%.*s\" has no value", (int)(stop - p < 40 ? stop - p : 40), p);
		name_len = (size_t)(equals - p);
		value = equals + 1;
		part = find(part_names, PARTS, p, name_len);
		while (value < stop && *value == ' ')
			value++;
		if (part >= 0) {
			const char *last = stop;

			while (last > value && last[-1] == ' ')
				last--;
			if (r.seen & 1u << part)
				return fail(&r, "%s stands twice", part_names[part]);
			if (!read_part(&r, part, value, (size_t)(last - value)))
				return false;
			r.seen |= 1u << part;
		} else if (name_len < 2 || strncasecmp(p, "X-", 2) != 0) {
			return fail(&r, "\"%.*s\" is not a part of a rule", (int)(name_len < 40 ? name_len : 40), p);
		}
		p = stop + 1;
	}
	if (!(r.seen & 1u << FREQ))
		return fail(&r, "the rule has no FREQ");
	return rule->foreign || gregorian(&r);
}

bool rrule_strict(const struct rrule *rule, bool date, char message[RRULE_MESSAGE])
{
	struct reader r = { NULL, message, 0 };
	bool by_period = rule->freq == RRULE_YEARLY || rule->freq == RRULE_MONTHLY;
	bool other = rule->hours || rule->minutes || rule->seconds || rule->months || rule->leap_months ||
		     rule->monthdays || rule->monthdays_back || rule->weeks || rule->weeks_back || rule->has_yeardays ||
		     rule->weekdays || rule->has_nth;

	if (rule->has_count && rule->count == 0)
		return fail(&r, "COUNT must not be 0");
	if (rule->has_count && rule->has_until)
		return fail(&r, "COUNT and UNTIL must not stand together");
	if (rule->has_nth && !by_period)
		return fail(&r, "BYDAY with a number needs FREQ=MONTHLY or YEARLY");
	if (rule->has_nth && (rule->weeks || rule->weeks_back))
		return fail(&r, "BYDAY with a number must not stand with BYWEEKNO");
	if ((rule->weeks || rule->weeks_back) && rule->freq != RRULE_YEARLY)
		return fail(&r, "BYWEEKNO needs FREQ=YEARLY");
	if (rule->has_yeardays && rule->freq >= RRULE_DAILY && rule->freq <= RRULE_MONTHLY)
		return fail(&r, "BYYEARDAY must not stand with FREQ=DAILY, WEEKLY or MONTHLY");
	if ((rule->monthdays || rule->monthdays_back) && rule->freq == RRULE_WEEKLY)
		return fail(&r, "BYMONTHDAY must not stand with FREQ=WEEKLY");
	if (rule->has_positions && !other)
		return fail(&r, "BYSETPOS needs another BY part");
	if (rule->has_until && rule->until.date != date)
		return fail(&r, "UNTIL must be a %s as DTSTART is", date ? "DATE" : "DATE-TIME");
	if (rule->skip != RRULE_OMIT && rule->rscale[0] == '\0')
		return fail(&r, "SKIP needs RSCALE");
	if (date && (rule->freq < RRULE_DAILY || rule->hours || rule->minutes || rule->seconds))
		return fail(&r, "%s must not stand with a DTSTART that is a DATE",
			    rule->freq < RRULE_DAILY ? part_names[FREQ]
			    : rule->hours            ? "BYHOUR"
			    : rule->minutes          ? "BYMINUTE"
						     : "BYSECOND");
	return true;
}
