--- Intents as a writer sees them: begun, ended with what the provider answered, or left for later.

local crypto = require "lunation.crypto"
local errors = require "lunation.errors"
local json = require "lunation.json"
local timer = require "lunation.timer"
local mirror = require "lunation.mirror"

---@class lunation.Writer
---@field store lunation.Store
---@field engine table
---@field provider table
---@field account table with credentials and guard
---@field calendar lunation.CalendarRow
---@field live table<string, true> intents whose writer runs in this process
---@field open lunation.store.Intent? the one that this writer has begun

local intent = {}

--- Seconds: longer than all calls of one step take; a writer that died is found out earlier. How long one waits for
--- another that writes the same event.
intent.TTL = 300
local WAIT = 60
--- How often the provider is asked again when the mirror's row keeps moving under the answer.
local ATTEMPTS = 5

--- The writer has no more to do with an intent.
local function let_go(writer, open)
  writer.live[open.id] = nil
  if writer.open and writer.open.id == open.id then writer.open = nil end
end

--- Takes an event for a write.
---@param writer lunation.Writer
---@param wanted { event: string, kind: string, plan: table }
---@return lunation.store.Intent?, lunation.Error?
function intent.begin(writer, wanted)
  local started, pause = timer.now(), 0.01
  while true do
    local open, err = writer.store:intent_begin {
      id = crypto.uuid(), account = writer.account.id, calendar = writer.calendar.key, event = wanted.event,
      kind = wanted.kind, plan = wanted.plan, ttl = intent.TTL,
    }
    if open then
      writer.live[open.id], writer.open = true, open
      return open
    end
    if not err.intent then return nil, err end
    local outcome = require("lunation.write.recover").one(writer, err.intent)
    if outcome ~= "finished" then
      if outcome == "left" or timer.now() - started > WAIT then
        return nil, errors.new("busy", "another change of this event is not settled yet", { retry_after = 2 })
      end
      timer.sleep(pause)
      pause = math.min(pause * 2, 0.2)
    end
  end
end

--- Notes what comes next before it is done.
---@param writer lunation.Writer
---@param open lunation.store.Intent
---@param change { step: integer?, direction: string?, plan: table? }
---@return lunation.store.Intent?, lunation.Error?
function intent.step(writer, open, change)
  change.ttl = intent.TTL
  return writer.store:intent_step(open, change)
end

--- Ends an intent that has touched nothing.
---@param writer lunation.Writer
---@param open lunation.store.Intent
function intent.abandon(writer, open)
  writer.store:intent_end(open, { once = open.plan.once, failed = true })
  let_go(writer, open)
end

--- Leaves an intent open: its outcome is unknown, and the provider does not answer now.
---@param writer lunation.Writer
---@param open lunation.store.Intent
---@param direction "forward"|"undo" undo: the caller was told that it failed
function intent.leave(writer, open, direction)
  if direction ~= open.direction then intent.step(writer, open, { direction = direction }) end
  writer.store:intent_leave(open)
  writer.live[open.id] = nil
  -- `writer.open` stays: an idempotent request must not be forgotten while its intent is open.
end

--- A native event as a row to put; `expect` is the revision that the mirror had before the provider was asked.
---@param writer lunation.Writer
---@param native table
---@param expect integer|false|nil
---@return table?, lunation.Error?
function intent.put(writer, native, expect)
  local row, err = mirror.row(writer.provider, native)
  if not row then return nil, err end
  row.expect = expect
  return row
end

--- What the provider has under an id now, as something to put or to drop.
local function look_again(writer, outcome, id)
  local puts, drops = {}, {}
  for _, put in ipairs(outcome.puts or {}) do
    if put.id ~= id then puts[#puts + 1] = put end
  end
  for _, drop in ipairs(outcome.drops or {}) do
    if drop.id ~= id then drops[#drops + 1] = drop end
  end
  local row, err = writer.store:event(writer.calendar.key, id)
  if err then return nil, err end
  local revision = row and row.revision or false
  local native, failure = mirror.fetch(writer.store, writer.provider, writer.account, writer.calendar, id)
  if native then
    local put, unreadable = intent.put(writer, native, revision)
    if not put then return nil, unreadable end
    puts[#puts + 1] = put
  elseif failure and failure.code == "not_found" then
    drops[#drops + 1] = { id = id, expect = revision }
  else
    return nil, failure
  end
  return { puts = puts, drops = drops, once = outcome.once, answer = outcome.answer, failed = outcome.failed }
end

--- The answer that an idempotent request keeps.
local function answer_of(put)
  return json.encode { id = put.id, uid = put.uid, etag = put.etag, event = put.event, original = put.original }
end

--- Ends an intent: mirror, intent and the answer of an idempotent request in one transaction. Where a sync has moved a
--- row since it was read, the provider is asked which is right.
---@param writer lunation.Writer
---@param open lunation.store.Intent
---@param outcome { puts: table[]?, drops: table[]?, answer: table?, failed: boolean? } answer: the put that is the answer
---@return true?, lunation.Error?
function intent.finish(writer, open, outcome)
  local once = open.plan.once
  local ending = {
    puts = outcome.puts, drops = outcome.drops, once = once, failed = outcome.failed,
    answer = once and outcome.answer and answer_of(outcome.answer) or nil,
  }
  for _ = 1, ATTEMPTS do
    local ended, err = writer.store:intent_end(open, ending)
    if ended then
      let_go(writer, open)
      return true
    end
    if err.code ~= "precondition_failed" then
      writer.live[open.id] = nil
      return nil, err
    end
    local again, failure = look_again(writer, ending, err.id)
    if not again then
      intent.leave(writer, open, "forward")
      return nil, failure
    end
    ending = again
  end
  intent.leave(writer, open, "forward")
  return nil, errors.new("busy", "the event changes faster than it can be read", { retry_after = 1 })
end

return intent
