/* An iCalendar text (RFC 5545 section 3.1) as a flat tree of lines, in plain C: a node is sixteen bytes and points into
   the text, in the order of the text. Nothing is copied but lines that had to be put together or mended. */
#ifndef LUNATION_CALENDAR_ICAL_DOC_H
#define LUNATION_CALENDAR_ICAL_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICAL_MAX_OPEN 64
#define ICAL_MAX_WARNINGS 100
#define ICAL_BLOCK 2048 /* nodes in a full block */

/* What stands in `value` of a node whose `name` is 0. */
enum { ICAL_BARE, ICAL_BEGIN, ICAL_SPAN, ICAL_END };

enum {
	ICAL_FOLDED = 1,     /* folds stand in the value: ical_unfold takes them out */
	ICAL_ASIDE = 2,      /* the line stands in the document's own text, not in the caller's */
	ICAL_PARAMETERS = 4, /* a semicolon follows the name */
	ICAL_LOWER = 8,      /* the name is not all upper case */
	ICAL_VERBATIM = 16,  /* written again, the line is the octets it has in the text, CRLF included */
	ICAL_LONG = 32,      /* name and value are too far off for their fields: ical_doc_place finds them */
	ICAL_PLAIN = 64,     /* what stands before the value is written again as it is */
};

/* A property: the line, octets before its value, octets of its name. BARE: a line that is no property.
   BEGIN: start and length are those of the component's name; the SPAN after it holds the index after its END in
   `start`, the number of its properties in `line` and of its components in `length`. */
typedef struct {
	uint32_t start, length, line;
	uint16_t value;
	uint8_t name, flags;
} ical_node;

typedef struct {
	const char *code, *format; /* takes the text, where there is one, as %s, then the number as %d */
	uint32_t line, column, number;
	uint32_t start, length;
	enum { ICAL_NO_TEXT, ICAL_TEXT, ICAL_TEXT_UPPER } text;
	bool aside; /* where start counts from, as in a node */
} ical_problem;

typedef struct {
	size_t max, depth, properties; /* 0: 32 MiB, 16 (at most ICAL_MAX_OPEN), 2,000,000 */
	bool strict;
} ical_limits;

typedef struct {
	const char *text;
	size_t length;
	char *decoded; /* text, where it was UTF-16 */
	ical_node **blocks;
	uint32_t count;                  /* nodes */
	uint32_t properties, components; /* outside of any component */
	char *aside;
	size_t aside_length;
	ical_problem *problems; /* warnings; where the parse failed, the last is the error */
	int problem_count;
	bool failed, no_memory;
	/* how much memory it has, and had at most */
	size_t memory, peak;
	size_t block_table, aside_capacity, problem_capacity;
} ical_doc;

/* Reads text, which must outlive the document. False: the last problem says why, unless memory ran out.
   The document is closed by ical_doc_close in either case. */
bool ical_doc_parse(ical_doc *doc, const char *text, size_t length, const ical_limits *limits);
void ical_doc_close(ical_doc *doc);

static inline const ical_node *ical_doc_node(const ical_doc *doc, uint32_t index)
{
	return &doc->blocks[index / ICAL_BLOCK][index % ICAL_BLOCK];
}

static inline const char *ical_doc_text(const ical_doc *doc, const ical_node *node)
{
	return (node->flags & ICAL_ASIDE ? doc->aside : doc->text) + node->start;
}

/* Octets of a property's name, and before its value. */
void ical_doc_place(const ical_doc *doc, const ical_node *node, size_t *name, size_t *value);

/* The value without folds; out has room for length octets. Gives the octets written. */
size_t ical_unfold(const char *s, size_t length, char *out);

/* The document as text: CRLF, folded at 75 octets between characters, parameters in the form of RFC 6868. The buffer is
   the caller's to free; NULL: no memory. */
char *ical_doc_write(const ical_doc *doc, size_t *length);

/* --- parameters, from the semicolon after the name --- */

typedef void (*ical_complaint)(void *context, size_t column, const char *format);

typedef struct {
	const char *line;
	size_t length, at;
	ical_complaint complain; /* NULL: nobody asks */
	void *context;
} ical_cursor;

/* The next parameter's name; false: there is none, and `at` stands on the colon or at the end. Its values must be read
   to the end before the next. */
bool ical_next_parameter(ical_cursor *c, const char **name, size_t *length);

/* The next value as it is written, quotes included; plain: ical_parameter_text would give the same. */
bool ical_next_value(ical_cursor *c, const char **s, size_t *length, bool *plain);

/* A value without its quotes, carets of RFC 6868 resolved; out has room for length octets. */
size_t ical_parameter_text(const char *s, size_t length, char *out);

/* --- characters --- */

/* Bytes of the UTF-8 sequence at s (RFC 3629, no surrogates, no overlong forms); 0: not UTF-8. */
size_t ical_utf8_sequence(const char *s, size_t left);
bool ical_utf8_valid(const char *s, size_t length);

/* Bytes that are not UTF-8 are read as Windows-1252, the common superset of Latin-1; out NULL: only counts. */
size_t ical_utf8_mend(const char *s, size_t length, char *out);

/* Text with a byte order mark of UTF-16 to UTF-8; 0 when it has none; out NULL: only counts. */
size_t ical_utf16_decode(const char *s, size_t length, char *out);

#endif
