---@meta lunation.ical.tree
-- lunation.ical.tree, the C module below lunation.ical: iCalendar text to a tree of tables and back (RFC 5545 section 3.1).

---@class lunation.ical.Parameter
---@field name string in upper case
---@field spelling string? as it was written, where that is not upper case
---@field [integer] string its values, without quotes, carets of RFC 6868 resolved

---@class lunation.ical.Property
---@field name string in upper case; empty for a line that is no property
---@field spelling string?
---@field params lunation.ical.Parameter[] in the order of the text
---@field value string raw, unfolded, escapes as they are
---@field line integer? with `positions`

---@class lunation.ical.Component
---@field name string in upper case; empty for a text of several components
---@field spelling string?
---@field properties lunation.ical.Property[]
---@field components lunation.ical.Component[]
---@field line integer? with `positions`

---@class lunation.ical.ParseOptions
---@field strict boolean? refuse what RFC 5545 does not allow, instead of warning
---@field positions boolean? put the line of each property and component into the tree
---@field max integer? largest text in octets (32 MiB)
---@field depth integer? deepest nesting of components (16, at most 64)
---@field properties integer? most properties in the text (2,000,000)

local tree = {}

---@param text string
---@param options lunation.ical.ParseOptions?
---@return lunation.ical.Component? tree
---@return table warnings_or_error array of {code,message,line,column}, or one such error
function tree.parse(text, options) end

---Reads and writes a text without tables between; properties and components keep the order they stand in.
---@param text string
---@param options lunation.ical.ParseOptions?
---@return string? text CRLF, folded at 75 octets between characters
---@return integer|table octets_or_error memory the reading took at most, or the error
function tree.rewrite(text, options) end

---The instances of what a text says plainly; UIDs whose events need more care come back as a tree.
---@param text string
---@param options {from: integer?, to: integer?, limit: integer?, include_dtstart: boolean?, tzid: string?} window [from, to) of instants;
---tzid: the zone of floating times and of days, by its exact name; with the options of a parse
---@param prepare fun(root: lunation.ical.Component?, warnings: table): (fun(tzid: string, localtime: string): string?), string? gets the
---tree without its events; gives what a TZID means, and the zone of floating times where no tzid is asked for
---@return {uid: string, start: integer, finish: integer, recurrenceId: string?, allDay: boolean?}[]? in order; nil with an error
---@return boolean|table truncated_or_error
---@return lunation.ical.Component? rest what is not reckoned
function tree.instances(text, options, prepare) end

---A DATE or DATE-TIME that is written as RFC 5545 section 3.3 has it.
---@param value string
---@return string? localtime "2025-03-09T02:30:00"; nothing for what is written in another way
---@return "date"|"local"|"utc"|nil kind
function tree.time(value) end

---@param node lunation.ical.Component
---@return string text CRLF, folded at 75 octets between characters; raises for what is no tree
function tree.serialize(node) end

---@param text string
---@return string value of type TEXT
function tree.escape(text) end

---@param value string
---@return string text
function tree.unescape(value) end

---@param value string
---@param separator string? "," by default
---@param raw boolean? true: parts keep their escapes
---@return string[]
function tree.split(value, separator, raw) end

return tree
