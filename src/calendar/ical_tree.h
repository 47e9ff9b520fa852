/* Flat calendar trees on their way to Lua. */
#ifndef LUNATION_CALENDAR_ICAL_TREE_H
#define LUNATION_CALENDAR_ICAL_TREE_H

#include "calendar/ical.h"
#include "calendar/ical_doc.h"

typedef struct {
	const ical_doc *doc;
	bool positions;     /* nodes know their lines */
	bool few;           /* VEVENTs are left out, but those that */
	const bool *events; /* says of, by index of a node; NULL: all */
} ical_tree_source;

/* Calls f with an ical_tree_source (as a light userdata) of the text at 1, then the other arguments, of which the first
   are the options of a parse; gives what f gives. The document's memory is not Lua's: an error passes here. */
int ical_with_doc(lua_State *L, lua_CFunction f);

/* Pushes the tree and its warnings, or nil and the error; gives their number. */
int ical_push_tree(lua_State *L, const ical_tree_source *from);

/* nil and the error of a document that could not be read. */
int ical_push_failure(lua_State *L, const ical_doc *doc);

#endif
