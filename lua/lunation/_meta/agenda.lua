---@meta lunation.agenda

---The times and renderings of many calendars' events in memory, and pages out of them. It knows nothing of a store: calendars
---are opened, filled and brought up to date by their owner.
local agenda = {}

---@class lunation.Agenda
local Agenda = {}

---@param options { memory: integer?, renderings: integer? } bounds in bytes for times and for renderings
---@return lunation.Agenda
function agenda.new(options) end

---Makes a calendar known, or finds it. Another account or zone empties it.
---@param calendar integer key
---@param account integer
---@param zone string? of floating times
---@return integer seq how far it is loaded, 0 at first
function Agenda:open(calendar, account, zone) end

---Forgets a calendar.
---@param calendar integer
function Agenda:close(calendar) end

---Adds or replaces an event.
---@param calendar integer
---@param key integer
---@param id string
---@param revision integer
---@param event string canonical JSON
---@return true?
---@return { code: "invalid_event"|"invalid_recurrence", message: string }? err with invalid_recurrence it stands where it starts
function Agenda:put(calendar, key, id, revision, event) end

---@param calendar integer
---@param key integer
function Agenda:drop(calendar, key) end

---Says how far the calendar is loaded.
---@param calendar integer
---@param seq integer
function Agenda:loaded(calendar, seq) end

---@class lunation.Agenda.Request
---@field calendars integer[] open ones
---@field from integer
---@field to integer
---@field limit integer
---@field examine integer? entries that may be looked at
---@field masters boolean?
---@field after string? position
---@field kind integer of the renderings
---@field prefix string? stands before the array

---A text outside Lua's memory: `tostring` and `#` work on it, and a response may have one as its body, which is gone when it
---is sent.
---@class lunation.Text

---Puts more behind a text.
---@param text lunation.Text
---@param more string
---@return lunation.Text text
function agenda.append(text, more) end

---@class lunation.Agenda.Missing
---@field calendar integer
---@field event integer
---@field revision integer
---@field recurring boolean
---@field original string? local start of an override

---A page, or what has to be rendered first. A position that is none gives nil and an error with a code.
---@param request lunation.Agenda.Request
---@return lunation.Text? page prefix and JSON array
---@return integer|lunation.Agenda.Missing[]|{ code: string, message: string } count
---@return string? next
function Agenda:page(request) end

---The same as tables and without renderings.
---@param request lunation.Agenda.Request
---@return { calendar: integer, event: integer, id: string, start: integer, finish: integer, override: boolean, recurrenceId: string? }[]?
---@return string|{ code: string, message: string }|nil next
function Agenda:entries(request) end

---Keeps a rendering. Slots are a byte 1, a letter, a byte 2 in place of a JSON value: `s` start, `e` end, `o` original start (UTC
---with milliseconds), `i` the id, with the original start behind it for an instance. No text: the event is left out.
---@param calendar integer
---@param event integer
---@param revision integer that was rendered; another one is ignored
---@param original string? of an override
---@param kind integer
---@param text string?
function Agenda:render(calendar, event, revision, original, kind, text) end

---@class lunation.Agenda.Want times of a rule of another calendar (RSCALE) that a window needs
---@field event integer
---@field revision integer
---@field id string
---@field rule integer
---@field text string
---@field start integer local, in seconds as if it were UTC; so are from and to
---@field date boolean
---@field from integer
---@field to integer

---What rules of other calendars lack around a window; nothing where all is there.
---@param calendar integer
---@param from integer instant
---@param to integer
---@return lunation.Agenda.Want[]? wants
function Agenda:lacks(calendar, from, to) end

---Gives the times that were wanted. Without them the series is shown where it starts.
---@param calendar integer
---@param want lunation.Agenda.Want
---@param times string? 64-bit integers as they stand in memory
---@param begin integer? all times of [begin, covered) are among them
---@param covered integer?
function Agenda:give(calendar, want, times, begin, covered) end

---Drops all renderings of a calendar.
---@param calendar integer
function Agenda:forget(calendar) end

---@return { calendars: integer, events: integer, chunks: integer, bytes: integer, renderings: integer }
function Agenda:stats() end

return agenda
