/* Fuzzes the flat tree of a calendar text, without Lua: the fast reader and the careful one see the same, the scanner of
 * this processor and the portable one too, what is written is read as the same, and the tree takes at most 64 KiB and
 * sixteen times the octets of its text: counted by the allocator's own hooks where there are some. */
#include "calendar/ical_parser.h"

#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#define MEASURED 1
#endif
#endif

/* --- the careful reader alone --- */

static void nothing_is_plain(ical_parser *p)
{
	(void)p;
}

#define ical_read_plain nothing_is_plain
#define ical_add_block careful_add_block
#define ical_open_component careful_open_component
#define ical_close_component careful_close_component
#define ical_read_line careful_read_line
#define ical_doc_parse careful_parse
#define ical_doc_close careful_close
#include "calendar/ical_doc.c"
#undef ical_read_plain
#undef ical_add_block
#undef ical_open_component
#undef ical_close_component
#undef ical_read_line
#undef ical_doc_parse
#undef ical_doc_close

/* --- the scanner of this processor, and the portable one --- */

#include "calendar/ical_scan.h"

#define ICAL_SCAN_PORTABLE
#define scan_uncommon portable_uncommon
#define scan_equal portable_equal
#define scan_name portable_name
#define scan_first portable_first
#undef LUNATION_CALENDAR_ICAL_SCAN_H
#undef ICAL_SCAN
#include "calendar/ical_scan.h"
#undef scan_uncommon
#undef scan_equal
#undef scan_name
#undef scan_first

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_scan(const char *s, size_t size)
{
	static const char marks[] = { ':', ';', '=', '"', '^', '\n', '\0', '\xFF' };
	char piece[ICAL_SCAN] = { 0 };
	uint32_t lower, portable_lower;
	size_t i;

	memcpy(piece, s, size < ICAL_SCAN ? size : ICAL_SCAN);
	require(scan_uncommon(piece) == portable_uncommon(piece));
	for (i = 0; i < sizeof marks; i++)
		require(scan_equal(piece, marks[i]) == portable_equal(piece, marks[i]));
	require(scan_name(piece, &lower) == portable_name(piece, &portable_lower));
	/* What is later in the alphabet than a name's characters may be in either. */
	require(((lower ^ portable_lower) & ~portable_name(piece, &portable_lower)) == 0);
	if (scan_uncommon(piece))
		require(scan_first(scan_uncommon(piece)) == portable_first(portable_uncommon(piece)));
}

/* --- what memory was asked for --- */

static size_t held, held_most;
static bool measuring;

#ifdef MEASURED
static void seen_malloc(const volatile void *at, size_t size)
{
	(void)at;
	if (!measuring)
		return;
	held += size;
	if (held > held_most)
		held_most = held;
}

static void seen_free(const volatile void *at)
{
	if (measuring && at)
		held -= __sanitizer_get_allocated_size((const void *)at);
}
#endif

static void check_memory(const ical_doc *doc, size_t size)
{
	require(doc->peak <= 65536 + 16 * size);
#ifdef MEASURED
	require(held == doc->memory);
	require(held_most <= doc->peak);
#endif
}

/* --- the checks --- */

static void same_nodes(const ical_doc *a, const ical_doc *b, bool lines)
{
	uint32_t i;

	require(a->count == b->count && a->properties == b->properties && a->components == b->components);
	for (i = 0; i < a->count; i++) {
		const ical_node *x = ical_doc_node(a, i), *y = ical_doc_node(b, i);
		bool property = x->name != 0 || x->value == ICAL_BARE;

		require(property == (y->name != 0 || y->value == ICAL_BARE));
		require(property || x->value == y->value);
		require(x->line == y->line || (!lines && (property || x->value != ICAL_SPAN)));
	}
}

static void same_problems(const ical_doc *a, const ical_doc *b)
{
	int i;

	require(a->problem_count == b->problem_count && a->failed == b->failed);
	for (i = 0; i < a->problem_count; i++) {
		const ical_problem *x = &a->problems[i], *y = &b->problems[i];

		require(strcmp(x->code, y->code) == 0 && strcmp(x->format, y->format) == 0 && x->line == y->line &&
			x->column == y->column && x->number == y->number && x->length == y->length);
	}
}

static void check(const char *text, size_t size)
{
	ical_limits limits = { .depth = 8, .properties = 1000000 }, strict = { .strict = true };
	ical_doc doc, careful, again;
	char *written, *as_carefully;
	size_t length, carefully;

	held = held_most = 0;
	measuring = true;
	ical_doc_parse(&doc, text, size, &limits);
	measuring = false;
	check_memory(&doc, size);
	careful_parse(&careful, text, size, &limits);
	require(careful.peak <= 65536 + 16 * size);
	same_problems(&doc, &careful);
	if (!doc.failed) {
		same_nodes(&doc, &careful, true);
		written = ical_doc_write(&doc, &length);
		as_carefully = ical_doc_write(&careful, &carefully);
		require(written && as_carefully && length == carefully && memcmp(written, as_carefully, length) == 0);
		free(as_carefully);
		limits.max = length + 1;
		require(ical_doc_parse(&again, written, length, &limits));
		same_nodes(&doc, &again, false);
		as_carefully = ical_doc_write(&again, &carefully);
		require(as_carefully && length == carefully && memcmp(written, as_carefully, length) == 0);
		free(as_carefully);
		free(written);
		ical_doc_close(&again);
	}
	ical_doc_close(&doc);
	careful_close(&careful);
	ical_doc_parse(&doc, text, size, &strict);
	require(doc.peak <= 65536 + 16 * size);
	ical_doc_close(&doc);
}

/* What costs most for its size, many times over. */
static void check_hostile(void)
{
	static const char *const bodies[] = {
		"\n",	   "\r",	   "A:\n",	  "A:\r\n",	"x\n",		 "\x80",
		"\x80\n",  "A:\x80\n",	   "A:\n \n \x80", "A\n :\n ",	"BEGIN:X\n",	 "END:X\n",
		";\n",	   "A;B=C:\n",	   "A;B:\n",	  "A;;;;;;:\n", "A;B=,,,,,,,:\n", "BEGIN:X\nEND:X\n",
		"\xFF\r\n ", "A;B=\"\":\n", "A=\r\n",	   "A;QUOTED-PRINTABLE:=\n", "A:\xE2\n \x82\n \xAC\n", "a:\n\n\n \n",
	};
	static const size_t times[] = { 1, 7, 500, 40000 };
	size_t i, j, k;

	for (i = 0; i < sizeof bodies / sizeof *bodies; i++)
		for (j = 0; j < sizeof times / sizeof *times; j++) {
			size_t n = strlen(bodies[i]), length = 17 + n * times[j];
			char *text = malloc(length);

			require(text != NULL);
			memcpy(text, "BEGIN:VCALENDAR\r\n", 17);
			for (k = 0; k < times[j]; k++)
				memcpy(text + 17 + k * n, bodies[i], n);
			check(text, length);
			check(text + 17, length - 17);
			free(text);
		}
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
#ifdef MEASURED
	__sanitizer_install_malloc_and_free_hooks(seen_malloc, seen_free);
#endif
	check_hostile();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t i;

	for (i = 0; i < size; i += 16)
		check_scan(text + i, size - i);
	check(text, size);
	return 0;
}
