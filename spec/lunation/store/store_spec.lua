local crypto = require "lunation.crypto"
local json = require "lunation.json"
local migrations = require "lunation.store.migrations"
local sqlite = require "lunation.sqlite"
local store = require "lunation.store"
local specs = require "spec.support.store"
local support = require "spec.support"
local task = require "lunation.task"
local timer = require "lunation.timer"

describe("store", function()
  it("opens by URL and says what it does not know", function()
    local opened, err = store.open { store = "mysql:somewhere", key = specs.KEY }
    assert.is_nil(opened)
    assert.equal("unsupported", err.code)
    opened, err = store.open { store = "sqlite:" .. support.tmpdir() .. "/a.db", key = "short" }
    assert.is_nil(opened)
    assert.equal("key", err.field)
  end)

  describe("migrations", function()
    local newest = migrations[#migrations].version

    local function schema_of(path)
      local db = assert(sqlite.open(path))
      local rows = db:prepare("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"):all()
      db:close()
      return rows
    end

    it("stand in files of their own, numbered without a gap", function()
      for index, migration in ipairs(migrations) do
        assert.equal(index, migration.version)
        assert.truthy(migration.name:match("^%d%d%d_"))
        assert.equal(index, tonumber(migration.name:sub(1, 3)))
        assert.equal("table", type(require("lunation.store.migrations." .. migration.name)))
      end
    end)

    it("lead from every earlier version to the same schema, and keep what is there", function()
      local fresh, fresh_path = specs.open { plain = true }
      fresh:close()
      local wanted = schema_of(fresh_path)
      for version = 1, newest do
        local old, path = specs.open { plain = true, schema = version }
        assert(old:app_add { id = "kept", name = "Kept" })
        old:close()
        local opened = specs.open { plain = true, path = path }
        assert.equal(newest, opened.db:read(function(sql) return sql.value("SELECT MAX(version) FROM migrations") end))
        assert.equal("Kept", opened:app("kept").name)
        opened:close()
        assert.same(wanted, schema_of(path))
      end
    end)

    it("refuse a store of a newer lunation", function()
      local opened, path = specs.open { plain = true }
      opened.db:write(function(sql)
        sql.run("INSERT INTO migrations (version, name, applied) VALUES (?, 'later', 0)", newest + 1)
        return true
      end)
      opened:close()
      local again, err = store.open { store = "sqlite:" .. path, key = specs.KEY }
      assert.is_nil(again)
      assert.equal("unsupported", err.code)
    end)

    it("are applied once when many open a new store at the same time", function()
      local path = support.tmpdir() .. "/shared.db"
      local openers = {}
      for index = 1, 8 do
        openers[index] = function() return specs.open { path = path, plain = true } end
      end
      for _, result in ipairs(task.all(openers)) do
        assert.truthy(result[1])
        result[2]:close()
      end
    end)
  end)

  it("waits for another writer outside of its transaction", function()
    local opened, path = specs.open { plain = true }
    local other = assert(sqlite.open(path, { busy_ms = 0 }))
    assert(other:exec("BEGIN IMMEDIATE"))
    local turns = 0
    local ticker = timer.every(0.002, function() turns = turns + 1 end)
    timer.after(0.05, function() other:exec("COMMIT") end)
    assert.equal("Patient", assert(opened:app_add { id = "p", name = "Patient" }).name)
    ticker:cancel()
    assert.is_true(turns > 3)
    other:close()
  end)

  it("keeps apps, and replaces one of the same id", function()
    local opened = specs.open()
    local app = assert(opened:app_add { id = "demo", name = "Demo", secret = "hash", redirect_uris = { "http://a/cb" } })
    assert.same({ "http://a/cb" }, app.redirect_uris)
    assert.equal("[]", json.encode(app.trusted_origins))
    app = assert(opened:app_add { id = "demo", name = "Demo 2", redirect_uris = { "http://b/cb" } })
    assert.equal("hash", app.secret)
    assert.same({ "http://b/cb" }, opened:app("demo").redirect_uris)
    assert.equal(1, #opened:apps())
    local missing, err = opened:app("nobody")
    assert.is_nil(missing)
    assert.is_nil(err)
    assert.is_true(opened:app_remove("demo"))
    assert.is_false(opened:app_remove("demo"))
  end)

  it("makes a user once, and only of an app that is there", function()
    local opened = specs.open()
    assert(opened:app_add { id = "demo", name = "Demo" })
    assert.is_nil(opened:user("demo", "ada"))
    local ada = assert(opened:user("demo", "ada", { create = true }))
    assert.equal(ada.id, opened:user("demo", "ada", { create = true }).id)
    assert.same(ada, opened:user_by_id(ada.id))
    local none, err = opened:user("nobody", "ada", { create = true })
    assert.is_nil(none)
    assert.equal("not_found", err.code)
  end)

  describe("accounts", function()
    it("seal their credentials, bound to the account", function()
      local opened, path = specs.open()
      local account = specs.furnish(opened)
      assert.same({ username = "ada", password = "secret" }, opened:credentials(account.id))
      local db = assert(sqlite.open(path))
      local sealed = db:prepare("SELECT credentials FROM accounts"):value()
      assert.is_nil(sealed:find("secret", 1, true))
      assert.is_nil(crypto.open(specs.KEY, sealed, "another"))
      db:close()
      local other = specs.open { path = path, key = ("x"):rep(32) }
      local none, err = other:credentials(account.id)
      assert.is_nil(none)
      assert.equal("internal", err.code)
    end)

    it("keep their id when they are connected again", function()
      local opened = specs.open()
      local account = specs.furnish(opened)
      assert(opened:account_update(account.id, { status = "reauth_required", failures = 3, error = { code = "x", message = "y" } }))
      local again = assert(opened:account_add {
        user = account.user, provider = "fake", identity = "ada@fake", credentials = { token = "t" },
      })
      assert.equal(account.id, again.id)
      assert.equal("active", again.status)
      assert.equal(0, again.failures)
      assert.is_nil(again.error)
      assert.same({ token = "t" }, opened:credentials(account.id))
      assert.equal(1, #opened:calendars { account = account.id })
    end)

    it("exist only for their own app and user", function()
      local opened = specs.open()
      local account = specs.furnish(opened)
      local bob = assert(opened:user("demo", "bob", { create = true }))
      assert.equal(account.id, opened:account(account.id, { app = "demo", user = account.user }).id)
      assert.is_nil(opened:account(account.id, { app = "demo", user = bob.id }))
      assert.is_nil(opened:account(account.id, { app = "other" }))
      assert.equal(0, #opened:accounts { app = "demo", user = bob.id })
      assert.equal(0, #opened:accounts { user = bob.id, ids = { account.id } })
      assert.equal(1, #opened:accounts { ids = { account.id, 999 } })
      assert.equal(0, #opened:accounts { ids = {} })
    end)

    it("change field by field, and json.null empties one", function()
      local opened = specs.open()
      local account = specs.furnish(opened)
      account = assert(opened:account_update(account.id, { retry_at = 5, settings = { home = "/h/" } }))
      assert.equal(5, account.retry_at)
      assert.same({ home = "/h/" }, account.settings)
      assert.is_nil(opened:account_update(account.id, { retry_at = json.null }).retry_at)
      assert.has_error(function() opened:account_update(account.id, { created = 1 }) end)
      local none, err = opened:account_update(999, { failures = 1 })
      assert.is_nil(none)
      assert.equal("not_found", err.code)
    end)

    it("tell what becomes of them", function()
      local opened = specs.open()
      local account = specs.furnish(opened)
      assert(opened:account_update(account.id, { status = "reauth_required" }))
      assert(opened:account_update(account.id, { status = "reauth_required", failures = 1 }))
      assert(opened:account_add { user = account.user, provider = "fake", identity = "ada@fake" })
      assert(opened:account_remove(account.id))
      local kinds = {}
      for index, change in ipairs(opened:changes_after(0, 10)) do
        kinds[index] = change.kind
        assert.equal("ada@fake", change.event.identity)
      end
      assert.same({ "account.added", "account.reauth_required", "account.active", "account.removed" }, kinds)
    end)

    it("leave nothing in the files that could be read", function()
      local opened, path = specs.open()
      local account, calendars = specs.furnish(opened)
      local key = calendars[1].key
      local function row(title)
        return { id = "a", etag = title, event = { ["@type"] = "Event", title = title .. (" of a whole page"):rep(500) }, start = 1, finish = 2 }
      end
      local first = assert(opened:apply { calendar = key, state = { n = 1 }, upserts = { row "Interview" }, deletes = {} })
      assert(opened:apply { calendar = key, state = { n = 2 }, expect = first.version, upserts = { row "Dismissal" }, deletes = {} })
      assert.equal("updated", opened:changes_after(0, 10)[2].kind)
      assert.is_true(opened:account_remove(account.id))
      for _, name in ipairs { path, path .. "-wal" } do
        local file = assert(io.open(name, "rb"))
        local bytes = file:read "a"
        file:close()
        for _, word in ipairs { "Interview", "Dismissal", "whole page" } do assert.is_nil(bytes:find(word, 1, true), name .. ": " .. word) end
      end
      local kinds = {}
      for index, change in ipairs(opened:changes_after(0, 10)) do kinds[index] = change.kind end
      assert.same({ "account.added", "account.removed" }, kinds)
    end)

    it("go with all that is theirs", function()
      local opened, path = specs.open()
      local account, calendars = specs.furnish(opened)
      assert(opened:event_put { calendar = calendars[1].key, id = "a", event = { title = "A" }, start = 1, finish = 2 })
      assert.is_true(opened:account_remove(account.id))
      local db = assert(sqlite.open(path))
      for _, name in ipairs { "accounts", "calendars", "events", "tombstones" } do
        assert.equal(0, db:prepare("SELECT COUNT(*) FROM " .. name):value())
      end
      db:close()
    end)
  end)

  it("makes the calendars of an account those of the list", function()
    local opened = specs.open()
    local account = specs.furnish(opened, { calendars = { { id = "a", title = "A" }, { id = "b", title = "B" } } })
    local counts = assert(opened:calendars_sync(account.id, {
      { id = "b", title = "B2" }, { id = "c", title = "C" }, { id = "c", title = "twice" },
    }))
    assert.same({ created = 1, updated = 1, deleted = 1 }, counts)
    local titles = {}
    for index, calendar in ipairs(opened:calendars { accounts = { account.id } }) do titles[index] = calendar.title end
    assert.same({ "B2", "C" }, titles)
    assert.equal("C", opened:calendar_by_id(account.id, "c").title)
    assert.is_nil(opened:calendar_by_id(account.id, "a"))
  end)

  it("is copied to a file while it is in use", function()
    local opened = specs.open()
    specs.furnish(opened)
    local copy = support.tmpdir() .. "/copy.db"
    assert(opened:backup(copy))
    local other = specs.open { path = copy }
    assert.equal("Demo", other:app("demo").name)
  end)
end)
