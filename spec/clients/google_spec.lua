-- The vendor's own clients call the Google emulator, before any provider is tried on it; nothing they say breaks the contract.

local emulator = require "spec.support.emulator"
local fs = require "lunation.fs"
local host = require "lunation.host"
local json = require "lunation.json"
local process = require "lunation.process"

describe("the Google emulator under the vendor's clients #clients", function()
  local google

  before_each(function()
    google = emulator.start("google", { users = { "alice@example.com=token-alice", "bob@example.com=token-bob" } })
  end)

  after_each(function()
    google.stop()
  end)

  local function run(args)
    assert(fs.stat(args[1]:find "/" and args[1] or host.root .. "/build/node/node_modules/@googleapis"), "`make clients` installs the clients")
    args[#args + 1] = json.encode {
      url = google.url, tokens = { alice = "token-alice", bob = "token-bob" }, modules = host.root .. "/build/node/node_modules",
    }
    local result = process.run { args = args, stderr = "pipe", stdin = "", env = { NO_PROXY = "127.0.0.1", PYTHONDONTWRITEBYTECODE = "1" } }
    local told = google.violations()
    assert.same({}, told)
    assert.equal(0, result.code, result.stderr .. result.stdout)
    assert.is_truthy(result.stdout:find "^%d+ checks", result.stdout)
    if not google.has_contract then pending("no contract was found to hold the requests against") end
  end

  -- Every method that the emulator has was called at least once, and answered.
  local methods = {
    calendar = [[calendarList.list calendarList.get calendarList.insert calendarList.patch calendarList.update calendarList.delete calendarList.watch
      calendars.get calendars.insert calendars.patch calendars.update calendars.delete calendars.clear acl.list acl.get acl.insert acl.patch acl.update
      acl.delete acl.watch colors.get settings.list settings.get settings.watch events.list events.get events.insert events.patch events.update
      events.delete events.move events.import events.instances events.quickAdd events.watch freebusy.query channels.stop]],
    people = [[people.connections.list people.get people.getBatchGet people.createContact people.updateContact people.deleteContact
      people.batchCreateContacts people.batchUpdateContacts people.batchDeleteContacts people.searchContacts people.listDirectoryPeople
      people.searchDirectoryPeople otherContacts.list otherContacts.search otherContacts.copyOtherContactToMyContactsGroup]],
    directory = [[resources.calendars.list resources.calendars.get resources.calendars.insert resources.calendars.patch resources.calendars.update
      resources.calendars.delete]],
  }

  local function covered(service)
    local answered, missing = {}, {}
    for _, one in ipairs(google.requests()) do answered[one.id or ""] = answered[one.id or ""] or one.status < 300 end
    for name in methods[service]:gmatch "%S+" do
      if not answered[service .. "." .. name] then missing[#missing + 1] = name end
    end
    assert.same({}, missing)
  end

  for name, service in pairs { calendar = "calendar", people = "people", admin = "directory" } do
    it("npm @googleapis/" .. name, function()
      run { "node", host.root .. "/spec/clients/google_" .. name .. ".mjs" }
      covered(service)
    end)
  end

  it("PyPI google-api-python-client", function()
    run { host.root .. "/build/python/bin/python", host.root .. "/spec/clients/google_api.py" }
    for service in pairs(methods) do covered(service) end
  end)
end)
