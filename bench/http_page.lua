-- The work that both servers of bench/http.lua do for a request: a page of events, 1 KB of JSON, out of rows in memory.
-- Written so that LuaJIT and Lua 5.4 run the same file.

local attendees = {
  { email = "alice@example.org", status = "accepted", organizer = true },
}

local rows = {
  { id = "4f1c9a", title = "Planning", start = "2025-03-03T09:00:00.000Z", finish = "2025-03-03T10:00:00.000Z", sequence = 0 },
  { id = "4f1c9b", title = "Design review", start = "2025-03-04T13:30:00.000Z", finish = "2025-03-04T14:30:00.000Z", sequence = 3 },
  { id = "4f1c9c", title = "Lunch", start = "2025-03-05T11:00:00.000Z", finish = "2025-03-05T12:00:00.000Z", sequence = 1 },
}

return function(args)
  local events = {}
  for i = 1, #rows do
    local row = rows[i]
    events[i] = {
      id = row.id,
      calendarId = args.calendar,
      title = row.title,
      start = row.start,
      ["end"] = row.finish,
      allDay = false,
      availability = "busy",
      privacy = "public",
      status = "confirmed",
      sequence = row.sequence,
      attendees = attendees,
    }
  end
  return { calendar = args.calendar, pageSize = tonumber(args.pageSize), events = events }
end
