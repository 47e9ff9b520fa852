/* Reads compiled time zones (TZif versions 1 to 4, RFC 9636). */
#include "calendar/civil.h"
#include "calendar/tz_zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 18, HEADER = 44 };

struct header {
	int version;
	size_t utcnt, stdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static bool read_header(const unsigned char *p, size_t len, struct header *h)
{
	if (len < HEADER || memcmp(p, "TZif", 4) != 0)
		return false;
	h->version = p[4] == 0 ? 1 : p[4] - '0';
	h->utcnt = be32(p + 20);
	h->stdcnt = be32(p + 24);
	h->leapcnt = be32(p + 28);
	h->timecnt = be32(p + 32);
	h->typecnt = be32(p + 36);
	h->charcnt = be32(p + 40);
	return h->version >= 1 && h->timecnt <= TZ_TRANSITIONS_MAX && h->typecnt >= 1 && h->typecnt <= TZ_TYPES_MAX &&
	       h->charcnt <= TZ_NAMES_MAX && h->leapcnt == 0 && h->utcnt <= TZ_TYPES_MAX && h->stdcnt <= TZ_TYPES_MAX;
}

static size_t block_size(const struct header *h, size_t time_size)
{
	return h->timecnt * (time_size + 1) + h->typecnt * 6 + h->charcnt + h->stdcnt + h->utcnt;
}

/* --- the footer: a POSIX TZ string with the extensions of RFC 9636 section 3.3.1 --- */

static bool rule_number(const char **p, int max, int *value)
{
	const char *s = *p;
	int v = 0;

	for (; *s >= '0' && *s <= '9' && s - *p < 4; s++)
		v = v * 10 + (*s - '0');
	if (s == *p || v > max)
		return false;
	*p = s;
	*value = v;
	return true;
}

static bool rule_name(const char **p, char out[16])
{
	const char *s = *p, *start;
	bool quoted = *s == '<';
	size_t n;

	start = quoted ? ++s : s;
	while (quoted ? (*s != '\0' && *s != '>') : ((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z')))
		s++;
	n = (size_t)(s - start);
	if (n < 3 || n > 15 || (quoted && *s != '>'))
		return false;
	memcpy(out, start, n);
	out[n] = '\0';
	*p = quoted ? s + 1 : s;
	return true;
}

static bool rule_clock(const char **p, int32_t *seconds)
{
	int sign = 1, h, m = 0, s = 0;

	if (**p == '+' || **p == '-')
		sign = *(*p)++ == '-' ? -1 : 1;
	if (!rule_number(p, 167, &h))
		return false;
	if (**p == ':') {
		(*p)++;
		if (!rule_number(p, 59, &m))
			return false;
	}
	if (**p == ':') {
		(*p)++;
		if (!rule_number(p, 59, &s))
			return false;
	}
	*seconds = sign * (h * 3600 + m * 60 + s);
	return true;
}

static bool rule_day(const char **p, struct tz_rule *r)
{
	if (*(*p)++ != ',')
		return false;
	r->time = 7200;
	if (**p == 'M') {
		r->kind = *(*p)++;
		if (!rule_number(p, 12, &r->month) || r->month < 1 || *(*p)++ != '.')
			return false;
		if (!rule_number(p, 5, &r->week) || r->week < 1 || *(*p)++ != '.' || !rule_number(p, 6, &r->day))
			return false;
	} else {
		r->kind = **p == 'J' ? *(*p)++ : 'D';
		if (!rule_number(p, 365, &r->day) || (r->kind == 'J' && r->day < 1))
			return false;
	}
	if (**p == '/') {
		(*p)++;
		return rule_clock(p, &r->time);
	}
	return true;
}

static bool read_footer(const char *p, struct tz_footer *f)
{
	size_t len = strlen(p);

	if (len >= sizeof(f->text))
		return false;
	memcpy(f->text, p, len + 1);
	if (!rule_name(&p, f->std_name) || !rule_clock(&p, &f->std_offset))
		return false;
	f->std_offset = -f->std_offset; /* POSIX counts west */
	f->known = true;
	if (*p == '\0')
		return true;
	if (!rule_name(&p, f->dst_name))
		return false;
	f->dst_offset = f->std_offset + 3600;
	if (*p != ',') {
		if (!rule_clock(&p, &f->dst_offset))
			return false;
		f->dst_offset = -f->dst_offset;
	}
	f->has_dst = rule_day(&p, &f->to_dst) && rule_day(&p, &f->to_std) && *p == '\0';
	return f->has_dst;
}

/* --- the file --- */

static bool read_block(struct tz_zone *z, const unsigned char *p, const struct header *h, size_t time_size)
{
	const unsigned char *types = p + h->timecnt * time_size, *ttinfo = types + h->timecnt;

	if (!tz_reserve(z, h->timecnt))
		return false;
	for (size_t i = 0; i < h->timecnt; i++) {
		z->at[i] = time_size == 8 ? be64(p + 8 * i) : (int32_t)be32(p + 4 * i);
		z->type_of[i] = types[i];
		if (types[i] >= h->typecnt || (i > 0 && z->at[i] <= z->at[i - 1]))
			return false;
	}
	z->count = h->timecnt;
	memcpy(z->names, ttinfo + 6 * h->typecnt, h->charcnt);
	for (size_t i = 0; i < h->typecnt; i++) {
		z->types[i].offset = (int32_t)be32(ttinfo + 6 * i);
		z->types[i].dst = ttinfo[6 * i + 4] != 0;
		if (ttinfo[6 * i + 5] >= h->charcnt || z->types[i].offset <= -TZ_OFFSET_MAX ||
		    z->types[i].offset >= TZ_OFFSET_MAX)
			return false;
		z->types[i].name = z->names + ttinfo[6 * i + 5];
	}
	return true;
}

static bool read_zone(struct tz_zone *z, const unsigned char *data, size_t len)
{
	struct header h;
	size_t size, at;
	char footer[TZ_NAME_MAX];
	const unsigned char *end;

	if (!read_header(data, len, &h))
		return false;
	size = block_size(&h, 4);
	if (len - HEADER < size)
		return false;
	if (h.version == 1)
		return read_block(z, data + HEADER, &h, 4);
	at = HEADER + size;
	if (!read_header(data + at, len - at, &h))
		return false;
	at += HEADER;
	size = block_size(&h, 8);
	if (len - at < size || !read_block(z, data + at, &h, 8))
		return false;
	at += size;
	if (at == len || data[at] != '\n')
		return true;
	end = memchr(data + at + 1, '\n', len - at - 1);
	if (end == NULL)
		return false;
	size = (size_t)(end - (data + at + 1));
	if (size == 0)
		return true;
	if (size >= sizeof(footer))
		return false;
	memcpy(footer, data + at + 1, size);
	footer[size] = '\0';
	return read_footer(footer, &z->footer);
}

/* A relative path of plain components, and none of the directories that hold the same zones in another count. */
bool tz_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= TZ_NAME_MAX || strncmp(name, "right/", 6) == 0 || strncmp(name, "posix/", 6) == 0)
		return false;
	if (strcmp(name, "localtime") == 0 || strcmp(name, "posixrules") == 0 || strcmp(name, "Factory") == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (i == 0 || name[i - 1] == '/') {
			if (!letter)
				return false;
		} else if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '+' && c != '/') {
			return false;
		}
	}
	return name[n - 1] != '/';
}

struct tz_zone *tz_parse(const char *name, const unsigned char *data, size_t len)
{
	struct tz_zone *zone = strlen(name) < TZ_NAME_MAX ? calloc(1, sizeof(*zone)) : NULL;

	if (zone == NULL)
		return NULL;
	zone->references = 1;
	strcpy(zone->name, name);
	if (read_zone(zone, data, len) && tz_index(zone))
		return zone;
	tz_release(zone);
	return NULL;
}

struct tz_zone *tz_read(const char *directory, const char *name)
{
	struct tz_zone *zone = NULL;
	unsigned char *data;
	FILE *file;
	char path[512];
	size_t len;

	if (!tz_name_valid(name) || (size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path))
		return NULL;
	file = fopen(path, "rb");
	if (file == NULL)
		return NULL;
	data = malloc(FILE_MAX);
	if (data) {
		len = fread(data, 1, FILE_MAX, file);
		zone = len < FILE_MAX ? tz_parse(name, data, len) : NULL;
	}
	free(data);
	fclose(file);
	return zone;
}

static bool is_offset(int32_t seconds)
{
	return seconds > -TZ_OFFSET_MAX && seconds < TZ_OFFSET_MAX;
}

/* The changes that stand before the rules in the name of a zone of somebody's own: what held before each, and its
 * instant, as in <+12>-12@1714852800@<+10>-10. Changes closer than the clock may be put forward would leave times that
 * are both in a gap and not. */
static bool read_changes(struct tz_zone *z, const char **p)
{
	const char *end;
	size_t used = 0;

	while ((end = strchr(*p, '@')) != NULL) {
		struct tz_footer before = { 0 };
		char text[TZ_NAME_MAX], *rest;
		long long at;

		memcpy(text, *p, (size_t)(end - *p)); /* a name is shorter than TZ_NAME_MAX */
		text[end - *p] = '\0';
		if (!read_footer(text, &before) || before.has_dst || !is_offset(before.std_offset) ||
		    z->count == TZ_TYPES_MAX || used + strlen(before.std_name) >= TZ_NAMES_MAX ||
		    !tz_reserve(z, z->count + 1))
			return false;
		at = strtoll(end + 1, &rest, 10);
		if (rest == end + 1 || *rest != '@' || at < CIVIL_BEGIN || at >= CIVIL_END ||
		    (z->count > 0 && at < z->at[z->count - 1] + 2 * TZ_OFFSET_MAX))
			return false;
		strcpy(z->names + used, before.std_name);
		z->types[z->count] = (struct tz_type){ before.std_offset, false, z->names + used };
		used += strlen(before.std_name) + 1;
		z->at[z->count] = at;
		z->type_of[z->count] = TZ_STD;
		if (z->count > 0)
			z->type_of[z->count - 1] = (uint16_t)z->count;
		z->count++;
		*p = rest + 1;
	}
	return true;
}

struct tz_zone *tz_from_posix(const char *name)
{
	const char *rules = name + 1;
	struct tz_zone *zone;

	if (name[0] != '/' || strlen(name) >= TZ_NAME_MAX)
		return NULL;
	zone = calloc(1, sizeof(*zone));
	if (zone == NULL)
		return NULL;
	zone->references = 1;
	strcpy(zone->name, name);
	if (!read_changes(zone, &rules) || !read_footer(rules, &zone->footer) || !is_offset(zone->footer.std_offset) ||
	    !is_offset(zone->footer.dst_offset) || !tz_index(zone)) {
		tz_release(zone);
		return NULL;
	}
	return zone;
}

struct tz_zone *tz_retain(struct tz_zone *zone)
{
	if (zone)
		zone->references++;
	return zone;
}

void tz_release(struct tz_zone *zone)
{
	if (zone == NULL || --zone->references > 0)
		return;
	free(zone->at);
	free(zone->local);
	free(zone->offset);
	free(zone->type_of);
	free(zone->bucket);
	free(zone->local_bucket);
	free(zone);
}

const char *tz_name(const struct tz_zone *zone)
{
	return zone->name;
}

const struct tz_footer *tz_footer_of(const struct tz_zone *zone)
{
	return &zone->footer;
}
