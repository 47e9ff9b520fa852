-- What specs of the CalDAV client against spec.emulators.dav share.
local caldav = require "lunation.caldav"

local M = {}

M.client = caldav.client { provider = "caldav" }

---An event's text.
---@param uid string
---@param summary string?
function M.ics(uid, summary)
  return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//lunation//spec//EN\r\nBEGIN:VEVENT\r\nUID:" .. uid
    .. "\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20271201T100000Z\r\nDTEND:20271201T110000Z\r\nSUMMARY:" .. (summary or "One")
    .. "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
end

---An account that has not been looked at yet.
function M.account(url)
  return { provider = "caldav", url = url, username = "alice", credentials = { username = "alice", password = "secret" }, timeout = 5 }
end

---An account of an emulator, found, and its calendar.
---@param fake spec.Dav
function M.identified(fake)
  local account = M.account(fake.url)
  account.settings = assert(M.client.identify(account)).settings
  return account, { id = fake.calendar }
end

---All batches since a state, in one: upserts (id to title), order, deletes, batches, reset, state, err.
function M.drain(account, calendar, state)
  local all = { upserts = {}, deletes = {}, order = {}, batches = 0 }
  local next_batch = M.client.changes(account, calendar, state)
  while true do
    local batch, err = next_batch()
    if not batch then
      all.err = err
      break
    end
    all.batches = all.batches + 1
    all.reset = all.reset or batch.reset
    for _, event in ipairs(batch.upserts) do
      all.upserts[event.id] = event.text:match("SUMMARY:([^\r\n]*)")
      all.order[#all.order + 1] = event.id
    end
    for _, id in ipairs(batch.deletes) do all.deletes[#all.deletes + 1] = id end
    state = batch.state
  end
  all.state = state
  return all
end

return M
