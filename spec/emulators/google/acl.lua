-- Who may do what on a calendar.
local failure = require "spec.emulators.google.failure"
local json = require "lunation.json"
local pages = require "spec.emulators.google.pages"
local push = require "spec.emulators.google.push"
local world = require "spec.emulators.google.world"

local acl = {}

local fail = failure.fail

local function render(rule)
  return {
    kind = "calendar#aclRule", etag = world.etag(rule.rev), id = rule.id, role = rule.deleted and "none" or rule.role,
    scope = rule.scope.type == "default" and { type = "default" } or rule.scope,
  }
end

local function answer(rule)
  return { status = 200, headers = { etag = world.etag(rule.rev) }, body = render(rule) }
end

local function touch(calendar, rule)
  calendar.acl_seq = calendar.acl_seq + 1
  rule.seq, rule.rev = calendar.acl_seq, world.tick()
  push.changed("acl", calendar.id)
end

local function find(calendar, id)
  local rule = calendar.acl[id == "default" and "default:" or id]
  if not rule or rule.deleted then fail(404, "notFound") end
  return rule
end

local function check_role(role)
  if not world.rank[role] then fail(400, "invalid", "Invalid value for: role", { location = "role", locationType = "parameter" }) end
  return role
end

local function list(call)
  local calendar = call:calendar(call.params.calendarId, "writer")
  local signature = pages.signature(call) .. "|" .. (call.args.syncToken or "")
  local cursor
  local at = 0
  if call.args.pageToken then
    cursor, at = pages.continue(call.args.pageToken, signature)
  else
    local since
    if call.args.syncToken then
      local held = pages.unseal(call.args.syncToken)
      if not held or held.acl ~= calendar.id then fail(400, "invalid", "Invalid sync token value.") end
      if held.epoch ~= world.sync_epoch then fail(410, "fullSyncRequired") end
      if call.args.showDeleted == "false" then fail(400, "badRequest", "Sync token cannot be used with showDeleted=false.") end
      since = held.seq
    end
    local found = {}
    for _, rule in pairs(calendar.acl) do
      if since and rule.seq > since or not since and (not rule.deleted or call:flag "showDeleted") then found[#found + 1] = rule end
    end
    table.sort(found, function(a, b) return a.seq < b.seq end)
    cursor = pages.begin(found, { signature = signature, seq = calendar.acl_seq })
  end
  local items, next_token = pages.slice(call, cursor, at, call:integer("maxResults", 100, 250))
  local out = json.array {}
  for i, rule in ipairs(items) do out[i] = render(rule) end
  return {
    kind = "calendar#acl", etag = world.etag(calendar.acl_seq + calendar.rev), items = out, nextPageToken = next_token,
    nextSyncToken = not next_token and pages.seal { acl = calendar.id, seq = cursor.seq, epoch = world.sync_epoch } or nil,
  }
end

local function insert(call)
  local calendar = call:calendar(call.params.calendarId, "owner")
  local body = call.body or {}
  local scope = body.scope
  local kinds = { default = true, user = true, group = true, domain = true }
  if type(scope) ~= "table" or not kinds[scope.type] then fail(400, "required", "Missing scope.", { location = "scope", locationType = "parameter" }) end
  if scope.type ~= "default" and type(scope.value) ~= "string" then fail(400, "invalid", "Invalid scope value.") end
  check_role(body.role)
  local id = scope.type == "default" and "default:" or scope.type .. ":" .. scope.value
  local rule = calendar.acl[id] or { id = id == "default:" and "default" or id, scope = { type = scope.type, value = scope.value } }
  rule.role, rule.deleted = body.role, nil
  calendar.acl[id] = rule
  touch(calendar, rule)
  return answer(rule)
end

local function change(call)
  local calendar = call:calendar(call.params.calendarId, "owner")
  local rule = find(calendar, call.params.ruleId)
  call:condition(world.etag(rule.rev))
  local body = call.body or {}
  if body.role ~= nil then rule.role = check_role(body.role) end
  touch(calendar, rule)
  return answer(rule)
end

local function delete(call)
  local calendar = call:calendar(call.params.calendarId, "owner")
  local rule = find(calendar, call.params.ruleId)
  if rule.id == "user:" .. calendar.owner then fail(403, "cannotRemoveLastCalendarOwnerFromAcl", "Cannot remove the last owner of a calendar.") end
  rule.deleted = true
  touch(calendar, rule)
  return nil
end

acl.routes = {
  ["/calendar/v3/calendars/:calendarId/acl"] = {
    GET = { handler = list, id = "calendar.acl.list" }, POST = { handler = insert, id = "calendar.acl.insert" },
  },
  ["/calendar/v3/calendars/:calendarId/acl/watch"] = { POST = { handler = function(call)
    local calendar = call:calendar(call.params.calendarId, "writer")
    return push.open(call, "acl", calendar.id, "https://www.googleapis.com/calendar/v3/calendars/" .. calendar.id:gsub("@", "%%40") .. "/acl?alt=json")
  end, id = "calendar.acl.watch" } },
  ["/calendar/v3/calendars/:calendarId/acl/:ruleId"] = {
    GET = { handler = function(call)
      local rule = find(call:calendar(call.params.calendarId, "writer"), call.params.ruleId)
      call:condition(world.etag(rule.rev))
      return answer(rule)
    end, id = "calendar.acl.get" },
    PATCH = { handler = change, id = "calendar.acl.patch" }, PUT = { handler = change, id = "calendar.acl.update" },
    DELETE = { handler = delete, id = "calendar.acl.delete" },
  },
}

return acl
