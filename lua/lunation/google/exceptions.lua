-- Writing the instances of a series that differ from it, each by a request of its own, several in one batch.
local batch = require "lunation.google.batch"
local crypto = require "lunation.crypto"
local events = require "lunation.google.events"
local json = require "lunation.json"
local mapping = require "lunation.mapping"
local patches = require "lunation.google.patch"
local room = require "lunation.google.room"
local series = require "lunation.google.series"
local session = require "lunation.google.session"

local M = {}

-- Name space of what a room of one instance is called.
local SPACE = "0c7f6f2a-7e0c-5a55-9d6b-3f2b8a1d9e77"

-- What one instance's request says: the fields that were meant to change and do not stand so already.
local function instance_patch(want, began, have)
  if want.status == "cancelled" then
    return (have and have.status == "cancelled") and {} or { status = "cancelled" }
  end
  local meant = patches.difference(patches.sent(began), patches.sent(want))
  if have and have.status == "cancelled" then
    meant.status = want.status or "confirmed"
    return meant
  end
  local patch = {}
  for field, v in pairs(meant) do
    local there
    if have then there = have[field] end
    local already = v == json.null and there == nil or mapping.equal(there, want[field])
    if not already then patch[field] = v end
  end
  return patch
end

local function gone(err)
  return err.code == "not_found" or err.code == "gone"
end

-- Sends patches of instances, several in one batch; answers by place. An instance that was never changed has the id that
-- Google makes of its original start.
local function send_instances(account, calendar, master, jobs, opts)
  local calls, answers = {}, {}
  for i, job in ipairs(jobs) do
    -- Of instances that the new rule does not have the series' own message tells.
    local told = job.leftover and { notify = "none" } or opts
    calls[i] = patches.call(calendar, job.id or master.id .. "_" .. job.place, job.patch, told, job.etag)
  end
  local results, err = batch.call(account, calls)
  if not results then return nil, err end
  for i, job in ipairs(jobs) do
    local answer, failed = results[i][1], results[i][2]
    if not answer and gone(failed) and not job.id then
      -- Google calls it by another name.
      local found = events.find_instance(account, calendar, master.id, job.original)
      if found then answer, failed = session.call(account, patches.call(calendar, found.id, job.patch, opts)) end
    end
    if not answer and gone(failed) and job.revive then
      local patch = mapping.copy(job.patch)
      patch.status = "confirmed"
      answer, failed = session.call(account, patches.call(calendar, job.id or master.id .. "_" .. job.place, patch, opts))
    end
    if answer then
      if job.patch.conferenceData then answer = room.await(account, calendar, answer) end
      -- What was cancelled is, whatever the answer shows of it.
      answer.status = job.patch.status == "cancelled" and "cancelled" or answer.status
      answers[job.place] = series.exception(events.keep(answer, nil, account))
    elseif not (job.leftover and gone(failed)) then
      return nil, failed
    end
  end
  return answers
end

-- A new series with exceptions is made by several requests. Until the last of them it bears this mark, by which one that was cut
-- off is known: it counts as none.
M.UNFINISHED = "unfinished"

---@param patch table
---@return table patch which takes the mark away, too
function M.unmark(patch)
  patch.extendedProperties = patch.extendedProperties or {}
  patch.extendedProperties.private = patch.extendedProperties.private or {}
  patch.extendedProperties.private["lunation." .. M.UNFINISHED] = json.null
  return patch
end

---@class google.ExceptionsJob
---@field wanted table<string, google.Event> by place
---@field had table<string, google.Event> what the mirror knew before
---@field actual google.Event the series as Google has it after its own change
---@field master google.Event the series as it was meant
---@field opts table of the write
---@field master_changed boolean
---@field marked boolean? the series bears the mark of one that is not finished

---Brings the exceptions of a series to what is wanted.
---@param account table
---@param calendar table
---@param job google.ExceptionsJob
---@return google.Event? series, lunation.Error?
function M.write(account, calendar, job)
  local wanted, had, actual, opts = job.wanted, job.had, job.actual, job.opts
  local jobs = {}
  local have_all = actual.exceptions or {}
  for place, want in pairs(wanted) do
    local have, began = have_all[place], had[place]
    local live = began and began.status ~= "cancelled"
    -- A new exception, or one that Google has reset, begins as its series was meant to be.
    if not live or not have then began = series.base_of(job.master, want) or {} end
    local patch = instance_patch(want, began, have)
    if next(patch) ~= nil then
      local named, refused = room.ask(patch, calendar, crypto.uuid5(SPACE, room.name(opts, actual.id) .. "\n" .. place))
      if not named then return nil, refused end
      if job.marked then M.unmark(patch) end
      jobs[#jobs + 1] = {
        place = place, id = have and have.id or want.id, original = want.originalStartTime, patch = patch,
        etag = not job.master_changed and live and had[place].etag or nil,
        -- An instance that an earlier rule did not have is still cancelled at Google, though the rule has it again.
        revive = job.master_changed and want.status ~= "cancelled",
      }
    end
  end
  for place in pairs(had) do
    local have = have_all[place]
    -- The rule has no such instance any more.
    if not wanted[place] and have and have.status ~= "cancelled" then
      jobs[#jobs + 1] = { place = place, id = have.id, patch = { status = "cancelled" }, leftover = true }
    end
  end
  if #jobs == 0 then return actual end
  table.sort(jobs, function(a, b) return a.place < b.place end)
  local answers, err = send_instances(account, calendar, actual, jobs, opts)
  if not answers then return nil, err end
  local list = {}
  for _, answer in pairs(answers) do list[#list + 1] = answer end
  local folded = series.fold(actual, list)
  for _, each in ipairs(jobs) do
    if each.leftover then folded.exceptions[each.place] = nil end
  end
  if next(folded.exceptions) == nil then folded.exceptions = nil end
  return folded
end

return M
