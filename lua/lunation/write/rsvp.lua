--- An answer to an invitation: a change of nothing but one's own participation. Services have a call of its own for it, which
--- tells the organizer, where a plain change would be refused or stay unseen.

local model = require "lunation.model"

local rsvp = {}

local ANSWERS = { accepted = true, declined = true, tentative = true }
-- What a change brings along by itself.
local INCIDENTAL = { updated = true, sequence = true, participants = true }

---@param participant table
---@return string
local function address_of(participant)
  local to = participant.sendTo and participant.sendTo.imip or participant.email or ""
  return (to:lower():gsub("^mailto:", ""))
end

-- Every address that the account is known by.
local function own_addresses(account)
  local own = {}
  local function take(address)
    if type(address) == "string" then own[(address:lower():gsub("^mailto:", ""))] = true end
  end
  take(account.identity)
  take(account.username)
  for _, address in ipairs(account.settings and account.settings.addresses or {}) do take(address) end
  return own
end

local function without_answer(participant)
  local rest = model.copy(participant)
  rest.participationStatus, rest.participationComment = nil, nil
  return rest
end

--- The answer that a change is, where it is nothing else.
---@param account table
---@param event lunation.Event as it is: the series
---@param change lunation.Change
---@return { status: string, comment: string?, recurrenceId: string? }?
function rsvp.of(account, event, change)
  local patch = change.patch
  if type(patch) ~= "table" or type(patch.participants) ~= "table" or change.scope == "following" then return nil end
  local before = event
  if change.scope == "this" then before = model.instance(event, change.recurrenceId) end
  if not before or not before.participants then return nil end
  for name, value in pairs(patch) do
    if not INCIDENTAL[name] and not model.equal(value, before[name]) then return nil end
  end
  local own, answer = own_addresses(account), nil
  for id, participant in pairs(patch.participants) do
    local known = before.participants[id]
    if not known or not model.equal(without_answer(known), without_answer(participant)) then return nil end
    local changed = known.participationStatus ~= participant.participationStatus
      or known.participationComment ~= participant.participationComment
    if changed then
      if answer or not own[address_of(participant)] or not ANSWERS[participant.participationStatus] then return nil end
      answer = {
        status = participant.participationStatus, comment = participant.participationComment,
        recurrenceId = change.scope == "this" and change.recurrenceId or nil,
      }
    end
  end
  for id in pairs(before.participants) do
    if not patch.participants[id] then return nil end
  end
  return answer
end

return rsvp
