-- The control paths: what specs set and read, beside the services.
local contract = require "spec.emulators.google.contract"
local failure = require "spec.emulators.google.failure"
local faults = require "spec.emulators.google.faults"
local json = require "lunation.json"
local push = require "spec.emulators.google.push"
local world = require "spec.emulators.google.world"

local control = {}

local function body_of(call)
  if call.text == "" then return {} end
  local value = json.decode(call.text)
  if type(value) ~= "table" then failure.fail(400, "parseError", "a JSON object or array is expected") end
  return value
end

local done = { status = 200, body = { ok = true } }

local function add_faults(call)
  faults.add(body_of(call))
  return done
end

local function clear_faults()
  faults.clear()
  return done
end

local function list_faults()
  return { faults = json.array(world.copy(faults.list)) }
end

local function violations()
  return { contract = contract.found or false, violations = json.array(world.copy(world.violations)) }
end

local function requests()
  return { requests = json.array(table.move(world.requests, 1, #world.requests, 1, {})) }
end

local function reset()
  faults.clear()
  world.reset()
  return done
end

-- Puts the clock forward: tokens, codes, channels and sync tokens end by it.
local function advance(call)
  world.ahead = world.ahead + (tonumber(body_of(call).seconds) or 0)
  return { now = world.stamp(world.now()) }
end

local function notifications()
  return { mails = json.array(world.copy(world.mails)), pushes = json.array(world.copy(world.pushes)), channels = json.array(push.list()) }
end

-- Sync tokens of all services are worth nothing from now on.
local function expire()
  world.sync_epoch = world.sync_epoch + 1
  return done
end

local function add_user(call)
  local body = body_of(call)
  if world.users[body.email] then failure.fail(409, "duplicate") end
  local user = world.add_user(body)
  return { email = user.email, id = user.id }
end

-- What the service puts on a calendar by itself, such as events out of mails, or a series of a kind that cannot be made.
local function set_options(call)
  local body = body_of(call)
  for _, name in ipairs { "meet_seconds", "rotate", "access_lifetime", "people_delay" } do
    if body[name] ~= nil then world[name] = body[name] end
  end
  return done
end

local function add_group(call)
  local body = body_of(call)
  world.groups[body.email] = body.members
  return done
end

local function add_other(call)
  local body = body_of(call)
  require("spec.emulators.google.guests").met(world.users[body.user], { email = body.email, displayName = body.name })
  return done
end

-- An event's type, as only the service sets it (`fromGmail`).
local function set_kind(call)
  local body = body_of(call)
  local calendar = world.calendars[body.calendar]
  local row = calendar and calendar.events[body.event]
  if not row then failure.fail(404) end
  row.data.eventType = body.eventType
  require("spec.emulators.google.rows").put(calendar, row)
  return done
end

control.routes = {
  ["/_emulator"] = { GET = { handler = function() return { emulator = "google", contract = contract.found or false, now = world.stamp(world.now()) } end } },
  ["/_emulator/faults"] = { POST = { handler = add_faults }, DELETE = { handler = clear_faults }, GET = { handler = list_faults } },
  ["/_emulator/violations"] = { GET = { handler = violations }, DELETE = { handler = function()
    world.violations = {}
    return done
  end } },
  ["/_emulator/requests"] = { GET = { handler = requests }, DELETE = { handler = function()
    world.requests = {}
    return done
  end } },
  ["/_emulator/reset"] = { POST = { handler = reset } },
  ["/_emulator/advance"] = { POST = { handler = advance } },
  ["/_emulator/notifications"] = { GET = { handler = notifications } },
  ["/_emulator/expire"] = { POST = { handler = expire } },
  ["/_emulator/users"] = { POST = { handler = add_user } },
  ["/_emulator/groups"] = { POST = { handler = add_group } },
  ["/_emulator/other-contacts"] = { POST = { handler = add_other } },
  ["/_emulator/event-type"] = { POST = { handler = set_kind } },
  ["/_emulator/options"] = { POST = { handler = set_options } },
}

return control
