/* Writes src/calendar/windows_zones.h from the CLDR data that libicu holds: `make windows-zones`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/uenum.h>
#include <unicode/ustring.h>

enum { PAIRS = 1024, NAME = 96 };

static char windows[PAIRS][NAME], iana[PAIRS][NAME];
static size_t npairs;

static int by_windows(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = strcmp(windows[x], windows[y]);

	return order ? order : strcmp(iana[x], iana[y]);
}

static void collect(void)
{
	UErrorCode status = U_ZERO_ERROR;
	UEnumeration *ids = ucal_openTimeZones(&status);
	const UChar *id;
	int32_t len;

	while (U_SUCCESS(status) && (id = uenum_unext(ids, &len, &status)) != NULL) {
		UChar name[NAME];
		UErrorCode own = U_ZERO_ERROR;
		int32_t n = ucal_getWindowsTimeZoneID(id, len, name, NAME, &own);

		if (U_FAILURE(own) || n == 0 || npairs == PAIRS)
			continue;
		u_austrncpy(windows[npairs], name, n);
		u_austrncpy(iana[npairs], id, len);
		npairs++;
	}
	uenum_close(ids);
}

int main(void)
{
	static size_t order[PAIRS];
	char version[32] = U_ICU_VERSION;

	collect();
	for (size_t i = 0; i < npairs; i++)
		order[i] = i;
	qsort(order, npairs, sizeof(order[0]), by_windows);
	printf("/* Windows zone names with the IANA zone that each stands for and all that belong to it (CLDR, by ICU "
	       "%s).\n"
	       " * Written by tools/windows_zones.c; run `make windows-zones` after a new ICU. */\n"
	       "static const struct windows_zone {\n\tconst char *windows, *iana, *members;\n} windows_zones[] = {\n",
	       version);
	for (size_t i = 0; i < npairs;) {
		UChar name[NAME], zone[NAME];
		char main_zone[NAME];
		UErrorCode status = U_ZERO_ERROR;
		size_t first = order[i];
		int32_t n;

		u_uastrcpy(name, windows[first]);
		n = ucal_getTimeZoneIDForWindowsID(name, -1, NULL, zone, NAME, &status);
		if (U_FAILURE(status) || n == 0)
			return 1;
		u_austrncpy(main_zone, zone, n);
		main_zone[n] = '\0';
		printf("\t{ \"%s\", \"%s\",\n\t  \"", windows[first], main_zone);
		for (size_t column = 12; i < npairs && strcmp(windows[order[i]], windows[first]) == 0; i++) {
			size_t len = strlen(iana[order[i]]);

			if (column + len + 4 > 116) {
				printf("\"\n\t  \"");
				column = 12;
			}
			printf(" %s", iana[order[i]]);
			column += len + 1;
		}
		printf(" \" },\n");
	}
	printf("};\n");
	return 0;
}
