--- Events that are about to start: a hook is told of each instance once, so long before it starts.
--
-- A job looks from time to time at the instances whose start has come near since the last look; how far it has looked is
-- kept in the store, so that neither a restart nor another worker tells of one again.

local errors = require "lunation.errors"

local starting = {}

--- Seconds between two looks, and how many instances are read at once.
local LOOK_EVERY = 15
local PAGE = 500

--- Every calendar of the store, with the accounts by id.
local function calendars_of(store)
  local accounts, err = store:accounts()
  if not accounts then return nil, err end
  local ids, by_id = {}, {}
  for index, account in ipairs(accounts) do
    ids[index], by_id[account.id] = account.id, account
  end
  local calendars, failure = store:calendars { accounts = ids }
  if not calendars then return nil, failure end
  return calendars, by_id
end

--- Tells of what starts in (from, to], in the order of the starts.
local function tell(self, wanted, from, to)
  local calendars, accounts = calendars_of(self.store)
  if not calendars then return nil, accounts end
  local after
  repeat
    local page, position = self.engine.query:instances {
      calendars = calendars, accounts = accounts, from = from, to = to + 1, limit = PAGE, after = after,
    }
    if not page then return nil, position end
    for _, instance in ipairs(page) do
      -- What overlaps the window has perhaps begun before it.
      if instance.start > from and instance.start <= to and instance.event.status ~= "cancelled" then
        wanted.run {
          kind = "starting", account = instance.calendar.account, calendar = instance.calendar.key, event_id = instance.id,
          event = instance.event, recurrenceId = instance.recurrenceId, at = instance.start,
        }
      end
    end
    after = position
  until not after
  return true
end

--- Begins to watch for a hook.
---@param self lunation.Changes
---@param wanted { name: string, before: number?, run: fun(change: lunation.Change) } before: seconds, 0 unless told
---@return table? handle with `cancel`, lunation.Error?
function starting.watch(self, wanted)
  local before = wanted.before or 0
  if type(before) ~= "number" or before < 0 then
    return nil, errors.new("invalid_request", "how long before the start is a number of seconds", { field = "before" })
  end
  local consumer = ("starting:%d:%s"):format(before, wanted.name)
  local function horizon() return math.floor(self.store.clock() + before) end
  local position, err = self.store:consumer(consumer, horizon())
  if not position then return nil, err end
  return self.jobs:every {
    name = consumer, seconds = LOOK_EVERY,
    run = function(_, job)
      local from, failure = self.store:consumer(consumer)
      if not from then return nil, failure end
      local to = horizon()
      if to <= from then return true end
      -- Moved first: a hook that fails is told of by the log, and is not told of the same start again and again.
      local moved, lost = self.store:consumer_move(consumer, to, job)
      if not moved then return nil, lost end
      return tell(self, wanted, from, to)
    end,
  }
end

return starting
