/* What people and programs write where an IANA zone is meant: Windows names, links, TZIDs with a vendor's prefix, other
 * letter case, display names such as `(UTC+01:00) Amsterdam, Berlin`. */
#include "calendar/civil.h"
#include "calendar/tz.h"
#include "calendar/windows_zones.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX = 160 };

/* Names that are in use and in no table of CLDR. */
static const char *const other_names[][2] = {
	{ "Z", "UTC" },
	{ "Coordinated Universal Time", "UTC" },
	{ "tzone://Microsoft/Utc", "UTC" },
	{ "Greenwich Mean Time", "Europe/London" },
	{ "Kamchatka Standard Time", "Asia/Kamchatka" },
	{ "Mid-Atlantic Standard Time", "Etc/GMT+2" },
	{ "Mexico Standard Time", "America/Mexico_City" },
	{ "Mexico Standard Time 2", "America/Chihuahua" },
	{ "Armenian Standard Time", "Asia/Yerevan" },
	{ "Malay Peninsula Standard Time", "Asia/Singapore" },
	{ "Central European Standard Time", "Europe/Warsaw" },
	{ "Central European Time", "Europe/Berlin" },
	{ "Eastern European Time", "Europe/Athens" },
	{ "Western European Time", "Europe/Lisbon" },
};

const char *tz_windows_to_iana(const char *windows, size_t len)
{
	for (size_t i = 0; i < sizeof(windows_zones) / sizeof(windows_zones[0]); i++)
		if (strlen(windows_zones[i].windows) == len && strncasecmp(windows_zones[i].windows, windows, len) == 0)
			return windows_zones[i].iana;
	return NULL;
}

const char *tz_windows_name(const char *iana)
{
	char word[TZ_NAME_MAX + 2];

	if ((size_t)snprintf(word, sizeof(word), " %s ", iana) >= sizeof(word))
		return NULL;
	for (size_t i = 0; i < sizeof(windows_zones) / sizeof(windows_zones[0]); i++)
		if (strstr(windows_zones[i].members, word))
			return windows_zones[i].windows;
	return NULL;
}

static bool take(const char *name, char out[TZ_NAME_MAX])
{
	if (strlen(name) >= TZ_NAME_MAX)
		return false;
	strcpy(out, name);
	return true;
}

/* A name of the IANA database in any letter case. */
static bool by_iana(struct tz_cache *cache, const char *text, char out[TZ_NAME_MAX])
{
	struct tz_zone *zone = tz_acquire(cache, text);

	if (zone) {
		tz_release(zone);
		return take(text, out);
	}
	for (const char *name = tz_cache_names(cache); *name;) {
		const char *target = name + strlen(name) + 1;

		if (strcasecmp(name, text) == 0)
			return take(name, out);
		name = target + strlen(target) + 1;
	}
	return false;
}

/* A Windows name, also without or with the other season's ending. */
static bool by_windows(const char *text, char out[TZ_NAME_MAX])
{
	static const char *const endings[] = { "", " Standard Time", " Daylight Time", " Summer Time", " Time" };
	size_t len = strlen(text);
	char standard[TEXT_MAX + 16];
	const char *found = tz_windows_to_iana(text, len);

	for (size_t i = 0; found == NULL && i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t n = strlen(endings[i]);

		if (len <= n || strcasecmp(text + len - n, endings[i]) != 0)
			continue;
		snprintf(standard, sizeof(standard), "%.*s Standard Time", (int)(len - n), text);
		found = tz_windows_to_iana(standard, strlen(standard));
	}
	for (size_t i = 0; found == NULL && i < sizeof(other_names) / sizeof(other_names[0]); i++)
		if (strcasecmp(text, other_names[i][0]) == 0)
			found = other_names[i][1];
	return found && take(found, out);
}

/* `+01:00`, `+0100`, `+1` at the start of the text. Returns the characters read. */
static size_t read_offset(const char *text, int *seconds)
{
	int hours = 0, minutes = 0, n = 1, sign = *text == '-' ? -1 : 1;

	if (*text != '+' && *text != '-')
		return 0;
	for (; n < 3 && text[n] >= '0' && text[n] <= '9'; n++)
		hours = hours * 10 + (text[n] - '0');
	if (n == 1 || hours > 15)
		return 0;
	if (text[n] == ':')
		n++;
	if (text[n] >= '0' && text[n] <= '5' && text[n + 1] >= '0' && text[n + 1] <= '9') {
		minutes = (text[n] - '0') * 10 + (text[n + 1] - '0');
		n += 2;
	}
	*seconds = sign * (hours * 3600 + minutes * 60);
	return (size_t)n;
}

static bool same_offset(struct tz_cache *cache, const char *name, int offset)
{
	struct tz_zone *zone = tz_acquire(cache, name);
	bool same = zone && tz_footer_of(zone)->known && tz_footer_of(zone)->std_offset == offset;

	tz_release(zone);
	return same;
}

/* The zone named after a city, if its standard time has the offset that stands before the city. */
static bool by_city(struct tz_cache *cache, const char *city, size_t len, int offset, char out[TZ_NAME_MAX])
{
	for (const char *name = tz_cache_names(cache); *name;) {
		const char *target = name + strlen(name) + 1, *last = strrchr(name, '/');
		size_t i = 0;

		if (last && strlen(last + 1) == len) {
			while (i < len && strncasecmp(last + 1 + i, city[i] == ' ' ? "_" : city + i, 1) == 0)
				i++;
			if (i == len && same_offset(cache, name, offset))
				return take(name, out);
		}
		name = target + strlen(target) + 1;
	}
	return false;
}

/* `(UTC+01:00) Amsterdam, Berlin`, `(GMT-05:00) Eastern Time (US & Canada)`, `UTC+1`, `GMT+0100`. */
static bool by_display(struct tz_cache *cache, char *text, char out[TZ_NAME_MAX])
{
	char *p = text + (*text == '('), *end, fixed[24];
	int offset = 0;

	if (strncasecmp(p, "UTC", 3) == 0 || strncasecmp(p, "GMT", 3) == 0)
		p += 3;
	else if (*text == '(' || (*p != '+' && *p != '-'))
		return false;
	p += read_offset(p, &offset);
	if (*text == '(' && *p++ != ')')
		return false;
	p += strspn(p, " ");
	if (*p == '\0') {
		if (offset % 3600 != 0)
			return false;
		if (offset == 0)
			return take("UTC", out);
		snprintf(fixed, sizeof(fixed), "Etc/GMT%+d", -offset / 3600);
		return by_iana(cache, fixed, out);
	}
	if (by_windows(p, out))
		return true;
	for (char *city = p; *city; city = end + strspn(end, ", ")) {
		end = city + strcspn(city, ",");
		if (by_city(cache, city, (size_t)(end - city), offset, out))
			return true;
	}
	end = strchr(p, '(');
	if (end && end > p) {
		while (end > p && end[-1] == ' ')
			end--;
		*end = '\0';
		return by_windows(p, out);
	}
	return false;
}

/* A zone of somebody's own, whose name may be long. */
static bool by_rules(struct tz_cache *cache, const char *text, size_t len, char out[TZ_NAME_MAX])
{
	struct tz_zone *zone;

	if (len >= TZ_NAME_MAX || text[0] != '/')
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	zone = tz_acquire(cache, out);
	tz_release(zone);
	return zone != NULL;
}

bool tz_resolve(struct tz_cache *cache, const char *text, size_t len, char out[TZ_NAME_MAX])
{
	char copy[TEXT_MAX];

	while (len > 0 && (*text == ' ' || *text == '"' || *text == '\'')) {
		text++;
		len--;
	}
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '"' || text[len - 1] == '\''))
		len--;
	if (len == 0 || memchr(text, '\0', len))
		return false;
	if (len >= sizeof(copy))
		return by_rules(cache, text, len, out);
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strstr(copy, "..")) /* a path, whatever its end is called */
		return false;
	if (strcasecmp(copy, "UTC") == 0 || strcasecmp(copy, "Z") == 0)
		return take("UTC", out);
	if (by_iana(cache, copy, out) || by_windows(copy, out))
		return true;
	for (const char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/'))
		if (by_iana(cache, p + 1, out) || by_windows(p + 1, out))
			return true;
	return by_display(cache, copy, out);
}
