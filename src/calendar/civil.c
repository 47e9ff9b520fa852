/* Arithmetic on civil dates and the two spellings of times, extended (RFC 3339) and basic (RFC 5545). */
#include "calendar/civil.h"

bool civil_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int civil_month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && civil_leap(year) ? 29 : days[month - 1];
}

static bool digits(const char *s, size_t n, int *value)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (s[i] - '0');
	}
	*value = v;
	return true;
}

/* The time behind the T: hours, minutes and perhaps seconds. Returns the characters read. */
static size_t read_clock(const char *s, size_t len, struct civil *c)
{
	bool extended = len > 2 && s[2] == ':';
	size_t step = extended ? 3 : 2, at = step + 2;

	if (len < at || !digits(s, 2, &c->hour) || !digits(s + step, 2, &c->minute))
		return 0;
	c->second = 0;
	if (extended ? len >= 8 && s[5] == ':' : len >= 6 && s[4] >= '0' && s[4] <= '9') {
		if (!digits(s + 2 * step, 2, &c->second))
			return 0;
		at = 2 * step + 2;
		if (at + 1 < len && s[at] == '.' && s[at + 1] >= '0' && s[at + 1] <= '9')
			for (at++; at < len && s[at] >= '0' && s[at] <= '9';)
				at++;
	}
	if (c->hour > 23 || c->minute > 59 || c->second > 60)
		return 0;
	if (c->second == 60)
		c->second = 59;
	return at;
}

size_t civil_read(const char *text, size_t len, struct civil *c)
{
	bool extended = len > 4 && text[4] == '-';
	size_t step = extended ? 1 : 0, at = 8 + 2 * step, clock;

	*c = (struct civil){ 0 };
	if (len < at || !digits(text, 4, &c->year) || !digits(text + 4 + step, 2, &c->month) ||
	    !digits(text + 6 + 2 * step, 2, &c->day) || (extended && text[7] != '-'))
		return 0;
	if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > civil_month_days(c->year, c->month))
		return 0;
	if (at == len || (text[at] != 'T' && text[at] != 't')) {
		c->date = true;
		return at;
	}
	clock = read_clock(text + at + 1, len - at - 1, c);
	if (clock == 0)
		return 0;
	at += 1 + clock;
	if (at < len && (text[at] == 'Z' || text[at] == 'z')) {
		c->utc = true;
		at++;
	}
	return at;
}

bool civil_parse(const char *text, size_t len, struct civil *c)
{
	return len > 0 && civil_read(text, len, c) == len;
}

static char *put(char *out, int value, int width)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		out[i] = (char)('0' + value % 10);
	return out + width;
}

size_t civil_format(int64_t local, bool date, bool utc, char *out)
{
	struct civil c;
	char *p = out;

	if (local < CIVIL_BEGIN)
		local = CIVIL_BEGIN;
	if (local >= CIVIL_END)
		local = CIVIL_END - 1;
	civil_from_seconds(local, &c);
	p = put(p, c.year, 4);
	*p++ = '-';
	p = put(p, c.month, 2);
	*p++ = '-';
	p = put(p, c.day, 2);
	if (!date) {
		*p++ = 'T';
		p = put(p, c.hour, 2);
		*p++ = ':';
		p = put(p, c.minute, 2);
		*p++ = ':';
		p = put(p, c.second, 2);
		if (utc)
			*p++ = 'Z';
	}
	*p = '\0';
	return (size_t)(p - out);
}

bool civil_parse_duration(const char *text, size_t len, struct civil_duration *d)
{
	size_t i = 0;
	int64_t sign = 1;
	bool time = false, any = false;

	d->days = d->seconds = 0;
	if (i < len && (text[i] == '+' || text[i] == '-'))
		sign = text[i++] == '-' ? -1 : 1;
	if (i == len || text[i++] != 'P')
		return false;
	while (i < len) {
		int64_t n = 0;
		size_t start = i;

		if (text[i] == 'T') {
			if (time)
				return false;
			time = true;
			i++;
			continue;
		}
		for (; i < len && text[i] >= '0' && text[i] <= '9' && i - start < 10; i++)
			n = n * 10 + (text[i] - '0');
		if (i == start || i == len)
			return false;
		switch (text[i++]) {
		case 'W':
			d->days += 7 * n;
			break;
		case 'D':
			d->days += n;
			break;
		case 'H':
			d->seconds += 3600 * n;
			break;
		case 'M':
			d->seconds += 60 * n;
			break;
		case 'S':
			d->seconds += n;
			break;
		default:
			return false;
		}
		/* nothing lasts longer than the calendar that is reckoned with, and sums stay far from their bounds */
		if (d->days > CIVIL_END / CIVIL_DAY || d->seconds > CIVIL_END)
			return false;
		if (time != (text[i - 1] == 'H' || text[i - 1] == 'M' || text[i - 1] == 'S'))
			return false;
		any = true;
	}
	d->days *= sign;
	d->seconds *= sign;
	return any;
}
