--- Write: events are created, changed and deleted at their provider first, and the mirror follows from the answer.
--
-- Before the first call stands an intent in the store (lunation.write.intent); whoever finds one whose writer is gone
-- finishes or undoes it (lunation.write.recover). A write runs as a task of its own: a client that hangs up does not
-- leave it half done.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local json = require "lunation.json"
local log = require "lunation.log"
local model = require "lunation.model"
local task = require "lunation.task"
local timer = require "lunation.timer"
local edit = require "lunation.write.edit"
local intent = require "lunation.write.intent"
local recover = require "lunation.write.recover"
local steps = require "lunation.write.steps"
local upstream = require "lunation.upstream"

---@class lunation.Write
local Write = {}
Write.__index = Write

--- Seconds: how long the answer of an idempotent request is kept, and how long a second one waits for the first.
local ANSWER_TTL, ANSWER_WAIT = 86400, 30
--- Seconds for one request of a write.
local CALL_TIMEOUT = 10
--- Name space of the UIDs that are derived from an Idempotency-Key (RFC 9562 section 5.5).
local KEY_SPACE = "6f1e2b52-50a5-4c0e-9b0f-3d5c8a7b9d21"

local function digest_of(value)
  return crypto.hex(crypto.sha256(json.encode(value, { sorted = true })))
end

--- Runs a function to its end whatever becomes of the task that asked for it. `body` is given a table, in which
--- `_open` leaves the writer: should the body raise, its intent is left to recovery.
local function to_the_end(body)
  local held = {}
  local ended, result, err = task.spawn(body, held):wait()
  if ended then return result, err end
  if held.writer and held.writer.open then intent.leave(held.writer, held.writer.open, held.writer.open.direction) end
  if type(result) == "table" and result.code then return nil, result end
  error(result, 0)
end

--- What a write needs: its account, ready for the provider; refused early where nothing can come of it.
function Write:_open(calendar, operation, held)
  local account, err = self.store:account(calendar.account)
  if not account then return nil, err or errors.new("not_found", "no such account") end
  if account.status == "reauth_required" then
    return nil, errors.new("reauth_required", "the account has to be connected again",
      { account = account.id, provider = account.provider })
  end
  -- Whoever asked waits for the answer, and for a look at the provider where there is none.
  local provider, ready = upstream.open(self.engine, account, { timeout = CALL_TIMEOUT })
  if not provider then return nil, ready end
  if operation and (calendar.readOnly or not provider[operation]) then
    return nil, errors.new("forbidden", "the calendar cannot be written", { account = account.id })
  end
  local writer = { store = self.store, engine = self.engine, provider = provider, account = ready, calendar = calendar,
    live = self.live }
  if held then held.writer = writer end
  return writer
end

--- Asks for an idempotent request until it is ours to answer, or answered.
local function begin_once(self, once, digest)
  local started, pause = timer.now(), 0.01
  while true do
    local state, answer = self.store:idempotency_begin(once, digest, ANSWER_TTL)
    if state ~= "busy" then return state, answer end
    if timer.now() - started > ANSWER_WAIT then
      return nil, errors.new("conflict", "the first request under this Idempotency-Key is still being answered",
        { retry_after = 1 })
    end
    timer.sleep(pause)
    pause = math.min(pause * 2, 0.25)
  end
end

--- Runs `fn` once under an Idempotency-Key; the same request again gets the same answer.
---@param once lunation.store.Once
---@param digest string of the request; another one under the same key is a conflict
---@param fn fun(): any JSON-able, or nil and an error; a request that fails is forgotten
---@return any, lunation.Error?
function Write:once(once, digest, fn)
  return to_the_end(function()
    local state, answer = begin_once(self, once, digest)
    if not state then return nil, answer end
    if state == "done" then return json.decode(answer) end
    local ran, result, err = pcall(fn)
    if not ran or result == nil then
      self.store:idempotency_forget(once)
      if not ran then error(result, 0) end
      return nil, err
    end
    local kept, failure = self.store:idempotency_end(once, json.encode(result))
    if kept == nil and failure then return nil, failure end
    return result
  end)
end

--- The row that an idempotent create answered with.
local function replayed(self, calendar, text)
  local answer = json.decode(text)
  local row = self.store:event(calendar.key, answer.id) or { calendar = calendar.key, id = answer.id }
  row.uid, row.etag, row.event, row.original = answer.uid, answer.etag, answer.event, answer.original
  return row
end

function Write:_create(request, held)
  local calendar = request.calendar
  local event = model.copy(request.event)
  local once
  if request.key then
    once = { app = request.app, user = request.user, route = "event", key = request.key }
  end
  -- RFC 8984 sections 4.1.5 and 4.1.6.
  local now = os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(self.store.clock()))
  event.created, event.updated = event.created or now, event.updated or now
  local given = event.uid ~= nil
  if not given then
    event.uid = once and crypto.uuid5(KEY_SPACE, table.concat({ once.app, once.user, calendar.key, once.key }, "\n"))
      or crypto.uuid()
  end
  local invalid
  event, invalid = edit.checked(event)
  if not event then return nil, invalid end
  local writer, refused = self:_open(calendar, "create", held)
  if not writer then return nil, refused end
  local id = writer.provider.new_id(event.uid)
  if once then
    -- A request whose process died has left an intent on this very id; it is settled before the answer is looked for.
    recover.all(writer, { calendar = calendar.key, event = id })
    local state, answer = begin_once(self, once, digest_of { calendar = calendar.id, event = request.event })
    if not state then return nil, answer end
    if state == "done" then return replayed(self, calendar, answer) end
  end
  local ran, row, err = pcall(steps.create, writer, {
    id = id, event = event, given = given, once = once, like = request.like, notify = request.notify,
  })
  if once and not (ran and row) then
    -- With its intent still open nobody knows yet whether there will be an answer.
    if writer.open then self.store:idempotency_leave(once) else self.store:idempotency_forget(once) end
  end
  if not ran then error(row, 0) end
  return row, err
end

--- Creates an event.
---@param request { calendar: lunation.CalendarRow, event: lunation.Event, app: string?, user: integer?, key: string?, like: table?, notify: string? }
---  key: Idempotency-Key of the app's user; like: a native event of that provider whose further properties the new one has too;
---  notify: "all", "none" or "external", who is told of it by the provider; nil: as it does by itself
---@return lunation.EventRow?, lunation.Error?
function Write:create(request)
  return to_the_end(function(held)
    if request.key and not (request.app and request.user) then
      local account = self.store:account(request.calendar.account)
      request.app, request.user = account and account.app, account and account.user
    end
    return self:_create(request, held)
  end)
end

--- The scope as it is meant: an event that does not recur has one, and without an instance there is only the series.
local function scope_of(request, row)
  local scope = request.scope or (request.recurrenceId and "this" or "all")
  if scope ~= "this" and scope ~= "following" and scope ~= "all" then
    return nil, errors.new("invalid_request", "scope is this, following or all", { field = "scope" })
  end
  local series = row.event.recurrenceRules ~= nil or row.event.recurrenceOverrides ~= nil
  if not series or scope == "following" and not request.recurrenceId then return "all" end
  if scope == "this" and not request.recurrenceId then
    return nil, errors.new("invalid_request", "which instance is meant?", { field = "recurrenceId" })
  end
  return scope
end

--- Takes the event for this write, then runs it on the row as it stands.
local function with_intent(writer, request, kind, body)
  local row, err = writer.store:event(writer.calendar.key, request.id)
  if not row then return nil, err or errors.new("not_found", "no such event") end
  local open, busy = intent.begin(writer, { event = row.id, kind = kind, plan = {} })
  if not open then return nil, busy end
  -- Read again: an earlier write, or what was left of one, may have been ended just now.
  row, err = writer.store:event(writer.calendar.key, request.id)
  local scope, invalid
  if row then scope, invalid = scope_of(request, row) end
  if not scope then
    intent.abandon(writer, open)
    return nil, invalid or err or errors.new("not_found", "no such event")
  end
  return body(open, row, scope)
end

--- Changes an event.
---@param request lunation.UpdateRequest
---@return lunation.EventRow? row of the event or series; of the second half after `following`, lunation.Error?
function Write:update(request)
  return to_the_end(function(held)
    local writer, refused = self:_open(request.calendar, "update", held)
    if not writer then return nil, refused end
    return with_intent(writer, request, "update", function(open, row, scope)
      local change = { scope = scope, recurrenceId = request.recurrenceId, patch = request.patch, notify = request.notify }
      if scope == "following" and not edit.is_first(row.event, request.recurrenceId) then
        return steps.split(writer, open, row, change)
      end
      if scope == "following" then change.scope = "all" end
      return steps.update(writer, open, row, change)
    end)
  end)
end

--- Deletes an event, an instance of a series, or a series from an instance on.
---@param request { calendar: lunation.CalendarRow, id: string, recurrenceId: string?, scope: "this"|"following"|"all"|nil, notify: string? }
---@return lunation.EventRow|true|nil row of what is left of the series, or true, lunation.Error?
function Write:delete(request)
  return to_the_end(function(held)
    local writer, refused = self:_open(request.calendar, "delete", held)
    if not writer then return nil, refused end
    return with_intent(writer, request, "delete", function(open, row, scope)
      if scope == "all" or scope == "following" and edit.is_first(row.event, request.recurrenceId) then
        return steps.delete(writer, open, row, request.notify)
      end
      return steps.update(writer, open, row,
        { scope = scope, recurrenceId = request.recurrenceId, patch = json.null, notify = request.notify })
    end)
  end)
end

--- Finishes or undoes what writers who are gone have left open.
---@param filter { account: integer?, calendar: integer?, event: string? }?
---@return { finished: integer, left: integer } left: their provider does not answer now
function Write:recover(filter)
  local found, err = self.store:intents(filter)
  if not found then
    log.warn("open intents cannot be read", { error = tostring(err) })
    return { finished = 0, left = 0 }
  end
  local counts = { finished = 0, left = 0 }
  for _, open in ipairs(found) do
    local calendar = self.store:calendar(open.calendar)
    local writer = calendar and self:_open(calendar)
    local outcome = writer and recover.one(writer, open)
    if outcome == "finished" then
      counts.finished = counts.finished + 1
    elseif outcome ~= "alive" then
      counts.left = counts.left + 1
    end
  end
  return counts
end

---@class lunation.UpdateRequest
---@field calendar lunation.CalendarRow
---@field id string of the event or the series
---@field recurrenceId string? of the instance, in local time
---@field scope "this"|"following"|"all"|nil
---@field patch table canonical fields; json.null empties one
---@field app string?
---@field notify "all"|"none"|"external"|nil

local write = {}

---@param engine table
---@return lunation.Write
function write.new(engine)
  return setmetatable({ engine = engine, store = engine.store, live = {} }, Write)
end

return write
